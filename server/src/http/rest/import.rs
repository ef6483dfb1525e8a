use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, ready},
};

use axum::{
    Json, body,
    extract::{
        DefaultBodyLimit, FromRequest, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use blobs::{BlobError, Stored};
use domain::{Ctx, Error, projects::Upload};
use futures::{StreamExt, stream};
use tokio::io::{AsyncWriteExt, DuplexStream};
use wire::{FieldError, imports::ImportGit, projects::ImportStarted};

use crate::http::{
    AppState,
    error::{Answer, refuse},
    extract::{Body, Caller, refuse_form},
    openapi::signature::post,
    routes::{Access, Routes},
};

/// The form around the archive, before it and after it.
const AROUND_MAX: u64 = 2 * 1024 * 1024;
const NAME_MAX: usize = 4096;
const PIPE: usize = 64 * 1024;

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::POST, "/api/projects/import", Access::SignedIn, post(import))
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
    let gate = match domain::import::archive_max(&ctx).await {
        Ok(max) => Gate::new(max),
        Err(error) => return refuse(&ctx)(error).into_response(),
    };
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > gate.max.saturating_add(2 * AROUND_MAX)) {
        return refuse(&ctx)(gate.too_large()).into_response();
    }
    let Ok(form) = Multipart::from_request(gate.guard(request), &state).await else { return refuse_form(&ctx).into_response() };
    let upload = async { domain::projects::start_import(&ctx, receive(&ctx, form, &gate).await?).await };
    tell(upload.await.map_err(refuse(&ctx))).into_response()
}

/// Bounds what comes instead of a limit for the whole body: an archive may be larger than memory, while whoever reads the form holds what
/// lies between two parts, however long that is.
struct Gate {
    /// Bytes of the archive.
    max: u64,
    /// Bytes that may still come.
    left: Arc<AtomicU64>,
    is_shut: Arc<AtomicBool>,
}

impl Gate {
    fn new(max: u64) -> Self {
        Self { max, left: Arc::new(AtomicU64::new(AROUND_MAX)), is_shut: Arc::default() }
    }

    fn allow(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    fn guard(&self, mut request: Request) -> Request {
        DefaultBodyLimit::disable().apply(&mut request);
        let (left, is_shut) = (self.left.clone(), self.is_shut.clone());
        request.map(|body| {
            let mut pieces = body.into_data_stream();
            let mut rests = false;
            body::Body::from_stream(stream::poll_fn(move |cx| {
                // The form's reader takes all that is ready, so there is one piece at a time.
                if std::mem::take(&mut rests) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let piece = ready!(pieces.poll_next_unpin(cx));
                rests = true;
                Poll::Ready(piece.map(|piece| -> Result<_, io::Error> {
                    let piece = piece.map_err(io::Error::other)?;
                    let Some(rest) = left.load(Ordering::Relaxed).checked_sub(piece.len() as u64) else {
                        is_shut.store(true, Ordering::Relaxed);
                        return Err(io::Error::other("too much"));
                    };
                    left.store(rest, Ordering::Relaxed);
                    Ok(piece)
                }))
            }))
        })
    }

    fn too_large(&self) -> Error {
        Error::TooLarge(format!("An archive has at most {} bytes, and the form around it two megabytes.", self.max))
    }

    fn unreadable(&self, error: MultipartError) -> Error {
        if self.is_shut.load(Ordering::Relaxed) { self.too_large() } else { Error::BadRequest(error.body_text()) }
    }
}

fn tell(started: Answer<ImportStarted>) -> Answer<(StatusCode, Json<ImportStarted>)> {
    started.map(|started| (StatusCode::ACCEPTED, Json(started)))
}

/// Reads the form in the order in which it comes; the archive goes straight to storage, so where that is has to be said before.
async fn receive(ctx: &Ctx, mut form: Multipart, gate: &Gate) -> Result<Upload, Error> {
    let (mut name, mut storage_backend, mut archive) = (String::new(), None, None);
    while let Some(field) = form.next_field().await.map_err(|error| gate.unreadable(error))? {
        match field.name() {
            Some("name") => name = read_text(field, gate).await?,
            Some("storage_backend") if archive.is_none() => storage_backend = Some(read_text(field, gate).await?),
            Some("archive") if archive.is_none() => {
                let filename = field.file_name().unwrap_or("archive").to_owned();
                gate.allow(gate.max.saturating_add(AROUND_MAX));
                archive = Some((filename, store(ctx, storage_backend.as_deref(), field, gate).await?));
                gate.allow(AROUND_MAX);
            }
            _ => return Err(Error::BadRequest("The form holds one archive, and before it at most a name and a storage.".to_owned())),
        }
    }
    let missing = || Error::Invalid(vec![FieldError::new("archive", "Choose a zip or tar.gz file.")]);
    let (filename, archive) = archive.ok_or_else(missing)?;
    Ok(Upload { name, filename, storage_backend, archive })
}

async fn read_text(mut field: Field<'_>, gate: &Gate) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| gate.unreadable(error))? {
        if bytes.len() + chunk.len() > NAME_MAX {
            return Err(Error::TooLarge("The name is too long.".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Error::BadRequest("The name is not UTF-8.".to_owned()))
}

/// At most a pipe's worth is in memory. What was received of an upload that broke off is not kept.
async fn store(ctx: &Ctx, backend: Option<&str>, field: Field<'_>, gate: &Gate) -> Result<Stored, Error> {
    let blobs = ctx.services().storage.by_name(domain::storage::choose(ctx, backend)?.as_str())?;
    let (writer, reader) = tokio::io::duplex(PIPE);
    let storing = async {
        blobs.put(Box::pin(reader), gate.max).await.map_err(|error| match error {
            BlobError::TooLarge { limit } => Error::TooLarge(format!("An archive has at most {limit} bytes.")),
            other => other.into(),
        })
    };
    // The first that fails ends both: storage would take what has come so far for the whole.
    let ((), stored) = tokio::try_join!(pump(field, writer, gate), storing)?;
    Ok(stored)
}

async fn pump(mut field: Field<'_>, mut writer: DuplexStream, gate: &Gate) -> Result<(), Error> {
    while let Some(chunk) = field.chunk().await.map_err(|error| gate.unreadable(error))? {
        match writer.write_all(&chunk).await {
            // Storage has stopped reading and says why itself.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(|error| Error::Internal(Box::new(error)))?,
        }
    }
    Ok(())
}
