use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    CheckpointId, ProjectId,
    checkpoints::{Checkpoint, CreateCheckpoint, ForkProject, RestoreCheckpoint, RestoreOutcome, RestorePlan, Timeline, UpdateCheckpoint},
    projects::Project,
};

use super::ApiError;

/// The kept points of the project's past, newest first.
#[server(name = ListFn, prefix = "/fn", endpoint = "checkpoints/list", input = Json)]
pub async fn list(project: ProjectId) -> Result<Timeline, ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::list(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Keeps the project as it is now under a name.
#[server(name = CreateFn, prefix = "/fn", endpoint = "checkpoints/create", input = Json)]
pub async fn create(project: ProjectId, request: CreateCheckpoint) -> Result<Checkpoint, ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::create(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Names a checkpoint, or takes the name of an automatic one away.
#[server(name = RenameFn, prefix = "/fn", endpoint = "checkpoints/rename", input = Json)]
pub async fn rename(project: ProjectId, id: CheckpointId, request: UpdateCheckpoint) -> Result<Checkpoint, ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::rename(&ctx, project, id, request).await.map_err(super::ctx::refuse)
}

/// Forgets a checkpoint; files stay as they are.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "checkpoints/delete", input = Json)]
pub async fn delete(project: ProjectId, id: CheckpointId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::delete(&ctx, project, id).await.map_err(super::ctx::refuse)
}

/// What restoring would change now.
#[server(name = DiffFn, prefix = "/fn", endpoint = "checkpoints/diff", input = Json)]
pub async fn diff(project: ProjectId, id: CheckpointId) -> Result<RestorePlan, ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::diff(&ctx, project, id).await.map_err(super::ctx::refuse)
}

/// Restores by compare-and-swap; what stands in the way is an answer.
#[server(name = RestoreFn, prefix = "/fn", endpoint = "checkpoints/restore", input = Json)]
pub async fn restore(project: ProjectId, id: CheckpointId, request: RestoreCheckpoint) -> Result<RestoreOutcome, ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::restore(&ctx, project, id, request).await.map_err(super::ctx::refuse)
}

/// A new project with the files of this one.
#[server(name = ForkFn, prefix = "/fn", endpoint = "checkpoints/fork", input = Json)]
pub async fn fork(project: ProjectId, request: ForkProject) -> Result<Project, ApiError> {
    let ctx = super::ctx::current()?;
    domain::checkpoints::fork(&ctx, project, request).await.map_err(super::ctx::refuse)
}
