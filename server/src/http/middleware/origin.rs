use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use url::Url;
use wire::ErrorCode;

use crate::{
    config::HttpConfig,
    http::{
        AppState,
        ctx::bearer,
        error::Refusal,
        middleware::{NamedOrigin, RequestId},
    },
};

/// Another site must not act with a visitor's cookie, nor sign them in; and another port of this host, where previews are, counts as
/// another site, although browsers send our cookies along. Callers with a token in a header are no browser that was talked into it.
pub async fn refuse_foreign(State(app): State<AppState>, request: Request, next: Next) -> Response {
    // An origin that an administrator named comes without cookies, and so does nothing for anybody who did not hand it a token.
    let is_named = request.extensions().get::<NamedOrigin>().is_some();
    if is_named || is_for_anybody(&request) || bearer(request.headers()).is_some() || is_same_origin(request.headers(), &app.config) {
        return next.run(request).await;
    }
    tracing::warn!("a request from another site was refused");
    let detail = "This request came from another site, so nothing was changed. Open the page on its own address and try again.";
    Refusal::new(ErrorCode::Forbidden, detail, request.extensions().get::<RequestId>()).into_response()
}

/// Following a link to a page or a file is, and so is coming back from where somebody signs in. A socket, a stream and what programs
/// read are not: no page of another origin has any business with them.
fn is_for_anybody(request: &Request) -> bool {
    let headers = request.headers();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && !headers.contains_key(header::UPGRADE);
    let navigates = headers.get("sec-fetch-mode").is_some_and(|mode| mode.as_bytes() == b"navigate");
    let path = request.uri().path();
    reads && (navigates || !["/api/", "/fn/", "/auth/"].iter().any(|top| path.starts_with(top)))
}

/// Browsers say where a request comes from: by `Sec-Fetch-Site` on trustworthy addresses, else by `Origin`. What says neither is no browser.
pub fn is_same_origin(headers: &HeaderMap, config: &HttpConfig) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Some(origin) = origin.to_str().ok().and_then(|text| Url::parse(text).ok()) else { return false };
    is_own(&origin, headers, config)
}

fn is_own(origin: &Url, headers: &HeaderMap, config: &HttpConfig) -> bool {
    let public = config.public_url.as_ref().is_some_and(|url| url.origin() == origin.origin());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Authority>().ok());
    let same_host = host.is_some_and(|host| {
        let default_port = if origin.scheme() == "https" { 443 } else { 80 };
        origin.host_str() == Some(host.host()) && origin.port_or_known_default() == Some(host.port_u16().unwrap_or(default_port))
    });
    public || same_host
}

/// The page of this site that a request comes from, if it says so.
pub fn find_own_referer(headers: &HeaderMap, config: &HttpConfig) -> Option<Url> {
    let page = Url::parse(headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    (matches!(page.scheme(), "http" | "https") && is_own(&page, headers, config)).then_some(page)
}

/// With a list of host names set, other names are not answered.
pub async fn refuse_unknown_hosts(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if is_known_host(request.headers(), &app.config) {
        return next.run(request).await;
    }
    let detail = "This server does not answer to that host name. An administrator can add it to ALLOWED_HOSTS.";
    Refusal::new(ErrorCode::BadRequest, detail, request.extensions().get::<RequestId>()).into_response()
}

/// Whatever the port. The name that people type is always one.
fn is_known_host(headers: &HeaderMap, config: &HttpConfig) -> bool {
    if config.allowed_hosts.is_empty() {
        return true;
    }
    let Some(host) = headers.get(header::HOST).and_then(|h| h.to_str().ok()).and_then(|h| h.parse::<Authority>().ok()) else {
        return false;
    };
    let public = config.public_url.as_ref().and_then(Url::host_str);
    config.allowed_hosts.iter().map(String::as_str).chain(public).any(|name| bare(name).eq_ignore_ascii_case(bare(host.host())))
}

/// A name without the dot at its end, an address of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::config::EdgeConfig;

    #[test]
    fn only_pages_and_links_are_for_anybody() {
        let open = |method: &str, path: &str, headers: &[(&str, &str)]| {
            let request = headers.iter().fold(Request::builder().method(method).uri(path), |r, (name, value)| r.header(*name, *value));
            is_for_anybody(&request.body(Body::empty()).unwrap())
        };
        assert!(open("GET", "/", &[]) && open("GET", "/projects/1", &[("sec-fetch-mode", "navigate")]));
        assert!(open("GET", "/api/projects/1/files/a.txt", &[("sec-fetch-mode", "navigate")]));
        assert!(open("GET", "/auth/oidc/callback", &[("sec-fetch-mode", "navigate")]));
        assert!(!open("GET", "/auth/oidc", &[("sec-fetch-mode", "no-cors")]));
        assert!(!open("GET", "/api/live/user:me", &[("sec-fetch-mode", "cors")]) && !open("GET", "/api/users/me", &[]));
        assert!(!open("GET", "/ws/generate", &[("upgrade", "websocket")]));
        assert!(!open("GET", "/api/terminals/1/ws", &[("upgrade", "websocket"), ("sec-fetch-mode", "navigate")]));
        assert!(!open("POST", "/projects/1", &[("sec-fetch-mode", "navigate")]));
    }

    fn same_origin(pairs: &[(&'static str, &str)]) -> bool {
        let config = HttpConfig {
            host: [127, 0, 0, 1].into(),
            port: 0,
            public_url: Url::parse("https://code.example.org").ok(),
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            edge: EdgeConfig::default(),
        };
        let headers = pairs.iter().map(|(name, value)| ((*name).try_into().unwrap(), value.parse().unwrap())).collect();
        is_same_origin(&headers, &config)
    }

    #[test]
    fn only_our_own_pages_pass() {
        assert!(same_origin(&[("host", "lan:8000")]));
        assert!(same_origin(&[("host", "lan:8000"), ("origin", "http://lan:8000")]));
        assert!(same_origin(&[("host", "127.0.0.1:8000"), ("origin", "https://code.example.org")]));
        assert!(same_origin(&[("host", "lan:8000"), ("sec-fetch-site", "same-origin"), ("origin", "http://lan:8000")]));
        for foreign in [
            vec![("host", "lan:8000"), ("origin", "http://evil.example")],
            vec![("host", "lan:8000"), ("origin", "http://lan:9000")],
            vec![("host", "lan:8000"), ("origin", "null")],
            vec![("host", "lan:8000"), ("sec-fetch-site", "cross-site"), ("origin", "http://lan:8000")],
            vec![("host", "lan:8000"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!same_origin(&foreign), "{foreign:?}");
        }
    }

    #[test]
    fn hosts_are_known_by_name_whatever_the_port() {
        let known = |allowed: &[&str], host: Option<&str>| {
            let config = HttpConfig {
                host: [127, 0, 0, 1].into(),
                port: 0,
                public_url: Url::parse("https://code.example.org").ok(),
                allowed_hosts: allowed.iter().map(|name| (*name).to_owned()).collect(),
                trusted_proxies: Vec::new(),
                edge: EdgeConfig::default(),
            };
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, host.parse().unwrap());
            }
            is_known_host(&headers, &config)
        };
        assert!(known(&[], Some("anything")) && known(&[], None));
        for host in ["lan", "LAN:8000", "lan.:8000", "[::1]:8000", "[::1]", "code.example.org", "CODE.example.org:443"] {
            assert!(known(&["lan", "::1"], Some(host)), "{host}");
        }
        assert!(known(&["[::1]"], Some("[::1]:1")));
        for host in ["evil.example", "lan.evil.example", "xlan", "", "[::2]:8000", "code.example.org.evil.example", "user@evil.example"] {
            assert!(!known(&["lan", "::1"], Some(host)), "{host}");
        }
        assert!(!known(&["lan"], None));
    }
}
