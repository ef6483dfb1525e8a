//! What providers speak. Each dialect writes a request and reads an answer into the one assembler.

mod anthropic;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_responses;

use bytes::Bytes;
use serde_json::Value;
use url::Url;
use wire::models::ProviderKind;

use crate::assemble::Assembler;
use crate::memory::Memory;
use crate::{ModelError, ModelRequest, Spec, ToolSpec};

/// A request as it is sent. The schemas of its tools are much of it, and the same each time: they are written as text, since copies of the
/// trees they are would be most of what a call needs in memory.
pub(crate) fn write_request(dialect: &dyn Dialect, req: &ModelRequest, spec: &Spec, memory: &Memory) -> Bytes {
    let mut body = dialect.write(req, spec, memory).to_string();
    if !req.tools.is_empty() && body.pop().is_some() {
        let quote = |text: &str| Value::from(text).to_string();
        let entry = |tool: &ToolSpec| dialect.write_tool(&quote(&tool.name), &quote(&tool.description), &tool.schema.to_string());
        let entries: Vec<String> = req.tools.iter().map(entry).collect();
        body.push_str(",\"tools\":");
        body.push_str(&dialect.write_tools(&entries.join(",")));
        body.push('}');
    }
    body.into()
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
        let tool = |name: &str| ToolSpec { name: name.into(), description: "Größe,\n\"so\".".into(), schema: schema.clone().into() };
        let said = "Größe,\n\"so\".";
        let spec = |kind| Spec::new(kind, "http://h".parse().unwrap(), None, "m");
        let written = |kind, tools: Vec<ToolSpec>| {
            let req = ModelRequest { model: "m".into(), tools, ..ModelRequest::default() };
            let body = write_request(dialect_of(kind).as_ref(), &req, &spec(kind), &Memory::default());
            serde_json::from_slice::<Value>(&body).unwrap()
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
