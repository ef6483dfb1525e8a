//! Copying to the clipboard, also where the page has no secure origin.

use leptos::{
    prelude::*,
    task::spawn_local,
    wasm_bindgen::{JsCast, JsValue},
    web_sys,
};

use crate::ui::Toasts;

/// Copies `text` and says so; `what` names it in the sentence. Only in event handlers.
pub fn copy(text: String, what: &'static str, toasts: Toasts) {
    spawn_local(async move {
        if write(&text).await {
            toasts.show(format!("Copied the {what}"));
        } else {
            toasts.show("The browser does not let this page copy. Select the text and copy it by hand.");
        }
    });
}

async fn write(text: &str) -> bool {
    let navigator = window().navigator();
    // Over plain http the property is missing, whatever the bindings say.
    let offered = js_sys::Reflect::get(&navigator, &JsValue::from_str("clipboard")).is_ok_and(|clipboard| clipboard.is_object());
    if offered && wasm_bindgen_futures::JsFuture::from(navigator.clipboard().write_text(text)).await.is_ok() {
        return true;
    }
    write_by_selection(text).unwrap_or(false)
}

fn write_by_selection(text: &str) -> Option<bool> {
    let document = document();
    let field: web_sys::HtmlTextAreaElement = document.create_element("textarea").ok()?.dyn_into().ok()?;
    field.set_class_name("sr");
    field.set_value(text);
    document.body()?.append_child(&field).ok()?;
    field.select();
    let command = js_sys::Reflect::get(&document, &JsValue::from_str("execCommand")).ok()?;
    let done = command.dyn_into::<js_sys::Function>().ok()?.call1(&document, &JsValue::from_str("copy"));
    field.remove();
    done.ok()?.as_bool()
}
