use axum::{Json, http::Method};
use wire::{
    ProjectId, RunId,
    test_reports::{TestReport, TestSettings},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{get, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/runs/{id}/tests", Access::Member, get(of_run))
        .add(Method::GET, "/api/projects/{id}/tests", Access::Member, get(settings))
        .add(Method::PUT, "/api/projects/{id}/tests", Access::Member, put(update_settings))
}

/// `null` while the run goes on, and for runs that are no tests.
async fn of_run(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Json<Option<TestReport>>> {
    domain::test_reports::of_run(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn settings(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<TestSettings>> {
    domain::test_reports::settings(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn update_settings(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<TestSettings>) -> Answer<Json<TestSettings>> {
    domain::test_reports::update_settings(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}
