//! How a server function finds its caller. The context itself is made by the HTTP layer and only handed through here.

use domain::{Ctx, Error};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use wire::{ErrorCode, Problem};

use super::ApiError;

/// The context of this request, signed in or not.
#[expect(clippy::result_large_err, reason = "it is made once per refused call, and is what the call answers")]
pub fn current() -> Result<Ctx, ApiError> {
    use_context::<Ctx>().ok_or_else(|| ApiError(Problem::new(ErrorCode::Internal, "This request has no context.")))
}

/// Maps a refusal of the domain, and gives the response its status.
pub fn refuse(error: Error) -> ApiError {
    let problem = match use_context::<Ctx>() {
        Some(ctx) => error.into_problem(&ctx),
        None => Problem::new(ErrorCode::Internal, "Something failed on the server."),
    };
    if !is_plain_form()
        && let Some(response) = use_context::<ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(problem.status)
    {
        response.set_status(status);
    }
    ApiError(problem)
}

/// A form that was sent without a script: its answer is a redirect, whose status must stay.
fn is_plain_form() -> bool {
    use_context::<http::request::Parts>().is_some_and(|request| {
        let accept = request.headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        request.method == http::Method::POST && accept.contains("text/html")
    })
}

/// The host, with its port, under which the browser reached us; empty when it did not say.
pub fn host() -> String {
    let request = use_context::<http::request::Parts>();
    let host = request.as_ref().and_then(|request| request.headers.get(http::header::HOST)).and_then(|host| host.to_str().ok());
    host.unwrap_or_default().to_owned()
}

/// Puts the browser's session cookie on the response.
pub fn set_session_cookie(cookie: &str) {
    if let (Some(response), Ok(value)) = (use_context::<ResponseOptions>(), http::HeaderValue::from_str(cookie)) {
        response.append_header(http::header::SET_COOKIE, value);
    }
}
