use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use wire::admin::CheckState;

use super::AppState;

/// Outside the host check and the sign-in: probes come by address.
pub fn routes(router: Router<AppState>) -> Router<AppState> {
    router.route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(readiness)).route("/health", get(readiness))
}

/// 503 with reasons as long as something fails that the product can't work without.
async fn readiness(State(app): State<AppState>) -> impl IntoResponse {
    let health = domain::health::check(&app.services).await;
    let status = if health.state == CheckState::Failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(health))
}
