//! Our request in the words of responses.

use serde_json::{Value, json};

use crate::dialects::{is_openai_reasoner, write_base64, write_temperature};
use crate::memory::Memory;
use crate::{Message, ModelRequest, Spec};

pub(super) fn write_body(req: &ModelRequest, spec: &Spec, memory: &Memory) -> Value {
    let reasons = req.reasoning.is_some() || is_openai_reasoner(&req.model, spec);
    let mut body = json!({
        "model": req.model,
        "input": req.messages.iter().flat_map(|message| write_items(message, reasons, memory)).collect::<Vec<Value>>(),
        "max_output_tokens": req.max_tokens,
        "stream": true,
        "store": false,
    });
    if !req.system.is_empty() {
        body["instructions"] = json!(req.system);
    }
    if reasons {
        // What it thought comes back sealed, since nothing is stored there.
        body["include"] = json!(["reasoning.encrypted_content"]);
        body["reasoning"] = json!({"summary": "auto"});
        if let Some(effort) = &req.reasoning {
            body["reasoning"]["effort"] = json!(effort);
        }
    } else {
        body["temperature"] = write_temperature(req.temperature);
    }
    body
}

fn write_items(message: &Message, reasons: bool, memory: &Memory) -> Vec<Value> {
    match message {
        Message::User { text, images } => {
            let text = Some(json!({"type": "input_text", "text": text})).filter(|part| part["text"] != "" || images.is_empty());
            let images = images.iter().map(|image| {
                let url = format!("data:{};base64,{}", image.media_type, write_base64(&image.data));
                json!({"type": "input_image", "image_url": url})
            });
            let parts: Vec<Value> = text.into_iter().chain(images).collect();
            vec![json!({"type": "message", "role": "user", "content": parts})]
        }
        Message::Assistant { text, tool_calls, .. } => {
            let mut items = Vec::new();
            if !text.is_empty() {
                items.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}));
            }
            for call in tool_calls {
                if let Some(kept) = memory.recall(&call.id, &call.name).filter(|_| reasons) {
                    items.extend(kept.iter().cloned());
                }
                let valid = serde_json::from_str::<Value>(&call.arguments).is_ok();
                let arguments = if valid { call.arguments.as_str() } else { "{}" };
                items.push(json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}));
            }
            items
        }
        Message::Tool { call_id, content } => {
            vec![json!({"type": "function_call_output", "call_id": call_id, "output": content})]
        }
    }
}
