use axum::{
    Json,
    http::{Method, StatusCode},
};
use wire::{
    LinkId, Page, PageQuery, UserId,
    links::{AccountLink, InviteUser, OneTimeLink},
    settings::AccountSettings,
    users::{CreateUser, User},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, post, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::POST, "/api/admin/users", Access::Admin, post(create_user))
        .add(Method::POST, "/api/admin/users/{id}/reset-link", Access::Admin, post(make_reset))
        .add(Method::POST, "/api/admin/invitations", Access::Admin, post(invite))
        .add(Method::GET, "/api/admin/links", Access::Admin, get(list))
        .add(Method::DELETE, "/api/admin/links/{id}", Access::Admin, delete(revoke))
        .add(Method::GET, "/api/admin/settings/accounts", Access::Admin, get(settings))
        .add(Method::PUT, "/api/admin/settings/accounts", Access::Admin, put(update_settings))
}

async fn create_user(Caller(ctx): Caller, Body(request): Body<CreateUser>) -> Answer<(StatusCode, Json<User>)> {
    let user = domain::accounts::create(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(user)))
}

async fn make_reset(Caller(ctx): Caller, At(id): At<UserId>) -> Answer<(StatusCode, Json<OneTimeLink>)> {
    let link = domain::links::make_reset(&ctx, id).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(link)))
}

async fn invite(Caller(ctx): Caller, Body(request): Body<InviteUser>) -> Answer<(StatusCode, Json<OneTimeLink>)> {
    let link = domain::links::invite(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(link)))
}

async fn list(Caller(ctx): Caller, Asked(asked): Asked<PageQuery>) -> Answer<Json<Page<AccountLink>>> {
    let items = domain::links::list(&ctx).await.map_err(refuse(&ctx))?;
    domain::page::of_short(items, &asked, "links", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn revoke(Caller(ctx): Caller, At(id): At<LinkId>) -> Answer<StatusCode> {
    domain::links::revoke(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn settings(Caller(ctx): Caller) -> Answer<Json<AccountSettings>> {
    domain::settings::accounts(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_settings(Caller(ctx): Caller, Body(request): Body<AccountSettings>) -> Answer<Json<AccountSettings>> {
    domain::settings::update_accounts(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}
