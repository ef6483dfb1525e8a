use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

use crate::config::EdgeConfig;

/// Put on requests of origins that an administrator named. They come without cookies, so they act as nobody who did not give them a token.
#[derive(Debug, Clone, Copy)]
pub struct NamedOrigin;

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const TAKEN: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("last-event-id"),
    header::RANGE,
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("x-request-id"),
];
const SHOWN: [HeaderName; 12] = [
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ETAG,
    HeaderName::from_static("idempotency-replayed"),
    header::LOCATION,
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
    header::RETRY_AFTER,
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("x-file-version"),
    HeaderName::from_static("x-request-id"),
];
const REMEMBERED: Duration = Duration::from_secs(600);

/// The origins in CORS_ORIGINS, and what they are told.
#[derive(Clone)]
pub struct Origins {
    named: Arc<[HeaderValue]>,
    layer: CorsLayer,
}

impl Origins {
    pub fn new(config: &EdgeConfig) -> Self {
        let named: Vec<HeaderValue> = config.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
        let layer = CorsLayer::new()
            .allow_origin(named.clone())
            .allow_methods(METHODS)
            .allow_headers(TAKEN)
            .expose_headers(SHOWN)
            .vary([header::ORIGIN])
            .max_age(REMEMBERED);
        Self { named: named.into(), layer }
    }
}

/// Lets scripts of the origins in CORS_ORIGINS use the API with a token. Cookies that a browser sends along don't count.
pub async fn allow_origins(State(origins): State<Origins>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if origins.named.is_empty() || !(path == "/api" || path.starts_with("/api/")) {
        return next.run(request).await;
    }
    if !request.headers().get(header::ORIGIN).is_some_and(|origin| origins.named.contains(origin)) {
        let mut response = next.run(request).await;
        // A cache must not give it to one of them.
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        return response;
    }
    request.headers_mut().remove(header::COOKIE);
    request.extensions_mut().insert(NamedOrigin);
    origins.layer.layer(next).oneshot(request).await.unwrap_or_else(|never| match never {})
}
