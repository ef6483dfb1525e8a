use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::http::AppState;

/// What an inline script of this one response must carry.
#[derive(Debug, Clone)]
pub struct Nonce(pub Arc<str>);

const FIXED: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Forms that work without a script find their way back by it; other sites never see it.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    ),
];

/// Puts the security headers on every response; a handler may set a stricter policy of its own.
pub async fn set_security_headers(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let mut random = [0; 16];
    app.services.ids.fill(&mut random);
    let nonce: Arc<str> = URL_SAFE_NO_PAD.encode(random).into();
    request.extensions_mut().insert(Nonce(nonce.clone()));
    let path = request.uri().path();
    let stored = if path.starts_with("/api/") || path.starts_with("/fn/") { "no-store" } else { "private, no-cache" };

    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_policy(&nonce)) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(stored));
    if app.config.is_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Styles need `'unsafe-inline'` for the editor; scripts never do.
fn content_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; media-src blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
    )
}
