//! One request to a model: streamed to whoever watches, in few events, and handed back whole.

use std::{sync::Arc, time::Duration};

use domain::{
    Ctx, Error,
    budgets::{CallEnd, CallOutcome},
    chat,
};
use futures::StreamExt;
use llm::{FinishReason, Message, Model, ModelError, ModelEvent, ModelRequest};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::{
    TurnId,
    chat::{TokenUsage, ToolCall},
    context::IMAGE_TOKENS,
    event::EventKind,
};

use crate::{
    context::size_of_all,
    fsm::{Answer, AnswerEnd, Event},
    text::estimate_tokens,
};

const BATCH_BYTES: usize = 512;
const BATCH_DELAY: Duration = Duration::from_millis(40);
/// Bytes of one answer's reasoning that are kept with it.
const REASONING_MAX: usize = 64 * 1024;

/// What became of a request: for the machine, and for the books.
pub struct Asked {
    pub event: Event,
    pub end: CallEnd,
}

/// Around one call of a model, for traces. `outcome` is recorded at its end.
pub fn model_span(model: &str) -> tracing::Span {
    tracing::info_span!("model", model, outcome = tracing::field::Empty)
}

/// Asks and waits for the end of the answer. No connection to the database is held meanwhile. `Err` only when what arrives can't be written
/// down.
pub async fn ask(
    ctx: &Ctx,
    turn: TurnId,
    model: Arc<dyn Model>,
    request: ModelRequest,
    cancel: &CancellationToken,
) -> Result<Asked, Error> {
    let mut answer = Partial::new(&request, model.describe().is_demo);
    if cancel.is_cancelled() {
        return Ok(answer.unsent());
    }
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
                deltas.flush(ctx, turn).await?;
                return Ok(answer.stopped());
            }
            event = stream.next() => event,
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                deltas.flush(ctx, turn).await?;
                continue;
            }
        };
        match event {
            Some(Ok(ModelEvent::Text(text))) => {
                answer.note_token();
                answer.text.push_str(&text);
                deltas.push(&text, false, ctx, turn).await?;
            }
            Some(Ok(ModelEvent::Reasoning(text))) => {
                answer.note_token();
                answer.keep_reasoning(&text);
                deltas.push(&text, true, ctx, turn).await?;
            }
            // The text before a call should not wait for its arguments.
            Some(Ok(ModelEvent::ToolCallStarted { name, .. })) => {
                answer.note_token();
                answer.in_calls += name.len();
                deltas.flush(ctx, turn).await?;
            }
            Some(Ok(ModelEvent::Arguments(bytes))) => answer.in_calls += bytes,
            Some(Ok(ModelEvent::ToolCall(call))) => answer.calls.push(ToolCall { id: call.id, name: call.name, arguments: call.arguments }),
            Some(Ok(ModelEvent::Usage(usage))) => answer.usage = Some(usage),
            Some(Ok(ModelEvent::Finished(reason))) => {
                deltas.flush(ctx, turn).await?;
                return Ok(answer.finished(&reason));
            }
            Some(Err(error)) => {
                deltas.flush(ctx, turn).await?;
                return Ok(answer.failed(&error));
            }
            None => {
                deltas.flush(ctx, turn).await?;
                return Ok(answer.failed(&ModelError::CutOff));
            }
        }
    }
}

/// Whether another model may answer in place of one that failed: only before its first word.
pub fn may_switch(error: &ModelError, has_begun: bool) -> bool {
    !has_begun && error.another_may_answer()
}

/// Tokens of a request, estimated on the high side.
pub fn estimate_request(request: &ModelRequest) -> i64 {
    let tools: usize = request.tools.iter().map(|t| t.name.len() + t.description.len() + t.schema.to_string().len()).sum();
    let pictures = request.messages.iter().map(|message| if let Message::User { images, .. } = message { images.len() } else { 0 });
    estimate_tokens(request.system.len() + tools + size_of_all(&request.messages)) + pictures.sum::<usize>() as i64 * IMAGE_TOKENS
}

/// An answer as far as it has arrived.
struct Partial {
    text: String,
    /// Its beginning, at most `REASONING_MAX`.
    reasoning: String,
    /// Bytes of all the reasoning that came.
    reasoned: usize,
    /// Bytes of calls, also of those that are not complete.
    in_calls: usize,
    calls: Vec<ToolCall>,
    usage: Option<llm::Usage>,
    asked: i64,
    is_free: bool,
    began: Instant,
    first_token: Option<Duration>,
}

impl Partial {
    fn new(request: &ModelRequest, is_free: bool) -> Self {
        Self {
            text: String::new(),
            reasoning: String::new(),
            reasoned: 0,
            in_calls: 0,
            calls: Vec::new(),
            usage: None,
            asked: estimate_request(request),
            is_free,
            began: Instant::now(),
            first_token: None,
        }
    }

    fn note_token(&mut self) {
        self.first_token.get_or_insert_with(|| self.began.elapsed());
    }

    fn keep_reasoning(&mut self, text: &str) {
        // Nothing is kept behind a cut, or it would stand where it does not belong.
        if self.reasoning.len() == self.reasoned {
            let room = REASONING_MAX - self.reasoning.len();
            self.reasoning.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        }
        self.reasoned += text.len();
    }

    fn has_begun(&self) -> bool {
        self.first_token.is_some() || self.usage.is_some()
    }

    /// As the provider counted.
    fn counted(&self) -> Option<TokenUsage> {
        let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let usage = self.usage.filter(|usage| self.is_free || usage.input + usage.output > 0)?;
        Some(TokenUsage { input: signed(usage.input), output: signed(usage.output), cached: signed(usage.cached) })
    }

    fn cache_written(&self) -> i64 {
        self.usage.map_or(0, |usage| i64::try_from(usage.cache_write).unwrap_or(i64::MAX))
    }

    /// Where the provider does not count, so that a budget holds all the same.
    fn estimate(&self) -> TokenUsage {
        if self.is_free {
            return TokenUsage::default();
        }
        // Not every model tells of arguments before the call is complete.
        let whole: usize = self.calls.iter().map(|c| c.name.len() + c.arguments.len()).sum();
        let written = self.text.len() + self.reasoned + self.in_calls.max(whole);
        TokenUsage { input: self.asked, output: estimate_tokens(written), cached: 0 }
    }

    /// What the turn's tokens are counted by.
    fn usage(&self) -> TokenUsage {
        self.counted().unwrap_or_else(|| self.estimate())
    }

    fn end(&self, outcome: CallOutcome, estimate: TokenUsage) -> CallEnd {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        CallEnd {
            usage: self.counted(),
            cache_written: self.cache_written(),
            estimate: Some(estimate),
            first_token_ms: self.first_token.map(millis),
            duration_ms: millis(self.began.elapsed()),
            outcome,
        }
    }

    fn finished(self, reason: &FinishReason) -> Asked {
        let end = match reason {
            FinishReason::Length => AnswerEnd::Length,
            FinishReason::ContentFilter => AnswerEnd::Filtered,
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other(_) => AnswerEnd::Complete,
        };
        let (usage, booked) = (self.usage(), self.end(CallOutcome::Ok, self.estimate()));
        let answer = Answer { text: self.text, reasoning: self.reasoning, tool_calls: self.calls, usage, end };
        Asked { event: Event::ModelAnswered(answer), end: booked }
    }

    fn failed(self, error: &ModelError) -> Asked {
        let has_begun = self.has_begun();
        // A request that was refused cost nothing; one that was worked on for too long did.
        let usage = if has_begun || error.may_cost() { self.usage() } else { TokenUsage::default() };
        let end = self.end(CallOutcome::Failed(error.code().to_owned()), usage);
        let (sentence, may_switch) = (error.sentence(), may_switch(error, has_begun));
        Asked { event: Event::ModelFailed { sentence, text: self.text, reasoning: self.reasoning, usage, may_switch }, end }
    }

    /// Stopped before anything went out.
    fn unsent(self) -> Asked {
        let usage = TokenUsage::default();
        let end = self.end(CallOutcome::Stopped, usage);
        Asked { event: Event::ModelStopped { text: self.text, reasoning: self.reasoning, usage }, end }
    }

    fn stopped(self) -> Asked {
        let (usage, end) = (self.usage(), self.end(CallOutcome::Stopped, self.estimate()));
        Asked { event: Event::ModelStopped { text: self.text, reasoning: self.reasoning, usage }, end }
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
        Box::pin(chat::emit(ctx, turn, vec![kind])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(is_free: bool) -> Partial {
        let request = ModelRequest { system: "x".repeat(300), ..ModelRequest::default() };
        let mut partial = Partial { text: "y".repeat(30), ..Partial::new(&request, is_free) };
        partial.note_token();
        partial
    }

    fn silent() -> Partial {
        Partial::new(&ModelRequest { system: "x".repeat(300), ..ModelRequest::default() }, false)
    }

    #[test]
    fn usage_is_estimated_where_the_provider_is_silent() {
        assert_eq!(partial(false).usage(), TokenUsage { input: 100, output: 10, cached: 0 });
        let counted = || Partial { usage: Some(llm::Usage { input: 7, output: 3, cached: 2, cache_write: 1 }), ..partial(false) };
        assert_eq!(counted().usage(), TokenUsage { input: 7, output: 3, cached: 2 });
        assert_eq!(partial(true).usage(), TokenUsage::default());
        let end = counted().finished(&FinishReason::Stop).end;
        assert_eq!((end.usage, end.cache_written), (Some(TokenUsage { input: 7, output: 3, cached: 2 }), 1));
        assert_eq!(end.outcome, CallOutcome::Ok);
        let end = partial(false).finished(&FinishReason::Stop).end;
        assert_eq!((end.usage, end.estimate), (None, Some(TokenUsage { input: 100, output: 10, cached: 0 })));
        assert!(end.first_token_ms.is_some());
    }

    #[test]
    fn a_refused_request_costs_nothing_and_a_broken_answer_does() {
        let refused = silent().failed(&ModelError::NotConfigured);
        assert!(matches!(refused.event, Event::ModelFailed { usage, .. } if usage == TokenUsage::default()));
        assert_eq!(refused.end.estimate, Some(TokenUsage::default()));
        let broken = partial(false).failed(&ModelError::CutOff);
        assert!(matches!(broken.event, Event::ModelFailed { usage: TokenUsage { output: 10, .. }, text, .. } if text.len() == 30));
        assert_eq!(broken.end.outcome, CallOutcome::Failed("model_cut_off".into()));
    }

    #[test]
    fn what_was_worked_on_in_vain_is_estimated_and_not_free() {
        let asked = TokenUsage { input: 100, output: 0, cached: 0 };
        for error in [ModelError::FirstByteTimeout, ModelError::Stalled, ModelError::CutOff] {
            let late = silent().failed(&error);
            assert_eq!((late.end.usage, late.end.estimate), (None, Some(asked)), "{error}");
            assert!(matches!(late.event, Event::ModelFailed { usage, .. } if usage == asked));
        }
        assert_eq!(silent().stopped().end.estimate, Some(asked));
        assert_eq!(silent().unsent().end.estimate, Some(TokenUsage::default()), "nothing went out");
        assert_eq!(Partial { is_free: true, ..silent() }.failed(&ModelError::Stalled).end.estimate, Some(TokenUsage::default()));
    }

    #[test]
    fn arguments_count_whether_or_not_their_call_is_complete() {
        let output = |partial: Partial| partial.stopped().end.estimate.unwrap().output;
        let call = || ToolCall { id: "c".into(), name: "write_file".into(), arguments: "z".repeat(590) };
        assert_eq!(output(Partial { in_calls: 600, ..partial(false) }), 210, "cut within");
        assert_eq!(output(Partial { in_calls: 600, calls: vec![call()], ..partial(false) }), 210, "counted once");
        assert_eq!(output(Partial { calls: vec![call()], reasoned: 300, ..partial(false) }), 310, "told only when it was complete");
    }

    #[test]
    fn reasoning_is_kept_up_to_a_bound_and_counted_whole() {
        let mut partial = silent();
        partial.keep_reasoning(&"x".repeat(REASONING_MAX - 1));
        for piece in ["ä", "z"] {
            partial.keep_reasoning(piece);
        }
        assert_eq!(partial.reasoned, REASONING_MAX + 2);
        let Event::ModelStopped { reasoning, .. } = partial.stopped().event else { panic!("it was stopped") };
        assert!(reasoning.len() == REASONING_MAX - 1 && reasoning.ends_with('x'), "a character is kept whole or not at all");
    }

    #[test]
    fn a_picture_counts_in_what_was_sent() {
        let image = llm::Image { media_type: "image/png".into(), data: b"png".to_vec().into() };
        let message = Message::User { text: String::new(), images: vec![image.clone(), image] };
        let request = ModelRequest { messages: vec![message], ..ModelRequest::default() };
        assert_eq!(estimate_request(&request) / IMAGE_TOKENS, 2);
    }

    #[test]
    fn another_model_is_tried_only_before_the_first_token_and_where_it_may_help() {
        let may_switch = |asked: Asked| matches!(asked.event, Event::ModelFailed { may_switch: true, .. });
        assert!(may_switch(silent().failed(&ModelError::Server { status: 503 })));
        assert!(may_switch(silent().failed(&ModelError::Unauthorised { host: "h".into() })));
        assert!(may_switch(silent().failed(&ModelError::Exhausted { detail: "no credit".into() })));
        assert!(may_switch(silent().failed(&ModelError::Provider { detail: "out of memory".into() })));
        assert!(!may_switch(silent().failed(&ModelError::BadRequest { detail: "too long".into() })));
        assert!(!may_switch(partial(false).failed(&ModelError::CutOff)));
    }

    #[test]
    fn a_filtered_answer_is_told_apart() {
        let asked = partial(false).finished(&FinishReason::ContentFilter);
        assert!(matches!(asked.event, Event::ModelAnswered(Answer { end: AnswerEnd::Filtered, .. })));
    }
}
