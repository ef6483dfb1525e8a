//! The review gate: the agent's changes, decided hunk by hunk and applied in one go.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::changes::{ChangeAction, ChangeSet, ChangedFile};

use super::{
    hunk::HunkView,
    ide::use_ide,
    review_desk::Desk,
    review_state::{self, Mark, Standing, Tally},
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Dialog, Icon, IconButton, PanelError, RelativeTime, Skeleton, focus, format};

/// The review of the turn in `ide.review`; nothing while there is none.
#[component]
pub fn ChangeReview() -> impl IntoView {
    let ide = use_ide();
    move || {
        let turn = ide.review.get()?;
        let desk = Desk::provide(ide, turn);
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
        let inside = section.get_untracked().zip(active).is_some_and(|(section, active)| {
            section.unchecked_ref::<web_sys::Node>().contains(Some(&active))
        });
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
    untrack(|| desk.ide.can_edit()) && desk.set.with_untracked(|set| {
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
                    <Badge kind=BadgeKind::Agent icon="sparkles">
                        "On the agent's branch"
                    </Badge>
                </span>
                <span class="grow"></span>
                <IconButton icon="x" label="Leave the review; your marks are kept" on:click=move |_| ide.close_review() />
            </div>
            <div class="facts">
                {move || created().map(|at| view! { <span>"Proposed " <RelativeTime at=at class="" /></span> })}
                {move || moved_on().map(|text| view! { <span class="desk">{text}</span> })}
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
            </div>
        </div>
    }
}

#[component]
fn Content(desk: Desk) -> impl IntoView {
    let paths = Memo::new(move |_| {
        desk.set.with(|set| set.as_ref().map(|set| set.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>()))
    });
    let state = Memo::new(move |_| (paths.with(|paths| paths.as_ref().map(Vec::is_empty)), desk.asked.get(), desk.failure.with(Option::is_some)));
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
                        desk.ide.load_changes(desk.turn);
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

fn action_badge(file: &ChangedFile) -> Option<&'static str> {
    match file.action {
        ChangeAction::Add => Some("New file"),
        ChangeAction::Delete => Some("Deleted"),
        ChangeAction::Mode => Some("Permissions"),
        ChangeAction::Modify => None,
    }
}

fn split_path(path: &str) -> (String, String) {
    let cut = path.rfind('/').map_or(0, |at| at + 1);
    (path[..cut].to_owned(), path[cut..].to_owned())
}

fn file_of<'a>(set: Option<&'a ChangeSet>, path: &str) -> Option<&'a ChangedFile> {
    set?.files.iter().find(|file| file.path == path)
}

fn file_element(path: &str) -> String {
    format!("review-file:{path}")
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

#[component]
fn Counts(file: Memo<Option<ChangedFile>>) -> impl IntoView {
    let added = move || file.with(|file| file.as_ref().map_or(0, |file| file.added_lines));
    let removed = move || file.with(|file| file.as_ref().map_or(0, |file| file.removed_lines));
    view! {
        <Show when=move || { added() > 0 }>
            <span class="adds">{move || format!("+{}", added())}</span>
        </Show>
        <Show when=move || { removed() > 0 }>
            <span class="dels">{move || format!("−{}", removed())}</span>
        </Show>
    }
}

/// The files of the change set, and the keys.
#[component]
fn Files(desk: Desk) -> impl IntoView {
    let paths = Memo::new(move |_| {
        desk.set.with(|set| set.iter().flat_map(|set| &set.files).map(|file| file.path.clone()).collect::<Vec<_>>())
    });
    view! {
        <nav class="rv-side" aria-label="Files of the change set">
            <div class="phead">
                <h2>"Changed files"</h2>
            </div>
            <ul class="rlist scroll">
                <For each=move || paths.get() key=String::clone let:path>
                    <FileRow desk=desk path=path />
                </For>
            </ul>
            <div class="stack rv-keys">
                <div class="hints">
                    <Keys keys=&["J", "K"] word="next, previous" />
                    <Keys keys=&["A"] word="accept" />
                    <Keys keys=&["R"] word="reject" />
                    <Keys keys=&["E"] word="edit first" />
                    <Keys keys=&["L"] word="line by line" />
                    <Keys keys=&["U"] word="undo" />
                    <Keys keys=&["?"] word="all keys" />
                </div>
            </div>
        </nav>
    }
}

#[component]
fn Keys(keys: &'static [&'static str], word: &'static str) -> impl IntoView {
    view! {
        <span>
            <span class="keys">{keys.iter().map(|key| view! { <kbd>{*key}</kbd> }).collect_view()}</span>
            {word}
        </span>
    }
}

fn row_icon(tally: &Tally) -> (&'static str, &'static str) {
    if tally.has(Standing::Conflict) {
        ("triangle-alert", "c-warn mark-icon")
    } else if tally.open() == tally.total() {
        ("circle", "t3 mark-icon")
    } else if tally.open() > 0 {
        ("circle-dot", "c-run mark-icon")
    } else if tally.all(Standing::Rejected) {
        ("x", "c-bad mark-icon")
    } else {
        ("check", "c-ok mark-icon")
    }
}

fn row_words(file: &ChangedFile, tally: &Tally) -> String {
    let kind = action_badge(file).map(|word| format!("{word}, ")).unwrap_or_default();
    let words = if tally.has(Standing::Conflict) {
        format!("conflict, {} open", tally.open())
    } else if tally.open() == 0 && tally.all(Standing::Rejected) {
        "rejected".to_owned()
    } else if tally.open() == 0 && (tally.all(Standing::Accepted) || tally.all(Standing::Edited)) {
        "accepted".to_owned()
    } else if tally.total() == 1 {
        "1 open".to_owned()
    } else {
        format!("{} of {} decided", tally.decided(), tally.total())
    };
    let text = kind + &words;
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[component]
fn FileRow(desk: Desk, path: String) -> impl IntoView {
    let (_, name) = split_path(&path);
    let title = path.clone();
    let path = StoredValue::new(path);
    let file = Memo::new(move |_| desk.set.with(|set| path.with_value(|path| file_of(set.as_ref(), path).cloned())));
    let tally = Memo::new(move |_| {
        desk.marks.with(|marks| file.with(|file| file.as_ref().map(|file| Tally::of(file.hunks.iter(), marks)).unwrap_or_default()))
    });
    let current = move || {
        let here = desk.focus.get();
        file.with(|file| file.as_ref().is_some_and(|file| file.hunks.iter().any(|hunk| Some(hunk.id) == here)))
    };
    let go = move |_| {
        let target = file.with_untracked(|file| {
            let file = file.as_ref()?;
            let open = desk.marks.with_untracked(|marks| file.hunks.iter().find(|hunk| review_state::standing(hunk, marks).is_open()));
            open.or(file.hunks.first()).map(|hunk| hunk.id)
        });
        if let Some(element) = document().get_element_by_id(&file_element(&path.get_value())) {
            element.scroll_into_view();
        }
        if let Some(target) = target {
            desk.go_to(target);
        }
    };
    view! {
        <li>
            <button type="button" title=title aria-current=move || current().then_some("true") on:click=go>
                {move || {
                    let (icon, class) = tally.with(row_icon);
                    view! {
                        <span class=class>
                            <Icon name=icon small=true />
                        </span>
                    }
                }}
                <span class="clip mono fs12">{name}</span>
                <span class="row g-2">
                    <Counts file=file />
                </span>
                <span class="sub">{move || file.with(|file| file.as_ref().map(|file| tally.with(|tally| row_words(file, tally))))}</span>
            </button>
        </li>
    }
}

#[component]
fn SummaryBar(desk: Desk) -> impl IntoView {
    let tally = Memo::new(move |_| desk.tally());
    let marked = Memo::new(move |_| desk.marks.with(|marks| marks.len() as i64));
    let rejects = Memo::new(move |_| desk.marks.with(|marks| marks.values().any(|mark| *mark == Mark::Reject)));
    let open = move || tally.with(Tally::open) as i64;
    let done = move || tally.with(|tally| tally.total() > 0 && tally.open() == 0) && marked.get() == 0;
    let pips = move || {
        let pip = |standing: &Standing| {
            let class = match standing {
                Standing::Accepted | Standing::Edited => "y",
                Standing::Rejected => "x",
                Standing::Conflict => "q",
                Standing::Open => "",
            };
            view! { <i class=class></i> }
        };
        // More than this many would not fit, and nobody counts them.
        tally.with(|tally| (tally.total() <= 24).then(|| tally.standings.iter().map(pip).collect_view()))
    };
    view! {
        <Show when=move || desk.set.with(Option::is_some)>
            {move || {
                desk.failure
                    .get()
                    .map(|text| {
                        view! {
                            <p class="err rv-failure" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{text}</span>
                            </p>
                        }
                    })
            }}
            <Show when=move || rejects.get()>
                <div class="rv-reason">
                    <input
                        class="input input--s"
                        aria-label="Why rejected, told to the agent"
                        placeholder="Why rejected? The agent is told (optional)"
                        prop:value=move || desk.reason.get()
                        on:input:target=move |ev| desk.reason.set(ev.target().value())
                    />
                </div>
            </Show>
            <footer class="sumbar">
                <span class="strong nowrap" role="status">
                    {move || tally.with(|tally| format!("{} of {} decided", tally.decided(), format::counted(tally.total() as i64, "hunk", "hunks")))}
                </span>
                <span class="pips desk" aria-hidden="true">
                    {pips}
                </span>
                <span class="t2 fs12 desk wide clip">
                    {move || if done() { "All decided; the agent is told with your next message." } else { "Nothing is written until you apply." }}
                </span>
                <span class="grow"></span>
                <Show
                    when=done
                    fallback=move || {
                        view! {
                            <Show when=move || { open() > 0 && desk.ide.can_review() }>
                                <span class="desk">
                                    <Button disabled=desk.busy on:click=move |_| desk.mark_all(None, &Mark::Accept)>
                                        {move || format!("Accept the {} open", open())}
                                    </Button>
                                </span>
                            </Show>
                            <Button
                                kind=ButtonKind::Primary
                                busy=desk.busy
                                disabled=Signal::derive(move || marked.get() == 0 || !desk.ide.can_review())
                                title=Signal::derive(move || (marked.get() == 0).then(|| "Accept or reject a hunk first".to_owned()))
                                on:click=move |_| desk.apply()
                            >
                                {move || format!("Apply {}", format::counted(marked.get(), "decision", "decisions"))}
                                <kbd>"Ctrl ⏎"</kbd>
                            </Button>
                        }
                    }
                >
                    <Button kind=ButtonKind::Primary on:click=move |_| desk.ide.close_review()>
                        "Back to the editor"
                    </Button>
                </Show>
            </footer>
        </Show>
    }
}

#[component]
fn Help(open: RwSignal<bool>) -> impl IntoView {
    let rows: [(&[&str], &str); 9] = [
        (&["J", "K"], "next and previous hunk"),
        (&["A"], "accept"),
        (&["R"], "reject"),
        (&["E"], "edit before accepting"),
        (&["L"], "take or leave single lines"),
        (&["U"], "undo the mark"),
        (&["F7"], "next open hunk"),
        (&["Ctrl", "Enter"], "apply all marks"),
        (&["?"], "this list"),
    ];
    view! {
        <Dialog open=open title=Signal::derive(|| "Keys of the review".to_owned())>
            <dl class="kv">
                {rows
                    .into_iter()
                    .map(|(keys, word)| {
                        view! {
                            <dt>{word}</dt>
                            <dd>
                                <span class="keys">{keys.iter().map(|key| view! { <kbd>{*key}</kbd> }).collect_view()}</span>
                            </dd>
                        }
                    })
                    .collect_view()}
            </dl>
            <div class="acts">
                <button type="button" class="btn" autofocus=true on:click=move |_| open.set(false)>
                    "Close"
                </button>
            </div>
        </Dialog>
    }
}
