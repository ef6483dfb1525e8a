use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::Error;
use serde::Deserialize;
use wire::{
    ChangeSetId, Page, PageQuery, ProjectId, ReviewCommentId, TurnId,
    changes::{AddComment, ChangeSet, Decide, Decided, FileSides, OpenChangeSet, ReviewComment},
    chat::Queued,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/change-sets", Access::Member, get(open))
        .add(Method::GET, "/api/turns/{id}/changes", Access::Member, get(of_turn))
        .add(Method::GET, "/api/change-sets/{id}", Access::Member, get(read))
        .add(Method::GET, "/api/change-sets/{id}/sides", Access::Member, get(sides))
        .add(Method::POST, "/api/change-sets/{id}/decisions", Access::Member, post(decide))
        .add(Method::POST, "/api/change-sets/{id}/comments", Access::Member, post(comment))
        .add(Method::POST, "/api/change-sets/{id}/comments/send", Access::Member, post(send_comments))
        .add(Method::DELETE, "/api/review-comments/{id}", Access::Member, delete(remove_comment))
}

async fn open(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<OpenChangeSet>>> {
    domain::changes::open_page(&ctx, id, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn of_turn(Caller(ctx): Caller, At(id): At<TurnId>) -> Answer<Json<ChangeSet>> {
    let found = domain::changes::of_turn(&ctx, id).await.map_err(refuse(&ctx))?;
    found.map(Json).ok_or(Error::NotFound("change set")).map_err(refuse(&ctx))
}

async fn read(Caller(ctx): Caller, At(id): At<ChangeSetId>) -> Answer<Json<ChangeSet>> {
    domain::changes::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn decide(Caller(ctx): Caller, At(id): At<ChangeSetId>, Body(request): Body<Decide>) -> Answer<Json<Decided>> {
    domain::changes::decide(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct File {
    path: String,
}

async fn sides(Caller(ctx): Caller, At(id): At<ChangeSetId>, Asked(file): Asked<File>) -> Answer<Json<FileSides>> {
    domain::changes::sides(&ctx, id, &file.path).await.map(Json).map_err(refuse(&ctx))
}

async fn comment(
    Caller(ctx): Caller,
    At(id): At<ChangeSetId>,
    Body(request): Body<AddComment>,
) -> Answer<(StatusCode, Json<ReviewComment>)> {
    let made = domain::changes::comment(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn send_comments(Caller(ctx): Caller, At(id): At<ChangeSetId>) -> Answer<(StatusCode, Json<Queued>)> {
    let queued = domain::changes::send_comments(&ctx, id).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(queued)))
}

async fn remove_comment(Caller(ctx): Caller, At(id): At<ReviewCommentId>) -> Answer<StatusCode> {
    domain::changes::remove_comment(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
