use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::http::AppState;

/// Takes out what is for the host name of a preview.
pub async fn answer_previews(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match app.previews.answer_named(request).await {
        Ok(response) => response,
        Err(request) => next.run(request).await,
    }
}
