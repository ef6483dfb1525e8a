//! What providers speak. Each dialect writes a request and reads an answer into the one assembler.

mod anthropic;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_responses;

use std::sync::Mutex;

use bytes::Bytes;
use serde_json::Value;
use url::Url;
use wire::models::ProviderKind;

use crate::assemble::Assembler;
use crate::memory::Memory;
use crate::{ModelError, ModelRequest, Spec, ToolSpec};

/// A request as it is sent: its pieces behind each other.
pub(crate) type Body = Vec<Bytes>;

/// A request as it is sent. The schemas of its tools are much of it, and the same each time: they are written as text that all requests
/// share, since what each keeps until its answer begins would be most of what a call needs in memory.
pub(crate) fn write_request(dialect: &dyn Dialect, req: &ModelRequest, spec: &Spec, memory: &Memory, tools: &ToolTexts) -> Body {
    let mut head = dialect.write(req, spec, memory).to_string();
    if req.tools.is_empty() || head.pop().is_none() {
        return vec![head.into()];
    }
    head.push_str(",\"tools\":");
    vec![head.into(), tools.of(dialect, &req.tools), Bytes::from_static(b"}")]
}

/// How many lists of tools are kept as text: those of the modes, with and without the web.
const TOOL_TEXTS: usize = 8;

/// Lists of tools as one dialect writes them, the newest last.
#[derive(Default)]
pub(crate) struct ToolTexts {
    known: Mutex<Vec<(Vec<ToolSpec>, Bytes)>>,
}

impl ToolTexts {
    fn of(&self, dialect: &dyn Dialect, tools: &[ToolSpec]) -> Bytes {
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, text)) = known.iter().find(|(kept, _)| kept == tools) {
            return text.clone();
        }
        let quote = |text: &str| Value::from(text).to_string();
        let entry = |tool: &ToolSpec| dialect.write_tool(&quote(&tool.name), &quote(&tool.description), &tool.schema.to_string());
        let entries: Vec<String> = tools.iter().map(entry).collect();
        let text = Bytes::from(dialect.write_tools(&entries.join(",")));
        if known.len() >= TOOL_TEXTS {
            known.remove(0);
        }
        known.push((tools.to_vec(), text.clone()));
        text
    }
}

/// How an answer is cut into pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// Server-sent events.
    Events,
    /// A JSON value a line.
    Lines,
}

/// Whether anything can follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    More,
    /// It only keeps the connection open.
    Ping,
    Last,
}

pub(crate) trait Dialect: Send + Sync {
    fn endpoint(&self, base: &Url, model: &str) -> Url;

    fn models_endpoint(&self, base: &Url) -> Url;

    /// The header that carries the key, and what stands before the key in it.
    fn key_header(&self) -> (&'static str, &'static str) {
        ("authorization", "Bearer ")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// The body of a request without its tools. `req.model` is set.
    fn write(&self, req: &ModelRequest, spec: &Spec, memory: &Memory) -> Value;

    /// One tool. All three are JSON already.
    fn write_tool(&self, name: &str, description: &str, schema: &str) -> String;

    /// The field `tools` out of its entries.
    fn write_tools(&self, entries: &str) -> String {
        format!("[{entries}]")
    }

    fn reader(&self) -> Box<dyn Reader>;

    /// The names in the provider's list of models, or none when it is not such a list.
    fn read_models(&self, list: &Value) -> Option<Vec<String>> {
        names_in(&list["data"], "id")
    }
}

pub(crate) trait Reader: Send {
    /// Takes one piece of an answer.
    fn take(&mut self, data: &str, to: &mut Assembler) -> Result<Taken, ModelError>;
}

/// The dialect of a provider that is spoken to over HTTP.
pub(crate) fn dialect_of(kind: ProviderKind) -> Box<dyn Dialect> {
    match kind {
        // The demonstration is never spoken to; whoever tries finds nobody there.
        ProviderKind::OpenaiChat | ProviderKind::Demo => Box::new(openai_chat::OpenaiChat),
        ProviderKind::OpenaiResponses => Box::new(openai_responses::OpenaiResponses),
        ProviderKind::Anthropic => Box::new(anthropic::Anthropic),
        ProviderKind::Gemini => Box::new(gemini::Gemini),
        ProviderKind::Ollama => Box::new(ollama::Ollama),
    }
}

/// `base` with `tail` behind its path, or behind `version` when it has none.
fn join(base: &Url, version: &str, tail: &str) -> Url {
    let mut url = base.clone();
    let path = match base.path().trim_end_matches('/') {
        "" => version,
        path => path,
    };
    url.set_path(&format!("{path}/{tail}"));
    url
}

fn names_in(list: &Value, field: &str) -> Option<Vec<String>> {
    Some(list.as_array()?.iter().filter_map(|model| model[field].as_str()).map(str::to_owned).collect())
}

/// OpenAI's reasoning models accept neither the old limit's name nor a temperature.
fn is_openai_reasoner(model: &str, spec: &Spec) -> bool {
    spec.base_url.host_str() == Some("api.openai.com") && ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family))
}

/// Through text, so that 0.2 does not become 0.20000000298.
fn write_temperature(temperature: f32) -> Value {
    temperature.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// The arguments of a call as an object, whatever the model wrote.
fn write_arguments(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(map)) => Value::Object(map),
        _ => Value::Object(Default::default()),
    }
}

fn write_base64(data: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(data)
}

/// What a piece says, or the error of a piece that is no JSON of the right shape.
fn parse<T: serde::de::DeserializeOwned>(data: &str) -> Result<T, ModelError> {
    serde_json::from_str(data).map_err(|error| ModelError::Malformed {
        detail: format!("a chunk was not the expected JSON ({:?} error at column {})", error.classify(), error.column()).to_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_are_written_behind_the_rest() {
        let schema = json!({"type": "object", "properties": {"at": {"type": "string", "description": "A \"place\"."}}});
        let tool =
            |name: &str| ToolSpec { name: name.to_owned().into(), description: "Größe,\n\"so\".".into(), schema: schema.clone().into() };
        let said = "Größe,\n\"so\".";
        let spec = |kind| Spec::new(kind, "http://h".parse().unwrap(), None, "m");
        let written = |kind, tools: Vec<ToolSpec>| {
            let req = ModelRequest { model: "m".into(), tools, ..ModelRequest::default() };
            let texts = ToolTexts::default();
            let write = || write_request(dialect_of(kind).as_ref(), &req, &spec(kind), &Memory::default(), &texts).concat();
            assert_eq!(write(), write(), "what is kept says the same");
            serde_json::from_slice::<Value>(&write()).unwrap()
        };
        let function = |name| json!({"type": "function", "function": {"name": name, "description": said, "parameters": schema}});
        let declared = |name| json!({"name": name, "description": said, "parametersJsonSchema": schema});
        for (kind, expected) in [
            (ProviderKind::OpenaiChat, json!([function("a"), function("b")])),
            (ProviderKind::Ollama, json!([function("a"), function("b")])),
            (
                ProviderKind::OpenaiResponses,
                ["a", "b"]
                    .map(|name| json!({"type": "function", "name": name, "description": said, "parameters": schema, "strict": false}))
                    .into(),
            ),
            (ProviderKind::Anthropic, ["a", "b"].map(|name| json!({"name": name, "description": said, "input_schema": schema})).into()),
            (ProviderKind::Gemini, json!([{"functionDeclarations": [declared("a"), declared("b")]}])),
        ] {
            let body = written(kind, vec![tool("a"), tool("b")]);
            assert_eq!(body["tools"], expected, "{kind:?}");
            let mut rest = body;
            rest.as_object_mut().unwrap().remove("tools");
            assert_eq!(rest, written(kind, Vec::new()), "{kind:?}");
        }
    }

    #[test]
    fn finds_the_endpoints() {
        let at = |kind, base: &str| dialect_of(kind).endpoint(&base.parse().unwrap(), "some/model:tag").to_string();
        assert_eq!(at(ProviderKind::OpenaiChat, "http://h:1"), "http://h:1/v1/chat/completions");
        assert_eq!(at(ProviderKind::OpenaiChat, "https://h/api/v1/"), "https://h/api/v1/chat/completions");
        assert_eq!(at(ProviderKind::OpenaiResponses, "https://h"), "https://h/v1/responses");
        assert_eq!(at(ProviderKind::Anthropic, "https://h/v1"), "https://h/v1/messages");
        assert_eq!(at(ProviderKind::Gemini, "https://h"), "https://h/v1beta/models/some%2Fmodel:tag:streamGenerateContent?alt=sse");
        assert_eq!(at(ProviderKind::Ollama, "http://h:11434"), "http://h:11434/api/chat");
        assert_eq!(at(ProviderKind::Ollama, "http://h:11434/v1/"), "http://h:11434/api/chat");
        let list = |kind, base: &str| dialect_of(kind).models_endpoint(&base.parse().unwrap()).to_string();
        assert_eq!(list(ProviderKind::Gemini, "https://h"), "https://h/v1beta/models?pageSize=1000");
        assert_eq!(list(ProviderKind::Ollama, "http://h/sub"), "http://h/sub/api/tags");
    }
}
