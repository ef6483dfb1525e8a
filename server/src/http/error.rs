//! Refusals as `application/problem+json`.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Ctx, Error};
use wire::{ErrorCode, Problem};

use super::middleware::RequestId;

/// What a handler answers when it can't do what was asked.
#[derive(Debug)]
pub struct Refusal(Box<Problem>);

pub type Answer<T> = Result<T, Refusal>;

/// Maps a refusal of the domain for this caller; to be given to `map_err`.
pub fn refuse(ctx: &Ctx) -> impl Fn(Error) -> Refusal + '_ {
    |error| Refusal(Box::new(error.into_problem(ctx)))
}

impl Refusal {
    pub fn new(code: ErrorCode, detail: impl Into<String>, request_id: Option<&RequestId>) -> Self {
        let mut problem = Problem::new(code, detail);
        problem.request_id = request_id.map(|id| id.0.clone());
        Self(Box::new(problem))
    }

    /// Says when to come back, in the problem and in `Retry-After`.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// For what has a status of its own, but no word.
    pub fn status(mut self, status: StatusCode, title: &str) -> Self {
        self.0.status = status.as_u16();
        self.0.title = title.to_owned();
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = problem.retry_after;
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// No route has this path.
pub fn not_found(request: &Request) -> Refusal {
    Refusal::new(ErrorCode::NotFound, "There is nothing at this address.", request.extensions().get::<RequestId>())
}

/// The path exists, the method doesn't; `Allow` is added by the router.
pub async fn method_not_allowed(request: Request) -> Refusal {
    let detail = format!("This address does not take {}.", request.method());
    let mut refusal = Refusal::new(ErrorCode::BadRequest, detail, request.extensions().get::<RequestId>());
    refusal.0.status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    refusal.0.title = "Method not allowed".to_owned();
    refusal
}
