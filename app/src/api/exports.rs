use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ExportId, ProjectId,
    exports::{Export, StartExport},
};

use super::ApiError;

/// Begins an archive of a project.
#[server(name = StartFn, prefix = "/fn", endpoint = "exports/start", input = Json)]
pub async fn start(project: ProjectId, request: StartExport) -> Result<Export, ApiError> {
    let ctx = super::ctx::current()?;
    domain::export::start(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// The caller's archives of a project, newest first.
#[server(name = ListFn, prefix = "/fn", endpoint = "exports/list", input = Json)]
pub async fn list(project: ProjectId) -> Result<Vec<Export>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::export::list(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Takes an archive away, and stops its job.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "exports/delete", input = Json)]
pub async fn delete(id: ExportId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::export::delete(&ctx, id).await.map_err(super::ctx::refuse)
}
