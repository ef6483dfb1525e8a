//! The scripted steps in the words of the other dialects: responses, Anthropic, Gemini, Ollama.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ScriptedCall, Step, Write, pieces, split};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Chat,
    Responses,
    Anthropic,
    Gemini,
    Ollama,
}

impl Dialect {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        }
    }
}

pub fn plan_writes(dialect: Dialect, step: &Step, model: &str) -> Vec<Write> {
    let mut plan = Plan { dialect, step, model, block: 0, writes: Vec::new() };
    plan.begin();
    if step.stall_ms > 0 {
        plan.writes.push(Write::Wait(Duration::from_millis(step.stall_ms)));
    }
    plan.says("reasoning", step.reasoning.as_deref().unwrap_or_default());
    let text: String = match step.cut_after_chars {
        Some(limit) => step.text.as_deref().unwrap_or_default().chars().take(limit).collect(),
        None => step.text.clone().unwrap_or_default(),
    };
    plan.says("text", &text);
    if step.malformed {
        plan.raw("{\"half\": ");
    }
    if step.cut_after_chars.is_some() {
        if !step.cut_clean {
            plan.writes.push(Write::Break);
        }
        return plan.writes;
    }
    if let Some(message) = &step.error_object {
        plan.error(message);
        return plan.writes;
    }
    for call in &step.tool_calls {
        plan.call(call);
    }
    plan.end();
    plan.writes
}

struct Plan<'a> {
    dialect: Dialect,
    step: &'a Step,
    model: &'a str,
    /// Blocks or items that are complete.
    block: u64,
    writes: Vec<Write>,
}

impl Plan<'_> {
    fn raw(&mut self, data: &str) {
        if self.step.pace_ms > 0 {
            self.writes.push(Write::Wait(Duration::from_millis(self.step.pace_ms)));
        }
        let end = if self.step.crlf { "\r\n" } else { "\n" };
        let text = match self.dialect {
            Dialect::Ollama => format!("{data}{end}"),
            _ if self.step.pings => format!(": ping{end}{end}data: {data}{end}{end}"),
            _ => format!("data: {data}{end}{end}"),
        };
        self.writes.extend(split(&text, self.step).into_iter().map(Write::Bytes));
    }

    fn send(&mut self, event: Value) {
        self.raw(&event.to_string());
    }

    fn begin(&mut self) {
        match self.dialect {
            Dialect::Responses => {
                self.send(json!({"type": "response.created", "response": {"object": "response", "status": "in_progress"}}));
            }
            Dialect::Anthropic => {
                let usage = json!({"input_tokens": self.usage().0 - self.usage().2, "cache_read_input_tokens": self.usage().2});
                let mut message = json!({"type": "message", "role": "assistant", "model": self.model, "content": []});
                if self.step.usage.is_some() {
                    message["usage"] = usage;
                }
                self.send(json!({"type": "message_start", "message": message}));
            }
            Dialect::Chat | Dialect::Gemini | Dialect::Ollama => {}
        }
    }

    fn says(&mut self, what: &str, text: &str) {
        let thinks = what == "reasoning";
        let parts = pieces(text, self.step.chunk_chars);
        let index = self.block;
        if parts.is_empty() {
            return;
        }
        if self.dialect == Dialect::Anthropic {
            let block = if thinks { json!({"type": "thinking", "thinking": ""}) } else { json!({"type": "text", "text": ""}) };
            self.send(json!({"type": "content_block_start", "index": index, "content_block": block}));
        }
        for piece in parts {
            match self.dialect {
                Dialect::Responses if thinks => {
                    self.send(json!({"type": "response.reasoning_summary_text.delta", "output_index": index, "delta": piece}));
                }
                Dialect::Responses => self.send(json!({"type": "response.output_text.delta", "output_index": index, "delta": piece})),
                Dialect::Anthropic => {
                    let delta = match thinks {
                        true => json!({"type": "thinking_delta", "thinking": piece}),
                        false => json!({"type": "text_delta", "text": piece}),
                    };
                    self.send(json!({"type": "content_block_delta", "index": index, "delta": delta}));
                }
                Dialect::Gemini => {
                    let part = if thinks { json!({"text": piece, "thought": true}) } else { json!({"text": piece}) };
                    self.send(json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]}));
                }
                Dialect::Chat | Dialect::Ollama => {
                    let field = if thinks { "thinking" } else { "content" };
                    let mut message = json!({"role": "assistant", "content": ""});
                    message[field] = json!(piece);
                    self.send(json!({"model": self.model, "message": message, "done": false}));
                }
            }
        }
        if self.dialect == Dialect::Anthropic {
            self.send(json!({"type": "content_block_stop", "index": index}));
        }
        self.block += 1;
    }

    fn call(&mut self, call: &ScriptedCall) {
        let (index, name) = (self.block, &call.name);
        let id = call.id.as_deref().unwrap_or_default();
        self.block += 1;
        let arguments = match &call.arguments {
            Value::String(text) => text.clone(),
            Value::Null => "{}".into(),
            other => other.to_string(),
        };
        let parts = pieces(&arguments, self.step.chunk_chars);
        match self.dialect {
            Dialect::Responses => {
                let item = json!({"type": "function_call", "call_id": id, "name": name, "arguments": ""});
                self.send(json!({"type": "response.output_item.added", "output_index": index, "item": item}));
                for piece in parts {
                    self.send(json!({"type": "response.function_call_arguments.delta", "output_index": index, "delta": piece}));
                }
                let item = json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments});
                self.send(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
            }
            Dialect::Anthropic => {
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                self.send(json!({"type": "content_block_start", "index": index, "content_block": block}));
                for piece in parts {
                    let delta = json!({"type": "input_json_delta", "partial_json": piece});
                    self.send(json!({"type": "content_block_delta", "index": index, "delta": delta}));
                }
                self.send(json!({"type": "content_block_stop", "index": index}));
            }
            Dialect::Gemini => {
                let args: Value = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
                let part = json!({"functionCall": {"name": name, "args": args}});
                self.send(json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]}));
            }
            Dialect::Chat | Dialect::Ollama => {
                let args: Value = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
                let message = json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": args}}]});
                self.send(json!({"model": self.model, "message": message, "done": false}));
            }
        }
    }

    fn error(&mut self, message: &str) {
        match self.dialect {
            Dialect::Responses => self.send(json!({"type": "error", "code": "server_error", "message": message})),
            Dialect::Anthropic => self.send(json!({"type": "error", "error": {"type": "api_error", "message": message}})),
            Dialect::Gemini => self.send(json!({"error": {"code": 500, "status": "INTERNAL", "message": message}})),
            Dialect::Chat | Dialect::Ollama => self.send(json!({ "error": message })),
        }
    }

    /// Input, output and cached tokens of the script.
    fn usage(&self) -> (u64, u64, u64) {
        let usage = self.step.usage.as_ref().unwrap_or(&Value::Null);
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
        (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]), cached)
    }

    fn end(&mut self) {
        let (input, output, cached) = self.usage();
        let tells = self.step.usage.is_some();
        let was_long = self.step.finish_reason.as_deref() == Some("length");
        match self.dialect {
            Dialect::Responses => {
                let mut response = json!({"object": "response", "status": "completed"});
                if tells {
                    response["usage"] =
                        json!({"input_tokens": input, "output_tokens": output, "input_tokens_details": {"cached_tokens": cached}});
                }
                if was_long {
                    response["incomplete_details"] = json!({"reason": "max_output_tokens"});
                }
                self.send(json!({"type": "response.completed", "response": response}));
            }
            Dialect::Anthropic => {
                let usual = if self.step.tool_calls.is_empty() { "end_turn" } else { "tool_use" };
                let reason = if was_long { "max_tokens" } else { usual };
                let mut event = json!({"type": "message_delta", "delta": {"stop_reason": reason}});
                if tells {
                    event["usage"] = json!({"output_tokens": output});
                }
                self.send(event);
                self.send(json!({"type": "message_stop"}));
            }
            Dialect::Gemini => {
                let reason = if was_long { "MAX_TOKENS" } else { "STOP" };
                let mut event = json!({"candidates": [{"content": {"role": "model", "parts": []}, "finishReason": reason}]});
                if tells {
                    let counts = json!({"promptTokenCount": input, "candidatesTokenCount": output, "cachedContentTokenCount": cached});
                    event["usageMetadata"] = counts;
                }
                self.send(event);
            }
            Dialect::Chat | Dialect::Ollama => {
                let reason = if was_long { "length" } else { "stop" };
                let mut line =
                    json!({"model": self.model, "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason});
                if tells {
                    line["prompt_eval_count"] = json!(input);
                    line["eval_count"] = json!(output);
                }
                self.send(line);
            }
        }
        if self.step.hold_ms > 0 {
            self.writes.push(Write::Wait(Duration::from_millis(self.step.hold_ms)));
        }
    }
}

/// The last thing a person said, wherever the dialect has it.
pub fn last_user_text(body: &Value) -> String {
    let list = ["messages", "input", "contents"].iter().find_map(|field| body[*field].as_array());
    let said = list.into_iter().flatten().rev().filter(|message| message["role"] == "user").find_map(|message| {
        match (&message["content"], &message["parts"]) {
            (Value::String(text), _) => Some(text.clone()),
            (Value::Array(parts), _) | (_, Value::Array(parts)) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
                Some(texts.join("\n")).filter(|_| !texts.is_empty())
            }
            _ => None,
        }
    });
    said.unwrap_or_default()
}
