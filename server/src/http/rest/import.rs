use std::io;

use axum::{
    Json,
    extract::{
        DefaultBodyLimit, FromRequest, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use blobs::{BlobError, Stored};
use domain::{Ctx, Error, projects::Upload};
use tokio::io::{AsyncWriteExt, DuplexStream};
use wire::{FieldError, imports::ImportGit, limits::ARCHIVE_MAX, projects::ImportStarted};

use crate::http::{
    AppState,
    error::{Answer, refuse},
    extract::{Body, Caller, refuse_form},
    openapi::signature::post,
    routes::{Access, Routes},
};

/// The archive and the form around it.
const BODY_MAX: usize = ARCHIVE_MAX as usize + 1024 * 1024;
const NAME_MAX: usize = 4096;
const PIPE: usize = 64 * 1024;

pub fn declare(routes: Routes) -> Routes {
    let handler = post(import).layer(DefaultBodyLimit::max(BODY_MAX));
    routes.add(Method::POST, "/api/projects/import", Access::SignedIn, handler)
}

/// A form with an archive, or JSON with the address of a git repository.
async fn import(State(state): State<AppState>, Caller(ctx): Caller, request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("application/json") {
        return match Body::<ImportGit>::from_request(request, &state).await {
            Ok(Body(request)) => tell(domain::projects::start_git(&ctx, request).await.map_err(refuse(&ctx))).into_response(),
            Err(refusal) => refusal.into_response(),
        };
    }
    let Ok(form) = Multipart::from_request(request, &state).await else { return refuse_form(&ctx).into_response() };
    let upload = async { domain::projects::start_import(&ctx, receive(&ctx, form).await?).await };
    tell(upload.await.map_err(refuse(&ctx))).into_response()
}

fn tell(started: Answer<ImportStarted>) -> Answer<(StatusCode, Json<ImportStarted>)> {
    started.map(|started| (StatusCode::ACCEPTED, Json(started)))
}

/// Reads the form in the order in which it comes; the archive goes straight to storage, so where that is has to be said before.
async fn receive(ctx: &Ctx, mut form: Multipart) -> Result<Upload, Error> {
    let (mut name, mut storage_backend, mut archive) = (String::new(), None, None);
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("name") => name = read_text(field).await?,
            Some("storage_backend") if archive.is_none() => storage_backend = Some(read_text(field).await?),
            Some("archive") if archive.is_none() => {
                let filename = field.file_name().unwrap_or("archive").to_owned();
                archive = Some((filename, store(ctx, storage_backend.as_deref(), field).await?));
            }
            _ => return Err(Error::BadRequest("The form holds one archive, and before it at most a name and a storage.".to_owned())),
        }
    }
    let missing = || Error::Invalid(vec![FieldError::new("archive", "Choose a zip or tar.gz file.")]);
    let (filename, archive) = archive.ok_or_else(missing)?;
    Ok(Upload { name, filename, storage_backend, archive })
}

async fn read_text(mut field: Field<'_>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if bytes.len() + chunk.len() > NAME_MAX {
            return Err(Error::TooLarge("The name is too long.".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Error::BadRequest("The name is not UTF-8.".to_owned()))
}

/// At most a pipe's worth is in memory. What was received of an upload that broke off is never used.
async fn store(ctx: &Ctx, backend: Option<&str>, field: Field<'_>) -> Result<Stored, Error> {
    let blobs = ctx.services().storage.by_name(domain::storage::choose(ctx, backend)?.as_str())?;
    let (writer, reader) = tokio::io::duplex(PIPE);
    let (sent, stored) = tokio::join!(pump(field, writer), blobs.put(Box::pin(reader), ARCHIVE_MAX));
    match (sent, stored) {
        (_, Err(BlobError::TooLarge { limit })) => Err(Error::TooLarge(format!("An archive has at most {limit} bytes."))),
        (Err(error), _) => Err(error),
        (Ok(()), stored) => Ok(stored?),
    }
}

async fn pump(mut field: Field<'_>, mut writer: DuplexStream) -> Result<(), Error> {
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        match writer.write_all(&chunk).await {
            // Storage has stopped reading and says why itself.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(|error| Error::Internal(Box::new(error)))?,
        }
    }
    Ok(())
}

fn unreadable(error: MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge(format!("An archive has at most {ARCHIVE_MAX} bytes."))
    } else {
        Error::BadRequest(error.body_text())
    }
}
