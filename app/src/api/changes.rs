use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ChangeSetId, TurnId,
    changes::{ChangeSet, Decide, Decided},
};

use super::ApiError;

/// What a turn proposes; `None` when it changed nothing.
#[server(name = OfTurnFn, prefix = "/fn", endpoint = "changes/of_turn", input = Json)]
pub async fn of_turn(turn: TurnId) -> Result<Option<ChangeSet>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::of_turn(&ctx, turn).await.map_err(super::ctx::refuse)
}

/// A change set, whoever made it.
#[server(name = GetChangeSetFn, prefix = "/fn", endpoint = "changes/get", input = Json)]
pub async fn get(id: ChangeSetId) -> Result<ChangeSet, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::get(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Applies decisions by compare-and-swap; what no longer fits is reported, never forced.
#[server(name = DecideFn, prefix = "/fn", endpoint = "changes/decide", input = Json)]
pub async fn decide(id: ChangeSetId, request: Decide) -> Result<Decided, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::decide(&ctx, id, request).await.map_err(super::ctx::refuse)
}
