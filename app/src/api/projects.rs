use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId,
    projects::{CreateProject, Project, UpdateProject},
};

use super::ApiError;

/// The caller's projects, last changed first.
#[server(name = ListFn, prefix = "/fn", endpoint = "projects/list", input = Json)]
pub async fn list() -> Result<Vec<Project>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::list(&ctx).await.map_err(super::ctx::refuse)
}

/// Public projects of others that the caller is no member of.
#[server(name = ListPublicFn, prefix = "/fn", endpoint = "projects/list_public", input = Json)]
pub async fn list_public() -> Result<Vec<Project>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::list_public(&ctx).await.map_err(super::ctx::refuse)
}

/// One project.
#[server(name = GetFn, prefix = "/fn", endpoint = "projects/get", input = Json)]
pub async fn get(id: ProjectId) -> Result<Project, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::get(&ctx, id).await.map_err(super::ctx::refuse)
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
