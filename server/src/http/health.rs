use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::sync::Mutex;
use wire::admin::{Check, CheckState, Health};

use super::AppState;

/// Anybody may ask, and each look touches the database and the disk: those who come within this time get the same answer.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// What was found last. Its lock is held while somebody looks, so that nobody else does.
type Found = Arc<Mutex<Option<(Instant, Health)>>>;

/// Outside the host check and the sign-in: probes come by address.
pub fn routes(router: Router<AppState>) -> Router<AppState> {
    let found = Found::default();
    let readiness = move |State(app): State<AppState>| answer(app, found.clone());
    router.route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(readiness.clone())).route("/health", get(readiness))
}

/// 503 with reasons as long as something fails that the product can't work without, and once the server is stopping.
async fn answer(app: AppState, found: Found) -> impl IntoResponse {
    let health = if app.shutdown.is_cancelled() { stopping() } else { look(&app, &found).await };
    let status = if health.state == CheckState::Failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(health))
}

async fn look(app: &AppState, found: &Found) -> Health {
    let mut found = found.lock().await;
    if let Some((at, health)) = &*found
        && at.elapsed() < SHARED_FOR
    {
        return health.clone();
    }
    let health = domain::health::check(&app.services).await;
    *found = Some((Instant::now(), health.clone()));
    health
}

/// Nothing is looked at any more: what runs is finished, and nothing new should come.
fn stopping() -> Health {
    let reason = "The server is stopping: it finishes what runs and takes nothing new.".to_owned();
    Health::from_checks(vec![Check { name: "server".to_owned(), state: CheckState::Failed, reason, advice: None }])
}
