//! OpenAI's responses. Nothing is stored at the provider: each request carries the whole conversation.

mod read;
mod write;

use serde_json::Value;
use url::Url;

use super::{Dialect, Reader, join};
use crate::memory::Memory;
use crate::{ModelRequest, Spec};

pub(super) struct OpenaiResponses;

impl Dialect for OpenaiResponses {
    fn endpoint(&self, base: &Url, _: &str) -> Url {
        join(base, "/v1", "responses")
    }

    fn models_endpoint(&self, base: &Url) -> Url {
        join(base, "/v1", "models")
    }

    fn write(&self, req: &ModelRequest, spec: &Spec, memory: &Memory) -> Value {
        write::write_body(req, spec, memory)
    }

    fn write_tool(&self, name: &str, description: &str, schema: &str) -> String {
        format!(r#"{{"type":"function","name":{name},"description":{description},"parameters":{schema},"strict":false}}"#)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::<read::ResponsesReader>::default()
    }
}
