use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId,
    storage::{MoveStorage, ProjectStorage, StorageChoices},
};

use super::ApiError;

/// Where a new project's files can go.
#[server(name = ChoicesFn, prefix = "/fn", endpoint = "storage/choices", input = Json)]
pub async fn choices() -> Result<StorageChoices, ApiError> {
    let ctx = super::ctx::current()?;
    domain::storage::choices(&ctx).map_err(super::ctx::refuse)
}

/// Where a project's files are, and how far a move is.
#[server(name = OfProjectFn, prefix = "/fn", endpoint = "storage/of_project", input = Json)]
pub async fn of_project(project: ProjectId) -> Result<ProjectStorage, ApiError> {
    let ctx = super::ctx::current()?;
    domain::storage::of_project(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Begins to move a project to another storage; for its owner.
#[server(name = MoveFn, prefix = "/fn", endpoint = "storage/move", input = Json)]
pub async fn start_move(project: ProjectId, request: MoveStorage) -> Result<ProjectStorage, ApiError> {
    let ctx = super::ctx::current()?;
    domain::storage::start_move(&ctx, project, request).await.map_err(super::ctx::refuse)
}
