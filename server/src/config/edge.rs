use std::time::Duration;

use url::Url;

use super::{Secret, parse::Reader};

/// What is taken from the network, from whom, and how much of it.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Origins of other sites whose scripts may use the API with a token, as a browser writes them.
    pub cors_origins: Vec<String>,
    /// How many requests one caller may send is limited.
    pub limit_rates: bool,
    /// Where requests of all processes are counted together.
    pub redis: Option<Secret>,
    /// Connections that are open at a time.
    pub connections: usize,
    /// The same from one address.
    pub connections_per_address: usize,
    /// Requests in flight have this long to end once the server stops.
    pub drain: Duration,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            cors_origins: Vec::new(),
            limit_rates: true,
            redis: None,
            connections: 8192,
            connections_per_address: 1024,
            drain: Duration::from_secs(10),
        }
    }
}

pub fn read(read: &mut Reader, redis: Option<&Secret>) -> EdgeConfig {
    EdgeConfig {
        cors_origins: read_origins(read),
        limit_rates: read.switch("RATE_LIMIT_ENABLED"),
        redis: redis.cloned(),
        connections: read.number("HTTP_MAX_CONNECTIONS", 16, 1_000_000) as usize,
        connections_per_address: read.number("HTTP_MAX_CONNECTIONS_PER_ADDRESS", 8, 1_000_000) as usize,
        drain: Duration::from_secs(u64::from(read.number("SHUTDOWN_TIMEOUT", 1, 3600))),
    }
}

/// One list under two names.
fn read_origins(read: &mut Reader) -> Vec<String> {
    let mut origins = Vec::new();
    for name in ["CORS_ORIGINS", "ALLOWED_ORIGINS"] {
        for text in read.list(name) {
            match read_origin(&text) {
                Ok(origin) if origins.contains(&origin) => {}
                Ok(origin) => origins.push(origin),
                Err(reason) => read.refuse(name, reason),
            }
        }
    }
    origins
}

fn read_origin(text: &str) -> Result<String, &'static str> {
    if text.contains('*') {
        return Err("must name each origin: with * every site that somebody visits could use the API with a token it got hold of");
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    let is_bare = |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    url.filter(is_bare)
        .map(|url| url.origin().ascii_serialization())
        .ok_or("must be origins such as https://app.example.org, separated by commas, without a path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, origin) in [
            ("https://App.Example.org/", "https://app.example.org"),
            ("https://app.example.org:443", "https://app.example.org"),
            ("http://127.0.0.1:5173", "http://127.0.0.1:5173"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(read_origin(text).as_deref(), Ok(origin));
        }
        for wrong in ["*", "https://*.example.org", "app.example.org", "https://app.example.org/x", "ftp://a", "null", "https://a@b.org"] {
            assert!(read_origin(wrong).is_err(), "{wrong}");
        }
    }
}
