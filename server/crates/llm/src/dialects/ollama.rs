//! Ollama's own chat.

mod read;
mod write;

use serde_json::Value;
use url::Url;

use super::{Dialect, Framing, Reader, names_in};
use crate::memory::Memory;
use crate::{ModelRequest, Spec};

pub(super) struct Ollama;

/// Its address is often written as that of its OpenAI-compatible side.
fn at(base: &Url, tail: &str) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").or(path.strip_suffix("/api")).unwrap_or(path);
    url.set_path(&format!("{path}/api/{tail}"));
    url
}

impl Dialect for Ollama {
    fn endpoint(&self, base: &Url, _: &str) -> Url {
        at(base, "chat")
    }

    fn models_endpoint(&self, base: &Url) -> Url {
        at(base, "tags")
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn write(&self, req: &ModelRequest, spec: &Spec, _: &Memory) -> Value {
        write::write_body(req, spec)
    }

    fn write_tool(&self, name: &str, description: &str, schema: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":{name},"description":{description},"parameters":{schema}}}}}"#)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::<read::OllamaReader>::default()
    }

    fn read_models(&self, list: &Value) -> Option<Vec<String>> {
        names_in(&list["models"], "name")
    }
}
