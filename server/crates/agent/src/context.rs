//! What domain put together, as a request to a model.

use domain::{
    Ctx, Error,
    context::{self, Assembled, Plan, Role, Room, Situation, ToolText},
    models::ResolvedModel,
};
use llm::{ModelRequest, ToolSpec};
use wire::chat::{Attachment, Message, Turn};

/// A request that is ready but for the size of its answer: `max_tokens` is the caller's to set.
pub struct Prompted {
    pub request: ModelRequest,
    /// Tokens by length alone: what `domain::context::learn_ratio` is told beside the provider's count.
    pub raw_input: i64,
    /// Tokens that the answer may have at most.
    pub answer_max: i64,
    /// What has to be summed up before anything is sent; see [`crate::compaction::compact`]. The request fits without, but has lost the
    /// oldest tool results where it had to.
    pub compact: Option<Plan>,
}

/// The room that a model leaves for a request and its answer.
pub fn room_of(model: &ResolvedModel) -> Room {
    Room::of(model.context_tokens, model.max_output)
}

/// The next request of a turn. `messages` is the conversation with all that this turn has added to it, `tools` what the model is offered.
pub async fn build(
    ctx: &Ctx,
    turn: &Turn,
    situation: &Situation,
    messages: &[Message],
    model: &ResolvedModel,
    tools: Vec<ToolSpec>,
) -> Result<Prompted, Error> {
    let room = room_of(model);
    let texts: Vec<ToolText> = tools.iter().map(text_of).collect();
    let (assembled, compact) = situation.assemble(messages, &texts, room, model.images);
    let raw_input = context::raw_tokens(&assembled);
    let request = ModelRequest {
        model: String::new(),
        system: assembled.system_text(),
        messages: to_messages(ctx, turn, &assembled).await?,
        tools,
        max_tokens: 0,
        temperature: model.temperature,
        reasoning: model.reasoning.clone(),
    };
    Ok(Prompted { request, raw_input, answer_max: room.answer, compact })
}

/// A tool as the page shows it.
pub fn text_of(tool: &ToolSpec) -> ToolText {
    ToolText { name: tool.name.to_string(), description: tool.description.to_string(), schema: tool.schema.to_string() }
}

async fn to_messages(ctx: &Ctx, turn: &Turn, assembled: &Assembled) -> Result<Vec<llm::Message>, Error> {
    let mut messages = Vec::with_capacity(assembled.entries.len());
    for entry in &assembled.entries {
        let text = entry.text();
        messages.push(match entry.role {
            Role::User => llm::Message::User { text, images: read_images(ctx, turn, &entry.images).await? },
            Role::Assistant => llm::Message::Assistant {
                text,
                reasoning: None,
                tool_calls: entry
                    .calls
                    .iter()
                    .map(|call| llm::ToolCall { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() })
                    .collect(),
            },
            Role::Tool => llm::Message::Tool { call_id: entry.call_id.clone().unwrap_or_default(), content: text },
        });
    }
    Ok(messages)
}

async fn read_images(ctx: &Ctx, turn: &Turn, images: &[Attachment]) -> Result<Vec<llm::Image>, Error> {
    let mut read = Vec::with_capacity(images.len());
    for image in images {
        let checksum = image.checksum.as_deref().unwrap_or_default();
        match context::open_image(ctx, turn.project_id, checksum).await {
            Ok((media_type, bytes)) => read.push(llm::Image { media_type, data: bytes.into() }),
            // A conversation that came from elsewhere may name pictures that did not come along.
            Err(Error::NotFound(_)) => tracing::warn!(turn.id = %turn.id, checksum, "a picture of the conversation is not stored"),
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn size_of(message: &llm::Message) -> usize {
    match message {
        llm::Message::User { text, .. } => text.len(),
        llm::Message::Assistant { text, tool_calls, .. } => {
            text.len() + tool_calls.iter().map(|c| c.id.len() + c.name.len() + c.arguments.len()).sum::<usize>()
        }
        llm::Message::Tool { content, .. } => content.len(),
    }
}

/// Bytes of a conversation as it is sent, without the provider's wrapping and without pictures.
pub fn size_of_all(messages: &[llm::Message]) -> usize {
    messages.iter().map(|m| size_of(m) + 16).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_demonstration_knows_a_review_when_it_sees_one() {
        assert_eq!(llm::demo::REVIEW_NOTE, domain::context::REVIEW_NOTE);
    }
}
