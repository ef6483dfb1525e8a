use axum::{Json, http::Method};
use wire::{
    ProjectId, TurnId,
    budgets::{TurnUsage, UsageQuery, UsageReport},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Caller},
    openapi::signature::get,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/usage", Access::SignedIn, get(mine))
        .add(Method::GET, "/api/projects/{id}/usage", Access::Member, get(of_project))
        .add(Method::GET, "/api/turns/{id}/usage", Access::Member, get(of_turn))
        .add(Method::GET, "/api/admin/usage", Access::Admin, get(of_all))
}

async fn mine(Caller(ctx): Caller, Asked(query): Asked<UsageQuery>) -> Answer<Json<UsageReport>> {
    domain::usage::mine(&ctx, query).await.map(Json).map_err(refuse(&ctx))
}

async fn of_project(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(query): Asked<UsageQuery>) -> Answer<Json<UsageReport>> {
    domain::usage::of_project(&ctx, id, query).await.map(Json).map_err(refuse(&ctx))
}

async fn of_turn(Caller(ctx): Caller, At(id): At<TurnId>) -> Answer<Json<TurnUsage>> {
    domain::usage::of_turn(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn of_all(Caller(ctx): Caller, Asked(query): Asked<UsageQuery>) -> Answer<Json<UsageReport>> {
    domain::usage::of_all(&ctx, query).await.map(Json).map_err(refuse(&ctx))
}
