//! The side panel of files: the tree, and in its place the trash or the versions of one file.

use std::collections::HashSet;

use leptos::{ev, html, prelude::*};
use wire::files::EntryKind;

use crate::{
    components::{
        commands,
        explorer_actions::Relocation,
        explorer_dialogs::{ClashDialog, RelocateDialog},
        explorer_state::{Edit, Explorer},
        file_history::HistoryPanel,
        file_plan::Transfer,
        files_desk::{self, FilesPanel, TreeOrder},
        ide::{Ide, use_ide},
        trash_panel::TrashPanel,
        tree_drag,
        tree_entry::TreeEntry,
        tree_keys::on_key,
        tree_menu::{self, RowMenu},
        tree_model::Row,
        upload_panel::UploadPanel,
        upload_pick, uploads,
    },
    ui::{Empty, Icon, IconButton, MenuButton, MenuItem, MenuSeparator, SearchField, Skeleton, format, storage},
};

/// The browser's own dialogs for choosing what to upload.
#[derive(Clone, Copy)]
pub struct Pickers {
    files: NodeRef<html::Input>,
    folder: NodeRef<html::Input>,
    /// Where what is chosen goes; without it, where new things go.
    target: StoredValue<Option<String>>,
}

impl Pickers {
    pub fn files(self, directory: String) {
        self.open(self.files, directory);
    }

    pub fn folder(self, directory: String) {
        self.open(self.folder, directory);
    }

    fn open(self, input: NodeRef<html::Input>, directory: String) {
        self.target.set_value(Some(directory));
        if let Some(input) = input.get_untracked() {
            input.click();
        }
    }
}

/// The files of the project, as the content of the side panel.
#[component]
pub fn FileExplorer() -> impl IntoView {
    let ide = use_ide();
    let explorer = Explorer::new(ide);
    let pickers = Pickers { files: NodeRef::new(), folder: NodeRef::new(), target: StoredValue::default() };
    Effect::new(move |_| {
        if let Some(list) = storage::read(&ide.storage_key("expanded")).and_then(|text| serde_json::from_str(&text).ok()) {
            explorer.expanded.set(list);
        }
    });
    follow_active(explorer);
    follow_rows(explorer);
    follow_orders(explorer, pickers);
    files_desk::follow_seen(ide);
    uploads::begin(ide);
    let shows_tree = move || ide.files.panel.with(|panel| *panel == FilesPanel::Tree);
    view! {
        // By key: the history of another file has elements of its own, whose handlers go with it.
        <For each=move || [ide.files.panel.get()] key=Clone::clone let:panel>
            {match panel {
                FilesPanel::Tree => ().into_any(),
                FilesPanel::Trash => view! { <TrashPanel ide=ide /> }.into_any(),
                FilesPanel::History { path } => view! { <HistoryPanel ide=ide path=path /> }.into_any(),
            }}
        </For>
        <div class="side-part" hidden=move || !shows_tree()>
            <TreeHead explorer=explorer pickers=pickers />
            <div class="tree-filter">
                <SearchField label="Filter" icon="list-filter" bind=explorer.filter />
            </div>
            <RefusalNote ide=ide />
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
        </div>
        <UploadPanel ide=ide />
        <div class="tree-foot">{move || summary(ide)}</div>
        <RowMenu explorer=explorer pickers=pickers />
        <RelocateDialog explorer=explorer />
        <ClashDialog explorer=explorer />
    }
}

/// The file on top is shown in the tree; on request with the focus on it.
fn follow_active(explorer: Explorer) {
    let ide = explorer.ide;
    Effect::new(move |_| {
        let Some(path) = ide.active.get() else { return };
        explorer.expand_to(&path);
        explorer.current.set(Some(path.clone()));
        explorer.selection.update(|selection| selection.only(&path));
        request_animation_frame(move || {
            if !ide.is_gone()
                && let Some((at, _)) = explorer.row(&path)
            {
                explorer.drawn.scroll_to(at);
            }
        });
    });
    Effect::new(move |_| {
        if ide.files.reveal.get() == 0 {
            return;
        }
        let Some(path) = ide.active.get_untracked() else { return };
        explorer.filter.set(String::new());
        explorer.expand_to(&path);
        explorer.selection.update(|selection| selection.only(&path));
        // The panel may have been closed a moment ago.
        request_animation_frame(move || {
            if !ide.is_gone()
                && let Some((at, _)) = explorer.row(&path)
            {
                explorer.drawn.measure();
                explorer.go_to(at);
            }
        });
    });
}

/// What is folded or filtered away is not chosen any more: nothing is to happen to what nobody sees. The focus stays where it is.
fn follow_rows(explorer: Explorer) {
    let ide = explorer.ide;
    Effect::new(move |_| {
        // Before the list is there, the file on top is chosen already.
        if !ide.tree_loaded.get() {
            return;
        }
        let hides = explorer.rows.with(|rows| {
            let paths = rows.iter().map(|row| row.path.as_str());
            explorer.selection.with(|selection| !selection.is_within(paths))
        });
        if hides {
            explorer.selection.update(|selection| {
                explorer.rows.with_untracked(|rows| {
                    let shown: HashSet<&str> = rows.iter().map(|row| row.path.as_str()).collect();
                    selection.retain(|path| shown.contains(path));
                });
            });
        }
    });
}

/// Does what the palette asks.
fn follow_orders(explorer: Explorer, pickers: Pickers) {
    let ide = explorer.ide;
    Effect::new(move |_| {
        let Some(order) = ide.files.order.get() else { return };
        ide.files.order.set(None);
        // The panel may have been closed a moment ago.
        request_animation_frame(move || {
            if !ide.is_gone() {
                obey(explorer, pickers, order);
            }
        });
    });
}

fn obey(explorer: Explorer, pickers: Pickers, order: TreeOrder) {
    let ide = explorer.ide;
    let place = explorer.target_directory();
    match order {
        TreeOrder::NewFile => return explorer.begin(Edit::NewFile { parent: place }),
        TreeOrder::NewDirectory => return explorer.begin(Edit::NewDirectory { parent: place }),
        TreeOrder::UploadFiles => return pickers.files(place),
        TreeOrder::UploadFolder => return pickers.folder(place),
        TreeOrder::FoldAll => return explorer.fold_all(),
        TreeOrder::Filter => return commands::focus_in(".tree-filter input"),
        _ => {}
    }
    let row = explorer.current.get_untracked().and_then(|path| explorer.row(&path)).map(|(_, row)| row);
    let Some(row) = row.filter(Row::exists) else {
        ide.toast("Choose a file or a folder in the tree first");
        return;
    };
    let relocate = |transfer| explorer.relocating.set(Some(Relocation { paths: explorer.acted_on(Some(&row.path)), transfer }));
    match order {
        TreeOrder::Rename => explorer.begin_rename(&row.path),
        TreeOrder::Move => relocate(Transfer::Move),
        TreeOrder::Copy => relocate(Transfer::Copy),
        TreeOrder::Delete => explorer.delete(Some(&row.path)),
        TreeOrder::CopyPath => tree_menu::copy_paths(explorer, &row.path),
        TreeOrder::Download => tree_menu::download_chosen(explorer, &row),
        _ => {}
    }
}

#[component]
fn TreeHead(explorer: Explorer, pickers: Pickers) -> impl IntoView {
    let ide = explorer.ide;
    let locked = Signal::derive(move || !ide.can_edit());
    let picked = move |input: NodeRef<html::Input>| {
        let Some(input) = input.get_untracked() else { return };
        let directory = pickers.target.try_update_value(Option::take).flatten().unwrap_or_else(|| explorer.target_directory());
        if let Some(files) = input.files() {
            uploads::add(ide, upload_pick::of_list(&files), &directory);
        }
        input.set_value("");
    };
    let new_file = move |_| explorer.begin(Edit::NewFile { parent: explorer.target_directory() });
    let new_directory = move |_| explorer.begin(Edit::NewDirectory { parent: explorer.target_directory() });
    let target = move || explorer.target_directory();
    view! {
        <div class="phead">
            <h2>"Files"</h2>
            <IconButton icon="file-plus" label="New file" small=true disabled=locked on_click=new_file />
            <IconButton icon="folder-plus" label="New folder" small=true disabled=locked on_click=new_directory />
            <IconButton
                icon="upload"
                label="Upload"
                small=true
                disabled=locked
                on_click=move |_| pickers.files(target())
            />
            <MenuButton label="More for the files" small=true>
                <MenuItem icon="upload" disabled=locked on_choose=move || pickers.files(target())>"Upload files"</MenuItem>
                <MenuItem icon="folder-up" disabled=locked on_choose=move || pickers.folder(target())>"Upload a folder"</MenuItem>
                <MenuSeparator />
                <MenuItem icon="file-code" on_choose=move || files_desk::reveal_active(ide)>"Show the open file"</MenuItem>
                <MenuItem icon="folder" key="Ctrl ←" on_choose=move || explorer.fold_all()>"Fold all folders"</MenuItem>
                <MenuItem icon="eye" on_choose=move || files_desk::mark_all_seen(ide)>"Mark everything as looked at"</MenuItem>
                <MenuSeparator />
                <MenuItem icon="trash-2" on_choose=move || files_desk::show_trash(ide)>"Show the trash"</MenuItem>
                <a role="menuitem" tabindex="-1" href=move || ide.folder_url("") download rel="external">
                    <Icon name="download" small=true />
                    "Download all as zip"
                </a>
            </MenuButton>
            <input
                type="file"
                multiple
                hidden
                aria-label="Files to upload"
                node_ref=pickers.files
                on:change=move |_| picked(pickers.files)
            />
            <input
                type="file"
                multiple
                hidden
                aria-label="Folder to upload"
                node_ref=pickers.folder
                {..leptos::attr::custom::custom_attribute("webkitdirectory", "")}
                on:change=move |_| picked(pickers.folder)
            />
        </div>
    }
}

fn summary(ide: Ide) -> String {
    let (files, size) = ide.tree.with(|tree| {
        let files = tree.items.iter().filter(|entry| entry.kind != EntryKind::Directory);
        files.fold((0, 0), |(count, size), entry| (count + 1, size + entry.size))
    });
    if ide.tree_loaded.get() { format!("{}, {}", format::counted(files, "file", "files"), format::bytes(size)) } else { String::new() }
}

/// Why the last change was refused, in all panels of files.
#[component]
pub fn RefusalNote(ide: Ide) -> impl IntoView {
    move || {
        ide.files.refusal.get().map(|refusal| {
            let lines = refusal.lines.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
            view! {
                <div class="refusal" role="alert">
                    <Icon name="circle-alert" small=true />
                    <div class="grow">
                        <b>{refusal.title}</b>
                        <ul>{lines}</ul>
                    </div>
                    <IconButton icon="x" label="Dismiss" small=true on_click=move |_| ide.files.refusal.set(None) />
                </div>
            }
        })
    }
}

#[component]
fn TreeList(explorer: Explorer) -> impl IntoView {
    let ide = explorer.ide;
    let window = explorer.drawn.window(explorer.rows);
    explorer.drawn.measure_when(move || {
        explorer.rows.with(Vec::len);
        ide.files.panel.track();
        ide.side_open.track();
        ide.phone_pane.track();
        ide.phone_editor.track();
        ide.drawer.track();
        ide.files.uploads.items.with(Vec::is_empty);
    });
    // The rows are asked before what is made of them: else a change that leaves their number the same could be missed.
    let rows = Memo::new(move |_| explorer.rows.with(|rows| window.get().of(rows).to_vec()));
    let (above, below) = explorer.drawn.pads(window);
    // When the row that Tab reaches is scrolled away, the list itself is reached and brings it back.
    let stop_hidden = Memo::new(move |_| {
        let at = explorer.rows.with(|rows| explorer.stop.with(|stop| rows.iter().position(|row| Some(&row.path) == stop.as_ref())));
        at.is_some_and(|at| !window.get().has(at))
    });
    let on_focus = move |_| {
        if stop_hidden.get_untracked()
            && let Some((at, _)) = explorer.stop.get_untracked().and_then(|path| explorer.row(&path))
        {
            explorer.go_to(at);
        }
    };
    let on_menu = move |event: ev::MouseEvent| {
        explorer.menu_row.set(None);
        explorer.menu.open_at(&event);
    };
    view! {
        <ul
            class="tree scroll"
            role="tree"
            aria-label="Project files"
            aria-multiselectable="true"
            aria-busy=move || (!ide.tree_loaded.get()).then_some("true")
            data-drop=move || explorer.drop_at.with(|at| at.as_deref() == Some("")).then_some("true")
            tabindex=move || (stop_hidden.get() || rows.with(Vec::is_empty)).then_some("0")
            node_ref=explorer.drawn.node
            on:focus=on_focus
            on:scroll=move |_| explorer.drawn.measure()
            on:keydown=move |event| on_key(explorer, &event)
            on:contextmenu=on_menu
            on:dragover=move |event| tree_drag::on_drag_over(explorer, &event)
            on:dragleave=move |event| tree_drag::on_drag_leave(explorer, &event)
            on:drop=move |event| tree_drag::on_drop(explorer, &event)
        >
            <li role="presentation" class="tree-pad" style:height=above></li>
            <For each=move || rows.get() key=|row| row.path.clone() let:row>
                <TreeEntry explorer=explorer rows=rows row=row />
            </For>
            <li role="presentation" class="tree-pad" style:height=below></li>
        </ul>
        <Show when=move || !ide.tree_loaded.get() && explorer.rows.with(Vec::is_empty)>
            <div class="inset">
                <Skeleton lines=8 />
            </div>
        </Show>
        <Show when=move || ide.tree_loaded.get() && explorer.rows.with(Vec::is_empty)>
            <div class="inset tree-empty">
                {move || {
                    if explorer.filter.with(|filter| filter.trim().is_empty()) {
                        view! { <Empty title="No files yet" text="Make a file, drop files or folders here, or ask the agent to begin." /> }
                    } else {
                        view! { <Empty title="No path holds this" text="Empty the filter to see every file." /> }
                    }
                }}
            </div>
        </Show>
    }
}
