//! The HTTP doors: pages, server functions, REST and event streams over one context.

pub mod assets;
mod bytes;
mod ctx;
mod error;
mod extract;
mod generate;
mod health;
mod leptos;
mod linger;
mod live;
mod middleware;
mod rest;
pub mod routes;
mod terminal;

use std::{sync::Arc, time::Duration};

use agent::{Pool, TerminalRelay};
use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state, routing::get};
use domain::Services;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{config::HttpConfig, preview::PreviewHub};
pub use ctx::PeerAddress;
pub use linger::Lingering;
use routes::{Route, Routes};

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub services: Arc<Services>,
    pub config: Arc<HttpConfig>,
    /// The clients that models are asked through.
    pub models: Arc<Pool>,
    /// The way to the terminals.
    pub terminals: Arc<dyn TerminalRelay>,
    /// What listens inside runs.
    pub previews: PreviewHub,
    /// Ends event streams when the server stops.
    pub shutdown: CancellationToken,
}

/// JSON bodies of REST calls.
const JSON_LIMIT: usize = 8 * 1024 * 1024;

/// Longest silence within a request body. An upload may take hours, but not hang.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// The whole site. The table lists every route but the files below `/pkg/`.
pub fn router(state: AppState) -> (Router, Vec<Route>) {
    let (router, table) = declare().finish();
    let router = router
        .merge(leptos::pages())
        .fallback(leptos::fallback)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(from_fn_with_state(state.clone(), ctx::attach))
        .layer(from_fn_with_state(state.clone(), middleware::refuse_foreign))
        .route("/pkg/{*path}", get(assets::serve))
        .layer(from_fn_with_state(state.clone(), middleware::refuse_unknown_hosts));
    let router = health::routes(router)
        .layer(axum::middleware::from_fn(middleware::catch_panics))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        .layer(from_fn_with_state(state.clone(), middleware::set_security_headers))
        .layer(from_fn_with_state(state.clone(), middleware::observe))
        // Before anything of this site: what previews send and get is none of it.
        .layer(from_fn_with_state(state.clone(), middleware::answer_previews))
        .with_state(state);
    (router, table)
}

fn declare() -> Routes {
    let routes = rest::declare(Routes::default());
    let routes = generate::declare(terminal::declare(live::declare(routes)));
    leptos::declare_server_functions(routes)
}
