//! The lines of a chat: each a message with what is new in it, the last one marked as done.

use serde_json::Value;

use crate::assemble::{Assembler, CallPiece};
use crate::dialects::{Reader, Taken, parse};
use crate::error::clean_detail;
use crate::{FinishReason, ModelError, Usage};

#[derive(Default)]
pub(super) struct OllamaReader {
    call_count: u64,
}

impl Reader for OllamaReader {
    fn take(&mut self, data: &str, to: &mut Assembler) -> Result<Taken, ModelError> {
        let line: Value = parse(data)?;
        if !line["error"].is_null() {
            return Err(to.fail(&line["error"]));
        }
        let message = &line["message"];
        to.reasoning(message["thinking"].as_str().unwrap_or_default())?;
        to.text(message["content"].as_str().unwrap_or_default())?;
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let index = Some(self.call_count);
            self.call_count += 1;
            let function = &call["function"];
            let arguments = match &function["arguments"] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            to.call(CallPiece { index, id: text(&call["id"]), name: text(&function["name"]), arguments })?;
        }
        if line["done"] != true {
            return Ok(Taken::More);
        }
        if line["prompt_eval_count"].is_u64() || line["eval_count"].is_u64() {
            let count = |field: &str| line[field].as_u64().unwrap_or(0);
            to.count(Usage { input: count("prompt_eval_count"), output: count("eval_count"), ..Usage::default() });
        }
        to.end(match line["done_reason"].as_str() {
            None | Some("stop") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            Some(other) => FinishReason::Other(clean_detail(other, None)),
        });
        Ok(Taken::Last)
    }
}
