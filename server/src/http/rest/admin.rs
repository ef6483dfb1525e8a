use axum::{
    Json,
    http::Method,
    routing::{get, patch, post, put},
};
use wire::{
    JobId, Page, UserId,
    admin::{Health, UpdateUser},
    jobs::Job,
    settings::RunSettings,
    users::User,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/admin/users", Access::Admin, get(users))
        .add(Method::PATCH, "/api/admin/users/{id}", Access::Admin, patch(update_user))
        .add(Method::GET, "/api/admin/jobs", Access::Admin, get(jobs))
        .add(Method::POST, "/api/admin/jobs/{id}/cancel", Access::Admin, post(cancel_job))
        .add(Method::POST, "/api/admin/jobs/{id}/requeue", Access::Admin, post(requeue_job))
        .add(Method::GET, "/api/admin/settings/runs", Access::Admin, get(run_settings))
        .add(Method::PUT, "/api/admin/settings/runs", Access::Admin, put(update_run_settings))
        .add(Method::GET, "/api/admin/health", Access::Admin, get(health))
}

async fn users(Caller(ctx): Caller) -> Answer<Json<Page<User>>> {
    domain::admin::list_users(&ctx).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
}

async fn update_user(Caller(ctx): Caller, At(id): At<UserId>, Body(request): Body<UpdateUser>) -> Answer<Json<User>> {
    domain::admin::update_user(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn jobs(Caller(ctx): Caller) -> Answer<Json<Page<Job>>> {
    domain::admin::list_jobs(&ctx).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
}

async fn cancel_job(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::admin::cancel_job(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn requeue_job(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::admin::requeue_job(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn run_settings(Caller(ctx): Caller) -> Answer<Json<RunSettings>> {
    domain::settings::runs(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_run_settings(Caller(ctx): Caller, Body(request): Body<RunSettings>) -> Answer<Json<RunSettings>> {
    domain::settings::update_runs(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn health(Caller(ctx): Caller) -> Answer<Json<Health>> {
    domain::admin::health(&ctx).await.map(Json).map_err(refuse(&ctx))
}
