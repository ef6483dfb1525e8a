//! Which window of the browser this is, and which others are open. Each holds a lock of the browser under its name, which goes with the
//! window however it ends. Where the browser offers no locks, over plain http, no other window is known to be open.

use std::{cell::RefCell, collections::BTreeSet};

use leptos::{
    prelude::window,
    task::spawn_local,
    wasm_bindgen::{JsCast, JsValue, closure::Closure},
};
use wasm_bindgen_futures::JsFuture;

use crate::ui::storage;

const KEY: &str = "page";
const LOCK: &str = "window:";
/// A page that is loaded again may come before the browser has let go of what it was before.
const TRIES: u32 = 3;
const BETWEEN_TRIES_MS: i32 = 200;

thread_local! {
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
    static CLAIM: RefCell<Option<js_sys::Promise>> = const { RefCell::new(None) };
}

/// Names this window, also over a reload: two windows may edit one file, and what one keeps is not the other's.
pub fn name() -> String {
    NAME.with_borrow_mut(|name| name.get_or_insert_with(|| storage::session_id(KEY)).clone())
}

/// Makes the name this window's alone. To be awaited before anything is read that was kept under it: a window that was duplicated
/// begins with the name of the one that it was made from.
pub async fn claim() {
    let known = CLAIM.with_borrow(Clone::clone);
    let claim = known.unwrap_or_else(|| {
        let made = js_sys::Promise::new(&mut |done, _| {
            spawn_local(async move {
                hold_a_name().await;
                let _ = done.call0(&JsValue::NULL);
            });
        });
        CLAIM.with_borrow_mut(|claim| *claim = Some(made.clone()));
        made
    });
    let _ = JsFuture::from(claim).await;
}

async fn hold_a_name() {
    for attempt in 1..=TRIES {
        if hold(&name()).await != Some(false) {
            return;
        }
        if attempt < TRIES {
            rest().await;
        }
    }
    NAME.set(Some(storage::renew_session_id(KEY)));
    hold(&name()).await;
}

async fn rest() {
    let over = js_sys::Promise::new(&mut |done, _| {
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&done, BETWEEN_TRIES_MS);
    });
    let _ = JsFuture::from(over).await;
}

/// The names of the windows that are open, this one included, as far as the browser tells them.
pub async fn open() -> BTreeSet<String> {
    held().await.unwrap_or_default()
}

fn get(of: &JsValue, key: &str) -> Option<JsValue> {
    js_sys::Reflect::get(of, &JsValue::from_str(key)).ok()
}

fn locks() -> Option<JsValue> {
    get(&window().navigator(), "locks").filter(JsValue::is_object)
}

/// Takes the lock of a name for as long as the window lives. False where another window has it, `None` where there are no locks.
async fn hold(name: &str) -> Option<bool> {
    let locks = locks()?;
    let request: js_sys::Function = get(&locks, "request")?.dyn_into().ok()?;
    let options = JsValue::from(js_sys::Object::new());
    js_sys::Reflect::set(&options, &JsValue::from_str("ifAvailable"), &JsValue::TRUE).ok()?;
    let lock = JsValue::from_str(&format!("{LOCK}{name}"));
    let mut asked: Option<JsValue> = None;
    let told = js_sys::Promise::new(&mut |tell, _| {
        let taken = move |lock: JsValue| -> JsValue {
            let is_given = lock.is_object();
            let _ = tell.call1(&JsValue::NULL, &JsValue::from_bool(is_given));
            // The lock is held until this promise is kept, which is never.
            if is_given { js_sys::Promise::new(&mut |_, _| {}).into() } else { JsValue::UNDEFINED }
        };
        let taken = Closure::<dyn FnMut(JsValue) -> JsValue>::once_into_js(taken);
        asked = request.call3(&locks, &lock, &options, &taken).ok();
    });
    // A refusal ends only the request itself.
    let either = js_sys::Promise::race(&js_sys::Array::of2(&told, &asked?));
    JsFuture::from(either).await.ok()?.as_bool()
}

async fn held() -> Option<BTreeSet<String>> {
    let locks = locks()?;
    let query: js_sys::Function = get(&locks, "query")?.dyn_into().ok()?;
    let asked: js_sys::Promise = query.call0(&locks).ok()?.dyn_into().ok()?;
    let answer = JsFuture::from(asked).await.ok()?;
    let held: js_sys::Array = get(&answer, "held")?.dyn_into().ok()?;
    Some(held.iter().filter_map(|lock| get(&lock, "name")?.as_string()?.strip_prefix(LOCK).map(str::to_owned)).collect())
}
