use axum::{
    Json,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::page;
use futures::TryStreamExt;
use serde::Deserialize;
use tokio_util::io::StreamReader;
use wire::{
    ConversationId, Page, PageQuery, ProjectId,
    context::{Compaction, ContextView, ImageRef, PreviewContext, SetCompaction},
};

use crate::http::{
    bytes,
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{get, post, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::POST, "/api/projects/{id}/context", Access::Member, post(preview))
        .add(Method::POST, "/api/projects/{id}/images", Access::Member, post(upload_image).layer(DefaultBodyLimit::disable()))
        .add(Method::GET, "/api/projects/{id}/images/{checksum}", Access::Member, get(open_image))
        .add(Method::GET, "/api/conversations/{id}/compactions", Access::Member, get(compactions))
        .add(Method::PUT, "/api/conversations/{id}/compactions/{seq}", Access::Member, put(set_compaction))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn preview(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<PreviewContext>) -> Answer<Json<ContextView>> {
    domain::context::preview(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

/// The body is the picture itself; no more of it is read than a picture may have.
async fn upload_image(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Asked(named): Asked<Named>,
    request: Request,
) -> Answer<(StatusCode, Json<ImageRef>)> {
    let body: blobs::Reader = Box::pin(StreamReader::new(request.into_body().into_data_stream().map_err(std::io::Error::other)));
    let image = domain::context::upload_image(&ctx, id, &named.name, body).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(image)))
}

/// What its name says never changes. Opened by itself it may do nothing: it is somebody's upload.
async fn open_image(Caller(ctx): Caller, At((id, checksum)): At<(ProjectId, String)>) -> Answer<Response> {
    let (media_type, content) = domain::context::open_image(&ctx, id, &checksum).await.map_err(refuse(&ctx))?;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'".to_owned()),
        (header::CONTENT_DISPOSITION, bytes::disposition(&checksum)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, content).into_response())
}

async fn compactions(Caller(ctx): Caller, At(id): At<ConversationId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Compaction>>> {
    let items = domain::context::compactions(&ctx, id).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "compactions", |item| item.seq.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn set_compaction(
    Caller(ctx): Caller,
    At((id, seq)): At<(ConversationId, i64)>,
    Body(request): Body<SetCompaction>,
) -> Answer<Json<Compaction>> {
    domain::context::set_compaction(&ctx, id, seq, request).await.map(Json).map_err(refuse(&ctx))
}
