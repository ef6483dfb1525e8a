//! The menu of a row of the file tree.

use leptos::prelude::*;

use crate::{
    components::{
        clipboard,
        explorer_state::{Edit, Explorer},
        ide::Ide,
        tree_model::{Row, RowKind},
    },
    ui::{Icon, Menu, MenuItem, MenuSeparator},
};

/// Opened with a right click or the menu key, for the row in `menu_row`.
#[component]
pub fn RowMenu(explorer: Explorer) -> impl IntoView {
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
