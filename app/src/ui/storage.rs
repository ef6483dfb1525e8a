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

/// Characters kept under keys that begin with `prefix`, all but one of them.
pub fn size_of_others(prefix: &str, but: &str) -> usize {
    let Some(storage) = local() else { return 0 };
    let keys = (0..storage.length().unwrap_or(0)).filter_map(|at| storage.key(at).ok().flatten());
    let others = keys.filter(|key| key.starts_with(prefix) && key != but);
    others.filter_map(|key| storage.get_item(&key).ok().flatten()).map(|value| value.len()).sum()
}

/// A name that this tab of the browser has under `key`; it stays over reloads and is made when it is first asked for.
pub fn session_id(key: &str) -> String {
    let storage = window().session_storage().ok().flatten();
    if let Some(known) = storage.as_ref().and_then(|storage| storage.get_item(key).ok().flatten()) {
        return known;
    }
    let made = format!("{:x}{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 1e9) as u64);
    if let Some(storage) = storage {
        let _ = storage.set_item(key, &made);
    }
    made
}
