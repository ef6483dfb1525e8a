use std::io;

use axum::{
    Json,
    extract::{
        DefaultBodyLimit, Multipart,
        multipart::{Field, MultipartError, MultipartRejection},
    },
    http::{Method, StatusCode},
    routing::post,
};
use blobs::{BlobError, Stored};
use domain::{Ctx, Error};
use tokio::io::{AsyncWriteExt, DuplexStream};
use wire::{FieldError, limits::ARCHIVE_MAX, projects::ImportStarted};

use crate::http::{
    error::{Answer, refuse},
    extract::Caller,
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

async fn import(Caller(ctx): Caller, form: Result<Multipart, MultipartRejection>) -> Answer<(StatusCode, Json<ImportStarted>)> {
    let form = form.map_err(|e| refuse(&ctx)(Error::BadRequest(e.body_text())))?;
    let upload = receive(&ctx, form).await.map_err(refuse(&ctx))?;
    let started = domain::projects::start_import(&ctx, upload.name, upload.filename, upload.archive).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

struct Upload {
    name: Option<String>,
    filename: String,
    archive: Stored,
}

/// Reads the form in the order in which it comes; the archive goes straight to storage.
async fn receive(ctx: &Ctx, mut form: Multipart) -> Result<Upload, Error> {
    let mut name = None;
    let mut archive = None;
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("name") => name = Some(read_text(field).await?).filter(|name| !name.trim().is_empty()),
            Some("archive") if archive.is_none() => {
                let filename = field.file_name().unwrap_or("archive").to_owned();
                archive = Some((filename, store(ctx, field).await?));
            }
            _ => return Err(Error::BadRequest("The form holds one archive and at most one name.".to_owned())),
        }
    }
    let missing = || Error::Invalid(vec![FieldError::new("archive", "Choose a zip or tar.gz file.")]);
    let (filename, archive) = archive.ok_or_else(missing)?;
    Ok(Upload { name, filename, archive })
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
async fn store(ctx: &Ctx, field: Field<'_>) -> Result<Stored, Error> {
    let (writer, reader) = tokio::io::duplex(PIPE);
    let (sent, stored) = tokio::join!(pump(field, writer), ctx.services().blobs.put(Box::pin(reader), ARCHIVE_MAX));
    match (sent, stored) {
        (_, Err(BlobError::TooLarge { limit })) => Err(Error::TooLarge(format!("An archive has at most {limit} bytes."))),
        (Err(error), _) => Err(error),
        (Ok(()), stored) => stored.map_err(|error| Error::Internal(Box::new(error))),
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
