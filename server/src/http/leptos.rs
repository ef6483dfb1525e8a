//! Pages and server functions of `app`.

use app::{
    App,
    components::preferences::Kept,
    shell::{ShellOptions, shell},
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use domain::Ctx;
use http_body_util::Limited;
use leptos::{
    nonce::Nonce as LeptosNonce,
    prelude::{provide_context, use_context},
};
use leptos_axum::{AxumRouteListing, generate_route_list, handle_server_fns_with_context, render_app_async_with_context};
use server_fn::error::SERVER_FN_ERROR_HEADER;
use wire::{ErrorCode, Problem};

use super::{
    AppState, assets,
    error::{self, Refusal},
    middleware::{Nonce, RequestId},
    routes::{Access, Routes},
};

/// Text saved from the editor, with what JSON adds to it.
const FUNCTION_LIMIT: usize = 12 * 1024 * 1024;

const REFUSAL_LIMIT: usize = 1024 * 1024;

/// What may be called without an account; the rest of the table below follows the prefix.
const PUBLIC_FUNCTIONS: &[&str] = &[
    "/fn/identities/providers",
    "/fn/auth/viewer",
    "/fn/auth/second_step",
    "/fn/auth/step_ways",
    "/fn/auth/begin_passkey",
    "/fn/auth/passkey",
    "/fn/auth/login",
    "/fn/auth/register",
    "/fn/auth/forgot",
    "/fn/auth/link",
    "/fn/auth/reset",
    "/fn/auth/logout",
];

/// What is about the caller, or begins something new, and so hangs on no project.
const SIGNED_IN_FUNCTIONS: &[&str] = &[
    "/fn/projects/list",
    "/fn/projects/create",
    "/fn/projects/create_sample",
    "/fn/dashboard/mine",
    "/fn/imports/git",
    "/fn/storage/choices",
    "/fn/budgets/mine",
    "/fn/usage/mine",
    "/fn/users/update_me",
    "/fn/users/change_password",
    "/fn/users/delete_me",
    "/fn/auth/logout_everywhere",
    "/fn/sessions/list",
    "/fn/sessions/revoke",
    "/fn/sessions/revoke_others",
    "/fn/identities/mine",
    "/fn/identities/begin_link",
    "/fn/identities/unlink",
    "/fn/preferences/get",
    "/fn/preferences/update",
    "/fn/models/list",
    "/fn/second_factor/status",
    "/fn/second_factor/begin_totp",
    "/fn/second_factor/confirm_totp",
    "/fn/second_factor/disable_totp",
    "/fn/second_factor/make_recovery_codes",
    "/fn/passkeys/list",
    "/fn/passkeys/begin_add",
    "/fn/passkeys/add",
    "/fn/passkeys/rename",
    "/fn/passkeys/remove",
    "/fn/tokens/list",
    "/fn/tokens/create",
    "/fn/tokens/revoke",
    "/fn/models/own_keys",
    "/fn/models/set_own_key",
    "/fn/models/remove_own_key",
];

/// Every server function at its own address, in the same table as REST.
pub fn declare_server_functions(mut routes: Routes) -> Routes {
    for (path, method) in server_fn::axum::server_fn_paths() {
        let access = match path {
            path if PUBLIC_FUNCTIONS.contains(&path) => Access::Public,
            path if path.starts_with("/fn/admin/") || path.starts_with("/fn/settings/") => Access::Admin,
            path if SIGNED_IN_FUNCTIONS.contains(&path) => Access::SignedIn,
            _ => Access::Member,
        };
        let Ok(filter) = MethodFilter::try_from(method.clone()) else { continue };
        routes = routes.add(method, path, access, on(filter, call_server_function));
    }
    routes
}

async fn call_server_function(request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if length.is_some_and(|length| length > FUNCTION_LIMIT) {
        return Refusal::new(ErrorCode::TooLarge, "This is more than one call takes. Upload it as a file instead.", id.as_ref())
            .into_response();
    }
    let request = request.map(|body| Body::new(Limited::new(body, FUNCTION_LIMIT)));
    let response = handle_server_fns_with_context(provide_request_context, request).await.into_response();
    blame_arguments(response, id.as_ref()).await
}

/// Arguments that can't be read are refused before any of our code runs, as if the server had failed. What our own code refuses
/// names its request, and is left alone.
async fn blame_arguments(response: Response, id: Option<&RequestId>) -> Response {
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR || !response.headers().contains_key(SERVER_FN_ERROR_HEADER) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let mut bytes = axum::body::to_bytes(body, REFUSAL_LIMIT).await.unwrap_or_default();
    if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes)
        && problem.request_id.is_none()
    {
        let detail = format!("The arguments of this call can't be read: {}", problem.detail);
        let problem = Problem { request_id: id.map(|id| id.0.clone()), ..Problem::new(ErrorCode::BadRequest, detail) };
        parts.status = StatusCode::BAD_REQUEST;
        parts.headers.remove(header::CONTENT_LENGTH);
        bytes = serde_json::to_vec(&problem).map_or(bytes, Into::into);
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// The pages that `app` routes.
pub fn pages() -> Router<AppState> {
    generate_route_list(App)
        .iter()
        .fold(Router::new(), |router, page: &AxumRouteListing| router.route(page.path(), on(MethodFilter::GET, render_page)))
}

async fn render_page(mut request: Request) -> Response {
    // The body of a request can't be shared while something is waited for.
    let ctx = request.extensions().get::<Ctx>().cloned();
    if let Some(kept) = preferences_of(ctx.as_ref()).await {
        request.extensions_mut().insert(kept);
    }
    let render = render_app_async_with_context(provide_request_context, || shell(ShellOptions::of_request()));
    let mut response = render(request).await;
    response.headers_mut().entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// What the person who is signed in chose about the looks. A page without it is better than none.
async fn preferences_of(ctx: Option<&Ctx>) -> Option<Kept> {
    let ctx = ctx?;
    let of = ctx.user_id()?;
    match domain::preferences::on_arrival(ctx).await {
        Ok(preferences) => Some(Kept { of, preferences }),
        Err(error) => {
            tracing::warn!(request_id = ctx.trace(), %error, "the preferences of a person can't be read; the page shows the first ones");
            None
        }
    }
}

/// Everything without a route: public files, the app's own page for what doesn't exist, problems for programs.
pub async fn fallback(request: Request) -> Response {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) || is_for_programs(path) {
        return error::not_found(&request).into_response();
    }
    if let Some(file) = assets::serve_public(path, request.headers()) {
        return file;
    }
    if !accepts_html(request.headers()) {
        return error::not_found(&request).into_response();
    }
    let mut response = render_page(request).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

fn is_for_programs(path: &str) -> bool {
    ["/api", "/fn", "/pkg"].iter().any(|top| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    accept.contains("text/html") || accept.contains("*/*")
}

/// The one context of the request, handed from the HTTP layer to the views and server functions.
fn provide_request_context() {
    let Some(parts) = use_context::<Parts>() else { return };
    if let Some(ctx) = parts.extensions.get::<Ctx>() {
        provide_context(ctx.clone());
    }
    if let Some(nonce) = parts.extensions.get::<Nonce>() {
        provide_context(LeptosNonce::from_value(nonce.0.clone()));
    }
    if let Some(kept) = parts.extensions.get::<Kept>() {
        provide_context(kept.preferences.appearance.clone());
        provide_context(kept.clone());
    }
    provide_context(assets::manifest());
}
