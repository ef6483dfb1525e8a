use axum::{
    Json,
    http::Method,
    routing::{get, post},
};
use domain::Error;
use wire::{
    ChangeSetId, TurnId,
    changes::{ChangeSet, Decide, Decided},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/turns/{id}/changes", Access::Member, get(of_turn))
        .add(Method::GET, "/api/change-sets/{id}", Access::Member, get(read))
        .add(Method::POST, "/api/change-sets/{id}/decisions", Access::Member, post(decide))
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
