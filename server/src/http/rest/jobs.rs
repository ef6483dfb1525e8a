use axum::{Json, http::Method, routing::get};
use wire::{JobId, jobs::Job};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/jobs/{id}", Access::Member, get(read))
}

async fn read(Caller(ctx): Caller, At(id): At<JobId>) -> Answer<Json<Job>> {
    domain::jobs::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
