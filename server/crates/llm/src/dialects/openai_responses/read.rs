//! The events of a response.

use std::collections::HashSet;

use serde_json::Value;

use crate::assemble::{Assembler, CallPiece};
use crate::dialects::{Reader, Taken, parse};
use crate::error::clean_detail;
use crate::{FinishReason, ModelError, Usage};

#[derive(Default)]
pub(super) struct ResponsesReader {
    /// Calls whose arguments came in pieces; the others come whole at their end.
    in_pieces: HashSet<u64>,
    has_summary: bool,
}

impl Reader for ResponsesReader {
    fn take(&mut self, data: &str, to: &mut Assembler) -> Result<Taken, ModelError> {
        if data.trim() == "[DONE]" {
            return Ok(Taken::Last);
        }
        let event: Value = parse(data)?;
        let delta = event["delta"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" | "response.refusal.delta" => to.text(delta)?,
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.has_summary = true;
                to.reasoning(delta)?;
            }
            // Thoughts come in parts without anything between them.
            "response.reasoning_summary_part.added" if self.has_summary => to.reasoning("\n\n")?,
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                to.call(read_call(&event, &event["item"], ""))?;
            }
            "response.function_call_arguments.delta" => {
                let index = event["output_index"].as_u64();
                self.in_pieces.extend(index);
                to.call(CallPiece { index, arguments: delta.to_owned(), ..CallPiece::default() })?;
            }
            "response.output_item.done" => self.take_whole(&event, &event["item"], to)?,
            "response.completed" | "response.incomplete" => {
                take_end(&event["response"], to);
                return Ok(Taken::Last);
            }
            "response.failed" => return Err(to.fail(&event["response"]["error"])),
            // The specification has the fields beside `type`, some servers put them in an object.
            "error" if event["error"].is_object() => return Err(to.fail(&event["error"])),
            "error" => return Err(to.fail(&event)),
            // A server that ignored `stream` sent the response itself.
            "" if event["object"] == "response" => return self.take_document(&event, to),
            "" if !event["error"].is_null() => return Err(to.fail(&event["error"])),
            _ => {}
        }
        Ok(Taken::More)
    }
}

impl ResponsesReader {
    fn take_whole(&mut self, event: &Value, item: &Value, to: &mut Assembler) -> Result<(), ModelError> {
        match item["type"].as_str().unwrap_or_default() {
            "function_call" => {
                let index = event["output_index"].as_u64();
                let came = index.is_some_and(|index| self.in_pieces.contains(&index));
                let arguments = if came { "" } else { item["arguments"].as_str().unwrap_or_default() };
                to.call(read_call(event, item, arguments))
            }
            // Without the sealed part it would be refused when sent back.
            "reasoning" if item["encrypted_content"].is_string() => {
                to.keep(item.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_document(&mut self, response: &Value, to: &mut Assembler) -> Result<Taken, ModelError> {
        if response["status"] == "failed" {
            return Err(to.fail(&response["error"]));
        }
        for (index, item) in response["output"].as_array().into_iter().flatten().enumerate() {
            for part in item["content"].as_array().into_iter().flatten() {
                to.text(part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default())?;
            }
            self.take_whole(&serde_json::json!({ "output_index": index }), item, to)?;
        }
        take_end(response, to);
        Ok(Taken::Last)
    }
}

fn read_call(event: &Value, item: &Value, arguments: &str) -> CallPiece {
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let id = Some(text("call_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| text("id"));
    CallPiece { index: event["output_index"].as_u64(), id, name: text("name"), arguments: arguments.to_owned() }
}

fn take_end(response: &Value, to: &mut Assembler) {
    let usage = &response["usage"];
    if usage.is_object() {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        to.count(Usage {
            input: count(&usage["input_tokens"]),
            output: count(&usage["output_tokens"]),
            cached: count(&usage["input_tokens_details"]["cached_tokens"]),
            cache_write: 0,
        });
    }
    to.end(match response["incomplete_details"]["reason"].as_str() {
        None => FinishReason::Stop,
        Some("max_output_tokens") => FinishReason::Length,
        Some("content_filter") => FinishReason::ContentFilter,
        Some(other) => FinishReason::Other(clean_detail(other, None)),
    });
}
