//! Monaco: editors, open texts ("models", named by their path in the project) and comparisons.

use serde::{Deserialize, Serialize};
use wire::preferences::{LineNumbers, Whitespace};

use super::PageKey;

pub use half::*;

/// How the person wants every editor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handling {
    /// Pixels.
    pub font_size: u8,
    pub tab_size: u8,
    pub insert_spaces: bool,
    pub detect_indentation: bool,
    pub word_wrap: bool,
    pub minimap: bool,
    pub line_numbers: LineNumbers,
    pub render_whitespace: Whitespace,
    pub font_ligatures: bool,
    pub format_on_paste: bool,
    /// What the page's commands have.
    pub keys: Vec<PageKey>,
}

/// What an editor reports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum EditorEvent {
    /// Sent only when the answer changes.
    Dirty {
        uri: String,
        dirty: bool,
    },
    /// Chosen in the editor's own list of commands.
    Save {
        uri: String,
    },
    /// The keyboard came to the editor with its widgets, or left it; `uri` is empty while it shows nothing.
    Focus {
        uri: String,
    },
    Blur {
        uri: String,
    },
    /// Conflicts of a merge: not decided yet, and all.
    Merge {
        open: u32,
        total: u32,
    },
    /// 1-based; `selected` counts characters.
    Cursor {
        uri: String,
        line: u32,
        col: u32,
        selected: u32,
    },
    /// An entry added with `add_command`; `text` is the selection.
    #[serde(rename_all = "camelCase")]
    Command {
        id: String,
        uri: String,
        text: String,
        start_line: u32,
        end_line: u32,
    },
}

/// How a text is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelOptions {
    /// Why it may not be edited; empty where it may.
    pub read_only: String,
    pub style: ModelStyle,
    /// Without what looks at the whole text.
    pub light: bool,
}

/// What `.editorconfig` says of the looks of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStyle {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insert_spaces: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indent_size: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tab_width: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_line_length: Option<u32>,
}

/// How a text was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    pub created: bool,
    /// As people call it.
    pub language: String,
}

/// How a comparison is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffOptions {
    pub inline: bool,
    /// What the two sides are called to those who hear them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<&'static str>,
}

#[cfg(target_arch = "wasm32")]
mod half {
    use std::{cell::RefCell, collections::BTreeMap};

    use leptos::web_sys::HtmlElement;
    use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};

    use super::{DiffOptions, EditorEvent, Handling, ModelInfo, ModelOptions, ModelStyle};
    use crate::editor::module;

    #[wasm_bindgen]
    extern "C" {
        #[derive(Clone)]
        type Facade;
        #[wasm_bindgen(method, js_name = createEditor)]
        fn create_editor(this: &Facade, el: &HtmlElement, on_event: &JsValue) -> u32;
        #[wasm_bindgen(method, js_name = addCommand)]
        fn add_command(this: &Facade, handle: u32, id: &str, label: &str);
        #[wasm_bindgen(method, js_name = openModel)]
        fn open_model(this: &Facade, uri: &str, text: &str, hint: &str, options: &str) -> String;
        #[wasm_bindgen(method, js_name = tidyModel)]
        fn tidy_model(this: &Facade, uri: &str, options: &str);
        #[wasm_bindgen(method, js_name = setModelStyle)]
        fn set_model_style(this: &Facade, uri: &str, style: &str);
        #[wasm_bindgen(method, js_name = setModelText)]
        fn set_model_text(this: &Facade, uri: &str, text: &str, saved: bool);
        #[wasm_bindgen(method, js_name = getModelText)]
        fn get_model_text(this: &Facade, uri: &str) -> Option<String>;
        #[wasm_bindgen(method, js_name = getModelVersion)]
        fn get_model_version(this: &Facade, uri: &str) -> Option<f64>;
        #[wasm_bindgen(method, js_name = markSaved)]
        fn mark_saved(this: &Facade, uri: &str, version: Option<f64>);
        #[wasm_bindgen(method, js_name = selectedText)]
        fn selected_text(this: &Facade) -> String;
        #[wasm_bindgen(method, js_name = insertAtCursor)]
        fn insert_at_cursor(this: &Facade, uri: &str, text: &str) -> bool;
        #[wasm_bindgen(method, js_name = textWith)]
        fn text_with(this: &Facade, uri: &str, text: &str) -> Option<String>;
        #[wasm_bindgen(method, js_name = isDirty)]
        fn is_dirty(this: &Facade, uri: &str) -> bool;
        #[wasm_bindgen(method, js_name = closeModel)]
        fn close_model(this: &Facade, uri: &str);
        #[wasm_bindgen(method, js_name = showModel)]
        fn show_model(this: &Facade, handle: u32, uri: &str) -> bool;
        #[wasm_bindgen(method, js_name = setReadOnly)]
        fn set_read_only(this: &Facade, uri: &str, reason: &str);
        #[wasm_bindgen(method, js_name = createDiff)]
        fn create_diff(this: &Facade, el: &HtmlElement, original: &str, modified: &str, path: &str, options: &str) -> u32;
        #[wasm_bindgen(method, js_name = createComparison)]
        fn create_comparison(this: &Facade, el: &HtmlElement, original: &str, uri: &str, options: &str) -> u32;
        #[wasm_bindgen(method, js_name = createMerge)]
        fn create_merge(this: &Facade, el: &HtmlElement, pieces: &str, path: &str, on_event: &JsValue) -> u32;
        #[wasm_bindgen(method, js_name = getMergedText)]
        fn get_merged_text(this: &Facade, handle: u32) -> Option<String>;
        #[wasm_bindgen(method, js_name = nextConflict)]
        fn next_conflict(this: &Facade, handle: u32);
        #[wasm_bindgen(method)]
        fn trigger(this: &Facade, handle: u32, action: &str);
        #[wasm_bindgen(method, js_name = setTheme)]
        fn set_theme(this: &Facade, name: &str);
        #[wasm_bindgen(method, js_name = setHandling)]
        fn set_handling(this: &Facade, json: &str);
        #[wasm_bindgen(method)]
        fn layout(this: &Facade, handle: u32);
        #[wasm_bindgen(method)]
        fn focus(this: &Facade, handle: u32);
        #[wasm_bindgen(method)]
        fn reveal(this: &Facade, handle: u32, line: u32, col: u32);
        #[wasm_bindgen(method)]
        fn dispose(this: &Facade, handle: u32);
    }

    type Listener = Closure<dyn FnMut(String)>;

    thread_local! {
        static FACADE: RefCell<Option<Facade>> = const { RefCell::new(None) };
        static LISTENERS: RefCell<BTreeMap<u32, Listener>> = const { RefCell::new(BTreeMap::new()) };
        static HANDLING: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    fn with<T>(call: impl FnOnce(&Facade) -> T) -> Option<T> {
        // Cloned, because the facade calls back while it is being called.
        let facade = FACADE.with_borrow(Clone::clone);
        facade.as_ref().map(call)
    }

    pub async fn load() -> Result<(), String> {
        if FACADE.with_borrow(Option::is_some) {
            return Ok(());
        }
        let module = module::load("editor").await?;
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

    pub fn set_model_text(path: &str, text: &str, saved: bool) {
        let _ = with(|f| f.set_model_text(path, text, saved));
    }

    pub fn model_text(path: &str) -> Option<String> {
        with(|f| f.get_model_text(path)).flatten()
    }

    /// What is selected in the editor that has the keyboard; empty when nothing is.
    pub fn selected_text() -> String {
        with(Facade::selected_text).unwrap_or_default()
    }

    /// Puts text in place of the selection in the editor that shows the file; false where it can't be changed.
    pub fn insert_at_cursor(path: &str, text: &str) -> bool {
        with(|f| f.insert_at_cursor(path, text)).unwrap_or(false)
    }

    /// What the file would hold with `text` in place of the selection. Changes nothing.
    pub fn text_with(path: &str, text: &str) -> Option<String> {
        with(|f| f.text_with(path, text)).flatten()
    }

    pub fn model_version(path: &str) -> Option<f64> {
        with(|f| f.get_model_version(path)).flatten()
    }

    pub fn mark_saved(path: &str, version: Option<f64>) {
        let _ = with(|f| f.mark_saved(path, version));
    }

    pub fn is_dirty(path: &str) -> bool {
        with(|f| f.is_dirty(path)).unwrap_or(false)
    }

    pub fn close_model(path: &str) {
        let _ = with(|f| f.close_model(path));
    }

    pub fn set_read_only(path: &str, reason: &str) {
        let _ = with(|f| f.set_read_only(path, reason));
    }

    pub fn open_model(path: &str, text: &str, options: &ModelOptions) -> ModelInfo {
        let options = serde_json::to_string(options).unwrap_or_default();
        let info = with(|f| f.open_model(path, text, path, &options)).unwrap_or_default();
        serde_json::from_str(&info).unwrap_or_default()
    }

    pub fn tidy(path: &str, trim: bool, final_newline: bool, spare_cursors: bool) {
        let options = format!("{{\"trim\":{trim},\"finalNewline\":{final_newline},\"spareCursors\":{spare_cursors}}}");
        let _ = with(|f| f.tidy_model(path, &options));
    }

    pub fn set_style(path: &str, style: &ModelStyle) {
        let Ok(json) = serde_json::to_string(style) else { return };
        let _ = with(|f| f.set_model_style(path, &json));
    }

    fn listen(on_event: impl Fn(EditorEvent) + 'static) -> Listener {
        Listener::new(move |json: String| {
            if let Ok(event) = serde_json::from_str(&json) {
                on_event(event);
            }
        })
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Editor(u32);

    impl Editor {
        pub fn create(el: &HtmlElement, on_event: impl Fn(EditorEvent) + 'static) -> Option<Self> {
            let listener = listen(on_event);
            let handle = with(|f| f.create_editor(el, listener.as_ref()))?;
            LISTENERS.with_borrow_mut(|all| all.insert(handle, listener));
            Some(Self(handle))
        }

        pub fn add_command(self, id: &str, label: &str) {
            let _ = with(|f| f.add_command(self.0, id, label));
        }

        pub fn trigger(self, action: &str) {
            let _ = with(|f| f.trigger(self.0, action));
        }

        pub fn show(self, path: &str) -> bool {
            with(|f| f.show_model(self.0, path)).unwrap_or(false)
        }

        pub fn layout(self) {
            let _ = with(|f| f.layout(self.0));
        }

        pub fn focus(self) {
            let _ = with(|f| f.focus(self.0));
        }

        pub fn reveal(self, line: u32, column: u32) {
            let _ = with(|f| f.reveal(self.0, line, column));
        }

        pub fn dispose(self) {
            let _ = with(|f| f.dispose(self.0));
            drop(LISTENERS.with_borrow_mut(|all| all.remove(&self.0)));
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Diff(u32);

    impl Diff {
        pub fn create(el: &HtmlElement, original: &str, modified: &str, path: &str, read_only: bool, inline: bool) -> Option<Self> {
            let options = format!("{{\"readOnly\":{read_only},\"inline\":{inline}}}");
            with(|f| f.create_diff(el, original, modified, path, &options)).map(Self)
        }

        pub fn with_model(el: &HtmlElement, original: &str, path: &str, options: DiffOptions) -> Option<Self> {
            let options = serde_json::to_string(&options).unwrap_or_default();
            with(|f| f.create_comparison(el, original, path, &options)).filter(|handle| *handle != 0).map(Self)
        }

        pub fn reveal(self, line: u32, column: u32) {
            let _ = with(|f| f.reveal(self.0, line, column));
        }

        pub fn focus(self) {
            let _ = with(|f| f.focus(self.0));
        }

        pub fn dispose(self) {
            let _ = with(|f| f.dispose(self.0));
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Merge(u32);

    impl Merge {
        pub fn create(el: &HtmlElement, pieces: &str, path: &str, on_event: impl Fn(EditorEvent) + 'static) -> Option<Self> {
            let listener = listen(on_event);
            let handle = with(|f| f.create_merge(el, pieces, path, listener.as_ref()))?;
            LISTENERS.with_borrow_mut(|all| all.insert(handle, listener));
            Some(Self(handle))
        }

        pub fn text(self) -> Option<String> {
            with(|f| f.get_merged_text(self.0)).flatten()
        }

        pub fn next_conflict(self) {
            let _ = with(|f| f.next_conflict(self.0));
        }

        pub fn dispose(self) {
            let _ = with(|f| f.dispose(self.0));
            drop(LISTENERS.with_borrow_mut(|all| all.remove(&self.0)));
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod half {
    use leptos::web_sys::HtmlElement;

    use super::{DiffOptions, EditorEvent, Handling, ModelInfo, ModelOptions, ModelStyle};

    /// For every editor of the page, open ones and later ones.
    pub fn set_handling(_handling: &Handling) {}

    /// Loads the editor; quick when it is there already. The error is a sentence for the person.
    pub async fn load() -> Result<(), String> {
        Ok(())
    }

    /// Dark or light, for every editor and comparison of the page.
    pub fn set_theme(_dark: bool) {}

    /// Replaces a text as one undoable edit; with `saved` it counts as what is stored.
    pub fn set_model_text(_path: &str, _text: &str, _saved: bool) {}

    /// The text of an open model with one kind of line end; `None` when it is not open.
    pub fn model_text(_path: &str) -> Option<String> {
        None
    }

    /// Names the present state of a text, for `mark_saved`.
    pub fn selected_text() -> String {
        String::new()
    }

    /// Puts text in place of the selection in the editor that shows the file; false where it can't be changed.
    pub fn insert_at_cursor(_path: &str, _text: &str) -> bool {
        false
    }

    /// What the file would hold with `text` in place of the selection. Changes nothing.
    pub fn text_with(_path: &str, _text: &str) -> Option<String> {
        None
    }

    pub fn model_version(_path: &str) -> Option<f64> {
        None
    }

    /// The state named by `version` counts as stored; without it, what is there now.
    pub fn mark_saved(_path: &str, _version: Option<f64>) {}

    pub fn is_dirty(_path: &str) -> bool {
        false
    }

    /// Forgets a text with its undo history.
    pub fn close_model(_path: &str) {}

    /// With the reason, empty where the text may be edited.
    pub fn set_read_only(_path: &str, _reason: &str) {}

    /// Opens a text, or leaves an open one as it is but for its looks. Its language follows from the path and the first line.
    pub fn open_model(_path: &str, _text: &str, _options: &ModelOptions) -> ModelInfo {
        ModelInfo::default()
    }

    /// Cuts off blanks at the ends of lines and ends the last line, as one undoable edit. With `spare_cursors` not where a cursor is.
    pub fn tidy(_path: &str, _trim: bool, _final_newline: bool, _spare_cursors: bool) {}

    /// The looks of an open text, where they are others now.
    pub fn set_style(_path: &str, _style: &ModelStyle) {}

    /// An editor in an element. Texts stay open when it is disposed of.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Editor(());

    impl Editor {
        /// `None` before `load` has finished.
        pub fn create(_el: &HtmlElement, _on_event: impl Fn(EditorEvent) + 'static) -> Option<Self> {
            None
        }

        /// Adds an entry to the command list and the context menu; choosing it sends `EditorEvent::Command`.
        pub fn add_command(self, _id: &str, _label: &str) {}

        /// Runs one of the editor's own commands by its id.
        pub fn trigger(self, _action: &str) {}

        /// Shows an open text where the person left it; false when it is not open.
        pub fn show(self, _path: &str) -> bool {
            false
        }

        pub fn layout(self) {}

        pub fn focus(self) {}

        /// Puts the cursor at a 1-based place and scrolls to it.
        pub fn reveal(self, _line: u32, _column: u32) {}

        pub fn dispose(self) {}
    }

    /// Two texts beside each other, the right one editable unless `read_only`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Diff(());

    impl Diff {
        /// `None` before `load` has finished.
        pub fn create(_el: &HtmlElement, _original: &str, _modified: &str, _path: &str, _read_only: bool, _inline: bool) -> Option<Self> {
            None
        }

        /// With an open text on the right; what is typed there is typed into the file. `None` when it is not open.
        pub fn with_model(_el: &HtmlElement, _original: &str, _path: &str, _options: DiffOptions) -> Option<Self> {
            None
        }

        pub fn reveal(self, _line: u32, _column: u32) {}

        pub fn focus(self) {}

        pub fn dispose(self) {}
    }

    /// A merge: one text that can be edited, conflicts in place with their choices.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Merge(());

    impl Merge {
        /// `pieces` are those of `text_merge` as JSON; `on_event` gets `EditorEvent::Merge`. `None` before `load` has finished.
        pub fn create(_el: &HtmlElement, _pieces: &str, _path: &str, _on_event: impl Fn(EditorEvent) + 'static) -> Option<Self> {
            None
        }

        /// The text as it stands, with one kind of line end.
        pub fn text(self) -> Option<String> {
            None
        }

        /// Goes to the next conflict that is not decided.
        pub fn next_conflict(self) {}

        pub fn dispose(self) {}
    }
}
