//! xterm: what a run prints, and terminals to type into.

use serde::{Deserialize, Serialize};

use super::PageKey;

pub use half::*;

/// How the person wants every terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handling {
    /// Pixels.
    pub font_size: u8,
    /// What does not go to the program inside.
    pub keys: Vec<PageKey>,
}

/// What a watched terminal reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TerminalEvent {
    /// The view left the end, or came back to it.
    Scrolled { away: bool },
    /// What a search found; `index` counts from 0 and is -1 beyond what is counted.
    Results { index: i32, count: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Next,
    Previous,
}

#[cfg(target_arch = "wasm32")]
mod half {
    use std::{cell::RefCell, collections::BTreeMap};

    use leptos::web_sys::HtmlElement;
    use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};

    use super::{Direction, Handling, TerminalEvent};
    use crate::editor::module;

    #[wasm_bindgen]
    extern "C" {
        #[derive(Clone)]
        type Facade;
        #[wasm_bindgen(method)]
        fn create(this: &Facade, el: &HtmlElement, options: &JsValue) -> u32;
        #[wasm_bindgen(method)]
        fn write(this: &Facade, handle: u32, data: &js_sys::Uint8Array, done: &JsValue);
        #[wasm_bindgen(method, js_name = contentHeight)]
        fn content_height(this: &Facade, handle: u32, min: u32, max: u32) -> Option<f64>;
        #[wasm_bindgen(method)]
        fn clear(this: &Facade, handle: u32);
        #[wasm_bindgen(method)]
        fn fit(this: &Facade, handle: u32) -> JsValue;
        #[wasm_bindgen(method)]
        fn resize(this: &Facade, handle: u32, cols: u16, rows: u16);
        #[wasm_bindgen(method, js_name = setInput)]
        fn set_input(this: &Facade, handle: u32, on: bool);
        #[wasm_bindgen(method)]
        fn press(this: &Facade, handle: u32, key: &str);
        #[wasm_bindgen(method)]
        fn focus(this: &Facade, handle: u32);
        #[wasm_bindgen(method)]
        fn search(this: &Facade, handle: u32, text: &str, direction: &str) -> bool;
        #[wasm_bindgen(method)]
        fn watch(this: &Facade, handle: u32, on_event: &JsValue);
        #[wasm_bindgen(method, js_name = toEnd)]
        fn to_end(this: &Facade, handle: u32);
        #[wasm_bindgen(method, js_name = getText)]
        fn get_text(this: &Facade, handle: u32) -> String;
        #[wasm_bindgen(method, js_name = setTheme)]
        fn set_theme(this: &Facade, name: &str);
        #[wasm_bindgen(method, js_name = setHandling)]
        fn set_handling(this: &Facade, json: &str);
        #[wasm_bindgen(method, js_name = setScreenReaderMode)]
        fn set_screen_reader_mode(this: &Facade, handle: u32, on: bool);
        #[wasm_bindgen(method)]
        fn dispose(this: &Facade, handle: u32);
    }

    /// What a terminal calls, kept as long as the terminal.
    struct Listeners {
        data: Closure<dyn FnMut(String)>,
        fit: Option<Closure<dyn FnMut(u16, u16)>>,
    }

    type Watcher = Closure<dyn FnMut(String)>;

    thread_local! {
        static WATCHERS: RefCell<BTreeMap<u32, Watcher>> = const { RefCell::new(BTreeMap::new()) };
        static HANDLING: RefCell<Option<String>> = const { RefCell::new(None) };
        static FACADE: RefCell<Option<Facade>> = const { RefCell::new(None) };
        static LISTENERS: RefCell<BTreeMap<u32, Listeners>> = const { RefCell::new(BTreeMap::new()) };
    }

    fn with<T>(call: impl FnOnce(&Facade) -> T) -> Option<T> {
        let facade = FACADE.with_borrow(Clone::clone);
        facade.as_ref().map(call)
    }

    pub async fn load() -> Result<(), String> {
        if FACADE.with_borrow(Option::is_some) {
            return Ok(());
        }
        let module = module::load("terminal").await?;
        FACADE.with_borrow_mut(|facade| {
            facade.get_or_insert_with(|| module.unchecked_into());
        });
        if let Some(json) = HANDLING.with_borrow(Clone::clone) {
            let _ = with(|f| f.set_handling(&json));
        }
        Ok(())
    }

    pub fn set_handling(handling: &Handling) {
        let Ok(json) = serde_json::to_string(handling) else { return };
        let _ = with(|f| f.set_handling(&json));
        HANDLING.set(Some(json));
    }

    pub fn set_theme(dark: bool) {
        let _ = with(|f| f.set_theme(if dark { "dark" } else { "light" }));
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Terminal(u32);

    impl Terminal {
        pub fn create_output(el: &HtmlElement, label: &str) -> Option<Self> {
            Self::make(el, label, None)
        }

        pub fn create(
            el: &HtmlElement,
            label: &str,
            on_data: impl Fn(String) + 'static,
            on_fit: Option<impl Fn(u16, u16) + 'static>,
        ) -> Option<Self> {
            let fit = on_fit.map(|on_fit| Closure::new(on_fit) as Closure<dyn FnMut(u16, u16)>);
            Self::make(el, label, Some(Listeners { data: Closure::new(on_data), fit }))
        }

        fn make(el: &HtmlElement, label: &str, listeners: Option<Listeners>) -> Option<Self> {
            let options = js_sys::Object::new();
            let set = |key: &str, value: &JsValue| {
                let _ = js_sys::Reflect::set(&options, &JsValue::from_str(key), value);
            };
            set("label", &JsValue::from_str(label));
            match &listeners {
                Some(listeners) => set("onData", listeners.data.as_ref()),
                None => set("readOnly", &JsValue::TRUE),
            }
            if let Some(fit) = listeners.as_ref().and_then(|listeners| listeners.fit.as_ref()) {
                set("onFit", fit.as_ref());
            }
            let handle = with(|f| f.create(el, &options))?;
            if let Some(listeners) = listeners {
                LISTENERS.with_borrow_mut(|all| all.insert(handle, listeners));
            }
            Some(Self(handle))
        }

        pub fn write(self, bytes: &[u8], done: impl FnOnce() + 'static) {
            // Copied: the terminal reads it later, when a view into our memory may be stale.
            let bytes = js_sys::Uint8Array::from(bytes);
            let done = Closure::once_into_js(done);
            let _ = with(|f| f.write(self.0, &bytes, &done));
        }

        pub fn content_height(self, min: u32, max: u32) -> Option<f64> {
            with(|f| f.content_height(self.0, min, max)).flatten()
        }

        pub fn clear(self) {
            let _ = with(|f| f.clear(self.0));
        }

        pub fn fit(self) -> Option<(u32, u32)> {
            let size: js_sys::Array = with(|f| f.fit(self.0))?.dyn_into().ok()?;
            let number = |at: u32| size.get(at).as_f64().map(|n| n as u32);
            Some((number(0)?, number(1)?))
        }

        pub fn resize(self, cols: u16, rows: u16) {
            let _ = with(|f| f.resize(self.0, cols, rows));
        }

        pub fn set_input(self, on: bool) {
            let _ = with(|f| f.set_input(self.0, on));
        }

        pub fn press(self, key: &str) {
            let _ = with(|f| f.press(self.0, key));
        }

        pub fn focus(self) {
            let _ = with(|f| f.focus(self.0));
        }

        pub fn search(self, text: &str, direction: Direction) -> bool {
            let word = if direction == Direction::Next { "next" } else { "previous" };
            with(|f| f.search(self.0, text, word)).unwrap_or(false)
        }

        pub fn watch(self, on_event: impl Fn(TerminalEvent) + 'static) {
            let watcher = Watcher::new(move |json: String| {
                if let Ok(event) = serde_json::from_str(&json) {
                    on_event(event);
                }
            });
            let _ = with(|f| f.watch(self.0, watcher.as_ref()));
            drop(WATCHERS.with_borrow_mut(|all| all.insert(self.0, watcher)));
        }

        pub fn to_end(self) {
            let _ = with(|f| f.to_end(self.0));
        }

        pub fn text(self) -> String {
            with(|f| f.get_text(self.0)).unwrap_or_default()
        }

        pub fn set_screen_reader_mode(self, on: bool) {
            let _ = with(|f| f.set_screen_reader_mode(self.0, on));
        }

        pub fn dispose(self) {
            let _ = with(|f| f.dispose(self.0));
            drop(LISTENERS.with_borrow_mut(|all| all.remove(&self.0)));
            drop(WATCHERS.with_borrow_mut(|all| all.remove(&self.0)));
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod half {
    use leptos::web_sys::HtmlElement;

    use super::{Direction, Handling, TerminalEvent};

    /// For every terminal of the page, open ones and later ones.
    pub fn set_handling(_handling: &Handling) {}

    /// Loads the terminal; quick when it is there already. The error is a sentence for the person.
    pub async fn load() -> Result<(), String> {
        Ok(())
    }

    /// Dark or light, for every terminal of the page.
    pub fn set_theme(_dark: bool) {}

    /// A terminal in an element; everything does nothing after `dispose`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Terminal(());

    impl Terminal {
        /// For the output of a run: nothing can be typed, a lone line feed starts a new line. `None` before `load` has finished.
        pub fn create_output(_el: &HtmlElement, _label: &str) -> Option<Self> {
            None
        }

        /// For typing into. `on_data` gets what was typed; `on_fit` columns and rows whenever it took another size to fit into its
        /// element, and without it the size is only what `resize` says. `None` before `load` has finished.
        pub fn create(
            _el: &HtmlElement,
            _label: &str,
            _on_data: impl Fn(String) + 'static,
            _on_fit: Option<impl Fn(u16, u16) + 'static>,
        ) -> Option<Self> {
            None
        }

        /// Writes UTF-8, split anywhere; `done` is called when it was taken in.
        pub fn write(self, _bytes: &[u8], _done: impl FnOnce() + 'static) {}

        /// Pixels that what was printed takes, wrapped lines included: at least `min` and at most `max` rows. `None` while hidden.
        pub fn content_height(self, _min: u32, _max: u32) -> Option<f64> {
            None
        }

        pub fn clear(self) {}

        /// Fits to the element and says columns and rows; keeps them while it is hidden.
        pub fn fit(self) -> Option<(u32, u32)> {
            None
        }

        /// Takes the size that another window chose, until this one is fitted or gets the focus.
        pub fn resize(self, _cols: u16, _rows: u16) {}

        /// Whether anything can be typed.
        pub fn set_input(self, _on: bool) {}

        /// Types a key that a touch keyboard lacks: `Escape`, `Tab`, `ArrowUp` and so on.
        pub fn press(self, _key: &str) {}

        pub fn focus(self) {}

        /// Finds a text and says whether it is there; an empty one ends the search.
        pub fn search(self, _text: &str, _direction: Direction) -> bool {
            false
        }

        /// Reports scrolling and what searches find; once per terminal.
        pub fn watch(self, _on_event: impl Fn(TerminalEvent) + 'static) {}

        /// Shows the end, and follows it again.
        pub fn to_end(self) {}

        /// Everything in the buffer, as plain text.
        pub fn text(self) -> String {
            String::new()
        }

        pub fn set_screen_reader_mode(self, _on: bool) {}

        pub fn dispose(self) {}
    }
}
