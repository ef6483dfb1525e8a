use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    TokenId,
    tokens::{ApiToken, CreateToken, CreatedToken},
};

use super::ApiError;

/// The caller's API tokens, the newest first.
#[server(name = ListFn, prefix = "/fn", endpoint = "tokens/list", input = Json)]
pub async fn list() -> Result<Vec<ApiToken>, ApiError> {
    let ctx = super::ctx::current()?;
    ctx.once("tokens", domain::tokens::list(&ctx)).await.map_err(super::ctx::refuse)
}

/// A new token; its secret is told this once.
#[server(name = CreateFn, prefix = "/fn", endpoint = "tokens/create", input = Json)]
pub async fn create(request: CreateToken) -> Result<CreatedToken, ApiError> {
    let ctx = super::ctx::current()?;
    domain::tokens::create(&ctx, request).await.map_err(super::ctx::refuse)
}

/// Ends a token at once.
#[server(name = RevokeFn, prefix = "/fn", endpoint = "tokens/revoke", input = Json)]
pub async fn revoke(id: TokenId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::tokens::revoke(&ctx, id).await.map_err(super::ctx::refuse)
}
