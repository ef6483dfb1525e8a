//! A project's budgets in its settings: the administrator's, and the owner's own within it.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    ProjectId,
    budgets::{Budget, BudgetLimits, BudgetScope},
};

use super::{
    budget_form::{AmountFields, Amounts, Standing, put_standing, say, version_of},
    budget_words as words,
};
use crate::{
    api,
    ui::{Button, ButtonKind, ErrorSummary, Meter, PanelError, Skeleton, use_toasts},
};

#[component]
pub fn ProjectBudgetCard(project: ProjectId, may_change: bool) -> impl IntoView {
    let budgets = RwSignal::new(None::<Result<Vec<Budget>, String>>);
    let load = move || {
        spawn_local(async move {
            let found = api::budgets::of_project(project).await.map_err(|error| error.to_string());
            budgets.try_set(Some(found));
        });
    };
    Effect::new(move |_| load());
    let list = move || match budgets.get() {
        None => view! { <Skeleton lines=3 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="Budgets can't be shown" text=reason>
                <Button on_click=move |_| load()>"Try again"</Button>
            </PanelError>
        }
        .into_any(),
        Some(Ok(list)) if list.is_empty() => {
            view! { <p class="t2">"This project has no budget of its own. Those of each person and of the installation hold here too."</p> }
                .into_any()
        }
        Some(Ok(list)) => view! { <BudgetList budgets=list /> }.into_any(),
    };
    view! {
        <section class="card" aria-labelledby="project-budget-title">
            <div class="card-head">
                <h2 id="project-budget-title">"Budget of models"</h2>
            </div>
            <div class="inset stack">
                {list}
                {may_change.then(|| view! { <OwnForm project=project budgets=budgets /> })}
            </div>
        </section>
    }
    .into_any()
}

/// The caller's own, in their settings; nothing where none holds.
#[component]
pub fn MyBudgetCard() -> impl IntoView {
    let budgets = RwSignal::new(Vec::<Budget>::new());
    Effect::new(move |_| {
        spawn_local(async move {
            if let Ok(found) = api::budgets::mine(None, None).await {
                budgets.try_set(found.budgets);
            }
        });
    });
    view! {
        <Show when=move || budgets.with(|list| !list.is_empty())>
            <section class="card" aria-labelledby="my-budget-title">
                <div class="card-head">
                    <h2 id="my-budget-title">"Budget of models"</h2>
                </div>
                <div class="inset stack">{move || view! { <BudgetList budgets=budgets.get() /> }}</div>
            </section>
        </Show>
    }
    .into_any()
}

/// Each budget with its meter.
#[component]
pub fn BudgetList(budgets: Vec<Budget>) -> impl IntoView {
    budgets
        .into_iter()
        .map(|budget| {
            let (percent, reserved, near) = (budget.percent as f64, words::reserved_percent(&budget), budget.percent >= words::NEAR);
            let name = match budget.scope {
                BudgetScope::Project => "Given by an administrator".to_owned(),
                BudgetScope::UserDefault | BudgetScope::User => "Your account".to_owned(),
                _ => words::whose(&budget),
            };
            view! {
                <div class="quota">
                    <span class="row">
                        <span class="medium">{format!("{name}, {}", words::period(budget.period))}</span>
                        <span class="grow"></span>
                        <span class="t2 fs12 num">{words::used(&budget)}</span>
                    </span>
                    <Meter
                        label="Budget used"
                        percent=Signal::derive(move || percent)
                        reserved=Signal::derive(move || reserved)
                        warn=Signal::derive(move || near)
                    />
                </div>
            }
        })
        .collect_view()
        .into_any()
}

#[component]
fn OwnForm(project: ProjectId, budgets: RwSignal<Option<Result<Vec<Budget>, String>>>) -> impl IntoView {
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let amounts = Amounts::default();
    // Filled once, from what is there; what is typed is not overwritten.
    Effect::new(move |filled: Option<bool>| {
        let found = budgets.with(|list| list.as_ref().and_then(|list| list.as_ref().ok()).cloned());
        match (found, filled.unwrap_or(false)) {
            (Some(list), false) => {
                if let Some(own) = list.iter().find(|budget| budget.scope == BudgetScope::ProjectOwn) {
                    amounts.fill(own.usd_micros, own.tokens, own.period);
                }
                true
            }
            (_, filled) => filled,
        }
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some((usd_micros, tokens)) = amounts.read().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        let period = amounts.period.get_untracked();
        let is_it = move |budget: &Budget| budget.scope == BudgetScope::ProjectOwn && budget.period == period;
        let version = budgets.with_untracked(|list| Some(version_of(list.as_ref()?.as_ref().ok()?, is_it)));
        let limits = BudgetLimits { period, usd_micros, tokens, version };
        spawn_local(async move {
            let saved = api::budgets::set_of_project(project, limits).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(list) => {
                    amounts.problem.set(None);
                    amounts.stands.set(None);
                    budgets.set(Some(Ok(list)));
                    toasts.show(format!("The project's budget was set to {}", say(usd_micros, tokens)));
                }
                Err(error) => {
                    if let Some(now) = amounts.refuse(error.0) {
                        budgets.update(|list| {
                            if let Some(Ok(list)) = list {
                                put_standing(list, is_it, now);
                            }
                        });
                    }
                }
            }
        });
    };
    let on_top = Signal::derive(move || amounts.problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
    view! {
        <form novalidate=true on:submit=save class="stack" aria-label="The owner's budget">
            <ErrorSummary message=on_top />
            <Standing amounts=amounts />
            <AmountFields amounts=amounts with_period=true />
            <div class="acts">
                <Button kind=ButtonKind::Primary submit=true busy=busy>
                    "Save the budget"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
