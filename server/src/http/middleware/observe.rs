use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tracing::Instrument;
use wire::ErrorCode;

use crate::http::{AppState, error::Refusal};

/// Names one request in logs, in problems and in `x-request-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

const HEADER: &str = "x-request-id";
const LONGEST: usize = 64;

/// Gives the request its id and writes one line when it has been answered.
pub async fn observe(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = accept(request.headers()).unwrap_or_else(|| app.services.ids.new_uuid().to_string());
    let method = request.method().clone();
    // The pattern, never the path: paths hold file names.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", request_id = %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let duration_ms = started.elapsed().as_micros() as f64 / 1000.0;
    span.in_scope(|| {
        tracing::info!(http.method = %method, http.route = %route, status = response.status().as_u16(), duration_ms, "request answered");
    });
    response
}

/// A caller's own id is kept where it can't do harm in a log line.
fn accept(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!id.is_empty() && id.len() <= LONGEST && id.chars().all(plain)).then(|| id.to_owned())
}

/// A bug in one handler answers 500 and leaves the rest alone.
pub async fn catch_panics(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            tracing::error!(panic = text.unwrap_or("of an unknown kind"), "a handler panicked");
            Refusal::new(ErrorCode::Internal, "Something failed on the server.", id.as_ref()).into_response()
        }
    }
}
