//! Moving the focus inside lists, tabs, trees and menus with the keyboard.

use leptos::{ev, wasm_bindgen::JsCast, web_sys};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    Horizontal,
    Vertical,
}

/// Moves the focus among the elements of `container` that match `items`, for arrow keys along `axis`, Home and End; it
/// wraps. True when the key was used; the event's default is then prevented.
pub fn rove(event: &ev::KeyboardEvent, container: &web_sys::Element, items: &str, axis: Axis) -> bool {
    let (back, forward) = match axis {
        Axis::Horizontal => ("ArrowLeft", "ArrowRight"),
        Axis::Vertical => ("ArrowUp", "ArrowDown"),
    };
    let list = elements(container, items);
    let Some(last) = list.len().checked_sub(1) else { return false };
    let current = list.iter().position(is_focused);
    let next = match event.key().as_str() {
        key if key == forward => current.map_or(0, |i| if i == last { 0 } else { i + 1 }),
        key if key == back => current.map_or(last, |i| if i == 0 { last } else { i - 1 }),
        "Home" => 0,
        "End" => last,
        _ => return false,
    };
    event.prevent_default();
    let _ = list[next].focus();
    true
}

/// The elements of `container` that match `selector`, in document order.
pub fn elements(container: &web_sys::Element, selector: &str) -> Vec<web_sys::HtmlElement> {
    let Ok(found) = container.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|i| found.item(i)?.dyn_into().ok()).collect()
}

fn is_focused(element: &web_sys::HtmlElement) -> bool {
    leptos::prelude::document().active_element().is_some_and(|active| &active == element.unchecked_ref::<web_sys::Element>())
}

/// True while the keyboard belongs to something that takes text: single letters must not act then.
pub fn is_typing() -> bool {
    leptos::prelude::document()
        .active_element()
        .and_then(|active| active.closest("input, textarea, select, [contenteditable=true], .monaco-editor, .xterm").ok().flatten())
        .is_some()
}
