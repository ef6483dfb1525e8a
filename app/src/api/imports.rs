use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{imports::ImportGit, projects::ImportStarted};

use super::ApiError;

/// Begins a project from a git repository.
#[server(name = GitFn, prefix = "/fn", endpoint = "imports/git", input = Json)]
pub async fn git(request: ImportGit) -> Result<ImportStarted, ApiError> {
    let ctx = super::ctx::current()?;
    domain::projects::start_git(&ctx, request).await.map_err(super::ctx::refuse)
}
