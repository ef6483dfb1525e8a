//! Google's generateContent.

mod read;
mod write;

use serde_json::Value;
use url::Url;

use super::{Dialect, Reader, join, names_in};
use crate::memory::Memory;
use crate::{ModelRequest, Spec};

const VERSION: &str = "/v1beta";

pub(super) struct Gemini;

impl Dialect for Gemini {
    fn endpoint(&self, base: &Url, model: &str) -> Url {
        let mut url = join(base, VERSION, "models");
        let model = model.strip_prefix("models/").unwrap_or(model);
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&format!("{model}:streamGenerateContent"));
        }
        url.set_query(Some("alt=sse"));
        url
    }

    fn models_endpoint(&self, base: &Url) -> Url {
        let mut url = join(base, VERSION, "models");
        url.set_query(Some("pageSize=1000"));
        url
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-goog-api-key", "")
    }

    fn write(&self, req: &ModelRequest, _: &Spec, memory: &Memory) -> Value {
        write::write_body(req, memory)
    }

    fn write_tool(&self, name: &str, description: &str, schema: &str) -> String {
        format!(r#"{{"name":{name},"description":{description},"parametersJsonSchema":{schema}}}"#)
    }

    fn write_tools(&self, entries: &str) -> String {
        format!(r#"[{{"functionDeclarations":[{entries}]}}]"#)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::<read::GeminiReader>::default()
    }

    fn read_models(&self, list: &Value) -> Option<Vec<String>> {
        let names = names_in(&list["models"], "name")?;
        Some(names.into_iter().map(|name| name.strip_prefix("models/").unwrap_or(&name).to_owned()).collect())
    }
}
