//! What this browser remembers. Every call is quiet where storage is refused (private windows, full disks): the product
//! works without it.

use leptos::prelude::window;

fn local() -> Option<leptos::web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// The stored text. Only in effects and event handlers: while rendering on the server there is no browser.
pub fn read(key: &str) -> Option<String> {
    local()?.get_item(key).ok().flatten()
}

pub fn write(key: &str, value: &str) {
    if let Some(storage) = local() {
        let _ = storage.set_item(key, value);
    }
}

pub fn remove(key: &str) {
    if let Some(storage) = local() {
        let _ = storage.remove_item(key);
    }
}
