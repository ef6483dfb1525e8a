use std::{
    error::Error as _,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    Ctx, Error,
    idempotency::{self, ANSWER_MAX, Answer, Begun, Claim, Fingerprint},
};
use futures::{FutureExt, StreamExt};
use http_body_util::LengthLimitError;
use hyper::body::{Frame, SizeHint};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use wire::{ErrorCode, FieldError, Problem};

use crate::http::{
    ctx::Ongoing,
    error::{Refusal, refuse},
    limits,
    middleware::{Deadline, RequestId, form::Parts},
};

pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const WAIT_S: u32 = 1;
/// What may follow a form that has been read to its end.
const TRAILING_MAX: u64 = 1024;

/// Does a `POST` with an `Idempotency-Key` once, and answers the same to whoever asks again. `path` is the pattern of the route.
pub async fn once(path: &'static str, request: Request, next: Next) -> Response {
    let Some(ctx) = request.extensions().get::<Ctx>().filter(|ctx| ctx.user().is_some()).cloned() else { return next.run(request).await };
    let mut keys = request.headers().get_all(KEY).iter();
    let Some(key) = keys.next() else { return next.run(request).await };
    let key = if keys.next().is_some() { "" } else { key.to_str().unwrap_or_default() };
    let seen = Seen { fingerprint: fingerprint(&ctx, &request), parts: Parts::of(request.headers()), bytes: 0 };
    let asked = Asked { key: key.to_owned(), route: format!("POST {path}"), seen, ctx };
    let answered = match limits::is_streamed(path) {
        true => asked.answer_streamed(request, next).await,
        false => asked.answer_buffered(limits::body_limit(path), request, next).await,
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// Of everything but the body. The parameters of a content type hold what a client makes anew for each attempt.
fn fingerprint(ctx: &Ctx, request: &Request) -> Fingerprint {
    let target = request.uri().path_and_query().map_or("", |text| text.as_str());
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Fingerprint::new(ctx, &format!("{target}\n{kind}"))
}

struct Asked {
    ctx: Ctx,
    key: String,
    route: String,
    seen: Seen,
}

impl Asked {
    async fn answer_buffered(mut self, limit: usize, request: Request, next: Next) -> Result<Response, Refusal> {
        let id = request.extensions().get::<RequestId>().cloned();
        let (parts, body) = request.into_parts();
        let bytes = to_bytes(body, limit).await.map_err(|error| refuse_body(&error, id.as_ref()))?;
        self.seen.note(&bytes);
        let request = Request::from_parts(parts, Body::from(bytes));
        finish_apart(self.ctx.clone(), ongoing(&request), async move {
            let own = self.seen.fingerprint.clone().finish();
            match self.begin(Some(&own)).await? {
                Begun::First(claim) => Ok(self.run(claim, request, next, move || own).await),
                Begun::Running => Err(running(&self.ctx)),
                Begun::Done { fingerprint, answer } => replay(&self.ctx, fingerprint == own, answer),
            }
        })
        .await
    }

    /// What was asked for is known when the body has been read; nothing of it is kept in memory.
    async fn answer_streamed(self, request: Request, next: Next) -> Result<Response, Refusal> {
        finish_apart(self.ctx.clone(), ongoing(&request), async move {
            match self.begin(None).await? {
                Begun::First(claim) => {
                    let seen = Arc::new(Mutex::new(self.seen.clone()));
                    let request = request.map(|body| Body::new(Watched { body, seen: seen.clone() }));
                    Ok(self.run(claim, request, next, move || lock(&seen).write()).await)
                }
                Begun::Running => Err(running(&self.ctx)),
                Begun::Done { fingerprint, answer } => {
                    let is_same = compare(self.seen, &fingerprint, request.into_body()).await;
                    replay(&self.ctx, is_same, answer)
                }
            }
        })
        .await
    }

    async fn begin(&self, fingerprint: Option<&str>) -> Result<Begun, Refusal> {
        idempotency::begin(&self.ctx, &self.key, &self.route, fingerprint).await.map_err(refuse(&self.ctx))
    }

    async fn run(self, claim: Claim, request: Request, next: Next, fingerprint: impl FnOnce() -> String) -> Response {
        let deadline = request.extensions().get::<Deadline>().cloned();
        let answer = async {
            match deadline {
                Some(deadline) => deadline.take_on(request, next).await,
                None => next.run(request).await,
            }
        };
        match AssertUnwindSafe(answer_while_held(&self.ctx, &claim, answer)).catch_unwind().await {
            Ok(response) => keep(&self.ctx, &claim, fingerprint, response).await,
            Err(panic) => {
                give_back(&self.ctx, &claim).await;
                std::panic::resume_unwind(panic)
            }
        }
    }
}

fn ongoing(request: &Request) -> Option<TaskTracker> {
    request.extensions().get::<Ongoing>().map(|Ongoing(tasks)| tasks.clone())
}

/// In a task of its own: whoever loses the connection now is just who asks again. Taking the key is part of it, or a connection that
/// ends in that moment would leave a key that nobody works under.
async fn finish_apart(
    ctx: Ctx,
    ongoing: Option<TaskTracker>,
    work: impl Future<Output = Result<Response, Refusal>> + Send + 'static,
) -> Result<Response, Refusal> {
    let work = work.in_current_span();
    let task = match ongoing {
        Some(tasks) => tasks.spawn(work),
        None => tokio::spawn(work),
    };
    match task.await {
        Ok(answered) => answered,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(refuse(&ctx)(Error::Unavailable("The server is stopping. Ask again with the same key.".to_owned()))),
    }
}

/// As the handler would have, had it read the body itself.
fn refuse_body(error: &axum::Error, id: Option<&RequestId>) -> Refusal {
    match error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
        true => Refusal::new(ErrorCode::TooLarge, "The body is too large for this call.", id),
        false => Refusal::new(ErrorCode::BadRequest, format!("The body could not be read: {error}"), id),
    }
}

async fn answer_while_held(ctx: &Ctx, claim: &Claim, answer: impl Future<Output = Response>) -> Response {
    let hold = async {
        idempotency::hold(ctx, claim).await;
        std::future::pending().await
    };
    tokio::select! {
        response = answer => response,
        never = hold => never,
    }
}

/// What did something is kept; what was refused or failed frees its key.
async fn keep(ctx: &Ctx, claim: &Claim, fingerprint: impl FnOnce() -> String, response: Response) -> Response {
    if response.status().as_u16() >= 400 {
        give_back(ctx, claim).await;
        return response;
    }
    let (parts, body) = response.into_parts();
    let is_short = body.size_hint().upper().is_some_and(|most| most <= ANSWER_MAX as u64);
    let (answer, body) = if is_short {
        let bytes = to_bytes(body, ANSWER_MAX).await.unwrap_or_default();
        let answer = Answer { status: parts.status.as_u16(), headers: headers_of(&parts.headers), body: bytes.to_vec() };
        (Some(answer), Body::from(bytes))
    } else {
        (None, body)
    };
    if let Err(error) = idempotency::finish(ctx, claim, &fingerprint(), parts.status.as_u16(), answer.as_ref()).await {
        tracing::error!(%error, "an answer could not be kept; asking again may do the same once more");
    }
    Response::from_parts(parts, body)
}

async fn give_back(ctx: &Ctx, claim: &Claim) {
    if let Err(error) = idempotency::release(ctx, claim).await {
        tracing::warn!(%error, "the key of a refused request could not be freed; it is free in a while");
    }
}

/// A cookie is for who signed in just then.
fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let kept = headers.iter().filter(|(name, _)| *name != header::SET_COOKIE && *name != header::CONTENT_LENGTH);
    kept.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}

fn running(ctx: &Ctx) -> Refusal {
    let detail = "The first request with this key is still being worked on. Ask again in a moment to get its answer.";
    Refusal::from(Error::conflict(detail).into_problem(ctx)).retry_after(WAIT_S)
}

fn replay(ctx: &Ctx, is_same: bool, answer: Option<Answer>) -> Result<Response, Refusal> {
    if !is_same {
        let detail = "This key was used for another request. Nothing was done; use a new key for each request.";
        let problem = Problem::invalid(vec![FieldError::new("Idempotency-Key", detail)]);
        return Err(Problem { request_id: Some(ctx.trace().to_owned()), ..problem }.into());
    }
    let Some(answer) = answer else {
        let detail = "This was done when it was asked for first, but its answer was too long to keep. Nothing was done again.";
        return Err(refuse(ctx)(Error::conflict(detail)));
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// How much of a body was read, and what it was.
#[derive(Clone)]
struct Seen {
    fingerprint: Fingerprint,
    parts: Parts,
    bytes: u64,
}

impl Seen {
    fn note(&mut self, data: &[u8]) {
        let Self { fingerprint, parts, bytes } = self;
        parts.pass(data, |piece| {
            fingerprint.feed(piece);
            *bytes += piece.len() as u64;
        });
    }

    fn write(&self) -> String {
        format!("{}@{}", self.fingerprint.clone().finish(), self.bytes)
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that is looked at on its way to a handler.
struct Watched {
    body: Body,
    seen: Arc<Mutex<Seen>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            lock(&self.seen).note(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a body is the one that was read then, of which the end need not have been looked at.
async fn compare(seen: Seen, known: &str, body: Body) -> bool {
    let Seen { mut fingerprint, mut parts, .. } = seen;
    let Some((known, length)) = known.split_once('@').and_then(|(known, length)| Some((known, length.parse::<u64>().ok()?))) else {
        return false;
    };
    let (mut left, mut trailing) = (length, 0);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else { return false };
        parts.pass(&piece, |bytes| {
            let own = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            fingerprint.feed(&bytes[..own]);
            left -= own as u64;
            trailing += (bytes.len() - own) as u64;
        });
        if trailing > TRAILING_MAX {
            return false;
        }
    }
    left == 0 && fingerprint.finish() == known
}
