use serde::{Deserialize, Serialize};

/// One question to a model: the whole conversation as it stands, and the tools it may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// Provider's model name; empty for the default of the model asked.
    pub model: String,
    pub system: String,
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    pub max_tokens: u32,
    pub temperature: f32,
}

/// A tool the model may call. `schema` is the JSON Schema of its arguments object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    pub schema: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    User {
        text: String,
    },
    Assistant {
        #[serde(default)]
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasoning: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// The result of the call with this id.
    Tool {
        call_id: String,
        content: String,
    },
}

/// `arguments` is the JSON text exactly as the model wrote it; it may be invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum ModelEvent {
    Text(String),
    Reasoning(String),
    /// The model began to write a call; its arguments are still coming. `id` is that of the
    /// `ToolCall` which follows.
    ToolCallStarted {
        index: usize,
        id: String,
        name: String,
    },
    /// A complete call. Ids are never empty, and unique within the answer and the request.
    ToolCall(ToolCall),
    /// At most once, before `Finished`; absent when the provider does not tell.
    Usage(Usage),
    /// Always the last event of a good answer.
    Finished(FinishReason),
}

/// Tokens as the provider counted them. `cached` is part of `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    Stop,
    ToolCalls,
    Length,
    ContentFilter,
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub name: String,
    /// Where answers come from: the provider's host, or `built in`.
    pub provider: String,
    /// True for the scripted demonstration, which is not an AI and must be labelled so.
    pub is_demo: bool,
    pub context_tokens: Option<u32>,
}
