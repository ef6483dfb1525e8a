//! The entries of a conversation: mine in a card, the agent's on the ground.

use std::sync::Arc;

use leptos::prelude::*;
use wire::{
    TurnId,
    changes::{HunkDecision, HunkState},
    chat::{TurnReason, TurnState},
};

use super::{
    chat_attached::{Along, Attached},
    chat_session::Chat,
    chat_state::{Item, ItemBody, ItemKey, Step, Summary, TurnEnd},
    context_summary::SummaryActions,
    ide::use_ide,
    markdown::Markdown,
    tool_card::ToolCards,
    turn_usage::Measured,
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Icon, IconButton, format};

/// One item of the transcript. Its place keeps its element while its content grows.
#[component]
pub fn ChatItem(item: Memo<Option<Item>>) -> impl IntoView {
    // What an item is never changes for its key; only what it holds does.
    item.with_untracked(|first| match first.as_ref().map(|item| &item.body) {
        Some(ItemBody::Mine { text, attachments }) => {
            let turn = first.as_ref().and_then(|item| match item.key {
                ItemKey::Prompt(turn) => Some(turn),
                _ => None,
            });
            view! { {turn.map(before_turn)} <Mine text=text.clone() attachments=attachments.clone() /> }.into_any()
        }
        Some(ItemBody::Decision { hunks }) => view! { <Decision hunks=hunks.clone() /> }.into_any(),
        Some(ItemBody::Note { text }) => view! { <Note text=text.clone() /> }.into_any(),
        Some(ItemBody::Compacted(told)) => view! { <Compacted told=told.clone() /> }.into_any(),
        Some(ItemBody::Step { .. }) => view! { <Said item=item /> }.into_any(),
        Some(ItemBody::End(_)) => view! { <End item=item /> }.into_any(),
        Some(ItemBody::Live(_) | ItemBody::Rewound(_)) | None => ().into_any(),
    })
}

/// The checkpoint that the turn began with, and the way back to it.
fn before_turn(turn: TurnId) -> impl IntoView {
    let chat = Chat::expect();
    view! {
        <div class="turn-mark">
            <Icon name="bookmark" small=true />
            <span>"Checkpoint before this turn"</span>
            <span class="grow"></span>
            <IconButton icon="undo-2" label="Rewind to here" small=true on_click=move |_| chat.rewinding.set(Some(turn)) />
        </div>
    }
}

#[component]
fn Mine(text: Arc<str>, attachments: Arc<[Along]>) -> impl IntoView {
    view! {
        <div class="me">
            <span class="sr">"You: "</span>
            <span class="me-text">{text.to_string()}</span>
            <Attached all=attachments />
        </div>
    }
}

#[component]
fn Said(item: Memo<Option<Item>>) -> impl IntoView {
    let step = Memo::new(move |before: Option<&Arc<Step>>| {
        item.with(|item| match item.as_ref().map(|item| &item.body) {
            Some(ItemBody::Step { step, .. }) => step.clone(),
            _ => before.cloned().unwrap_or_default(),
        })
    });
    let streaming =
        Memo::new(move |_| item.with(|item| matches!(item.as_ref().map(|item| &item.body), Some(ItemBody::Step { streaming: true, .. }))));
    let text = Memo::new(move |_| step.with(|step| step.text.clone()));
    let reasoning = Memo::new(move |_| step.with(|step| step.reasoning.clone()));
    let tools = Memo::new(move |_| step.with(|step| step.tools.clone()));
    let chat = Chat::expect();
    let key = item.with_untracked(|item| item.as_ref().map(|item| item.key));
    let is_last = Memo::new(move |_| {
        chat.items
            .with(|items| items.last().is_some_and(|last| last.key.turn().is_some() && last.key.turn() == key.and_then(ItemKey::turn)))
    });
    view! {
        <div class="said">
            <span class="sr">"The agent: "</span>
            <Show when=move || reasoning.with(|text| !text.is_empty())>
                <details class="thought">
                    <summary>"Thoughts"</summary>
                    <div class="thought-text">{move || reasoning.get()}</div>
                </details>
            </Show>
            <Show when=move || text.with(|text| !text.is_empty())>
                <Markdown text=text streaming=streaming />
            </Show>
            <Show when=move || tools.with(|tools| !tools.is_empty())>
                <ToolCards tools=tools is_last=is_last />
            </Show>
        </div>
    }
}

/// What the person decided, as the agent is told.
#[component]
fn Decision(hunks: Arc<[HunkDecision]>) -> impl IntoView {
    let count = |state: HunkState| hunks.iter().filter(|hunk| hunk.state == state).count() as i64;
    let mut parts = Vec::new();
    for (state, word) in [(HunkState::Accepted, "accepted"), (HunkState::Edited, "edited"), (HunkState::Rejected, "rejected")] {
        if count(state) > 0 {
            parts.push(format!("{} {word}", format::count(count(state))));
        }
    }
    let reasons: Vec<String> = {
        let mut seen: Vec<String> = hunks.iter().filter_map(|hunk| hunk.reason.clone()).collect();
        seen.dedup();
        seen
    };
    let mut files: Vec<&str> = hunks.iter().map(|hunk| hunk.path.as_str()).collect();
    files.dedup();
    let title = files.join(", ");
    view! {
        <div class="turn-mark" title=title>
            <Icon name="git-merge" small=true />
            <span>{format!("You decided {}: {}", format::counted(hunks.len() as i64, "hunk", "hunks"), parts.join(", "))}</span>
        </div>
        {reasons.into_iter().map(|reason| view! { <p class="fs12 t2 quoted">{format!("“{reason}”")}</p> }).collect_view()}
    }
}

/// Where the model is sent a summary in place of what came before.
#[component]
fn Compacted(told: Arc<Summary>) -> impl IntoView {
    let saved = format!("{} tokens became {}", format::count(told.tokens_before), format::count(told.tokens_after));
    view! {
        <details class="thought compacted">
            <summary>{format!("Everything above is sent to the model as a summary: {saved}")}</summary>
            <Markdown text=Signal::stored(told.text.clone()) />
            <SummaryActions seq=told.seq />
        </details>
    }
}

#[component]
fn Note(text: Arc<str>) -> impl IntoView {
    view! {
        <div class="turn-mark">
            <Icon name="circle-dot" small=true />
            <span>{text.to_string()}</span>
        </div>
    }
}

/// The line below a turn: how it stands, or how it ended and what to do next.
#[component]
fn End(item: Memo<Option<Item>>) -> impl IntoView {
    let chat = Chat::expect();
    let end = Memo::new(move |_| {
        item.with(|item| match item.as_ref().map(|item| &item.body) {
            Some(ItemBody::End(end)) => Some(end.clone()),
            _ => None,
        })
    });
    // Only what is shown once a turn has ended: the line of one at work counts by itself.
    let state = Memo::new(move |_| {
        let ended = |end: &Arc<TurnEnd>| (end.state == TurnState::Finished).then_some((end.reason, end.finished, end.usage, end.cost));
        end.with(|end| end.as_ref().map(|end| (end.state, ended(end))))
    });
    let is_demo = Memo::new(move |_| end.with(|end| end.as_ref().is_some_and(|end| chat.is_demo(&end.model))));
    let switched = Memo::new(move |_| end.with(|end| end.as_ref().and_then(|end| end.switched.clone())));
    view! {
        {move || {
            switched
                .get()
                .map(|switch| {
                    view! {
                        <p class="turn-mark" title="Another model went on">
                            <Icon name="rotate-cw" small=true />
                            <span>{switch.words()}</span>
                        </p>
                    }
                })
        }}
        <Show when=move || is_demo.get()>
            <p class="turn-mark">
                <Badge icon="scroll-text">"Demonstration: scripted, not an AI"</Badge>
            </p>
        </Show>
        {move || match state.get() {
            None => ().into_any(),
            Some((TurnState::Finished, _)) => {
                let end = end.get_untracked();
                end.map(|end| {
                    let reason = end.reason.unwrap_or(TurnReason::Lost);
                    view! { <Finished end=end reason=reason /> }
                })
                .into_any()
            }
            Some((state, _)) => view! { <Standing state=state end=end /> }.into_any(),
        }}
    }
}

/// A turn under way.
#[component]
fn Standing(state: TurnState, end: Memo<Option<Arc<TurnEnd>>>) -> impl IntoView {
    let (icon, spin, word) = match state {
        TurnState::Queued => ("clock", "", "Queued"),
        TurnState::Waiting => ("hand", "", "Waits for you"),
        _ => ("loader-circle", "spin", "Working"),
    };
    let steps = move || end.with(|end| end.as_ref().map_or(0, |end| end.steps));
    view! {
        <p class="turn-mark">
            <Icon name=icon small=true class=spin />
            <span>{move || if steps() > 0 { format!("{word}, step {}", steps()) } else { word.to_owned() }}</span>
        </p>
    }
}

#[component]
fn Finished(end: Arc<TurnEnd>, reason: TurnReason) -> impl IntoView {
    let title = match reason {
        TurnReason::Done => None,
        TurnReason::Stopped => Some(("square", "Stopped")),
        TurnReason::Failed => Some(("circle-x", "The turn failed")),
        TurnReason::Budget => Some(("circle-pause", "Stopped: the budget is used up")),
        TurnReason::Limit => Some(("circle-pause", "Stopped: a limit was reached")),
        TurnReason::Lost => Some(("unplug", "The turn was lost")),
    };
    let mut facts = Vec::new();
    if let Some(finished) = end.finished {
        facts.push(format::duration_ms(finished.millis_since(end.started)));
    }
    if end.usage.input + end.usage.output > 0 {
        facts.push(format!("{} tokens", format::count(end.usage.input + end.usage.output)));
    }
    if end.cost.micros > 0 {
        let about = if end.cost.estimated { "about " } else { "" };
        facts.push(format!("{about}{}", format::money(end.cost.micros)));
    }
    let facts = facts.join(", ");
    let used = end.usage.input + end.usage.output > 0 || end.cost.micros > 0;
    let turn_id = end.turn_id;
    let has_changes = end.has_changes;
    match title {
        None => view! {
            <div class="turn-mark">
                <Icon name="check" small=true />
                <span>{if facts.is_empty() { "Finished".to_owned() } else { format!("Finished, {facts}") }}</span>
                <span class="grow"></span>
                {used.then(|| view! { <UsageButton turn=turn_id /> })}
                {has_changes.then(|| view! { <ReviewButton turn=turn_id /> })}
            </div>
        }
        .into_any(),
        Some((icon, title)) => {
            let detail = end.detail.strip_prefix("Stopped; ").unwrap_or(&end.detail).to_owned();
            view! {
                <div class="stopcard" role="status">
                    <h3>
                        <Icon name=icon />
                        {title}
                    </h3>
                    {(!detail.is_empty()).then(|| view! { <p>{detail}</p> })}
                    {(!facts.is_empty())
                        .then(|| {
                            view! {
                                <p class="fs12 t2 stop-facts">
                                    <span>{facts}</span>
                                    {used.then(|| view! { <UsageButton turn=turn_id /> })}
                                </p>
                            }
                        })}
                    {has_changes.then(|| view! { <div class="acts"><ReviewButton turn=turn_id /></div> })}
                </div>
            }
            .into_any()
        }
    }
}

#[component]
fn UsageButton(turn: TurnId) -> impl IntoView {
    let chat = Chat::expect();
    let show = move |_| chat.measured.set(Some(Measured { turn, answer: None }));
    view! { <IconButton icon="chart-column" label="Tokens and cost of this turn" small=true on_click=show /> }
}

/// "Review 3 changes" while hunks are open, then what became of them.
#[component]
fn ReviewButton(turn: TurnId) -> impl IntoView {
    let ide = use_ide();
    Effect::new(move |_| {
        if ide.proposals.with_untracked(|all| !all.contains_key(&turn.into())) {
            ide.load_changes(turn);
        }
    });
    let counts = Memo::new(move |_| {
        ide.proposals.with(|all| {
            all.get(&turn.into()).map(|set| (set.open_hunks() as i64, set.files.iter().map(|f| f.hunks.len()).sum::<usize>() as i64))
        })
    });
    move || match counts.get() {
        Some((0, all)) => view! {
            <Badge kind=BadgeKind::Ok icon="check">{format!("{} decided", format::counted(all, "change", "changes"))}</Badge>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| ide.open_review(turn)>"Show"</Button>
        }
        .into_any(),
        Some((open, _)) => view! {
            <Button size=ButtonSize::Small icon="git-compare" on_click=move |_| ide.open_review(turn)>
                {format!("Review {}", format::counted(open, "change", "changes"))}
            </Button>
        }
        .into_any(),
        None => view! {
            <Button size=ButtonSize::Small icon="git-compare" on_click=move |_| ide.open_review(turn)>"Review changes"</Button>
        }
        .into_any(),
    }
}
