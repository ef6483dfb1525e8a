use axum::{Json, extract::State, http::Method};
use wire::generate::{Generate, Generated};

use crate::http::{
    AppState,
    error::{Answer, refuse},
    extract::{Body, Caller},
    openapi::signature::post,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::POST, "/api/v1/generate", Access::SignedIn, post(generate))
}

/// A caller that goes ends the answer.
async fn generate(State(app): State<AppState>, Caller(ctx): Caller, Body(request): Body<Generate>) -> Answer<Json<Generated>> {
    let stop = app.shutdown.child_token();
    let generation = agent::generate(&ctx, &app.models, request, stop).await.map_err(refuse(&ctx))?;
    generation.whole().await.map(Json).map_err(refuse(&ctx))
}
