use axum::{
    Json,
    body::{Body as Stream, Bytes},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Error, admin::CsvBytes, page};
use futures::{Stream as Lines, StreamExt};
use wire::{
    JobId, Page, PageQuery, ProjectId, UserId,
    admin::{
        AdminAccess, AdminProject, AdminUser, GiveProject, HealthReport, JobQuery, Listed, OpenProject, Overview, ProjectQuery, Requeued,
        SettingsChange, UpdateUser, UserDetail, UserQuery,
    },
    audit::AuditQuery,
    budgets::UsageQuery,
    jobs::Job,
    settings::{RateSettings, RunSettings},
    users::User,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    let routes = routes
        .add(Method::GET, "/api/admin/users", Access::Admin, get(users))
        .add(Method::GET, "/api/admin/users.csv", Access::Admin, get(users_csv))
        .add(Method::GET, "/api/admin/users/{id}", Access::Admin, get(user))
        .add(Method::PATCH, "/api/admin/users/{id}", Access::Admin, patch(update_user))
        .add(Method::POST, "/api/admin/users/{id}/sign-out", Access::Admin, post(sign_out_user))
        .add(Method::GET, "/api/admin/projects", Access::Admin, get(projects))
        .add(Method::GET, "/api/admin/projects.csv", Access::Admin, get(projects_csv))
        .add(Method::DELETE, "/api/admin/projects/{id}", Access::Admin, delete(delete_project))
        .add(Method::POST, "/api/admin/projects/{id}/restore", Access::Admin, post(restore_project))
        .add(Method::POST, "/api/admin/projects/{id}/transfer", Access::Admin, post(give_project))
        .add(Method::POST, "/api/admin/projects/{id}/access", Access::Admin, post(open_project))
        .add(Method::DELETE, "/api/admin/projects/{id}/access", Access::Admin, delete(close_project))
        .add(Method::GET, "/api/projects/{id}/admin-access", Access::Member, get(accesses));
    routes
        .add(Method::GET, "/api/admin/jobs", Access::Admin, get(jobs))
        .add(Method::GET, "/api/admin/jobs.csv", Access::Admin, get(jobs_csv))
        .add(Method::POST, "/api/admin/jobs/requeue", Access::Admin, post(requeue_dead))
        .add(Method::POST, "/api/admin/jobs/{id}/cancel", Access::Admin, post(cancel_job))
        .add(Method::POST, "/api/admin/jobs/{id}/requeue", Access::Admin, post(requeue_job))
        .add(Method::GET, "/api/admin/usage.csv", Access::Admin, get(usage_csv))
        .add(Method::GET, "/api/admin/budgets.csv", Access::Admin, get(budgets_csv))
        .add(Method::GET, "/api/admin/models.csv", Access::Admin, get(models_csv))
        .add(Method::GET, "/api/admin/audit.csv", Access::Admin, get(audit_csv))
        .add(Method::GET, "/api/admin/overview", Access::Admin, get(overview))
        .add(Method::GET, "/api/admin/settings", Access::Admin, get(settings_changes))
        .add(Method::GET, "/api/admin/settings/runs", Access::Admin, get(run_settings))
        .add(Method::PUT, "/api/admin/settings/runs", Access::Admin, put(update_run_settings))
        .add(Method::GET, "/api/admin/settings/rates", Access::Admin, get(rates))
        .add(Method::PUT, "/api/admin/settings/rates", Access::Admin, put(update_rates))
        .add(Method::GET, "/api/admin/health", Access::Admin, get(health))
}

async fn users(Caller(ctx): Caller, Asked(query): Asked<UserQuery>) -> Answer<Json<Listed<AdminUser>>> {
    domain::admin::list_users(&ctx, query).await.map(Json).map_err(refuse(&ctx))
}

async fn users_csv(Caller(ctx): Caller, Asked(query): Asked<UserQuery>) -> Answer<Response> {
    domain::admin::users_csv(&ctx, query).await.map(|lines| sheet("users.csv", lines)).map_err(refuse(&ctx))
}

async fn user(Caller(ctx): Caller, At(id): At<UserId>) -> Answer<Json<UserDetail>> {
    domain::admin::user_detail(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn update_user(Caller(ctx): Caller, At(id): At<UserId>, Body(request): Body<UpdateUser>) -> Answer<Json<User>> {
    domain::admin::update_user(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn sign_out_user(Caller(ctx): Caller, At(id): At<UserId>) -> Answer<StatusCode> {
    domain::admin::sign_out_user(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn projects(Caller(ctx): Caller, Asked(query): Asked<ProjectQuery>) -> Answer<Json<Listed<AdminProject>>> {
    domain::admin::list_projects(&ctx, query).await.map(Json).map_err(refuse(&ctx))
}

async fn projects_csv(Caller(ctx): Caller, Asked(query): Asked<ProjectQuery>) -> Answer<Response> {
    domain::admin::projects_csv(&ctx, query).await.map(|lines| sheet("projects.csv", lines)).map_err(refuse(&ctx))
}

async fn delete_project(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<StatusCode> {
    domain::admin::delete_project(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn restore_project(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<StatusCode> {
    domain::admin::restore_project(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn give_project(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<GiveProject>) -> Answer<StatusCode> {
    domain::admin::give_project(&ctx, id, request).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn open_project(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Body(request): Body<OpenProject>,
) -> Answer<(StatusCode, Json<AdminAccess>)> {
    let access = domain::admin::open_project(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(access)))
}

async fn close_project(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<StatusCode> {
    domain::admin::close_project(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn accesses(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(asked): Asked<PageQuery>) -> Answer<Json<Page<AdminAccess>>> {
    let items = domain::admin::list_accesses(&ctx, id).await.map_err(refuse(&ctx))?;
    page::of_short(items, &asked, "admin-access", |item| item.opened_at.0.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn jobs(Caller(ctx): Caller, Asked(query): Asked<JobQuery>) -> Answer<Json<Listed<Job>>> {
    domain::admin::list_jobs(&ctx, query).await.map(Json).map_err(refuse(&ctx))
}

async fn jobs_csv(Caller(ctx): Caller, Asked(query): Asked<JobQuery>) -> Answer<Response> {
    domain::admin::jobs_csv(&ctx, query).await.map(|lines| sheet("jobs.csv", lines)).map_err(refuse(&ctx))
}

async fn cancel_job(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::admin::cancel_job(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn requeue_job(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::admin::requeue_job(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn requeue_dead(Caller(ctx): Caller) -> Answer<Json<Requeued>> {
    domain::admin::requeue_dead(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn usage_csv(Caller(ctx): Caller, Asked(query): Asked<UsageQuery>) -> Answer<Response> {
    let table = domain::admin::usage_csv(&ctx, query).await.map_err(refuse(&ctx))?;
    Ok((sheet_headers("usage.csv"), table).into_response())
}

async fn budgets_csv(Caller(ctx): Caller) -> Answer<Response> {
    let table = domain::admin::budgets_csv(&ctx).await.map_err(refuse(&ctx))?;
    Ok((sheet_headers("budgets.csv"), table).into_response())
}

async fn models_csv(Caller(ctx): Caller) -> Answer<Response> {
    let table = domain::admin::models_csv(&ctx).await.map_err(refuse(&ctx))?;
    Ok((sheet_headers("models.csv"), table).into_response())
}

async fn audit_csv(Caller(ctx): Caller, Asked(query): Asked<AuditQuery>) -> Answer<Response> {
    domain::admin::audit_csv(&ctx, query).await.map(|lines| sheet("audit.csv", lines)).map_err(refuse(&ctx))
}

fn sheet_headers(name: &'static str) -> [(HeaderName, HeaderValue); 3] {
    let file = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).unwrap_or(HeaderValue::from_static("attachment"));
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
        (header::CONTENT_DISPOSITION, file),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// A table that is read as it is taken.
fn sheet(name: &'static str, lines: impl Lines<Item = Result<CsvBytes, Error>> + Send + 'static) -> Response {
    (sheet_headers(name), Stream::from_stream(lines.map(|line| line.map(Bytes::from)))).into_response()
}

async fn overview(Caller(ctx): Caller) -> Answer<Json<Overview>> {
    domain::admin::overview(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn settings_changes(Caller(ctx): Caller, Asked(asked): Asked<PageQuery>) -> Answer<Json<Page<SettingsChange>>> {
    let items = domain::admin::settings_changes(&ctx).await.map_err(refuse(&ctx))?;
    page::of_short(items, &asked, "settings", |item| item.name.clone()).map(Json).map_err(refuse(&ctx))
}

async fn run_settings(Caller(ctx): Caller) -> Answer<Json<RunSettings>> {
    domain::settings::runs(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_run_settings(Caller(ctx): Caller, Body(request): Body<RunSettings>) -> Answer<Json<RunSettings>> {
    domain::settings::update_runs(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn rates(Caller(ctx): Caller) -> Answer<Json<RateSettings>> {
    domain::settings::rates(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_rates(Caller(ctx): Caller, Body(request): Body<RateSettings>) -> Answer<Json<RateSettings>> {
    domain::settings::update_rates(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn health(Caller(ctx): Caller) -> Answer<Json<HealthReport>> {
    domain::admin::health(&ctx).await.map(Json).map_err(refuse(&ctx))
}
