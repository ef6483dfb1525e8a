use axum::{Json, http::Method};
use wire::preferences::{Preferences, UpdatePreferences};

use crate::http::{
    error::{Answer, refuse},
    extract::{Body, Caller},
    openapi::signature::{get, patch},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/users/me/preferences", Access::SignedIn, get(read)).add(
        Method::PATCH,
        "/api/users/me/preferences",
        Access::SignedIn,
        patch(update),
    )
}

async fn read(Caller(ctx): Caller) -> Answer<Json<Preferences>> {
    domain::preferences::get(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update(Caller(ctx): Caller, Body(request): Body<UpdatePreferences>) -> Answer<Json<Preferences>> {
    domain::preferences::update(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}
