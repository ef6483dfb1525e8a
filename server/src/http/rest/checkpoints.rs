use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::Error;
use wire::{
    CheckpointId, Page, PageQuery, ProjectId,
    checkpoints::{
        Checkpoint, CheckpointFile, CreateCheckpoint, ForkProject, RestoreCheckpoint, RestoreOutcome, RestorePlan, Timeline,
        UpdateCheckpoint,
    },
    projects::Project,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/checkpoints", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/checkpoints", Access::Member, post(create))
        .add(Method::PATCH, "/api/projects/{id}/checkpoints/{cid}", Access::Member, patch(rename))
        .add(Method::DELETE, "/api/projects/{id}/checkpoints/{cid}", Access::Member, delete(remove))
        .add(Method::GET, "/api/projects/{id}/checkpoints/{cid}/files", Access::Member, get(files))
        .add(Method::GET, "/api/projects/{id}/checkpoints/{cid}/diff", Access::Member, get(diff))
        .add(Method::POST, "/api/projects/{id}/checkpoints/{cid}/restore", Access::Member, post(restore))
        .add(Method::POST, "/api/projects/{id}/fork", Access::Member, post(fork))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Timeline>> {
    domain::checkpoints::page(&ctx, id, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn create(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Body(request): Body<CreateCheckpoint>,
) -> Answer<(StatusCode, Json<Checkpoint>)> {
    let made = domain::checkpoints::create(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn rename(
    Caller(ctx): Caller,
    At((id, checkpoint)): At<(ProjectId, CheckpointId)>,
    Body(request): Body<UpdateCheckpoint>,
) -> Answer<Json<Checkpoint>> {
    domain::checkpoints::rename(&ctx, id, checkpoint, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At((id, checkpoint)): At<(ProjectId, CheckpointId)>) -> Answer<StatusCode> {
    domain::checkpoints::delete(&ctx, id, checkpoint).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn files(
    Caller(ctx): Caller,
    At((id, checkpoint)): At<(ProjectId, CheckpointId)>,
    Asked(page): Asked<PageQuery>,
) -> Answer<Json<Page<CheckpointFile>>> {
    domain::checkpoints::files(&ctx, id, checkpoint, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn diff(Caller(ctx): Caller, At((id, checkpoint)): At<(ProjectId, CheckpointId)>) -> Answer<Json<RestorePlan>> {
    domain::checkpoints::diff(&ctx, id, checkpoint).await.map(Json).map_err(refuse(&ctx))
}

/// What stands in the way is a 409 with the paths as its `current`.
async fn restore(
    Caller(ctx): Caller,
    At((id, checkpoint)): At<(ProjectId, CheckpointId)>,
    Body(request): Body<RestoreCheckpoint>,
) -> Answer<Json<RestoreOutcome>> {
    let outcome = domain::checkpoints::restore(&ctx, id, checkpoint, request).await.map_err(refuse(&ctx))?;
    let RestoreOutcome::Conflict { paths } = &outcome else { return Ok(Json(outcome)) };
    let first = paths.first().map(|conflict| format!("{}: {}", conflict.path, conflict.reason)).unwrap_or_default();
    let detail = format!("{first} Nothing was restored; look at the difference again.");
    Err(refuse(&ctx)(Error::Conflict { detail, current: serde_json::to_value(&outcome).ok() }))
}

async fn fork(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<ForkProject>) -> Answer<(StatusCode, Json<Project>)> {
    let project = domain::checkpoints::fork(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(project)))
}
