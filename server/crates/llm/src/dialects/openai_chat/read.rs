//! The chunks of a chat completion.

use serde::Deserialize;
use serde_json::Value;

use crate::assemble::{Assembler, CallPiece};
use crate::dialects::{Reader, Taken, parse};
use crate::error::clean_detail;
use crate::{FinishReason, ModelError, Usage};

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

pub(super) struct ChatReader;

impl Reader for ChatReader {
    fn take(&mut self, data: &str, to: &mut Assembler) -> Result<Taken, ModelError> {
        if data.trim() == "[DONE]" {
            return Ok(Taken::Last);
        }
        let chunk: Chunk = parse(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(to.fail(&error));
        }
        if let Some(raw) = chunk.usage {
            to.count(raw.into());
        }
        // More than one choice is never asked for.
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            take_choice(choice, to)?;
        }
        Ok(Taken::More)
    }
}

fn take_choice(choice: Choice, to: &mut Assembler) -> Result<(), ModelError> {
    if let Some(delta) = choice.delta.or(choice.message) {
        let reasoning = delta.reasoning_content.or_else(|| delta.reasoning.and_then(|r| r.as_str().map(str::to_owned)));
        to.reasoning(reasoning.as_deref().unwrap_or_default())?;
        for text in [delta.content, delta.refusal].into_iter().flatten() {
            to.text(&text)?;
        }
        for call in delta.tool_calls.into_iter().flatten() {
            let function = call.function.unwrap_or_default();
            let arguments = match function.arguments {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
            };
            let (id, name) = (call.id.unwrap_or_default(), function.name.unwrap_or_default());
            to.call(CallPiece { index: call.index, id, name, arguments })?;
        }
    }
    if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
        if reason == "error" {
            return Err(ModelError::Provider { detail: "it ended the answer with an error".into() });
        }
        to.end(read_reason(&reason));
    }
    Ok(())
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

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Self {
        let cached = raw.prompt_tokens_details.and_then(|details| details.cached_tokens).or(raw.prompt_cache_hit_tokens);
        let (input, output) = (raw.prompt_tokens.unwrap_or(0), raw.completion_tokens.unwrap_or(0));
        Self { input, output, cached: cached.unwrap_or(0), cache_write: 0 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ModelEvent;
    use crate::memory::Memory;

    #[test]
    fn reads_reasoning_usage_and_null_fields() {
        let mut to = Assembler::new(&[], None, Memory::default());
        for chunk in [
            json!({"choices": [{"delta": {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": null}, "finish_reason": null}], "usage": null}),
            json!({"choices": [{"delta": {"content": "hi", "tool_calls": [{"function": {"name": "a", "arguments": {"n": 2}}}]}}]}),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}}),
        ] {
            assert_eq!(ChatReader.take(&chunk.to_string(), &mut to), Ok(Taken::More));
        }
        let events: Vec<_> = to.finish(false).unwrap().into();
        assert_eq!(events[0], ModelEvent::Reasoning("hm".into()));
        assert_eq!(events[1], ModelEvent::Text("hi".into()));
        assert_eq!(events[3], ModelEvent::Arguments(7));
        assert!(matches!(&events[4], ModelEvent::ToolCall(call) if call.arguments == "{\"n\":2}"));
        assert_eq!(events[5], ModelEvent::Usage(Usage { input: 7, output: 2, cached: 3, cache_write: 0 }));
        assert_eq!(events[6], ModelEvent::Finished(FinishReason::ToolCalls));
    }
}
