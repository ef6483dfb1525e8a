//! Our request in the words of generateContent.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::dialects::{write_arguments, write_base64, write_temperature};
use crate::memory::Memory;
use crate::{Message, ModelRequest};

/// What the specification gives for a call whose proof is not at hand.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

pub(super) fn write_body(req: &ModelRequest, memory: &Memory) -> Value {
    let mut config = json!({"maxOutputTokens": req.max_tokens, "temperature": write_temperature(req.temperature)});
    if let Some(effort) = &req.reasoning {
        config["thinkingConfig"] = write_thinking(&req.model, effort);
    }
    let mut body = json!({"contents": write_contents(req, memory), "generationConfig": config});
    if !req.system.is_empty() {
        body["systemInstruction"] = json!({"parts": [{"text": req.system}]});
    }
    body
}

/// The second generation takes a number of tokens, the later ones a level.
fn write_thinking(model: &str, effort: &str) -> Value {
    let is_second = model.strip_prefix("models/").unwrap_or(model).starts_with("gemini-2");
    match (effort, effort.parse::<u32>()) {
        (_, Ok(tokens)) => json!({"includeThoughts": true, "thinkingBudget": tokens}),
        ("none" | "off", _) if is_second => json!({"thinkingBudget": 0}),
        (word, _) if is_second => {
            let tokens = match word {
                "minimal" | "low" => 1024,
                "high" => 24_576,
                _ => 8192,
            };
            json!({"includeThoughts": true, "thinkingBudget": tokens})
        }
        (word, _) => json!({"includeThoughts": true, "thinkingLevel": word}),
    }
}

fn write_contents(req: &ModelRequest, memory: &Memory) -> Vec<Value> {
    let needs_proof = req.model.strip_prefix("models/").unwrap_or(&req.model).starts_with("gemini-3");
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut out: Vec<(&str, Vec<Value>)> = Vec::new();
    if matches!(req.messages.first(), Some(Message::Assistant { .. } | Message::Tool { .. })) {
        // A call may not be the first of a conversation.
        out.push(("user", vec![json!({"text": "[The earlier part of this conversation was left out.]"})]));
    }
    for message in &req.messages {
        let (role, parts) = match message {
            Message::User { text, images } => {
                let data = images.iter().map(|i| json!({"inlineData": {"mimeType": i.media_type, "data": write_base64(&i.data)}}));
                ("user", data.chain(write_text(text)).collect::<Vec<Value>>())
            }
            Message::Tool { call_id, content } => {
                let name = names.get(call_id.as_str()).copied().unwrap_or("unknown");
                ("user", vec![json!({"functionResponse": {"name": name, "response": {"result": content}}})])
            }
            Message::Assistant { text, tool_calls, .. } => {
                let mut parts: Vec<Value> = write_text(text).into_iter().collect();
                for (at, call) in tool_calls.iter().enumerate() {
                    names.insert(&call.id, &call.name);
                    let mut part = json!({"functionCall": {"name": call.name, "args": write_arguments(&call.arguments)}});
                    let kept = memory.recall(&call.id, &call.name).and_then(|kept| kept.last().cloned());
                    // Calls made at once have one proof, on the first of them.
                    if let Some(proof) = kept.or_else(|| (needs_proof && at == 0).then(|| json!(NO_SIGNATURE))) {
                        part["thoughtSignature"] = proof;
                    }
                    parts.push(part);
                }
                ("model", parts)
            }
        };
        match out.last_mut() {
            Some((last, all)) if *last == role => all.extend(parts),
            _ if parts.is_empty() => {}
            _ => out.push((role, parts)),
        }
    }
    out.into_iter().map(|(role, parts)| json!({"role": role, "parts": parts})).collect()
}

fn write_text(text: &str) -> Option<Value> {
    Some(json!({ "text": text })).filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Image, ToolCall};

    #[test]
    fn writes_calls_with_their_proof_and_results_by_name() {
        let memory = Memory::default();
        memory.keep("a", "look", vec![json!("sealed")]);
        let call = |id: &str| ToolCall { id: id.into(), name: "look".into(), arguments: "{\"at\":1}".into() };
        let image = Image { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        let req = ModelRequest {
            model: "gemini-3-pro".into(),
            system: "be good".into(),
            messages: vec![
                Message::User { text: "hi".into(), images: vec![image] },
                Message::Assistant { text: String::new(), reasoning: None, tool_calls: vec![call("a"), call("b")] },
                Message::Tool { call_id: "a".into(), content: "one".into() },
                Message::Tool { call_id: "b".into(), content: "two".into() },
                Message::Assistant { text: "Again.".into(), reasoning: None, tool_calls: vec![call("c")] },
                Message::Tool { call_id: "c".into(), content: "three".into() },
            ],
            tools: Vec::new(),
            max_tokens: 9,
            temperature: 0.2,
            reasoning: Some("high".into()),
        };
        let called = json!({"name": "look", "args": {"at": 1}});
        let told = |text: &str| json!({"functionResponse": {"name": "look", "response": {"result": text}}});
        assert_eq!(
            write_body(&req, &memory),
            json!({
                "systemInstruction": {"parts": [{"text": "be good"}]},
                "contents": [
                    {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AQID"}}, {"text": "hi"}]},
                    {"role": "model", "parts": [{"functionCall": called, "thoughtSignature": "sealed"}, {"functionCall": called}]},
                    {"role": "user", "parts": [told("one"), told("two")]},
                    {"role": "model", "parts": [{"text": "Again."}, {"functionCall": called, "thoughtSignature": NO_SIGNATURE}]},
                    {"role": "user", "parts": [told("three")]},
                ],
                "generationConfig": {"maxOutputTokens": 9, "temperature": 0.2,
                    "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "high"}},
            })
        );
        assert_eq!(write_thinking("models/gemini-2.5-pro", "low")["thinkingBudget"], 1024);
    }
}
