//! Unsaved texts too large for the browser's plain storage. Quiet where storage is refused.

pub use half::*;

#[cfg(target_arch = "wasm32")]
mod half {
    use std::cell::RefCell;

    use wasm_bindgen::{JsCast, prelude::wasm_bindgen};
    use wasm_bindgen_futures::JsFuture;

    use crate::editor::module;

    #[wasm_bindgen]
    extern "C" {
        #[derive(Clone)]
        type Drafts;
        #[wasm_bindgen(method)]
        fn put(this: &Drafts, key: &str, value: &str, cap: f64) -> js_sys::Promise;
        #[wasm_bindgen(method)]
        fn get(this: &Drafts, key: &str) -> js_sys::Promise;
        #[wasm_bindgen(method)]
        fn remove(this: &Drafts, key: &str) -> js_sys::Promise;
    }

    thread_local! {
        static DRAFTS: RefCell<Option<Drafts>> = const { RefCell::new(None) };
    }

    async fn drafts() -> Option<Drafts> {
        if let Some(known) = DRAFTS.with_borrow(Clone::clone) {
            return Some(known);
        }
        let module: Drafts = module::load("drafts").await.ok()?.unchecked_into();
        DRAFTS.with_borrow_mut(|drafts| *drafts = Some(module.clone()));
        Some(module)
    }

    pub async fn put(key: &str, value: &str, cap: usize) -> bool {
        let Some(drafts) = drafts().await else { return false };
        JsFuture::from(drafts.put(key, value, cap as f64)).await.is_ok_and(|done| done.as_bool() == Some(true))
    }

    pub async fn get(key: &str) -> Option<String> {
        JsFuture::from(drafts().await?.get(key)).await.ok()?.as_string()
    }

    pub async fn remove(key: &str) {
        if let Some(drafts) = drafts().await {
            let _ = JsFuture::from(drafts.remove(key)).await;
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod half {
    /// Keeps a text, and says whether it is kept. The oldest go when all together would take more than `cap` characters.
    pub async fn put(_key: &str, _value: &str, _cap: usize) -> bool {
        false
    }

    pub async fn get(_key: &str) -> Option<String> {
        None
    }

    pub async fn remove(_key: &str) {}
}
