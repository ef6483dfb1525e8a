//! The way to a person's devices. What asks them is a JavaScript module, since only a script can; there is a half for the browser, and one
//! with the same names that does nothing, for the server.

pub use half::*;

#[cfg(target_arch = "wasm32")]
mod half {
    use serde_json::Value;
    use wasm_bindgen::{JsCast, prelude::wasm_bindgen};
    use wasm_bindgen_futures::JsFuture;

    use crate::editor::module;

    #[wasm_bindgen]
    extern "C" {
        type Passkeys;
        #[wasm_bindgen(method)]
        fn create(this: &Passkeys, options: &str) -> js_sys::Promise;
        #[wasm_bindgen(method)]
        fn watch(this: &Passkeys);
    }

    async fn load() -> Result<Passkeys, String> {
        module::load("passkeys").await.map(JsCast::unchecked_into)
    }

    pub async fn create(options: &Value) -> Result<Value, String> {
        let made = JsFuture::from(load().await?.create(&options.to_string())).await;
        let unclear = || "The device could not be asked. Nothing was added.".to_owned();
        let text = made.map_err(|why| why.as_string().unwrap_or_else(unclear))?;
        text.as_string().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(unclear)
    }

    pub async fn watch_sign_in() {
        if let Ok(passkeys) = load().await {
            passkeys.watch();
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod half {
    use serde_json::Value;

    /// Has a device make a key. The error is a sentence for the person.
    pub async fn create(_options: &Value) -> Result<Value, String> {
        Err("Only a browser can ask a device.".to_owned())
    }

    /// Brings the form for passkeys alive where the page was not loaded with its own script.
    pub async fn watch_sign_in() {}
}
