use std::io::Write;

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use wire::ErrorCode;

use crate::http::{
    AppState,
    assets::accepts,
    error::Refusal,
    middleware::{RequestId, is_same_origin},
};

/// Fewer bytes fit into the packet that carries the headers.
const MIN: u64 = 1024;
/// Above it, compressing would hold up what else the thread serves.
const INLINE_MAX: usize = 64 * 1024;
/// More takes longer to compress than most networks take to carry it.
const MAX: u64 = 8 * 1024 * 1024;
/// Of nine: a quarter quicker than six, for 2 % more bytes.
const LEVEL: u32 = 4;
const HTML: &str = "text/html";
const COMPRESSED: [&str; 3] = [HTML, "application/json", "application/problem+json"];
/// What is sent as a file, or in part, or is known by its checksum, stays as it is.
const AS_IT_IS: [header::HeaderName; 4] = [header::CONTENT_ENCODING, header::CONTENT_RANGE, header::CONTENT_DISPOSITION, header::ETAG];

/// Compresses pages and answers of server functions and REST. Streams are left alone, and so is what another site made a browser ask
/// for: how long that gets would tell who listens on the way what of a guess stands in it.
pub async fn compress(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let is_wanted = accepts(request.headers(), "gzip") && is_same_origin(request.headers(), &app.config);
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    if !is_worth_it(&response) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !is_wanted {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let compressed = match to_bytes(body, usize::MAX).await {
        Ok(bytes) if bytes.len() <= INLINE_MAX => Some(gzip(&bytes)),
        Ok(bytes) => tokio::task::spawn_blocking(move || gzip(&bytes)).await.ok(),
        Err(_) => None,
    };
    let Some(compressed) = compressed else {
        return Refusal::new(ErrorCode::Internal, "The answer could not be written. Ask again.", id.as_ref()).into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, Body::from(compressed))
}

/// A page is whole before it is sent, though its body does not say how long it is.
fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let Some(kind) = kind_of(headers).filter(|kind| COMPRESSED.contains(kind)) else { return false };
    let is_sized = match response.body().size_hint().exact() {
        Some(size) => (MIN..=MAX).contains(&size),
        None => kind == HTML,
    };
    is_sized && !AS_IT_IS.iter().any(|name| headers.contains_key(name))
}

fn kind_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(LEVEL));
    // Writing to memory does not fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory takes what is written").into()
}
