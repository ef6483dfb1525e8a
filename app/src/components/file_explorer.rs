//! The tree of the project's files: browse, filter, create, rename, delete with undo, upload.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

use crate::{
    components::{
        explorer_state::{Edit, Explorer, on_key},
        ide::{Ide, use_ide},
        tree_entry::TreeEntry,
        tree_menu::RowMenu,
        tree_model::{RowKind, parent},
        uploads::UploadList,
    },
    ui::{Empty, Icon, IconButton, SearchField, Skeleton, format, storage},
};

/// Rows kept beyond each edge of the view.
const OVERSCAN: usize = 12;

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
    // The rows are asked before what is made of them: else a change that leaves their number the same could be missed.
    let rows = move || {
        explorer.rows.with(|rows| {
            let (first, last, _) = window.get();
            rows.get(first..last.min(rows.len())).unwrap_or_default().to_vec()
        })
    };
    let above = move || format!("{}px", window.get().0 as f64 * explorer.row_height.get());
    let below = move || {
        let (_, last, count) = window.get();
        format!("{}px", (count - last) as f64 * explorer.row_height.get())
    };
    // When the row that Tab reaches is scrolled away, the list itself is reached and brings it back.
    let stop_hidden = Memo::new(move |_| {
        let at = explorer.rows.with(|rows| explorer.stop.with(|stop| rows.iter().position(|row| Some(&row.path) == stop.as_ref())));
        let (first, last, _) = window.get();
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
