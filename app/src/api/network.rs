use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId,
    network::{NetworkPolicy, UpdateNetwork},
};

use super::ApiError;

/// What runs of the project may reach, what they could be allowed to, and what they tried.
#[server(name = PolicyFn, prefix = "/fn", endpoint = "network/policy", input = Json)]
pub async fn policy(project: ProjectId) -> Result<NetworkPolicy, ApiError> {
    let ctx = super::ctx::current()?;
    domain::network::policy(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Replaces the project's list; for its owner and administrators.
#[server(name = UpdateFn, prefix = "/fn", endpoint = "network/update", input = Json)]
pub async fn update(project: ProjectId, request: UpdateNetwork) -> Result<NetworkPolicy, ApiError> {
    let ctx = super::ctx::current()?;
    domain::network::update(&ctx, project, request).await.map_err(super::ctx::refuse)
}
