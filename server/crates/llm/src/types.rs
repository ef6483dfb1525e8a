use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One question to a model: the whole conversation as it stands, and the tools it may call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelRequest {
    /// Provider's model name; empty for the default of the model asked.
    pub model: String,
    pub system: String,
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    pub max_tokens: u32,
    pub temperature: f32,
    /// How hard the model should think, in the provider's words (`low`, `medium`, `high`), or a number of
    /// tokens. None leaves it to the provider's default.
    pub reasoning: Option<String>,
}

/// A tool the model may call. `schema` is the JSON Schema of its arguments object.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    pub name: Cow<'static, str>,
    pub description: Cow<'static, str>,
    pub schema: Arc<serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    User {
        text: String,
        /// Left out for models that take none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<Image>,
    },
    Assistant {
        #[serde(default)]
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasoning: Option<Reasoning>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// The result of the call with this id.
    Tool { call_id: String, content: String },
}

impl Message {
    /// What a person wrote, without images.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User { text: text.into(), images: Vec::new() }
    }
}

/// A picture for a model that takes them. `media_type` is `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub media_type: String,
    #[serde(with = "as_base64")]
    pub data: Bytes,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}, {} bytes)", self.media_type, self.data.len())
    }
}

/// What a model thought before it answered. `signature` is the provider's proof of it, without which the
/// text is not sent back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

mod as_base64 {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
    }
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
    /// So many bytes more have come of the arguments of a call that began, before the call is complete: an answer that breaks off has
    /// been paid for up to there.
    Arguments(usize),
    /// A complete call. Ids are never empty, and unique within the answer and the request.
    ToolCall(ToolCall),
    /// At most once, before `Finished`; absent when the provider does not tell.
    Usage(Usage),
    /// Always the last event of a good answer.
    Finished(FinishReason),
}

/// Tokens as the provider counted them. `cached`, read from its cache, and `cache_write`, written into it, are parts of `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    #[serde(default)]
    pub cache_write: u64,
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
