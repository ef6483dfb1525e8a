use axum::{
    Json,
    body::Body as Stream,
    http::{Method, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use wire::{
    ProjectId,
    search::{Outline, OutlineOf, Replace, Replaced, SearchItem, SearchQuery},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{get, post},
    routes::{Access, Routes},
};

/// Lines that are sent in one piece, when there are as many.
const LINES_AT_ONCE: usize = 256;

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/search", Access::Member, get(search))
        .add(Method::POST, "/api/projects/{id}/replace", Access::Member, post(replace))
        .add(Method::POST, "/api/projects/{id}/outline", Access::Member, post(outline))
}

/// One JSON object a line. The search ends when the client goes, since that drops the stream.
async fn search(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(query): Asked<SearchQuery>) -> Answer<Response> {
    let items = domain::search::search(&ctx, id, query).await.map_err(refuse(&ctx))?;
    let lines = items.ready_chunks(LINES_AT_ONCE).map(|items| write_lines(&items));
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Stream::from_stream(lines)).into_response())
}

fn write_lines(items: &[SearchItem]) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, item)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

async fn replace(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<Replace>) -> Answer<Json<Replaced>> {
    domain::search::replace(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn outline(Caller(ctx): Caller, At(id): At<ProjectId>, Body(of): Body<OutlineOf>) -> Answer<Json<Outline>> {
    domain::search::outline(&ctx, id, of).await.map(Json).map_err(refuse(&ctx))
}
