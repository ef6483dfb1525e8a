use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    LinkId, UserId,
    links::{AccountLink, InviteUser, OneTimeLink},
    users::{CreateUser, User},
};

use super::ApiError;

/// Invitations and links to set a password that still work, the newest first; for administrators.
#[server(name = ListLinksFn, prefix = "/fn", endpoint = "admin/links", input = Json)]
pub async fn list() -> Result<Vec<AccountLink>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::list(&ctx).await.map_err(super::ctx::refuse)
}

/// A link with which one account is made; its path is told this once.
#[server(name = InviteUserFn, prefix = "/fn", endpoint = "admin/invite", input = Json)]
pub async fn invite(request: InviteUser) -> Result<OneTimeLink, ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::invite(&ctx, request).await.map_err(super::ctx::refuse)
}

/// A link with which an account's password is set, to be handed over; its path is told this once.
#[server(name = MakeResetLinkFn, prefix = "/fn", endpoint = "admin/make_reset_link", input = Json)]
pub async fn make_reset(id: UserId) -> Result<OneTimeLink, ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::make_reset(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Takes a link back before it is used.
#[server(name = RevokeLinkFn, prefix = "/fn", endpoint = "admin/revoke_link", input = Json)]
pub async fn revoke(id: LinkId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::revoke(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Makes an account for somebody.
#[server(name = CreateUserFn, prefix = "/fn", endpoint = "admin/create_user", input = Json)]
pub async fn create_user(request: CreateUser) -> Result<User, ApiError> {
    let ctx = super::ctx::current()?;
    domain::accounts::create(&ctx, request).await.map_err(super::ctx::refuse)
}
