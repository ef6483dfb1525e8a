//! Dragging: rows to another directory, and files and folders from outside to be uploaded.

use std::time::Duration;

use leptos::{ev, prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};

use super::{
    explorer_state::{Explorer, directory_of},
    file_plan::Transfer,
    tree_model::{Row, is_below, parent},
    upload_pick, uploads,
};

/// A folder that something is held over opens after this.
const HOVER: Duration = Duration::from_millis(600);

/// Begins to drag a row, or all that is chosen when it is among it.
pub fn on_drag_start(explorer: Explorer, row: &Row, event: &ev::DragEvent) {
    let paths = explorer.acted_on(Some(&row.path));
    let Some(data) = event.data_transfer().filter(|_| !paths.is_empty() && explorer.ide.can_edit()) else {
        return event.prevent_default();
    };
    data.set_effect_allowed("copyMove");
    // As text, so that a path can be dropped into the chat or the editor.
    let _ = data.set_data("text/plain", &paths.join("\n"));
    explorer.dragged.set(paths);
}

pub fn on_drag_end(explorer: Explorer) {
    explorer.dragged.set(Vec::new());
    explorer.drop_at.set(None);
}

/// The directory under the pointer.
fn directory_under(explorer: Explorer, event: &ev::DragEvent) -> String {
    let over = event.target().and_then(|target| target.dyn_into::<web_sys::Node>().ok());
    let element = over.and_then(|node| node.dyn_ref::<web_sys::Element>().cloned().or_else(|| node.parent_element()));
    let path = element.and_then(|el| el.closest("[data-path]").ok().flatten()).and_then(|row| row.get_attribute("data-path"));
    path.and_then(|path| explorer.row(&path)).map(|(_, row)| directory_of(&row)).unwrap_or_default()
}

fn transfer_of(event: &ev::DragEvent) -> Transfer {
    if event.ctrl_key() || event.alt_key() { Transfer::Copy } else { Transfer::Move }
}

fn holds_files(event: &ev::DragEvent) -> bool {
    event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0))
}

/// Whether what is dragged within the tree may go there; files from outside may go anywhere.
fn may_drop(explorer: Explorer, event: &ev::DragEvent, directory: &str) -> bool {
    explorer.dragged.with_untracked(|paths| {
        if paths.is_empty() {
            return holds_files(event);
        }
        let stays = |path: &String| parent(path) == directory && transfer_of(event) == Transfer::Move;
        !paths.iter().any(|path| path == directory || is_below(directory, path)) && !paths.iter().all(stays)
    })
}

pub fn on_drag_over(explorer: Explorer, event: &ev::DragEvent) {
    if !explorer.ide.can_edit() || explorer.dragged.with_untracked(Vec::is_empty) && !holds_files(event) {
        return;
    }
    let directory = directory_under(explorer, event);
    if !may_drop(explorer, event, &directory) {
        return explorer.drop_at.set(None);
    }
    event.prevent_default();
    if let Some(data) = event.data_transfer() {
        let copies = explorer.dragged.with_untracked(Vec::is_empty) || transfer_of(event) == Transfer::Copy;
        data.set_drop_effect(if copies { "copy" } else { "move" });
    }
    if explorer.drop_at.with_untracked(|at| at.as_deref() != Some(directory.as_str())) {
        explorer.drop_at.set(Some(directory.clone()));
        set_timeout(
            move || {
                let still = explorer.drop_at.try_with_untracked(|at| at.as_deref() == Some(directory.as_str())) == Some(true);
                if still && !directory.is_empty() {
                    explorer.set_expanded(&directory, true);
                }
            },
            HOVER,
        );
    }
}

/// Leaving for a row inside is no leaving.
pub fn on_drag_leave(explorer: Explorer, event: &ev::DragEvent) {
    let to = event.related_target().and_then(|target| target.dyn_into::<web_sys::Node>().ok());
    let inside = explorer.drawn.node.try_get_untracked().flatten().is_some_and(|list| list.contains(to.as_ref()));
    if !inside {
        explorer.drop_at.set(None);
    }
}

pub fn on_drop(explorer: Explorer, event: &ev::DragEvent) {
    event.prevent_default();
    let directory = directory_under(explorer, event);
    let allowed = explorer.ide.can_edit() && may_drop(explorer, event, &directory);
    let paths = explorer.dragged.get_untracked();
    on_drag_end(explorer);
    if !allowed {
        return;
    }
    if !paths.is_empty() {
        return explorer.transfer(paths, &directory, transfer_of(event));
    }
    let Some(data) = event.data_transfer() else { return };
    // The entries have to be taken now; after the event the browser gives them no more.
    let dropped = upload_pick::of_drop(&data);
    spawn_local(async move {
        let picked = upload_pick::walk(dropped).await;
        if !explorer.ide.is_gone() && !explorer.is_gone() {
            if !directory.is_empty() {
                explorer.set_expanded(&directory, true);
            }
            uploads::add(explorer.ide, picked, &directory);
        }
    });
}
