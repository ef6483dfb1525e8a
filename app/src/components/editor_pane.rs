//! The open files: one group of tabs with its editor, or two beside each other.

use std::collections::BTreeSet;

use leptos::{ev, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::{Problem, files::Entry};

use crate::{
    components::{
        autosave,
        commands::Command,
        compare::{Beside, BesideKind, CompareView, MergeState, MergeView},
        conflict_bar::{ConflictBar, MergeHere},
        documents, drafts,
        editor_crumbs::Crumbs,
        editor_groups::Groups,
        editor_tabs::{DropZone, TabBar, TabDrag},
        file_preview::{Drawing, DrawingBar, FilePreview, is_drawing},
        ide::{Ide, PaletteKind, TabBody, use_ide},
        text_editor::TextEditor,
    },
    ui::{Button, ButtonKind, PanelError, Sash, SashEdge, Skeleton, storage, use_panel},
};

/// Below this there is room for one group only; it then has the tabs of both.
const NARROW: &str = "(max-width: 860px)";

/// What a group shows of the file on top, without the text itself.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Nothing,
    Loading,
    Text,
    Plain(Entry),
    Failed(Problem),
}

/// Tabs and editors of the main area.
#[component]
pub fn EditorPane() -> impl IntoView {
    let ide = use_ide();
    let narrow = RwSignal::new(false);
    let drag = RwSignal::new(None::<TabDrag>);
    remember_tabs(ide);
    drafts::keep_unsaved(ide);
    autosave::begin(ide);
    watch_width(narrow);
    let panel = use_panel(format!("split:{}", ide.project_id), 200.0, 2400.0, true);
    // Dragged far below its smallest width, the second group closes.
    Effect::new(move |_| {
        if !panel.open.get() {
            ide.arrange(Groups::join);
            panel.set_open(true);
        }
    });
    let split = Memo::new(move |_| ide.groups.with(Groups::is_split) && !narrow.get());
    on_cleanup(move || {
        drafts::keep_all(ide);
        for path in ide.tabs.try_with_untracked(|tabs| tabs.iter().map(|t| t.path.clone()).collect::<Vec<_>>()).unwrap_or_default() {
            crate::editor::monaco::close_model(&path);
        }
    });
    view! {
        <section aria-label="Editor" class="ed-groups" data-split=move || split.get().then_some("true") style:--split-w=move || panel.css()>
            <GroupPane ide=ide at=0 narrow=narrow drag=drag />
            <Show when=move || split.get()>
                <div class="ed-second">
                    <GroupPane ide=ide at=1 narrow=narrow drag=drag />
                    <Sash panel=panel edge=SashEdge::InlineStart label="Width of the second group" />
                </div>
            </Show>
        </section>
    }
}

/// The tabs come back after a reload; their texts are read when they are shown.
fn remember_tabs(ide: Ide) {
    let restored = RwSignal::new(false);
    Effect::new(move |_| {
        let stored = storage::read(&ide.storage_key("tabs")).and_then(|text| serde_json::from_str::<Groups>(&text).ok());
        if let Some(stored) = stored
            && ide.tabs.with_untracked(Vec::is_empty)
        {
            ide.arrange(|groups| *groups = stored);
        }
        restored.set(true);
    });
    Effect::new(move |_| {
        let groups = ide.groups.get();
        if restored.get()
            && let Ok(text) = serde_json::to_string(&groups)
        {
            storage::write(&ide.storage_key("tabs"), &text);
        }
    });
}

fn watch_width(narrow: RwSignal<bool>) {
    let look = move || {
        let matches = window().match_media(NARROW).ok().flatten().is_some_and(|query| query.matches());
        if narrow.try_get_untracked().is_some_and(|known| known != matches) {
            narrow.set(matches);
        }
    };
    Effect::new(move |_| look());
    let resized = window_event_listener(ev::resize, move |_| look());
    on_cleanup(move || resized.remove());
}

/// One group: tabs, crumbs, the ribbon above the text, and what shows the file on top.
#[component]
fn GroupPane(ide: Ide, at: usize, narrow: RwSignal<bool>, drag: RwSignal<Option<TabDrag>>) -> impl IntoView {
    let path = Memo::new(move |_| {
        ide.groups.with(|groups| {
            let shown = if narrow.get() { groups.focused() } else { at };
            groups.group(shown).and_then(|group| group.active.clone())
        })
    });
    load_on_demand(ide, path);
    let shown = Memo::new(move |_| {
        let Some(path) = path.get() else { return Shown::Nothing };
        ide.tabs.with(|tabs| match tabs.iter().find(|tab| tab.path == path).map(|tab| &tab.body) {
            None => Shown::Nothing,
            Some(TabBody::Loading) => Shown::Loading,
            Some(TabBody::Text { .. }) => Shown::Text,
            Some(TabBody::Plain(entry)) => Shown::Plain(entry.clone()),
            Some(TabBody::Failed(problem)) => Shown::Failed(problem.clone()),
        })
    });
    let text_on_top = move |wanted: &str| shown.get() == Shown::Text && path.with(|path| path.as_deref() == Some(wanted));
    let beside = Memo::new(move |_| {
        let alone = narrow.get() || !ide.groups.with(Groups::is_split);
        ide.beside.get().filter(|beside| alone || beside.group == at)
    });
    let compared = Memo::new(move |_| match beside.get() {
        Some(Beside { path, kind: BesideKind::Compare(against), .. }) => text_on_top(&path).then_some((path, against)),
        _ => None,
    });
    // A merge ends with its conflict, not with a look at another file.
    let merging = Memo::new(move |_| {
        let path = beside.get().filter(Beside::is_merge)?.path;
        let undecided = ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.path == path && tab.conflict.is_some()));
        undecided.then_some(path)
    });
    let merge_on_top = Memo::new(move |_| merging.get().is_some_and(|path| text_on_top(&path)));
    let merge = RwSignal::new(None::<MergeState>);
    let focused = Signal::derive(move || ide.groups.with(|groups| narrow.get() || groups.focused() == at));
    let alone = Memo::new(move |_| shown.get() == Shown::Text && compared.with(Option::is_none) && !merge_on_top.get());
    // The drawing on top, with its stored version, and those that are looked at as pictures.
    let drawing = Memo::new(move |_| {
        let path = path.get().filter(|path| alone.get() && is_drawing(path))?;
        let version = ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == path).map(|tab| tab.version))?;
        (version > 0).then_some((path, version))
    });
    let pictures = RwSignal::new(BTreeSet::<String>::new());
    let pictured = Memo::new(move |_| drawing.get().filter(|(path, _)| pictures.with(|pictures| pictures.contains(path))));
    let toggle = Callback::new(move |()| {
        if let Some((path, _)) = drawing.get_untracked() {
            pictures.update(|pictures| {
                if !pictures.remove(&path) {
                    pictures.insert(path);
                }
            });
        }
    });
    let unsaved = Signal::derive(move || {
        drawing.with(|drawing| {
            let of = |(path, _): &(String, i64)| ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.path == *path && tab.dirty));
            drawing.as_ref().is_some_and(of)
        })
    });
    let version = Signal::derive(move || drawing.with(|drawing| drawing.as_ref().map_or(0, |(_, version)| *version)));
    let visible = Signal::derive(move || alone.get() && pictured.with(Option::is_none));
    view! {
        <div class="ed-group" data-focused=move || focused.get().then_some("true") data-group=at.to_string()>
            <Show when=move || ide.tabs.with(|tabs| !tabs.is_empty())>
                <TabBar ide=ide at=at narrow=narrow drag=drag />
                <Crumbs path=path />
            </Show>
            <ConflictBar ide=ide path=path merge=MergeHere { group: at, on_top: merge_on_top, state: merge } />
            {move || merging.get().map(|path| view! { <MergeView ide=ide path=path state=merge on_top=merge_on_top /> })}
            {move || compared.get().map(|(path, against)| view! { <CompareView ide=ide path=path against=against /> })}
            <Show when=move || drawing.with(Option::is_some)>
                <DrawingBar
                    version=version
                    unsaved=unsaved
                    pictured=Signal::derive(move || pictured.with(Option::is_some))
                    toggle=toggle
                />
            </Show>
            <TextEditor ide=ide at=at focused=focused path=path visible=visible />
            <For each=move || pictured.get() key=Clone::clone let:drawing>
                <Drawing ide=ide path=drawing.0 version=drawing.1 />
            </For>
            {move || match shown.get() {
                Shown::Text => ().into_any(),
                Shown::Nothing => view! { <NothingOpen ide=ide /> }.into_any(),
                Shown::Loading => view! { <div class="inset"><Skeleton lines=9 /></div> }.into_any(),
                Shown::Plain(entry) => view! { <FilePreview ide=ide entry=entry /> }.into_any(),
                Shown::Failed(problem) => view! { <NotLoaded ide=ide path=path problem=problem /> }.into_any(),
            }}
            <DropZone ide=ide at=at narrow=narrow drag=drag />
        </div>
    }
}

/// A tab's text is read when the tab is first on top.
fn load_on_demand(ide: Ide, path: Memo<Option<String>>) {
    let wanted = Memo::new(move |_| {
        let path = path.get()?;
        ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.path == path && matches!(tab.body, TabBody::Loading))).then_some(path)
    });
    Effect::new(move |_| {
        if let Some(path) = wanted.get() {
            documents::load(ide, path);
        }
    });
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
                            <Button kind=ButtonKind::Primary icon="sparkles" on_click=move |_| ide.ask_agent("")>
                                "Ask the agent"
                            </Button>
                        }
                            .into_any()
                    } else {
                        view! {
                            <Button kind=ButtonKind::Primary icon="search" on_click=move |_| ide.palette.set(Some(PaletteKind::Files))>
                                "Go to a file "
                                {move || Some(Command::GoToFile.shown_keys(ide).get()).filter(|keys| !keys.is_empty()).map(|keys| view! { <kbd>{keys}</kbd> })}
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
fn NotLoaded(ide: Ide, path: Memo<Option<String>>, problem: Problem) -> impl IntoView {
    let retry = move |_| {
        if let Some(path) = path.get_untracked() {
            ide.update_tab(&path, |tab| tab.body = TabBody::Loading);
        }
    };
    view! {
        <div class="ed-empty">
            <PanelError title="This file did not load" text=problem.to_string()>
                <Button on_click=retry>"Try again"</Button>
            </PanelError>
        </div>
    }
}

/// Puts the focus into the editor, or on the main area when no text is shown.
pub fn focus_editor() {
    let inside = ".ed-group[data-focused] .ed-host:not([hidden])";
    let host = document().query_selector(&format!("{inside} textarea, {inside} [role=textbox]")).ok().flatten();
    let target = host.or_else(|| document().get_element_by_id("main")).and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(target) = target {
        let _ = target.focus();
    }
}
