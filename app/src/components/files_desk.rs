//! What the tree of files, the panels beside it and the editor share.

use leptos::prelude::*;

use super::{
    explorer_actions::{Changes, Refusal},
    file_history::Versions,
    ide::{Ide, SideView},
    seen_files::Seen,
    side_view,
    uploads::Uploads,
};
use crate::ui::{format, storage};

/// What stands in the side panel in the place of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum FilesPanel {
    #[default]
    Tree,
    Trash,
    History {
        path: String,
    },
}

/// Two versions of a file beside each other in the main area. 0 stands for nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Comparison {
    pub path: String,
    pub from: i64,
    pub to: i64,
}

/// What the palette asks of the tree; where it is about one entry, about the row that the tree stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeOrder {
    NewFile,
    NewDirectory,
    UploadFiles,
    UploadFolder,
    Rename,
    Move,
    Copy,
    Delete,
    CopyPath,
    Download,
    Filter,
    FoldAll,
}

/// Get it from [`Ide`].
#[derive(Clone, Copy)]
pub struct FilesDesk {
    pub panel: RwSignal<FilesPanel>,
    pub comparison: RwSignal<Option<Comparison>>,
    /// Of the file whose history is shown.
    pub versions: RwSignal<Versions>,
    /// Counts up when the tree should show the file on top.
    pub reveal: RwSignal<u64>,
    pub order: RwSignal<Option<TreeOrder>>,
    pub seen: RwSignal<Seen>,
    pub uploads: Uploads,
    /// Why the last change was refused.
    pub refusal: RwSignal<Option<Refusal>>,
    pub changes: StoredValue<Changes>,
    /// Code of a conversation that is to become a change of a file which is still asked for.
    pub unplaced_code: RwSignal<Option<String>>,
}

impl Default for FilesDesk {
    fn default() -> Self {
        Self {
            panel: RwSignal::default(),
            comparison: RwSignal::new(None),
            versions: RwSignal::default(),
            reveal: RwSignal::new(0),
            order: RwSignal::new(None),
            seen: RwSignal::default(),
            uploads: Uploads::default(),
            refusal: RwSignal::new(None),
            changes: StoredValue::default(),
            unplaced_code: RwSignal::new(None),
        }
    }
}

/// Opens the versions of a file beside the tree; also for a file that is deleted.
pub fn show_history(ide: Ide, path: &str) {
    ide.files.panel.set(FilesPanel::History { path: path.to_owned() });
    side_view::show(ide, SideView::Files);
}

pub fn show_trash(ide: Ide) {
    ide.files.panel.set(FilesPanel::Trash);
    side_view::show(ide, SideView::Files);
}

/// Has the tree do something, which is shown for it.
pub fn order(ide: Ide, order: TreeOrder) {
    let reads = matches!(order, TreeOrder::CopyPath | TreeOrder::Download | TreeOrder::Filter | TreeOrder::FoldAll);
    if !reads && !untrack(|| ide.can_edit()) {
        ide.toast("Editors of the project can change its files");
        return;
    }
    ide.files.panel.set(FilesPanel::Tree);
    side_view::show(ide, SideView::Files);
    ide.files.order.set(Some(order));
}

/// Shows the file on top in the tree, with the focus on it.
pub fn reveal_active(ide: Ide) {
    if ide.active.with_untracked(Option::is_none) {
        ide.toast("No file is open");
        return;
    }
    ide.files.panel.set(FilesPanel::Tree);
    side_view::show(ide, SideView::Files);
    ide.files.reveal.update(|count| *count += 1);
}

/// Follows what is on screen, and remembers it. Only in the browser.
pub fn follow_seen(ide: Ide) {
    let key = ide.storage_key("seen");
    Effect::new(move |_| {
        let stored = storage::read(&key).and_then(|text| serde_json::from_str(&text).ok());
        ide.files.seen.set(stored.unwrap_or_else(|| Seen::all(format::now())));
        remember(ide);
    });
    let on_screen = Memo::new(move |_| {
        let path = ide.active.get()?;
        let version = ide.tree.with(|tree| super::tree_model::find(&tree.items, &path).map(|entry| entry.version))?;
        Some((path, version))
    });
    Effect::new(move |_| {
        if let Some((path, version)) = on_screen.get()
            && ide.files.seen.try_update(|seen| seen.look(&path, version, format::now())) == Some(true)
        {
            remember(ide);
        }
    });
}

/// Takes everything as looked at.
pub fn mark_all_seen(ide: Ide) {
    ide.files.seen.set(Seen::all(format::now()));
    remember(ide);
    ide.toast("Every file counts as looked at");
}

fn remember(ide: Ide) {
    if let Ok(text) = ide.files.seen.with_untracked(serde_json::to_string) {
        storage::write(&ide.storage_key("seen"), &text);
    }
}
