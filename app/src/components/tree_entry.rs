//! The rows of the file tree: entries with their badge, and the place where a name is typed.

use leptos::{attr::custom::custom_attribute, ev, html, prelude::*};

use crate::{
    components::{
        explorer_state::{Edit, Explorer, focus_row, row_id},
        file_plan::Transfer,
        tree_drag, tree_keys,
        tree_marks::Marks,
        tree_model::{Row, RowKind, file_icon, find, is_below},
    },
    ui::Icon,
};

/// One element for as long as the row is listed, so that it keeps the focus when it folds, changes or gets another name.
#[component]
pub fn TreeEntry(explorer: Explorer, rows: Memo<Vec<Row>>, row: Row) -> impl IntoView {
    let path = StoredValue::new(row.path.clone());
    let row = Memo::new(move |before: Option<&Row>| {
        let now = rows.with(|rows| path.with_value(|path| rows.iter().find(|row| row.path == *path).cloned()));
        now.or_else(|| before.cloned()).unwrap_or_else(|| row.clone())
    });
    let is = move |other: Option<&str>| path.with_value(|path| other == Some(path.as_str()));
    let kind = Memo::new(move |_| row.with(|row| row.kind));
    let naming = Memo::new(move |_| {
        kind.get() == RowKind::Input || explorer.edit.with(|edit| matches!(edit, Some(Edit::Rename { path }) if is(Some(path))))
    });
    let expanded = move || row.with(|row| row.expanded);
    let selected = move || explorer.selection.with(|selection| path.with_value(|path| selection.contains(path)));
    let is_cut = move || {
        explorer
            .clipboard
            .with(|held| matches!(held, Some((Transfer::Move, paths)) if path.with_value(|path| paths.iter().any(|p| p == path))))
    };
    let takes_drop = move || {
        explorer
            .drop_at
            .with(|at| at.as_deref().is_some_and(|at| !at.is_empty() && path.with_value(|path| path == at || is_below(path, at))))
    };
    let on_click = move |event: ev::MouseEvent| click(explorer, &row.get_untracked(), &event);
    let on_menu = move |event: ev::MouseEvent| {
        event.stop_propagation();
        if kind.get_untracked() == RowKind::Input {
            return;
        }
        let row = row.get_untracked();
        explorer.current.set(Some(row.path.clone()));
        if !explorer.selection.with_untracked(|selection| selection.contains(&row.path)) {
            explorer.selection.update(|selection| selection.only(&row.path));
        }
        focus_row(&row.path);
        explorer.menu_row.set(Some(row));
        explorer.menu.open_at(&event);
    };
    view! {
        <li
            role="treeitem"
            id=path.with_value(|path| row_id(path))
            data-path=path.get_value()
            data-drop=move || takes_drop().then_some("true")
            class:cut=is_cut
            draggable=move || (explorer.ide.can_edit() && !naming.get() && kind.get() != RowKind::Proposed).then_some("true")
            {..custom_attribute("aria-level", move || row.with(|row| row.level.to_string()))}
            aria-expanded=move || expanded().map(|open| if open { "true" } else { "false" })
            aria-selected=move || if selected() { "true" } else { "false" }
            aria-current=move || explorer.ide.active.with(|active| is(active.as_deref())).then_some("true")
            aria-posinset=move || row.with(|row| row.place.0.to_string())
            aria-setsize=move || row.with(|row| row.place.1.to_string())
            tabindex=move || if explorer.stop.with(|stop| is(stop.as_deref())) { "0" } else { "-1" }
            style:--d=move || row.with(|row| row.level.saturating_sub(1).to_string())
            title=move || (!naming.get()).then(|| path.get_value())
            on:click=on_click
            on:contextmenu=on_menu
            on:dragstart=move |event| tree_drag::on_drag_start(explorer, &row.get_untracked(), &event)
            on:dragend=move |_| tree_drag::on_drag_end(explorer)
        >
            {move || match expanded() {
                Some(true) => view! { <Icon name="chevron-down" class="tw" /> }.into_any(),
                Some(false) => view! { <Icon name="chevron-right" class="tw" /> }.into_any(),
                None => view! { <span class="pad"></span> }.into_any(),
            }}
            {move || view! { <Icon name=row.with(|row| row_icon(explorer, row)) /> }}
            {move || {
                if naming.get() {
                    let initial = if kind.get_untracked() == RowKind::Input { String::new() } else { row.with_untracked(|row| row.name().to_owned()) };
                    view! { <NameInput explorer=explorer initial=initial /> }.into_any()
                } else {
                    view! {
                        <span class="clip">{move || row.with(|row| row.name().to_owned())}</span>
                        <RowBadge explorer=explorer row=row />
                    }
                        .into_any()
                }
            }}
        </li>
    }
}

fn click(explorer: Explorer, row: &Row, event: &ev::MouseEvent) {
    if row.kind == RowKind::Input || explorer.edit.with_untracked(|edit| matches!(edit, Some(Edit::Rename { path }) if *path == row.path)) {
        return;
    }
    let (extend, add) = (event.shift_key(), event.ctrl_key() || event.meta_key());
    tree_keys::choose(explorer, &row.path, extend, add);
    if extend || add {
        explorer.current.set(Some(row.path.clone()));
    } else {
        explorer.activate(row);
    }
}

fn row_icon(explorer: Explorer, row: &Row) -> &'static str {
    match row.kind {
        RowKind::Directory if row.expanded == Some(true) => "folder-open",
        RowKind::Directory => "folder",
        RowKind::Symlink => "link",
        RowKind::Proposed => "file-plus",
        RowKind::File => file_icon(row.name()),
        RowKind::Input if explorer.edit.with_untracked(|edit| matches!(edit, Some(Edit::NewFile { .. }))) => "file-plus",
        RowKind::Input => "folder-plus",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowMark {
    None,
    Conflict,
    Unsaved,
    Proposed,
    /// How many wait, and whether any is the agent's.
    Hunks(usize, bool),
    Changed,
    /// In a folded directory, which is the row nearest to them.
    Inside(Marks),
}

fn mark_of(explorer: Explorer, row: &Row) -> RowMark {
    let (ide, path) = (explorer.ide, &row.path);
    if row.kind == RowKind::Directory {
        let inside = if row.expanded == Some(true) { Marks::default() } else { explorer.marks.below(path) };
        return if inside.is_empty() { RowMark::None } else { RowMark::Inside(inside) };
    }
    match ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == *path).map(|tab| (tab.conflict.is_some(), tab.dirty))) {
        Some((true, _)) => return RowMark::Conflict,
        Some((_, true)) => return RowMark::Unsaved,
        _ if row.kind == RowKind::Proposed => return RowMark::Proposed,
        _ => {}
    }
    match ide.open_hunks_in(path) {
        0 => {}
        hunks => return RowMark::Hunks(hunks, ide.has_agent_hunks(Some(path))),
    }
    let changed = ide.tree.with(|tree| {
        let me = |me: &wire::users::User, entry: &wire::files::Entry| ide.files.seen.with(|seen| seen.is_changed(entry, me.id));
        find(&tree.items, path).is_some_and(|entry| ide.viewer.with_value(|viewer| me(viewer, entry)))
    });
    if changed { RowMark::Changed } else { RowMark::None }
}

/// One badge at most: conflict, then unsaved, then what the agent proposes, then what changed since it was looked at. A folded directory
/// has the first of them that a file in it has, and tells them all.
#[component]
fn RowBadge(explorer: Explorer, row: Memo<Row>) -> impl IntoView {
    let badge = Memo::new(move |_| row.with(|row| mark_of(explorer, row)));
    move || match badge.get() {
        RowMark::None => ().into_any(),
        RowMark::Conflict => view! {
            <span class="m c-warn" title="Changed on both sides">
                <Icon name="triangle-alert" />
                <span class="sr">"conflict"</span>
            </span>
        }
        .into_any(),
        RowMark::Unsaved => dot("dot dot--unsaved", "Not saved yet", "not saved"),
        RowMark::Inside(marks) => {
            let words = marks.words();
            let title = words.clone();
            view! {
                <span class="m" title=title>
                    <span class=marks.class()></span>
                    <span class="sr">{words}</span>
                </span>
            }
            .into_any()
        }
        RowMark::Changed => dot("dot dot--changed", "Changed since you looked at it", "changed since you looked at it"),
        RowMark::Proposed => view! {
            <span class="m c-agent" title="Proposed by the agent">
                <Icon name="sparkles" />
                <span class="sr">"proposed by the agent"</span>
            </span>
        }
        .into_any(),
        RowMark::Hunks(hunks, of_agent) => {
            let text = format!("{} for review", if hunks == 1 { "1 hunk waits".to_owned() } else { format!("{hunks} hunks wait") });
            let title = text.clone();
            view! {
                <span class=if of_agent { "m c-agent" } else { "m" } title=title>
                    <span class=if of_agent { "count count--agent" } else { "count" } aria-hidden="true">{hunks}</span>
                    <span class="sr">{text}</span>
                </span>
            }
            .into_any()
        }
    }
}

fn dot(class: &'static str, title: &'static str, words: &'static str) -> AnyView {
    view! {
        <span class="m" title=title>
            <span class=class></span>
            <span class="sr">{words}</span>
        </span>
    }
    .into_any()
}

#[component]
fn NameInput(explorer: Explorer, initial: String) -> impl IntoView {
    let node = NodeRef::<html::Input>::new();
    // The part before the ending is selected: that is what is mostly typed over. Counted as the browser counts.
    let stem = initial.rfind('.').filter(|at| *at > 0).map_or(initial.as_str(), |at| &initial[..at]);
    let stem = u32::try_from(stem.encode_utf16().count()).unwrap_or(0);
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
            "Enter" if !event.is_composing() => {
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
        // A field that is taken away while it has the focus loses it after everything here was disposed of. A name that
        // was refused stays in its field.
        if let Some(input) = node.try_get_untracked().flatten()
            && explorer.edit_error.with_untracked(Option::is_none)
        {
            explorer.commit_edit(&input.value());
        }
    };
    view! {
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
            on:click=move |event: ev::MouseEvent| event.stop_propagation()
            on:keydown=on_keydown
            on:blur=on_blur
        />
    }
}
