use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId, RunId,
    terminals::{OpenTerminal, Terminal},
};

use super::ApiError;

/// The terminals of a project, with those closed a moment ago.
#[server(name = ListFn, prefix = "/fn", endpoint = "terminals/list", input = Json)]
pub async fn list(project: ProjectId) -> Result<Vec<Terminal>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::terminals::list(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Opens a terminal; its socket can be joined at once.
#[server(name = OpenFn, prefix = "/fn", endpoint = "terminals/open", input = Json)]
pub async fn open(project: ProjectId, request: OpenTerminal) -> Result<Terminal, ApiError> {
    let ctx = super::ctx::current()?;
    domain::terminals::open(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Gives a terminal another title.
#[server(name = RenameFn, prefix = "/fn", endpoint = "terminals/rename", input = Json)]
pub async fn rename(id: RunId, title: String) -> Result<Terminal, ApiError> {
    let ctx = super::ctx::current()?;
    domain::terminals::rename(&ctx, id, title).await.map_err(super::ctx::refuse)
}

/// Closes a terminal; answers when nothing of it is left alive.
#[server(name = CloseFn, prefix = "/fn", endpoint = "terminals/close", input = Json)]
pub async fn close(id: RunId) -> Result<Terminal, ApiError> {
    let ctx = super::ctx::current()?;
    domain::terminals::close(&ctx, id).await.map_err(super::ctx::refuse)
}
