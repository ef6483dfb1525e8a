use std::time::Duration;

use leptos::{html, prelude::*};
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};
use serde::{Deserialize, Serialize};
use wire::{
    ErrorCode, Page,
    admin::{AdminProject, AdminUser, HealthReport, Listed, Overview, Pulse, UserDetail},
    audit::AuditEntry,
    jobs::Job,
    quotas::StorageSettings,
    settings::{AccountSettings, RateSettings, RunSettings},
    users::User,
};

use crate::{
    api::{self, ApiError},
    components::{
        admin_audit::{self, AuditPanel},
        admin_list::{Place as Address, Remote},
        admin_overview::OverviewPanel,
        admin_projects::{self, ProjectsTable},
        admin_settings::{AccountsCard, ChangedLast, RatesCard},
        admin_user::UserPanel,
        budget_card::BudgetCard,
        guard::{Guarded, PageFailed},
        health_card::{HealthCard, ServerFacts},
        jobs_table::{self, JobsTable},
        limits_card::LimitsCard,
        mcp_servers::McpServersCard,
        models_card::ModelsCard,
        quota_settings::StorageCard,
        topbar::{Place, Topbar},
        usage_card::{UsageCard, Whose},
        users_table::{self, UsersTable},
    },
    ui::{BadgeKind, Button, Count, Icon, PageTitle, PanelError, Skeleton, focus},
};

const REFRESH: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Overview,
    Users,
    Projects,
    Jobs,
    Models,
    Budgets,
    Usage,
    Audit,
    Health,
    Accounts,
    Runs,
    Storage,
    Rates,
}

impl Section {
    const WORK: [Self; 9] =
        [Self::Overview, Self::Users, Self::Projects, Self::Jobs, Self::Models, Self::Budgets, Self::Usage, Self::Audit, Self::Health];
    const SETTINGS: [Self; 4] = [Self::Accounts, Self::Runs, Self::Storage, Self::Rates];

    fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None => Some(Self::Overview),
            // The settings as a whole have no page; the first of them opens.
            Some("settings") => Some(Self::Accounts),
            Some(word) => Self::WORK.into_iter().chain(Self::SETTINGS).find(|section| section.word() == word),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Users => "users",
            Self::Projects => "projects",
            Self::Jobs => "jobs",
            Self::Models => "models",
            Self::Budgets => "budgets",
            Self::Usage => "usage",
            Self::Audit => "audit",
            Self::Health => "health",
            Self::Accounts => "accounts",
            Self::Runs => "runs",
            Self::Storage => "storage",
            Self::Rates => "rates",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Users => "Users",
            Self::Projects => "Projects",
            Self::Jobs => "Jobs",
            Self::Models => "Models",
            Self::Budgets => "Budgets",
            Self::Usage => "Usage",
            Self::Audit => "Audit",
            Self::Health => "Health",
            Self::Accounts => "Accounts",
            Self::Runs => "Runs",
            Self::Storage => "Storage",
            Self::Rates => "Rate limits",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Overview => "layout-dashboard",
            Self::Users => "users",
            Self::Projects => "folder",
            Self::Jobs => "list-checks",
            Self::Models => "cpu",
            Self::Budgets => "wallet",
            Self::Usage => "chart-column",
            Self::Audit => "scroll-text",
            Self::Health => "activity",
            Self::Accounts => "key-round",
            Self::Runs => "square-terminal",
            Self::Storage => "files",
            Self::Rates => "shield-check",
        }
    }

    fn href(self) -> String {
        if self == Self::Overview { "/admin".to_owned() } else { format!("/admin/{}", self.word()) }
    }
}

/// What the page brings along for its first section; the others ask when they are opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum First {
    Overview(Overview),
    Users(Listed<AdminUser>),
    User(UserDetail),
    Projects(Listed<AdminProject>),
    Jobs(Listed<Job>),
    Audit(Page<AuditEntry>),
    Accounts(AccountSettings),
    Runs(RunSettings),
    Storage(StorageSettings),
    Rates(RateSettings),
    Health(HealthReport),
    /// The section asks by itself, or the address asks for what is refused and the section says so.
    Nothing,
}

async fn load(section: Section, query: ParamsMap) -> Result<First, ApiError> {
    let found = load_section(section, query).await;
    match found {
        Err(error) if matches!(error.code(), ErrorCode::Invalid | ErrorCode::NotFound) => Ok(First::Nothing),
        other => other,
    }
}

async fn load_section(section: Section, query: ParamsMap) -> Result<First, ApiError> {
    let get = |name: &str| query.get(name).filter(|value| !value.is_empty());
    Ok(match section {
        Section::Overview => First::Overview(api::admin::overview().await?),
        Section::Users => match get("user").and_then(|id| id.parse().ok()) {
            Some(id) => First::User(api::admin::user(id).await?),
            None => First::Users(api::admin::users(users_table::query_of(get)).await?),
        },
        Section::Projects => First::Projects(api::admin::projects(admin_projects::query_of(get)).await?),
        Section::Jobs => First::Jobs(api::admin::jobs(jobs_table::query_of(get)).await?),
        Section::Audit => First::Audit(api::audit::list(admin_audit::query_of(get)).await?),
        Section::Accounts => First::Accounts(api::settings::accounts().await?),
        Section::Runs => First::Runs(api::settings::runs().await?),
        Section::Storage => First::Storage(api::quotas::settings().await?),
        Section::Rates => First::Rates(api::admin::rates().await?),
        Section::Health => First::Health(api::admin::health().await?),
        // Asked all the same, so that the page is refused to whoever may not see it.
        Section::Models | Section::Budgets | Section::Usage => {
            api::admin::settings_changes().await?;
            First::Nothing
        }
    })
}

/// Administration: people, projects, the queue, what models cost, what happened, settings and health.
#[component]
pub fn AdminPage() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let section = Memo::new(move |_| params.with(|params| Section::parse(params.get("section").as_deref())));
    let known = Memo::new(move |_| section.with(Option::is_some));
    let shown = Signal::derive(move || section.get().unwrap_or(Section::Overview));
    let render = move |user: User, first: Result<First, ApiError>| match first {
        Ok(first) => view! { <Admin user=user first=first section=shown /> }.into_any(),
        Err(error) => view! { <Topbar user=user place=Place::Admin /><PageFailed error=error /> }.into_any(),
    };
    move || {
        if known.get() {
            // What the page begins with is asked for on another thread, where signals can't be read.
            let asked = (shown.get_untracked(), query.get_untracked());
            view! {
                <PageTitle text=Signal::derive(move || shown.get().label().to_owned()) />
                <div class="page">
                    <Guarded load=move || load(asked.0, asked.1.clone()) render=render />
                </div>
            }
            .into_any()
        } else {
            view! { <crate::pages::not_found::NotFound /> }.into_any()
        }
    }
}

#[component]
fn Admin(user: User, first: First, section: Signal<Section>) -> impl IntoView {
    let me = user.id;
    let first = StoredValue::new(first);
    let asked = use_query_map();
    let began = (section.get_untracked(), asked.get_untracked());
    // Once something else was opened or asked for, what the page came with is old.
    Effect::new(move |_| {
        if section.get() != began.0 || asked.with(|asked| *asked != began.1) {
            first.set_value(First::Nothing);
        }
    });
    let pulse = Remote::follow(None::<Pulse>, Memo::new(|_| ()), |()| api::admin::pulse());
    pulse.every(REFRESH);
    let users = Address::here(users_table::PATH);
    let one = Memo::new(move |_| (section.get() == Section::Users).then(|| users.get("user").and_then(|id| id.parse().ok())).flatten());
    let nav = NodeRef::<html::Nav>::new();
    focus::keep_current_in_view(nav, move || section.track());
    let item = move |item: Section| view! { <li><NavItem item=item section=section pulse=pulse /></li> };
    view! {
        <Topbar user=user place=Place::Admin />
        <div class="admin">
            <nav aria-label="Administration" node_ref=nav>
                <ul class="nav">{Section::WORK.into_iter().map(item).collect_view()}</ul>
                <p class="nav-title" id="settings-nav">"Settings"</p>
                <ul class="nav" aria-labelledby="settings-nav">{Section::SETTINGS.into_iter().map(item).collect_view()}</ul>
            </nav>
            <main id="main" tabindex="-1">
                <div class="page-head">
                    <h1>{move || section.get().label()}</h1>
                </div>
                {move || {
                    let first = first.get_value();
                    match section.get() {
                        Section::Overview => {
                            let first = if let First::Overview(found) = first { Some(found) } else { None };
                            view! { <OverviewPanel first=first /> }.into_any()
                        }
                        Section::Users => match one.get() {
                            Some(id) => {
                                let first = if let First::User(found) = first { Some(found).filter(|f| f.user.user.id == id) } else { None };
                                view! { <UserPanel id=id first=first me=me /> }.into_any()
                            }
                            None => {
                                let first = if let First::Users(found) = first { Some(found) } else { None };
                                view! { <UsersTable first=first me=me /> }.into_any()
                            }
                        },
                        Section::Projects => {
                            let first = if let First::Projects(found) = first { Some(found) } else { None };
                            view! { <ProjectsTable first=first /> }.into_any()
                        }
                        Section::Jobs => {
                            let first = if let First::Jobs(found) = first { Some(found) } else { None };
                            view! { <JobsTable first=first /> }.into_any()
                        }
                        Section::Models => view! { <ModelsCard /> <McpServersCard /> }.into_any(),
                        Section::Budgets => view! { <BudgetCard /> }.into_any(),
                        Section::Usage => view! { <UsageCard whose=Whose::Everybody /> }.into_any(),
                        Section::Audit => {
                            let first = if let First::Audit(found) = first { Some(found) } else { None };
                            view! { <AuditPanel first=first /> }.into_any()
                        }
                        Section::Health => {
                            let first = if let First::Health(found) = first { Some(found) } else { None };
                            view! { <HealthPanel first=first /> }.into_any()
                        }
                        Section::Accounts => {
                            let first = if let First::Accounts(found) = first { Some(found) } else { None };
                            settings_panel(first, api::settings::accounts, move |found| view! { <AccountsCard settings=found me=me /> }.into_any())
                        }
                        Section::Runs => {
                            let first = if let First::Runs(found) = first { Some(found) } else { None };
                            settings_panel(
                                first,
                                api::settings::runs,
                                |found| {
                                    let settings = RwSignal::new(found);
                                    let saved = count_changes(settings);
                                    view! { <LimitsCard settings=settings /><ChangedLast name="runs" again=saved /> }.into_any()
                                },
                            )
                        }
                        Section::Storage => {
                            let first = if let First::Storage(found) = first { Some(found) } else { None };
                            settings_panel(
                                first,
                                api::quotas::settings,
                                |found| {
                                    let settings = RwSignal::new(found);
                                    let saved = count_changes(settings);
                                    view! { <StorageCard settings=settings /><ChangedLast name="storage" again=saved /> }.into_any()
                                },
                            )
                        }
                        Section::Rates => {
                            let first = if let First::Rates(found) = first { Some(found) } else { None };
                            settings_panel(first, api::admin::rates, |found| view! { <RatesCard settings=found /> }.into_any())
                        }
                    }
                }}
            </main>
        </div>
    }
    .into_any()
}

/// Settings as they are, once they are there; what is typed into the form stays when they are read again.
fn settings_panel<T, F>(first: Option<T>, read: impl Fn() -> F + 'static, form: impl Fn(T) -> AnyView + Send + Sync + 'static) -> AnyView
where
    T: Clone + PartialEq + Send + Sync + 'static,
    F: Future<Output = Result<T, ApiError>> + 'static,
{
    let settings = Remote::follow(first, Memo::new(|_| ()), move |()| read());
    let body = move || match settings.shown.get() {
        None => view! { <Skeleton lines=8 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="These settings can't be shown" text=reason>
                <Button on_click=move |_| settings.retry()>"Try again"</Button>
            </PanelError>
        }
        .into_any(),
        Some(Ok(found)) => form(found),
    };
    view! { {body} }.into_any()
}

/// Counts up with each change of what was saved.
fn count_changes<T: Send + Sync + 'static>(settings: RwSignal<T>) -> RwSignal<u32> {
    let changes = RwSignal::new(0_u32);
    Effect::new(move |before: Option<()>| {
        settings.track();
        if before.is_some() {
            changes.update(|n| *n += 1);
        }
    });
    changes
}

#[component]
fn HealthPanel(first: Option<HealthReport>) -> impl IntoView {
    let report = Remote::follow(first, Memo::new(|_| ()), |()| api::admin::health());
    report.every(REFRESH);
    view! {
        <HealthCard report=report />
        <ServerFacts report=report />
    }
    .into_any()
}

#[component]
fn NavItem(item: Section, section: Signal<Section>, pulse: Remote<Pulse>) -> impl IntoView {
    let count = Signal::derive(move || {
        let pulse = pulse.get().unwrap_or_default();
        match item {
            Section::Jobs => pulse.live_jobs,
            Section::Health => pulse.failed_checks,
            _ => 0,
        }
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
