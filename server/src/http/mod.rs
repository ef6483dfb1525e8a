//! The HTTP doors: pages, server functions, REST and event streams over one context.

pub mod assets;
mod bytes;
mod ctx;
mod error;
mod extract;
mod generate;
mod health;
mod leptos;
mod limits;
mod linger;
mod live;
mod middleware;
mod oauth;
pub mod openapi;
mod refusals;
mod rest;
pub mod routes;
mod terminal;

use std::{sync::Arc, time::Duration};

use agent::{Pool, TerminalRelay};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use domain::Services;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{config::HttpConfig, limits::Limits, preview::PreviewHub};
pub use ctx::{Ongoing, PeerAddress};
pub use linger::Lingering;
use middleware::{Origins, RateGate};
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
    /// How many requests are taken; `None` where it does not matter.
    pub limits: Option<Arc<Limits>>,
    /// Ends event streams when the server stops.
    pub shutdown: CancellationToken,
}

/// Bodies of what is in no table: pages, which take none.
const BODY_LIMIT: usize = 64 * 1024;

/// Longest silence within a request body. An upload may take hours, but not hang.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// The whole site. The table lists every route but the files below `/pkg/`.
pub fn router(state: AppState) -> (Router, Vec<Route>) {
    let (router, table) = declare().finish();
    let gate = RateGate::new(state.limits.clone(), state.clone(), &table);
    let origins = Origins::new(&state.config.edge);
    let router = router
        .merge(leptos::pages())
        .fallback(leptos::fallback)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(middleware::limit_time))
        .layer(from_fn_with_state(gate.clone(), middleware::limit_callers))
        .layer(from_fn_with_state(state.clone(), ctx::attach))
        .layer(from_fn_with_state(state.clone(), middleware::refuse_foreign))
        .layer(from_fn_with_state(gate, middleware::limit_addresses))
        .layer(from_fn_with_state(origins, middleware::allow_origins))
        .layer(from_fn_with_state(state.clone(), middleware::compress))
        .route("/pkg/{*path}", get(assets::serve))
        .layer(from_fn_with_state(state.clone(), middleware::refuse_unknown_hosts));
    let router = health::routes(router)
        .layer(from_fn(middleware::refuse_oversized))
        .layer(from_fn(middleware::catch_panics))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        .layer(from_fn_with_state(state.clone(), middleware::set_security_headers))
        .layer(from_fn_with_state(state.clone(), middleware::observe))
        // Before anything of this site: what previews send and get is none of it.
        .layer(from_fn_with_state(state.clone(), middleware::answer_previews))
        .with_state(state);
    (router, table)
}

fn declare() -> Routes {
    let routes = openapi::declare(rest::declare(Routes::default()));
    let routes = oauth::declare(generate::declare(terminal::declare(live::declare(routes))));
    leptos::declare_server_functions(routes)
}
