//! The review gate: proposed changes, decided hunk by hunk and applied in one go.

use super::{
    hunk::HunkView,
    ide::use_ide,
    review_bar::{Help, SummaryBar},
    review_desk::Desk,
    review_files::{Counts, Files, action_badge, file_element, file_of, split_path},
    review_state::{self, Mark, Tally},
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Icon, IconButton, PanelError, RelativeTime, Skeleton, focus, format};
use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

/// The review of what `ide.review` names; nothing while there is none.
#[component]
pub fn ChangeReview() -> impl IntoView {
    let ide = use_ide();
    move || {
        let what = ide.review.get()?;
        let desk = Desk::provide(ide, what);
        Some(view! { <Review desk=desk /> })
    }
}

#[component]
fn Review(desk: Desk) -> impl IntoView {
    let section = NodeRef::<html::Section>::new();
    desk.start();
    // Single letters act while the focus is in the review or nowhere in particular.
    let keys = window_event_listener(ev::keydown, move |event| {
        let active = document().active_element();
        let nowhere = active.as_ref().is_none_or(|active| active.tag_name().eq_ignore_ascii_case("body"));
        let inside = section
            .get_untracked()
            .zip(active)
            .is_some_and(|(section, active)| section.unchecked_ref::<web_sys::Node>().contains(Some(&active)));
        if nowhere || inside {
            take_key(desk, &event);
        }
    });
    on_cleanup(move || keys.remove());
    view! {
        <section class="review review--split" aria-label="Review" node_ref=section>
            <Files desk=desk />
            <div class="rv-main">
                <Head desk=desk />
                <div class="scroll" role="group" aria-label="Hunks">
                    <Content desk=desk />
                </div>
                <SummaryBar desk=desk />
            </div>
            <Help open=desk.help />
        </section>
    }
}

fn take_key(desk: Desk, event: &ev::KeyboardEvent) {
    if event.default_prevented() || event.alt_key() || desk.help.get_untracked() {
        return;
    }
    if event.ctrl_key() || event.meta_key() {
        if event.key() == "Enter" {
            event.prevent_default();
            desk.apply();
        }
        return;
    }
    if event.key() == "F7" {
        event.prevent_default();
        if let Some(next) = desk.next_open(desk.focus.get_untracked()) {
            desk.go_to(next);
        }
        return;
    }
    if focus::is_typing() {
        return;
    }
    let here = desk.focus.get_untracked();
    let open = here.filter(|id| untrack(|| desk.can_mark(*id)));
    let unmarked = open.filter(|id| desk.marks.with_untracked(|marks| !marks.contains_key(id)));
    match event.key().as_str() {
        "j" | "J" => desk.step(true),
        "k" | "K" => desk.step(false),
        "a" | "A" => {
            if let Some(id) = unmarked {
                desk.mark(id, Mark::Accept);
            }
        }
        "r" | "R" => {
            if let Some(id) = unmarked {
                desk.mark(id, Mark::Reject);
            }
        }
        "e" | "E" => {
            if let Some(id) = unmarked.filter(|id| may_edit(desk, *id)) {
                desk.choosing.set(None);
                desk.editing.set(Some(id));
            }
        }
        "l" | "L" => {
            if let Some(id) = unmarked.filter(|id| may_edit(desk, *id)) {
                desk.choosing.update(|choosing| *choosing = if *choosing == Some(id) { None } else { Some(id) });
            }
        }
        "u" | "U" => {
            if let Some(id) = open {
                desk.unmark(id);
            }
        }
        "?" => desk.help.set(true),
        "Escape" if desk.choosing.get_untracked().is_some() => desk.choosing.set(None),
        _ => return,
    }
    event.prevent_default();
}

fn may_edit(desk: Desk, id: wire::HunkId) -> bool {
    untrack(|| desk.ide.can_edit())
        && desk.set.with_untracked(|set| {
            set.as_ref().and_then(|set| review_state::find(set, id)).is_some_and(|(_, hunk, ..)| !hunk.diff.is_empty())
        })
}

#[component]
fn Head(desk: Desk) -> impl IntoView {
    let ide = desk.ide;
    let title = move || {
        desk.set.with(|set| {
            set.as_ref().map_or_else(
                || "Review".to_owned(),
                |set| {
                    let hunks = review_state::hunks(set).count() as i64;
                    let files = format::counted(set.files.len() as i64, "file", "files");
                    format!("{} in {files}", format::counted(hunks, "change", "changes"))
                },
            )
        })
    };
    let created = move || desk.set.with(|set| set.as_ref().map(|set| set.created_at));
    let told = move || {
        desk.set.with(|set| {
            let set = set.as_ref().filter(|set| !set.title.is_empty())?;
            Some(set.created_by.as_ref().map_or_else(|| set.title.clone(), |by| format!("{}, by {}", set.title, by.name)))
        })
    };
    let moved_on = move || {
        let base = desk.set.with(|set| set.as_ref().map(|set| set.base_revision))?;
        let now = ide.tree.with(|tree| tree.revision);
        (now > base).then(|| format!("The project has changed {} since", format::counted(now - base, "time", "times")))
    };
    view! {
        <div class="rv-head">
            <div class="row">
                <h1 class="clip">{title}</h1>
                <span class="desk">
                    <Show
                        when=move || desk.is_of_agent()
                        fallback=|| view! { <Badge kind=BadgeKind::Neutral icon="search">"Search and replace"</Badge> }
                    >
                        <Badge kind=BadgeKind::Agent icon="sparkles">
                            "On the agent's branch"
                        </Badge>
                    </Show>
                </span>
                <span class="grow"></span>
                <IconButton icon="x" label="Leave the review; your marks are kept" on:click=move |_| ide.close_review() />
            </div>
            <div class="facts">
                {move || told().map(|text| view! { <span class="clip">{text}</span> })}
                {move || created().map(|at| view! { <span>"Proposed " <RelativeTime at=at class="" /></span> })}
                {move || moved_on().map(|text| view! { <span class="desk">{text}</span> })}
                <Show when=move || desk.is_of_agent()>
                    <button
                        type="button"
                        class="link"
                        on:click=move |_| {
                            ide.close_review();
                            ide.chat_open.set(true);
                            ide.phone_pane.set(super::ide::PhonePane::Chat);
                        }
                    >
                        "Open the conversation"
                    </button>
                </Show>
            </div>
        </div>
    }
}

#[component]
fn Content(desk: Desk) -> impl IntoView {
    let paths =
        Memo::new(move |_| desk.set.with(|set| set.as_ref().map(|set| set.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>())));
    let state =
        Memo::new(move |_| (paths.with(|paths| paths.as_ref().map(Vec::is_empty)), desk.asked.get(), desk.failure.with(Option::is_some)));
    move || match state.get() {
        (Some(false), ..) => view! {
            <div class="rv-body">
                <For each=move || paths.get().unwrap_or_default() key=String::clone let:path>
                    <FileView desk=desk path=path />
                </For>
            </div>
        }
        .into_any(),
        (None, true, true) => view! {
            <div class="rv-body">
                <PanelError title="The changes did not load" text=desk.failure.get_untracked().unwrap_or_default()>
                    <Button on:click=move |_| {
                        desk.failure.set(None);
                        desk.ide.load_changes(desk.what);
                    }>"Try again"</Button>
                </PanelError>
            </div>
        }
        .into_any(),
        (None, false, _) => view! { <div class="rv-body"><Skeleton lines=8 /></div> }.into_any(),
        _ => view! {
            <div class="rv-body">
                <div class="empty">
                    <b>"Nothing to review"</b>
                    <p>"This turn changed no file of the project."</p>
                    <Button on:click=move |_| desk.ide.close_review()>"Back to the editor"</Button>
                </div>
            </div>
        }
        .into_any(),
    }
}

#[component]
fn FileView(desk: Desk, path: String) -> impl IntoView {
    let element = file_element(&path);
    let (folder, name) = split_path(&path);
    let path = StoredValue::new(path);
    let file = Memo::new(move |_| desk.set.with(|set| path.with_value(|path| file_of(set.as_ref(), path).cloned())));
    let ids = Memo::new(move |_| file.with(|file| file.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.id).collect::<Vec<_>>()));
    let tally = Memo::new(move |_| {
        desk.marks.with(|marks| file.with(|file| file.as_ref().map(|file| Tally::of(file.hunks.iter(), marks)).unwrap_or_default()))
    });
    let folded = RwSignal::new(false);
    let can_decide = move || desk.ide.can_review() && tally.with(|tally| tally.open() > 0);
    let mark_file = move |mark: Mark| path.with_value(|path| desk.mark_all(Some(path), &mark));
    view! {
        <article class="rfile" id=element>
            <header class="rfile-head">
                <button
                    type="button"
                    class="ib ib--s"
                    aria-expanded=move || if folded.get() { "false" } else { "true" }
                    aria-label=format!("Hunks of {name}")
                    on:click=move |_| folded.update(|folded| *folded = !*folded)
                >
                    {move || view! { <Icon name=if folded.get() { "chevron-right" } else { "chevron-down" } small=true /> }}
                </button>
                <h2 class="path clip" title=path.get_value()>
                    <span class="desk">{folder}</span>
                    {name}
                </h2>
                <Counts file=file />
                <span class="grow"></span>
                {move || file.with(|file| file.as_ref().and_then(action_badge)).map(|word| view! { <span class="badge">{word}</span> })}
                <Show when=can_decide>
                    <span class="desk row g-1">
                        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| mark_file(Mark::Reject)>
                            "Reject file"
                        </Button>
                        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| mark_file(Mark::Accept)>
                            "Accept file"
                        </Button>
                    </span>
                </Show>
            </header>
            <Show when=move || !folded.get()>
                <For each=move || ids.get() key=|id| *id let:id>
                    <HunkView id=id />
                </For>
            </Show>
        </article>
    }
}
