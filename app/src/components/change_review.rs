//! The review gate: proposed changes, decided hunk by hunk and applied in one go.

use super::{
    hunk::{HunkView, height_of},
    ide::use_ide,
    review_bar::{Help, SummaryBar},
    review_desk::{Desk, Field},
    review_files::{Counts, Files, action_badge, file_element, split_path},
    review_state::{self, Mark, Tally},
    review_whole::WholeFile,
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Icon, IconButton, PanelError, RelativeTime, Skeleton, focus, format};
use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::{
    changes::{ChangeAction, ChangeOrigin, ChangedFile},
    permissions::guarded_place,
};

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
    let resized = window_event_listener(ev::resize, move |_| desk.look());
    on_cleanup(move || resized.remove());
    view! {
        <section class="review review--split" aria-label="Review" node_ref=section>
            <Files desk=desk />
            <div class="rv-main">
                <Head desk=desk />
                <div class="scroll" role="group" aria-label="Hunks" on:scroll=move |_| desk.look()>
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
    let Some(here) = desk.focus.get_untracked() else {
        if let "j" | "J" | "k" | "K" | "?" = event.key().as_str() {
            event.prevent_default();
            if event.key() == "?" { desk.help.set(true) } else { desk.step(true) }
        }
        return;
    };
    let open = untrack(|| desk.can_mark(here));
    let unmarked = open && desk.marks.with_untracked(|marks| !marks.contains_key(&here));
    let is_file = event.shift_key();
    match event.key().to_ascii_lowercase().as_str() {
        "j" => desk.step(true),
        "k" => desk.step(false),
        "a" if is_file => desk.mark_file_here(&Mark::Accept),
        "r" if is_file => desk.mark_file_here(&Mark::reject()),
        "a" if unmarked => desk.mark(here, Mark::Accept),
        "r" if unmarked => desk.mark(here, Mark::reject()),
        "w" if may_give_reason(desk, here) => desk.open_field(here, Field::Reason),
        "e" if unmarked && may_edit(desk, here) => desk.open_field(here, Field::Edit),
        "l" if unmarked && has_lines(desk, here) => desk.open_field(here, Field::Lines),
        "c" if may_comment(desk) => desk.open_field(here, Field::Comment),
        "v" => desk.toggle_whole(here),
        "u" if open => desk.unmark(here),
        "?" => desk.help.set(true),
        "escape" if desk.field.get_untracked().is_some() => desk.close_field(),
        "escape" if desk.whole.with_untracked(Option::is_some) => desk.toggle_whole(here),
        _ => return,
    }
    event.prevent_default();
}

/// Whether the hunk has lines that can be taken one by one.
fn has_lines(desk: Desk, id: wire::HunkId) -> bool {
    untrack(|| desk.with_hunk(id, |file, hunk, _, _| file.action != ChangeAction::Delete && !file.link && !hunk.diff.is_empty()))
        .unwrap_or(false)
}

fn may_edit(desk: Desk, id: wire::HunkId) -> bool {
    untrack(|| desk.ide.can_edit()) && has_lines(desk, id)
}

/// What is marked as rejected can be given a reason later.
fn may_give_reason(desk: Desk, id: wire::HunkId) -> bool {
    untrack(|| desk.has_conversation() && desk.can_mark(id))
        && desk.marks.with_untracked(|marks| marks.get(&id).is_none_or(Mark::is_reject))
}

fn may_comment(desk: Desk) -> bool {
    untrack(|| desk.has_conversation() && desk.ide.can_review())
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
    let show_run = move |_| {
        if let Some(run) = untrack(|| desk.run()) {
            ide.close_review();
            ide.show_run(run);
        }
    };
    let from_chat = move || desk.set.with(|set| set.as_ref().is_some_and(|set| set.origin == ChangeOrigin::Conversation));
    view! {
        <div class="rv-head">
            <div class="row">
                <h1 class="clip">{title}</h1>
                <span class="desk">
                    <Show
                        when=move || desk.is_of_agent()
                        fallback=move || {
                            if from_chat() {
                                view! { <Badge kind=BadgeKind::Neutral icon="messages-square">"From the conversation"</Badge> }
                            } else {
                                view! { <Badge kind=BadgeKind::Neutral icon="search">"Search and replace"</Badge> }
                            }
                        }
                    >
                        <Badge kind=BadgeKind::Agent icon="sparkles">
                            "On the agent's branch"
                        </Badge>
                    </Show>
                </span>
                <span class="grow"></span>
                <IconButton icon="x" label="Leave the review; your marks are kept" on_click=move |_| ide.close_review() />
            </div>
            <div class="facts">
                {move || told().map(|text| view! { <span class="clip">{text}</span> })}
                {move || created().map(|at| view! { <span>"Proposed " <RelativeTime at=at class="" /></span> })}
                {move || moved_on().map(|text| view! { <span class="desk">{text}</span> })}
                <Show when=move || desk.has_conversation()>
                    <button
                        type="button"
                        class="link"
                        on:click=move |_| ide.show_chat()
                    >
                        "Open the conversation"
                    </button>
                </Show>
                <Show when=move || desk.run().is_some()>
                    <button type="button" class="link" on:click=show_run>
                        "Show the run"
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
    // What matters only while nothing is there must not draw the hunks anew: they would lose the focus.
    let state = Memo::new(move |_| {
        let is_empty = paths.with(|paths| paths.as_ref().map(Vec::is_empty));
        (is_empty, is_empty.is_none() && desk.asked.get(), is_empty.is_none() && desk.failure.with(Option::is_some))
    });
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
                    <Button on_click=move |_| {
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
                    <Button on_click=move |_| desk.ide.close_review()>"Back to the editor"</Button>
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
    let guarded = guarded_place(&path);
    let path = StoredValue::new(path);
    let file = Memo::new(move |_| path.with_value(|path| desk.with_file(path, ChangedFile::without_hunks)));
    let ids = Memo::new(move |_| {
        path.with_value(|path| desk.with_file(path, |file| file.hunks.iter().map(|hunk| hunk.id).collect::<Vec<_>>())).unwrap_or_default()
    });
    // Those that have an element, and the pixels that the others keep free.
    let laid = Memo::new(move |_| {
        ids.with(|ids| {
            let before = ids.first().and_then(|id| desk.with_hunk(*id, |_, _, at, _| at - 1)).unwrap_or_default();
            let count = desk.laid.get().saturating_sub(before).min(ids.len());
            let rest = path.with_value(|path| desk.with_file(path, |file| file.hunks.iter().skip(count).map(height_of).sum::<i32>()));
            (ids[..count].to_vec(), rest.unwrap_or_default())
        })
    });
    let tally = Memo::new(move |_| {
        desk.marks
            .with(|marks| path.with_value(|path| desk.with_file(path, |file| Tally::of(file.hunks.iter(), marks))).unwrap_or_default())
    });
    let folded = RwSignal::new(false);
    let is_whole = Memo::new(move |_| path.with_value(|path| desk.whole.with(|whole| whole.as_ref() == Some(path))));
    let has_text =
        move || file.with(|file| file.as_ref().is_some_and(|file| !file.binary && !file.directory && file.action != ChangeAction::Mode));
    let can_decide = move || desk.ide.can_review() && tally.with(|tally| tally.open() > 0);
    let mark_file = move |mark: Mark| path.with_value(|path| desk.mark_all(Some(path), &mark));
    let moved_from = move || file.with(|file| file.as_ref().and_then(|file| file.old_path.clone()));
    Effect::new(move |_| {
        folded.track();
        desk.look();
    });
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
                    {move || {
                        moved_from()
                            .map(|from| {
                                let title = format!("Moved from {from}");
                                view! {
                                    <span class="rfile-from" title=title>
                                        <span class="sr">"moved from "</span>
                                        {from}
                                        <Icon name="arrow-right" small=true />
                                    </span>
                                }
                            })
                    }}
                    <span class="desk">{folder}</span>
                    {name.clone()}
                </h2>
                <Counts file=file />
                <span class="grow"></span>
                {guarded.map(|place| view! { <span title=place.why><Badge kind=BadgeKind::Warning icon="triangle-alert">"Look twice"</Badge></span> })}
                {move || file.with(|file| file.as_ref().and_then(action_badge)).map(|word| view! { <span class="badge">{word}</span> })}
                <Show when=has_text>
                    <IconButton
                        icon="columns-2"
                        small=true
                        label=Signal::derive(move || {
                            if is_whole.get() { "Show hunk by hunk".to_owned() } else { "Show the whole file".to_owned() }
                        })
                        key="V"
                        pressed=MaybeProp::derive(move || Some(is_whole.get()))
                        on_click=move |_| {
                            let first = ids.with_untracked(|ids| ids.first().copied());
                            let here = desk.focus.get_untracked().filter(|id| ids.with_untracked(|ids| ids.contains(id)));
                            if let Some(id) = here.or(first) {
                                folded.set(false);
                                desk.toggle_whole(id);
                            }
                        }
                    />
                </Show>
                <Show when=can_decide>
                    <span class="desk row g-1">
                        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| mark_file(Mark::reject())>
                            "Reject file"
                        </Button>
                        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| mark_file(Mark::Accept)>
                            "Accept file"
                        </Button>
                    </span>
                </Show>
            </header>
            <Show when=move || !folded.get()>
                <Show
                    when=move || is_whole.get()
                    fallback=move || {
                        view! {
                            <For each=move || laid.with(|(ids, _)| ids.clone()) key=|id| *id let:id>
                                <HunkView id=id />
                            </For>
                            {move || {
                                let rest = laid.with(|(_, rest)| *rest);
                                (rest > 0).then(|| view! { <div style:height=format!("{rest}px")></div> })
                            }}
                        }
                    }
                >
                    <WholeFile desk=desk path=path.get_value() />
                </Show>
            </Show>
        </article>
    }
}
