use axum::{
    Json,
    http::{HeaderName, Method, StatusCode, header},
};
use serde::Deserialize;
use wire::{
    auth::{ForgotPassword, Login, Refresh, Register, ResetPassword, Tokens},
    users::User,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, Body, Caller, Filled},
    openapi::signature::post,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::POST, "/api/auth/register", Access::Public, post(register))
        .add(Method::POST, "/api/auth/login", Access::Public, post(login))
        .add(Method::POST, "/api/auth/refresh", Access::Public, post(refresh))
        .add(Method::POST, "/api/auth/logout", Access::SignedIn, post(logout))
        .add(Method::POST, "/api/auth/forgot", Access::Public, post(forgot))
        .add(Method::POST, "/api/auth/reset", Access::Public, post(reset))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Everywhere {
    /// All sessions of the account, not only this one.
    #[serde(default)]
    everywhere: bool,
}

async fn register(Caller(ctx): Caller, Body(request): Body<Register>) -> Answer<(StatusCode, Json<User>)> {
    let user = domain::accounts::register(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(user)))
}

async fn login(Caller(ctx): Caller, Filled(request): Filled<Login>) -> Answer<Json<Tokens>> {
    domain::auth::login(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn refresh(Caller(ctx): Caller, Body(request): Body<Refresh>) -> Answer<Json<Tokens>> {
    domain::auth::refresh(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn logout(Caller(ctx): Caller, Asked(asked): Asked<Everywhere>) -> Answer<(StatusCode, [(HeaderName, String); 1])> {
    let ended = if asked.everywhere { domain::auth::logout_everywhere(&ctx).await } else { domain::auth::logout(&ctx).await };
    let cookie = ended.map_err(refuse(&ctx))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

/// The same whether there is such an account or not.
async fn forgot(Caller(ctx): Caller, Body(request): Body<ForgotPassword>) -> Answer<StatusCode> {
    domain::links::forgot(&ctx, request).await.map(|()| StatusCode::ACCEPTED).map_err(refuse(&ctx))
}

async fn reset(Caller(ctx): Caller, Body(request): Body<ResetPassword>) -> Answer<StatusCode> {
    domain::links::reset(&ctx, request).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
