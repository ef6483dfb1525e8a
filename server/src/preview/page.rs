//! The few pages that a preview's origin shows itself.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

pub fn not_allowed() -> Response {
    let text = "What a run shows is for people of its project, and only for a while. Open it again from the run's ports.";
    page(StatusCode::UNAUTHORIZED, "Open this preview from its project", text)
}

/// The program inside does not answer.
pub fn unanswered(port: u16) -> Response {
    let text = format!(
        "The program in the run does not answer on port {port}. It may be starting, or it has ended. Reload this page in a moment, and look at \
         the run's output if it stays so."
    );
    let mut response = page(StatusCode::BAD_GATEWAY, "Nothing answers here now", &text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

pub fn closed() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "This preview is closed",
        "The run that it showed has ended. Start it again in its project, and open its port there.",
    )
}

pub fn busy() -> Response {
    let mut response =
        page(StatusCode::SERVICE_UNAVAILABLE, "This preview is busy", "Too many requests are open at once. Try again in a moment.");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// The site can't ask whether the visitor may come in.
pub fn unavailable() -> Response {
    let text = "The server can't look up who may see this preview right now. Reload this page in a moment.";
    page(StatusCode::SERVICE_UNAVAILABLE, "Try again in a moment", text)
}

pub fn no_service_worker() -> Response {
    let text = "This origin is shared by previews one after another, so none of them may leave a service worker behind. With PREVIEW_DOMAIN \
                set, each has an origin of its own and may.";
    page(StatusCode::FORBIDDEN, "No service workers here", text)
}

pub fn not_found() -> Response {
    page(StatusCode::NOT_FOUND, "Nothing here", "Addresses that begin with /__cloudxdevai/ belong to the server that shows this preview.")
}

/// `text` holds nothing that others wrote.
fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto 0;padding:0 1.5rem}}\
         h1{{font-size:1.25rem}}</style><main><h1>{title}</h1><p>{text}</p></main></html>\n"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    );
    response
}
