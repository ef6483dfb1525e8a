//! `/projects/:id/settings`: what is decided per project.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use wire::{
    ErrorCode, Problem, ProjectId, RunId,
    network::NetworkPolicy,
    projects::{Project, ProjectRole},
    users::User,
};

use crate::{
    api::{self, ApiError},
    components::{
        guard::{Guarded, PageFailed},
        network_settings::{Desk, NetworkCard, NetworkLog},
        topbar::{Place, Topbar},
    },
    pages::not_found::NotFound,
    ui::Icon,
};

type Loaded = (Project, NetworkPolicy, BTreeMap<RunId, String>);

#[component]
pub fn ProjectSettingsPage() -> impl IntoView {
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
    let policy = api::network::policy(id).await?;
    let mut names: BTreeMap<RunId, String> = api::terminals::list(id).await?.into_iter().map(|t| (t.id, t.title)).collect();
    for run in api::runs::list(id).await? {
        let first = run.command.lines().next().unwrap_or_default().to_owned();
        names.entry(run.id).or_insert(first);
    }
    Ok((project, policy, names))
}

fn render(viewer: User, loaded: Result<Loaded, ApiError>) -> AnyView {
    match loaded {
        Ok((project, policy, names)) => view! { <Settings viewer=viewer project=project policy=policy names=names /> }.into_any(),
        Err(error) if error.code() == ErrorCode::NotFound => NotFound().into_any(),
        Err(error) => view! { <Topbar user=viewer place=Place::Projects /><PageFailed error=error /> }.into_any(),
    }
}

#[component]
fn Settings(viewer: User, project: Project, policy: NetworkPolicy, names: BTreeMap<RunId, String>) -> impl IntoView {
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
                <NetworkCard desk=desk />
                <NetworkLog desk=desk names=names />
            </div>
        </main>
    }
    .into_any()
}
