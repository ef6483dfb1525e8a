use axum::{
    Json,
    body::Body as Bytes,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{Ctx, Error};
use futures::{Stream, stream};
use wire::{
    Page, ProjectId, RunId,
    runs::{Run, StartRun},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/runs", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/runs", Access::Member, post(start))
        .add(Method::GET, "/api/runs/{id}", Access::Member, get(read))
        .add(Method::GET, "/api/runs/{id}/output", Access::Member, get(output))
        .add(Method::POST, "/api/runs/{id}/cancel", Access::Member, post(cancel))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<Page<Run>>> {
    domain::runs::list(&ctx, id).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
}

async fn start(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<StartRun>) -> Answer<(StatusCode, Json<Run>)> {
    let run = domain::runs::start(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}

async fn read(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Json<Run>> {
    domain::runs::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

/// All channels in the order in which they came, as far as they are there.
async fn output(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Response> {
    let first = domain::runs::output_after(&ctx, id, 0).await.map_err(refuse(&ctx))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"output.txt\""),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
    ];
    Ok((headers, Bytes::from_stream(read_pages(ctx, id, first))).into_response())
}

/// One page of the log is in memory at a time.
fn read_pages(ctx: Ctx, id: RunId, first: (i64, Vec<u8>)) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    stream::try_unfold((ctx, 0, Some(first)), move |(ctx, seen, page)| async move {
        let (last, bytes) = match page {
            Some(page) => page,
            None => domain::runs::output_after(&ctx, id, seen).await?,
        };
        Ok((last > seen).then_some((bytes, (ctx, last, None))))
    })
}

async fn cancel(Caller(ctx): Caller, At(id): At<RunId>) -> Answer<Json<Run>> {
    domain::runs::cancel(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
