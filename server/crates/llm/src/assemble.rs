//! Puts the pieces of an answer together, whichever dialect they came in. Pure: pieces in, events out.
//!
//! Lenient where real servers differ: calls without ids or indexes, one index for several calls, names in pieces or
//! repeated, `stop` although tools were called.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use crate::error::clean_detail;
use crate::memory::Memory;
use crate::{FinishReason, Message, ModelError, ModelEvent, ToolCall, Usage};

/// Bound for all tool arguments of one answer together.
const MAX_ARGUMENT_BYTES: usize = 4 << 20;
/// Bound for all that is said and thought in one answer.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// A part of a call, or all of it.
#[derive(Default)]
pub(crate) struct CallPiece {
    pub(crate) index: Option<u64>,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

#[derive(Default)]
struct Slot {
    index: Option<u64>,
    /// As the provider sent it; the id we use may differ.
    sent_id: String,
    id: String,
    name: String,
    arguments: String,
    announced: bool,
    /// What the provider wants back with this call.
    kept: Vec<Value>,
}

pub(crate) struct Assembler {
    slots: Vec<Slot>,
    used_ids: HashSet<String>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    argument_bytes: usize,
    text_bytes: usize,
    key: Option<String>,
    memory: Memory,
    /// Kept blocks that wait for the call they belong to.
    kept: Vec<Value>,
    ready: VecDeque<ModelEvent>,
    /// Whether anything has been handed out.
    has_begun: bool,
}

impl Assembler {
    /// Ids already used in `messages` are not given to new calls. `key` is masked in error texts.
    pub(crate) fn new(messages: &[Message], key: Option<String>, memory: Memory) -> Self {
        let used_ids = messages
            .iter()
            .filter_map(|message| match message {
                Message::Assistant { tool_calls, .. } => Some(tool_calls),
                _ => None,
            })
            .flatten()
            .map(|call| call.id.clone())
            .collect();
        Self {
            slots: Vec::new(),
            used_ids,
            usage: None,
            finish: None,
            argument_bytes: 0,
            text_bytes: 0,
            key,
            memory,
            kept: Vec::new(),
            ready: VecDeque::new(),
            has_begun: false,
        }
    }

    /// Whether the provider has said why the answer ended; only usage can still follow.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// What can be handed out now.
    pub(crate) fn ready(&mut self) -> VecDeque<ModelEvent> {
        std::mem::take(&mut self.ready)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), ModelError> {
        self.say(text, ModelEvent::Text)
    }

    pub(crate) fn reasoning(&mut self, text: &str) -> Result<(), ModelError> {
        self.say(text, ModelEvent::Reasoning)
    }

    fn say(&mut self, text: &str, event: fn(String) -> ModelEvent) -> Result<(), ModelError> {
        if text.is_empty() {
            return Ok(());
        }
        self.text_bytes += text.len();
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(ModelError::Malformed { detail: "it was far too long".into() });
        }
        self.push(event(text.to_owned()));
        Ok(())
    }

    fn push(&mut self, event: ModelEvent) {
        self.has_begun = true;
        self.ready.push_back(event);
    }

    pub(crate) fn call(&mut self, piece: CallPiece) -> Result<(), ModelError> {
        self.argument_bytes += piece.arguments.len();
        if self.argument_bytes > MAX_ARGUMENT_BYTES {
            return Err(ModelError::Malformed { detail: "the arguments of its tool calls were far too large".into() });
        }
        let at = self.find_slot(&piece).unwrap_or_else(|| self.open_slot(piece.index));
        let slot = &mut self.slots[at];
        if slot.sent_id.is_empty() {
            slot.sent_id = piece.id;
        }
        // Some servers repeat the whole name in each piece, others send it in pieces.
        if slot.name != piece.name {
            slot.name.push_str(&piece.name);
        }
        slot.arguments.push_str(&piece.arguments);
        let mut written = if slot.announced { piece.arguments.len() } else { 0 };
        if !slot.announced && !slot.name.is_empty() {
            slot.announced = true;
            // With what came before the name.
            written = slot.arguments.len();
            slot.id = claim_id(&mut self.used_ids, &slot.sent_id);
            let started = ModelEvent::ToolCallStarted { index: at, id: slot.id.clone(), name: slot.name.clone() };
            self.push(started);
        }
        if written > 0 {
            self.push(ModelEvent::Arguments(written));
        }
        Ok(())
    }

    /// Keeps what the provider wants back, as it is, with the next call that begins.
    pub(crate) fn keep(&mut self, block: Value) {
        self.kept.push(block);
    }

    pub(crate) fn count(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// The provider says why the answer ended. The first reason counts.
    pub(crate) fn end(&mut self, reason: FinishReason) {
        self.finish.get_or_insert(reason);
    }

    /// The slot this piece belongs to, or none when it begins a new call.
    fn find_slot(&self, piece: &CallPiece) -> Option<usize> {
        let CallPiece { index, id, name, arguments } = piece;
        let at = match index {
            Some(_) => self.slots.iter().rposition(|slot| slot.index == *index)?,
            None if !id.is_empty() => match self.slots.iter().rposition(|slot| slot.sent_id == *id) {
                Some(at) => at,
                None if name.is_empty() => self.slots.len().checked_sub(1)?,
                None => return None,
            },
            None => self.slots.len().checked_sub(1)?,
        };
        let slot = &self.slots[at];
        let names_another = !name.is_empty() && !slot.name.is_empty();
        let other_id = !id.is_empty() && !slot.sent_id.is_empty() && slot.sent_id != *id;
        let was_whole = arguments.starts_with('{') && serde_json::from_str::<Value>(&slot.arguments).is_ok();
        if names_another && (other_id || was_whole) { None } else { Some(at) }
    }

    fn open_slot(&mut self, index: Option<u64>) -> usize {
        self.slots.push(Slot { index, kept: std::mem::take(&mut self.kept), ..Slot::default() });
        self.slots.len() - 1
    }

    /// The events that end the answer. `said_done` tells whether the provider said that nothing follows.
    /// Errors: `CutOff` when the provider never said that the answer was complete, `Malformed` for a
    /// call without a name.
    pub(crate) fn finish(mut self, said_done: bool) -> Result<VecDeque<ModelEvent>, ModelError> {
        let reason = match self.finish.take() {
            Some(reason) => reason,
            None if said_done => FinishReason::Stop,
            None => return Err(ModelError::CutOff),
        };
        let was_cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        let mut out = self.ready;
        let mut has_calls = false;
        for slot in self.slots {
            let arguments = match slot.arguments.trim() {
                "" => "{}".to_owned(),
                _ => slot.arguments,
            };
            // The limit fell into the middle of this call: running half of it would be wrong.
            if was_cut && serde_json::from_str::<Value>(&arguments).is_err() {
                continue;
            }
            if slot.name.is_empty() {
                return Err(ModelError::Malformed { detail: "a tool call came without a name".into() });
            }
            if !slot.kept.is_empty() {
                self.memory.keep(&slot.id, &slot.name, slot.kept);
            }
            has_calls = true;
            out.push_back(ModelEvent::ToolCall(ToolCall { id: slot.id, name: slot.name, arguments }));
        }
        let reason = match reason {
            FinishReason::Stop if has_calls => FinishReason::ToolCalls,
            FinishReason::ToolCalls if !has_calls => FinishReason::Stop,
            other => other,
        };
        out.extend(self.usage.map(ModelEvent::Usage));
        out.push_back(ModelEvent::Finished(reason));
        Ok(out)
    }

    /// What an error within the stream means. Before anything was said, one that waiting can help is told as
    /// the status it stands for would be, so that it is tried again.
    pub(crate) fn fail(&self, error: &Value) -> ModelError {
        let detail = read_error_text(error, self.key.as_deref());
        if self.has_begun {
            return ModelError::Provider { detail };
        }
        let number = ["code", "status"].iter().find_map(|field| error[*field].as_u64()).unwrap_or(0);
        let words: String = ["type", "code", "status"]
            .iter()
            .filter_map(|f| error[*f].as_str())
            .chain(error.as_str())
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        if number == 429 || words.contains("rate_limit") || words.contains("resource_exhausted") {
            return ModelError::RateLimited { retry_after: None };
        }
        if words.contains("overloaded") || words.contains("unavailable") {
            return ModelError::Server { status: 529 };
        }
        match u16::try_from(number) {
            Ok(status @ 500..=599) => ModelError::Server { status },
            _ if ["server_error", "api_error", "internal"].iter().any(|word| words.contains(word)) => ModelError::Server { status: 500 },
            _ => ModelError::Provider { detail },
        }
    }
}

/// The message of an error value: `{"message": …}`, a bare string, or anything else.
pub(crate) fn read_error_text(error: &Value, key: Option<&str>) -> String {
    let text = match error {
        Value::String(text) => text.clone(),
        Value::Object(map) => match map.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => error.to_string(),
        },
        other => other.to_string(),
    };
    match clean_detail(&text, key) {
        text if text.is_empty() => "it gave no reason".into(),
        text => text,
    }
}

/// The provider's id when it is usable and new, else one of our own.
fn claim_id(used: &mut HashSet<String>, sent: &str) -> String {
    if !sent.is_empty() && sent.len() <= 200 && used.insert(sent.to_owned()) {
        return sent.to_owned();
    }
    loop {
        let id = format!("call_{:016x}", rand::random::<u64>());
        if used.insert(id.clone()) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assembler(messages: &[Message]) -> Assembler {
        Assembler::new(messages, Some("sk-secret".into()), Memory::default())
    }

    fn piece(index: Option<u64>, id: &str, name: &str, arguments: &str) -> CallPiece {
        CallPiece { index, id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    fn run(pieces: Vec<CallPiece>, reason: FinishReason) -> VecDeque<ModelEvent> {
        let mut assembler = assembler(&[]);
        for piece in pieces {
            assembler.call(piece).unwrap();
        }
        assembler.end(reason);
        assembler.finish(false).unwrap()
    }

    fn calls(events: &VecDeque<ModelEvent>) -> Vec<(String, String, String)> {
        events
            .iter()
            .filter_map(|event| match event {
                ModelEvent::ToolCall(c) => Some((c.id.clone(), c.name.clone(), c.arguments.clone())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn joins_interleaved_pieces_by_index() {
        let pieces = vec![
            piece(Some(0), "a", "read_file", ""),
            piece(Some(1), "b", "search", "{\"q"),
            piece(Some(0), "", "", "{\"path\":"),
            piece(Some(1), "", "", "uery\":1}"),
            piece(Some(0), "", "", "\"x\"}"),
        ];
        let events = run(pieces, FinishReason::ToolCalls);
        assert_eq!(
            calls(&events),
            [("a".into(), "read_file".into(), r#"{"path":"x"}"#.into()), ("b".into(), "search".into(), r#"{"query":1}"#.into())]
        );
        assert_eq!(events.back(), Some(&ModelEvent::Finished(FinishReason::ToolCalls)));
    }

    #[test]
    fn tells_calls_apart_without_indexes_or_ids() {
        let pieces = vec![
            piece(None, "", "a", "{\"n\":1}"),
            piece(None, "", "a", "{\"n\":2}"),
            piece(Some(0), "same", "b", "{}"),
            piece(Some(0), "other", "b", ""),
        ];
        let events = run(pieces, FinishReason::Stop);
        let calls = calls(&events);
        let seen: Vec<_> = calls.iter().map(|(_, name, args)| (name.as_str(), args.as_str())).collect();
        assert_eq!(seen, [("a", "{\"n\":1}"), ("a", "{\"n\":2}"), ("b", "{}"), ("b", "{}")]);
        let ids: HashSet<_> = calls.iter().map(|(id, ..)| id).collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| !id.is_empty()));
        assert_eq!(events.back(), Some(&ModelEvent::Finished(FinishReason::ToolCalls)));
    }

    #[test]
    fn replaces_ids_that_are_already_taken() {
        let earlier = [Message::Assistant {
            text: String::new(),
            reasoning: None,
            tool_calls: vec![ToolCall { id: "call_0".into(), name: "a".into(), arguments: "{}".into() }],
        }];
        let mut assembler = assembler(&earlier);
        assembler.call(piece(Some(0), "call_0", "a", "{}")).unwrap();
        assembler.end(FinishReason::ToolCalls);
        let done = assembler.finish(true).unwrap();
        let id = &calls(&done)[0].0;
        assert_ne!(id, "call_0");
        assert!(matches!(&done[0], ModelEvent::ToolCallStarted { id: started, .. } if started == id));
    }

    #[test]
    fn drops_the_call_the_token_limit_cut_through() {
        let pieces = vec![piece(Some(0), "a", "x", "{}"), piece(Some(1), "b", "y", "{\"content\": \"hal")];
        let events = run(pieces, FinishReason::Length);
        assert_eq!(calls(&events).len(), 1);
        assert_eq!(events.back(), Some(&ModelEvent::Finished(FinishReason::Length)));
    }

    #[test]
    fn arguments_are_counted_as_they_come() {
        let mut assembler = assembler(&[]);
        for piece in [
            piece(Some(0), "", "", "{\"p"),
            piece(Some(0), "a", "x", "ath\":"),
            piece(Some(0), "", "", "\"ä"),
            piece(Some(1), "b", "y", ""),
        ] {
            assembler.call(piece).unwrap();
        }
        let counted =
            assembler.ready().into_iter().filter_map(|event| if let ModelEvent::Arguments(bytes) = event { Some(bytes) } else { None });
        assert_eq!(counted.collect::<Vec<_>>(), [8, 3], "what came before the name, and bytes, not letters");
    }

    #[test]
    fn an_answer_nobody_ended_is_cut_off() {
        let mut assembler = assembler(&[]);
        assembler.text("half").unwrap();
        assert_eq!(assembler.finish(false), Err(ModelError::CutOff));
    }

    #[test]
    fn keeps_what_belongs_to_a_call() {
        let memory = Memory::default();
        let mut assembler = Assembler::new(&[], None, memory.clone());
        assembler.keep(json!({"signature": "s"}));
        assembler.call(piece(Some(0), "a", "x", "{}")).unwrap();
        assembler.call(piece(Some(1), "b", "x", "{}")).unwrap();
        assembler.end(FinishReason::ToolCalls);
        assembler.finish(true).unwrap();
        assert_eq!(memory.recall("a", "x").unwrap().as_slice(), [json!({"signature": "s"})]);
        assert_eq!(memory.recall("b", "x"), None);
    }

    #[test]
    fn an_error_before_the_first_token_is_one_to_try_again() {
        let mut assembler = assembler(&[]);
        assert_eq!(assembler.fail(&json!({"type": "overloaded_error", "message": "busy"})), ModelError::Server { status: 529 });
        assert_eq!(assembler.fail(&json!({"code": 429, "message": "slow"})), ModelError::RateLimited { retry_after: None });
        assert_eq!(assembler.fail(&json!({"code": 502})), ModelError::Server { status: 502 });
        let refused = ModelError::Provider { detail: "no ••• here".into() };
        assert_eq!(assembler.fail(&json!({"code": "bad", "message": "no sk-secret here"})), refused);
        assembler.text("half").unwrap();
        let late = ModelError::Provider { detail: "busy".into() };
        assert_eq!(assembler.fail(&json!({"type": "overloaded_error", "message": "busy"})), late);
    }

    #[test]
    fn an_endless_answer_is_refused() {
        let mut assembler = assembler(&[]);
        let piece = "x".repeat(1 << 20);
        let said = (0..20).try_for_each(|_| assembler.text(&piece));
        assert!(matches!(said, Err(ModelError::Malformed { .. })));
    }
}
