//! The chunks of streamGenerateContent. Each is a whole response with what is new in it.

use serde_json::Value;

use crate::assemble::{Assembler, CallPiece};
use crate::dialects::{Reader, Taken, parse};
use crate::error::clean_detail;
use crate::{FinishReason, ModelError, Usage};

#[derive(Default)]
pub(super) struct GeminiReader {
    call_count: u64,
}

impl Reader for GeminiReader {
    fn take(&mut self, data: &str, to: &mut Assembler) -> Result<Taken, ModelError> {
        // A server that ignored `alt=sse` sends all of them as one list.
        match parse::<Value>(data)? {
            Value::Array(chunks) => {
                chunks.iter().try_for_each(|chunk| self.take_chunk(chunk, to))?;
                Ok(Taken::More)
            }
            chunk => self.take_chunk(&chunk, to).map(|()| Taken::More),
        }
    }
}

impl GeminiReader {
    fn take_chunk(&mut self, chunk: &Value, to: &mut Assembler) -> Result<(), ModelError> {
        if !chunk["error"].is_null() {
            return Err(to.fail(&chunk["error"]));
        }
        let usage = &chunk["usageMetadata"];
        if usage["promptTokenCount"].is_u64() {
            let count = |field: &str| usage[field].as_u64().unwrap_or(0);
            to.count(Usage {
                input: count("promptTokenCount") + count("toolUsePromptTokenCount"),
                output: count("candidatesTokenCount") + count("thoughtsTokenCount"),
                cached: count("cachedContentTokenCount"),
                cache_write: 0,
            });
        }
        let candidate = &chunk["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            self.take_part(part, to)?;
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            to.end(read_reason(reason));
        }
        if chunk["promptFeedback"]["blockReason"].is_string() {
            to.end(FinishReason::ContentFilter);
        }
        Ok(())
    }

    fn take_part(&mut self, part: &Value, to: &mut Assembler) -> Result<(), ModelError> {
        if let Some(text) = part["text"].as_str() {
            return if part["thought"] == true { to.reasoning(text) } else { to.text(text) };
        }
        let call = &part["functionCall"];
        if !call.is_object() {
            return Ok(());
        }
        let index = Some(self.call_count);
        self.call_count += 1;
        if part["thoughtSignature"].is_string() {
            to.keep(part["thoughtSignature"].clone());
        }
        let text = |field: &str| call[field].as_str().unwrap_or_default().to_owned();
        let arguments = if call["args"].is_object() { call["args"].to_string() } else { String::new() };
        to.call(CallPiece { index, id: text("id"), name: text("name"), arguments })
    }
}

fn read_reason(reason: &str) -> FinishReason {
    match reason {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => FinishReason::ContentFilter,
        other => FinishReason::Other(clean_detail(other, None).to_lowercase()),
    }
}
