//! Who comes in.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use domain::{
    Error,
    previews::{self, OPEN_PATH, TICKET_S, Ticket},
};

use super::{Hub, Offer, empty, headers::own_cookies, page, proxy};

/// Addresses below it are ours on every preview.
const OWN_PATHS: &str = "/__cloudxdevai";

pub async fn answer(hub: &Arc<Hub>, offer: &Arc<Offer>, request: Request) -> Response {
    let path = request.uri().path();
    if path == OPEN_PATH && request.method() == Method::GET {
        let query = request.uri().query().unwrap_or_default().to_owned();
        return open(hub, offer, &query, request.headers().clone()).await;
    }
    if path.strip_prefix(OWN_PATHS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return page::not_found();
    }
    let headers = request.headers().clone();
    let ticket = match find_ticket(hub, offer, &headers).await {
        Ok(ticket) => ticket,
        Err(error) => return refuse(error),
    };
    // It would outlive the preview and answer for the next one on this port.
    if offer.public_port.is_some() && headers.contains_key("service-worker") {
        return page::no_service_worker();
    }
    proxy::forward(hub, offer, ticket, request).await
}

fn refuse(error: Error) -> Response {
    match error {
        Error::NotSignedIn | Error::NotFound(_) | Error::Forbidden(_) => page::not_allowed(),
        error => {
            tracing::error!(%error, "who may see a preview could not be looked up");
            page::unavailable()
        }
    }
}

async fn find_ticket(hub: &Hub, offer: &Offer, headers: &HeaderMap) -> Result<Ticket, Error> {
    let name = offer.cookie_name();
    let tickets = own_cookies(headers, &name).filter_map(|cookie| previews::read_ticket(&hub.services, cookie));
    let ticket = tickets.filter(|ticket| ticket.opens(offer.preview)).max_by_key(|ticket| ticket.expires_at.0);
    let ticket = ticket.ok_or(Error::NotSignedIn)?;
    hub.access.check(&ticket).await?;
    Ok(ticket)
}

/// Trades the pass in the address for a cookie, and goes to the preview's first page.
async fn open(hub: &Hub, offer: &Offer, query: &str, given: HeaderMap) -> Response {
    let pass = query.split('&').find_map(|pair| pair.strip_prefix("pass=")).unwrap_or_default();
    let ticket = match previews::authorise_pass(&hub.services, pass, offer.preview).await {
        Ok(ticket) => ticket,
        Err(error) => return refuse(error),
    };
    let name = offer.cookie_name();
    let flag = if hub.is_secure() { "; Secure" } else { "" };
    let cookie = format!("{name}={ticket}; Path=/; HttpOnly; SameSite=Lax; Max-Age={TICKET_S}{flag}");
    let mut response = empty(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    if offer.public_port.is_some() && !was_here(hub, offer, &given, &name) {
        // What another project's preview stored under this origin must not meet this one.
        headers.insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""));
    }
    response
}

/// The browser was last on this origin for the same project.
fn was_here(hub: &Hub, offer: &Offer, headers: &HeaderMap, name: &str) -> bool {
    let mut tickets = own_cookies(headers, name).filter_map(|cookie| previews::read_ticket(&hub.services, cookie));
    tickets.next().is_some_and(|ticket| ticket.project == offer.preview.project)
}
