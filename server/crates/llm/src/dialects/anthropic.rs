//! Anthropic's messages.

mod read;
mod write;

use serde_json::Value;
use url::Url;

use super::{Dialect, Reader, join};
use crate::memory::Memory;
use crate::{ModelRequest, Spec};

pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn endpoint(&self, base: &Url, _: &str) -> Url {
        join(base, "/v1", "messages")
    }

    fn models_endpoint(&self, base: &Url) -> Url {
        let mut url = join(base, "/v1", "models");
        url.set_query(Some("limit=1000"));
        url
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-api-key", "")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn write(&self, req: &ModelRequest, _: &Spec, memory: &Memory) -> Value {
        write::write_body(req, memory)
    }

    fn write_tool(&self, name: &str, description: &str, schema: &str) -> String {
        format!(r#"{{"name":{name},"description":{description},"input_schema":{schema}}}"#)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::<read::MessagesReader>::default()
    }
}
