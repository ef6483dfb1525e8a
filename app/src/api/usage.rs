use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId, TurnId,
    budgets::{TurnUsage, UsageQuery, UsageReport},
};

use super::ApiError;

/// What the caller used.
#[server(name = MyUsageFn, prefix = "/fn", endpoint = "usage/mine", input = Json)]
pub async fn mine(query: UsageQuery) -> Result<UsageReport, ApiError> {
    let ctx = super::ctx::current()?;
    domain::usage::mine(&ctx, query).await.map_err(super::ctx::refuse)
}

/// What a project's people used in it.
#[server(name = ProjectUsageFn, prefix = "/fn", endpoint = "usage/of_project", input = Json)]
pub async fn of_project(project: ProjectId, query: UsageQuery) -> Result<UsageReport, ApiError> {
    let ctx = super::ctx::current()?;
    domain::usage::of_project(&ctx, project, query).await.map_err(super::ctx::refuse)
}

/// What a turn used, call by call.
#[server(name = TurnUsageFn, prefix = "/fn", endpoint = "usage/of_turn", input = Json)]
pub async fn of_turn(turn: TurnId) -> Result<TurnUsage, ApiError> {
    let ctx = super::ctx::current()?;
    domain::usage::of_turn(&ctx, turn).await.map_err(super::ctx::refuse)
}

/// What everybody used; for administrators.
#[server(name = AdminUsageFn, prefix = "/fn", endpoint = "admin/usage", input = Json)]
pub async fn of_all(query: UsageQuery) -> Result<UsageReport, ApiError> {
    let ctx = super::ctx::current()?;
    domain::usage::of_all(&ctx, query).await.map_err(super::ctx::refuse)
}
