use axum::{
    Json,
    http::{Method, StatusCode},
};
use wire::{
    UserId,
    second_factor::{ConfirmWithCode, ConfirmWithPassword, RecoveryCodes, SecondFactor, TotpSetup},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/users/me/second-factor", Access::SignedIn, get(status))
        .add(Method::POST, "/api/users/me/totp", Access::SignedIn, post(begin))
        .add(Method::POST, "/api/users/me/totp/confirm", Access::SignedIn, post(confirm))
        .add(Method::DELETE, "/api/users/me/totp", Access::SignedIn, delete(disable))
        .add(Method::POST, "/api/users/me/recovery-codes", Access::SignedIn, post(make_recovery_codes))
        .add(Method::DELETE, "/api/admin/users/{id}/second-factor", Access::Admin, delete(reset))
}

async fn status(Caller(ctx): Caller) -> Answer<Json<SecondFactor>> {
    domain::second_factor::status(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn begin(Caller(ctx): Caller) -> Answer<(StatusCode, Json<TotpSetup>)> {
    domain::second_factor::begin_totp(&ctx).await.map(|setup| (StatusCode::CREATED, Json(setup))).map_err(refuse(&ctx))
}

async fn confirm(Caller(ctx): Caller, Body(request): Body<ConfirmWithCode>) -> Answer<Json<RecoveryCodes>> {
    domain::second_factor::confirm_totp(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn disable(Caller(ctx): Caller, Body(request): Body<ConfirmWithCode>) -> Answer<StatusCode> {
    domain::second_factor::disable_totp(&ctx, request).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn make_recovery_codes(Caller(ctx): Caller, Body(request): Body<ConfirmWithPassword>) -> Answer<(StatusCode, Json<RecoveryCodes>)> {
    let made = domain::second_factor::make_recovery_codes(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn reset(Caller(ctx): Caller, At(id): At<UserId>) -> Answer<StatusCode> {
    domain::second_factor::reset(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
