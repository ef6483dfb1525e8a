//! The keys of the file tree.

use leptos::{ev, prelude::*, wasm_bindgen::JsCast, web_sys};

use super::{
    command_keys::read_press,
    commands::Command,
    explorer_actions,
    explorer_state::{Explorer, directory_of, row_element},
    file_plan::Transfer,
    tree_menu::copy_paths,
    tree_model::{Row, RowKind},
};
use crate::ui::typeahead::find_typed;

/// Arrows, Home and End, letters, and what acts on the current row or on all that is chosen.
pub fn on_key(explorer: Explorer, event: &ev::KeyboardEvent) {
    if event.is_composing() {
        return;
    }
    // What acts is the row that has the focus, however it came there.
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let focused = target.and_then(|el| el.closest("[data-path]").ok().flatten()).and_then(|row| row.get_attribute("data-path"));
    let current = focused.or_else(|| explorer.current.get_untracked()).and_then(|path| explorer.row(&path));
    let command = event.ctrl_key() || event.meta_key();
    let used = match (&current, command) {
        // Its key is the person's choice, and here it is about the row that has the focus.
        (Some((_, row)), _) if means_copy_path(explorer, event) => {
            copy_paths(explorer, &row.path);
            true
        }
        _ if event.alt_key() => false,
        (row, true) => with_command(explorer, event, row.as_ref()),
        (Some((at, row)), false) => plain(explorer, event, *at, row),
        (None, false) => match explorer.rows.with_untracked(|rows| rows.first().cloned()) {
            Some(row) => plain(explorer, event, 0, &row),
            None => false,
        },
    };
    if used {
        event.prevent_default();
        event.stop_propagation();
    }
}

fn means_copy_path(explorer: Explorer, event: &ev::KeyboardEvent) -> bool {
    let id = Command::CopyPath.id();
    explorer.ide.keymap.with_untracked(|keymap| read_press(event).iter().any(|combo| keymap.command_of(combo) == Some(id)))
}

fn with_command(explorer: Explorer, event: &ev::KeyboardEvent, current: Option<&(usize, Row)>) -> bool {
    let ide = explorer.ide;
    let row = current.map(|(_, row)| row.path.as_str());
    let count = explorer.rows.with_untracked(Vec::len);
    match (event.key().to_lowercase().as_str(), event.shift_key()) {
        ("z", false) => explorer_actions::take_back(ide, None),
        ("z", true) | ("y", false) => explorer_actions::redo(ide),
        ("c", false) => explorer.take_up(Transfer::Copy, row),
        ("x", false) => explorer.take_up(Transfer::Move, row),
        ("v", false) => explorer.paste(&current.map(|(_, row)| directory_of(row)).unwrap_or_default()),
        ("a", false) => {
            let paths: Vec<String> =
                explorer.rows.with_untracked(|rows| rows.iter().filter(|row| row.exists()).map(|row| row.path.clone()).collect());
            explorer.selection.update(|selection| selection.all(paths.iter().map(String::as_str)));
        }
        (" ", false) => {
            if let Some(row) = row {
                explorer.selection.update(|selection| selection.toggle(row));
            }
        }
        ("enter", false) => {
            // Without a row the page has this key.
            let Some((_, row)) = current else { return false };
            explorer.selection.update(|selection| selection.only(&row.path));
            explorer.open_beside(row);
        }
        ("arrowleft", false) => fold_all(explorer, row),
        // The focus alone.
        ("arrowdown", false) => explorer.go_to(current.map_or(0, |(at, _)| (at + 1).min(count.saturating_sub(1)))),
        ("arrowup", false) => explorer.go_to(current.map_or(0, |(at, _)| at.saturating_sub(1))),
        _ => return false,
    }
    true
}

fn plain(explorer: Explorer, event: &ev::KeyboardEvent, at: usize, row: &Row) -> bool {
    let last = explorer.rows.with_untracked(Vec::len).saturating_sub(1);
    let page = explorer.drawn.page();
    let shift = event.shift_key();
    let to = |at: usize| walk(explorer, at, shift);
    let key = event.key();
    match key.as_str() {
        "ArrowDown" => to((at + 1).min(last)),
        "ArrowUp" => to(at.saturating_sub(1)),
        "PageDown" => to((at + page).min(last)),
        "PageUp" => to(at.saturating_sub(page)),
        "Home" => to(0),
        "End" => to(last),
        "ArrowRight" if row.expanded == Some(false) => explorer.set_expanded(&row.path, true),
        "ArrowRight" if row.expanded == Some(true) => to((at + 1).min(last)),
        "ArrowLeft" if row.expanded == Some(true) => explorer.set_expanded(&row.path, false),
        "ArrowLeft" => {
            if let Some((above, _)) = explorer.row(row.parent()) {
                to(above);
            }
        }
        "ContextMenu" => open_menu(explorer, row),
        "F10" if shift => open_menu(explorer, row),
        "Enter" => {
            explorer.selection.update(|selection| selection.only(&row.path));
            explorer.activate(row);
        }
        " " => {
            // Shows the file and stays in the tree.
            explorer.activate(row);
            explorer.go_to(at);
        }
        "F2" if explorer.ide.can_edit() && row.exists() => explorer.begin_rename(&row.path),
        "Delete" => explorer.delete(Some(&row.path)),
        "Escape" if explorer.clipboard.with_untracked(Option::is_some) => explorer.clipboard.set(None),
        "Escape" if explorer.selection.with_untracked(|selection| selection.len() > 1) => {
            explorer.selection.update(|selection| selection.only(&row.path));
        }
        _ if key.chars().count() == 1 => {
            let typed = explorer.typed.push(&key);
            if let Some(next) = explorer.rows.with_untracked(|rows| find_typed(rows, at, &typed, Row::name)) {
                to(next);
            }
        }
        _ => return false,
    }
    true
}

/// Folds everything; the keyboard goes to what is left of the place where it was.
fn fold_all(explorer: Explorer, row: Option<&str>) {
    explorer.fold_all();
    let top = row.and_then(|path| path.split('/').next());
    if let Some((at, _)) = top.and_then(|top| explorer.row(top)) {
        walk(explorer, at, false);
    }
}

/// Moves the keyboard, and what is chosen with it; with Shift the choice grows from where it began.
fn walk(explorer: Explorer, at: usize, extend: bool) {
    let Some(path) = explorer.rows.with_untracked(|rows| rows.get(at).filter(|row| row.kind != RowKind::Input).map(|row| row.path.clone()))
    else {
        return;
    };
    choose(explorer, &path, extend, false);
    explorer.go_to(at);
}

/// Chooses a row: alone, up to it, or beside what is chosen already.
pub fn choose(explorer: Explorer, path: &str, extend: bool, add: bool) {
    explorer.selection.update(|selection| match (extend, add) {
        (true, add) => {
            explorer.rows.with_untracked(|rows| selection.extend(rows.iter().map(|row| row.path.as_str()), path, add));
        }
        (false, true) => selection.toggle(path),
        (false, false) => selection.only(path),
    });
}

fn open_menu(explorer: Explorer, row: &Row) {
    explorer.menu_row.set(Some(row.clone()));
    if let Some(element) = row_element(&row.path) {
        explorer.menu.open_below(&element);
    }
}
