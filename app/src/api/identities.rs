use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    IdentityId,
    identities::{IdentitiesView, LinkIdentity, LinkStart, SignInProvider},
};

use super::ApiError;

/// The providers that can be signed in with, for the login page.
#[server(name = SignInProvidersFn, prefix = "/fn", endpoint = "identities/providers", input = Json)]
pub async fn providers() -> Result<Vec<SignInProvider>, ApiError> {
    Ok(domain::identities::providers(&super::ctx::current()?))
}

/// Who the caller is elsewhere, and where linking another identity begins.
#[server(name = MyIdentitiesFn, prefix = "/fn", endpoint = "identities/mine", input = Json)]
pub async fn mine() -> Result<IdentitiesView, ApiError> {
    let ctx = super::ctx::current()?;
    ctx.once("identities", domain::identities::view(&ctx)).await.map_err(super::ctx::refuse)
}

/// Where to go to link another identity.
#[server(name = BeginLinkFn, prefix = "/fn", endpoint = "identities/begin_link", input = Json)]
pub async fn begin_link(request: LinkIdentity) -> Result<LinkStart, ApiError> {
    let ctx = super::ctx::current()?;
    domain::identities::begin_link(&ctx, request).await.map_err(super::ctx::refuse)
}

/// Answers what is left.
#[server(name = UnlinkIdentityFn, prefix = "/fn", endpoint = "identities/unlink", input = Json)]
pub async fn unlink(id: IdentityId) -> Result<IdentitiesView, ApiError> {
    let ctx = super::ctx::current()?;
    domain::identities::unlink(&ctx, id).await.map_err(super::ctx::refuse)?;
    domain::identities::view(&ctx).await.map_err(super::ctx::refuse)
}
