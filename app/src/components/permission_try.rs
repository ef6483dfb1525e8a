//! What the rules would have decided over the last turns.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    chat::Mode,
    permissions::{CallOutcome, Decision, TRY_TURNS, TriedCall, TriedPermissions, TryPermissions},
};

use super::permission_settings::{PermissionDesk, explain};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, Empty, Icon, Pager, RelativeTime, format},
};

const PAGE: usize = 25;

fn mode_of(word: &str) -> Option<Mode> {
    match word {
        "plan" => Some(Mode::Plan),
        "ask" => Some(Mode::Ask),
        "auto" => Some(Mode::Auto),
        _ => None,
    }
}

fn outcome_word(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Ran => "Ran without a question",
        CallOutcome::Approved => "Asked, allowed",
        CallOutcome::Declined => "Asked, declined",
        CallOutcome::Unanswered => "Asked, not answered",
        CallOutcome::NotRun => "Not run",
    }
}

/// One sentence of all counts.
fn summary(tried: &TriedPermissions) -> String {
    let calls = tried.allowed + tried.asked + tried.denied;
    format!(
        "Of {} in {}: {} without asking, {} asked, {} denied.",
        format::counted(calls, "call", "calls"),
        format::counted(tried.turns, "turn", "turns"),
        format::count(tried.allowed),
        format::count(tried.asked),
        format::count(tried.denied),
    )
}

/// A dry run of the rules, with the one that is being written.
#[component]
pub fn PermissionTry(desk: PermissionDesk) -> impl IntoView {
    let mode = RwSignal::new(None::<Mode>);
    let turns = RwSignal::new(TRY_TURNS);
    let tried = RwSignal::new(None::<TriedPermissions>);
    // The rules have changed since.
    let is_old = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    let page = RwSignal::new(0_usize);
    Effect::new(move |before: Option<u32>| {
        let changes = desk.changes.get();
        if before.is_some_and(|before| before != changes) {
            is_old.set(true);
        }
        changes
    });
    let run = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        problem.set(None);
        let add = desk.draft.get_untracked().into_iter().collect();
        let request = TryPermissions { mode: mode.get_untracked(), add, turns: Some(turns.get_untracked()) };
        spawn_local(async move {
            let answer = api::permissions::try_out(desk.project, request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            page.set(0);
            is_old.set(false);
            match answer {
                Ok(answer) => tried.set(Some(answer)),
                Err(error) => problem.set(Some(explain(&error))),
            }
        });
    };
    let with_draft = move || {
        desk.draft.get().map(|draft| {
            view! { <p class="fs12 t2">"With the rule that is not added yet: " <code>{draft.label()}</code></p> }
        })
    };
    let rows = move || {
        tried.with(|tried| {
            tried
                .as_ref()
                .map(|tried| tried.calls.iter().skip(page.get() * PAGE).take(PAGE).cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        })
    };
    let total = Signal::derive(move || tried.with(|tried| tried.as_ref().map_or(0, |tried| tried.calls.len())));
    view! {
        <section class="card" aria-labelledby="permissions-try-title">
            <div class="card-head">
                <h2 id="permissions-try-title">"Try the rules"</h2>
            </div>
            <div class="stack net-body">
                <p class="t2">"Shows what the agent did in its last turns and what these rules would have said to it. Nothing is run."</p>
                <div class="row wrap-row perm-try">
                    <select class="select" aria-label="Mode" on:change:target=move |ev| mode.set(mode_of(&ev.target().value()))>
                        <option value="">"As each turn was"</option>
                        <option value="plan">"As if in Plan"</option>
                        <option value="ask">"As if in Ask first"</option>
                        <option value="auto">"As if in Auto"</option>
                    </select>
                    <select class="select" aria-label="Turns" on:change:target=move |ev| turns.set(ev.target().value().parse().unwrap_or(TRY_TURNS))>
                        <option value="20">"Last 20 turns"</option>
                        <option value="50">"Last 50 turns"</option>
                        <option value="200">"Last 200 turns"</option>
                    </select>
                    <Button icon="play" busy=busy on_click=run>
                        "Try"
                    </Button>
                </div>
                {with_draft}
                {move || problem.get().map(|text| view! { <p class="err" role="alert"><Icon name="circle-alert" small=true /><span>{text}</span></p> })}
                <p role="status" class="strong" hidden=move || tried.with(Option::is_none)>
                    {move || tried.with(|tried| tried.as_ref().map(summary))}
                    <Show when=move || is_old.get()>" The rules have changed since; try again."</Show>
                </p>
            </div>
            {move || match total.get() {
                0 if tried.with(Option::is_some) => {
                    view! {
                        <div class="inset">
                            <Empty title="The agent has not called a tool yet" text="After its first turns you can see here what rules would change." />
                        </div>
                    }
                        .into_any()
                }
                0 => ().into_any(),
                _ => {
                    view! {
                        <div class="over" tabindex="0" role="group" aria-label="Calls">
                            <table class="tbl tbl--bare tbl--stack">
                                <thead>
                                    <tr>
                                        <th>"Would be"</th>
                                        <th>"Call"</th>
                                        <th>"What happened"</th>
                                        <th>"When"</th>
                                    </tr>
                                </thead>
                                <tbody>{move || rows().into_iter().map(|call| row(desk, call)).collect_view()}</tbody>
                            </table>
                        </div>
                    }
                        .into_any()
                }
            }}
            <Pager page=page page_size=PAGE total=total />
        </section>
    }
    .into_any()
}

fn row(desk: PermissionDesk, call: TriedCall) -> impl IntoView {
    let (badge, why) = match call.would {
        Decision::Allow { rule } => {
            let why = rule.map(|id| desk.label_of(id).map_or("The rule that is being tried".to_owned(), |label| format!("Rule {label}")));
            (view! { <Badge kind=BadgeKind::Ok icon="check">"Allowed"</Badge> }.into_any(), why)
        }
        Decision::Ask { why } => (view! { <Badge kind=BadgeKind::Warning icon="hand">"Asked"</Badge> }.into_any(), Some(why)),
        Decision::Deny { why, .. } => (view! { <Badge kind=BadgeKind::Bad icon="shield-x">"Denied"</Badge> }.into_any(), Some(why)),
    };
    view! {
        <tr>
            <td>
                {badge}
                {why.map(|why| view! { <div class="t2 fs12">{why}</div> })}
            </td>
            <td class="perm-call">
                <b class="medium">{call.tool}</b>
                " "
                <code class="fs12">{call.subject}</code>
            </td>
            <td class="t2">{outcome_word(call.happened)}</td>
            <td>
                <RelativeTime at=call.at class="t2 nowrap" />
            </td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_one_sentence() {
        let tried = TriedPermissions { turns: 1, allowed: 2, asked: 1, denied: 0, calls: Vec::new() };
        assert_eq!(summary(&tried), "Of 3 calls in 1 turn: 2 without asking, 1 asked, 0 denied.");
    }
}
