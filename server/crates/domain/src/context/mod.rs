//! What a model is sent. The pieces are put together here, so that the page can show exactly what goes out; the agent only translates
//! them into its request.

mod collect;
mod compaction;
mod ground;
mod images;
mod map;
mod parts;
mod review;
mod situation;
mod summary;
pub mod text;
mod tree;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use store::{Tx, context as table};
use wire::{
    Micros, ProjectId, TurnId,
    chat::{Attachment, Message, MessageBody, Mode, StartTurn, Turn},
    context::{ContextView, IMAGE_TOKENS, Part, PreviewContext, estimate_tokens},
    permissions::ToolTraits,
    projects::ProjectRole,
};

pub use collect::collect;
pub use compaction::{ANSWER_MAX, Plan, Room, WINDOW_DEFAULT, kept_facts, material};
pub use ground::{Ground, INSTRUCTIONS, InstructionsText};
pub(crate) use images::{PROJECT_MAX as PICTURES_MAX, forget_unused};
pub use images::{open_image, upload_image};
pub use parts::{Assembled, Entry, RESULT_MAX, Role, ToolList, ToolText};
pub use review::{REVIEW_NOTE, describe_review};
pub use summary::{compactions, record_compaction, set_compaction};

use ground::About;
use parts::Source;

use crate::{Ctx, Error, Result, chat, models, projects};

/// What the agent can do; implemented where its tools are.
#[async_trait]
pub trait Toolbox: Send + Sync + 'static {
    /// What a model is told of the tools in this mode, in the order in which they are sent.
    async fn tools(&self, ctx: &Ctx, project: ProjectId, mode: Mode) -> Result<ToolList>;

    /// What is known of the tools of servers, by their names; nothing of those that were not asked yet.
    async fn foreign_traits(&self, ctx: &Ctx, project: ProjectId) -> Result<HashMap<String, ToolTraits>>;
}

/// For processes and tests without an agent.
pub struct NoTools;

#[async_trait]
impl Toolbox for NoTools {
    async fn tools(&self, _: &Ctx, _: ProjectId, _: Mode) -> Result<ToolList> {
        Ok(ToolList::default())
    }

    async fn foreign_traits(&self, _: &Ctx, _: ProjectId) -> Result<HashMap<String, ToolTraits>> {
        Ok(HashMap::new())
    }
}

/// All that a turn's requests have in common.
#[derive(Debug, Clone)]
pub struct Situation {
    pub ground: Ground,
    /// The number of the prompt that is being worked on.
    pub prompt_seq: i64,
    without: Vec<String>,
    /// The person wants the older part summed up with this message.
    compact: bool,
    undone: BTreeSet<i64>,
    ratio_percent: i64,
}

impl Situation {
    /// For a turn that is taken up, on a branch of `base_revision`. `model` is the one that answers now, which need not be the one that it
    /// began with; `window`: tokens that it can read and write.
    pub async fn of_turn(ctx: &Ctx, turn: &Turn, messages: &[Message], base_revision: i64, model: &str, window: i64) -> Result<Self> {
        let own = messages.iter().find_map(|message| match &message.body {
            MessageBody::User { attachments, .. } if message.turn_id == Some(turn.id) => Some((message.seq, attachments.as_slice())),
            _ => None,
        });
        let (prompt_seq, attachments) = own.unwrap_or((messages.last().map_or(1, |message| message.seq + 1), &[]));
        let about =
            About { project: turn.project_id, mode: turn.mode, revision: Some(base_revision), prompt: &turn.prompt, attachments, window };
        let rest = async {
            let mut conn = ctx.services().db.read().await?;
            let choice = table::choice(&mut conn, turn.id).await?.unwrap_or_default();
            let undone = table::undone_compactions(&mut conn, turn.conversation_id).await?.into_keys().collect();
            Ok((choice, undone, ratio_percent(&mut conn, model).await?))
        };
        let (ground, (choice, undone, ratio_percent)) = tokio::try_join!(Ground::read(ctx, &about), rest)?;
        Ok(Self { ground, prompt_seq, without: choice.without, compact: choice.compact, undone, ratio_percent })
    }

    /// The pieces of the next request, and which messages to sum up before it. `tools` must be what the model will be offered.
    pub fn assemble(&self, messages: &[Message], tools: &[ToolText], room: Room, images: bool) -> (Assembled, Option<Plan>) {
        let untouched = self.source(messages, tools, i64::MAX, images).assemble();
        let plan = compaction::plan(&untouched, messages, room, self.prompt_seq, self.ratio_percent, self.owes_summary(messages));
        (self.source(messages, tools, room.input(), images).assemble(), plan)
    }

    /// The person asked for a summary with this message, and there is neither one nor an answer yet.
    pub fn owes_summary(&self, messages: &[Message]) -> bool {
        let settles = |body: &MessageBody| matches!(body, MessageBody::Compacted { .. } | MessageBody::Assistant { .. });
        self.compact && !messages.iter().any(|message| message.seq > self.prompt_seq && settles(&message.body))
    }

    /// As [`Self::assemble`], with all tool results as they are; what a summary is made from.
    pub fn untouched(&self, messages: &[Message], images: bool) -> Assembled {
        self.source(messages, &[], i64::MAX, images).assemble()
    }

    fn source<'a>(&'a self, messages: &'a [Message], tools: &'a [ToolText], room: i64, images: bool) -> Source<'a> {
        Source {
            ground: &self.ground,
            tools,
            later: &[],
            messages,
            prompt_seq: self.prompt_seq,
            without: &self.without,
            undone: &self.undone,
            ratio_percent: self.ratio_percent,
            room,
            images,
        }
    }
}

/// Tokens of a request by length alone: what the provider's count is compared with.
pub fn raw_tokens(assembled: &Assembled) -> i64 {
    let text: usize = assembled.parts().filter_map(|part| part.text.as_ref()).map(String::len).sum();
    let names: usize = assembled.entries.iter().flat_map(|entry| &entry.calls).map(|call| call.id.len() + call.name.len()).sum();
    let images: usize = assembled.entries.iter().map(|entry| entry.images.len()).sum();
    estimate_tokens(text + names) + parts::wrapping(assembled.entries.len(), 100) + images as i64 * IMAGE_TOKENS
}

/// What would be sent for a draft, part by part.
pub async fn preview(ctx: &Ctx, project: ProjectId, request: PreviewContext) -> Result<ContextView> {
    let PreviewContext { conversation, turn: draft, texts } = request;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    drop(conn);
    let fields: Vec<_> =
        draft.validate().into_iter().filter(|field| !(field.field == "prompt" && draft.prompt.trim().is_empty())).collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let model = models::resolve(ctx, draft.model.as_deref()).await?;
    let (mut messages, next_seq, undone) = match conversation {
        Some(id) => {
            let known = chat::get_conversation(ctx, id).await?;
            if known.project_id != project {
                return Err(Error::NotFound("conversation"));
            }
            let mut conn = ctx.services().db.read().await?;
            let undone = table::undone_compactions(&mut conn, id).await?.into_keys().collect();
            drop(conn);
            (chat::sent_messages(ctx, id).await?, known.messages + 1, undone)
        }
        None => (Vec::new(), 1, BTreeSet::new()),
    };
    let attachments = collect(ctx, project, &draft).await?;
    let about =
        About { project, mode: draft.mode, revision: None, prompt: &draft.prompt, attachments: &attachments, window: model.context_tokens };
    let ground = Ground::read(ctx, &about).await?;
    let mut conn = ctx.services().db.read().await?;
    let ratio_percent = ratio_percent(&mut conn, &model.name).await?;
    drop(conn);
    messages.push(draft_message(next_seq, &draft.prompt, attachments));
    let situation =
        Situation { ground, prompt_seq: next_seq, without: draft.context.without, compact: draft.context.compact, undone, ratio_percent };
    let ToolList { tools, later } = ctx.services().toolbox.tools(ctx, project, draft.mode).await?;
    let room = Room::of(model.context_tokens, model.max_output);
    let source = Source { later: &later, ..situation.source(&messages, &tools, room.input(), model.images) };
    let assembled = source.assemble();
    let untouched = situation.untouched(&messages, model.images);
    let compactable = compaction::plan(&untouched, &messages, room, next_seq, ratio_percent, true).map(|plan| plan.folded);
    let parts: Vec<Part> = assembled.parts().map(|part| thin(part, &texts)).collect();
    Ok(ContextView {
        model: model.name,
        window: room.window,
        answer: room.answer,
        used: parts.iter().map(|part| part.tokens).sum(),
        compact_at: room.compact_at(),
        ratio_percent,
        images: model.images,
        compactable,
        parts,
    })
}

fn draft_message(seq: i64, prompt: &str, attachments: Vec<Attachment>) -> Message {
    let body = MessageBody::User { text: prompt.to_owned(), attachments };
    Message { id: uuid::Uuid::nil().into(), turn_id: None, seq, body, created_at: Micros(0) }
}

/// Texts are only sent to the page for those parts that it asks for.
fn thin(part: &Part, texts: &[String]) -> Part {
    let text = part.text.clone().filter(|_| texts.contains(&part.key));
    Part { text, ..part.clone() }
}

/// Keeps with a turn what the person chose, in the transaction that begins it.
pub(crate) async fn keep_choice(ctx: &Ctx, tx: &mut Tx, project: ProjectId, turn: TurnId, request: &StartTurn) -> Result<()> {
    if request.context != wire::context::ContextChoice::default() {
        table::insert_choice(tx, turn, &request.context).await?;
    }
    for image in &request.images {
        table::use_image(tx, project, &image.checksum, ctx.now()).await?;
    }
    Ok(())
}

/// Remembers how a provider counted a request whose length made `estimated` tokens.
pub async fn learn_ratio(ctx: &Ctx, model: &str, estimated: i64, measured: i64) -> Result<()> {
    if estimated <= 0 || measured <= 0 {
        return Ok(());
    }
    let mut tx = ctx.services().db.begin().await?;
    table::learn_ratio(&mut tx, model, estimated, measured, ctx.now()).await?;
    ctx.commit(tx).await
}

/// Tokens by the provider's count for a hundred estimated ones, within what can be meant.
async fn ratio_percent(conn: &mut store::Conn, model: &str) -> Result<i64> {
    let known = table::ratio(conn, model).await?.filter(|(estimated, _)| *estimated > 0);
    Ok(known.map_or(100, |(estimated, measured)| (measured * 100 / estimated).clamp(40, 250)))
}
