//! The lines of a hunk: drawn, chosen one by one, and against the project where they no longer fit.

use std::collections::BTreeSet;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    HunkId,
    changes::{ChangedFile, Hunk},
};

use super::{
    diff_lines::{self, DiffLine, Side},
    review_desk::Desk,
    review_state::Mark,
};
use crate::{
    api,
    ui::{Button, ButtonKind, ButtonSize, Icon, format},
};

/// Lines drawn before "Show more".
const LINES_AT_FIRST: usize = 120;

/// Line by line: what is not taken stays as it was.
#[component]
pub fn Choosing(id: HunkId, hunk: Hunk) -> impl IntoView {
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
pub fn Lines(lines: Vec<DiffLine>, #[prop(optional)] chosen: Option<RwSignal<BTreeSet<usize>>>) -> impl IntoView {
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
pub fn InConflict(file: ChangedFile, hunk: Hunk) -> impl IntoView {
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
