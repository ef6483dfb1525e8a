//! `/projects/:id/settings`: what is decided per project.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use wire::{
    ErrorCode, Problem, ProjectId, RunId,
    network::NetworkPolicy,
    projects::{Project, ProjectRole},
    quotas::ProjectQuota,
    users::User,
};

use crate::{
    api::{self, ApiError},
    components::{
        export_panel::ExportCard,
        guard::{Guarded, PageFailed},
        network_settings::{Desk, NetworkCard, NetworkLog},
        quota_meters::ProjectQuotaCard,
        share_desk::ShareDesk,
        share_panel::SharePanel,
        storage_card::StorageCard,
        topbar::{Place, Topbar},
    },
    live::Live,
    pages::not_found::NotFound,
    ui::Icon,
};

type Loaded = (Project, ProjectQuota, NetworkPolicy, BTreeMap<RunId, String>);

#[component]
pub fn ProjectSettingsPage() -> impl IntoView {
    Live::provide();
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    move || {
        let id = id.get();
        view! {
            <Title text="Project settings" />
            <div class="page">
                <Guarded load=move || load(id.clone()) render=render />
            </div>
        }
    }
}

async fn load(id: String) -> Result<Loaded, ApiError> {
    let unknown = |_| ApiError(Problem::new(ErrorCode::NotFound, "This address names no project."));
    let id: ProjectId = id.parse().map_err(unknown)?;
    let project = api::projects::get(id).await?;
    let quota = api::quotas::of_project(id).await?;
    let policy = api::network::policy(id).await?;
    let mut names: BTreeMap<RunId, String> = api::terminals::list(id).await?.into_iter().map(|t| (t.id, t.title)).collect();
    for run in api::runs::list(id).await? {
        let first = run.command.lines().next().unwrap_or_default().to_owned();
        names.entry(run.id).or_insert(first);
    }
    Ok((project, quota, policy, names))
}

fn render(viewer: User, loaded: Result<Loaded, ApiError>) -> AnyView {
    match loaded {
        Ok((project, quota, policy, names)) => {
            view! { <Settings viewer=viewer project=project quota=quota policy=policy names=names /> }.into_any()
        }
        Err(error) if error.code() == ErrorCode::NotFound => NotFound().into_any(),
        Err(error) => view! { <Topbar user=viewer place=Place::Projects /><PageFailed error=error /> }.into_any(),
    }
}

#[component]
fn Settings(viewer: User, project: Project, quota: ProjectQuota, policy: NetworkPolicy, names: BTreeMap<RunId, String>) -> impl IntoView {
    let share = ShareDesk::new(RwSignal::new(project.clone()), viewer.id);
    let may_change = project.role >= ProjectRole::Owner || viewer.is_admin();
    let desk = Desk::new(project.id, policy, may_change);
    view! {
        <Topbar user=viewer place=Place::Projects />
        <main class="wrap" id="main" tabindex="-1">
            <div class="page-head">
                <h1>{format!("Settings of {}", project.name)}</h1>
                <span class="grow"></span>
                <a class="btn" href=format!("/projects/{}", project.id)>
                    <Icon name="file-code" small=true />
                    "Open the project"
                </a>
            </div>
            <div class="net-page">
                <section class="card" aria-labelledby="sharing-title">
                    <div class="card-head">
                        <h2 id="sharing-title">"Sharing"</h2>
                    </div>
                    <div class="inset">
                        <SharePanel desk=share />
                    </div>
                </section>
                <ProjectQuotaCard quota=quota />
                <ExportCard project=project.id />
                <StorageCard project=project />
                <NetworkCard desk=desk />
                <NetworkLog desk=desk names=names />
            </div>
        </main>
    }
    .into_any()
}
