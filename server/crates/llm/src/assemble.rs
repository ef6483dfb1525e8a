//! Puts the chunks of a chat completion together. Pure: data lines in, events out.
//!
//! Lenient where real servers differ: calls without ids or indexes, one index for several calls,
//! arguments sent as an object, `stop` although tools were called.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::error::clean_detail;
use crate::{FinishReason, Message, ModelError, ModelEvent, ToolCall, Usage};

/// Bound for all tool arguments of one answer together.
const MAX_ARGUMENT_BYTES: usize = 4 << 20;

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    /// What servers send that answer in one piece.
    #[serde(default)]
    message: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<Value>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionDelta>,
}

#[derive(Deserialize, Default)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

struct Slot {
    index: Option<u64>,
    /// As the provider sent it; the id we use may differ.
    sent_id: String,
    id: String,
    name: String,
    arguments: String,
    announced: bool,
}

pub(crate) struct Assembler {
    slots: Vec<Slot>,
    used_ids: HashSet<String>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    argument_bytes: usize,
    key: Option<String>,
}

impl Assembler {
    /// Ids already used in `messages` are not given to new calls. `key` is masked in error texts.
    pub(crate) fn new(messages: &[Message], key: Option<String>) -> Self {
        let used_ids = messages
            .iter()
            .filter_map(|message| match message {
                Message::Assistant { tool_calls, .. } => Some(tool_calls),
                _ => None,
            })
            .flatten()
            .map(|call| call.id.clone())
            .collect();
        Self { slots: Vec::new(), used_ids, usage: None, finish: None, argument_bytes: 0, key }
    }

    /// Whether the provider has said why the answer ended; only usage can still follow.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Takes one chunk (the text after `data:`, not `[DONE]`) and appends what it means to `out`.
    pub(crate) fn take(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<(), ModelError> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| ModelError::Malformed {
            detail: format!("a chunk was not the expected JSON ({:?} error at column {})", error.classify(), error.column()).to_lowercase(),
        })?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(ModelError::Provider { detail: self.describe_error(&error) });
        }
        if let Some(raw) = chunk.usage {
            self.usage = Some(raw.into());
        }
        // More than one choice is never asked for.
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            self.take_choice(choice, out)?;
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: Choice, out: &mut Vec<ModelEvent>) -> Result<(), ModelError> {
        if let Some(delta) = choice.delta.or(choice.message) {
            let reasoning = delta.reasoning_content.or_else(|| delta.reasoning.and_then(|r| r.as_str().map(str::to_owned)));
            if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
                out.push(ModelEvent::Reasoning(text));
            }
            for text in [delta.content, delta.refusal].into_iter().flatten() {
                if !text.is_empty() {
                    out.push(ModelEvent::Text(text));
                }
            }
            for call in delta.tool_calls.into_iter().flatten() {
                self.take_call(call, out)?;
            }
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            if reason == "error" {
                return Err(ModelError::Provider { detail: "it ended the answer with an error".into() });
            }
            self.finish.get_or_insert(read_reason(&reason));
        }
        Ok(())
    }

    fn take_call(&mut self, call: CallDelta, out: &mut Vec<ModelEvent>) -> Result<(), ModelError> {
        let function = call.function.unwrap_or_default();
        let id = call.id.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let arguments = match function.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        self.argument_bytes += arguments.len();
        if self.argument_bytes > MAX_ARGUMENT_BYTES {
            return Err(ModelError::Malformed { detail: "the arguments of its tool calls were far too large".into() });
        }
        let at = self.find_slot(call.index, &id, &name, &arguments).unwrap_or_else(|| self.open_slot(call.index));
        let slot = &mut self.slots[at];
        if slot.sent_id.is_empty() {
            slot.sent_id = id;
        }
        // Some servers repeat the whole name in each piece, others send it in pieces.
        if slot.name != name {
            slot.name.push_str(&name);
        }
        slot.arguments.push_str(&arguments);
        if !slot.announced && !slot.name.is_empty() {
            slot.announced = true;
            slot.id = claim_id(&mut self.used_ids, &slot.sent_id);
            out.push(ModelEvent::ToolCallStarted { index: at, id: slot.id.clone(), name: slot.name.clone() });
        }
        Ok(())
    }

    /// The slot this piece belongs to, or none when it begins a new call.
    fn find_slot(&self, index: Option<u64>, id: &str, name: &str, arguments: &str) -> Option<usize> {
        let at = match index {
            Some(_) => self.slots.iter().rposition(|slot| slot.index == index)?,
            None if !id.is_empty() => match self.slots.iter().rposition(|slot| slot.sent_id == id) {
                Some(at) => at,
                None if name.is_empty() => self.slots.len().checked_sub(1)?,
                None => return None,
            },
            None => self.slots.len().checked_sub(1)?,
        };
        let slot = &self.slots[at];
        let names_another = !name.is_empty() && !slot.name.is_empty();
        let other_id = !id.is_empty() && !slot.sent_id.is_empty() && slot.sent_id != id;
        let was_whole = arguments.starts_with('{') && serde_json::from_str::<Value>(&slot.arguments).is_ok();
        if names_another && (other_id || was_whole) { None } else { Some(at) }
    }

    fn open_slot(&mut self, index: Option<u64>) -> usize {
        self.slots.push(Slot {
            index,
            sent_id: String::new(),
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
            announced: false,
        });
        self.slots.len() - 1
    }

    /// The events that end the answer. `said_done` tells whether the provider sent `[DONE]`.
    /// Errors: `CutOff` when the provider never said that the answer was complete, `Malformed` for a
    /// call without a name.
    pub(crate) fn finish(mut self, said_done: bool) -> Result<Vec<ModelEvent>, ModelError> {
        let reason = match self.finish.take() {
            Some(reason) => reason,
            None if said_done => FinishReason::Stop,
            None => return Err(ModelError::CutOff),
        };
        let was_cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        let mut out = Vec::new();
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
            out.push(ModelEvent::ToolCall(ToolCall { id: slot.id, name: slot.name, arguments }));
        }
        let reason = match reason {
            FinishReason::Stop if !out.is_empty() => FinishReason::ToolCalls,
            FinishReason::ToolCalls if out.is_empty() => FinishReason::Stop,
            other => other,
        };
        out.extend(self.usage.map(ModelEvent::Usage));
        out.push(ModelEvent::Finished(reason));
        Ok(out)
    }

    fn describe_error(&self, error: &Value) -> String {
        read_error_text(error, self.key.as_deref())
    }
}

/// The message of an OpenAI-like error value: `{"message": …}`, a bare string, or anything else.
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

fn read_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" | "end_turn" | "eos" => FinishReason::Stop,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        other => FinishReason::Other(clean_detail(other, None)),
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

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Self {
        let cached = raw.prompt_tokens_details.and_then(|details| details.cached_tokens).or(raw.prompt_cache_hit_tokens);
        Self { input: raw.prompt_tokens.unwrap_or(0), output: raw.completion_tokens.unwrap_or(0), cached: cached.unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(chunks: &[Value]) -> Result<Vec<ModelEvent>, ModelError> {
        let mut assembler = Assembler::new(&[], None);
        let mut out = Vec::new();
        for chunk in chunks {
            assembler.take(&chunk.to_string(), &mut out)?;
        }
        out.extend(assembler.finish(false)?);
        Ok(out)
    }

    fn calls(events: &[ModelEvent]) -> Vec<(String, String, String)> {
        events
            .iter()
            .filter_map(|event| match event {
                ModelEvent::ToolCall(c) => Some((c.id.clone(), c.name.clone(), c.arguments.clone())),
                _ => None,
            })
            .collect()
    }

    fn delta(tool_calls: Value) -> Value {
        json!({"choices": [{"delta": {"tool_calls": tool_calls}}]})
    }

    fn ended(reason: &str) -> Value {
        json!({"choices": [{"delta": {}, "finish_reason": reason}]})
    }

    #[test]
    fn joins_interleaved_pieces_by_index() {
        let events = run(&[
            delta(json!([{"index": 0, "id": "a", "function": {"name": "read_file", "arguments": ""}}])),
            delta(json!([{"index": 1, "id": "b", "function": {"name": "search", "arguments": "{\"q"}}])),
            delta(json!([{"index": 0, "function": {"arguments": "{\"path\":"}}, {"index": 1, "function": {"arguments": "uery\":1}"}}])),
            delta(json!([{"index": 0, "function": {"arguments": "\"x\"}"}}])),
            ended("tool_calls"),
        ])
        .unwrap();
        assert_eq!(
            calls(&events),
            [("a".into(), "read_file".into(), r#"{"path":"x"}"#.into()), ("b".into(), "search".into(), r#"{"query":1}"#.into())]
        );
        assert_eq!(events.last(), Some(&ModelEvent::Finished(FinishReason::ToolCalls)));
    }

    #[test]
    fn tells_calls_apart_without_indexes_or_ids() {
        let events = run(&[
            delta(json!([{"function": {"name": "a", "arguments": "{\"n\":1}"}}, {"function": {"name": "a", "arguments": {"n": 2}}}])),
            delta(json!([{"index": 0, "id": "same", "function": {"name": "b", "arguments": "{}"}}])),
            delta(json!([{"index": 0, "id": "other", "function": {"name": "b", "arguments": ""}}])),
            ended("stop"),
        ])
        .unwrap();
        let calls = calls(&events);
        let seen: Vec<_> = calls.iter().map(|(_, name, args)| (name.as_str(), args.as_str())).collect();
        assert_eq!(seen, [("a", "{\"n\":1}"), ("a", "{\"n\":2}"), ("b", "{}"), ("b", "{}")]);
        let ids: HashSet<_> = calls.iter().map(|(id, ..)| id).collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| !id.is_empty()));
        assert_eq!(events.last(), Some(&ModelEvent::Finished(FinishReason::ToolCalls)));
    }

    #[test]
    fn replaces_ids_that_are_already_taken() {
        let earlier = [Message::Assistant {
            text: String::new(),
            reasoning: None,
            tool_calls: vec![ToolCall { id: "call_0".into(), name: "a".into(), arguments: "{}".into() }],
        }];
        let mut assembler = Assembler::new(&earlier, None);
        let mut out = Vec::new();
        let chunk = delta(json!([{"index": 0, "id": "call_0", "function": {"name": "a", "arguments": "{}"}}]));
        assembler.take(&chunk.to_string(), &mut out).unwrap();
        assembler.take(&ended("tool_calls").to_string(), &mut out).unwrap();
        let done = assembler.finish(true).unwrap();
        let id = &calls(&done)[0].0;
        assert_ne!(id, "call_0");
        assert!(matches!(&out[0], ModelEvent::ToolCallStarted { id: started, .. } if started == id));
    }

    #[test]
    fn drops_the_call_the_token_limit_cut_through() {
        let events = run(&[
            delta(json!([{"index": 0, "id": "a", "function": {"name": "x", "arguments": "{}"}}])),
            delta(json!([{"index": 1, "id": "b", "function": {"name": "y", "arguments": "{\"content\": \"hal"}}])),
            ended("length"),
        ])
        .unwrap();
        assert_eq!(calls(&events).len(), 1);
        assert_eq!(events.last(), Some(&ModelEvent::Finished(FinishReason::Length)));
    }

    #[test]
    fn an_answer_nobody_ended_is_cut_off() {
        let chunk = json!({"choices": [{"delta": {"content": "half"}}]});
        assert_eq!(run(&[chunk]), Err(ModelError::CutOff));
    }

    #[test]
    fn reads_reasoning_usage_and_null_fields() {
        let events = run(&[
            json!({"choices": [{"delta": {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": null}, "finish_reason": null}], "usage": null}),
            json!({"choices": [{"delta": {"content": "hi"}}]}),
            ended("stop"),
            json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}}),
        ])
        .unwrap();
        assert_eq!(
            events,
            [
                ModelEvent::Reasoning("hm".into()),
                ModelEvent::Text("hi".into()),
                ModelEvent::Usage(Usage { input: 7, output: 2, cached: 3 }),
                ModelEvent::Finished(FinishReason::Stop)
            ]
        );
    }
}
