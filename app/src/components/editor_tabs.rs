//! The tabs of a group: order, closing, their menu, and dragging them about.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

use crate::{
    components::{
        commands::Command,
        compare::{Against, compare, compare_versions},
        documents,
        editor_groups::Groups,
        files_desk,
        ide::Ide,
        tree_menu::copy_path,
        tree_model::file_icon,
    },
    ui::{
        Icon, Menu, MenuButton, MenuItem, MenuSeparator, MenuState,
        focus::{self, Axis},
    },
};

/// A tab on its way to another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TabDrag {
    pub from: usize,
    pub path: String,
}

/// Whether the group that a tab stands in is the one it is shown for: on a narrow screen the tabs of both stand together.
fn group_of(ide: Ide, at: usize, narrow: bool, path: &str) -> usize {
    let elsewhere =
        narrow && ide.groups.with_untracked(|groups| groups.group(at).is_none_or(|group| !group.paths.iter().any(|p| p == path)));
    if elsewhere { 1 - at } else { at }
}

#[component]
pub fn TabBar(ide: Ide, at: usize, narrow: RwSignal<bool>, drag: RwSignal<Option<TabDrag>>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let active = Memo::new(move |_| {
        ide.groups.with(|groups| {
            if narrow.get() { groups.active().map(str::to_owned) } else { groups.group(at).and_then(|group| group.active.clone()) }
        })
    });
    let menu = MenuState::new();
    let menu_path = RwSignal::new(None::<String>);
    let on_keydown = move |event: ev::KeyboardEvent| {
        let Some(list) = node.get_untracked() else { return };
        if focus::rove(&event, &list, "[role=tab]", Axis::Horizontal) {
            return;
        }
        let focused =
            event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()).and_then(|tab| tab.get_attribute("title"));
        if event.key() == "Delete"
            && let Some(path) = focused
        {
            event.prevent_default();
            documents::close_in(ide, group_of(ide, at, narrow.get_untracked(), &path), &path);
            request_animation_frame(move || {
                let next =
                    list.query_selector("[aria-selected=true]").ok().flatten().and_then(|tab| tab.dyn_into::<web_sys::HtmlElement>().ok());
                if let Some(next) = next {
                    let _ = next.focus();
                }
            });
        }
    };
    // A tab that came on top is scrolled into view, also when there is less room for it.
    let split = Memo::new(move |_| ide.groups.with(Groups::is_split));
    Effect::new(move |_| {
        active.track();
        split.track();
        request_animation_frame(move || {
            let Some(list) = node.try_get_untracked().flatten() else { return };
            let Some(tab) = list.query_selector("[aria-selected=true]").ok().flatten() else { return };
            let (tab, view) = (tab.get_bounding_client_rect(), list.get_bounding_client_rect());
            let hidden = (tab.right() - view.right()).max(0.0) + (tab.left() - view.left()).min(0.0);
            list.set_scroll_left(list.scroll_left() + hidden as i32);
        });
    });
    let paths =
        move || {
            ide.groups.with(|groups| {
                if narrow.get() { groups.paths() } else { groups.group(at).map(|group| group.paths.clone()).unwrap_or_default() }
            })
        };
    // Dropped behind the last tab.
    let on_drop = move |event: ev::DragEvent| {
        event.prevent_default();
        drop_tab(ide, at, drag, None);
    };
    let label = if at == 0 { "Open files" } else { "Open files of the second group" };
    view! {
        <div class="tabs" on:dragover=move |event| allow_drop(&event, drag) on:drop=on_drop>
            <div role="tablist" class="tab-list" aria-label=label node_ref=node on:keydown=on_keydown>
                <For each=paths key=|path| path.clone() let:path>
                    <FileTab ide=ide at=at narrow=narrow active=active path=path drag=drag menu=menu menu_path=menu_path />
                </For>
            </div>
            <div class="tabs-end">
                <MenuButton label="More for the open files" small=true>
                    <TabItems ide=ide at=at path=Signal::derive(move || active.get()) />
                    <MenuSeparator />
                    <MenuItem on_choose=move || documents::save_all(ide)>"Save all"</MenuItem>
                    <MenuItem icon="columns-2" key=Command::SplitEditor.shown_keys(ide) on_choose=move || ide.arrange(Groups::split)>
                        {move || if ide.groups.with(Groups::is_split) { "Go to the other group" } else { "Split" }}
                    </MenuItem>
                    <Show when=move || ide.groups.with(Groups::is_split)>
                        <MenuItem on_choose=move || ide.arrange(Groups::join)>"Put both groups together"</MenuItem>
                    </Show>
                </MenuButton>
            </div>
            <Menu state=menu label=Signal::derive(move || menu_path.get().unwrap_or_default())>
                <TabItems ide=ide at=at path=menu_path.into() />
            </Menu>
        </div>
    }
}

#[component]
fn FileTab(
    ide: Ide,
    at: usize,
    narrow: RwSignal<bool>,
    active: Memo<Option<String>>,
    path: String,
    drag: RwSignal<Option<TabDrag>>,
    menu: MenuState,
    menu_path: RwSignal<Option<String>>,
) -> impl IntoView {
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let icon = file_icon(&name);
    let title = path.clone();
    let path = StoredValue::new(path);
    let is_active = move || active.with(|active| path.with_value(|path| active.as_deref() == Some(path)));
    let dirty = Memo::new(move |_| ide.tabs.with(|tabs| tabs.iter().any(|tab| path.with_value(|path| tab.path == *path) && tab.dirty)));
    let group = move || group_of(ide, at, narrow.get_untracked(), &path.get_value());
    let choose = move |_| {
        ide.close_review();
        ide.arrange(|groups| groups.activate(group(), &path.get_value()));
    };
    let close = move |event: ev::MouseEvent| {
        event.stop_propagation();
        documents::close_in(ide, group(), &path.get_value());
    };
    let middle = move |event: ev::MouseEvent| {
        if event.button() == 1 {
            event.prevent_default();
            documents::close_in(ide, group(), &path.get_value());
        }
    };
    let on_menu = move |event: ev::MouseEvent| {
        menu_path.set(Some(path.get_value()));
        menu.open_at(&event);
    };
    let on_dragstart = move |event: ev::DragEvent| {
        if let Some(data) = event.data_transfer() {
            let _ = data.set_data("text/plain", &path.get_value());
            data.set_effect_allowed("move");
        }
        let dragged = TabDrag { from: group(), path: path.get_value() };
        // What appears under the pointer in this very task would end the drag.
        set_timeout(move || drag.set(Some(dragged)), std::time::Duration::ZERO);
    };
    let on_drop = move |event: ev::DragEvent| {
        event.prevent_default();
        event.stop_propagation();
        drop_tab(ide, at, drag, Some(path.get_value()));
    };
    view! {
        <button
            type="button"
            class="tab"
            role="tab"
            title=title
            aria-selected=move || if is_active() { "true" } else { "false" }
            tabindex=move || if is_active() { "0" } else { "-1" }
            draggable="true"
            on:click=choose
            on:auxclick=middle
            on:contextmenu=on_menu
            on:dragstart=on_dragstart
            on:dragend=move |_| drag.set(None)
            on:dragover=move |event| allow_drop(&event, drag)
            on:drop=on_drop
        >
            <Icon name=icon small=true />
            <span class="clip">{name}</span>
            <span class="x" title="Close" on:click=close>
                {move || {
                    if dirty.get() {
                        view! {
                            <span class="dot dot--unsaved" title="Not saved yet"></span>
                            <span class="sr">"not saved"</span>
                        }
                            .into_any()
                    } else {
                        view! { <Icon name="x" /> }.into_any()
                    }
                }}
            </span>
        </button>
    }
}

/// What can be done with one tab.
#[component]
fn TabItems(ide: Ide, at: usize, path: Signal<Option<String>>) -> impl IntoView {
    let with_path = move |act: fn(Ide, usize, &str)| {
        move || {
            if let Some(path) = path.get_untracked() {
                act(ide, at, &path);
            }
        }
    };
    let changed =
        move || path.with(|path| ide.tabs.with(|tabs| tabs.iter().any(|tab| path.as_deref() == Some(tab.path.as_str()) && tab.dirty)));
    let saved = Signal::derive(move || !changed());
    view! {
        <MenuItem key=Command::Save.shown_keys(ide) disabled=saved on_choose=with_path(|ide, _, path| documents::save(ide, path))>"Save"</MenuItem>
        <MenuSeparator />
        <MenuItem icon="x" key="Del" on_choose=with_path(documents::close_in)>"Close"</MenuItem>
        <MenuItem on_choose=with_path(close_others)>"Close the others"</MenuItem>
        <MenuItem on_choose=with_path(close_saved)>"Close the saved ones"</MenuItem>
        <MenuSeparator />
        <MenuItem icon="clipboard" on_choose=with_path(|ide, _, path| copy_path(ide, path))>"Copy path"</MenuItem>
        <MenuItem icon="files" on_choose=with_path(|ide, _, path| show_in_tree(ide, path))>"Show in the files"</MenuItem>
        <MenuSeparator />
        <MenuItem icon="git-compare" disabled=saved on_choose=with_path(|ide, _, path| compare(ide, path, Against::Saved))>
            "Compare with what is saved"
        </MenuItem>
        <MenuItem icon="history" on_choose=with_path(|ide, _, path| compare_versions(ide, path))>"Compare with a version"</MenuItem>
        <MenuItem icon="columns-2" on_choose=with_path(move_across)>
            {move || if ide.groups.with(Groups::is_split) { "Move to the other group" } else { "Open beside" }}
        </MenuItem>
    }
}

fn paths_of(ide: Ide, at: usize) -> Vec<String> {
    ide.groups.with_untracked(|groups| groups.group(at).map(|group| group.paths.clone()).unwrap_or_default())
}

/// What was typed in the closed ones stays in this browser, and a toast opens each again.
fn close_others(ide: Ide, at: usize, path: &str) {
    for other in paths_of(ide, at).into_iter().filter(|other| other != path) {
        documents::close_in(ide, at, &other);
    }
}

fn close_saved(ide: Ide, at: usize, _: &str) {
    for path in paths_of(ide, at) {
        if ide.tab(&path).is_some_and(|tab| !tab.dirty) {
            documents::close_in(ide, at, &path);
        }
    }
}

/// Moves a tab to the other group; makes the second one where there is none.
pub fn move_across(ide: Ide, at: usize, path: &str) {
    ide.arrange(|groups| groups.move_tab(path, at, 1 - at, None));
}

/// Opens the files at the side, with the keyboard on the row of this one.
pub fn show_in_tree(ide: Ide, path: &str) {
    ide.open_file(path, None);
    files_desk::reveal_active(ide);
}

fn allow_drop(event: &ev::DragEvent, drag: RwSignal<Option<TabDrag>>) {
    if drag.with_untracked(Option::is_some) {
        event.prevent_default();
    }
}

fn drop_tab(ide: Ide, to: usize, drag: RwSignal<Option<TabDrag>>, before: Option<String>) {
    if let Some(TabDrag { from, path }) = drag.get_untracked() {
        ide.arrange(|groups| groups.move_tab(&path, from, to, before.as_deref()));
    }
    drag.set(None);
}

/// Over a group while a tab is dragged: the other group takes it, or the right half makes a second one.
#[component]
pub fn DropZone(ide: Ide, at: usize, narrow: RwSignal<bool>, drag: RwSignal<Option<TabDrag>>) -> impl IntoView {
    let over = RwSignal::new(false);
    let to = move || {
        let split = ide.groups.with(Groups::is_split);
        let from = drag.with(|drag| drag.as_ref().map(|drag| drag.from))?;
        match (narrow.get(), split) {
            (true, _) => None,
            (false, false) => Some(1),
            (false, true) => (from != at).then_some(at),
        }
    };
    let on_drop = move |event: ev::DragEvent| {
        event.prevent_default();
        over.set(false);
        if let Some(to) = untrack(to) {
            drop_tab(ide, to, drag, None);
        }
    };
    view! {
        <Show when=move || to().is_some()>
            <div
                class="ed-drop"
                data-half=move || (!ide.groups.with(Groups::is_split)).then_some("true")
                data-over=move || over.get().then_some("true")
                on:dragenter=move |_| over.set(true)
                on:dragleave=move |_| over.set(false)
                on:dragover=move |event: ev::DragEvent| event.prevent_default()
                on:drop=on_drop
            >
                <span>{move || if ide.groups.with(Groups::is_split) { "Move here" } else { "Open beside" }}</span>
            </div>
        </Show>
    }
}
