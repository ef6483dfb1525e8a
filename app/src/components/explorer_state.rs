//! State of the file tree: what is expanded, filtered and edited, and what is asked of the server.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use leptos::{ev, html, prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::{
    changes::ChangeAction,
    files::{Base, MovePath, RestorePath, SaveOutcome, SaveText, check_path},
};

use crate::{
    api,
    components::{
        documents,
        ide::Ide,
        project_feed,
        tree_model::{Index, Row, RowKind, join, parent},
        uploads::Uploads,
    },
    ui::{MenuState, storage},
};

const ROW: f64 = 24.0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    NewFile { parent: String },
    NewDirectory { parent: String },
    Rename { path: String },
}

impl Edit {
    /// The directory in which a new name is typed.
    fn input_parent(&self) -> Option<&str> {
        match self {
            Self::NewFile { parent } | Self::NewDirectory { parent } => Some(parent),
            Self::Rename { .. } => None,
        }
    }
}

/// State of the tree.
#[derive(Clone, Copy)]
pub struct Explorer {
    pub ide: Ide,
    pub expanded: RwSignal<BTreeSet<String>>,
    pub filter: RwSignal<String>,
    /// The row that the keyboard is on.
    pub current: RwSignal<Option<String>>,
    /// The row that Tab reaches: the current one, or the first when that is not shown.
    pub stop: Memo<Option<String>>,
    pub edit: RwSignal<Option<Edit>>,
    pub edit_error: RwSignal<Option<String>>,
    /// The name was sent; leaving the field must not send it again.
    committing: StoredValue<bool>,
    pub rows: Memo<Vec<Row>>,
    pub list: NodeRef<html::Ul>,
    pub row_height: RwSignal<f64>,
    pub scroll: RwSignal<(f64, f64)>,
    pub menu: MenuState,
    pub menu_row: RwSignal<Option<Row>>,
    last_deleted: StoredValue<Option<String>>,
    pub uploads: Uploads,
}

impl Explorer {
    pub fn new(ide: Ide) -> Self {
        let expanded = RwSignal::new(BTreeSet::new());
        let filter = RwSignal::new(String::new());
        let edit = RwSignal::new(None::<Edit>);
        let index = Memo::new(move |_| {
            let proposed = proposed_paths(ide);
            ide.tree.with(|tree| Index::new(&tree.items, &proposed))
        });
        let rows = Memo::new(move |_| {
            let input = edit.with(|edit| edit.as_ref().and_then(Edit::input_parent).map(str::to_owned));
            index.with(|index| expanded.with(|expanded| filter.with(|filter| index.rows(expanded, filter, input.as_deref()))))
        });
        let current = RwSignal::new(None::<String>);
        let stop = Memo::new(move |_| {
            let current = current.get();
            rows.with(|rows| {
                let found = rows.iter().find(|row| Some(&row.path) == current.as_ref());
                found.or(rows.first()).map(|row| row.path.clone())
            })
        });
        Self {
            ide,
            expanded,
            filter,
            current,
            stop,
            edit,
            edit_error: RwSignal::new(None),
            committing: StoredValue::new(false),
            rows,
            list: NodeRef::new(),
            row_height: RwSignal::new(ROW),
            scroll: RwSignal::new((0.0, 960.0)),
            menu: MenuState::new(),
            menu_row: RwSignal::new(None),
            last_deleted: StoredValue::new(None),
            uploads: Uploads::new(ide),
        }
    }

    pub fn row(self, path: &str) -> Option<(usize, Row)> {
        self.rows.with_untracked(|rows| rows.iter().position(|row| row.path == path).map(|at| (at, rows[at].clone())))
    }

    pub fn set_expanded(self, path: &str, open: bool) {
        self.expanded.update(|expanded| {
            if open {
                expanded.insert(path.to_owned());
            } else {
                expanded.remove(path);
            }
        });
        let list = self.expanded.with_untracked(|all| serde_json::to_string(all).unwrap_or_default());
        storage::write(&self.ide.storage_key("expanded"), &list);
    }

    fn toggle(self, path: &str) {
        self.set_expanded(path, !self.expanded.with_untracked(|all| all.contains(path)));
    }

    pub fn activate(self, row: &Row) {
        self.current.set(Some(row.path.clone()));
        match row.kind {
            RowKind::Directory => self.toggle(&row.path),
            RowKind::File => {
                self.ide.drawer.set(false);
                self.ide.open_file(&row.path, None);
            }
            RowKind::Proposed => {
                if let Some(turn) = turn_proposing(self.ide, &row.path) {
                    self.ide.open_review(turn);
                }
            }
            RowKind::Input => {}
        }
    }

    /// Moves the keyboard to a row: scrolls it into view and focuses it once it is drawn.
    pub fn go_to(self, at: usize) {
        let Some(path) = self.rows.with_untracked(|rows| rows.get(at).map(|row| row.path.clone())) else { return };
        self.current.set(Some(path.clone()));
        if let Some(list) = self.list.get_untracked() {
            let height = self.row_height.get_untracked();
            let (top, view) = (f64::from(list.scroll_top()), f64::from(list.client_height()));
            let place = at as f64 * height;
            if place < top {
                list.set_scroll_top(place as i32);
            } else if place + height > top + view {
                list.set_scroll_top((place + height - view).ceil() as i32);
            }
            self.scroll.set((f64::from(list.scroll_top()), view));
        }
        request_animation_frame(move || focus_row(&path));
    }

    /// Where new things go: the directory of the current row.
    pub fn target_directory(self) -> String {
        let current = self.current.get_untracked().and_then(|path| self.row(&path)).map(|(_, row)| row);
        match current {
            Some(row) if row.kind == RowKind::Directory => row.path,
            Some(row) => row.parent().to_owned(),
            None => String::new(),
        }
    }

    pub fn begin(self, edit: Edit) {
        if let Some(parent) = edit.input_parent().filter(|parent| !parent.is_empty()) {
            self.set_expanded(parent, true);
        }
        self.edit_error.set(None);
        self.edit.set(Some(edit));
    }

    pub fn begin_rename(self, path: &str) {
        self.begin(Edit::Rename { path: path.to_owned() });
    }

    pub fn cancel_edit(self) {
        self.edit.set(None);
        self.edit_error.set(None);
    }

    pub fn commit_edit(self, name: &str) {
        if self.committing.get_value() {
            return;
        }
        let Some(edit) = self.edit.get_untracked() else { return };
        let name = name.trim();
        let path = match &edit {
            Edit::NewFile { parent } | Edit::NewDirectory { parent } => join(parent, name),
            Edit::Rename { path } => join(parent(path), name),
        };
        if name.is_empty() || matches!(&edit, Edit::Rename { path: old } if *old == path) {
            return self.cancel_edit();
        }
        if let Err(reason) = check_path(&path) {
            return self.edit_error.set(Some(reason.to_owned()));
        }
        if self.ide.entry(&path).is_some() {
            return self.edit_error.set(Some("This name is taken. Choose another one.".to_owned()));
        }
        let explorer = self;
        explorer.committing.set_value(true);
        spawn_local(async move {
            let done = match &edit {
                Edit::NewFile { .. } => create_file(explorer.ide, &path).await,
                Edit::NewDirectory { .. } => create_directory(explorer.ide, &path).await,
                Edit::Rename { path: from } => rename(explorer.ide, from, &path).await,
            };
            if explorer.ide.is_gone() {
                return;
            }
            explorer.committing.set_value(false);
            match done {
                Ok(()) => {
                    explorer.cancel_edit();
                    explorer.current.set(Some(path.clone()));
                    if matches!(edit, Edit::NewFile { .. }) {
                        explorer.ide.open_file(&path, None);
                    } else if let Some((at, _)) = explorer.row(&path) {
                        explorer.go_to(at);
                    }
                }
                Err(reason) => explorer.edit_error.set(Some(reason)),
            }
        });
    }

    /// Deletes without a question: the toast takes it back.
    pub fn delete(self, row: &Row) {
        let ide = self.ide;
        if !ide.can_edit() || matches!(row.kind, RowKind::Proposed | RowKind::Input) {
            return;
        }
        let (path, name) = (row.path.clone(), row.name().to_owned());
        let base = (row.kind == RowKind::File).then(|| ide.entry(&path)).flatten().map(|entry| Base::Version(entry.version));
        let at = self.row(&path).map_or(0, |(at, _)| at);
        let explorer = self;
        spawn_local(async move {
            let answer = api::files::delete(ide.project_id, path.clone(), base).await;
            if ide.is_gone() {
                return;
            }
            match answer {
                Ok(()) => {
                    ide.tree.update(|tree| project_feed::remove(&mut tree.items, &path));
                    documents::follow_own_deletion(ide, &path);
                    explorer.last_deleted.set_value(Some(path.clone()));
                    ide.toast_undo(format!("Moved {name} to the trash"), move || explorer.restore(path.clone()));
                    let last = explorer.rows.with_untracked(Vec::len).saturating_sub(1);
                    explorer.go_to(at.min(last));
                }
                Err(error) => ide.error(&error.0),
            }
        });
    }

    fn restore(self, path: String) {
        let ide = self.ide;
        self.last_deleted.set_value(None);
        spawn_local(async move {
            let request = RestorePath { path: path.clone(), version: None, base: None };
            match api::files::restore(ide.project_id, request).await {
                _ if ide.is_gone() => {}
                Ok(()) => project_feed::reload_tree_soon(ide),
                Err(error) => ide.error(&error.0),
            }
        });
    }
}

async fn create_file(ide: Ide, path: &str) -> Result<(), String> {
    let request = SaveText { path: path.to_owned(), base: Base::New, text: String::new(), format: Default::default() };
    match api::files::save(ide.project_id, request).await {
        Ok(SaveOutcome::Saved { entry }) => {
            if !ide.is_gone() {
                documents::put_entry(ide, entry);
            }
            Ok(())
        }
        Ok(SaveOutcome::Conflict { .. }) => Err("This name is taken. Choose another one.".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn create_directory(ide: Ide, path: &str) -> Result<(), String> {
    let entry = api::files::create_directory(ide.project_id, path.to_owned()).await.map_err(|error| error.to_string())?;
    if !ide.is_gone() {
        documents::put_entry(ide, entry);
    }
    Ok(())
}

async fn rename(ide: Ide, from: &str, to: &str) -> Result<(), String> {
    let request = MovePath { from: from.to_owned(), to: to.to_owned(), base: None };
    api::files::move_path(ide.project_id, request).await.map_err(|error| error.to_string())?;
    if !ide.is_gone() {
        documents::follow_move(ide, from, to);
        rename_in_tree(ide, from, to);
        project_feed::reload_tree_soon(ide);
    }
    Ok(())
}

/// Shows the new name at once; the versions come with the tree that is read next.
fn rename_in_tree(ide: Ide, from: &str, to: &str) {
    let below = format!("{from}/");
    ide.tree.update(|tree| {
        for entry in &mut tree.items {
            if entry.path == from || entry.path.starts_with(&below) {
                entry.path = format!("{to}{}", &entry.path[from.len()..]);
            }
        }
        tree.items.sort_by(|a, b| a.path.cmp(&b.path));
        tree.items.dedup_by(|a, b| a.path == b.path);
    });
}

/// Paths that the agent wants to add. Tracks the proposals.
fn proposed_paths(ide: Ide) -> BTreeSet<String> {
    ide.proposals.with(|all| {
        let files = all.values().flat_map(|set| &set.files);
        files
            .filter(|file| file.action == ChangeAction::Add && file.hunks.iter().any(|hunk| hunk.state.is_open()))
            .map(|file| file.path.clone())
            .collect()
    })
}

fn turn_proposing(ide: Ide, path: &str) -> Option<wire::TurnId> {
    ide.proposals.with_untracked(|all| all.values().find(|set| set.files.iter().any(|file| file.path == path)).map(|set| set.turn_id))
}

/// An id for a row's element; paths may hold anything.
pub fn row_id(path: &str) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("row-{:x}", hasher.finish())
}

pub fn focus_row(path: &str) {
    let row = document().get_element_by_id(&row_id(path)).and_then(|row| row.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(row) = row {
        let _ = row.focus();
    }
}

/// The keys of the tree: arrows, Home and End, letters, and what acts on the current row.
pub fn on_key(explorer: Explorer, event: &ev::KeyboardEvent) {
    let count = explorer.rows.with_untracked(Vec::len);
    if count == 0 {
        return;
    }
    // What acts is the row that has the focus, however it came there.
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let focused = target.and_then(|el| el.closest("[data-path]").ok().flatten()).and_then(|row| row.get_attribute("data-path"));
    let current = focused.or_else(|| explorer.current.get_untracked()).and_then(|path| explorer.row(&path));
    let (at, row) = match current {
        Some(found) => found,
        None => match explorer.rows.with_untracked(|rows| rows.first().cloned()) {
            Some(row) => (0, row),
            None => return,
        },
    };
    let open = explorer.expanded.with_untracked(|all| all.contains(&row.path));
    let page = (explorer.scroll.get_untracked().1 / explorer.row_height.get_untracked()) as usize;
    let key = event.key();
    let command = event.ctrl_key() || event.meta_key();
    match key.as_str() {
        "z" if command => {
            let Some(path) = explorer.last_deleted.get_value() else { return };
            explorer.restore(path);
        }
        _ if command || event.alt_key() => return,
        "ArrowDown" => explorer.go_to((at + 1).min(count - 1)),
        "ArrowUp" => explorer.go_to(at.saturating_sub(1)),
        "PageDown" => explorer.go_to((at + page).min(count - 1)),
        "PageUp" => explorer.go_to(at.saturating_sub(page)),
        "Home" => explorer.go_to(0),
        "End" => explorer.go_to(count - 1),
        "ArrowRight" if row.kind == RowKind::Directory && !open => explorer.set_expanded(&row.path, true),
        "ArrowRight" if row.kind == RowKind::Directory => explorer.go_to((at + 1).min(count - 1)),
        "ArrowLeft" if row.kind == RowKind::Directory && open => explorer.set_expanded(&row.path, false),
        "ArrowLeft" => {
            if let Some((above, _)) = explorer.row(row.parent()) {
                explorer.go_to(above);
            }
        }
        "Enter" | " " => explorer.activate(&row),
        "F2" if explorer.ide.can_edit() => explorer.begin_rename(&row.path),
        "Delete" => explorer.delete(&row),
        _ if key.chars().count() == 1 => {
            let letter = key.to_lowercase();
            let next = explorer.rows.with_untracked(|rows| {
                (1..=count).map(|step| (at + step) % count).find(|i| rows[*i].name().to_lowercase().starts_with(&letter))
            });
            if let Some(next) = next {
                explorer.go_to(next);
            }
        }
        _ => return,
    }
    event.prevent_default();
    event.stop_propagation();
}
