use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::Ctx;
use futures::FutureExt;
use tracing::{Instrument, Span, field};
use wire::ErrorCode;

use crate::{
    http::{AppState, error::Refusal},
    metrics::Counted,
};

/// Names one request in logs, in problems and in `x-request-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

const HEADER: &str = "x-request-id";
const LONGEST: usize = 64;

/// Gives the request its id, counts it and writes one line when it has been answered.
pub async fn observe(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = accept(request.headers()).unwrap_or_else(|| app.services.ids.new_uuid().to_string());
    let method = word_of(request.method());
    // The pattern, never the path: paths hold file names.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    // At this level, so that warnings name their request whatever the log leaves out.
    let span = tracing::error_span!(
        "request", request_id = %id, http.method = method, http.route = %route, status = field::Empty, user.id = field::Empty,
        project.id = field::Empty, traceparent = field::Empty
    );
    if let Some(parent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).filter(|text| is_traceparent(text)) {
        span.record("traceparent", parent);
    }
    let answering = Answering::begin(method, route, span.clone());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    answering.end(response.status());
    response
}

/// A request that is being answered. Dropped before that it is told as abandoned: its caller went away.
struct Answering {
    method: &'static str,
    route: String,
    span: Span,
    started: Instant,
    status: Option<StatusCode>,
    _in_flight: Counted,
}

impl Answering {
    fn begin(method: &'static str, route: String, span: Span) -> Self {
        let in_flight = Counted::begin(metrics::gauge!("cloudxdevai_http_requests_in_flight"));
        Self { method, route, span, started: Instant::now(), status: None, _in_flight: in_flight }
    }

    fn end(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let duration_ms = took.as_micros() as f64 / 1000.0;
        let route = std::mem::take(&mut self.route);
        if let Some(status) = self.status {
            self.span.record("status", status.as_u16());
            self.span.in_scope(|| tracing::info!(duration_ms, "request answered"));
        } else {
            self.span.in_scope(|| tracing::info!(duration_ms, "request abandoned: its caller went away"));
        }
        if self.status == Some(StatusCode::TOO_MANY_REQUESTS) {
            metrics::counter!("cloudxdevai_rate_limited_total", "route" => route.clone()).increment(1);
        }
        let status = self.status.map_or("abandoned", class_of);
        metrics::counter!("cloudxdevai_http_requests_total", "method" => self.method, "route" => route.clone(), "status" => status)
            .increment(1);
        metrics::histogram!("cloudxdevai_http_request_duration_seconds", "method" => self.method, "route" => route).record(took);
    }
}

/// Writes down whose request this is, once that is known.
pub fn note_caller(ctx: &Ctx) {
    if let Some(id) = ctx.user_id() {
        Span::current().record("user.id", field::display(id));
    }
}

/// A method as a label. Anybody may make up more of them.
fn word_of(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    const WORDS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.iter().position(|known| known == method).map_or("other", |place| WORDS[place])
}

fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

/// `00-<trace>-<span>-<flags>`, all in hexadecimal: by which trace of another service a request belongs to.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55 && text.starts_with("00-") && text.split('-').map(str::len).eq([2, 32, 16, 2]) && {
        text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_few_values() {
        assert_eq!((word_of(&Method::GET), word_of(&Method::from_bytes(b"BREW").unwrap())), ("GET", "other"));
        assert_eq!((class_of(StatusCode::SWITCHING_PROTOCOLS), class_of(StatusCode::IM_A_TEAPOT)), ("1xx", "4xx"));
    }

    #[test]
    fn only_a_well_formed_parent_is_taken_over() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for wrong in
            ["", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n"]
        {
            assert!(!is_traceparent(wrong), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn who_goes_away_before_the_answer_is_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let begin = || Answering::begin("GET", "/x".to_owned(), Span::none());
            drop(begin());
            begin().end(StatusCode::OK);
        });
        let shown = shown.render();
        for status in ["abandoned", "2xx"] {
            let series = format!("cloudxdevai_http_requests_total{{method=\"GET\",route=\"/x\",status=\"{status}\"}} 1");
            assert!(shown.contains(&series), "{series} is not in {shown}");
        }
    }
}
