//! The first lines of a proxy request, read strictly: what is not understood is refused, never passed on.

/// What a client asks the proxy for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A tunnel to `host:port`.
    Connect { host: String, port: u16 },
    /// One plain request. `head` is what goes to the host instead of what came, `body` the bytes that follow it.
    Forward { host: String, port: u16, head: Vec<u8>, body: u64 },
}

impl Request {
    pub fn target(&self) -> (&str, u16) {
        match self {
            Request::Connect { host, port } | Request::Forward { host, port, .. } => (host, *port),
        }
    }
}

/// Why a head is refused: status and sentence. `target` is set where the request was clear enough to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadHead {
    pub status: u16,
    pub sentence: String,
    pub target: Option<(String, u16)>,
}

fn bad(status: u16, sentence: impl Into<String>) -> BadHead {
    BadHead { status, sentence: sentence.into(), target: None }
}

/// Headers that belong to one connection, not to the request.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "transfer-encoding",
];

/// Reads a head, up to and without its blank line.
pub(super) fn parse(head: &[u8]) -> Result<Request, BadHead> {
    let text = std::str::from_utf8(head).map_err(|_| bad(400, "The request is not text."))?;
    if text.bytes().any(|b| (b < 0x20 && !matches!(b, b'\r' | b'\n' | b'\t')) || b == 0x7f) {
        return Err(bad(400, "The request contains control characters."));
    }
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Err(bad(400, "The request line is not understood.")) };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0")
        || method.is_empty()
        || !method.bytes().all(is_token)
        || !target.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(bad(400, "The request line is not understood."));
    }
    let headers = lines.map(header).collect::<Result<Vec<_>, _>>()?;
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Ok(Request::Connect { host, port });
    }
    forward(method, target, &headers)
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn header(line: &str) -> Result<(&str, &str), BadHead> {
    let (name, value) = line.split_once(':').ok_or_else(|| bad(400, "A header is not understood."))?;
    if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n']) {
        return Err(bad(400, "A header is not understood."));
    }
    Ok((name, value.trim_matches([' ', '\t'])))
}

fn forward(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Request, BadHead> {
    const ABSOLUTE: &str = "This is a proxy: it takes CONNECT and requests for http:// addresses.";
    let scheme = target.get(..7).filter(|s| s.eq_ignore_ascii_case("http://")).ok_or_else(|| bad(400, ABSOLUTE))?;
    let rest = &target[scheme.len()..];
    let (place, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = authority(place, Some(80))?;
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let at = |mut e: BadHead| {
        e.target = Some((host.clone(), port));
        e
    };
    let body = body_length(headers).map_err(at)?;
    let named: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(',').map(|word| word.trim().to_ascii_lowercase()))
        .collect();
    let shown_port = if port == 80 { String::new() } else { format!(":{port}") };
    // The host is the one that was checked, whatever the client wrote into its header.
    let mut out = format!("{method} {path} HTTP/1.1\r\nHost: {host}{shown_port}\r\n");
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if lower != "host" && lower != "content-length" && !HOP_BY_HOP.contains(&lower.as_str()) && !named.contains(&lower) {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if let Some(length) = body {
        out.push_str(&format!("Content-Length: {length}\r\n"));
    }
    out.push_str("Connection: close\r\n\r\n");
    Ok(Request::Forward { host, port, head: out.into_bytes(), body: body.unwrap_or(0) })
}

/// Only a length that is said once and as a number: what follows it must not be taken for a second request.
fn body_length(headers: &[(&str, &str)]) -> Result<Option<u64>, BadHead> {
    let all = |wanted: &str| headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(wanted)).map(|(_, v)| *v).collect::<Vec<_>>();
    if !all("transfer-encoding").is_empty() {
        return Err(bad(411, "Plain requests through this proxy need a Content-Length."));
    }
    match all("content-length")[..] {
        [] => Ok(None),
        [one] if !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit()) => {
            one.parse().map(Some).map_err(|_| bad(400, "The Content-Length is not understood."))
        }
        _ => Err(bad(400, "The Content-Length is not understood.")),
    }
}

/// `host:port` in lower case and without a final dot; names only.
fn authority(text: &str, default_port: Option<u16>) -> Result<(String, u16), BadHead> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port.parse::<u16>().ok().filter(|p| *p > 0)),
        _ => (text, default_port),
    };
    let Some(port) = port else { return Err(bad(400, "The address has no usable port.")) };
    let is_literal = host.starts_with('[') || host.contains(':');
    let host = host.to_ascii_lowercase();
    let name = host.strip_suffix('.').unwrap_or(&host);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    // `127.1`, `0x7f.1` and `2130706433` are addresses to the system's resolver.
    let is_number = |label: &str| {
        let hex = label.strip_prefix("0x");
        label.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if is_literal || name.rsplit('.').next().is_some_and(|last| !last.is_empty() && is_number(last)) {
        let sentence = format!("{} is an address; only names can be allowed.", shorten(name));
        return Err(BadHead { status: 403, sentence, target: Some((shorten(name), port)) });
    }
    if name.is_empty() || name.len() > 253 || !name.split('.').all(is_label) {
        return Err(bad(400, "The host name is not understood."));
    }
    Ok((name.to_owned(), port))
}

fn shorten(host: &str) -> String {
    host.chars().filter(|c| c.is_ascii_alphanumeric() || ".:-_[]%".contains(*c)).take(253).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        parse(head.as_bytes()).unwrap_err().status
    }

    #[test]
    fn tunnels_name_a_host_and_a_port() {
        let asked = parse(b"CONNECT PyPI.org.:443 HTTP/1.1\r\nHost: elsewhere.net").unwrap();
        assert_eq!(asked, Request::Connect { host: "pypi.org".into(), port: 443 });
        for bad in ["CONNECT pypi.org HTTP/1.1", "CONNECT pypi.org:0 HTTP/1.1", "CONNECT pypi.org:99999 HTTP/1.1", "CONNECT :443 HTTP/1.1"]
        {
            assert_eq!(status(bad), 400, "{bad}");
        }
        for bad in
            ["CONNECT a b:1 HTTP/1.1", "CONNECT a\u{0}b:1 HTTP/1.1", "CONNECT user@pypi.org:443 HTTP/1.1", "CONNECT pypi.org:443 HTTP/2"]
        {
            assert_eq!(status(bad), 400, "{bad}");
        }
    }

    #[test]
    fn addresses_are_refused_in_every_spelling() {
        for address in [
            "127.0.0.1:443",
            "[::1]:443",
            "[::ffff:127.0.0.1]:80",
            "127.1:80",
            "2130706433:80",
            "0x7f000001:80",
            "0x7f.0.0.0x1:80",
            "169.254.169.254:80",
            "127.0.0.1.:80",
        ] {
            let refused = parse(format!("CONNECT {address} HTTP/1.1").as_bytes()).unwrap_err();
            assert_eq!(refused.status, 403, "{address}");
            assert!(refused.target.is_some(), "{address}");
        }
        assert_eq!(status("GET http://127.0.0.1/x HTTP/1.1"), 403);
        assert_eq!(status("GET http://[::1]/x HTTP/1.1"), 403);
    }

    #[test]
    fn a_forwarded_request_is_written_anew() {
        let head = "GET http://Example.org:8080/a?b#c HTTP/1.1\r\nHost: evil.net\r\nAccept: */*\r\nConnection: x-secret, close\r\n\
                    X-Secret: 1\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c";
        let Request::Forward { host, port, head, body } = parse(head.as_bytes()).unwrap() else { panic!() };
        assert_eq!((host.as_str(), port, body), ("example.org", 8080, 0));
        let wanted = "GET /a?b HTTP/1.1\r\nHost: example.org:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(head).unwrap(), wanted);
        let Request::Forward { head, body, .. } = parse(b"POST http://a.org HTTP/1.1\r\ncontent-length: 12").unwrap() else { panic!() };
        assert_eq!(body, 12);
        assert!(head.starts_with(b"POST / HTTP/1.1\r\nHost: a.org\r\nContent-Length: 12\r\n"));
    }

    #[test]
    fn what_could_hide_a_second_request_is_refused() {
        assert_eq!(status("POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: chunked"), 411);
        assert_eq!(status("POST http://a.org/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2"), 400);
        assert_eq!(status("POST http://a.org/ HTTP/1.1\r\nContent-Length: +1"), 400);
        assert_eq!(status("GET http://a.org/ HTTP/1.1\r\n folded: x"), 400);
        assert_eq!(status("GET http://a.org/ HTTP/1.1\r\nno colon"), 400);
        assert_eq!(status("GET http://a.org/\nX: y HTTP/1.1"), 400);
        assert_eq!(status("GET http://a.org/\nX HTTP/1.1"), 400);
        assert_eq!(status("GET http://a.org/ HTTP/1.1\r\nA: b\nHost: evil.net"), 400);
        assert_eq!(status("GET /relative HTTP/1.1\r\nHost: a.org"), 400);
        assert_eq!(status("GET https://a.org/ HTTP/1.1"), 400);
        assert_eq!(status("GET ftp://a.org/ HTTP/1.1"), 400);
    }
}
