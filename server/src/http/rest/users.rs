use axum::{
    Json,
    body::Body as Bytes,
    http::{HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::{
    Page, PageQuery, SessionId,
    auth::{ChangePassword, DeleteMe},
    sessions::{Session, SessionsEnded},
    users::{UpdateMe, User},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/users/me", Access::SignedIn, get(me))
        .add(Method::PATCH, "/api/users/me", Access::SignedIn, patch(update_me))
        .add(Method::DELETE, "/api/users/me", Access::SignedIn, delete(delete_me))
        .add(Method::GET, "/api/users/me/export", Access::SignedIn, get(export))
        .add(Method::POST, "/api/users/me/password", Access::SignedIn, post(change_password))
        .add(Method::GET, "/api/users/me/sessions", Access::SignedIn, get(sessions))
        .add(Method::DELETE, "/api/users/me/sessions", Access::SignedIn, delete(revoke_others))
        .add(Method::DELETE, "/api/users/me/sessions/{id}", Access::SignedIn, delete(revoke))
}

async fn me(Caller(ctx): Caller) -> Answer<Json<User>> {
    domain::users::me(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_me(Caller(ctx): Caller, Body(request): Body<UpdateMe>) -> Answer<Json<User>> {
    domain::users::update_me(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn delete_me(Caller(ctx): Caller, Body(request): Body<DeleteMe>) -> Answer<(StatusCode, [(HeaderName, String); 1])> {
    let cookie = domain::users::delete_me(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

async fn export(Caller(ctx): Caller) -> Answer<Response> {
    let made = domain::users::export(&ctx).await.map_err(refuse(&ctx))?;
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", made.file_name)),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Bytes::from_stream(made.body)).into_response())
}

async fn change_password(Caller(ctx): Caller, Body(request): Body<ChangePassword>) -> Answer<StatusCode> {
    domain::users::change_password(&ctx, request).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn sessions(Caller(ctx): Caller, Asked(asked): Asked<PageQuery>) -> Answer<Json<Page<Session>>> {
    let items = domain::sessions::list(&ctx).await.map_err(refuse(&ctx))?;
    domain::page::of_short(items, &asked, "sessions", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn revoke_others(Caller(ctx): Caller) -> Answer<Json<SessionsEnded>> {
    domain::sessions::revoke_others(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn revoke(Caller(ctx): Caller, At(id): At<SessionId>) -> Answer<StatusCode> {
    domain::sessions::revoke(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
