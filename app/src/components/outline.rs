//! The symbols of the file on top: what the crumbs say of the cursor's place, and what the palette lists.

use std::time::Duration;

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use wire::search::{Outline, OutlineOf, Symbol, SymbolKind, has_outline};

use super::{
    commands::Command,
    ide::{Ide, PaletteKind, use_ide},
};
use crate::{api, editor::monaco, ui::Icon};

/// An outline is read when the file was left alone for this long.
const PAUSE: Duration = Duration::from_millis(400);

/// The outline that is known; of the file on top once it has arrived.
#[derive(Clone, Copy, Default)]
pub struct Outlines {
    pub shown: RwSignal<Option<(String, Outline)>>,
    timer: StoredValue<Option<TimeoutHandle>>,
}

pub fn symbol_icon(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Module => "folder",
        SymbolKind::Class | SymbolKind::Struct | SymbolKind::Enum | SymbolKind::Interface | SymbolKind::Type => "layout-template",
        SymbolKind::Function | SymbolKind::Method | SymbolKind::Macro => "play",
        SymbolKind::Constant => "circle-dot",
    }
}

/// Reads the outline of the file on top now, of the text as it is typed where it is not saved.
pub fn load(ide: Ide) {
    let Some(path) = ide.active.get_untracked() else { return };
    if !has_outline(&path) {
        let note = "There is no outline for this kind of file: Rust, Python, JavaScript, TypeScript and Go have one.";
        ide.outlines.shown.set(Some((path, Outline { symbols: Vec::new(), note: Some(note.to_owned()) })));
        return;
    }
    if ide.tab(&path).is_some_and(|tab| tab.is_light()) {
        let note = "There is no outline of a file of this size.".to_owned();
        ide.outlines.shown.set(Some((path, Outline { symbols: Vec::new(), note: Some(note) })));
        return;
    }
    let text = monaco::is_dirty(&path).then(|| monaco::model_text(&path)).flatten();
    spawn_local(async move {
        let answer = api::search::outline(ide.project_id, OutlineOf { path: path.clone(), text }).await;
        if ide.is_gone() || ide.active.with_untracked(|active| active.as_ref() != Some(&path)) {
            return;
        }
        let outline = answer.unwrap_or_else(|error| Outline { symbols: Vec::new(), note: Some(error.to_string()) });
        ide.outlines.shown.set(Some((path, outline)));
    });
}

/// Keeps the outline of the file on top in step with what is saved of it.
pub fn follow(ide: Ide) {
    let wanted = Memo::new(move |_| {
        let path = ide.active.get().filter(|path| has_outline(path))?;
        let version = ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == path).map(|tab| tab.version))?;
        (version > 0).then_some((path, version))
    });
    let forget = move || {
        if let Some(timer) = ide.outlines.timer.try_update_value(Option::take).flatten() {
            timer.clear();
        }
    };
    Effect::new(move |_| {
        forget();
        match wanted.get() {
            Some(_) => ide.outlines.timer.set_value(set_timeout_with_handle(move || load(ide), PAUSE).ok()),
            None => ide.outlines.shown.set(None),
        }
    });
    on_cleanup(forget);
}

/// The symbols that hold a line, outermost first.
pub fn holding(symbols: &[Symbol], line: u32) -> Vec<&Symbol> {
    let mut held: Vec<&Symbol> = Vec::new();
    for symbol in symbols.iter().filter(|symbol| (symbol.line..=symbol.end_line).contains(&line)) {
        held.truncate(symbol.level as usize);
        held.push(symbol);
    }
    held
}

/// Where the cursor is among the symbols, after the path in the crumbs; opens their list.
#[component]
pub fn SymbolCrumb(
    /// The file that the crumbs are of; the outline is that of the file with the keyboard.
    path: Memo<Option<String>>,
) -> impl IntoView {
    let ide = use_ide();
    let place = Memo::new(move |_| {
        let path = path.get().filter(|path| has_outline(path) && ide.active.with(|active| active.as_ref() == Some(path)))?;
        let line = ide.cursor.get().map_or(0, |cursor| cursor.line);
        let names = ide.outlines.shown.with(|shown| {
            let (_, outline) = shown.as_ref().filter(|(of, outline)| *of == path && !outline.symbols.is_empty())?;
            Some(holding(&outline.symbols, line).into_iter().map(|symbol| symbol.name.clone()).collect::<Vec<_>>())
        })?;
        Some(names.join(" › "))
    });
    move || {
        place.get().map(|names| {
            let text = if names.is_empty() { "…".to_owned() } else { names };
            view! {
                <Icon name="chevron-right" />
                <button
                    type="button"
                    class="crumb-symbol clip"
                    title=move || ide.keymap.with(|keymap| Command::GoToSymbol.hint("Go to a symbol", keymap))
                    aria-label=format!("Go to a symbol; the cursor is in {text}")
                    on:click=move |_| ide.palette.set(Some(PaletteKind::Symbols))
                >
                    {text.clone()}
                </button>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, line: u32, end_line: u32, level: u32) -> Symbol {
        Symbol { name: name.to_owned(), kind: SymbolKind::Function, line, end_line, level }
    }

    #[test]
    fn a_line_is_held_by_what_is_around_it() {
        let symbols = [symbol("A", 1, 10, 0), symbol("a", 2, 4, 1), symbol("b", 5, 9, 1), symbol("c", 6, 7, 2), symbol("B", 12, 12, 0)];
        let names = |line| holding(&symbols, line).into_iter().map(|s| s.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(3), ["A", "a"]);
        assert_eq!(names(6), ["A", "b", "c"]);
        assert_eq!(names(10), ["A"]);
        assert!(names(11).is_empty());
    }
}
