use axum::{
    Json,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
    routing::{delete, get, post},
};
use domain::{Ctx, Error};
use wire::{
    ExportId, Page, ProjectId,
    exports::{Export, StartExport},
    files::{Entry, EntryKind},
};

use crate::http::{
    bytes::{self, Wanted},
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::POST, "/api/projects/{id}/exports", Access::Member, post(start))
        .add(Method::GET, "/api/projects/{id}/exports", Access::Member, get(list))
        .add(Method::GET, "/api/exports/{id}", Access::Member, get(read))
        .add(Method::GET, "/api/exports/{id}/archive", Access::Member, get(download))
        .add(Method::DELETE, "/api/exports/{id}", Access::Member, delete(remove))
}

async fn start(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<StartExport>) -> Answer<(StatusCode, Json<Export>)> {
    let started = domain::export::start(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<Page<Export>>> {
    domain::export::list(&ctx, id).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
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
