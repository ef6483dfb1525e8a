//! Budgets in the administration: of everybody, of each person, of some persons and projects.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem, UserId,
    budgets::{Budget, BudgetScope, SetBudget, UsageGroup, UsageQuery},
};

use super::{
    auth_frame::summary_of,
    budget_form::{AmountFields, Amounts, Standing, put_standing, say, version_of},
    budget_words as words,
    person_picker::PersonPicker,
};
use crate::{
    api,
    ui::{
        Badge, BadgeKind, Button, ButtonKind, ButtonSize, Count, Dialog, Empty, ErrorSummary, Icon, Meter, Pager, PanelError, SearchField,
        Skeleton, open_about, use_toasts,
    },
};

const PAGE: usize = 25;

/// What the dialog is about: a new budget or one that is there.
#[derive(Debug, Clone, PartialEq)]
enum Target {
    New,
    Change(Budget),
}

#[derive(Clone, Copy)]
struct Desk {
    budgets: RwSignal<Option<Result<Vec<Budget>, String>>>,
    target: RwSignal<Option<Target>>,
}

/// The list, and what sets one.
#[component]
pub fn BudgetCard() -> impl IntoView {
    let search = RwSignal::new(String::new());
    let page = RwSignal::new(0_usize);
    let desk = Desk { budgets: RwSignal::new(None), target: RwSignal::new(None) };
    let load = move || {
        spawn_local(async move {
            let found = api::budgets::all().await.map_err(|error| error.to_string());
            desk.budgets.try_set(Some(found));
        });
    };
    Effect::new(move |_| load());
    let count = Signal::derive(move || desk.budgets.with(|b| b.as_ref().and_then(|b| b.as_ref().ok()).map_or(0, |b| b.len() as i64)));
    let found = Memo::new(move |_| {
        let wanted = search.with(|text| text.trim().to_lowercase());
        let fits = |budget: &&Budget| words::whose(budget).to_lowercase().contains(&wanted);
        desk.budgets.with(|b| b.as_ref().and_then(|b| b.as_ref().ok()).map_or_else(Vec::new, |b| b.iter().filter(fits).cloned().collect()))
    });
    let body = move || {
        match desk.budgets.get() {
        None => view! { <Skeleton lines=4 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="Budgets can't be shown" text=reason>
                <Button on_click=move |_| load()>"Try again"</Button>
            </PanelError>
        }
        .into_any(),
        Some(Ok(list)) if list.is_empty() => view! {
            <Empty
                title="No budgets"
                text="Models may cost as much as people ask of them. Set what the installation, each person or a project may use: the worst case of each answer is reserved before it is asked for, so that no budget is overspent."
            />
        }
        .into_any(),
        Some(Ok(_)) => {
            let list: Vec<Budget> = found.with(|list| list.iter().skip(page.get() * PAGE).take(PAGE).cloned().collect());
            if list.is_empty() {
                view! { <Empty title="No budget matches" text="Names of people and projects are searched." /> }.into_any()
            } else {
                view! { <Table list=list desk=desk /> }.into_any()
            }
        }
    }
    };
    view! {
        <section class="card" aria-labelledby="budgets-title">
            <div class="card-head">
                <h2 id="budgets-title">"Budgets"</h2>
                <Count value=count />
                <span class="grow"></span>
                <span class="head-search">
                    <SearchField label="Search budgets" bind=search />
                </span>
                <a class="btn btn--s" href="/api/admin/budgets.csv" download="budgets.csv" rel="external">
                    <Icon name="download" small=true />
                    "CSV"
                </a>
                <Button kind=ButtonKind::Primary icon="plus" on_click=move |_| desk.target.set(Some(Target::New))>
                    "Set a budget"
                </Button>
            </div>
            {body}
            <Pager page=page page_size=PAGE total=Signal::derive(move || found.with(Vec::len)) />
        </section>
        <SetDialog desk=desk />
    }
    .into_any()
}

fn kind_of(scope: BudgetScope) -> &'static str {
    match scope {
        BudgetScope::Instance => "All",
        BudgetScope::UserDefault | BudgetScope::User => "Person",
        BudgetScope::Project | BudgetScope::ProjectOwn => "Project",
        BudgetScope::Conversation => "Conversation",
        BudgetScope::Turn => "Turn",
    }
}

#[component]
fn Table(list: Vec<Budget>, desk: Desk) -> impl IntoView {
    let row = move |budget: Budget| {
        let percent = budget.percent as f64;
        let reserved = words::reserved_percent(&budget);
        let label = format!("Change the budget of {}", words::whose(&budget));
        let near = budget.percent >= words::NEAR;
        let kind = if budget.percent < 100 { BadgeKind::Warning } else { BadgeKind::Bad };
        // Nobody uses the default as such.
        let has_use = budget.scope != BudgetScope::UserDefault;
        let used = if has_use { words::used(&budget) } else { "Each has their own count".to_owned() };
        let kept = StoredValue::new(budget.clone());
        view! {
            <tr>
                <th scope="row">
                    <span class="medium">{words::whose(&budget)}</span>
                    <span class="t3 fs12 desk">{format!(" {}", kind_of(budget.scope))}</span>
                    <span class="budget-brief">{format!("{} {}", words::limits(&budget), words::period(budget.period))}</span>
                </th>
                <td class="nowrap desk">
                    {words::limits(&budget)} <span class="t3 fs12 usage-note">{words::period(budget.period)}</span>
                </td>
                <td class="budget-used">
                    <span class="t2 fs12 num">{used}</span>
                    {has_use
                        .then(|| {
                            view! {
                                <Meter
                                    label="Budget used"
                                    percent=Signal::derive(move || percent)
                                    reserved=Signal::derive(move || reserved)
                                    warn=Signal::derive(move || near)
                                />
                            }
                        })}
                </td>
                <td class="desk">
                    {(has_use && near)
                        .then(|| {
                            view! {
                                <Badge kind=kind icon="triangle-alert">
                                    {format!("{percent:.0} %")}
                                </Badge>
                            }
                        })}
                </td>
                <td class="r">
                    <Button
                        size=ButtonSize::Small
                        title=label.clone()
                        attr:aria-label=label
                        on_click=move |_| desk.target.set(Some(Target::Change(kept.get_value())))
                    >
                        "Change"
                    </Button>
                </td>
            </tr>
        }
    };
    view! {
        <div class="over" tabindex="0" role="group" aria-label="Budgets">
            <table class="tbl tbl--bare">
                <thead>
                    <tr>
                        <th>"Whose"</th>
                        <th class="desk">"At most"</th>
                        <th>"Used"</th>
                        <th class="desk">
                            <span class="sr">"State"</span>
                        </th>
                        <th>
                            <span class="sr">"Actions"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{list.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The projects that models were asked in, by id and name.
async fn load_projects() -> Vec<(String, String)> {
    let from = crate::ui::format::now().plus_seconds(-86_400 * 365).to_rfc3339();
    let report = api::usage::of_all(UsageQuery { from: Some(from), group_by: UsageGroup::Project, ..UsageQuery::default() }).await;
    let rows = report.map(|report| report.rows).unwrap_or_default();
    let mut projects: Vec<(String, String)> = rows.into_iter().filter(|row| !row.key.is_empty()).map(|row| (row.key, row.label)).collect();
    if let Ok(own) = api::projects::list().await {
        let missing: Vec<_> =
            own.into_iter().map(|p| (p.id.to_string(), p.name)).filter(|(id, _)| !projects.iter().any(|known| known.0 == *id)).collect();
        projects.extend(missing);
    }
    projects
}

#[component]
fn SetDialog(desk: Desk) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(desk.target);
    let busy = RwSignal::new(false);
    let scope = RwSignal::new(BudgetScope::Instance);
    let subject = RwSignal::new(String::new());
    let person = RwSignal::new(None::<(UserId, String)>);
    let projects = RwSignal::new(Vec::<(String, String)>::new());
    let amounts = Amounts::default();
    Effect::new(move |_| {
        let Some(target) = desk.target.get() else { return };
        match target {
            Target::New => {
                scope.set(BudgetScope::Instance);
                subject.set(String::new());
                person.set(None);
                amounts.fill(None, None, wire::budgets::Period::Month);
                spawn_local(async move {
                    let found = load_projects().await;
                    projects.try_set(found);
                });
            }
            Target::Change(budget) => {
                scope.set(budget.scope);
                subject.set(budget.subject.map(|id| id.to_string()).unwrap_or_default());
                amounts.fill(budget.usd_micros, budget.tokens, budget.period);
            }
        }
    });
    let is_new = Memo::new(move |_| desk.target.with(|target| *target == Some(Target::New)));
    let send = move |usd_micros: Option<i64>, tokens: Option<i64>| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let (scope, period) = (scope.get_untracked(), amounts.period.get_untracked());
        let subject = subject.with_untracked(|id| id.parse().ok());
        let is_it = move |budget: &Budget| budget.scope == scope && budget.subject == subject && budget.period == period;
        let version = desk.budgets.with_untracked(|list| Some(version_of(list.as_ref()?.as_ref().ok()?, is_it)));
        let request = SetBudget { scope, subject, period, usd_micros, tokens, version };
        spawn_local(async move {
            let saved = api::budgets::set(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(list) => {
                    desk.budgets.set(Some(Ok(list)));
                    open.set(false);
                    toasts.show(format!("The budget was set to {}", say(usd_micros, tokens)));
                }
                Err(error) => {
                    if let Some(now) = amounts.refuse(error.0) {
                        desk.budgets.update(|list| {
                            if let Some(Ok(list)) = list {
                                put_standing(list, is_it, now);
                            }
                        });
                    }
                }
            }
        });
    };
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        match amounts.read() {
            Some((None, None)) => {
                let text = "Write an amount of money or of tokens.";
                amounts.problem.set(Some(Problem::invalid(vec![wire::FieldError::new("usd_micros", text)])));
            }
            Some((usd_micros, tokens)) => send(usd_micros, tokens),
            None => {}
        }
    };
    let on_top = Signal::derive(move || {
        amounts.problem.with(|problem| {
            let problem = problem.as_ref()?;
            let is_shown = problem.fields.iter().all(|field| matches!(field.field.as_str(), "usd_micros" | "tokens"));
            Some(if is_shown { summary_of(problem, "Nothing was changed.") } else { problem.to_string() })
        })
    });
    let title = Signal::derive(move || match desk.target.get() {
        Some(Target::Change(budget)) => format!("Budget: {}", words::whose(&budget)),
        _ => "Set a budget".to_owned(),
    });
    view! {
        <Dialog open=open title=title locked=busy>
            <form novalidate=true on:submit=save class="stack">
                <ErrorSummary message=on_top />
                <Standing amounts=amounts />
                <Show when=move || is_new.get()>
                    <WhoseFields scope=scope subject=subject person=person projects=projects />
                </Show>
                <AmountFields amounts=amounts with_period=is_new.get_untracked() />
                <div class="acts">
                    <Button kind=ButtonKind::Primary submit=true busy=busy>
                        "Save the budget"
                    </Button>
                    <Button disabled=busy on_click=move |_| open.set(false)>"Cancel"</Button>
                    <span class="grow"></span>
                    <Show when=move || !is_new.get()>
                        <Button kind=ButtonKind::Danger disabled=busy on_click=move |_| send(None, None)>
                            "Remove it"
                        </Button>
                    </Show>
                </div>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn WhoseFields(
    scope: RwSignal<BudgetScope>,
    subject: RwSignal<String>,
    person: RwSignal<Option<(UserId, String)>>,
    projects: RwSignal<Vec<(String, String)>>,
) -> impl IntoView {
    let choices = [
        ("instance", "The installation, everybody together", BudgetScope::Instance),
        ("user_default", "Each person", BudgetScope::UserDefault),
        ("user", "One person", BudgetScope::User),
        ("project", "One project", BudgetScope::Project),
    ];
    Effect::new(move |_| {
        if let Some((id, _)) = person.get() {
            subject.set(id.to_string());
        }
    });
    view! {
        <div class="field">
            <label for="f-scope">"Whose"</label>
            <select
                id="f-scope"
                class="select"
                autofocus=true
                on:change:target=move |event| {
                    let chosen = event.target().value();
                    subject.set(String::new());
                    person.set(None);
                    if let Some((_, _, found)) = choices.iter().find(|(word, _, _)| *word == chosen) {
                        scope.set(*found);
                    }
                }
            >
                {choices
                    .map(|(word, name, value)| {
                        view! {
                            <option value=word selected=move || scope.get() == value>
                                {name}
                            </option>
                        }
                    })
                    .into_iter()
                    .collect_view()}
            </select>
        </div>
        <Show when=move || scope.get() == BudgetScope::User>
            <PersonPicker label="Person" chosen=person />
        </Show>
        <Show when=move || scope.get() == BudgetScope::Project>
            <div class="field">
                <label for="f-subject">"Project"</label>
                <select
                    id="f-subject"
                    class="select"
                    on:change:target=move |event| subject.set(event.target().value())
                >
                    <option value="" selected=move || subject.with(String::is_empty)>
                        "Choose one"
                    </option>
                    {move || {
                        projects.get().into_iter().map(|(id, name)| view! { <option value=id>{name}</option> }).collect_view()
                    }}
                </select>
            </div>
        </Show>
    }
    .into_any()
}
