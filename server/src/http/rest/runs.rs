use axum::{
    Json,
    body::Body as Bytes,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Ctx, Error};
use futures::{Stream, stream};
use serde::Deserialize;
use wire::{
    Page, PageQuery, ProjectId, RunId,
    runs::{Run, StartRun},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/runs", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/runs", Access::Member, post(start))
        .add(Method::GET, "/api/runs/{id}", Access::Member, get(read))
        .add(Method::DELETE, "/api/runs/{id}", Access::Member, delete(remove))
        .add(Method::GET, "/api/runs/{id}/output", Access::Member, get(output))
        .add(Method::POST, "/api/runs/{id}/cancel", Access::Member, post(cancel))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Part {
    tail: Option<i64>,
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Run>>> {
    domain::runs::page(&ctx, id, page.limit, page.cursor.as_deref()).await.map(Json).map_err(refuse(&ctx))
}

async fn start(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<StartRun>) -> Answer<(StatusCode, Json<Run>)> {
    let run = domain::runs::start(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}

async fn read(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Json<Run>> {
    domain::runs::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

/// All channels in the order in which they came, as far as they are there; with `tail` only so many of the last bytes.
async fn output(Caller(ctx): Caller, At(id): At<RunId>, Asked(part): Asked<Part>) -> Answer<Response> {
    let start = domain::runs::output_start(&ctx, id, part.tail).await.map_err(refuse(&ctx))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"output.txt\""),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Bytes::from_stream(read_pages(ctx, id, start))).into_response())
}

/// One page is in memory at a time.
fn read_pages(ctx: Ctx, id: RunId, start: i64) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    stream::try_unfold(start, move |offset| {
        let ctx = ctx.clone();
        async move {
            let bytes = domain::runs::output_page(&ctx, id, offset).await?;
            let next = offset + bytes.len() as i64;
            Ok((next > offset).then_some((bytes, next)))
        }
    })
}

async fn remove(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<StatusCode> {
    domain::runs::delete(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn cancel(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Json<Run>> {
    domain::runs::cancel(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
