use axum::{Json, http::Method};
use wire::{JobId, jobs::Job};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Caller},
    openapi::signature::{get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/jobs/{id}", Access::Member, get(read)).add(
        Method::POST,
        "/api/jobs/{id}/cancel",
        Access::Member,
        post(cancel),
    )
}

async fn read(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::jobs::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn cancel(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::jobs::cancel(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
