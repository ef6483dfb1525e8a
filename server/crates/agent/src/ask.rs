//! One request to a model: streamed to whoever watches, in few events, and handed back whole.

use std::{sync::Arc, time::Duration};

use domain::{Ctx, Error, chat};
use futures::StreamExt;
use llm::{FinishReason, Model, ModelError, ModelEvent, ModelRequest};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::{
    TurnId,
    chat::{TokenUsage, ToolCall},
    event::EventKind,
};

use crate::{
    context::size_of_all,
    fsm::{Answer, AnswerEnd, Event},
    text::estimate_tokens,
};

const BATCH_BYTES: usize = 512;
const BATCH_DELAY: Duration = Duration::from_millis(40);

/// Asks and waits for the end of the answer. `Err` only when what arrives can't be written down.
pub async fn ask(ctx: Ctx, turn: TurnId, model: Arc<dyn Model>, request: ModelRequest, cancel: CancellationToken) -> Result<Event, Error> {
    let mut answer = Partial::new(&request, model.describe().is_demo);
    let mut deltas = Deltas::default();
    let mut stream = tokio::select! {
        stream = model.stream(request) => match stream {
            Ok(stream) => stream,
            Err(error) => return Ok(answer.failed(&error)),
        },
        () = cancel.cancelled() => return Ok(answer.stopped()),
    };
    loop {
        let flush_at = deltas.flush_at;
        let event = tokio::select! {
            // Dropping the stream closes the connection, so that a provider stops charging.
            () = cancel.cancelled() => {
                deltas.flush(&ctx, turn).await?;
                return Ok(answer.stopped());
            }
            event = stream.next() => event,
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                deltas.flush(&ctx, turn).await?;
                continue;
            }
        };
        match event {
            Some(Ok(ModelEvent::Text(text))) => {
                answer.text.push_str(&text);
                deltas.push(&text, false, &ctx, turn).await?;
            }
            Some(Ok(ModelEvent::Reasoning(text))) => {
                answer.reasoning += text.len();
                deltas.push(&text, true, &ctx, turn).await?;
            }
            // The text before a call should not wait for its arguments.
            Some(Ok(ModelEvent::ToolCallStarted { .. })) => deltas.flush(&ctx, turn).await?,
            Some(Ok(ModelEvent::ToolCall(call))) => answer.calls.push(ToolCall { id: call.id, name: call.name, arguments: call.arguments }),
            Some(Ok(ModelEvent::Usage(usage))) => answer.usage = Some(usage),
            Some(Ok(ModelEvent::Finished(reason))) => {
                deltas.flush(&ctx, turn).await?;
                return Ok(answer.finished(&reason));
            }
            Some(Err(error)) => {
                deltas.flush(&ctx, turn).await?;
                return Ok(answer.failed(&error));
            }
            None => {
                deltas.flush(&ctx, turn).await?;
                return Ok(answer.failed(&ModelError::CutOff));
            }
        }
    }
}

/// Tokens of a request, estimated on the high side.
pub fn estimate_request(request: &ModelRequest) -> i64 {
    let tools: usize = request.tools.iter().map(|t| t.name.len() + t.description.len() + t.schema.to_string().len()).sum();
    estimate_tokens(request.system.len() + tools + size_of_all(&request.messages))
}

/// An answer as far as it has arrived.
struct Partial {
    text: String,
    reasoning: usize,
    calls: Vec<ToolCall>,
    usage: Option<llm::Usage>,
    asked: i64,
    is_free: bool,
}

impl Partial {
    fn new(request: &ModelRequest, is_free: bool) -> Self {
        Self { text: String::new(), reasoning: 0, calls: Vec::new(), usage: None, asked: estimate_request(request), is_free }
    }

    /// As the provider counted, else estimated, so that a budget holds with providers that do not count.
    fn usage(&self) -> TokenUsage {
        let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
        match self.usage {
            Some(usage) if self.is_free || usage.input + usage.output > 0 => {
                TokenUsage { input: signed(usage.input), output: signed(usage.output), cached: signed(usage.cached) }
            }
            _ if self.is_free => TokenUsage::default(),
            _ => {
                let written = self.text.len() + self.reasoning + self.calls.iter().map(|c| c.name.len() + c.arguments.len()).sum::<usize>();
                TokenUsage { input: self.asked, output: estimate_tokens(written), cached: 0 }
            }
        }
    }

    fn finished(self, reason: &FinishReason) -> Event {
        let end = match reason {
            FinishReason::Length => AnswerEnd::Length,
            FinishReason::ContentFilter => AnswerEnd::Filtered,
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other(_) => AnswerEnd::Complete,
        };
        let usage = self.usage();
        Event::ModelAnswered(Answer { text: self.text, tool_calls: self.calls, usage, end })
    }

    fn failed(self, error: &ModelError) -> Event {
        // A request that was refused cost nothing.
        let usage = if self.text.is_empty() && self.reasoning == 0 && self.usage.is_none() { TokenUsage::default() } else { self.usage() };
        Event::ModelFailed { sentence: error.sentence(), text: self.text, usage }
    }

    fn stopped(self) -> Event {
        let usage = self.usage();
        Event::ModelStopped { text: self.text, usage }
    }
}

/// Text on its way to the people who watch. The first piece goes at once.
#[derive(Default)]
struct Deltas {
    text: String,
    is_reasoning: bool,
    flush_at: Option<Instant>,
    has_begun: bool,
}

impl Deltas {
    async fn push(&mut self, text: &str, is_reasoning: bool, ctx: &Ctx, turn: TurnId) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        if is_reasoning != self.is_reasoning {
            self.flush(ctx, turn).await?;
            self.is_reasoning = is_reasoning;
        }
        self.text.push_str(text);
        if !self.has_begun || self.text.len() >= BATCH_BYTES {
            self.has_begun = true;
            return self.flush(ctx, turn).await;
        }
        self.flush_at.get_or_insert_with(|| Instant::now() + BATCH_DELAY);
        Ok(())
    }

    async fn flush(&mut self, ctx: &Ctx, turn: TurnId) -> Result<(), Error> {
        self.flush_at = None;
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let kind = if self.is_reasoning { EventKind::ReasoningDelta { text } } else { EventKind::TextDelta { text } };
        chat::emit(ctx, turn, vec![kind]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(is_free: bool) -> Partial {
        let request = ModelRequest { system: "x".repeat(300), ..ModelRequest::default() };
        Partial { text: "y".repeat(30), ..Partial::new(&request, is_free) }
    }

    #[test]
    fn usage_is_estimated_where_the_provider_is_silent() {
        assert_eq!(partial(false).usage(), TokenUsage { input: 100, output: 10, cached: 0 });
        let counted = Partial { usage: Some(llm::Usage { input: 7, output: 3, cached: 2 }), ..partial(false) };
        assert_eq!(counted.usage(), TokenUsage { input: 7, output: 3, cached: 2 });
        assert_eq!(partial(true).usage(), TokenUsage::default());
    }

    #[test]
    fn a_refused_request_costs_nothing_and_a_broken_answer_does() {
        let refused = Partial { text: String::new(), ..partial(false) }.failed(&ModelError::NotConfigured);
        assert!(matches!(refused, Event::ModelFailed { usage, .. } if usage == TokenUsage::default()));
        let broken = partial(false).failed(&ModelError::CutOff);
        assert!(matches!(broken, Event::ModelFailed { usage: TokenUsage { output: 10, .. }, text, .. } if text.len() == 30));
    }

    #[test]
    fn a_filtered_answer_is_told_apart() {
        let event = partial(false).finished(&FinishReason::ContentFilter);
        assert!(matches!(event, Event::ModelAnswered(Answer { end: AnswerEnd::Filtered, .. })));
    }
}
