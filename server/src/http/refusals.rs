//! Somebody tried what they may not: administration, what their role in a project does not reach, what their token was not made for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{extract::Request, http::StatusCode, middleware::Next, response::Response};
use domain::{
    Ctx,
    audit::{self, Facts},
};
use wire::{UserId, audit::AuditAction};

/// The same attempt of the same person is written down once in this time: whoever tries in a circle must not fill the log.
const ONCE_IN: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 10_000;

static TOLD: Mutex<Option<HashMap<(UserId, &'static str), Instant>>> = Mutex::new(None);

/// Around a route that is not for everybody: puts a refusal into the audit log. What is a secret to its caller is unknown, not refused.
pub async fn note_refusals(path: &'static str, request: Request, next: Next) -> Response {
    let ctx = request.extensions().get::<Ctx>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some(ctx) = ctx
        && let Some(user) = ctx.user_id()
        && is_news(user, path)
    {
        let facts = Facts::about("route", path, format!("{method} {path}")).refused();
        audit::record_alone(&ctx, AuditAction::AccessRefused, facts).await;
    }
    response
}

fn is_news(user: UserId, path: &'static str) -> bool {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = told.get_or_insert_default();
    if told.get(&(user, path)).is_some_and(|at| at.elapsed() < ONCE_IN) {
        return false;
    }
    if told.len() >= REMEMBERED {
        told.clear();
    }
    told.insert((user, path), Instant::now());
    true
}
