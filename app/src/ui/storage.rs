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
    try_write(key, value);
}

/// Says whether it is stored, for what may not be dropped without a word.
pub fn try_write(key: &str, value: &str) -> bool {
    local().is_some_and(|storage| storage.set_item(key, value).is_ok())
}

pub fn remove(key: &str) {
    if let Some(storage) = local() {
        let _ = storage.remove_item(key);
    }
}

/// The keys that begin with `prefix`.
pub fn keys(prefix: &str) -> Vec<String> {
    let Some(storage) = local() else { return Vec::new() };
    let keys = (0..storage.length().unwrap_or(0)).filter_map(|at| storage.key(at).ok().flatten());
    keys.filter(|key| key.starts_with(prefix)).collect()
}

/// Characters kept under keys that begin with `prefix`, all but one of them.
pub fn size_of_others(prefix: &str, but: &str) -> usize {
    keys(prefix).iter().filter(|key| *key != but).filter_map(|key| read(key)).map(|value| value.len()).sum()
}

fn session() -> Option<leptos::web_sys::Storage> {
    window().session_storage().ok().flatten()
}

/// A name that this tab of the browser has under `key`; it stays over reloads and is made when it is first asked for.
pub fn session_id(key: &str) -> String {
    session().and_then(|storage| storage.get_item(key).ok().flatten()).unwrap_or_else(|| renew_session_id(key))
}

/// Gives this tab of the browser another name under `key`.
pub fn renew_session_id(key: &str) -> String {
    let made = format!("{:x}{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 1e9) as u64);
    if let Some(storage) = session() {
        let _ = storage.set_item(key, &made);
    }
    made
}
