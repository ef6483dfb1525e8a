//! The lines of a hunk: drawn, chosen one by one, and against the project where they no longer fit.

use std::collections::BTreeSet;

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::{
    HunkId,
    changes::{ChangedFile, Hunk},
};

use super::{
    diff_lines::{self, DiffLine, Side},
    review_desk::Desk,
    review_state::Mark,
};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, focus, format};

/// Lines drawn before "Show more".
const LINES_AT_FIRST: usize = 120;

/// Line by line: what is not taken stays as it was. Arrows go from line to line, the space bar takes or leaves one.
#[component]
pub fn Choosing(id: HunkId, hunk: Hunk) -> impl IntoView {
    let desk = Desk::expect();
    let node = NodeRef::<html::Div>::new();
    let lines = diff_lines::read_lines(&hunk);
    let all = hunk.changed_lines();
    let total = all.len();
    let chosen = RwSignal::new(all);
    let keep = move || {
        let mark = chosen.with_untracked(|chosen| match chosen.len() {
            0 => Mark::reject(),
            taken if taken == total => Mark::Accept,
            _ => Mark::Lines { lines: chosen.clone() },
        });
        desk.mark(id, mark);
    };
    Effect::new(move |_| {
        let Some(node) = node.get() else { return };
        request_animation_frame(move || {
            if let Some(first) = focus::elements(&node, ".pick").into_iter().next() {
                let _ = first.focus();
            }
        });
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        let on_line = event
            .target()
            .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
            .is_some_and(|el| el.matches(".pick").unwrap_or(false));
        let Some(node) = node.get_untracked() else { return };
        if event.key() == "Enter" && on_line {
            event.prevent_default();
            keep();
        } else if on_line && focus::rove(&event, &node, ".pick", focus::Axis::Vertical) {
            event.stop_propagation();
        }
    };
    view! {
        <div node_ref=node on:keydown=on_keydown>
            <Lines lines=lines chosen=chosen />
            <div class="acts hunk-note">
                <Button size=ButtonSize::Small kind=ButtonKind::Accept on_click=move |_| keep()>
                    {move || format!("Take {} of {}", chosen.with(BTreeSet::len), format::counted(total as i64, "line", "lines"))}
                    <kbd>"⏎"</kbd>
                </Button>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| desk.close_field()>
                    "Back"
                </Button>
                <span class="hint">"Leave out lines with a click or the space bar."</span>
            </div>
        </div>
    }
}

/// The lines with their numbers; with `chosen` each changed line can be taken or left, with `taken` the others are shown as left out.
#[component]
pub fn Lines(
    lines: Vec<DiffLine>,
    #[prop(optional)] chosen: Option<RwSignal<BTreeSet<u32>>>,
    #[prop(optional, into)] taken: Option<BTreeSet<u32>>,
) -> impl IntoView {
    let indent = diff_lines::common_indent(&lines);
    let total = lines.len();
    let limit = RwSignal::new(if chosen.is_some() { total } else { LINES_AT_FIRST });
    let lines = StoredValue::new(lines);
    let taken = StoredValue::new(taken);
    let drawn = move || {
        let left = |line: &DiffLine| taken.with_value(|taken| taken.as_ref().is_some_and(|taken| !taken.contains(&line.index)));
        lines.with_value(|lines| lines.iter().take(limit.get()).map(|line| draw(line, indent, chosen, left(line))).collect_view())
    };
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
            <MoreLines limit=limit total=total />
        </div>
    }
}

/// Below lines of which only the first ones are drawn: a button that draws all.
#[component]
fn MoreLines(limit: RwSignal<usize>, total: usize) -> impl IntoView {
    view! {
        <Show when=move || { limit.get() < total }>
            <div class="more">
                <button type="button" class="btn btn--s btn--ghost" on:click=move |_| limit.set(total)>
                    {format!("Show {} more lines", format::count((total - LINES_AT_FIRST.min(total)) as i64))}
                </button>
            </div>
        </Show>
    }
}

fn draw(line: &DiffLine, indent: usize, chosen: Option<RwSignal<BTreeSet<u32>>>, is_left: bool) -> impl IntoView + use<> {
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
        let label = format!("Take this {} line: {}", word.trim(), line.text().trim());
        view! {
            <button type="button" class="pick" role="checkbox" aria-label=label aria-checked=move || if taken() { "true" } else { "false" } on:click=toggle>
                {move || taken().then(|| view! { <Icon name="check" small=true /> })}
            </button>
        }
    });
    let left_out = move || {
        (is_left && !class.is_empty()) || chosen.is_some_and(|chosen| !class.is_empty() && chosen.with(|chosen| !chosen.contains(&index)))
    };
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

/// Both sides of what no longer fits: what the project has in its place now, and the agent's change.
#[component]
pub fn InConflict(file: ChangedFile, hunk: Hunk) -> impl IntoView {
    let desk = Desk::expect();
    let (path, first) = hunk.now.as_ref().map_or((file.path, hunk.old_start.max(1)), |now| (now.path.clone(), now.first_line));
    let now: Option<Vec<String>> = hunk.now.as_ref().map(|now| now.text.lines().map(str::to_owned).collect());
    let total = now.as_ref().map_or(0, Vec::len);
    let limit = RwSignal::new(LINES_AT_FIRST);
    let now = StoredValue::new(now);
    let draw_now = move || {
        let note = |text: &'static str| view! { <p class="hunk-note t2">{text}</p> }.into_any();
        now.with_value(|now| match now {
            None => note("There is no text here any more, or more than is shown here."),
            Some(lines) if lines.is_empty() => note("The file has no lines here any more."),
            Some(lines) => (first..)
                .zip(lines.iter().take(limit.get()))
                .map(|(number, text)| {
                    view! {
                        <div>
                            <span class="w">{number}</span>
                            <span class="g" aria-hidden="true"></span>
                            <span class="l">{text.clone()}</span>
                        </div>
                    }
                })
                .collect_view()
                .into_any(),
        })
    };
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
                        on_click=move |_| desk.ide.open_file(&path, u32::try_from(first).ok())
                    >
                        "Open"
                    </Button>
                </h3>
                <div class="df df--one" tabindex="0" role="group" aria-label="Lines of the project">
                    {draw_now}
                    <MoreLines limit=limit total=total />
                </div>
            </div>
            <div>
                <h3>
                    <Show when=move || desk.is_of_agent() fallback=|| "Proposed">
                        <span class="c-agent mark-icon">
                            <Icon name="sparkles" small=true />
                        </span>
                        "Agent"
                    </Show>
                </h3>
                <Lines lines=diff_lines::read_lines(&hunk) />
            </div>
        </div>
    }
}
