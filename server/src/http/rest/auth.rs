use axum::{
    Form, Json,
    extract::rejection::FormRejection,
    http::{HeaderName, Method, StatusCode, header},
    routing::post,
};
use domain::Error;
use wire::{
    auth::{Login, Refresh, Register, Tokens},
    users::User,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::POST, "/api/auth/register", Access::Public, post(register))
        .add(Method::POST, "/api/auth/login", Access::Public, post(login))
        .add(Method::POST, "/api/auth/refresh", Access::Public, post(refresh))
        .add(Method::POST, "/api/auth/logout", Access::SignedIn, post(logout))
}

async fn register(Caller(ctx): Caller, Body(request): Body<Register>) -> Answer<(StatusCode, Json<User>)> {
    let user = domain::auth::register(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(user)))
}

async fn login(Caller(ctx): Caller, form: Result<Form<Login>, FormRejection>) -> Answer<Json<Tokens>> {
    let Form(request) = form.map_err(|e| refuse(&ctx)(Error::BadRequest(e.body_text())))?;
    domain::auth::login(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn refresh(Caller(ctx): Caller, Body(request): Body<Refresh>) -> Answer<Json<Tokens>> {
    domain::auth::refresh(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn logout(Caller(ctx): Caller) -> Answer<(StatusCode, [(HeaderName, String); 1])> {
    let cookie = domain::auth::logout(&ctx).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}
