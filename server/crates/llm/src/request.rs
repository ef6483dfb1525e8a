//! Our request in the words of OpenAI's chat completions.

use serde_json::{Value, json};

use crate::{Message, ModelRequest};

/// OpenAI's newer reasoning models accept neither the old limit's name nor a temperature.
fn uses_new_limits(model: &str, host: &str) -> bool {
    host == "api.openai.com" && ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family))
}

/// The JSON body of a chat completion request. `host` is where it goes.
pub(crate) fn write_body(req: &ModelRequest, host: &str) -> Value {
    let mut messages = Vec::with_capacity(req.messages.len() + 1);
    if !req.system.is_empty() {
        messages.push(json!({"role": "system", "content": req.system}));
    }
    messages.extend(req.messages.iter().map(write_message));
    let mut body = json!({
        "model": req.model,
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if uses_new_limits(&req.model, host) {
        body["max_completion_tokens"] = json!(req.max_tokens);
    } else {
        body["max_tokens"] = json!(req.max_tokens);
        // Through text, so that 0.2 does not become 0.20000000298.
        body["temperature"] = req.temperature.to_string().parse::<f64>().map_or(Value::Null, Value::from);
    }
    if !req.tools.is_empty() {
        let tools: Vec<Value> = req
            .tools
            .iter()
            .map(|tool| {
                json!({"type": "function", "function": {
                    "name": tool.name, "description": tool.description, "parameters": tool.schema,
                }})
            })
            .collect();
        body["tools"] = Value::from(tools);
    }
    body
}

fn write_message(message: &Message) -> Value {
    match message {
        Message::User { text } => json!({"role": "user", "content": text}),
        Message::Tool { call_id, content } => {
            json!({"role": "tool", "tool_call_id": call_id, "content": content})
        }
        Message::Assistant { text, tool_calls, .. } if tool_calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Message::Assistant { text, tool_calls, .. } => {
            let calls: Vec<Value> = tool_calls
                .iter()
                .map(|call| {
                    // Providers refuse a history with invalid arguments, even if they wrote it.
                    let valid = serde_json::from_str::<Value>(&call.arguments).is_ok();
                    let arguments = if valid { call.arguments.as_str() } else { "{}" };
                    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
                })
                .collect();
            let content = if text.is_empty() { Value::Null } else { json!(text) };
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolCall;

    #[test]
    fn writes_the_history_a_provider_accepts() {
        let req = ModelRequest {
            model: "m".into(),
            system: "be good".into(),
            messages: vec![
                Message::User { text: "hi".into() },
                Message::Assistant {
                    text: String::new(),
                    reasoning: Some("secret thought".into()),
                    tool_calls: vec![ToolCall { id: "c".into(), name: "t".into(), arguments: "{bad".into() }],
                },
                Message::Tool { call_id: "c".into(), content: "no".into() },
            ],
            tools: vec![],
            max_tokens: 9,
            temperature: 0.2,
        };
        let body = write_body(&req, "h");
        assert_eq!(
            body,
            json!({
                "model": "m", "stream": true, "stream_options": {"include_usage": true},
                "max_tokens": 9, "temperature": 0.2,
                "messages": [
                    {"role": "system", "content": "be good"},
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "c", "content": "no"},
                ],
            })
        );
        let strict = write_body(&ModelRequest { model: "gpt-5-mini".into(), ..req }, "api.openai.com");
        assert!(strict.get("temperature").is_none() && strict.get("max_tokens").is_none());
        assert_eq!(strict["max_completion_tokens"], 9);
    }
}
