//! The one way to declare a route: what is not in this table does not exist, and what is in it says who may come.

use axum::{
    Router,
    extract::Request,
    http::Method,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use domain::{Ctx, Error};

use super::{AppState, error::refuse};

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
}

/// Builds the router and the table together.
#[derive(Default)]
pub struct Routes {
    router: Router<AppState>,
    table: Vec<Route>,
}

impl Routes {
    /// Adds one method of one path. Unless it is public, nobody gets past the door, so that no body is read from strangers.
    pub fn add(mut self, method: Method, path: &'static str, access: Access, handler: MethodRouter<AppState>) -> Self {
        let handler = if access == Access::Public { handler } else { handler.route_layer(from_fn(refuse_nobody)) };
        self.router = self.router.route(path, handler);
        self.table.push(Route { method, path, access });
        self
    }

    pub fn finish(self) -> (Router<AppState>, Vec<Route>) {
        (self.router, self.table)
    }
}

async fn refuse_nobody(request: Request, next: Next) -> Response {
    match request.extensions().get::<Ctx>() {
        Some(ctx) if ctx.user().is_some() => next.run(request).await,
        Some(ctx) => refuse(ctx)(Error::NotSignedIn).into_response(),
        None => axum::http::StatusCode::UNAUTHORIZED.into_response(),
    }
}
