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
    if let Error::SecondFactor { cookie: Some(ticket), .. } = &error {
        set_cookie(ticket);
    }
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

/// What a browser holds between the steps of signing in. It may hold several of one name.
pub fn step_tickets() -> Vec<String> {
    let secure = use_context::<Ctx>().is_some_and(|ctx| ctx.services().settings.secure_cookies);
    let name = domain::second_factor::step_cookie_name(secure);
    let Some(request) = use_context::<http::request::Parts>() else { return Vec::new() };
    let lines = request.headers.get_all(http::header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(own, value)| *own == name && !value.is_empty()).map(|(_, value)| value.to_owned()).take(4).collect()
}

/// Ends the last step: the session begins, and the browser goes to `next` (a path of this site).
pub fn finish_sign_in(ctx: &Ctx, cookie: &str, next: Option<&str>) {
    set_cookie(cookie);
    set_cookie(&domain::second_factor::clear_step_cookie(ctx));
    leptos_axum::redirect(&domain::auth::safe_next(next));
}

/// Puts the browser's session cookie on the response.
pub fn set_session_cookie(cookie: &str) {
    set_cookie(cookie);
}

fn set_cookie(cookie: &str) {
    if let (Some(response), Ok(value)) = (use_context::<ResponseOptions>(), http::HeaderValue::from_str(cookie)) {
        response.append_header(http::header::SET_COOKIE, value);
    }
}
