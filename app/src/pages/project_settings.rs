//! `/projects/:id/settings`: what is decided per project.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use serde::{Deserialize, Serialize};
use wire::{
    ErrorCode, Problem, ProjectId, RunId,
    network::NetworkPolicy,
    permissions::Permissions,
    projects::{Project, ProjectRole},
    quotas::ProjectQuota,
    users::User,
};

use crate::{
    api::{self, ApiError},
    components::{
        admin_access::AdminAccessCard,
        budget_settings::ProjectBudgetCard,
        export_panel::ExportCard,
        guard::{Guarded, PageFailed},
        network_settings::{Desk, NetworkCard, NetworkLog},
        permission_settings::{PermissionCard, PermissionDesk},
        permission_try::PermissionTry,
        quota_meters::ProjectQuotaCard,
        share_desk::ShareDesk,
        share_panel::SharePanel,
        storage_card::StorageCard,
        topbar::{Place, Topbar},
        usage_card::{UsageCard, Whose},
    },
    live::Live,
    pages::not_found::NotFound,
    ui::Icon,
};

/// What the page is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Loaded {
    project: Project,
    quota: ProjectQuota,
    policy: NetworkPolicy,
    names: BTreeMap<RunId, String>,
    permissions: Permissions,
}

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
    let mut names: BTreeMap<RunId, String> = BTreeMap::new();
    if !policy.log.is_empty() {
        names.extend(api::terminals::list(id).await?.into_iter().map(|t| (t.id, t.title)));
        for run in api::runs::list(id).await? {
            let first = run.command.lines().next().unwrap_or_default().to_owned();
            names.entry(run.id).or_insert(first);
        }
    }
    let permissions = api::permissions::list(id).await?;
    Ok(Loaded { project, quota, policy, names, permissions })
}

fn render(viewer: User, loaded: Result<Loaded, ApiError>) -> AnyView {
    match loaded {
        Ok(loaded) => view! { <Settings viewer=viewer loaded=loaded /> }.into_any(),
        Err(error) if error.code() == ErrorCode::NotFound => NotFound().into_any(),
        Err(error) => view! { <Topbar user=viewer place=Place::Projects /><PageFailed error=error /> }.into_any(),
    }
}

#[component]
fn Settings(viewer: User, loaded: Loaded) -> impl IntoView {
    let Loaded { project, quota, policy, names, permissions } = loaded;
    let rules = PermissionDesk::new(project.id, permissions);
    let share = ShareDesk::new(RwSignal::new(project.clone()), viewer.id);
    let may_change = project.role >= ProjectRole::Owner || viewer.is_admin();
    let (edits, owns) = (project.role >= ProjectRole::Editor, project.role >= ProjectRole::Owner);
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
                <AdminAccessCard project=project.id />
                <ProjectQuotaCard quota=quota />
                {edits
                    .then(|| {
                        view! {
                            <ProjectBudgetCard project=project.id may_change=owns />
                            <UsageCard whose=Whose::Project(project.id) />
                        }
                    })}
                <ExportCard project=project.id />
                <StorageCard project=project />
                <PermissionCard desk=rules />
                <PermissionTry desk=rules />
                <NetworkCard desk=desk />
                <NetworkLog desk=desk names=names />
            </div>
        </main>
    }
    .into_any()
}
