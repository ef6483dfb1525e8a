use axum::{
    Json,
    http::{Method, StatusCode},
    routing::{delete, get, patch, post},
};
use domain::Error;
use serde::Deserialize;
use wire::{
    Page, ProjectId,
    projects::{CreateProject, Project, UpdateProject, Visibility},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
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

#[derive(Deserialize)]
struct Which {
    /// `public`: of others. Absent: those that the caller is a member of.
    visibility: Option<Visibility>,
}

async fn list(Caller(ctx): Caller, Asked(which): Asked<Which>) -> Answer<Json<Page<Project>>> {
    let found = match which.visibility {
        None => domain::projects::list(&ctx).await,
        Some(Visibility::Public) => domain::projects::list_public(&ctx).await,
        Some(_) => Err(Error::BadRequest("Only public projects are listed apart: visibility=public.".to_owned())),
    };
    found.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
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
