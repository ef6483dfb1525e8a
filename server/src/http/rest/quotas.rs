use axum::{Json, http::Method};
use wire::{
    ProjectId, UserId,
    quotas::{ProjectQuota, QuotaOverride, StorageSettings, UserQuota},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{get, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/quota", Access::Member, get(of_project))
        .add(Method::GET, "/api/users/me/quota", Access::SignedIn, get(mine))
        .add(Method::GET, "/api/admin/users/{id}/quota", Access::Admin, get(of_user))
        .add(Method::PUT, "/api/admin/users/{id}/quota", Access::Admin, put(set_of_user))
        .add(Method::GET, "/api/admin/projects/{id}/quota", Access::Admin, get(of_any_project))
        .add(Method::PUT, "/api/admin/projects/{id}/quota", Access::Admin, put(set_of_project))
        .add(Method::GET, "/api/admin/settings/storage", Access::Admin, get(settings))
        .add(Method::PUT, "/api/admin/settings/storage", Access::Admin, put(update_settings))
}

async fn of_project(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<ProjectQuota>> {
    domain::quotas::of_project(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn mine(Caller(ctx): Caller) -> Answer<Json<UserQuota>> {
    domain::quotas::mine(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn of_user(Caller(ctx): Caller, At(id): At<UserId>) -> Answer<Json<UserQuota>> {
    domain::quotas::of_user(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn set_of_user(Caller(ctx): Caller, At(id): At<UserId>, Body(request): Body<QuotaOverride>) -> Answer<Json<UserQuota>> {
    domain::quotas::set_of_user(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn of_any_project(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<ProjectQuota>> {
    domain::quotas::of_any_project(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn set_of_project(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<QuotaOverride>) -> Answer<Json<ProjectQuota>> {
    domain::quotas::set_of_project(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn settings(Caller(ctx): Caller) -> Answer<Json<StorageSettings>> {
    domain::settings::storage(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_settings(Caller(ctx): Caller, Body(request): Body<StorageSettings>) -> Answer<Json<StorageSettings>> {
    domain::settings::update_storage(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}
