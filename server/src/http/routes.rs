//! The one way to declare a route: what is not in this table does not exist, and what is in it says who may come.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::Method,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use domain::Ctx;
use wire::tokens::Scope;

use super::{
    AppState,
    error::refuse,
    limits, middleware,
    openapi::signature::{Endpoint, Signature},
    refusals::note_refusals,
};

/// Who a route is for. `domain` decides; this is what is promised, and what the authorisation test holds each route to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Anybody who is signed in, about themselves.
    SignedIn,
    /// Members of the project that the path names; unknown to everybody else.
    Member,
    /// Administrators.
    Admin,
}

/// What a program needs for a route besides the account's own rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is for anybody.
    Nothing,
    /// An API token with this scope, where one is used.
    Scope(Scope),
    /// A person who signed in; API tokens are refused.
    Session,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    pub needs: Needs,
}

/// Builds the router and the table together.
#[derive(Default)]
pub struct Routes {
    router: Router<AppState>,
    table: Vec<Route>,
    signatures: Vec<Option<fn() -> Signature>>,
}

impl Routes {
    /// Adds one method of one path. Unless it is public, nobody gets past the door, so that no body is read from strangers.
    pub fn add(mut self, method: Method, path: &'static str, access: Access, endpoint: impl Into<Endpoint>) -> Self {
        let Endpoint { handler, signature } = endpoint.into();
        let needs = needs_of(&method, path, access);
        let check = move |request: Request, next: Next| refuse_unentitled(needs, request, next);
        let handler = handler.route_layer(DefaultBodyLimit::max(limits::body_limit(path)));
        let handler = match access {
            Access::Public => handler,
            _ if method == Method::POST && path.starts_with("/api/") => {
                let once = move |request: Request, next: Next| middleware::once(path, request, next);
                handler.route_layer(from_fn(once)).route_layer(from_fn(check))
            }
            _ => handler.route_layer(from_fn(check)),
        };
        let handler = match access {
            Access::Public => handler,
            _ => handler.route_layer(from_fn(move |request: Request, next: Next| note_refusals(path, request, next))),
        };
        self.router = self.router.route(path, handler);
        self.table.push(Route { method, path, access, needs });
        self.signatures.push(signature);
        self
    }

    pub fn finish(self) -> (Router<AppState>, Vec<Route>) {
        (self.router, self.table)
    }

    /// Each route with what its handler's types say.
    pub fn described(self) -> Vec<(Route, Option<Signature>)> {
        self.table.into_iter().zip(self.signatures.into_iter().map(|signature| signature.map(|read| read()))).collect()
    }
}

/// What is about who can sign in, and so never for programs: the tails below `/api/users/me`.
const OF_THE_PERSON: [&str; 10] = [
    "/password",
    "/second-factor",
    "/sessions",
    "/tokens",
    "/totp",
    "/recovery-codes",
    "/passkeys",
    "/identities",
    "/export",
    "/model-keys",
];

/// What administrators do themselves: what decides who can sign in as whom, or administers. And only a person can say why somebody
/// else's project has to be read.
const IN_PERSON: [(&str, &str); 5] = [
    ("PATCH", "/api/admin/users/{id}"),
    ("POST", "/api/admin/users/{id}/reset-link"),
    ("DELETE", "/api/admin/users/{id}/second-factor"),
    ("PUT", "/api/admin/settings/accounts"),
    ("POST", "/api/admin/projects/{id}/access"),
];

/// One rule for all routes, so that a new one is never open by oversight: looking is `read`; what acts is by what it acts on.
pub fn needs_of(method: &Method, path: &str, access: Access) -> Needs {
    if access == Access::Public {
        return Needs::Nothing;
    }
    if let Some(own) = path.strip_prefix("/api/users/me")
        && (OF_THE_PERSON.iter().any(|part| own.starts_with(part)) || (own.is_empty() && *method != Method::GET))
    {
        return Needs::Session;
    }
    if access == Access::Admin && IN_PERSON.contains(&(method.as_str(), path)) {
        return Needs::Session;
    }
    // Server functions are the pages' own, signing out is about the session, and a preview's pass is bound to one.
    if path.starts_with("/fn/") || path.starts_with("/api/auth/") || path.contains("/previews/") {
        return Needs::Session;
    }
    let names = |words: &[&str]| path.split(['/', ':']).any(|part| words.contains(&part));
    Needs::Scope(if access == Access::Admin {
        Scope::Admin
    } else if path.ends_with("/ws") {
        Scope::Run
    } else if path == "/ws/generate" || path == "/api/v1/generate" {
        Scope::Agent
    } else if *method == Method::GET || *method == Method::HEAD {
        Scope::Read
    } else if names(&["runs", "terminals", "tests"]) {
        Scope::Run
    } else if names(&[
        "conversations",
        "turns",
        "change-sets",
        "proposals",
        "rewinds",
        "prompts",
        "queue",
        "context",
        "images",
        "comments",
        "permissions",
    ]) {
        Scope::Agent
    } else {
        Scope::Write
    })
}

/// What somebody may call who has to set up a second factor first; `domain` decides each of them once more.
fn is_for_setting_up(path: &str) -> bool {
    const TOPS: [&str; 5] =
        ["/api/users/me/second-factor", "/api/users/me/totp", "/api/users/me/passkeys", "/fn/second_factor/", "/fn/passkeys/"];
    path == "/api/auth/logout" || TOPS.iter().any(|top| path.starts_with(top))
}

async fn refuse_unentitled(needs: Needs, request: Request, next: Next) -> Response {
    let Some(ctx) = request.extensions().get::<Ctx>() else { return axum::http::StatusCode::UNAUTHORIZED.into_response() };
    let allowed = match needs {
        Needs::Session if is_for_setting_up(request.uri().path()) => ctx.require_account().map(|_| ()),
        _ if ctx.user().is_none() => ctx.require_user().map(|_| ()),
        Needs::Nothing => Ok(()),
        Needs::Scope(scope) => ctx.require_scope(scope),
        Needs::Session => ctx.require_session().map(|_| ()),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => refuse(ctx)(error).into_response(),
    }
}
