use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId,
    projects::{CreateProject, OpenedProject, Project, UpdateProject},
};

use super::ApiError;

/// The caller's projects, last changed first.
#[server(name = ListFn, prefix = "/fn", endpoint = "projects/list", input = Json)]
pub async fn list() -> Result<Vec<Project>, ApiError> {
    let ctx = super::ctx::current()?;
    ctx.once("projects", domain::projects::list(&ctx)).await.map_err(super::ctx::refuse)
}

/// One project.
#[server(name = GetFn, prefix = "/fn", endpoint = "projects/get", input = Json)]
pub async fn get(id: ProjectId) -> Result<Project, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::get(&ctx, id).await.map_err(super::ctx::refuse)
}

/// What a project's page begins with. Beyond `files_max` files it has those at the top alone.
#[server(name = OpenFn, prefix = "/fn", endpoint = "projects/open", input = Json)]
pub async fn open(id: ProjectId, files_max: Option<i64>) -> Result<OpenedProject, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::open(&ctx, id, files_max).await.map_err(super::ctx::refuse)
}

/// An empty project.
#[server(name = CreateFn, prefix = "/fn", endpoint = "projects/create", input = Json)]
pub async fn create(request: CreateProject) -> Result<Project, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::create(&ctx, request).await.map_err(super::ctx::refuse)
}

/// A copy of the sample project.
#[server(name = CreateSampleFn, prefix = "/fn", endpoint = "projects/create_sample", input = Json)]
pub async fn create_sample() -> Result<Project, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::create_sample(&ctx).await.map_err(super::ctx::refuse)
}

/// Changes name or description.
#[server(name = UpdateFn, prefix = "/fn", endpoint = "projects/update", input = Json)]
pub async fn update(id: ProjectId, request: UpdateProject) -> Result<Project, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::update(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Removes the project; only its owner may.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "projects/delete", input = Json)]
pub async fn delete(id: ProjectId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::delete(&ctx, id).await.map_err(super::ctx::refuse)
}
