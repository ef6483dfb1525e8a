use axum::{
    Json,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use domain::{Ctx, Error, files::Precondition};
use futures::TryStreamExt;
use serde::Deserialize;
use tokio_util::io::StreamReader;
use wire::{
    Page, PageQuery, ProjectId,
    files::{Base, FileVersion, MovePath, RestorePath, TrashItem, Tree},
};

use crate::http::{
    bytes::{self, Wanted},
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, post, put},
    routes::{Access, Routes},
};

const FILE: &str = "/api/projects/{id}/files/{*path}";

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/tree", Access::Member, get(tree))
        .add(Method::GET, "/api/projects/{id}/history", Access::Member, get(history))
        .add(Method::GET, FILE, Access::Member, get(download))
        .add(Method::PUT, FILE, Access::Member, put(upload).layer(DefaultBodyLimit::disable()))
        .add(Method::DELETE, FILE, Access::Member, delete(remove))
        .add(Method::POST, "/api/projects/{id}/files:move", Access::Member, post(move_path))
        .add(Method::POST, "/api/projects/{id}/files:copy", Access::Member, post(copy_path))
        .add(Method::POST, "/api/projects/{id}/files:restore", Access::Member, post(restore))
        .add(Method::GET, "/api/projects/{id}/trash", Access::Member, get(trash))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Below {
    path: Option<String>,
    depth: Option<u32>,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct OfPath {
    path: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct AtVersion {
    version: Option<i64>,
}

async fn tree(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(below): Asked<Below>) -> Answer<Json<Tree>> {
    domain::files::tree_below(&ctx, id, below.path.as_deref(), below.depth).await.map(Json).map_err(refuse(&ctx))
}

async fn history(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Asked(of): Asked<OfPath>,
    Asked(page): Asked<PageQuery>,
) -> Answer<Json<Page<FileVersion>>> {
    domain::files::history_page(&ctx, id, &of.path, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn download(
    Caller(ctx): Caller,
    At((id, path)): At<(ProjectId, String)>,
    Asked(at): Asked<AtVersion>,
    headers: HeaderMap,
) -> Answer<Response> {
    send_file(&ctx, id, &path, at.version, &headers).await.map_err(refuse(&ctx))
}

async fn send_file(ctx: &Ctx, id: ProjectId, path: &str, version: Option<i64>, headers: &HeaderMap) -> Result<Response, Error> {
    let file = domain::files::locate(ctx, id, path, version).await?;
    if bytes::is_known(headers, &file.entry) {
        return Ok(bytes::not_modified(&file.entry));
    }
    match bytes::wanted(headers, &file.entry) {
        Wanted::All => Ok(bytes::send(&file.entry, None, file.open().await?)),
        Wanted::Unsatisfiable => Ok(bytes::unsatisfiable(&file.entry)),
        Wanted::Part(part) => Ok(bytes::send(&file.entry, Some(part.clone()), file.open_range(part).await?)),
    }
}

/// The body is streamed into storage; a size that is announced and too large is refused before any of it is read.
async fn upload(Caller(ctx): Caller, At((id, path)): At<(ProjectId, String)>, request: Request) -> Answer<Response> {
    let base = bytes::read_precondition(request.headers()).map_err(refuse(&ctx))?;
    refuse_too_large(&ctx, request.headers()).map_err(refuse(&ctx))?;
    let body: blobs::Reader = Box::pin(StreamReader::new(request.into_body().into_data_stream().map_err(std::io::Error::other)));
    domain::files::put(&ctx, id, &path, base, body, None).await.map(bytes::tell_saved).map_err(refuse(&ctx))
}

fn refuse_too_large(ctx: &Ctx, headers: &HeaderMap) -> Result<(), Error> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let limit = ctx.services().settings.file_size_limit;
    if announced.is_some_and(|size| size > limit) {
        return Err(Error::TooLarge(format!("A file has at most {limit} bytes here. Nothing was changed.")));
    }
    Ok(())
}

#[derive(Deserialize, schemars::JsonSchema)]
struct BasedOn {
    /// Of the file.
    version: Option<i64>,
    /// Of the project, for a directory: nothing in it may have changed after it.
    revision: Option<i64>,
}

/// Only what it is based on is deleted: by the ETag, the version or the revision.
async fn remove(
    Caller(ctx): Caller,
    At((id, path)): At<(ProjectId, String)>,
    Asked(based_on): Asked<BasedOn>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let base = find_base(&ctx, id, &path, &based_on, &headers).await.map_err(refuse(&ctx))?;
    domain::files::delete(&ctx, id, &path, base).await.map(|_| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn find_base(ctx: &Ctx, id: ProjectId, path: &str, based_on: &BasedOn, headers: &HeaderMap) -> Result<Option<Base>, Error> {
    let checksum = match (bytes::read_precondition(headers)?, based_on) {
        (Precondition::None, BasedOn { version: None, revision: None }) => return Ok(None),
        (Precondition::None, BasedOn { version: Some(version), revision: None }) => return Ok(Some(Base::Version(*version))),
        (Precondition::None, BasedOn { version: None, revision: Some(revision) }) => return Ok(Some(Base::Revision(*revision))),
        (Precondition::Checksum(checksum), BasedOn { version: None, revision: None }) => checksum,
        _ => {
            let rule = "What is deleted exists: send one of If-Match with its ETag, version and revision.";
            return Err(Error::BadRequest(rule.to_owned()));
        }
    };
    let entry = domain::files::entry(ctx, id, path).await?;
    if entry.checksum == checksum {
        return Ok(Some(Base::Version(entry.version)));
    }
    let detail = "The file has changed since. Nothing was deleted.".to_owned();
    Err(Error::PreconditionFailed { detail, current: serde_json::to_value(entry).ok() })
}

async fn move_path(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<MovePath>) -> Answer<StatusCode> {
    domain::files::move_path(&ctx, id, request).await.map(|_| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn restore(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<RestorePath>) -> Answer<StatusCode> {
    domain::files::restore(&ctx, id, request).await.map(|_| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn copy_path(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<MovePath>) -> Answer<StatusCode> {
    domain::files::copy_path(&ctx, id, request).await.map(|_| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn trash(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<TrashItem>>> {
    domain::files::trash_page(&ctx, id, &page).await.map(Json).map_err(refuse(&ctx))
}
