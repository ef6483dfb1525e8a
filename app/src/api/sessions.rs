use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    SessionId,
    sessions::{Session, SessionsEnded},
};

use super::ApiError;

/// Where the caller is signed in, the session seen last first.
#[server(name = ListSessionsFn, prefix = "/fn", endpoint = "sessions/list", input = Json)]
pub async fn list() -> Result<Vec<Session>, ApiError> {
    let ctx = super::ctx::current()?;
    ctx.once("sessions", domain::sessions::list(&ctx)).await.map_err(super::ctx::refuse)
}

/// Ends one of the caller's sessions.
#[server(name = RevokeSessionFn, prefix = "/fn", endpoint = "sessions/revoke", input = Json)]
pub async fn revoke(id: SessionId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::sessions::revoke(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Ends all sessions of the caller but this one.
#[server(name = RevokeOtherSessionsFn, prefix = "/fn", endpoint = "sessions/revoke_others", input = Json)]
pub async fn revoke_others() -> Result<SessionsEnded, ApiError> {
    let ctx = super::ctx::current()?;
    domain::sessions::revoke_others(&ctx).await.map_err(super::ctx::refuse)
}
