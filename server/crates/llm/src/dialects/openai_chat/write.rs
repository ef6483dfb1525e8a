//! Our request in the words of chat completions.

use serde_json::{Value, json};

use crate::dialects::{is_openai_reasoner, write_base64, write_temperature};
use crate::{Image, Message, ModelRequest, Spec};

pub(super) fn write_body(req: &ModelRequest, spec: &Spec) -> Value {
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
    if is_openai_reasoner(&req.model, spec) {
        body["max_completion_tokens"] = json!(req.max_tokens);
    } else {
        body["max_tokens"] = json!(req.max_tokens);
        body["temperature"] = write_temperature(req.temperature);
    }
    if let Some(effort) = &req.reasoning {
        body["reasoning_effort"] = json!(effort);
    }
    body
}

fn write_message(message: &Message) -> Value {
    match message {
        Message::User { text, images } if images.is_empty() => json!({"role": "user", "content": text}),
        Message::User { text, images } => {
            let text = Some(json!({"type": "text", "text": text})).filter(|part| part["text"] != "");
            let parts: Vec<Value> = text.into_iter().chain(images.iter().map(write_image)).collect();
            json!({"role": "user", "content": parts})
        }
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

fn write_image(image: &Image) -> Value {
    json!({"type": "image_url", "image_url": {"url": format!("data:{};base64,{}", image.media_type, write_base64(&image.data))}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reasoning, ToolCall};
    use wire::models::ProviderKind;

    fn spec(base: &str) -> Spec {
        Spec::new(ProviderKind::OpenaiChat, base.parse().unwrap(), None, "m")
    }

    #[test]
    fn writes_the_history_a_provider_accepts() {
        let image = Image { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        let req = ModelRequest {
            model: "m".into(),
            system: "be good".into(),
            messages: vec![
                Message::User { text: "hi".into(), images: vec![image] },
                Message::Assistant {
                    text: String::new(),
                    reasoning: Some(Reasoning { text: "secret thought".into(), signature: None }),
                    tool_calls: vec![ToolCall { id: "c".into(), name: "t".into(), arguments: "{bad".into() }],
                },
                Message::Tool { call_id: "c".into(), content: "no".into() },
            ],
            tools: vec![],
            max_tokens: 9,
            temperature: 0.2,
            reasoning: None,
        };
        assert_eq!(
            write_body(&req, &spec("http://h")),
            json!({
                "model": "m", "stream": true, "stream_options": {"include_usage": true},
                "max_tokens": 9, "temperature": 0.2,
                "messages": [
                    {"role": "system", "content": "be good"},
                    {"role": "user", "content": [
                        {"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID"}}]},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "c", "content": "no"},
                ],
            })
        );
        let req = ModelRequest { model: "gpt-5-mini".into(), reasoning: Some("low".into()), ..req };
        let strict = write_body(&req, &spec("https://api.openai.com"));
        assert!(strict.get("temperature").is_none() && strict.get("max_tokens").is_none());
        assert_eq!((&strict["max_completion_tokens"], &strict["reasoning_effort"]), (&json!(9), &json!("low")));
    }
}
