use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::Error;
use serde::Deserialize;
use wire::{
    Page, PageQuery, ProjectId,
    projects::{CreateProject, Project, UpdateProject, Visibility},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
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

#[derive(Deserialize, schemars::JsonSchema)]
struct Which {
    /// `public`: of others. Absent: those that the caller is a member of.
    visibility: Option<Visibility>,
}

async fn list(Caller(ctx): Caller, Asked(which): Asked<Which>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Project>>> {
    let of_others = match which.visibility {
        None => Ok(false),
        Some(Visibility::Public) => Ok(true),
        Some(_) => Err(Error::invalid("visibility", "Only public projects are listed apart: visibility=public.")),
    };
    let of_others = of_others.map_err(refuse(&ctx))?;
    domain::projects::page(&ctx, of_others, &page).await.map(Json).map_err(refuse(&ctx))
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
