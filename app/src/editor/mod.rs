//! The only code that touches the editor and the terminal libraries. Both are JavaScript modules loaded by dynamic import when a
//! page first needs them; each file here has a half for the browser and one with the same names that does nothing, for the server.

pub mod drafts;
pub mod monaco;
pub mod terminal;

use serde::Serialize;
use wire::keys::Combo;

#[cfg(target_arch = "wasm32")]
pub use module::asset_url;

/// A combination that editors or terminals leave to the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageKey {
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
    pub key: String,
}

impl From<&Combo> for PageKey {
    fn from(combo: &Combo) -> Self {
        Self { ctrl: combo.ctrl, alt: combo.alt, shift: combo.shift, key: combo.key.clone() }
    }
}

/// Where the build's file of that role is served.
#[cfg(not(target_arch = "wasm32"))]
pub fn asset_url(_entry: &str) -> Option<String> {
    None
}

#[cfg(target_arch = "wasm32")]
pub(crate) mod module {
    use leptos::web_sys;
    use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
    use wasm_bindgen_futures::JsFuture;

    // Rust has no expression for a dynamic import.
    #[wasm_bindgen(inline_js = "export function importModule(url) { return import(url); }")]
    extern "C" {
        #[wasm_bindgen(js_name = importModule)]
        fn import_module(url: &str) -> js_sys::Promise;
    }

    /// The build's manifest as the page carries it, as JSON text.
    fn manifest() -> Option<String> {
        web_sys::window()?.document()?.get_element_by_id("assets")?.text_content()
    }

    pub fn asset_url(entry: &str) -> Option<String> {
        let urls: serde_json::Value = serde_json::from_str(&manifest()?).ok()?;
        urls.get(entry)?.as_str().filter(|url| !url.is_empty()).map(str::to_owned)
    }

    /// Imports the module that the manifest names `entry` and lets it configure itself. The error is a sentence for the person.
    pub async fn load(entry: &str) -> Result<JsValue, String> {
        let manifest = manifest().ok_or("This page does not say where its parts are. Reload it.")?;
        let urls: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
        let url = urls.get(entry).and_then(serde_json::Value::as_str).unwrap_or_default();
        if url.is_empty() {
            return Err("This server was started without its browser files.".to_owned());
        }
        let failed = |_: JsValue| {
            "A part of the page could not be loaded. Your files are safe; reload the page when the connection is back.".to_owned()
        };
        let module = JsFuture::from(import_module(url)).await.map_err(failed)?;
        let configure = js_sys::Reflect::get(&module, &JsValue::from_str("configure")).map_err(failed)?;
        let configure: js_sys::Function = configure.dyn_into().map_err(failed)?;
        let done = configure.call1(&module, &JsValue::from_str(&manifest)).map_err(failed)?;
        JsFuture::from(js_sys::Promise::resolve(&done)).await.map_err(failed)?;
        Ok(module)
    }
}
