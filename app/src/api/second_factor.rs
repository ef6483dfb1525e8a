use leptos::prelude::*;
use server_fn::codec::Json;
use wire::second_factor::{ConfirmWithCode, ConfirmWithPassword, RecoveryCodes, SecondFactor, SecondStep, TotpSetup};

use super::ApiError;

/// What the caller's account has beside its password.
#[server(name = StatusFn, prefix = "/fn", endpoint = "second_factor/status", input = Json)]
pub async fn status() -> Result<SecondFactor, ApiError> {
    let ctx = super::ctx::current()?;
    domain::second_factor::status(&ctx).await.map_err(super::ctx::refuse)
}

/// What an authenticator app has to know. It counts once a code was confirmed.
#[server(name = BeginTotpFn, prefix = "/fn", endpoint = "second_factor/begin_totp", input = Json)]
pub async fn begin_totp() -> Result<TotpSetup, ApiError> {
    let ctx = super::ctx::current()?;
    domain::second_factor::begin_totp(&ctx).await.map_err(super::ctx::refuse)
}

#[server(name = ConfirmTotpFn, prefix = "/fn", endpoint = "second_factor/confirm_totp", input = Json)]
pub async fn confirm_totp(request: ConfirmWithCode) -> Result<RecoveryCodes, ApiError> {
    let ctx = super::ctx::current()?;
    domain::second_factor::confirm_totp(&ctx, request).await.map_err(super::ctx::refuse)
}

#[server(name = DisableTotpFn, prefix = "/fn", endpoint = "second_factor/disable_totp", input = Json)]
pub async fn disable_totp(request: ConfirmWithCode) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::second_factor::disable_totp(&ctx, request).await.map_err(super::ctx::refuse)
}

/// New recovery codes in the place of all earlier ones.
#[server(name = MakeRecoveryCodesFn, prefix = "/fn", endpoint = "second_factor/make_recovery_codes", input = Json)]
pub async fn make_recovery_codes(request: ConfirmWithPassword) -> Result<RecoveryCodes, ApiError> {
    let ctx = super::ctx::current()?;
    domain::second_factor::make_recovery_codes(&ctx, request).await.map_err(super::ctx::refuse)
}

/// What the second step can be, for a browser whose first factor was right just now; `None` for others.
#[server(name = StepWaysFn, prefix = "/fn", endpoint = "auth/step_ways", input = Json)]
pub async fn step_ways() -> Result<Option<SecondStep>, ApiError> {
    let ctx = super::ctx::current()?;
    let tickets = super::ctx::step_tickets();
    let tickets: Vec<_> = tickets.iter().map(String::as_str).collect();
    domain::second_factor::step_ways(&ctx, &tickets).await.map_err(super::ctx::refuse)
}

/// The second step of a sign-in whose password was right, as a plain form: goes to `next` (a path of this site).
#[server(name = SecondStepFn, prefix = "/fn", endpoint = "auth/second_step")]
pub async fn second_step(otp: String, next: Option<String>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let tickets = super::ctx::step_tickets();
    let tickets: Vec<_> = tickets.iter().map(String::as_str).collect();
    let signed_in = domain::second_factor::finish_step(&ctx, &tickets, &otp).await.map_err(super::ctx::refuse)?;
    super::ctx::finish_sign_in(&ctx, &signed_in.cookie, next.as_deref());
    Ok(())
}
