//! State of the file tree: what is expanded, filtered, chosen and edited.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use leptos::{prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::changes::{ChangeAction, ChangeSet, ReviewKey};

use crate::{
    components::{
        explorer_actions::{Asking, Relocation},
        file_plan::Transfer,
        ide::Ide,
        tree_marks::TreeMarks,
        tree_model::{Row, RowKind, View, parent},
        tree_selection::Selection,
    },
    ui::{MenuState, Rows, focus, storage, typeahead::TypeAhead},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    NewFile { parent: String },
    NewDirectory { parent: String },
    Rename { path: String },
}

impl Edit {
    /// The directory in which a new name is typed.
    pub fn input_parent(&self) -> Option<&str> {
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
    pub selection: RwSignal<Selection>,
    pub edit: RwSignal<Option<Edit>>,
    pub edit_error: RwSignal<Option<String>>,
    /// The name was sent; leaving the field must not send it again.
    pub committing: StoredValue<bool>,
    pub rows: Memo<Vec<Row>>,
    /// What folded directories say of what is in them.
    pub marks: TreeMarks,
    pub drawn: Rows,
    pub menu: MenuState,
    /// The row that the menu is about; `None` for the project as a whole.
    pub menu_row: RwSignal<Option<Row>>,
    /// What was cut or copied.
    pub clipboard: RwSignal<Option<(Transfer, Vec<String>)>>,
    /// What is being dragged out of this tree.
    pub dragged: RwSignal<Vec<String>>,
    /// The directory that a drop would go to.
    pub drop_at: RwSignal<Option<String>>,
    /// Names that are taken where something should go.
    pub asking: RwSignal<Option<Asking>>,
    /// What the dialog that asks for a directory is about.
    pub relocating: RwSignal<Option<Relocation>>,
    pub typed: TypeAhead,
}

impl Explorer {
    pub fn new(ide: Ide) -> Self {
        let expanded = RwSignal::new(BTreeSet::new());
        let filter = RwSignal::new(String::new());
        let edit = RwSignal::new(None::<Edit>);
        let proposed = Memo::new(move |_| proposed_paths(ide));
        let rows = Memo::new(move |_| {
            let input = edit.with(|edit| edit.as_ref().and_then(Edit::input_parent).map(str::to_owned));
            ide.tree.with(|tree| {
                expanded.with(|expanded| {
                    filter.with(|filter| {
                        proposed.with(|proposed| View { entries: &tree.items, proposed, expanded, filter, input: input.as_deref() }.rows())
                    })
                })
            })
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
            selection: RwSignal::default(),
            edit,
            edit_error: RwSignal::new(None),
            committing: StoredValue::new(false),
            rows,
            marks: TreeMarks::of(ide),
            drawn: Rows::new(960.0),
            menu: MenuState::new(),
            menu_row: RwSignal::new(None),
            clipboard: RwSignal::new(None),
            dragged: RwSignal::new(Vec::new()),
            drop_at: RwSignal::new(None),
            asking: RwSignal::new(None),
            relocating: RwSignal::new(None),
            typed: TypeAhead::default(),
        }
    }

    /// Whether the tree is no longer shown, after an answer was awaited.
    pub fn is_gone(self) -> bool {
        self.expanded.try_with_untracked(|_| ()).is_none()
    }

    /// A row on show, with its place in the list.
    /// `None` also when the page is gone, as it may be for what was to be done a moment later.
    pub fn row(self, path: &str) -> Option<(usize, Row)> {
        self.rows.try_with_untracked(|rows| rows.iter().position(|row| row.path == path).map(|at| (at, rows[at].clone()))).flatten()
    }

    pub fn set_expanded(self, path: &str, open: bool) {
        self.expanded.update(|expanded| {
            if open {
                expanded.insert(path.to_owned());
            } else {
                expanded.remove(path);
            }
        });
        self.remember_expanded();
    }

    /// Opens every directory above a path.
    pub fn expand_to(self, path: &str) {
        let mut above = parent(path);
        while !above.is_empty() {
            if !self.expanded.with_untracked(|all| all.contains(above)) {
                self.set_expanded(above, true);
            }
            above = parent(above);
        }
    }

    pub fn fold_all(self) {
        self.expanded.set(BTreeSet::new());
        self.remember_expanded();
    }

    fn remember_expanded(self) {
        let list = self.expanded.with_untracked(|all| serde_json::to_string(all).unwrap_or_default());
        storage::write(&self.ide.storage_key("expanded"), &list);
    }

    /// Folds a directory, opens a file, or leads to the review of a proposed one.
    pub fn activate(self, row: &Row) {
        self.current.set(Some(row.path.clone()));
        match row.kind {
            RowKind::Directory => self.set_expanded(&row.path, row.expanded != Some(true)),
            RowKind::File | RowKind::Symlink => {
                self.ide.drawer.set(false);
                self.ide.open_file(&row.path, None);
            }
            RowKind::Proposed => {
                if let Some(review) = review_proposing(self.ide, &row.path) {
                    self.ide.open_review(review);
                }
            }
            RowKind::Input => {}
        }
    }

    /// Opens a file beside the one on top; anything else as ever.
    pub fn open_beside(self, row: &Row) {
        if matches!(row.kind, RowKind::File | RowKind::Symlink) {
            self.ide.arrange(|groups| groups.open_beside(&row.path));
        }
        self.activate(row);
    }

    /// Moves the keyboard to a row: scrolls it into view and focuses it once it is drawn.
    pub fn go_to(self, at: usize) {
        let Some(path) = self.rows.with_untracked(|rows| rows.get(at).map(|row| row.path.clone())) else { return };
        self.current.set(Some(path.clone()));
        self.drawn.scroll_to(at);
        request_animation_frame(move || {
            // A name that is being typed keeps the keyboard.
            if self.edit.try_with_untracked(Option::is_none) == Some(true) {
                focus_row(&path);
            }
        });
    }

    /// Shows the row that something has led to, with the keyboard on it unless the person has gone on to type elsewhere.
    pub fn arrive(self, at: usize) {
        if focus::is_typing() {
            self.drawn.scroll_to(at);
        } else {
            self.go_to(at);
        }
    }

    /// Where new things go: the directory of the current row.
    pub fn target_directory(self) -> String {
        let current = self.current.get_untracked().and_then(|path| self.row(&path)).map(|(_, row)| row);
        match current {
            Some(row) => directory_of(&row),
            None => String::new(),
        }
    }

    /// What an action on `row` is about, as far as it is in the project.
    pub fn acted_on(self, row: Option<&str>) -> Vec<String> {
        let paths = self.selection.with_untracked(|selection| selection.acted_on(row));
        self.ide
            .tree
            .with_untracked(|tree| paths.into_iter().filter(|path| crate::components::tree_model::is_taken(&tree.items, path)).collect())
    }

    pub fn begin(self, edit: Edit) {
        if let Some(parent) = edit.input_parent() {
            // A filter could hide the place where the name is typed.
            self.filter.set(String::new());
            if !parent.is_empty() {
                self.expand_to(parent);
                self.set_expanded(parent, true);
            }
            let place = join_place(parent);
            request_animation_frame(move || {
                if let Some((at, _)) = self.row(&place) {
                    self.drawn.scroll_to(at);
                }
            });
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
}

/// The path of the row in which a new name is typed.
fn join_place(parent: &str) -> String {
    crate::components::tree_model::join(parent, "")
}

/// The directory that a row stands for: itself, or the one it lies in.
pub fn directory_of(row: &Row) -> String {
    if row.kind == RowKind::Directory { row.path.clone() } else { row.parent().to_owned() }
}

/// Paths that the agent wants to add. Tracks the proposals.
fn proposed_paths(ide: Ide) -> BTreeSet<String> {
    ide.proposals.with(|all| {
        let files = all.values().flat_map(|set| &set.files);
        files
            .filter(|file| {
                !file.directory
                    && matches!(file.action, ChangeAction::Add | ChangeAction::Rename)
                    && file.hunks.iter().any(|hunk| hunk.state.is_open())
            })
            .map(|file| file.path.clone())
            .collect()
    })
}

fn review_proposing(ide: Ide, path: &str) -> Option<ReviewKey> {
    ide.proposals.with_untracked(|all| all.values().find(|set| set.files.iter().any(|file| file.path == path)).map(ChangeSet::review_key))
}

/// An id for a row's element; paths may hold anything.
pub fn row_id(path: &str) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("row-{:x}", hasher.finish())
}

pub fn row_element(path: &str) -> Option<web_sys::HtmlElement> {
    document().get_element_by_id(&row_id(path)).and_then(|row| row.dyn_into().ok())
}

pub fn focus_row(path: &str) {
    if let Some(row) = row_element(path) {
        let _ = row.focus();
    }
}
