//! Our request in the words of messages.

use serde_json::{Value, json};

use crate::dialects::{write_arguments, write_base64, write_temperature};
use crate::memory::Memory;
use crate::{Message, ModelRequest, Reasoning, ToolCall};

const LEAST_THINKING: u32 = 1024;

pub(super) fn write_body(req: &ModelRequest, memory: &Memory) -> Value {
    let thinking = req.reasoning.as_deref().and_then(|effort| thinking_tokens(effort, req.max_tokens));
    // Within a turn that calls tools it only thinks on where its earlier thoughts can be shown to it.
    let thinking = thinking.filter(|_| can_think(&req.messages, memory));
    let mut body = json!({
        "model": req.model,
        "messages": write_messages(&req.messages, thinking.is_some(), memory),
        "max_tokens": req.max_tokens,
        "stream": true,
    });
    if !req.system.is_empty() {
        // The mark lets the provider reuse what it has read: tools and instructions here, the conversation below.
        body["system"] = json!([{"type": "text", "text": req.system, "cache_control": {"type": "ephemeral"}}]);
    }
    match thinking {
        Some(tokens) => body["thinking"] = json!({"type": "enabled", "budget_tokens": tokens}),
        None => body["temperature"] = write_temperature(req.temperature.clamp(0.0, 1.0)),
    }
    body
}

/// None when the answer has no room for thoughts.
fn thinking_tokens(effort: &str, max_tokens: u32) -> Option<u32> {
    let wanted = match effort {
        "none" | "off" => return None,
        "minimal" | "low" => LEAST_THINKING * 2,
        "medium" => LEAST_THINKING * 8,
        "high" => LEAST_THINKING * 16,
        number => number.parse().unwrap_or(LEAST_THINKING * 8),
    };
    // Thoughts are part of what may be written; half of it stays for the answer.
    Some(wanted.max(LEAST_THINKING).min(max_tokens / 2)).filter(|tokens| *tokens >= LEAST_THINKING)
}

fn can_think(messages: &[Message], memory: &Memory) -> bool {
    let in_turn = messages.iter().rev().take_while(|message| !matches!(message, Message::User { .. }));
    in_turn
        .filter_map(|message| match message {
            Message::Assistant { tool_calls, reasoning, .. } => Some((tool_calls.first()?, reasoning)),
            _ => None,
        })
        .all(|(call, reasoning)| !thoughts_before(call, reasoning.as_ref(), memory).is_empty())
}

fn thoughts_before(call: &ToolCall, reasoning: Option<&Reasoning>, memory: &Memory) -> Vec<Value> {
    match reasoning {
        Some(Reasoning { text, signature: Some(signature) }) => {
            vec![json!({"type": "thinking", "thinking": text, "signature": signature})]
        }
        _ => memory.recall(&call.id, &call.name).map(|kept| kept.to_vec()).unwrap_or_default(),
    }
}

fn write_messages(messages: &[Message], thinks: bool, memory: &Memory) -> Vec<Value> {
    let mut out: Vec<(&str, Vec<Value>)> = Vec::new();
    if matches!(messages.first(), Some(Message::Assistant { .. } | Message::Tool { .. })) {
        // The first word has to be the person's.
        out.push(("user", vec![json!({"type": "text", "text": "[The earlier part of this conversation was left out.]"})]));
    }
    for message in messages {
        let (role, blocks) = match message {
            Message::User { text, images } => {
                let mut blocks: Vec<Value> = images
                    .iter()
                    .map(|image| {
                        let source = json!({"type": "base64", "media_type": image.media_type, "data": write_base64(&image.data)});
                        json!({"type": "image", "source": source})
                    })
                    .collect();
                blocks.extend(write_text(text));
                ("user", blocks)
            }
            Message::Tool { call_id, content } => {
                let mut block = json!({"type": "tool_result", "tool_use_id": fit_id(call_id)});
                if !content.trim().is_empty() {
                    block["content"] = json!(content);
                }
                ("user", vec![block])
            }
            Message::Assistant { text, reasoning, tool_calls } => {
                let mut blocks = Vec::new();
                if let Some(call) = tool_calls.first().filter(|_| thinks) {
                    blocks.extend(thoughts_before(call, reasoning.as_ref(), memory));
                }
                blocks.extend(write_text(text));
                blocks.extend(tool_calls.iter().map(|call| {
                    json!({"type": "tool_use", "id": fit_id(&call.id), "name": call.name, "input": write_arguments(&call.arguments)})
                }));
                ("assistant", blocks)
            }
        };
        match out.last_mut() {
            // All results of an answer's calls have to be in one message.
            Some((last, all)) if *last == role => all.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => out.push((role, blocks)),
        }
    }
    if let Some(block) = out.last_mut().and_then(|(_, blocks)| blocks.last_mut()) {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
    out.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
}

/// Empty texts are refused.
fn write_text(text: &str) -> Option<Value> {
    Some(json!({"type": "text", "text": text})).filter(|_| !text.trim().is_empty())
}

/// Ids that another model gave may hold what is not accepted here.
fn fit_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.into(), name: "look".into(), arguments: "{\"at\": 1}".into() }
    }

    fn assistant(text: &str, tool_calls: Vec<ToolCall>) -> Message {
        Message::Assistant { text: text.into(), reasoning: None, tool_calls }
    }

    fn result(id: &str, content: &str) -> Message {
        Message::Tool { call_id: id.into(), content: content.into() }
    }

    fn request(messages: Vec<Message>, reasoning: Option<&str>) -> ModelRequest {
        let reasoning = reasoning.map(str::to_owned);
        ModelRequest {
            model: "m".into(),
            system: "be good".into(),
            messages,
            tools: Vec::new(),
            max_tokens: 8000,
            temperature: 1.5,
            reasoning,
        }
    }

    #[test]
    fn results_of_one_answer_are_one_message() {
        let image = Image { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        let messages = vec![
            Message::User { text: "hi".into(), images: vec![image] },
            assistant("", vec![call("a.b:0"), call("b")]),
            result("a.b:0", "one"),
            result("b", ""),
            Message::user("and?"),
        ];
        let body = write_body(&request(messages, None), &Memory::default());
        let source = json!({"type": "base64", "media_type": "image/png", "data": "AQID"});
        assert_eq!(
            body["messages"],
            json!([
                {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "a_b_0", "name": "look", "input": {"at": 1}},
                    {"type": "tool_use", "id": "b", "name": "look", "input": {"at": 1}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a_b_0", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "b"},
                    {"type": "text", "text": "and?", "cache_control": {"type": "ephemeral"}}]},
            ])
        );
        assert_eq!(body["temperature"], 1.0);
        let middle = write_body(&request(vec![assistant("so", vec![])], None), &Memory::default());
        assert_eq!(middle["messages"][0]["role"], "user");
    }

    #[test]
    fn thoughts_go_back_and_without_them_it_does_not_think() {
        let memory = Memory::default();
        let messages = vec![Message::user("hi"), assistant("", vec![call("a")]), result("a", "one")];
        let forgotten = write_body(&request(messages.clone(), Some("high")), &memory);
        assert!(forgotten.get("thinking").is_none() && forgotten.get("temperature").is_some());

        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "sealed"});
        memory.keep("a", "look", vec![thought.clone()]);
        let body = write_body(&request(messages.clone(), Some("high")), &memory);
        assert_eq!(body["messages"][1]["content"][0], thought);
        assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 4000}));
        assert!(body.get("temperature").is_none());

        let mut signed = messages;
        signed[1] = Message::Assistant {
            text: String::new(),
            reasoning: Some(Reasoning { text: "hm".into(), signature: Some("sealed".into()) }),
            tool_calls: vec![call("a")],
        };
        assert_eq!(write_body(&request(signed, Some("3000")), &Memory::default())["messages"][1]["content"][0], thought);
        assert_eq!(thinking_tokens("high", 2000), None);
        assert_eq!(thinking_tokens("low", 100_000), Some(2048));
    }
}
