use axum::{Json, http::Method};
use wire::{
    ProjectId,
    network::{NetworkPolicy, UpdateNetwork},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{get, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/projects/{id}/network", Access::Member, get(read)).add(
        Method::PUT,
        "/api/projects/{id}/network",
        Access::Member,
        put(update),
    )
}

async fn read(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<NetworkPolicy>> {
    domain::network::policy(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn update(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<UpdateNetwork>) -> Answer<Json<NetworkPolicy>> {
    domain::network::update(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}
