//! Turns what a request carries into the one context that everything behind the doors asks for.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::{Client, Ctx, Error, auth};
use tokio_util::task::TaskTracker;

use super::{
    AppState,
    error::refuse,
    middleware::{RequestId, note_caller},
};
use crate::config::HttpConfig;

/// Session cookies of one request that are looked at.
const COOKIES_TRIED: usize = 4;

/// The other end of the socket, put on each request by the listener.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// What goes on when its connection has gone, put on each request by the listener, which waits for it when it stops.
#[derive(Debug, Clone)]
pub struct Ongoing(pub TaskTracker);

/// Finds the caller: a bearer token, else the session cookie, else nobody.
pub async fn attach(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let trace = request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone());
    let nobody = Ctx::nobody(&app.services, trace, read_client(&app.config, &request));
    match identify(&nobody, request.headers(), &app.config).await {
        Ok(ctx) => {
            note_caller(&ctx);
            request.extensions_mut().insert(ctx);
            next.run(request).await
        }
        // A database that can't be asked must not look like a session that has ended.
        Err(error) => refuse(&nobody)(error).into_response(),
    }
}

async fn identify(nobody: &Ctx, headers: &HeaderMap, config: &HttpConfig) -> Result<Ctx, Error> {
    if let Some(token) = bearer(headers) {
        let found = match token.starts_with(domain::tokens::PREFIX) {
            true => domain::tokens::authenticate(nobody, token).await,
            false => auth::authenticate_bearer(nobody, token).await,
        };
        return Ok(known(found)?.unwrap_or_else(|| nobody.clone()));
    }
    let mut found: Option<Ctx> = None;
    for cookie in read_cookies(headers, auth::session_cookie_name(config.is_secure())).take(COOKIES_TRIED) {
        let Some(ctx) = known(auth::authenticate_cookie(nobody, cookie).await)? else { continue };
        if found.as_ref().is_some_and(|other| account_of(other) != account_of(&ctx)) {
            // Another port of this host, such as a preview's, has put its own beside ours, to have somebody work in a foreign account.
            tracing::warn!("a request came with the sessions of two accounts; none of them counts");
            return Ok(nobody.clone());
        }
        found = Some(ctx);
    }
    Ok(found.unwrap_or_else(|| nobody.clone()))
}

fn account_of(ctx: &Ctx) -> Option<wire::UserId> {
    ctx.account().map(|user| user.id)
}

/// A credential that is not valid is as good as none; a database that can't be asked is an error.
fn known(found: Result<Ctx, Error>) -> Result<Option<Ctx>, Error> {
    match found {
        Ok(ctx) => Ok(Some(ctx)),
        Err(Error::NotSignedIn | Error::Forbidden(_) | Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All values of one cookie: a browser may hold several of a name.
fn read_cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(own, _)| *own == name).map(|(_, value)| value)
}

/// The token of `Authorization: Bearer`, whatever it is worth.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn read_client(config: &HttpConfig, request: &Request) -> Client {
    let address = find_address(config, request);
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|v| v.to_str().ok());
    let user_agent = user_agent.map(|text| text.chars().take(256).collect());
    Client { address: address.map(|a| a.to_string()), user_agent, origin: find_origin(config, request.headers()) }
}

/// Where a request comes from. `None` where no listener said so.
pub fn find_address(config: &HttpConfig, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<PeerAddress>()?.0.ip().to_canonical();
    Some(find_client_address(config, peer, request.headers()))
}

/// How the site is reached: as configured, else by the name that the request asked for.
fn find_origin(config: &HttpConfig, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = &config.public_url {
        return Some(url.origin().ascii_serialization());
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    Some(format!("http://{host}"))
}

/// The socket's address, or behind believed proxies the rightmost hop that is none of them. What stands left of it anybody
/// could have written.
fn find_client_address(config: &HttpConfig, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |address: IpAddr| config.trusted_proxies.iter().any(|net| net.contains(address));
    if !trusted(peer) {
        if headers.contains_key("x-forwarded-for") {
            warn_of_proxy(peer);
        }
        return peer;
    }
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
    let mut nearest = peer;
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !trusted(nearest) {
            break;
        }
    }
    nearest
}

/// Once: a proxy that is not believed makes everybody behind it one address, with one count of wrong passwords. Anybody may send the
/// header, so it is no more than a hint.
fn warn_of_proxy(peer: IpAddr) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        tracing::warn!(%peer, "a request came with X-Forwarded-For from an address that is not in TRUSTED_PROXIES; if that is your proxy, add it");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(trusted: &str, forwarded: &str) -> String {
        let config = HttpConfig {
            host: [127, 0, 0, 1].into(),
            port: 0,
            public_url: None,
            allowed_hosts: Vec::new(),
            trusted_proxies: trusted.split(',').filter_map(|t| t.parse().ok()).collect(),
            edge: crate::config::EdgeConfig::default(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        find_client_address(&config, "10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn every_cookie_of_a_name_is_seen() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=1; cxd_session=x; xcxd_session=no".parse().unwrap());
        headers.append("cookie", "cxd_session=y=z".parse().unwrap());
        assert_eq!(read_cookies(&headers, "cxd_session").collect::<Vec<_>>(), ["x", "y=z"]);
    }

    #[test]
    fn a_forwarded_address_counts_only_from_a_believed_proxy() {
        assert_eq!(address("", "203.0.113.9"), "10.0.0.1");
        assert_eq!(address("10.0.0.0/8", "203.0.113.9"), "203.0.113.9");
        assert_eq!(address("10.0.0.0/8", "1.1.1.1, 203.0.113.9, 10.0.0.7"), "203.0.113.9");
        assert_eq!(address("10.0.0.0/8", "nonsense, 10.0.0.7"), "10.0.0.7");
    }
}
