//! Moving the focus inside lists, tabs, trees and menus with the keyboard.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

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
    document().active_element().is_some_and(|active| &active == element.unchecked_ref::<web_sys::Element>())
}

/// Gives the focus to the first of `selectors` that the page has once it is drawn anew, when what had the focus is gone. What takes no
/// focus by itself, such as a heading, can have it from then on.
pub fn recover(selectors: &'static [&'static str]) {
    request_animation_frame(move || {
        if is_lost()
            && let Some(found) = selectors.iter().find_map(|selector| document().query_selector(selector).ok().flatten())
        {
            give(&found);
        }
    });
}

fn is_lost() -> bool {
    document().active_element().is_none_or(|active| active.tag_name() == "BODY")
}

fn give(element: &web_sys::Element) {
    if element.tag_name().starts_with('H') {
        let _ = element.set_attribute("tabindex", "-1");
    }
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>() {
        let _ = element.focus();
    }
}

/// Where the sections of a page are a row that scrolls, the chosen one is in view; `chosen` reads which that is.
pub fn keep_current_in_view(nav: NodeRef<html::Nav>, chosen: impl Fn() + 'static) {
    Effect::new(move |_| {
        chosen();
        request_animation_frame(move || {
            let Some(nav) = nav.try_get_untracked().flatten() else { return };
            let current = nav.query_selector("[aria-current]").ok().flatten();
            if let Some(current) = current.and_then(|link| link.dyn_into::<web_sys::HtmlElement>().ok()) {
                nav.set_scroll_left(current.offset_left() - nav.offset_left() - 16);
            }
        });
    });
}

/// What counts as a row of a list.
const ROWS: &str = "li, tbody tr";

/// Keeps the focus in a list whose rows go while it is in them: it goes to the same button of the row that takes the place, and to the
/// heading of the section after the last one.
#[derive(Debug, Clone, Copy)]
pub struct RowFocus {
    /// A selector of what holds the heading and the rows.
    section: &'static str,
    /// A selector of the heading elsewhere, for a section that goes with its last row.
    beyond: Option<&'static str>,
    /// The row and the button in it that had the focus last.
    last: StoredValue<Option<(usize, usize)>>,
}

impl RowFocus {
    /// `rows` reads what the list shows, and is only asked when that changes.
    pub fn new(section: &'static str, rows: impl Fn() + 'static) -> Self {
        Self::start(section, None, rows)
    }

    /// As [`Self::new`], where the section goes with its last row: what `beyond` selects gets the focus then.
    pub fn or_beyond(section: &'static str, beyond: &'static str, rows: impl Fn() + 'static) -> Self {
        Self::start(section, Some(beyond), rows)
    }

    fn start(section: &'static str, beyond: Option<&'static str>, rows: impl Fn() + 'static) -> Self {
        let own = Self { section, beyond, last: StoredValue::new(None) };
        Effect::new(move |_| {
            rows();
            request_animation_frame(move || own.keep());
        });
        own
    }

    /// For `focusin` of the list.
    pub fn note(self, event: &ev::FocusEvent) {
        let Some(target) = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()) else { return };
        let Some(row) = target.closest(ROWS).ok().flatten() else { return };
        let rows = self.rows();
        let at = rows.iter().position(|other| other.unchecked_ref::<web_sys::Element>() == &row);
        let button = elements(&row, "button").iter().position(|other| other.unchecked_ref::<web_sys::Element>() == &target);
        self.last.set_value(at.zip(button));
    }

    fn rows(self) -> Vec<web_sys::HtmlElement> {
        document().query_selector(self.section).ok().flatten().map(|section| elements(&section, ROWS)).unwrap_or_default()
    }

    fn keep(self) {
        let Some((row, button)) = self.last.try_get_value().flatten().filter(|_| is_lost()) else { return };
        let rows = self.rows();
        let taker = rows.get(row).or(rows.last()).and_then(|row| {
            let buttons = elements(row, "button");
            buttons.get(button).or(buttons.last()).cloned()
        });
        match taker {
            Some(taker) => drop(taker.focus()),
            None => {
                let find = |selector: &str| document().query_selector(selector).ok().flatten();
                let heading = find(&format!("{} h2", self.section)).or_else(|| find(self.beyond?));
                self.last.set_value(None);
                if let Some(heading) = heading {
                    give(&heading);
                }
            }
        }
    }
}

/// True while the keyboard belongs to something that takes text: single letters must not act then.
pub fn is_typing() -> bool {
    document()
        .active_element()
        .and_then(|active| active.closest("input, textarea, select, [contenteditable=true], .monaco-editor, .xterm").ok().flatten())
        .is_some()
}
