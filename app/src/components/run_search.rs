//! Looking for a text in the output of a run.

use leptos::{ev, html, prelude::*};

use super::run_output::Screen;
use crate::{
    editor::terminal::Direction,
    ui::{Icon, IconButton, format},
};

/// "3 of 14", or that there is none.
fn places(results: Option<(i32, u32)>) -> String {
    match results {
        None => String::new(),
        Some((_, 0)) => "Not found".to_owned(),
        Some((index, count)) if index >= 0 => format!("{} of {}", index + 1, format::count(i64::from(count))),
        Some((_, count)) => format!("{} places", format::count(i64::from(count))),
    }
}

/// The bar above an output. Enter goes to the next place, Shift+Enter to the one before, Esc closes it.
#[component]
pub fn RunSearch(screen: Screen, open: RwSignal<bool>) -> impl IntoView {
    let node = NodeRef::<html::Input>::new();
    let text = RwSignal::new(String::new());
    let find = move |direction: Direction| {
        if let Some(term) = screen.term.get_untracked() {
            let found = text.with_untracked(|text| term.search(text, direction));
            if text.with_untracked(String::is_empty) {
                screen.results.set(None);
            } else if !found {
                screen.results.set(Some((-1, 0)));
            }
        }
    };
    let close = move || {
        if let Some(term) = screen.term.get_untracked() {
            term.search("", Direction::Next);
            term.focus();
        }
        screen.results.set(None);
        open.set(false);
    };
    Effect::new(move |_| {
        if let Some(field) = node.get() {
            let _ = field.focus();
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        match event.key().as_str() {
            "Enter" if event.shift_key() => find(Direction::Previous),
            "Enter" => find(Direction::Next),
            "Escape" => close(),
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    };
    let none = Signal::derive(move || text.with(String::is_empty));
    view! {
        <div class="run-search" role="search">
            <Icon name="search" small=true />
            <input
                class="input input--s"
                type="search"
                aria-label="Search in the output"
                placeholder="Search in the output"
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                node_ref=node
                on:input:target=move |ev| {
                    text.set(ev.target().value());
                    find(Direction::Next);
                }
                on:keydown=on_keydown
            />
            <span class="t3 fs12 num nowrap" role="status">
                {move || places(screen.results.get())}
            </span>
            <IconButton icon="arrow-up" label="The place before" key="Shift Enter" small=true disabled=none on_click=move |_| find(Direction::Previous) />
            <IconButton icon="arrow-down" label="The next place" key="Enter" small=true disabled=none on_click=move |_| find(Direction::Next) />
            <IconButton icon="x" label="Close the search" key="Esc" small=true on_click=move |_| close() />
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn places_are_said_in_words() {
        assert_eq!(places(None), "");
        assert_eq!(places(Some((-1, 0))), "Not found");
        assert_eq!(places(Some((2, 14))), "3 of 14");
        assert_eq!(places(Some((-1, 1000))), "1\u{202f}000 places");
    }
}
