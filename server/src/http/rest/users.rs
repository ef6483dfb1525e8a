use axum::{
    Json,
    http::Method,
    routing::{get, patch},
};
use wire::users::{UpdateMe, User};

use crate::http::{
    error::{Answer, refuse},
    extract::{Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/users/me", Access::SignedIn, get(me)).add(
        Method::PATCH,
        "/api/users/me",
        Access::SignedIn,
        patch(update_me),
    )
}

async fn me(Caller(ctx): Caller) -> Answer<Json<User>> {
    domain::users::me(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn update_me(Caller(ctx): Caller, Body(request): Body<UpdateMe>) -> Answer<Json<User>> {
    domain::users::update_me(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}
