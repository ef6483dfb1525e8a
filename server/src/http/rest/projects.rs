use axum::{
    Json,
    http::{Method, StatusCode},
    routing::{delete, get, patch, post},
};
use wire::{
    Page, ProjectId,
    projects::{CreateProject, Project, UpdateProject},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects", Access::SignedIn, get(list))
        .add(Method::POST, "/api/projects", Access::SignedIn, post(create))
        .add(Method::GET, "/api/projects/{id}", Access::Member, get(read))
        .add(Method::PATCH, "/api/projects/{id}", Access::Member, patch(update))
        .add(Method::DELETE, "/api/projects/{id}", Access::Member, delete(remove))
}

async fn list(Caller(ctx): Caller) -> Answer<Json<Page<Project>>> {
    domain::projects::list(&ctx).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
}

async fn create(Caller(ctx): Caller, Body(request): Body<CreateProject>) -> Answer<(StatusCode, Json<Project>)> {
    let project = domain::projects::create(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(project)))
}

async fn read(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<Project>> {
    domain::projects::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn update(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<UpdateProject>) -> Answer<Json<Project>> {
    domain::projects::update(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<StatusCode> {
    domain::projects::delete(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
