//! One hunk: its lines, its state, and the ways to decide it.

use leptos::{ev, html, prelude::*};
use wire::{
    HunkId,
    changes::{ChangeAction, ChangedFile, Hunk, HunkState},
};

use super::{
    diff_lines,
    hunk_lines::{Choosing, InConflict, Lines},
    hunk_remarks::{Remarks, focus_when_there},
    review_desk::{Desk, Field, element_id},
    review_state::{Mark, Standing},
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, format};

/// Violet is the agent's alone: what a person proposes by replacing is plain.
fn badge(standing: Standing, is_of_agent: bool) -> (BadgeKind, &'static str) {
    match standing {
        Standing::Open if is_of_agent => (BadgeKind::Agent, "circle-dashed"),
        Standing::Open => (BadgeKind::Neutral, "circle-dashed"),
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

fn octal(mode: Option<i32>) -> String {
    mode.map(|mode| format!("{:03o}", mode & 0o777)).unwrap_or_default()
}

fn mode_change(file: &ChangedFile) -> String {
    if file.old_mode == file.new_mode {
        String::new()
    } else {
        format!(", permissions {} become {}", octal(file.old_mode), octal(file.new_mode))
    }
}

/// What a change without lines is.
pub fn describe_bare(file: &ChangedFile) -> String {
    match file.action {
        ChangeAction::Add if file.directory => "New empty directory".to_owned(),
        ChangeAction::Delete if file.directory => "The directory is deleted".to_owned(),
        ChangeAction::Modify if file.link && file.binary => "The file becomes a symbolic link".to_owned(),
        ChangeAction::Add if file.binary => "New binary file".to_owned(),
        ChangeAction::Add => "New empty file".to_owned(),
        ChangeAction::Delete => "The file is deleted".to_owned(),
        ChangeAction::Rename => format!("Moved from {}{}", file.old_path.as_deref().unwrap_or_default(), mode_change(file)),
        ChangeAction::Mode => format!("Permissions {} become {}", octal(file.old_mode), octal(file.new_mode)),
        // The text of such a file changes by other hunks.
        ChangeAction::Modify if file.old_mode != file.new_mode && !file.binary => {
            format!("Permissions {} become {}", octal(file.old_mode), octal(file.new_mode))
        }
        ChangeAction::Modify if file.binary => "Binary content changed".to_owned(),
        ChangeAction::Modify => "The file becomes empty".to_owned(),
    }
}

/// Height of a line and of a head, for the place of a hunk that is not drawn.
const LINE: i32 = 20;
const HEAD: i32 = 36;

/// Pixels that an open hunk takes, about.
pub fn height_of(hunk: &Hunk) -> i32 {
    HEAD + LINE * (hunk.old_lines.max(hunk.new_lines) + 2)
}

/// A hunk of the review. Far from the view it only keeps its place and its name.
#[component]
pub fn HunkView(id: HunkId) -> impl IntoView {
    let desk = Desk::expect();
    let standing = Memo::new(move |_| desk.with_hunk(id, |_, hunk, _, _| desk.standing(hunk)).unwrap_or(Standing::Open));
    let focused = Memo::new(move |_| desk.focus.get() == Some(id));
    let (place, height) = untrack(|| desk.with_hunk(id, |_, hunk, at, _| (at, height_of(hunk)))).unwrap_or_default();
    let drawn = desk.sight(id, place);
    let label = move || {
        desk.with_hunk(id, |file, hunk, at, of| {
            let said = said_about(desk, id);
            let what = if hunk.diff.is_empty() { describe_bare(file) } else { String::new() };
            let parts = [format!("Hunk {at} of {of}"), file.path.clone(), what, standing.get().word().to_lowercase(), said];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
        })
    };
    let class = move || match (focused.get(), standing.get().is_open()) {
        (true, true) => "hunk hunk--focus",
        (true, false) => "hunk hunk--focus hunk--done",
        (false, true) => "hunk",
        (false, false) => "hunk hunk--done",
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
            <Show
                when=move || drawn.get()
                fallback=move || {
                    let height = if standing.get().is_open() { height } else { HEAD };
                    view! { <div style:height=format!("{height}px")></div> }
                }
            >
                <Drawn id=id standing=standing focused=focused />
            </Show>
        </div>
    }
}

/// How many comments there are, in words; empty for none. Tracks the set.
fn said_about(desk: Desk, id: HunkId) -> String {
    let count = desk.set.with(|set| set.iter().flat_map(|set| &set.comments).filter(|comment| comment.hunk_id == id).count());
    if count == 0 { String::new() } else { format::counted(count as i64, "comment", "comments") }
}

#[component]
fn Drawn(id: HunkId, standing: Memo<Standing>, focused: Memo<bool>) -> impl IntoView {
    let desk = Desk::expect();
    let found = Memo::new(move |_| desk.with_hunk(id, |file, hunk, _, _| (file.without_hunks(), hunk.clone())));
    let hunk = Memo::new(move |_| found.with(|found| found.as_ref().map(|(_, hunk)| hunk.clone())));
    let settled = Memo::new(move |_| hunk.with(|hunk| hunk.as_ref().is_some_and(|hunk| !hunk.state.is_open())));
    let field = Memo::new(move |_| desk.field_of(id));
    let shown = RwSignal::new(false);
    let undecided = move || standing.get().is_open() && !matches!(field.get(), Some(Field::Edit | Field::Lines));
    let rejected_by_mark = move || desk.has_conversation() && desk.marks.with(|marks| marks.get(&id).is_some_and(Mark::is_reject));
    view! {
        <div class="hunk-head">
            {move || {
                let (kind, icon) = badge(standing.get(), desk.is_of_agent());
                view! { <Badge kind=kind icon=icon>{standing.get().word()}</Badge> }
            }}
            <code>{move || hunk.with(|hunk| hunk.as_ref().map(range))}</code>
            <span class="clip t2">{move || remark(desk, id, &hunk, standing.get())}</span>
            <span class="grow"></span>
            <Show when=move || !standing.get().is_open()>
                <Show when=rejected_by_mark>
                    <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| desk.open_field(id, Field::Reason)>
                        "Say why"
                        <Show when=move || focused.get()>
                            <kbd>"W"</kbd>
                        </Show>
                    </Button>
                </Show>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| shown.update(|shown| *shown = !*shown)>
                    {move || if shown.get() { "Hide" } else { "Show" }}
                </Button>
                <Show when=move || !settled.get()>
                    <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| desk.unmark(id)>
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
        <Remarks id=id />
        <Show when=undecided>
            <span class="phone-only hunk-phone">
                <Actions id=id hunk=hunk standing=standing focused=focused />
            </span>
        </Show>
    }
}

/// Who decided a settled hunk and why, or why an open one needs a look.
fn remark(desk: Desk, id: HunkId, hunk: &Memo<Option<Hunk>>, standing: Standing) -> String {
    hunk.with(|hunk| {
        let Some(hunk) = hunk else { return String::new() };
        if standing == Standing::Conflict {
            return "The project changed here since this was proposed. Nothing was written.".to_owned();
        }
        if hunk.state.is_open() {
            return desk.marks.with(|marks| match marks.get(&id) {
                None => String::new(),
                Some(Mark::Reject { reason }) if !reason.is_empty() => format!("Not applied yet, “{reason}”"),
                Some(Mark::Lines { lines }) => {
                    format!("Not applied yet, {} of {}", lines.len(), format::counted(hunk.changed_lines().len() as i64, "line", "lines"))
                }
                Some(_) => "Not applied yet".to_owned(),
            });
        }
        let by = hunk.decided_by.as_ref().map(|by| format!("by {}", by.name));
        let reason = hunk.reason.as_ref().map(|reason| format!("“{reason}”"));
        [by, reason].into_iter().flatten().collect::<Vec<_>>().join(", ")
    })
}

#[component]
fn Actions(id: HunkId, hunk: Memo<Option<Hunk>>, standing: Memo<Standing>, focused: Memo<bool>) -> impl IntoView {
    let desk = Desk::expect();
    let is_whole =
        StoredValue::new(untrack(|| desk.with_hunk(id, |file, _, _, _| file.action == ChangeAction::Delete || file.link)).unwrap_or(false));
    let has_lines = move || hunk.with(|hunk| hunk.as_ref().is_some_and(|hunk| !hunk.diff.is_empty())) && !is_whole.get_value();
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
                <Button size=ButtonSize::Small kind=kind(ButtonKind::Danger) icon=icon("x") disabled=blocked title=Signal::derive(why) on_click=move |_| desk.mark(id, Mark::reject())>
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
                                on_click=move |_| desk.open_field(id, Field::Edit)
                            >
                                {if conflict() { "Edit to fit" } else { "Edit" }}
                                {hint("E")}
                            </Button>
                            <span class="second">
                                <Button
                                    size=ButtonSize::Small
                                    kind=kind(ButtonKind::Default)
                                    disabled=blocked
                                    title=Signal::derive(why)
                                    on_click=move |_| desk.open_field(id, Field::Lines)
                                >
                                    "Lines"
                                    {hint("L")}
                                </Button>
                            </span>
                        }
                    })}
                {desk
                    .has_conversation()
                    .then(|| {
                        view! {
                            <span class="second">
                                <Button
                                    size=ButtonSize::Small
                                    kind=kind(ButtonKind::Default)
                                    disabled=blocked
                                    title=Signal::derive(why)
                                    on_click=move |_| desk.open_field(id, Field::Comment)
                                >
                                    "Comment"
                                    {hint("C")}
                                </Button>
                            </span>
                        }
                    })}
                <Button size=ButtonSize::Small kind=accept icon=icon("check") disabled=blocked title=Signal::derive(why) on_click=move |_| desk.mark(id, Mark::Accept)>
                    {if conflict() { "Accept again" } else { "Accept" }}
                    {hint("A")}
                </Button>
            </span>
        }
    }
}

type Found = Option<(ChangedFile, Hunk)>;

#[component]
fn Body(id: HunkId, found: Memo<Found>, standing: Memo<Standing>) -> impl IntoView {
    let desk = Desk::expect();
    let field = Memo::new(move |_| desk.field_of(id).filter(|field| matches!(field, Field::Edit | Field::Lines)));
    let mark = Memo::new(move |_| desk.marks.with(|marks| marks.get(&id).cloned()));
    move || {
        if field.get() == Some(Field::Edit) {
            // News of the set must not take away what is being typed.
            let (file, hunk) = found.get_untracked()?;
            return Some(view! { <Editing id=id file=file hunk=hunk /> }.into_any());
        }
        let (file, hunk) = found.get()?;
        if hunk.diff.is_empty() {
            return Some(view! { <p class="hunk-note t2">{describe_bare(&file)}</p> }.into_any());
        }
        let written = match mark.get() {
            Some(Mark::Edit { text, .. }) => Some(text),
            Some(Mark::Lines { lines }) => {
                return Some(view! { <Lines lines=diff_lines::read_lines(&hunk) taken=lines /> }.into_any());
            }
            _ => hunk.edited_text.clone().filter(|_| hunk.state == HunkState::Edited),
        };
        if let Some(text) = written {
            return Some(
                view! { <p class="hunk-note t2">"Written instead of what was proposed:"</p> <pre class="out">{text}</pre> }.into_any(),
            );
        }
        Some(if field.get() == Some(Field::Lines) {
            view! { <Choosing id=id hunk=hunk /> }.into_any()
        } else if standing.get() == Standing::Conflict {
            view! { <InConflict file=file hunk=hunk /> }.into_any()
        } else {
            view! { <Lines lines=diff_lines::read_lines(&hunk) /> }.into_any()
        })
    }
}

#[component]
fn Editing(id: HunkId, file: ChangedFile, hunk: Hunk) -> impl IntoView {
    let desk = Desk::expect();
    let field = NodeRef::<html::Textarea>::new();
    let start = match desk.marks.with_untracked(|marks| marks.get(&id).cloned()) {
        Some(Mark::Edit { text, .. }) => text,
        // What was wanted and did not fit is gone on from.
        _ => hunk.edited_text.clone().unwrap_or_else(|| hunk.new_text()),
    };
    let rows = (start.lines().count() + 1).clamp(3, 24);
    let conflict = (hunk.state == HunkState::Conflict).then(|| hunk.clone());
    let seen = hunk.now.as_ref().map(|now| now.text.clone());
    let hint = if seen.is_some() {
        "It replaces what is in the project now, as shown here; nothing is written until you apply."
    } else {
        "With the lines around it; nothing is written until you apply."
    };
    let keep = move || {
        if let Some(field) = field.get_untracked() {
            // Browsers give line feeds; a file with CRLF keeps its own through what is replaced, or the agent's text.
            let text = field.value();
            let like = seen.clone().filter(|seen| !seen.is_empty()).unwrap_or_else(|| hunk.new_text());
            let text = if like.contains("\r\n") { text.replace('\n', "\r\n") } else { text };
            desk.mark(id, Mark::Edit { text, seen: seen.clone() });
        }
    };
    let cancel = move || desk.close_field();
    focus_when_there(field);
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
        {conflict.map(|hunk| view! { <InConflict file=file hunk=hunk /> })}
        <div class="hunk-edit">
            <textarea class="input" rows=rows spellcheck="false" aria-label="Text to write instead" node_ref=field on:keydown=on_keydown prop:value=start></textarea>
            <div class="acts">
                <Button size=ButtonSize::Small kind=ButtonKind::Accept on_click=move |_| keep()>
                    "Keep this text"
                    <kbd>"Ctrl ⏎"</kbd>
                </Button>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| cancel()>
                    "Cancel"
                </Button>
                <span class="hint">{hint}</span>
            </div>
        </div>
    }
}
