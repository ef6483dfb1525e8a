use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId,
    search::{Outline, OutlineOf, Replace, Replaced},
};

use super::ApiError;

/// Replaces what a search finds, as a change set to be reviewed.
#[server(name = ReplaceFn, prefix = "/fn", endpoint = "search/replace", input = Json)]
pub async fn replace(project: ProjectId, request: Replace) -> Result<Replaced, ApiError> {
    let ctx = super::ctx::current()?;
    domain::search::replace(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// The symbols of a file.
#[server(name = OutlineFn, prefix = "/fn", endpoint = "search/outline", input = Json)]
pub async fn outline(project: ProjectId, of: OutlineOf) -> Result<Outline, ApiError> {
    let ctx = super::ctx::current()?;
    domain::search::outline(&ctx, project, of).await.map_err(super::ctx::refuse)
}
