use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    PasskeyId,
    passkeys::{AddPasskey, AddedPasskey, Ceremony, Passkey, Passkeys, RenamePasskey},
    second_factor::ConfirmWithPassword,
};

use super::ApiError;

/// The caller's, the oldest first.
#[server(name = ListFn, prefix = "/fn", endpoint = "passkeys/list", input = Json)]
pub async fn list() -> Result<Passkeys, ApiError> {
    let ctx = super::ctx::current()?;
    domain::passkeys::list(&ctx).await.map_err(super::ctx::refuse)
}

/// What the device is asked for a new passkey.
#[server(name = BeginAddFn, prefix = "/fn", endpoint = "passkeys/begin_add", input = Json)]
pub async fn begin_add(request: ConfirmWithPassword) -> Result<Ceremony, ApiError> {
    let ctx = super::ctx::current()?;
    domain::passkeys::begin_add(&ctx, request).await.map_err(super::ctx::refuse)
}

#[server(name = AddFn, prefix = "/fn", endpoint = "passkeys/add", input = Json)]
pub async fn add(request: AddPasskey) -> Result<AddedPasskey, ApiError> {
    let ctx = super::ctx::current()?;
    domain::passkeys::add(&ctx, request).await.map_err(super::ctx::refuse)
}

#[server(name = RenameFn, prefix = "/fn", endpoint = "passkeys/rename", input = Json)]
pub async fn rename(id: PasskeyId, request: RenamePasskey) -> Result<Passkey, ApiError> {
    let ctx = super::ctx::current()?;
    domain::passkeys::rename(&ctx, id, request).await.map_err(super::ctx::refuse)
}

#[server(name = RemoveFn, prefix = "/fn", endpoint = "passkeys/remove", input = Json)]
pub async fn remove(id: PasskeyId, request: ConfirmWithPassword) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::passkeys::remove(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// What the device is asked at the login page: for the second step where a password was right just now (`step`), else for signing in
/// alone.
#[server(name = BeginSignInFn, prefix = "/fn", endpoint = "auth/begin_passkey", input = Json)]
pub async fn begin_sign_in(step: bool) -> Result<Ceremony, ApiError> {
    let ctx = super::ctx::current()?;
    let tickets = super::ctx::step_tickets();
    let tickets: Vec<_> = tickets.iter().map(String::as_str).collect();
    let begun = if step { domain::passkeys::begin_step(&ctx, &tickets).await } else { domain::passkeys::begin_sign_in(&ctx).await };
    begun.map_err(super::ctx::refuse)
}

/// The device's answer, as the login page's script puts it into a plain form: goes to `next` (a path of this site). `credential` is
/// JSON.
#[server(name = PasskeySignInFn, prefix = "/fn", endpoint = "auth/passkey")]
pub async fn sign_in(ceremony: String, credential: String, step: Option<String>, next: Option<String>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let tickets = super::ctx::step_tickets();
    let tickets: Vec<_> = tickets.iter().map(String::as_str).collect();
    let credential = serde_json::from_str(&credential).unwrap_or_default();
    let answer = wire::passkeys::PasskeyAnswer { ceremony, credential };
    let signed_in = match step {
        Some(_) => domain::passkeys::finish_step(&ctx, &tickets, answer).await,
        None => domain::passkeys::sign_in_browser(&ctx, answer).await,
    };
    let signed_in = signed_in.map_err(super::ctx::refuse)?;
    super::ctx::finish_sign_in(&ctx, &signed_in.cookie, next.as_deref());
    Ok(())
}
