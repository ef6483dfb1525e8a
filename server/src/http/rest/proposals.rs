use axum::{
    Json,
    http::{Method, StatusCode},
};
use wire::{ProjectId, changes::ChangeSet, proposals::ProposeText};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::post,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::POST, "/api/projects/{id}/proposals", Access::Member, post(propose))
}

async fn propose(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<ProposeText>) -> Answer<(StatusCode, Json<ChangeSet>)> {
    let set = domain::proposals::propose(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(set)))
}
