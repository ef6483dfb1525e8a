//! The menu of a row of the file tree, and of the project as a whole.

use leptos::{prelude::*, wasm_bindgen::JsCast, web_sys};

use crate::{
    components::{
        clipboard,
        commands::Command,
        explorer_actions::Relocation,
        explorer_state::{Edit, Explorer, directory_of},
        file_explorer::Pickers,
        file_plan::Transfer,
        files_desk,
        ide::Ide,
        tree_model::{Row, RowKind},
    },
    ui::{Icon, Menu, MenuItem, MenuSeparator, format},
};

/// The longest address that everything between a browser and the server passes on.
const ADDRESS_MAX: usize = 7000;
const TOO_MANY: &str = "Too much is chosen for one download. Choose the folder that it lies in.";

/// Opened with a right click, the menu key or Shift F10, for the row in `menu_row`; without one for the root.
#[component]
pub fn RowMenu(explorer: Explorer, pickers: Pickers) -> impl IntoView {
    let ide = explorer.ide;
    let row = explorer.menu_row;
    let label = Signal::derive(move || row.with(|row| row.as_ref().map_or("Project".to_owned(), |row| row.name().to_owned())));
    view! {
        <Menu state=explorer.menu label=label>
            <NewItems explorer=explorer pickers=pickers />
            {move || {
                row.get()
                    .map(|row| {
                        let row = StoredValue::new(row);
                        view! {
                            <MenuSeparator />
                            <ChangeItems explorer=explorer row=row />
                            <MenuSeparator />
                            <ReadItems explorer=explorer row=row />
                        }
                    })
            }}
            <MenuSeparator />
            <MenuItem icon="trash-2" on_choose=move || files_desk::show_trash(ide)>
                "Show the trash"
            </MenuItem>
        </Menu>
    }
}

/// What makes something new where the menu was opened.
#[component]
fn NewItems(explorer: Explorer, pickers: Pickers) -> impl IntoView {
    let ide = explorer.ide;
    let locked = Signal::derive(move || !ide.can_edit());
    let place = move || explorer.menu_row.with_untracked(|row| row.as_ref().map(directory_of).unwrap_or_default());
    let no_clip = Signal::derive(move || !ide.can_edit() || explorer.clipboard.with(Option::is_none));
    view! {
        <MenuItem icon="file-plus" disabled=locked on_choose=move || explorer.begin(Edit::NewFile { parent: place() })>
            "New file"
        </MenuItem>
        <MenuItem icon="folder-plus" disabled=locked on_choose=move || explorer.begin(Edit::NewDirectory { parent: place() })>
            "New folder"
        </MenuItem>
        <MenuItem icon="upload" disabled=locked on_choose=move || pickers.files(place())>
            "Upload files"
        </MenuItem>
        <MenuItem icon="folder-up" disabled=locked on_choose=move || pickers.folder(place())>
            "Upload a folder"
        </MenuItem>
        <MenuItem icon="clipboard" key="Ctrl V" disabled=no_clip on_choose=move || explorer.paste(&place())>
            "Paste"
        </MenuItem>
    }
}

#[component]
fn ChangeItems(explorer: Explorer, row: StoredValue<Row>) -> impl IntoView {
    let ide = explorer.ide;
    let locked = Signal::derive(move || !ide.can_edit() || row.with_value(|row| !row.exists()));
    let unread = Signal::derive(move || row.with_value(|row| !row.exists()));
    let path = move || row.with_value(|row| row.path.clone());
    let relocate = move |transfer| explorer.relocating.set(Some(Relocation { paths: explorer.acted_on(Some(&path())), transfer }));
    view! {
        <MenuItem key="Ctrl X" disabled=locked on_choose=move || explorer.take_up(Transfer::Move, Some(&path()))>
            "Cut"
        </MenuItem>
        <MenuItem key="Ctrl C" disabled=unread on_choose=move || explorer.take_up(Transfer::Copy, Some(&path()))>
            "Copy"
        </MenuItem>
        <MenuItem icon="arrow-right" disabled=locked on_choose=move || relocate(Transfer::Move)>
            "Move to…"
        </MenuItem>
        <MenuItem disabled=locked on_choose=move || relocate(Transfer::Copy)>
            "Copy to…"
        </MenuItem>
        <MenuItem icon="pencil" key="F2" disabled=locked on_choose=move || explorer.begin_rename(&path())>
            "Rename"
        </MenuItem>
        <MenuItem icon="trash-2" key="Del" danger=true disabled=locked on_choose=move || explorer.delete(Some(&path()))>
            "Move to the trash"
        </MenuItem>
    }
}

#[component]
fn ReadItems(explorer: Explorer, row: StoredValue<Row>) -> impl IntoView {
    let ide = explorer.ide;
    let path = move || row.with_value(|row| row.path.clone());
    let kind = row.with_value(|row| row.kind);
    let is_file = matches!(kind, RowKind::File | RowKind::Symlink);
    let download = row.with_value(|row| find_download(explorer, row));
    let copied = row.with_value(|row| explorer.selection.with_untracked(|selection| selection.named(&row.path).len()));
    view! {
        {is_file
            .then(|| {
                view! {
                    <MenuItem icon="columns-2" key="Ctrl ⏎" on_choose=move || row.with_value(|row| explorer.open_beside(row))>
                        "Open beside"
                    </MenuItem>
                }
            })}
        <MenuItem icon="clipboard" key=Command::CopyPath.shown_keys(ide) on_choose=move || copy_paths(explorer, &path())>
            {if copied > 1 { "Copy paths" } else { "Copy path" }}
        </MenuItem>
        {is_file
            .then(|| {
                view! {
                    <MenuItem icon="history" on_choose=move || files_desk::show_history(ide, &path())>
                        "History of this file"
                    </MenuItem>
                }
            })}
        <MenuItem icon="sparkles" on_choose=move || ide.ask_agent(format!("About `{}`: ", path()))>
            "Ask the agent about this"
        </MenuItem>
        {download
            .map(|Download { label, url }| match url {
                Some(url) => {
                    view! {
                        <a role="menuitem" tabindex="-1" href=url download rel="external" on:click=move |_| explorer.menu.close()>
                            <Icon name="download" small=true />
                            {label}
                        </a>
                    }
                        .into_any()
                }
                None => {
                    view! {
                        <MenuItem icon="download" on_choose=move || ide.toast(TOO_MANY)>
                            {label}
                        </MenuItem>
                    }
                        .into_any()
                }
            })}
    }
}

struct Download {
    label: String,
    /// `None` where too much is chosen to be named in one address.
    url: Option<String>,
}

/// What can be downloaded for a row: all that is chosen as one archive when the row is among it, else the row.
fn find_download(explorer: Explorer, row: &Row) -> Option<Download> {
    let (ide, paths) = (explorer.ide, explorer.acted_on(Some(&row.path)));
    let (url, label) = match &paths[..] {
        [] => return None,
        [path] => match explorer.row(path)?.1.kind {
            RowKind::File => (ide.file_url(path), "Download".to_owned()),
            RowKind::Directory => (ide.folder_url(path), "Download as zip".to_owned()),
            _ => return None,
        },
        many => (ide.paths_url(many), format!("Download {} as zip", format::counted(many.len() as i64, "item", "items"))),
    };
    Some(Download { label, url: Some(url).filter(|url| url.len() <= ADDRESS_MAX) })
}

/// Downloads a row, or all that is chosen when the row is among it.
pub fn download_chosen(explorer: Explorer, row: &Row) {
    match find_download(explorer, row) {
        Some(Download { url: Some(url), .. }) => download(&url),
        Some(_) => explorer.ide.toast(TOO_MANY),
        // Of a link, what it holds.
        None => download(&explorer.ide.file_url(&row.path)),
    }
}

/// Follows `url` as a link to something to be kept, not to be shown.
pub fn download(url: &str) {
    let document = document();
    let Some(link) = document.create_element("a").ok().and_then(|link| link.dyn_into::<web_sys::HtmlAnchorElement>().ok()) else { return };
    link.set_href(url);
    link.set_download("");
    // The router leaves such a link to the browser.
    link.set_rel("external");
    if let Some(body) = document.body()
        && body.append_child(&link).is_ok()
    {
        link.click();
        link.remove();
    }
}

/// Puts the path of a row into the clipboard, or all that is chosen when the row is among it, one on each line.
pub fn copy_paths(explorer: Explorer, row: &str) {
    let paths = explorer.selection.with_untracked(|selection| selection.named(row));
    let what = if paths.len() == 1 { "path" } else { "paths" };
    clipboard::copy(paths.join("\n"), what, explorer.ide.toasts);
}

/// Puts a path into the clipboard.
pub fn copy_path(ide: Ide, path: &str) {
    clipboard::copy(path.to_owned(), "path", ide.toasts);
}
