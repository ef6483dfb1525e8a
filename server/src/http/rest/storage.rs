use axum::{
    Json,
    http::{Method, StatusCode},
};
use wire::{
    ProjectId,
    storage::{MoveStorage, ProjectStorage, StorageChoices},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/storage", Access::SignedIn, get(choices))
        .add(Method::GET, "/api/projects/{id}/storage", Access::Member, get(read))
        .add(Method::POST, "/api/projects/{id}/storage", Access::Member, post(start_move))
}

async fn choices(Caller(ctx): Caller) -> Answer<Json<StorageChoices>> {
    domain::storage::choices(&ctx).map(Json).map_err(refuse(&ctx))
}

async fn read(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<ProjectStorage>> {
    domain::storage::of_project(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

/// The job that moves it is in the answer; cancelling that ends the move.
async fn start_move(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Body(request): Body<MoveStorage>,
) -> Answer<(StatusCode, Json<ProjectStorage>)> {
    let moving = domain::storage::start_move(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(moving)))
}
