//! The rows of the file tree: entries with their badge, and the place where a name is typed.

use leptos::{attr::custom::custom_attribute, ev, html, prelude::*};

use crate::{
    components::{
        explorer_state::{Edit, Explorer, focus_row, row_id},
        ide::Ide,
        tree_model::{Row, RowKind, file_icon},
    },
    ui::{Icon, TreeRow},
};

/// One row as it stands now: an entry, or the field for its name.
#[component]
pub fn TreeEntry(explorer: Explorer, row: Row) -> impl IntoView {
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
