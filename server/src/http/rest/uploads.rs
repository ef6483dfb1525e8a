//! Files in pieces and in bulk. Single files are in `files`.

use std::io;

use axum::{
    Json,
    extract::{
        DefaultBodyLimit, Multipart, Request,
        multipart::{Field, MultipartError, MultipartRejection},
    },
    http::{HeaderMap, HeaderName, Method, StatusCode},
    response::{IntoResponse, Response},
};
use domain::{
    Ctx, Error,
    files::{Appended, BATCH_MAX, BatchFile, Precondition, Received},
};
use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::io::StreamReader;
use wire::{
    FieldError, ProjectId, UploadId,
    files::{BatchItem, BatchOutcome, StartUpload, Upload},
    limits,
};

use crate::http::{
    bytes,
    error::{Answer, refuse},
    extract::{At, Body, Caller, refuse_form},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

const UPLOAD: &str = "/api/uploads/{id}";
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const MANIFEST_MAX: usize = 16 * 1024 * 1024;
const PIPE: usize = 64 * 1024;

pub fn declare(routes: Routes) -> Routes {
    let batch = post(save_batch).layer(DefaultBodyLimit::max(limits::PROJECT_BYTES_MAX as usize));
    routes
        .add(Method::POST, "/api/projects/{id}/files:batch", Access::Member, batch)
        .add(Method::POST, "/api/projects/{id}/uploads", Access::Member, post(start))
        .add(Method::GET, UPLOAD, Access::Member, get(show))
        .add(Method::PATCH, UPLOAD, Access::Member, patch(append).layer(DefaultBodyLimit::disable()))
        .add(Method::DELETE, UPLOAD, Access::Member, delete(discard))
}

async fn start(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<StartUpload>) -> Answer<(StatusCode, Json<Upload>)> {
    let upload = domain::files::start_upload(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(upload)))
}

async fn show(Caller(ctx): Caller, At(id): At<UploadId>) -> Answer<Response> {
    domain::files::get_upload(&ctx, id).await.map(|upload| tell(StatusCode::OK, upload)).map_err(refuse(&ctx))
}

async fn discard(Caller(ctx): Caller, At(id): At<UploadId>) -> Answer<StatusCode> {
    domain::files::discard_upload(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

fn tell(status: StatusCode, upload: Upload) -> Response {
    (status, [(OFFSET, upload.received.to_string())], Json(upload)).into_response()
}

/// 202 while more is to come, then as `PUT`. With a precondition the upload ends on that instead of what it began with.
async fn append(Caller(ctx): Caller, At(id): At<UploadId>, request: Request) -> Answer<Response> {
    // Whoever may not know of it hears nothing about headers.
    domain::files::get_upload(&ctx, id).await.map_err(refuse(&ctx))?;
    let (offset, base) = read_headers(request.headers()).map_err(refuse(&ctx))?;
    let body: blobs::Reader = Box::pin(StreamReader::new(request.into_body().into_data_stream().map_err(io::Error::other)));
    match domain::files::append_upload(&ctx, id, offset, body, base).await.map_err(refuse(&ctx))? {
        Appended::More(upload) => Ok(tell(StatusCode::ACCEPTED, upload)),
        Appended::Done(put) => Ok(bytes::tell_saved(put)),
    }
}

fn read_headers(headers: &HeaderMap) -> Result<(i64, Option<Precondition>), Error> {
    let offset = headers.get(OFFSET).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
    let offset = offset.ok_or_else(|| Error::BadRequest("Send Upload-Offset, the byte that this piece begins at.".to_owned()))?;
    let base = Some(bytes::read_precondition(headers)?).filter(|base| *base != Precondition::None);
    Ok((offset, base))
}

async fn save_batch(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    form: Result<Multipart, MultipartRejection>,
) -> Answer<Json<Vec<BatchOutcome>>> {
    domain::files::require_writer(&ctx, id).await.map_err(refuse(&ctx))?;
    let form = form.map_err(|_| refuse_form(&ctx))?;
    let files = receive(&ctx, id, form).await.map_err(refuse(&ctx))?;
    domain::files::save_batch(&ctx, id, files).await.map(Json).map_err(refuse(&ctx))
}

/// First the manifest, then the files in its order; each goes straight to storage.
async fn receive(ctx: &Ctx, id: ProjectId, mut form: Multipart) -> Result<Vec<BatchFile>, Error> {
    let items: Vec<BatchItem> = read_items(&mut form, "the path and the base of each file").await?;
    let mut files = Vec::with_capacity(items.len());
    for BatchItem { path, base } in items {
        let field = next_file(&mut form).await?;
        files.push(BatchFile { path, base, bytes: store(field, |body| domain::files::receive(ctx, id, body)).await? });
    }
    expect_end(&mut form).await?;
    Ok(files)
}

/// What the form says of its files, before any of them; `holding` says in words what that is.
pub(super) async fn read_items<T: DeserializeOwned>(form: &mut Multipart, holding: &str) -> Result<Vec<T>, Error> {
    let manifest = form.next_field().await.map_err(unreadable)?.filter(|field| field.name() == Some("manifest"));
    let manifest = manifest.ok_or_else(|| invalid(&format!("The first part is the manifest: {holding}.")))?;
    read_manifest(manifest).await
}

/// The part of the next file.
pub(super) async fn next_file(form: &mut Multipart) -> Result<Field<'_>, Error> {
    let field = form.next_field().await.map_err(unreadable)?;
    field.ok_or_else(|| invalid("The manifest names more files than there are parts."))
}

pub(super) async fn expect_end(form: &mut Multipart) -> Result<(), Error> {
    match form.next_field().await.map_err(unreadable)? {
        None => Ok(()),
        Some(_) => Err(invalid("There are more parts than the manifest names files.")),
    }
}

fn invalid(reason: &str) -> Error {
    Error::Invalid(vec![FieldError::new("manifest", reason)])
}

async fn read_manifest<T: DeserializeOwned>(mut field: Field<'_>) -> Result<Vec<T>, Error> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if text.len() + chunk.len() > MANIFEST_MAX {
            return Err(Error::TooLarge("The manifest is too long.".to_owned()));
        }
        text.extend_from_slice(&chunk);
    }
    let items: Vec<T> = serde_json::from_slice(&text).map_err(|error| invalid(&format!("The manifest can't be read: {error}.")))?;
    if items.len() > BATCH_MAX {
        return Err(invalid(&format!("At most {BATCH_MAX} files go together.")));
    }
    Ok(items)
}

/// At most a pipe's worth is in memory. What was received of a request that broke off is never named.
pub(super) async fn store<F>(field: Field<'_>, keep: impl FnOnce(blobs::Reader) -> F) -> Result<Received, Error>
where
    F: Future<Output = Result<Received, Error>>,
{
    let (writer, reader) = tokio::io::duplex(PIPE);
    let (sent, stored) = tokio::join!(pump(field, writer), keep(Box::pin(reader)));
    let stored = stored?;
    if matches!(stored, Received::Stored(_)) {
        sent?;
    }
    Ok(stored)
}

async fn pump(mut field: Field<'_>, mut writer: DuplexStream) -> Result<(), Error> {
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        match writer.write_all(&chunk).await {
            // Storage has stopped reading and says why itself.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(Error::internal)?,
        }
    }
    Ok(())
}

fn unreadable(error: MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge("This is more than one request brings. Nothing was changed; send fewer files at a time.".to_owned())
    } else {
        Error::BadRequest(error.body_text())
    }
}
