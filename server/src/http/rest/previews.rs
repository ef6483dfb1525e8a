use axum::{
    Json,
    http::{HeaderMap, Method, header},
};
use wire::{RunId, previews::PreviewAddress};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Caller},
    openapi::signature::post,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::POST, "/api/runs/{id}/previews/{port}", Access::Member, post(address))
}

async fn address(Caller(ctx): Caller, At((id, port)): At<(RunId, u16)>, headers: HeaderMap) -> Answer<Json<PreviewAddress>> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    domain::previews::address(&ctx, id, port, host).await.map(Json).map_err(refuse(&ctx))
}
