//! The events of a message.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::assemble::{Assembler, CallPiece};
use crate::dialects::{Reader, Taken, parse};
use crate::error::clean_detail;
use crate::{FinishReason, ModelError, Usage};

#[derive(Default)]
pub(super) struct MessagesReader {
    usage: RunningUsage,
    /// Thoughts that are being written, by the index of their block.
    thoughts: BTreeMap<u64, Value>,
    /// Inputs that came whole at the beginning of their block.
    whole: BTreeMap<u64, String>,
}

/// Input is told at the beginning, output counts up to the end.
#[derive(Default)]
struct RunningUsage {
    input: u64,
    written_to_cache: u64,
    cached: u64,
    output: u64,
    is_known: bool,
}

impl Reader for MessagesReader {
    fn take(&mut self, data: &str, to: &mut Assembler) -> Result<Taken, ModelError> {
        let event: Value = parse(data)?;
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.usage.take(&event["message"]["usage"]),
            "content_block_start" => self.begin_block(index, &event["content_block"], to)?,
            "content_block_delta" => self.take_delta(index, &event["delta"], to)?,
            "content_block_stop" => self.end_block(index, to)?,
            "message_delta" => {
                self.usage.take(&event["usage"]);
                self.end(&event["delta"], to);
            }
            "message_stop" => return Ok(Taken::Last),
            "ping" => return Ok(Taken::Ping),
            "error" => return Err(to.fail(&event["error"])),
            // A server that ignored `stream` sent the message itself.
            "message" => return self.take_document(&event, to),
            _ => {}
        }
        Ok(Taken::More)
    }
}

impl MessagesReader {
    fn begin_block(&mut self, index: u64, block: &Value, to: &mut Assembler) -> Result<(), ModelError> {
        match block["type"].as_str().unwrap_or_default() {
            "text" => to.text(block["text"].as_str().unwrap_or_default()),
            "thinking" => {
                self.thoughts.insert(index, block.clone());
                to.reasoning(block["thinking"].as_str().unwrap_or_default())
            }
            "redacted_thinking" => {
                self.thoughts.insert(index, block.clone());
                Ok(())
            }
            "tool_use" => {
                // Usually empty; what follows in pieces takes its place.
                if block["input"].as_object().is_some_and(|input| !input.is_empty()) {
                    self.whole.insert(index, block["input"].to_string());
                }
                let text = |field: &str| block[field].as_str().unwrap_or_default().to_owned();
                to.call(CallPiece { index: Some(index), id: text("id"), name: text("name"), arguments: String::new() })
            }
            _ => Ok(()),
        }
    }

    fn take_delta(&mut self, index: u64, delta: &Value, to: &mut Assembler) -> Result<(), ModelError> {
        let text = |field: &str| delta[field].as_str().unwrap_or_default();
        match text("type") {
            "text_delta" => to.text(text("text")),
            "thinking_delta" => {
                self.add_to_thought(index, "thinking", text("thinking"));
                to.reasoning(text("thinking"))
            }
            "signature_delta" => {
                self.add_to_thought(index, "signature", text("signature"));
                Ok(())
            }
            "input_json_delta" => {
                if !text("partial_json").is_empty() {
                    self.whole.remove(&index);
                }
                to.call(CallPiece { index: Some(index), arguments: text("partial_json").to_owned(), ..CallPiece::default() })
            }
            _ => Ok(()),
        }
    }

    fn add_to_thought(&mut self, index: u64, field: &str, piece: &str) {
        let block = self.thoughts.entry(index).or_insert_with(|| json!({"type": "thinking", "thinking": "", "signature": ""}));
        let before = block[field].as_str().unwrap_or_default();
        block[field] = json!(format!("{before}{piece}"));
    }

    fn end_block(&mut self, index: u64, to: &mut Assembler) -> Result<(), ModelError> {
        if let Some(thought) = self.thoughts.remove(&index) {
            // Without its proof it would be refused when sent back.
            if thought["type"] != "thinking" || thought["signature"].as_str().is_some_and(|s| !s.is_empty()) {
                to.keep(thought);
            }
        }
        match self.whole.remove(&index) {
            Some(arguments) => to.call(CallPiece { index: Some(index), arguments, ..CallPiece::default() }),
            None => Ok(()),
        }
    }

    fn end(&mut self, delta: &Value, to: &mut Assembler) {
        if let Some(usage) = self.usage.total() {
            to.count(usage);
        }
        if let Some(reason) = delta["stop_reason"].as_str() {
            to.end(match reason {
                "end_turn" | "stop_sequence" => FinishReason::Stop,
                "tool_use" => FinishReason::ToolCalls,
                "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
                "refusal" => FinishReason::ContentFilter,
                other => FinishReason::Other(clean_detail(other, None)),
            });
        }
    }

    fn take_document(&mut self, message: &Value, to: &mut Assembler) -> Result<Taken, ModelError> {
        self.usage.take(&message["usage"]);
        for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
            let index = index as u64;
            self.begin_block(index, block, to)?;
            self.end_block(index, to)?;
        }
        self.end(message, to);
        Ok(Taken::Last)
    }
}

impl RunningUsage {
    fn take(&mut self, usage: &Value) {
        self.is_known |= usage.is_object();
        let update = |field: &str, value: &mut u64| {
            if let Some(count) = usage[field].as_u64() {
                *value = count;
            }
        };
        update("input_tokens", &mut self.input);
        update("cache_creation_input_tokens", &mut self.written_to_cache);
        update("cache_read_input_tokens", &mut self.cached);
        update("output_tokens", &mut self.output);
    }

    fn total(&self) -> Option<Usage> {
        let input = self.input + self.written_to_cache + self.cached;
        self.is_known.then_some(Usage { input, output: self.output, cached: self.cached, cache_write: self.written_to_cache })
    }
}
