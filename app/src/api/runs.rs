use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId, RunId,
    runs::{Run, StartRun},
};

use super::ApiError;

/// The runs of a project, newest first.
#[server(name = ListFn, prefix = "/fn", endpoint = "runs/list", input = Json)]
pub async fn list(project: ProjectId) -> Result<Vec<Run>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::runs::list(&ctx, project).await.map_err(super::ctx::refuse)
}

/// One run.
#[server(name = GetFn, prefix = "/fn", endpoint = "runs/get", input = Json)]
pub async fn get(id: RunId) -> Result<Run, ApiError> {
    let ctx = super::ctx::current()?;
    domain::runs::get(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Queues a command; follow `run:{id}` for what it prints.
#[server(name = StartFn, prefix = "/fn", endpoint = "runs/start", input = Json)]
pub async fn start(project: ProjectId, request: StartRun) -> Result<Run, ApiError> {
    let ctx = super::ctx::current()?;
    domain::runs::start(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Stops a run; answers when nothing of it is left alive.
#[server(name = CancelFn, prefix = "/fn", endpoint = "runs/cancel", input = Json)]
pub async fn cancel(id: RunId) -> Result<Run, ApiError> {
    let ctx = super::ctx::current()?;
    domain::runs::cancel(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Takes a finished run away with everything it printed; there is no way back.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "runs/delete", input = Json)]
pub async fn delete(id: RunId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::runs::delete(&ctx, id).await.map_err(super::ctx::refuse)
}
