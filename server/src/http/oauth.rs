//! To providers of identities and back. These are addresses that browsers go to: whatever happens, the answer is where to go next.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::Authority},
    response::{IntoResponse, Response},
};
use domain::identities::{self, Begin, Callback, Landing};
use serde::Deserialize;
use wire::identities::IdentityProvider;

use super::{
    AppState,
    error::{Answer, refuse},
    extract::{Asked, At, Caller},
    openapi::signature::get,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/auth/{provider}", Access::Public, get(begin)).add(
        Method::GET,
        "/auth/{provider}/callback",
        Access::Public,
        get(finish),
    )
}

#[derive(Deserialize, schemars::JsonSchema)]
struct BeginQuery {
    next: Option<String>,
    link: Option<String>,
    invite: Option<String>,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

async fn begin(
    State(app): State<AppState>,
    Caller(ctx): Caller,
    At(provider): At<IdentityProvider>,
    Asked(query): Asked<BeginQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let site = find_site(&app, &headers).ok_or_else(|| refuse(&ctx)(domain::Error::BadRequest("The request names no host.".to_owned())))?;
    let request = Begin { provider, site, next: query.next, link: query.link, invitation: query.invite };
    Ok(go(identities::begin(&ctx, request).await))
}

async fn finish(
    Caller(ctx): Caller,
    At(provider): At<IdentityProvider>,
    Asked(query): Asked<CallbackQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let callback = Callback { state: query.state, code: query.code, error: query.error, iss: query.iss };
    Ok(go(identities::finish(&ctx, provider, callback, &read_cookies(&headers)).await))
}

/// How browsers reach this site: as configured, or else as this one did. The provider compares it with what was registered there.
fn find_site(app: &AppState, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = &app.config.public_url {
        return Some(url.as_str().trim_end_matches('/').to_owned());
    }
    let host: Authority = headers.get(header::HOST)?.to_str().ok()?.parse().ok()?;
    Some(format!("http://{host}"))
}

fn read_cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Addresses in headers are ASCII; what people went for may be anything.
fn as_header(location: &str) -> HeaderValue {
    let escape = |text: String, byte: u8| {
        if byte.is_ascii_graphic() { text + char::from(byte).encode_utf8(&mut [0; 4]) } else { format!("{text}%{byte:02X}") }
    };
    HeaderValue::from_str(&location.bytes().fold(String::new(), escape)).unwrap_or(HeaderValue::from_static("/"))
}

fn go(landing: Landing) -> Response {
    let fresh = HeaderValue::from_static("no-store");
    let mut response =
        (StatusCode::SEE_OTHER, [(header::LOCATION, as_header(&landing.location)), (header::CACHE_CONTROL, fresh)]).into_response();
    for cookie in landing.cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
