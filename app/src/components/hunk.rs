//! One hunk: its lines, its state, and the ways to decide it.

use std::collections::BTreeSet;

use leptos::{ev, html, prelude::*, task::spawn_local};
use wire::{
    HunkId,
    changes::{ChangeAction, ChangedFile, Hunk, HunkState},
};

use super::{
    diff_lines::{self, DiffLine, Side},
    review_desk::{Desk, element_id},
    review_state::{self, Mark, Standing},
};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Icon, format},
};

/// Lines drawn before "Show more".
const LINES_AT_FIRST: usize = 120;

fn badge(standing: Standing) -> (BadgeKind, &'static str) {
    match standing {
        Standing::Open => (BadgeKind::Agent, "circle-dashed"),
        Standing::Conflict => (BadgeKind::Warning, "triangle-alert"),
        Standing::Accepted => (BadgeKind::Ok, "check"),
        Standing::Edited => (BadgeKind::Ok, "pencil"),
        Standing::Rejected => (BadgeKind::Bad, "x"),
    }
}

/// Lines of the new side, or of the old where nothing is left of it.
fn range(hunk: &Hunk) -> String {
    let (start, count) = if hunk.new_lines > 0 { (hunk.new_start, hunk.new_lines) } else { (hunk.old_start, hunk.old_lines) };
    match count {
        0 => String::new(),
        1 => start.to_string(),
        _ => format!("{start}–{}", start + count - 1),
    }
}

/// What a change without lines is.
fn describe_bare(file: &ChangedFile) -> String {
    let mode = |mode: Option<i32>| mode.map(|mode| format!("{:03o}", mode & 0o777)).unwrap_or_default();
    match file.action {
        ChangeAction::Add if file.binary => "New binary file".to_owned(),
        ChangeAction::Add => "New empty file".to_owned(),
        ChangeAction::Delete => "The file is deleted".to_owned(),
        ChangeAction::Mode => format!("Permissions {} become {}", mode(file.old_mode), mode(file.new_mode)),
        ChangeAction::Modify if file.binary => "Binary content changed".to_owned(),
        ChangeAction::Modify => "The file becomes empty".to_owned(),
    }
}

/// A hunk of the review.
#[component]
pub fn HunkView(id: HunkId) -> impl IntoView {
    let desk = Desk::expect();
    let found = Memo::new(move |_| {
        desk.set.with(|set| {
            let (file, hunk, at, of) = review_state::find(set.as_ref()?, id)?;
            // The rest of the file is not needed here and would make the comparison slow.
            Some((ChangedFile { hunks: Vec::new(), ..file.clone() }, hunk.clone(), at, of))
        })
    });
    let hunk = Memo::new(move |_| found.with(|found| found.as_ref().map(|(_, hunk, ..)| hunk.clone())));
    let standing = Memo::new(move |_| hunk.with(|hunk| hunk.as_ref().map_or(Standing::Open, |hunk| desk.standing(hunk))));
    let settled = Memo::new(move |_| hunk.with(|hunk| hunk.as_ref().is_some_and(|hunk| !hunk.state.is_open())));
    let focused = Memo::new(move |_| desk.focus.get() == Some(id));
    let shown = RwSignal::new(false);
    let label = move || {
        found.with(|found| {
            found.as_ref().map(|(file, _, at, of)| format!("Hunk {at} of {of}, {}, {}", file.path, standing.get().word().to_lowercase()))
        })
    };
    let class = move || {
        let mut class = String::from("hunk");
        if focused.get() {
            class.push_str(" hunk--focus");
        }
        if !standing.get().is_open() {
            class.push_str(" hunk--done");
        }
        class
    };
    view! {
        <div
            class=class
            id=element_id(id)
            role="group"
            tabindex="0"
            aria-label=label
            aria-current=move || focused.get().then_some("true")
            on:focusin=move |_| {
                if desk.focus.get_untracked() != Some(id) {
                    desk.focus.set(Some(id));
                }
            }
        >
            <div class="hunk-head">
                {move || {
                    let (kind, icon) = badge(standing.get());
                    view! { <Badge kind=kind icon=icon>{standing.get().word()}</Badge> }
                }}
                <code>{move || hunk.with(|hunk| hunk.as_ref().map(range))}</code>
                <span class="clip t2">{move || remark(desk, id, &hunk, standing.get())}</span>
                <span class="grow"></span>
                <Show when=move || !standing.get().is_open()>
                    <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| shown.update(|shown| *shown = !*shown)>
                        {move || if shown.get() { "Hide" } else { "Show" }}
                    </Button>
                    <Show when=move || !settled.get()>
                        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| desk.unmark(id)>
                            "Undo"
                            <Show when=move || focused.get()>
                                <kbd>"U"</kbd>
                            </Show>
                        </Button>
                    </Show>
                </Show>
                <Show when=move || standing.get().is_open() && desk.editing.get() != Some(id)>
                    <span class="desk">
                        <Actions id=id hunk=hunk standing=standing focused=focused />
                    </span>
                </Show>
            </div>
            <Show when=move || standing.get().is_open() || shown.get()>
                <Body id=id found=found standing=standing />
            </Show>
            <Show when=move || standing.get().is_open() && desk.editing.get() != Some(id) && desk.choosing.get() != Some(id)>
                <span class="phone-only hunk-phone">
                    <Actions id=id hunk=hunk standing=standing focused=focused />
                </span>
            </Show>
        </div>
    }
}

/// Who decided a settled hunk and why, or why an open one needs a look.
fn remark(desk: Desk, id: HunkId, hunk: &Memo<Option<Hunk>>, standing: Standing) -> String {
    hunk.with(|hunk| {
        let Some(hunk) = hunk else { return String::new() };
        if standing == Standing::Conflict {
            return "The project changed here after the agent read it. Nothing was written.".to_owned();
        }
        if hunk.state.is_open() {
            let marked = desk.marks.with(|marks| marks.contains_key(&id));
            return if marked { "Not applied yet".to_owned() } else { String::new() };
        }
        let by = hunk.decided_by.as_ref().map(|by| format!("by {}", by.name));
        let reason = hunk.reason.as_ref().map(|reason| format!("“{reason}”"));
        [by, reason].into_iter().flatten().collect::<Vec<_>>().join(", ")
    })
}

#[component]
fn Actions(id: HunkId, hunk: Memo<Option<Hunk>>, standing: Memo<Standing>, focused: Memo<bool>) -> impl IntoView {
    let desk = Desk::expect();
    let has_lines = move || hunk.with(|hunk| hunk.as_ref().is_some_and(|hunk| !hunk.diff.is_empty()));
    let conflict = move || standing.get() == Standing::Conflict;
    let blocked = Signal::derive(move || !desk.ide.can_review() || desk.busy.get());
    // What a person writes into the project needs the right to write.
    let no_edit = Signal::derive(move || blocked.get() || !desk.ide.can_edit());
    let why_not_edit = move || (!desk.ide.can_edit()).then(|| "Editors of the project may change the text".to_owned());
    let why = move || {
        if desk.ide.can_review() { None } else { Some("Reviewers and editors of the project decide".to_owned()) }
    };
    let kind = move |filled: ButtonKind| if focused.get() { filled } else { ButtonKind::Ghost };
    move || {
        let hint = move |key: &'static str| focused.get().then(|| view! { <kbd>{key}</kbd> });
        let accept = if focused.get() { ButtonKind::Accept } else { ButtonKind::Default };
        view! {
            <span class="row hunk-acts">
                <Button size=ButtonSize::Small kind=kind(ButtonKind::Danger) disabled=blocked title=Signal::derive(why) on:click=move |_| desk.mark(id, Mark::Reject)>
                    "Reject"
                    {hint("R")}
                </Button>
                {has_lines()
                    .then(|| {
                        view! {
                            <Button
                                size=ButtonSize::Small
                                kind=kind(ButtonKind::Default)
                                disabled=no_edit
                                title=Signal::derive(why_not_edit)
                                on:click=move |_| desk.editing.set(Some(id))
                            >
                                {if conflict() { "Edit to fit" } else { "Edit" }}
                                {hint("E")}
                            </Button>
                        }
                    })}
                {has_lines()
                    .then(|| {
                        let toggle = move |_| {
                            desk.choosing.update(|choosing| *choosing = if *choosing == Some(id) { None } else { Some(id) });
                        };
                        view! {
                            <span class="desk">
                                <Button size=ButtonSize::Small kind=kind(ButtonKind::Default) disabled=no_edit title=Signal::derive(why_not_edit) on:click=toggle>
                                    "Lines"
                                    {hint("L")}
                                </Button>
                            </span>
                        }
                    })}
                <Button size=ButtonSize::Small kind=accept disabled=blocked title=Signal::derive(why) on:click=move |_| desk.mark(id, Mark::Accept)>
                    {if conflict() { "Accept again" } else { "Accept" }}
                    {hint("A")}
                </Button>
            </span>
        }
    }
}

type Found = Option<(ChangedFile, Hunk, usize, usize)>;

#[component]
fn Body(id: HunkId, found: Memo<Found>, standing: Memo<Standing>) -> impl IntoView {
    let desk = Desk::expect();
    move || {
        let (file, hunk) = found.with(|found| found.as_ref().map(|(file, hunk, ..)| (file.clone(), hunk.clone())))?;
        if desk.editing.get() == Some(id) {
            return Some(view! { <Editing id=id hunk=hunk /> }.into_any());
        }
        if hunk.diff.is_empty() {
            return Some(view! { <p class="hunk-note t2">{describe_bare(&file)}</p> }.into_any());
        }
        let edited = match desk.marks.with(|marks| marks.get(&id).cloned()) {
            Some(Mark::Edit { text }) => Some(text),
            _ => hunk.edited_text.clone().filter(|_| hunk.state == HunkState::Edited),
        };
        if let Some(text) = edited {
            return Some(view! { <p class="hunk-note t2">"Written instead of what the agent proposed:"</p> <pre class="out">{text}</pre> }.into_any());
        }
        let choosing = desk.choosing.get() == Some(id);
        let in_conflict = standing.get() == Standing::Conflict;
        Some(if choosing {
            view! { <Choosing id=id hunk=hunk /> }.into_any()
        } else if in_conflict {
            view! { <InConflict file=file hunk=hunk /> }.into_any()
        } else {
            view! { <Lines lines=diff_lines::read_lines(&hunk) /> }.into_any()
        })
    }
}

#[component]
fn Editing(id: HunkId, hunk: Hunk) -> impl IntoView {
    let desk = Desk::expect();
    let field = NodeRef::<html::Textarea>::new();
    let start = match desk.marks.with_untracked(|marks| marks.get(&id).cloned()) {
        Some(Mark::Edit { text }) => text,
        _ => hunk.new_text(),
    };
    let rows = (start.lines().count() + 1).clamp(3, 24);
    let keep = move || {
        if let Some(field) = field.get_untracked() {
            // Browsers give line feeds; a file with CRLF keeps its own through the agent's text.
            let text = field.value();
            let text = if hunk.new_text().contains("\r\n") { text.replace('\n', "\r\n") } else { text };
            desk.mark(id, Mark::Edit { text });
        }
    };
    let cancel = move || {
        desk.editing.set(None);
        desk.go_to(id);
    };
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    let keep_on_key = keep.clone();
    let on_keydown = move |event: ev::KeyboardEvent| {
        event.stop_propagation();
        if (event.ctrl_key() || event.meta_key()) && event.key() == "Enter" {
            event.prevent_default();
            keep_on_key();
        } else if event.key() == "Escape" {
            cancel();
        }
    };
    view! {
        <div class="hunk-edit">
            <textarea class="input" rows=rows spellcheck="false" aria-label="Text to write instead" node_ref=field on:keydown=on_keydown prop:value=start></textarea>
            <div class="acts">
                <Button size=ButtonSize::Small kind=ButtonKind::Accept on:click=move |_| keep()>
                    "Keep this text"
                    <kbd>"Ctrl ⏎"</kbd>
                </Button>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| cancel()>
                    "Cancel"
                </Button>
                <span class="hint">"With the lines around it; nothing is written until you apply."</span>
            </div>
        </div>
    }
}

/// Line by line: what is not taken stays as it was.
#[component]
fn Choosing(id: HunkId, hunk: Hunk) -> impl IntoView {
    let desk = Desk::expect();
    let lines = diff_lines::read_lines(&hunk);
    let all = diff_lines::changed_lines(&lines);
    let total = all.len();
    let chosen = RwSignal::new(all);
    let keep = move |_| {
        let mark = chosen.with_untracked(|chosen| {
            if chosen.is_empty() {
                Mark::Reject
            } else if chosen.len() == total {
                Mark::Accept
            } else {
                Mark::Edit { text: diff_lines::text_of_choice(&hunk.diff, chosen) }
            }
        });
        desk.mark(id, mark);
    };
    view! {
        <Lines lines=lines chosen=chosen />
        <div class="acts hunk-note">
            <Button size=ButtonSize::Small kind=ButtonKind::Accept on:click=keep>
                {move || format!("Take {} of {}", chosen.with(BTreeSet::len), format::counted(total as i64, "line", "lines"))}
            </Button>
            <Button
                size=ButtonSize::Small
                kind=ButtonKind::Ghost
                on:click=move |_| {
                    desk.choosing.set(None);
                    desk.go_to(id);
                }
            >
                "Back"
            </Button>
            <span class="hint">"Click the lines to leave out."</span>
        </div>
    }
}

/// The lines with their numbers; with `chosen` each changed line can be taken or left.
#[component]
fn Lines(lines: Vec<DiffLine>, #[prop(optional)] chosen: Option<RwSignal<BTreeSet<usize>>>) -> impl IntoView {
    let indent = diff_lines::common_indent(&lines);
    let total = lines.len();
    let limit = RwSignal::new(if chosen.is_some() { total } else { LINES_AT_FIRST });
    let lines = StoredValue::new(lines);
    let drawn = move || lines.with_value(|lines| lines.iter().take(limit.get()).map(|line| draw(line, indent, chosen)).collect_view());
    view! {
        <div
            class="df"
            class:df--pick=chosen.is_some()
            style:--c=indent.to_string()
            tabindex="0"
            role="group"
            aria-label="Lines of this hunk"
        >
            {drawn}
            <Show when=move || { limit.get() < total }>
                <div class="more">
                    <button type="button" class="btn btn--s btn--ghost" on:click=move |_| limit.set(total)>
                        {format!("Show {} more lines", format::count((total - LINES_AT_FIRST.min(total)) as i64))}
                    </button>
                </div>
            </Show>
        </div>
    }
}

fn draw(line: &DiffLine, indent: usize, chosen: Option<RwSignal<BTreeSet<usize>>>) -> impl IntoView + use<> {
    let (class, sign, word) = match line.side {
        Side::Both => ("", "", ""),
        Side::Old => ("del", "−", "removed "),
        Side::New => ("add", "+", "added "),
    };
    let number = |n: Option<i32>| n.map(|n| n.to_string()).unwrap_or_default();
    let index = line.index;
    let pick = chosen.filter(|_| line.side != Side::Both).map(|chosen| {
        let toggle = move |_| {
            chosen.update(|chosen| {
                if !chosen.remove(&index) {
                    chosen.insert(index);
                }
            });
        };
        let taken = move || chosen.with(|chosen| chosen.contains(&index));
        view! {
            <button type="button" class="pick" role="checkbox" aria-label=format!("Take this {} line", word.trim()) aria-checked=move || if taken() { "true" } else { "false" } on:click=toggle>
                {move || taken().then(|| view! { <Icon name="check" small=true /> })}
            </button>
        }
    });
    let left_out = move || chosen.is_some_and(|chosen| !class.is_empty() && chosen.with(|chosen| !chosen.contains(&index)));
    let text = line.text();
    let own = text.len() - text.trim_start_matches([' ', '\t']).len();
    let common = indent.min(own);
    let parts = after_indent(&line.parts, common);
    view! {
        <div class=class class:left-out=left_out>
            {chosen.is_some().then(|| view! { <span class="pk">{pick}</span> })}
            <span class="o">{number(line.old)}</span>
            <span class="w">{number(line.new)}</span>
            <span class="g" aria-hidden="true">{sign}</span>
            <span class="l" style:--i=(own - common).to_string()>
                {(!word.is_empty()).then(|| view! { <span class="sr">{word}</span> })}
                {(common > 0).then(|| view! { <span class="ind">{text[..common].to_owned()}</span> })}
                {parts
                    .into_iter()
                    .map(|(marked, part)| if marked { view! { <mark>{part}</mark> }.into_any() } else { part.into_any() })
                    .collect_view()}
                {line.no_newline.then(|| view! { <span class="t3">" (no line end)"</span> })}
            </span>
        </div>
    }
}

/// The parts without their first `skip` bytes, which are blanks.
fn after_indent(parts: &[(bool, String)], mut skip: usize) -> Vec<(bool, String)> {
    let mut out = Vec::with_capacity(parts.len());
    for (marked, text) in parts {
        let cut = skip.min(text.len());
        skip -= cut;
        if cut < text.len() {
            out.push((*marked, text[cut..].to_owned()));
        }
    }
    out
}

/// Both sides of what no longer fits: the project as it is now around the place, and the agent's change.
#[component]
fn InConflict(file: ChangedFile, hunk: Hunk) -> impl IntoView {
    let desk = Desk::expect();
    let now = RwSignal::new(None::<Result<Vec<(i32, String)>, String>>);
    let first = (hunk.old_start - 2).max(1);
    let count = usize::try_from(hunk.old_lines).unwrap_or(0) + 4;
    let path = file.path.clone();
    Effect::new(move |_| {
        let path = path.clone();
        spawn_local(async move {
            let answer = match api::files::open(desk.ide.project_id, path, None).await {
                Ok(opened) => {
                    let text = opened.text.unwrap_or_default();
                    let skip = usize::try_from(first - 1).unwrap_or(0);
                    Ok((first..).zip(text.lines().skip(skip).take(count).map(str::to_owned)).collect())
                }
                Err(error) => Err(error.to_string()),
            };
            now.try_set(Some(answer));
        });
    });
    let open_path = file.path;
    view! {
        <div class="merge">
            <div>
                <h3>
                    <Icon name="user" small=true />
                    "In the project now"
                    <span class="grow"></span>
                    <Button
                        size=ButtonSize::Small
                        kind=ButtonKind::Ghost
                        on:click=move |_| desk.ide.open_file(&open_path, u32::try_from(first).ok())
                    >
                        "Open"
                    </Button>
                </h3>
                <div class="df df--one" tabindex="0" role="group" aria-label="Lines of the project">
                    {move || match now.get() {
                        None => view! { <p class="hunk-note t3">"Loading"</p> }.into_any(),
                        Some(Err(text)) => view! { <p class="hunk-note t2">{text}</p> }.into_any(),
                        Some(Ok(lines)) if lines.is_empty() => {
                            view! { <p class="hunk-note t2">"The file has no lines here any more."</p> }.into_any()
                        }
                        Some(Ok(lines)) => {
                            lines
                                .into_iter()
                                .map(|(number, text)| {
                                    view! {
                                        <div>
                                            <span class="w">{number}</span>
                                            <span class="g" aria-hidden="true"></span>
                                            <span class="l">{text}</span>
                                        </div>
                                    }
                                })
                                .collect_view()
                                .into_any()
                        }
                    }}
                </div>
            </div>
            <div>
                <h3>
                    <span class="c-agent mark-icon">
                        <Icon name="sparkles" small=true />
                    </span>
                    "Agent"
                </h3>
                <Lines lines=diff_lines::read_lines(&hunk) />
            </div>
        </div>
    }
}
