//! One hunk: its lines, its state, and the ways to decide it.

use leptos::{ev, html, prelude::*};
use wire::{
    HunkId,
    changes::{ChangeAction, ChangedFile, Hunk, HunkState},
};

use super::{
    diff_lines,
    hunk_lines::{Choosing, InConflict, Lines},
    review_desk::{Desk, element_id},
    review_state::{self, Mark, Standing},
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize};

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
    let undecided = move || standing.get().is_open() && desk.editing.get() != Some(id) && desk.choosing.get() != Some(id);
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
                <Show when=undecided>
                    <span class="desk">
                        <Actions id=id hunk=hunk standing=standing focused=focused />
                    </span>
                </Show>
            </div>
            <Show when=move || standing.get().is_open() || shown.get()>
                <Body id=id found=found standing=standing />
            </Show>
            <Show when=undecided>
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
        let icon = |name: &'static str| if focused.get() { name } else { "" };
        let accept = if focused.get() { ButtonKind::Accept } else { ButtonKind::Default };
        view! {
            <span class="row hunk-acts">
                <Button size=ButtonSize::Small kind=kind(ButtonKind::Danger) icon=icon("x") disabled=blocked title=Signal::derive(why) on:click=move |_| desk.mark(id, Mark::Reject)>
                    "Reject"
                    {hint("R")}
                </Button>
                {has_lines()
                    .then(|| {
                        view! {
                            <Button
                                size=ButtonSize::Small
                                kind=kind(ButtonKind::Default)
                                icon=icon("pencil")
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
                <Button size=ButtonSize::Small kind=accept icon=icon("check") disabled=blocked title=Signal::derive(why) on:click=move |_| desk.mark(id, Mark::Accept)>
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
            return Some(
                view! { <p class="hunk-note t2">"Written instead of what the agent proposed:"</p> <pre class="out">{text}</pre> }
                    .into_any(),
            );
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
