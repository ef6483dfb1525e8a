use axum::{
    Json,
    http::{Method, StatusCode},
};
use wire::{
    PermissionRuleId, ProjectId,
    permissions::{NewPermissionRule, PermissionRule, Permissions, TriedPermissions, TryPermissions},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/permissions", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/permissions", Access::Member, post(add))
        .add(Method::DELETE, "/api/projects/{id}/permissions/{rule_id}", Access::Member, delete(revoke))
        .add(Method::POST, "/api/projects/{id}/permissions:try", Access::Member, post(try_out))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<Permissions>> {
    domain::permissions::list(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn add(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Body(request): Body<NewPermissionRule>,
) -> Answer<(StatusCode, Json<PermissionRule>)> {
    let rule = domain::permissions::add(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(rule)))
}

async fn revoke(Caller(ctx): Caller, At((id, rule)): At<(ProjectId, PermissionRuleId)>) -> Answer<StatusCode> {
    domain::permissions::revoke(&ctx, id, rule).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn try_out(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<TryPermissions>) -> Answer<Json<TriedPermissions>> {
    domain::permissions::try_out(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}
