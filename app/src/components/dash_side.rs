//! Beside the list of projects: what waits for the person, what runs, and what this month has cost.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    budgets::BudgetUse,
    dashboard::{Dashboard, MonthUse, Work, WorkId, WorkKind},
    projects::ProjectRole,
};

use super::{budget_words, dash_words as words};
use crate::{
    api::{self, ApiError},
    ui::{BadgeKind, Button, ButtonSize, Count, ErrorSummary, Icon, Meter, RelativeTime, format},
};

/// Lines of one list; how many more there are is said below them.
const LINES: usize = 6;

/// A list of `kinds` as it is now.
fn of_kinds(board: RwSignal<Dashboard>, kinds: &'static [WorkKind]) -> Memo<Vec<Work>> {
    Memo::new(move |_| board.with(|board| board.work.iter().filter(|work| kinds.contains(&work.kind)).cloned().collect()))
}

/// A line is drawn anew when anything it shows has changed.
fn line_key(work: &Work) -> (WorkId, WorkKind, i64, i64, String) {
    (work.id, work.kind, work.done, work.total, work.title.clone())
}

/// What asks for an answer or a review.
#[component]
pub fn Waiting(board: RwSignal<Dashboard>) -> impl IntoView {
    let list = of_kinds(board, &[WorkKind::Approval, WorkKind::Review]);
    let count = Signal::derive(move || i64::try_from(list.with(Vec::len)).unwrap_or(i64::MAX));
    let proposes = move || list.with(|list| list.iter().any(is_agents));
    view! {
        <Show when=move || count.get() != 0>
            <section class="side-sec" aria-labelledby="dash-waiting">
                <h2 id="dash-waiting">
                    "Waiting for you "
                    {move || {
                        let kind = if proposes() { BadgeKind::Agent } else { BadgeKind::Neutral };
                        view! { <Count value=count kind=kind /> }
                    }}
                </h2>
                <ul class="items">
                    <For each=move || list.get().into_iter().take(LINES) key=line_key let:work>
                        <WaitingLine work=work />
                    </For>
                </ul>
                <More count=count />
            </section>
        </Show>
    }
    .into_any()
}

fn is_agents(work: &Work) -> bool {
    work.kind == WorkKind::Review && work.detail.as_deref() == Some("agent")
}

#[component]
fn WaitingLine(work: Work) -> impl IntoView {
    let (icon, class) = match work.kind {
        WorkKind::Approval => ("hand", "c-run mark-icon"),
        _ if is_agents(&work) => ("git-compare", "c-agent mark-icon"),
        _ => ("git-compare", "t3 mark-icon"),
    };
    let open = (work.kind == WorkKind::Review).then(|| format!("{} of {} open", format::count(work.done), format::count(work.total)));
    let (title, note, at) = (words::title_of(&work), words::note_of(&work), work.at);
    view! {
        <li>
            <span class=class>
                <Icon name=icon />
            </span>
            <ProjectLink work=work text=title />
            {match open {
                Some(open) => view! { <span class="fs12 t3 num nowrap">{open}</span> }.into_any(),
                None => view! { <RelativeTime at=at class="t3 fs12 nowrap" /> }.into_any(),
            }}
            <span class="sub">{note}</span>
        </li>
    }
    .into_any()
}

/// Leads to the project, with the conversation on top that it is about.
#[component]
fn ProjectLink(work: Work, text: String) -> impl IntoView {
    let href = format!("/projects/{}", work.project_id);
    let is_command = matches!(work.kind, WorkKind::Run);
    let title = text.clone();
    let choose = move |_| {
        if let Some(conversation) = work.conversation_id {
            super::dash_recent::remember(work.project_id, conversation);
        }
    };
    view! {
        <a class="clip" class:mono=is_command class:fs12=is_command href=href title=title on:click=choose>
            {text}
        </a>
    }
    .into_any()
}

#[component]
fn More(count: Signal<i64>) -> impl IntoView {
    let more = move || count.get() - LINES as i64;
    view! {
        <Show when=move || { more() > 0 }>
            <p class="fs12 t3">{move || format!("and {} more", format::count(more()))}</p>
        </Show>
    }
    .into_any()
}

/// Commands, turns of the agent, terminals and imports. `changed` is told when one was stopped.
#[component]
pub fn Running(board: RwSignal<Dashboard>, changed: Callback<()>) -> impl IntoView {
    let list = of_kinds(board, &[WorkKind::Turn, WorkKind::Run, WorkKind::Terminal, WorkKind::Import]);
    let count = Signal::derive(move || i64::try_from(list.with(Vec::len)).unwrap_or(i64::MAX));
    let failure = RwSignal::new(None::<String>);
    view! {
        <Show when=move || count.get() != 0>
            <section class="side-sec" aria-labelledby="dash-running">
                <h2 id="dash-running">"Running now " <Count value=count /></h2>
                <ErrorSummary message=failure />
                <ul class="items">
                    <For each=move || list.get().into_iter().take(LINES) key=line_key let:work>
                        <RunningLine work=work failure=failure changed=changed />
                    </For>
                </ul>
                <More count=count />
            </section>
        </Show>
    }
    .into_any()
}

#[component]
fn RunningLine(work: Work, failure: RwSignal<Option<String>>, changed: Callback<()>) -> impl IntoView {
    let busy = RwSignal::new(false);
    let title = words::title_of(&work);
    let label = format!("Stop {title} in {}", work.project_name);
    let may_stop = work.role >= ProjectRole::Editor && work.kind != WorkKind::Terminal;
    let (progress, note, at) = (words::progress_of(&work), words::note_of(&work), work.at);
    let is_import = work.kind == WorkKind::Import;
    let (id, kind) = (work.id, work.kind);
    let stop = move || {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        failure.set(None);
        spawn_local(async move {
            let stopped = stop_work(kind, id).await;
            let _ = busy.try_set(false);
            if let Err(error) = stopped {
                let _ = failure.try_set(Some(error.to_string()));
            }
            changed.try_run(());
        });
    };
    view! {
        <li>
            <span class="c-run mark-icon">
                <Icon name="loader-circle" class="spin" />
            </span>
            {if is_import {
                // Nobody sees its project before it is complete.
                view! { <span class="clip">{title}</span> }.into_any()
            } else {
                view! { <ProjectLink work=work text=title /> }.into_any()
            }}
            <span class="row g-2">
                {match progress {
                    Some(progress) => view! { <span class="t3 fs12 num">{progress}</span> }.into_any(),
                    None => view! { <RelativeTime at=at class="t3 fs12 nowrap" /> }.into_any(),
                }}
                {may_stop
                    .then(|| {
                        view! {
                            <Button size=ButtonSize::Small busy=busy title=label on_click=move |_| stop()>
                                "Stop"
                            </Button>
                        }
                    })}
            </span>
            <span class="sub">{note}</span>
        </li>
    }
    .into_any()
}

async fn stop_work(kind: WorkKind, id: WorkId) -> Result<(), ApiError> {
    match kind {
        WorkKind::Run | WorkKind::Terminal => api::runs::cancel(id.into()).await.map(drop),
        WorkKind::Turn | WorkKind::Approval => api::chat::stop_turn(id.into()).await.map(drop),
        WorkKind::Import => api::jobs::cancel(id.into()).await.map(drop),
        WorkKind::Review => Ok(()),
    }
}

/// What the person's calls of models have cost since the month began, and the budget that ends first.
#[component]
pub fn Month(board: RwSignal<Dashboard>) -> impl IntoView {
    let month = Memo::new(move |_| board.with(|board| board.month.clone()));
    view! {
        <section class="side-sec" aria-labelledby="dash-month">
            <h2 id="dash-month">{move || month.with(|month| words::month_name(&month.month))}</h2>
            {move || month.with(spent_card)}
        </section>
    }
    .into_any()
}

fn spent_card(month: &MonthUse) -> AnyView {
    let budget = budget_words::tightest(&month.budgets);
    let own = || {
        let tokens = format!("for {}", format::counted(month.used.spent_tokens, "token", "tokens"));
        (format::money(month.used.spent_micros), tokens)
    };
    let (big, of) = budget.and_then(words::spent).unwrap_or_else(own);
    let used = budget.filter(|budget| words::spent(budget).is_some()).map_or(month.used, |budget| budget.used);
    let meter = budget.map(|budget| {
        let (percent, reserved) = (budget.percent as f64, budget_words::reserved_percent(budget));
        let is_near = budget.percent >= budget_words::NEAR;
        view! {
            <Meter
                label="Budget used"
                percent=Signal::derive(move || percent)
                reserved=Signal::derive(move || reserved)
                warn=Signal::derive(move || is_near)
            />
        }
    });
    let note = match budget {
        None => "No budget limits what your models cost.".to_owned(),
        Some(budget) => match (budget_words::warning(budget), month.lasts_until) {
            (Some(warning), _) => warning,
            (None, Some(until)) => words::lasts(until, &month.month),
            (None, None) if words::spent(budget).is_none() => format!("The installation's budget is {}.", budget_words::used(budget)),
            (None, None) => format!("{}.", budget_words::left(budget)),
        },
    };
    view! {
        <div class="card month">
            <div class="row">
                <span class="usage-big">{big}</span>
                <span class="t2">{of}</span>
                <span class="grow"></span>
                <a class="fs12" href="/settings/usage">
                    "Details"
                    <span class="sr">" of your usage"</span>
                </a>
            </div>
            {meter}
            {legend(used)}
            <p class="fs12 t2">{note}</p>
        </div>
    }
    .into_any()
}

fn legend(used: BudgetUse) -> AnyView {
    let billed = format!("Billed {}", format::money(used.spent_micros - used.estimated_micros));
    let other = |what: &'static str, micros: i64| {
        (micros > 0).then(|| {
            let text = format!("{what} {}", format::money(micros));
            view! {
                <span>
                    <i class="est"></i>
                    {text}
                </span>
            }
        })
    };
    view! {
        <div class="legend">
            <span>
                <i></i>
                {billed}
            </span>
            {(used.estimated_micros > 0).then(|| view! { <span>{format!("Estimated {}", format::money(used.estimated_micros))}</span> })}
            {other("Reserved", used.reserved_micros)}
        </div>
    }
    .into_any()
}
