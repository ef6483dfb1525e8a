//! The browser's entry point: takes over the page the server has rendered.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called once by the page's script after the module is loaded.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
}
