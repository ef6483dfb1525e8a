use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, timeout_at};
use wire::ErrorCode;

use crate::http::{error::Refusal, limits::request_time, middleware::RequestId};

/// A path of the greatest length with every byte escaped, and a query.
const ADDRESS_MAX: usize = 16 * 1024;
/// Names and values of all headers. The listener bounds their number.
const HEADERS_MAX: usize = 32 * 1024;
const WAIT_S: u32 = 5;

/// Heads of requests that nobody means seriously.
pub async fn refuse_oversized(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>();
    let refusal = if request.uri().path_and_query().map_or(0, |text| text.as_str().len()) > ADDRESS_MAX {
        let detail = format!("The address of this request is longer than {ADDRESS_MAX} bytes.");
        Refusal::new(ErrorCode::BadRequest, detail, id).status(StatusCode::URI_TOO_LONG, "The address is too long")
    } else if size_of(request.headers()) > HEADERS_MAX {
        let detail = format!("The headers of this request are larger than {HEADERS_MAX} bytes. Removing cookies of this site may help.");
        Refusal::new(ErrorCode::BadRequest, detail, id).status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large")
    } else if request.headers().get_all(header::HOST).iter().count() > 1 {
        Refusal::new(ErrorCode::BadRequest, "This request names more than one host.", id)
    } else {
        return next.run(request).await;
    };
    refusal.into_response()
}

fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Answers for a handler that takes too long. Dropping it undoes what it had not finished.
pub async fn limit_time(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match request_time(request.method(), path) {
        Some(limit) => within(limit, request, next).await,
        None => next.run(request).await,
    }
}

/// When a request is given up. Who takes it on into a task of its own sees to that there: dropping a handle ends no task.
#[derive(Debug, Clone)]
pub struct Deadline {
    limit: Duration,
    at: Instant,
    is_taken_on: Arc<AtomicBool>,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        Self { limit, at: Instant::now() + limit, is_taken_on: Arc::default() }
    }

    /// Runs a handler until then, and refuses for it.
    pub async fn take_on(self, request: Request, next: Next) -> Response {
        self.is_taken_on.store(true, Ordering::Release);
        let id = request.extensions().get::<RequestId>().cloned();
        timeout_at(self.at, next.run(request)).await.unwrap_or_else(|_| give_up(self.limit, id.as_ref()))
    }
}

async fn within(limit: Duration, mut request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let deadline = Deadline::new(limit);
    request.extensions_mut().insert(deadline.clone());
    let mut answer = pin!(next.run(request));
    match timeout_at(deadline.at, answer.as_mut()).await {
        Ok(response) => response,
        Err(_) if deadline.is_taken_on.load(Ordering::Acquire) => answer.await,
        Err(_) => give_up(limit, id.as_ref()),
    }
}

fn give_up(limit: Duration, id: Option<&RequestId>) -> Response {
    tracing::error!("a request was given up because it took too long");
    let seconds = limit.as_secs();
    let detail = format!("This took longer than {seconds} s and was given up. What it had not finished was undone; try again later.");
    Refusal::new(ErrorCode::Unavailable, detail, id).retry_after(WAIT_S).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt;

    use super::*;
    use crate::http::middleware::catch_panics;

    async fn ask(router: Router, path: &str) -> Response {
        router.oneshot(Request::builder().uri(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up_with_a_reason() {
        let slow = |_: Request| async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            "late"
        };
        let limit = |request: Request, next: Next| within(Duration::from_millis(20), request, next);
        let response = ask(Router::new().route("/", get(slow)).layer(from_fn(limit)), "/").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn what_goes_on_in_a_task_of_its_own_is_given_up_there() {
        struct Told(Arc<AtomicBool>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let slow = move |_: Request| {
            let told = Told(told.clone());
            async move {
                tokio::time::sleep(Duration::from_secs(20)).await;
                drop(told);
                "late"
            }
        };
        let detach = |request: Request, next: Next| async move {
            let deadline = request.extensions().get::<Deadline>().cloned().unwrap();
            tokio::spawn(deadline.take_on(request, next)).await.unwrap()
        };
        let limit = |request: Request, next: Next| within(Duration::from_millis(20), request, next);
        let router = Router::new().route("/", get(slow)).layer(from_fn(detach)).layer(from_fn(limit));
        assert_eq!(ask(router.clone(), "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(is_over.load(Ordering::Acquire), "the work has ended before the answer says so");
    }

    #[tokio::test]
    async fn a_handler_that_panics_answers_and_says_nothing_of_it() {
        async fn broken() -> &'static str {
            panic!("the secret is 42")
        }
        let response = ask(Router::new().route("/", get(broken)).layer(from_fn(catch_panics)), "/").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("42"));
    }
}
