use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::page;
use wire::{
    Page, PageQuery, ProjectId, RunId,
    terminals::{OpenTerminal, RenameTerminal, Terminal},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/terminals", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/terminals", Access::Member, post(open))
        .add(Method::PATCH, "/api/terminals/{id}", Access::Member, patch(rename))
        .add(Method::DELETE, "/api/terminals/{id}", Access::Member, delete(close))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Terminal>>> {
    let items = domain::terminals::list(&ctx, id).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "terminals", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn open(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<OpenTerminal>) -> Answer<(StatusCode, Json<Terminal>)> {
    let terminal = domain::terminals::open(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(terminal)))
}

async fn rename(Caller(ctx): Caller, At(id): At<RunId>, Body(request): Body<RenameTerminal>) -> Answer<Json<Terminal>> {
    domain::terminals::rename(&ctx, id, request.title).await.map(Json).map_err(refuse(&ctx))
}

/// Answers when nothing of it is left alive.
async fn close(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Json<Terminal>> {
    domain::terminals::close(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
