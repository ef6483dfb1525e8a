use axum::{
    Json,
    body::Body,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use domain::{Ctx, Error, page};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use wire::{
    ExportId, Page, PageQuery, ProjectId,
    exports::{Export, StartExport},
    files::{Entry, EntryKind},
};

use crate::http::{
    bytes::{self, Wanted},
    error::{Answer, refuse},
    extract::{Asked, At, Body as Sent, Caller},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

const CHUNK: usize = 64 * 1024;

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/export", Access::Member, get(stream))
        .add(Method::POST, "/api/projects/{id}/exports", Access::Member, post(start))
        .add(Method::GET, "/api/projects/{id}/exports", Access::Member, get(list))
        .add(Method::GET, "/api/exports/{id}", Access::Member, get(read))
        .add(Method::GET, "/api/exports/{id}/archive", Access::Member, get(download))
        .add(Method::DELETE, "/api/exports/{id}", Access::Member, delete(remove))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Streamed {
    #[serde(default)]
    format: Packing,
    #[serde(default)]
    history: bool,
}

#[derive(Deserialize, Default, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Packing {
    #[default]
    Zip,
}

/// The same archive made while it is sent: looking is all that this does.
async fn stream(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(asked): Asked<Streamed>) -> Answer<Response> {
    let Packing::Zip = asked.format;
    let archive = domain::export::open_project(&ctx, id, asked.history).await.map_err(refuse(&ctx))?;
    let body = Body::from_stream(ReaderStream::with_capacity(archive.bytes, CHUNK));
    Ok(bytes::send_archive(&archive.filename, body))
}

async fn start(Caller(ctx): Caller, At(id): At<ProjectId>, Sent(request): Sent<StartExport>) -> Answer<(StatusCode, Json<Export>)> {
    let started = domain::export::start(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Export>>> {
    let items = domain::export::list(&ctx, id).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "exports", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn read(Caller(ctx): Caller, At(id): At<ExportId>) -> Answer<Json<Export>> {
    domain::export::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

/// The archive as an attachment; parts of it, so that a download can be taken up again.
async fn download(Caller(ctx): Caller, At(id): At<ExportId>, headers: HeaderMap) -> Answer<Response> {
    send(&ctx, id, &headers).await.map_err(refuse(&ctx))
}

async fn send(ctx: &Ctx, id: ExportId, headers: &HeaderMap) -> Result<Response, Error> {
    let (export, checksum) = domain::export::archive(ctx, id).await?;
    let entry = Entry {
        path: export.filename,
        kind: EntryKind::File,
        size: export.size.unwrap_or_default(),
        content_type: "application/zip".to_owned(),
        checksum,
        version: 1,
        mode: 0o644,
        updated_at: export.created_at,
        updated_by: None,
    };
    let part = match bytes::wanted(headers, &entry) {
        Wanted::All => None,
        Wanted::Part(part) => Some(part),
        Wanted::Unsatisfiable => return Ok(bytes::unsatisfiable(&entry)),
    };
    let reader = domain::export::open(ctx, id, part.clone()).await?;
    Ok(bytes::send(&entry, part, reader))
}

async fn remove(Caller(ctx): Caller, At(id): At<ExportId>) -> Answer<StatusCode> {
    domain::export::delete(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
