use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use wire::{
    UserId,
    admin::{CheckState, Health},
    jobs::{Job, JobState},
    quotas::StorageSettings,
    settings::RunSettings,
    users::User,
};

use crate::{
    api::{self, ApiError},
    components::{
        budget_card::BudgetCard,
        guard::{Guarded, PageFailed},
        health_card::HealthCard,
        jobs_table::{JobsTable, number_of},
        limits_card::LimitsCard,
        mcp_servers::McpServersCard,
        models_card::ModelsCard,
        quota_settings::StorageCard,
        topbar::{Place, Topbar},
        usage_card::{UsageCard, Whose},
        users_table::UsersTable,
    },
    ui::{BadgeKind, Count, Icon, PageTitle},
};

const REFRESH: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Overview,
    Users,
    Jobs,
    Runs,
    Storage,
    Models,
    Budgets,
    Usage,
    Health,
}

impl Section {
    const ALL: [Self; 9] =
        [Self::Overview, Self::Users, Self::Jobs, Self::Runs, Self::Storage, Self::Models, Self::Budgets, Self::Usage, Self::Health];

    fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("overview") => Some(Self::Overview),
            Some("users") => Some(Self::Users),
            Some("jobs") => Some(Self::Jobs),
            Some("runs") => Some(Self::Runs),
            Some("storage") => Some(Self::Storage),
            Some("models") => Some(Self::Models),
            Some("budgets") => Some(Self::Budgets),
            Some("usage") => Some(Self::Usage),
            Some("health") => Some(Self::Health),
            Some(_) => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Users => "Users",
            Self::Jobs => "Jobs",
            Self::Runs => "Runs",
            Self::Storage => "Storage",
            Self::Models => "Models",
            Self::Budgets => "Budgets",
            Self::Usage => "Usage",
            Self::Health => "Health",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Overview => "layout-dashboard",
            Self::Users => "users",
            Self::Jobs => "list-checks",
            Self::Runs => "square-terminal",
            Self::Storage => "files",
            Self::Models => "cpu",
            Self::Budgets => "wallet",
            Self::Usage => "chart-column",
            Self::Health => "activity",
        }
    }

    fn href(self) -> &'static str {
        match self {
            Self::Overview => "/admin",
            Self::Users => "/admin/users",
            Self::Jobs => "/admin/jobs",
            Self::Runs => "/admin/runs",
            Self::Storage => "/admin/storage",
            Self::Models => "/admin/models",
            Self::Budgets => "/admin/budgets",
            Self::Usage => "/admin/usage",
            Self::Health => "/admin/health",
        }
    }
}

type Everything = (Vec<User>, Vec<Job>, Health, RunSettings, StorageSettings);

async fn load() -> Result<Everything, ApiError> {
    Ok((
        api::admin::users().await?,
        api::admin::jobs().await?,
        api::admin::health().await?,
        api::settings::runs().await?,
        api::quotas::settings().await?,
    ))
}

/// Administration: accounts, jobs, limits and health.
#[component]
pub fn AdminPage() -> impl IntoView {
    let params = use_params_map();
    let section = Memo::new(move |_| params.with(|params| Section::parse(params.get("section").as_deref())));
    let known = Memo::new(move |_| section.with(Option::is_some));
    let shown = Signal::derive(move || section.get().unwrap_or(Section::Overview));
    let render = move |user: User, data: Result<Everything, ApiError>| match data {
        Ok(data) => view! { <Admin user=user data=data section=shown /> }.into_any(),
        Err(error) => view! { <Topbar user=user place=Place::Admin /><PageFailed error=error /> }.into_any(),
    };
    move || {
        if known.get() {
            view! {
                <PageTitle text=Signal::derive(move || shown.get().label().to_owned()) />
                <div class="page">
                    <Guarded load=load render=render />
                </div>
            }
            .into_any()
        } else {
            view! { <crate::pages::not_found::NotFound /> }.into_any()
        }
    }
}

#[component]
fn Admin(user: User, data: Everything, section: Signal<Section>) -> impl IntoView {
    let me = user.id;
    let (users, jobs, health, settings, storage) = data;
    let users = RwSignal::new(users);
    let jobs = RwSignal::new(jobs);
    let health = RwSignal::new(health);
    let settings = RwSignal::new(settings);
    let storage = RwSignal::new(storage);
    keep_fresh(jobs, health);
    view! {
        <Topbar user=user place=Place::Admin />
        <div class="admin">
            <nav aria-label="Administration">
                <ul class="nav">
                    {Section::ALL
                        .into_iter()
                        .map(|item| view! { <li><NavItem item=item section=section jobs=jobs health=health /></li> })
                        .collect_view()}
                </ul>
            </nav>
            <main id="main" tabindex="-1">
                <div class="page-head">
                    <h1>{move || section.get().label()}</h1>
                </div>
                {move || match section.get() {
                    Section::Overview => view! { <Overview users=users jobs=jobs health=health me=me /> }.into_any(),
                    Section::Users => view! { <UsersTable users=users me=me /> }.into_any(),
                    Section::Jobs => view! { <JobsTable jobs=jobs /> }.into_any(),
                    Section::Runs => view! { <LimitsCard settings=settings /> }.into_any(),
                    Section::Storage => view! { <StorageCard settings=storage /> }.into_any(),
                    Section::Models => view! { <ModelsCard /> <McpServersCard /> }.into_any(),
                    Section::Budgets => view! { <BudgetCard users=users /> }.into_any(),
                    Section::Usage => view! { <UsageCard whose=Whose::Everybody /> }.into_any(),
                    Section::Health => view! { <HealthCard health=health /> }.into_any(),
                }}
            </main>
        </div>
    }
    .into_any()
}

#[component]
fn NavItem(item: Section, section: Signal<Section>, jobs: RwSignal<Vec<Job>>, health: RwSignal<Health>) -> impl IntoView {
    let count = Signal::derive(move || match item {
        Section::Jobs => jobs.with(|jobs| number_of(jobs, |state| !state.is_finished())),
        Section::Health => health.with(|h| i64::try_from(h.checks.iter().filter(|c| c.state == CheckState::Failed).count()).unwrap_or(0)),
        Section::Overview | Section::Users | Section::Runs | Section::Storage | Section::Models | Section::Budgets | Section::Usage => 0,
    });
    let kind = if item == Section::Health { BadgeKind::Bad } else { BadgeKind::Neutral };
    view! {
        <a href=item.href() aria-current=move || (section.get() == item).then_some("page")>
            <Icon name=item.icon() />
            {item.label()}
            {move || (count.get() > 0).then(|| view! { <Count value=count kind=kind /> })}
        </a>
    }
    .into_any()
}

#[component]
fn Overview(users: RwSignal<Vec<User>>, jobs: RwSignal<Vec<Job>>, health: RwSignal<Health>, me: UserId) -> impl IntoView {
    let count = move |wanted: fn(JobState) -> bool| move || crate::ui::format::count(jobs.with(|jobs| number_of(jobs, wanted)));
    view! {
        <div class="g2">
            <HealthCard health=health />
            <section class="card">
                <div class="card-head">
                    <h2>"Queue"</h2>
                    <span class="grow"></span>
                    <a class="fs12" href="/admin/jobs">"All jobs"</a>
                </div>
                <dl class="kv inset">
                    <dt>"Waiting"</dt>
                    <dd>{count(|state| state == JobState::Queued)}</dd>
                    <dt>"Running"</dt>
                    <dd>{count(|state| state == JobState::Running)}</dd>
                    <dt>"Failed"</dt>
                    <dd>{count(|state| state == JobState::Failed)}</dd>
                    <dt>"Given up, wait for you"</dt>
                    <dd>{count(|state| state == JobState::Dead)}</dd>
                </dl>
            </section>
        </div>
        <UsersTable users=users me=me />
    }
    .into_any()
}

/// Jobs and health are read again while the page is visible; a failure leaves what is shown.
fn keep_fresh(jobs: RwSignal<Vec<Job>>, health: RwSignal<Health>) {
    Effect::new(move |_| {
        let timer = set_interval_with_handle(
            move || {
                if document().hidden() {
                    return;
                }
                leptos::task::spawn_local(async move {
                    if let Ok(list) = api::admin::jobs().await
                        && jobs.try_with_untracked(|shown| *shown != list) == Some(true)
                    {
                        jobs.set(list);
                    }
                    if let Ok(checks) = api::admin::health().await
                        && health.try_with_untracked(|shown| *shown != checks) == Some(true)
                    {
                        health.set(checks);
                    }
                });
            },
            REFRESH,
        );
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
}
