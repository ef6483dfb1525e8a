//! What may pass between a browser and a program in a run, and what may not.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Cookies whose name begins so are ours.
const OURS: [&[u8]; 3] = [b"cxd_", b"__host-cxd_", b"__secure-cxd_"];

/// Between two neighbours only.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Said by others than us about who asks.
const FORWARDED: [&str; 6] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip"];

/// Would act beyond the preview's own origin: for other ports of the host, or for other hosts of the domain.
const TOO_FAR: [&str; 4] = ["strict-transport-security", "clear-site-data", "alt-svc", "nel"];

/// Where the request came from, for the program inside.
pub struct Outside<'a> {
    pub peer: Option<String>,
    pub secure: bool,
    pub port: u16,
    /// The protocol to change to.
    pub upgrade: Option<&'a HeaderValue>,
}

/// The headers that the program inside gets.
pub fn to_inside(given: &HeaderMap, outside: &Outside) -> HeaderMap {
    let mut headers = without_hops(given);
    for name in FORWARDED {
        headers.remove(name);
    }
    // It has been answered already.
    headers.remove(header::EXPECT);
    let cookies = keep_foreign_cookies(given);
    headers.remove(header::COOKIE);
    if let Some(cookies) = cookies {
        headers.insert(header::COOKIE, cookies);
    }
    if let Some(host) = headers.remove(header::HOST) {
        headers.insert("x-forwarded-host", host);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static(if outside.secure { "https" } else { "http" }));
    if let Some(peer) = outside.peer.as_ref().and_then(|peer| HeaderValue::from_str(peer).ok()) {
        headers.insert("x-forwarded-for", peer);
    }
    let authority = format!("localhost:{}", outside.port);
    if let Ok(host) = HeaderValue::from_str(&authority) {
        headers.insert(header::HOST, host);
    }
    if let Some(protocol) = outside.upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
        // Many servers take a socket only from their own origin, which for them is their own port.
        if let (true, Ok(origin)) = (is_own_origin(given), HeaderValue::from_str(&format!("http://{authority}"))) {
            headers.insert(header::ORIGIN, origin);
        }
    }
    headers
}

fn is_own_origin(given: &HeaderMap) -> bool {
    let text = |name| given.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// The headers that the browser gets.
pub fn to_outside(given: &HeaderMap, port: u16) -> HeaderMap {
    let mut headers = without_hops(given);
    for name in TOO_FAR {
        headers.remove(name);
    }
    headers.remove(header::SET_COOKIE);
    for cookie in given.get_all(header::SET_COOKIE) {
        if let Some(cookie) = keep_set_cookie(cookie.as_bytes()) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    if let Some(path) = headers.get(header::LOCATION).and_then(|location| inner_path(location, port)) {
        headers.insert(header::LOCATION, path);
    }
    headers
}

/// A redirect to the address that the program knows itself by stays on the preview.
fn inner_path(location: &HeaderValue, port: u16) -> Option<HeaderValue> {
    let rest = location.to_str().ok()?.strip_prefix("http://")?;
    let rest = ["localhost", "127.0.0.1", "0.0.0.0", "[::1]"].iter().find_map(|host| rest.strip_prefix(host))?;
    let path = rest.strip_prefix(&format!(":{port}"))?;
    let path = if path.is_empty() { "/" } else { path };
    // Two slashes would name another host.
    let is_path = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\");
    if is_path { HeaderValue::from_str(path).ok() } else { None }
}

fn without_hops(given: &HeaderMap) -> HeaderMap {
    let mut headers = given.clone();
    let lines = given.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    for name in lines.flat_map(|line| line.split(',')) {
        if let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes()) {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

/// The protocol that a request wants to change to. Only WebSockets are passed on.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let asks = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asks = asks.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|protocol| asks && protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Values of our own cookies of this name; others may have been put beside the right one.
pub fn own_cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = cookie_pairs(headers).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(move |pair| pair.split_once('=')).filter(move |(own, _)| *own == name).map(|(_, value)| value)
}

fn cookie_pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn keep_foreign_cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    let kept: Vec<&[u8]> = cookie_pairs(headers).filter(|pair| !is_ours(name_of(pair))).collect();
    if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok() }
}

/// What is before the first `=`; all of it where there is none.
fn name_of(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    pair[..end].trim_ascii()
}

fn is_ours(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    OURS.iter().any(|prefix| name.starts_with(prefix))
}

/// Without `Domain`, so that it stays on its host. A cookie of ours, or one without a name, which could pass for it, is dropped.
fn keep_set_cookie(cookie: &[u8]) -> Option<HeaderValue> {
    let mut parts = cookie.split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let name = name_of(pair);
    if name.is_empty() || !pair.contains(&b'=') || is_ours(name) {
        return None;
    }
    let mut kept = vec![pair];
    kept.extend(parts.filter(|attribute| !name_of(attribute).eq_ignore_ascii_case(b"domain")));
    HeaderValue::from_bytes(&kept.join(&b';')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn outside(upgrade: Option<&HeaderValue>) -> Outside<'_> {
        Outside { peer: Some("10.0.0.9".to_owned()), secure: false, port: 8080, upgrade }
    }

    #[test]
    fn the_program_never_sees_our_cookies() {
        let given = map(&[
            ("cookie", "a=1; cxd_session=secret; b=2;cxd_preview_8100=t"),
            ("cookie", "__Host-cxd_session=secret;  CXD_other=secret; cxd_bare; c=x=y"),
            ("host", "127.0.0.1:8100"),
        ]);
        let headers = to_inside(&given, &outside(None));
        assert_eq!(headers["cookie"], "a=1; b=2; c=x=y");
        assert_eq!(
            (&headers["host"], &headers["x-forwarded-host"]),
            (&"localhost:8080".parse().unwrap(), &"127.0.0.1:8100".parse().unwrap())
        );
        assert!(to_inside(&map(&[("cookie", "cxd_session=secret")]), &outside(None)).get("cookie").is_none());
        assert_eq!(own_cookies(&given, "cxd_preview_8100").collect::<Vec<_>>(), ["t"]);
    }

    #[test]
    fn hops_and_claims_about_the_sender_end_here() {
        let given = map(&[
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("accept", "text/html"),
        ]);
        let headers = to_inside(&given, &outside(None));
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert!(["connection", "x-private", "transfer-encoding", "forwarded"].iter().all(|gone| !names.contains(gone)), "{names:?}");
        assert_eq!(headers["accept"], "text/html");
    }

    #[test]
    fn a_socket_looks_as_if_it_came_from_the_programs_own_page() {
        let mut pairs = vec![
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("host", "127.0.0.1:8100"),
            ("origin", "http://127.0.0.1:8100"),
            ("sec-websocket-key", "k"),
        ];
        let given = map(&pairs);
        let headers = to_inside(&given, &outside(wanted_upgrade(&given)));
        let shown = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!([shown("connection"), shown("upgrade"), shown("origin")], ["Upgrade", "websocket", "http://localhost:8080"]);
        pairs[3].1 = "http://127.0.0.1:8101";
        let given = map(&pairs);
        assert_eq!(to_inside(&given, &outside(wanted_upgrade(&given)))["origin"], "http://127.0.0.1:8101");
        assert!(wanted_upgrade(&map(&[("connection", "upgrade"), ("upgrade", "h2c")])).is_none());
        assert!(wanted_upgrade(&map(&[("connection", "close"), ("upgrade", "websocket")])).is_none());
    }

    #[test]
    fn what_comes_out_stays_on_its_own_origin() {
        let given = map(&[
            ("set-cookie", "app=1; Domain=example.org; Path=/; domain = .x; HttpOnly"),
            ("set-cookie", "cxd_session=evil; Path=/"),
            ("set-cookie", " __Host-cxd_session =evil"),
            ("set-cookie", "=cxd_session=evil"),
            ("set-cookie", "cxd_session"),
            ("set-cookie", "plain=2"),
            ("strict-transport-security", "max-age=1"),
            ("clear-site-data", "\"cookies\""),
            ("alt-svc", "h3=\":8000\""),
            ("connection", "close"),
            ("x-frame-options", "DENY"),
        ]);
        let headers = to_outside(&given, 8080);
        let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["app=1; Path=/; HttpOnly", "plain=2"]);
        assert_eq!(headers.keys().map(HeaderName::as_str).filter(|name| *name != "set-cookie").collect::<Vec<_>>(), ["x-frame-options"]);
    }

    #[test]
    fn redirects_to_the_inner_address_stay_on_the_preview() {
        let location = |to: &str| to_outside(&map(&[("location", to)]), 8080)["location"].to_str().unwrap().to_owned();
        assert_eq!(location("http://localhost:8080/login?x=1"), "/login?x=1");
        assert_eq!(location("http://127.0.0.1:8080"), "/");
        for other in
            ["/a", "http://localhost:9090/", "http://localhost:80801/", "https://example.org/", "http://localhost:8080//evil.example"]
        {
            assert_eq!(location(other), other);
        }
    }
}
