//! The tree of the project's files: browse, filter, create, rename, delete with undo, upload.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use leptos::{attr::custom::custom_attribute, ev, html, prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::{
    changes::ChangeAction,
    files::{Base, MovePath, RestorePath, SaveOutcome, SaveText, check_path},
};

use crate::{
    api,
    components::{
        clipboard, documents,
        ide::{Ide, use_ide},
        project_feed,
        tree_model::{Index, Row, RowKind, file_icon, join, parent},
        uploads::{UploadList, Uploads},
    },
    ui::{Empty, Icon, IconButton, Menu, MenuItem, MenuSeparator, MenuState, SearchField, Skeleton, TreeRow, format, storage},
};

const ROW: f64 = 24.0;
/// Rows kept beyond each edge of the view.
const OVERSCAN: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
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
struct Explorer {
    ide: Ide,
    expanded: RwSignal<BTreeSet<String>>,
    filter: RwSignal<String>,
    /// The row that the keyboard is on.
    current: RwSignal<Option<String>>,
    /// The row that Tab reaches: the current one, or the first when that is not shown.
    stop: Memo<Option<String>>,
    edit: RwSignal<Option<Edit>>,
    edit_error: RwSignal<Option<String>>,
    rows: Memo<Vec<Row>>,
    list: NodeRef<html::Ul>,
    row_height: RwSignal<f64>,
    scroll: RwSignal<(f64, f64)>,
    menu: MenuState,
    menu_row: RwSignal<Option<Row>>,
    last_deleted: StoredValue<Option<String>>,
    uploads: Uploads,
}

impl Explorer {
    fn new(ide: Ide) -> Self {
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

    fn row(self, path: &str) -> Option<(usize, Row)> {
        self.rows.with_untracked(|rows| rows.iter().position(|row| row.path == path).map(|at| (at, rows[at].clone())))
    }

    fn set_expanded(self, path: &str, open: bool) {
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

    fn activate(self, row: &Row) {
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
    fn go_to(self, at: usize) {
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
    fn target_directory(self) -> String {
        let current = self.current.get_untracked().and_then(|path| self.row(&path)).map(|(_, row)| row);
        match current {
            Some(row) if row.kind == RowKind::Directory => row.path,
            Some(row) => row.parent().to_owned(),
            None => String::new(),
        }
    }

    fn begin(self, edit: Edit) {
        if let Some(parent) = edit.input_parent().filter(|parent| !parent.is_empty()) {
            self.set_expanded(parent, true);
        }
        self.edit_error.set(None);
        self.edit.set(Some(edit));
    }

    fn begin_rename(self, path: &str) {
        self.begin(Edit::Rename { path: path.to_owned() });
    }

    fn cancel_edit(self) {
        self.edit.set(None);
        self.edit_error.set(None);
    }

    fn commit_edit(self, name: &str) {
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
        spawn_local(async move {
            let done = match &edit {
                Edit::NewFile { .. } => create_file(explorer.ide, &path).await,
                Edit::NewDirectory { .. } => create_directory(explorer.ide, &path).await,
                Edit::Rename { path: from } => rename(explorer.ide, from, &path).await,
            };
            if explorer.ide.is_gone() {
                return;
            }
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
    fn delete(self, row: &Row) {
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
            let request = RestorePath { path: path.clone(), version: None };
            match api::files::restore(ide.project_id, request).await {
                _ if ide.is_gone() => {}
                Ok(()) => project_feed::reload_tree_soon(ide),
                Err(error) => ide.error(&error.0),
            }
        });
    }
}

async fn create_file(ide: Ide, path: &str) -> Result<(), String> {
    let request = SaveText { path: path.to_owned(), base: Base::New, text: String::new() };
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
    let request = MovePath { from: from.to_owned(), to: to.to_owned() };
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
fn row_id(path: &str) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("row-{:x}", hasher.finish())
}

fn focus_row(path: &str) {
    let row = document().get_element_by_id(&row_id(path)).and_then(|row| row.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(row) = row {
        let _ = row.focus();
    }
}

/// The files of the project, as the content of the side panel.
#[component]
pub fn FileExplorer() -> impl IntoView {
    let ide = use_ide();
    let explorer = Explorer::new(ide);
    Effect::new(move |_| {
        if let Some(list) = storage::read(&ide.storage_key("expanded")).and_then(|text| serde_json::from_str(&text).ok()) {
            explorer.expanded.set(list);
        }
    });
    // The file on top is shown in the tree.
    Effect::new(move |_| {
        let Some(path) = ide.active.get() else { return };
        let mut above = parent(&path);
        while !above.is_empty() {
            if !explorer.expanded.with_untracked(|all| all.contains(above)) {
                explorer.set_expanded(above, true);
            }
            above = parent(above);
        }
        explorer.current.set(Some(path));
    });
    let picker = NodeRef::<html::Input>::new();
    let picked = move |_| {
        if let Some(input) = picker.get_untracked() {
            if let Some(files) = input.files() {
                explorer.uploads.add(&files, &explorer.target_directory());
            }
            input.set_value("");
        }
    };
    let pick = move |_| {
        if let Some(input) = picker.get_untracked() {
            input.click();
        }
    };
    let locked = Signal::derive(move || !ide.can_edit());
    let new_file = move |_| explorer.begin(Edit::NewFile { parent: explorer.target_directory() });
    let new_directory = move |_| explorer.begin(Edit::NewDirectory { parent: explorer.target_directory() });
    view! {
        <div class="phead">
            <h2>"Files"</h2>
            <IconButton icon="file-plus" label="New file" small=true disabled=locked on:click=new_file />
            <IconButton icon="folder-plus" label="New folder" small=true disabled=locked on:click=new_directory />
            <IconButton icon="upload" label="Upload" small=true disabled=locked on:click=pick />
            <input type="file" multiple hidden aria-label="Files to upload" node_ref=picker on:change=picked />
        </div>
        <div class="tree-filter">
            <SearchField label="Filter" icon="list-filter" bind=explorer.filter />
        </div>
        {move || {
            explorer
                .edit_error
                .get()
                .map(|reason| {
                    view! {
                        <p class="err tree-err" role="alert">
                            <Icon name="circle-alert" small=true />
                            <span>{reason}</span>
                        </p>
                    }
                })
        }}
        <TreeList explorer=explorer />
        <UploadList uploads=explorer.uploads />
        <div class="tree-foot">{move || summary(ide)}</div>
        <RowMenu explorer=explorer />
    }
}

fn summary(ide: Ide) -> String {
    let (files, size) = ide.tree.with(|tree| {
        let files = tree.items.iter().filter(|entry| entry.kind != wire::files::EntryKind::Directory);
        files.fold((0, 0), |(count, size), entry| (count + 1, size + entry.size))
    });
    if ide.tree_loaded.get() { format!("{}, {}", format::counted(files, "file", "files"), format::bytes(size)) } else { String::new() }
}

#[component]
fn TreeList(explorer: Explorer) -> impl IntoView {
    let ide = explorer.ide;
    let window = Memo::new(move |_| {
        let (top, view) = explorer.scroll.get();
        let height = explorer.row_height.get();
        let count = explorer.rows.with(Vec::len);
        let first = ((top / height) as usize).saturating_sub(OVERSCAN).min(count);
        let last = ((top + view) / height) as usize + OVERSCAN;
        (first, last.min(count), count)
    });
    let measure = move || {
        let Some(list) = explorer.list.get_untracked() else { return };
        explorer.scroll.set((f64::from(list.scroll_top()), f64::from(list.client_height())));
        let row = list.query_selector("[role=treeitem]").ok().flatten();
        if let Some(height) = row.map(|row| row.get_bounding_client_rect().height()).filter(|height| *height >= 16.0) {
            explorer.row_height.set(height);
        }
    };
    Effect::new(move |_| {
        // Once drawn, and again when the number of rows changes.
        explorer.rows.with(Vec::len);
        request_animation_frame(measure);
    });
    let resized = window_event_listener(ev::resize, move |_| measure());
    on_cleanup(move || resized.remove());
    let rows = move || {
        let (first, last, _) = window.get();
        explorer.rows.with(|rows| rows.get(first..last.min(rows.len())).unwrap_or_default().to_vec())
    };
    let above = move || format!("{}px", window.get().0 as f64 * explorer.row_height.get());
    let below = move || {
        let (_, last, count) = window.get();
        format!("{}px", (count - last) as f64 * explorer.row_height.get())
    };
    // When the row that Tab reaches is scrolled away, the list itself is reached and brings it back.
    let stop_hidden = Memo::new(move |_| {
        let (first, last, _) = window.get();
        let at = explorer.stop.with(|stop| explorer.rows.with(|rows| rows.iter().position(|row| Some(&row.path) == stop.as_ref())));
        at.is_some_and(|at| !(first..last).contains(&at))
    });
    let on_focus = move |_| {
        if stop_hidden.get_untracked()
            && let Some((at, _)) = explorer.stop.get_untracked().and_then(|path| explorer.row(&path))
        {
            explorer.go_to(at);
        }
    };
    let dropping = RwSignal::new(false);
    let on_drop = move |event: ev::DragEvent| {
        event.prevent_default();
        dropping.set(false);
        if !ide.can_edit() {
            return;
        }
        let over = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let path = over.and_then(|el| el.closest("[data-path]").ok().flatten()).and_then(|row| row.get_attribute("data-path"));
        let directory = match path.and_then(|path| explorer.row(&path)) {
            Some((_, row)) if row.kind == RowKind::Directory => row.path,
            Some((_, row)) => row.parent().to_owned(),
            None => String::new(),
        };
        if let Some(files) = event.data_transfer().and_then(|data| data.files()) {
            explorer.uploads.add(&files, &directory);
        }
    };
    view! {
        <ul
            class="tree scroll"
            role="tree"
            aria-label="Project files"
            data-drop=move || dropping.get().then_some("true")
            tabindex=move || stop_hidden.get().then_some("0")
            node_ref=explorer.list
            on:focus=on_focus
            on:scroll=move |_| measure()
            on:keydown=move |event| on_key(explorer, &event)
            on:dragover=move |event: ev::DragEvent| {
                event.prevent_default();
                dropping.set(true);
            }
            on:dragleave=move |_| dropping.set(false)
            on:drop=on_drop
        >
            <li role="presentation" class="tree-pad" style:height=above></li>
            <For each=rows key=|row| row.clone() let:row>
                <TreeEntry explorer=explorer row=row />
            </For>
            <li role="presentation" class="tree-pad" style:height=below></li>
        </ul>
        <Show when=move || !ide.tree_loaded.get()>
            <div class="inset">
                <Skeleton lines=8 />
            </div>
        </Show>
        <Show when=move || ide.tree_loaded.get() && explorer.rows.with(Vec::is_empty)>
            <div class="inset tree-empty">
                {move || {
                    if explorer.filter.with(|filter| filter.trim().is_empty()) {
                        view! { <Empty title="No files yet" text="Make a file, drop some here, or ask the agent to begin." /> }
                    } else {
                        view! { <Empty title="No path holds this" text="Empty the filter to see every file." /> }
                    }
                }}
            </div>
        </Show>
    }
}

#[component]
fn TreeEntry(explorer: Explorer, row: Row) -> impl IntoView {
    let path = StoredValue::new(row.path.clone());
    let renaming = Memo::new(move |_| {
        explorer.edit.with(|edit| matches!(edit, Some(Edit::Rename { path: at }) if path.with_value(|path| path == at)))
    });
    let row = StoredValue::new(row);
    move || {
        let row = row.get_value();
        if row.kind == RowKind::Input {
            let is_file = explorer.edit.with_untracked(|edit| matches!(edit, Some(Edit::NewFile { .. })));
            view! { <NameInput explorer=explorer row=row initial=String::new() icon=if is_file { "file-plus" } else { "folder-plus" } /> }
                .into_any()
        } else if renaming.get() {
            let initial = row.name().to_owned();
            let icon = row_icon(&row);
            view! { <NameInput explorer=explorer row=row initial=initial icon=icon /> }.into_any()
        } else {
            view! { <EntryRow explorer=explorer row=row /> }.into_any()
        }
    }
}

fn row_icon(row: &Row) -> &'static str {
    match row.kind {
        RowKind::Directory => "folder",
        RowKind::Proposed => "file-plus",
        RowKind::File | RowKind::Input => file_icon(row.name()),
    }
}

#[component]
fn EntryRow(explorer: Explorer, row: Row) -> impl IntoView {
    let ide = explorer.ide;
    let path = StoredValue::new(row.path.clone());
    let is_directory = row.kind == RowKind::Directory;
    let expanded = move || {
        let open = || !explorer.filter.with(|f| f.trim().is_empty()) || explorer.expanded.with(|all| path.with_value(|p| all.contains(p)));
        is_directory.then(open)
    };
    let selected = Signal::derive(move || ide.active.with(|active| path.with_value(|path| active.as_deref() == Some(path))));
    let current = Signal::derive(move || explorer.stop.with(|stop| path.with_value(|path| stop.as_deref() == Some(path))));
    let (name, icon, level, place) = (row.name().to_owned(), row_icon(&row), row.level, row.place);
    let kind = row.kind;
    let row = StoredValue::new(row);
    let on_menu = move |event: ev::MouseEvent| {
        explorer.current.set(Some(path.get_value()));
        explorer.menu_row.set(Some(row.get_value()));
        focus_row(&path.get_value());
        explorer.menu.open_at(&event);
    };
    view! {
        <TreeRow
            name=name
            icon=icon
            level=level
            expanded=MaybeProp::derive(expanded)
            selected=selected
            current=current
            place=place
            attr:id=row_id(&path.get_value())
            attr:data-path=path.get_value()
            on:click=move |_| explorer.activate(&row.get_value())
            on:contextmenu=on_menu
        >
            <RowBadge ide=ide path=path.get_value() kind=kind />
        </TreeRow>
    }
}

/// One badge at most: conflict, then unsaved, then what the agent proposes.
#[component]
fn RowBadge(ide: Ide, path: String, kind: RowKind) -> impl IntoView {
    let badge = Memo::new(move |_| {
        let tab = ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == path).map(|tab| (tab.conflict.is_some(), tab.dirty)));
        match tab {
            Some((true, _)) => RowMark::Conflict,
            Some((_, true)) => RowMark::Unsaved,
            _ if kind == RowKind::Proposed => RowMark::Proposed,
            _ if kind == RowKind::Directory => RowMark::None,
            _ => match ide.open_hunks_in(&path) {
                0 => RowMark::None,
                hunks => RowMark::Hunks(hunks),
            },
        }
    });
    move || match badge.get() {
        RowMark::None => ().into_any(),
        RowMark::Conflict => view! {
            <span class="m c-warn" title="Changed on both sides">
                <Icon name="triangle-alert" />
                <span class="sr">"conflict"</span>
            </span>
        }
        .into_any(),
        RowMark::Unsaved => view! {
            <span class="m" title="Not saved yet">
                <span class="dot dot--unsaved"></span>
                <span class="sr">"not saved"</span>
            </span>
        }
        .into_any(),
        RowMark::Proposed => view! {
            <span class="m c-agent" title="Proposed by the agent">
                <Icon name="sparkles" />
                <span class="sr">"proposed by the agent"</span>
            </span>
        }
        .into_any(),
        RowMark::Hunks(hunks) => {
            let text = format!("{} for review", if hunks == 1 { "1 hunk waits".to_owned() } else { format!("{hunks} hunks wait") });
            let title = text.clone();
            view! {
                <span class="m c-agent" title=title>
                    <span class="count count--agent" aria-hidden="true">{hunks}</span>
                    <span class="sr">{text}</span>
                </span>
            }
            .into_any()
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowMark {
    None,
    Conflict,
    Unsaved,
    Proposed,
    Hunks(usize),
}

#[component]
fn NameInput(explorer: Explorer, row: Row, initial: String, icon: &'static str) -> impl IntoView {
    let node = NodeRef::<html::Input>::new();
    // The part before the ending is selected: that is what is mostly typed over.
    let stem = u32::try_from(initial.rfind('.').filter(|at| *at > 0).unwrap_or(initial.len())).unwrap_or(0);
    Effect::new(move |_| {
        if let Some(input) = node.get() {
            let _ = input.focus();
            let _ = input.set_selection_range(0, stem);
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        event.stop_propagation();
        let Some(input) = node.get_untracked() else { return };
        match event.key().as_str() {
            "Enter" => {
                event.prevent_default();
                explorer.commit_edit(&input.value());
            }
            "Escape" => {
                event.prevent_default();
                explorer.cancel_edit();
                if let Some(path) = explorer.current.get_untracked() {
                    request_animation_frame(move || focus_row(&path));
                }
            }
            _ => {}
        }
    };
    let on_blur = move |_| {
        if let Some(input) = node.get_untracked()
            && explorer.edit_error.with_untracked(Option::is_none)
        {
            explorer.commit_edit(&input.value());
        }
    };
    view! {
        <li role="treeitem" {..custom_attribute("aria-level", row.level.to_string())} aria-selected="false" style:--d=(row.level - 1).to_string()>
            <span class="pad"></span>
            <Icon name=icon />
            <input
                class="input input--s tree-name"
                aria-label="Name"
                aria-invalid=move || explorer.edit_error.with(Option::is_some).then_some("true")
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                value=initial
                node_ref=node
                on:input=move |_| explorer.edit_error.set(None)
                on:keydown=on_keydown
                on:blur=on_blur
            />
        </li>
    }
}

#[component]
fn RowMenu(explorer: Explorer) -> impl IntoView {
    let ide = explorer.ide;
    let row = explorer.menu_row;
    let locked = Signal::derive(move || !ide.can_edit() || row.with(|row| row.as_ref().is_none_or(|r| r.kind == RowKind::Proposed)));
    let with_row = move |act: fn(Explorer, Row)| {
        move || {
            if let Some(row) = row.get_untracked() {
                act(explorer, row);
            }
        }
    };
    let label = Signal::derive(move || row.with(|row| row.as_ref().map(|row| row.name().to_owned()).unwrap_or_default()));
    view! {
        <Menu state=explorer.menu label=label>
            <MenuItem icon="file-plus" disabled=locked on_choose=with_row(|e, _| e.begin(Edit::NewFile { parent: e.target_directory() }))>
                "New file"
            </MenuItem>
            <MenuItem
                icon="folder-plus"
                disabled=locked
                on_choose=with_row(|e, _| e.begin(Edit::NewDirectory { parent: e.target_directory() }))
            >
                "New folder"
            </MenuItem>
            <MenuSeparator />
            <MenuItem icon="pencil" key="F2" disabled=locked on_choose=with_row(|e, row| e.begin_rename(&row.path))>
                "Rename"
            </MenuItem>
            <MenuItem icon="trash-2" key="Del" danger=true disabled=locked on_choose=with_row(|e, row| e.delete(&row))>
                "Move to the trash"
            </MenuItem>
            <MenuSeparator />
            <MenuItem icon="clipboard" on_choose=with_row(|e, row| copy_path(e.ide, &row.path))>
                "Copy path"
            </MenuItem>
            <MenuItem icon="sparkles" on_choose=with_row(|e, row| e.ide.ask_agent(format!("About `{}`: ", row.path)))>
                "Ask the agent about this"
            </MenuItem>
            {move || {
                row.with(|row| row.as_ref().filter(|row| row.kind == RowKind::File).map(|row| ide.file_url(&row.path)))
                    .map(|url| {
                        view! {
                            <a role="menuitem" tabindex="-1" href=url download rel="external" on:click=move |_| explorer.menu.close()>
                                <Icon name="download" small=true />
                                "Download"
                            </a>
                        }
                    })
            }}
        </Menu>
    }
}

/// Puts a path into the clipboard.
pub fn copy_path(ide: Ide, path: &str) {
    clipboard::copy(path.to_owned(), "path", ide.toasts);
}

fn on_key(explorer: Explorer, event: &ev::KeyboardEvent) {
    let count = explorer.rows.with_untracked(Vec::len);
    if count == 0 {
        return;
    }
    let current = explorer.current.get_untracked().and_then(|path| explorer.row(&path));
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
