//! Our request in Ollama's words.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::dialects::{write_arguments, write_base64, write_temperature};
use crate::{Message, ModelRequest, Spec};

pub(super) fn write_body(req: &ModelRequest, spec: &Spec) -> Value {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut messages = Vec::with_capacity(req.messages.len() + 1);
    if !req.system.is_empty() {
        messages.push(json!({"role": "system", "content": req.system}));
    }
    for message in &req.messages {
        messages.push(match message {
            Message::User { text, images } if images.is_empty() => json!({"role": "user", "content": text}),
            Message::User { text, images } => {
                let images: Vec<String> = images.iter().map(|image| write_base64(&image.data)).collect();
                json!({"role": "user", "content": text, "images": images})
            }
            Message::Tool { call_id, content } => {
                let name = names.get(call_id.as_str()).copied().unwrap_or_default();
                json!({"role": "tool", "content": content, "tool_name": name})
            }
            Message::Assistant { text, tool_calls, .. } => {
                names.extend(tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str())));
                let mut message = json!({"role": "assistant", "content": text});
                if !tool_calls.is_empty() {
                    let calls = tool_calls.iter();
                    message["tool_calls"] =
                        calls.map(|c| json!({"function": {"name": c.name, "arguments": write_arguments(&c.arguments)}})).collect();
                }
                message
            }
        });
    }
    let mut options = json!({"num_predict": req.max_tokens, "temperature": write_temperature(req.temperature)});
    if let Some(tokens) = spec.context_tokens {
        // Left out, it silently forgets the beginning of anything longer than its small default.
        options["num_ctx"] = json!(tokens);
    }
    let mut body = json!({"model": req.model, "messages": messages, "stream": true, "options": options});
    if let Some(effort) = req.reasoning.as_deref() {
        body["think"] = match effort {
            "none" | "off" => json!(false),
            level if req.model.starts_with("gpt-oss") => json!(level),
            _ => json!(true),
        };
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Image, ToolCall};
    use wire::models::ProviderKind;

    #[test]
    fn writes_arguments_as_objects_and_results_by_name() {
        let image = Image { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        let call = ToolCall { id: "a".into(), name: "look".into(), arguments: "{\"at\":1}".into() };
        let req = ModelRequest {
            model: "qwen3".into(),
            messages: vec![
                Message::User { text: "hi".into(), images: vec![image] },
                Message::Assistant { text: String::new(), reasoning: None, tool_calls: vec![call] },
                Message::Tool { call_id: "a".into(), content: "one".into() },
            ],
            max_tokens: 9,
            temperature: 0.2,
            reasoning: Some("high".into()),
            ..ModelRequest::default()
        };
        let mut spec = Spec::new(ProviderKind::Ollama, "http://h".parse().unwrap(), None, "qwen3");
        spec.context_tokens = Some(32_768);
        assert_eq!(
            write_body(&req, &spec),
            json!({
                "model": "qwen3", "stream": true, "think": true,
                "options": {"num_predict": 9, "temperature": 0.2, "num_ctx": 32768},
                "messages": [
                    {"role": "user", "content": "hi", "images": ["AQID"]},
                    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}]},
                    {"role": "tool", "content": "one", "tool_name": "look"},
                ],
            })
        );
    }
}
