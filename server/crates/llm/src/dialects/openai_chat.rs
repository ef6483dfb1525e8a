//! OpenAI's chat completions, and every server that speaks them.

mod read;
mod write;

use serde_json::Value;
use url::Url;

use super::{Dialect, Reader, join};
use crate::memory::Memory;
use crate::{ModelRequest, Spec};

pub(super) struct OpenaiChat;

impl Dialect for OpenaiChat {
    fn endpoint(&self, base: &Url, _: &str) -> Url {
        join(base, "/v1", "chat/completions")
    }

    fn models_endpoint(&self, base: &Url) -> Url {
        join(base, "/v1", "models")
    }

    fn write(&self, req: &ModelRequest, spec: &Spec, _: &Memory) -> Value {
        write::write_body(req, spec)
    }

    fn write_tool(&self, name: &str, description: &str, schema: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":{name},"description":{description},"parameters":{schema}}}}}"#)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(read::ChatReader)
    }
}
