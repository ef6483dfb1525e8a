//! The open files: tabs, crumbs, the ribbon above the text, and the editor.

use std::{collections::BTreeMap, time::Duration};

use leptos::{ev, html, prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use serde::{Deserialize, Serialize};
use wire::{Problem, files::Entry};

use crate::{
    components::{
        conflict_bar::{CompareView, ConflictBar},
        documents,
        ide::{Cursor, Ide, PaletteKind, Tab, TabBody, use_ide},
        tree_menu::copy_path,
        tree_model::file_icon,
    },
    editor::monaco::{self, EditorEvent},
    ui::{
        Button, ButtonKind, Icon, MenuButton, MenuItem, MenuSeparator, PanelError, Skeleton,
        focus::{self, Axis},
        format, storage, use_dark,
    },
};

/// How often unsaved text is put aside.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What the main area shows of the file on top, without the text itself.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Nothing,
    Loading,
    Text,
    Plain(Entry),
    Failed(Problem),
}

#[derive(Serialize, Deserialize)]
struct OpenTabs {
    paths: Vec<String>,
    active: Option<String>,
}

/// Tabs and editor of the main area.
#[component]
pub fn EditorPane() -> impl IntoView {
    let ide = use_ide();
    let comparing = RwSignal::new(None::<String>);
    let diff = RwSignal::new(None::<monaco::Diff>);
    remember_tabs(ide);
    keep_unsaved(ide);
    load_on_demand(ide);
    let shown = Memo::new(move |_| {
        let Some(active) = ide.active.get() else { return Shown::Nothing };
        ide.tabs.with(|tabs| match tabs.iter().find(|tab| tab.path == active).map(|tab| &tab.body) {
            None => Shown::Nothing,
            Some(TabBody::Loading) => Shown::Loading,
            Some(TabBody::Text { .. }) => Shown::Text,
            Some(TabBody::Plain(entry)) => Shown::Plain(entry.clone()),
            Some(TabBody::Failed(problem)) => Shown::Failed(problem.clone()),
        })
    });
    // A comparison ends with its conflict, or when another file is on top.
    let compared = Memo::new(move |_| {
        let path = comparing.get()?;
        let on_top = ide.active.with(|active| active.as_deref() == Some(path.as_str()));
        let open = ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.path == path && tab.conflict.is_some()));
        (on_top && open).then_some(path)
    });
    view! {
        <section aria-label="Editor">
            <Show when=move || ide.tabs.with(|tabs| !tabs.is_empty())>
                <TabBar ide=ide />
                <Crumbs ide=ide />
            </Show>
            <ConflictBar ide=ide comparing=comparing diff=diff />
            {move || compared.get().map(|path| view! { <CompareView ide=ide path=path diff=diff /> })}
            <TextEditor ide=ide visible=Signal::derive(move || shown.get() == Shown::Text && compared.get().is_none()) />
            {move || match shown.get() {
                Shown::Text => ().into_any(),
                Shown::Nothing => view! { <NothingOpen ide=ide /> }.into_any(),
                Shown::Loading => view! { <div class="inset"><Skeleton lines=9 /></div> }.into_any(),
                Shown::Plain(entry) => view! { <PlainFile ide=ide entry=entry /> }.into_any(),
                Shown::Failed(problem) => view! { <NotLoaded ide=ide problem=problem /> }.into_any(),
            }}
        </section>
    }
}

/// The tabs come back after a reload; their texts are read when they are shown.
fn remember_tabs(ide: Ide) {
    let restored = RwSignal::new(false);
    Effect::new(move |_| {
        let stored = storage::read(&ide.storage_key("tabs")).and_then(|text| serde_json::from_str::<OpenTabs>(&text).ok());
        if let Some(stored) = stored
            && ide.tabs.with_untracked(Vec::is_empty)
        {
            ide.tabs.set(stored.paths.iter().map(|path| Tab::new(path)).collect());
            ide.active.set(stored.active);
        }
        restored.set(true);
    });
    let list = Memo::new(move |_| {
        let paths = ide.tabs.with(|tabs| tabs.iter().map(|tab| tab.path.clone()).collect());
        (paths, ide.active.get())
    });
    Effect::new(move |_| {
        let (paths, active): (Vec<String>, _) = list.get();
        if restored.get()
            && let Ok(text) = serde_json::to_string(&OpenTabs { paths, active })
        {
            storage::write(&ide.storage_key("tabs"), &text);
        }
    });
}

/// Unsaved text is put aside while it changes and before the page goes.
fn keep_unsaved(ide: Ide) {
    let kept = StoredValue::new(BTreeMap::<String, f64>::new());
    Effect::new(move |_| {
        let tick = move || {
            let dirty = ide.tabs.try_with_untracked(|tabs| tabs.iter().filter(|t| t.dirty).map(|t| t.path.clone()).collect::<Vec<_>>());
            let now: BTreeMap<String, f64> =
                dirty.unwrap_or_default().into_iter().filter_map(|path| monaco::model_version(&path).map(|v| (path, v))).collect();
            if kept.try_with_value(|kept| *kept != now) == Some(true) {
                documents::keep_drafts(ide);
                kept.set_value(now);
            }
        };
        if let Ok(timer) = set_interval_with_handle(tick, KEEP_EVERY) {
            on_cleanup(move || timer.clear());
        }
    });
    let leaving = window_event_listener(ev::beforeunload, move |event| {
        if ide.tabs.try_with_untracked(|tabs| tabs.iter().any(|tab| tab.dirty)) == Some(true) {
            documents::keep_drafts(ide);
            event.prevent_default();
        }
    });
    on_cleanup(move || leaving.remove());
}

/// A tab's text is read when the tab is first on top.
fn load_on_demand(ide: Ide) {
    let wanted = Memo::new(move |_| {
        let active = ide.active.get()?;
        ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.path == active && matches!(tab.body, TabBody::Loading))).then_some(active)
    });
    Effect::new(move |_| {
        if let Some(path) = wanted.get() {
            documents::load(ide, path);
        }
    });
}

#[component]
fn TabBar(ide: Ide) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let on_keydown = move |event: ev::KeyboardEvent| {
        let Some(list) = node.get_untracked() else { return };
        if focus::rove(&event, &list, "[role=tab]", Axis::Horizontal) {
            return;
        }
        if event.key() == "Delete"
            && let Some(path) = ide.active.get_untracked()
        {
            event.prevent_default();
            documents::close(ide, &path);
        }
    };
    // A tab that came on top is scrolled into view.
    Effect::new(move |_| {
        ide.active.track();
        request_animation_frame(move || {
            let Some(list) = node.try_get_untracked().flatten() else { return };
            let Some(tab) = list.query_selector("[aria-selected=true]").ok().flatten() else { return };
            let (tab, view) = (tab.get_bounding_client_rect(), list.get_bounding_client_rect());
            let hidden = (tab.right() - view.right()).max(0.0) + (tab.left() - view.left()).min(0.0);
            list.set_scroll_left(list.scroll_left() + hidden as i32);
        });
    });
    let paths = move || ide.tabs.with(|tabs| tabs.iter().map(|tab| tab.path.clone()).collect::<Vec<_>>());
    view! {
        <div class="tabs">
            <div role="tablist" class="tab-list" aria-label="Open files" node_ref=node on:keydown=on_keydown>
                <For each=paths key=|path| path.clone() let:path>
                    <FileTab ide=ide path=path />
                </For>
            </div>
            <div class="tabs-end">
                <TabMenu ide=ide />
            </div>
        </div>
    }
}

#[component]
fn FileTab(ide: Ide, path: String) -> impl IntoView {
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let icon = file_icon(&name);
    let title = path.clone();
    let path = StoredValue::new(path);
    let is_active = move || ide.active.with(|active| path.with_value(|path| active.as_deref() == Some(path)));
    let dirty = Memo::new(move |_| ide.tabs.with(|tabs| tabs.iter().any(|tab| path.with_value(|path| tab.path == *path) && tab.dirty)));
    let choose = move |_| {
        ide.close_review();
        ide.active.set(Some(path.get_value()));
    };
    let close = move |event: ev::MouseEvent| {
        event.stop_propagation();
        documents::close(ide, &path.get_value());
    };
    let middle = move |event: ev::MouseEvent| {
        if event.button() == 1 {
            event.prevent_default();
            documents::close(ide, &path.get_value());
        }
    };
    view! {
        <button
            type="button"
            class="tab"
            role="tab"
            title=title
            aria-selected=move || if is_active() { "true" } else { "false" }
            tabindex=move || if is_active() { "0" } else { "-1" }
            on:click=choose
            on:auxclick=middle
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

#[component]
fn TabMenu(ide: Ide) -> impl IntoView {
    let with_active = move |act: fn(Ide, &str)| {
        move || {
            if let Some(path) = ide.active.get_untracked() {
                act(ide, &path);
            }
        }
    };
    let close_where = move |chosen: fn(&Tab, Option<&str>) -> bool| {
        move || {
            let active = ide.active.get_untracked();
            let paths: Vec<String> =
                ide.tabs.with_untracked(|tabs| tabs.iter().filter(|t| chosen(t, active.as_deref())).map(|t| t.path.clone()).collect());
            for path in paths {
                documents::close(ide, &path);
            }
        }
    };
    view! {
        <MenuButton label="More for the open files" small=true>
            <MenuItem key="Ctrl S" on_choose=with_active(documents::save)>"Save"</MenuItem>
            <MenuItem on_choose=move || documents::save_all(ide)>"Save all"</MenuItem>
            <MenuSeparator />
            <MenuItem icon="clipboard" on_choose=with_active(copy_path)>"Copy path"</MenuItem>
            <MenuSeparator />
            <MenuItem icon="x" on_choose=with_active(documents::close)>"Close"</MenuItem>
            <MenuItem on_choose=close_where(|tab, active| active != Some(tab.path.as_str()) && !tab.dirty)>"Close the other saved ones"</MenuItem>
            <MenuItem on_choose=close_where(|tab, _| !tab.dirty)>"Close all saved ones"</MenuItem>
        </MenuButton>
    }
}

#[component]
fn Crumbs(ide: Ide) -> impl IntoView {
    move || {
        let path = ide.active.get()?;
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        let last = parts.len() - 1;
        let parts = parts.into_iter().enumerate().map(|(i, part)| {
            if i == last {
                view! { <b>{part}</b> }.into_any()
            } else {
                view! {
                    <span>{part}</span>
                    <Icon name="chevron-right" />
                }
                .into_any()
            }
        });
        Some(view! { <div class="crumbs">{parts.collect_view()}</div> })
    }
}

/// The editor itself, made once and kept: switching tabs only exchanges the text.
#[component]
fn TextEditor(ide: Ide, visible: Signal<bool>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let editor = RwSignal::new(None::<monaco::Editor>);
    let failure = RwSignal::new(None::<String>);
    let dark = use_dark();
    let begin = move || {
        failure.set(None);
        spawn_local(async move {
            let loaded = monaco::load().await;
            if ide.is_gone() {
                return;
            }
            if let Err(reason) = loaded {
                return failure.set(Some(reason));
            }
            monaco::set_theme(dark.get_untracked());
            if let Some(host) = node.try_get_untracked().flatten()
                && editor.get_untracked().is_none()
            {
                let made = monaco::Editor::create(&host, move |event| on_editor_event(ide, event));
                if let Some(made) = made {
                    made.add_command("ask", "Ask the agent about this");
                }
                editor.set(made);
            }
        });
    };
    let wanted = Memo::new(move |before: Option<&bool>| before == Some(&true) || visible.get());
    Effect::new(move |_| {
        if wanted.get() {
            begin();
        }
    });
    Effect::new(move |_| monaco::set_theme(dark.get()));
    show_active(ide, editor);
    on_cleanup(move || {
        documents::keep_drafts(ide);
        if let Some(made) = editor.try_get_untracked().flatten() {
            made.dispose();
        }
        for path in ide.tabs.try_with_untracked(|tabs| tabs.iter().map(|t| t.path.clone()).collect::<Vec<_>>()).unwrap_or_default() {
            monaco::close_model(&path);
        }
    });
    view! {
        <div class="ed-host" node_ref=node hidden=move || !visible.get()></div>
        {move || {
            failure
                .get()
                .filter(|_| visible.get())
                .map(|reason| {
                    view! {
                        <div class="inset ed-over">
                            <PanelError title="The editor did not load" text=reason>
                                <Button on:click=move |_| begin()>"Try again"</Button>
                            </PanelError>
                        </div>
                    }
                })
        }}
    }
}

/// Opens the text of the file on top and shows it, once both are there.
fn show_active(ide: Ide, editor: RwSignal<Option<monaco::Editor>>) {
    let ready = Memo::new(move |_| {
        editor.get()?;
        let active = ide.active.get()?;
        ide.tabs.with(|tabs| tabs.iter().any(|t| t.path == active && matches!(t.body, TabBody::Text { .. }))).then_some(active)
    });
    Effect::new(move |_| {
        let (Some(path), Some(editor)) = (ready.get(), editor.get_untracked()) else { return };
        let Some(TabBody::Text { stored, read_only }) = ide.tab(&path).map(|tab| tab.body) else { return };
        editor.open_model(
            &path,
            &stored,
            &path,
            read_only || !ide.project.with_untracked(|p| p.role >= wire::projects::ProjectRole::Editor),
        );
        editor.show(&path);
        editor.layout();
    });
    Effect::new(move |_| {
        let (Some(path), Some(jump), Some(editor)) = (ready.get(), ide.jump.get(), editor.get_untracked()) else { return };
        if jump.path == path {
            editor.show(&path);
            editor.reveal(jump.line, 1);
            editor.focus();
            ide.jump.set(None);
        }
    });
}

fn on_editor_event(ide: Ide, event: EditorEvent) {
    if ide.is_gone() {
        return;
    }
    match event {
        EditorEvent::Dirty { uri, dirty } => ide.update_tab(&uri, |tab| tab.dirty = dirty),
        EditorEvent::Save { uri } => documents::save(ide, &uri),
        EditorEvent::Cursor { line, col, selected, .. } => ide.cursor.set(Some(Cursor { line, column: col, selected })),
        EditorEvent::Command { uri, text, start_line, end_line, .. } => {
            let place = if start_line == end_line { format!("line {start_line}") } else { format!("lines {start_line} to {end_line}") };
            let quote = if text.is_empty() { String::new() } else { format!("\n```\n{}\n```\n", text.trim_end()) };
            ide.ask_agent(format!("About `{uri}`, {place}:{quote}"));
        }
    }
}

#[component]
fn NothingOpen(ide: Ide) -> impl IntoView {
    let empty_project = move || ide.tree_loaded.get() && ide.tree.with(|tree| tree.items.is_empty());
    view! {
        <div class="ed-empty">
            <div class="empty">
                <b>{move || if empty_project() { "An empty project" } else { "No file is open" }}</b>
                <p>
                    {move || {
                        if empty_project() {
                            "Make a file in the tree, drop some there, or tell the agent what you want."
                        } else {
                            "Choose one in the tree, or type a part of its name."
                        }
                    }}
                </p>
                {move || {
                    if empty_project() {
                        view! {
                            <Button kind=ButtonKind::Primary icon="sparkles" on:click=move |_| ide.ask_agent("")>
                                "Ask the agent"
                            </Button>
                        }
                            .into_any()
                    } else {
                        view! {
                            <Button kind=ButtonKind::Primary icon="search" on:click=move |_| ide.palette.set(Some(PaletteKind::Files))>
                                "Go to a file "
                                <kbd>"Ctrl P"</kbd>
                            </Button>
                        }
                            .into_any()
                    }
                }}
            </div>
        </div>
    }
}

#[component]
fn PlainFile(ide: Ide, entry: Entry) -> impl IntoView {
    let url = ide.file_url(&entry.path);
    let too_large = entry.size > i64::try_from(wire::limits::EDITOR_MAX).unwrap_or(i64::MAX);
    let reason = if too_large { "It is too large for the editor." } else { "Its content is not text." };
    view! {
        <div class="ed-empty">
            <div class="empty">
                <b>{entry.name().to_owned()}</b>
                <p>{format!("{reason} {}, {}, version {}.", format::bytes(entry.size), entry.content_type, entry.version)}</p>
                <a class="btn" href=url download rel="external">
                    <Icon name="download" small=true />
                    "Download"
                </a>
            </div>
        </div>
    }
}

#[component]
fn NotLoaded(ide: Ide, problem: Problem) -> impl IntoView {
    let retry = move |_| {
        if let Some(path) = ide.active.get_untracked() {
            ide.update_tab(&path, |tab| tab.body = TabBody::Loading);
        }
    };
    view! {
        <div class="ed-empty">
            <PanelError title="This file did not load" text=problem.to_string()>
                <Button on:click=retry>"Try again"</Button>
            </PanelError>
        </div>
    }
}

/// Puts the focus into the editor, or on the main area when no text is shown.
pub fn focus_editor() {
    let host = document().query_selector(".ed-host:not([hidden]) textarea, .ed-host:not([hidden]) [role=textbox]").ok().flatten();
    let target = host.or_else(|| document().get_element_by_id("main")).and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(target) = target {
        let _ = target.focus();
    }
}
