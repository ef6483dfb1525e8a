use std::net::IpAddr;

use url::Url;

use super::{HttpConfig, Secret, parse::Reader};

/// Where metrics are served.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    pub enabled: bool,
    pub host: IpAddr,
    pub port: u16,
}

/// Where errors are reported to.
#[derive(Debug, Clone)]
pub struct SentryDsn {
    /// Of the project's envelopes.
    pub address: Url,
    pub key: Secret,
}

/// What is told to others; nothing unless it was asked for.
#[derive(Debug, Clone, Default)]
pub struct TelemetryConfig {
    pub sentry: Option<SentryDsn>,
    /// Of traces, at a collector.
    pub traces: Option<Url>,
}

pub fn read_metrics(read: &mut Reader, http: &HttpConfig) -> MetricsConfig {
    let fallback: IpAddr = [127, 0, 0, 1].into();
    let host = match read.text("METRICS_HOST").as_str() {
        "localhost" => fallback,
        text => text.parse().unwrap_or_else(|_| {
            read.refuse("METRICS_HOST", "must be an IP address to listen on, such as 127.0.0.1 or 0.0.0.0");
            fallback
        }),
    };
    let config = MetricsConfig { enabled: read.switch("PROMETHEUS_ENABLED"), host, port: read.number("METRICS_PORT", 0, 65_535) as u16 };
    if config.enabled && config.port != 0 && config.port == http.port {
        read.refuse("METRICS_PORT", "must not be the port of APP_PORT");
    }
    config
}

pub fn read_telemetry(read: &mut Reader) -> TelemetryConfig {
    let traces = read.http_url("OTEL_EXPORTER_OTLP_ENDPOINT").map(|mut url| {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    });
    let sentry = read.optional("SENTRY_DSN").and_then(|text| {
        let parsed = parse_dsn(&text);
        if parsed.is_none() {
            read.refuse("SENTRY_DSN", "must be an address such as https://key@host/number, as the project's settings show it");
        }
        parsed
    });
    TelemetryConfig { sentry, traces }
}

/// `https://key@host/path/number`.
fn parse_dsn(text: &str) -> Option<SentryDsn> {
    let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())?;
    let key = url.username().to_owned();
    let (folder, project) = url.path().trim_end_matches('/').rsplit_once('/')?;
    if key.is_empty() || project.is_empty() || !project.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let path = format!("{folder}/api/{project}/envelope/");
    url.set_path(&path);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_query(None);
    Some(SentryDsn { address: url, key: Secret::new(key) })
}

#[cfg(test)]
mod tests {
    use super::parse_dsn;

    #[test]
    fn a_dsn_is_a_key_and_an_address() {
        let found = parse_dsn("https://abc@errors.example.org/sub/42").unwrap();
        assert_eq!((found.address.as_str(), found.key.expose()), ("https://errors.example.org/sub/api/42/envelope/", "abc"));
        for wrong in
            ["", "https://errors.example.org/42", "https://abc@errors.example.org/", "https://abc@errors.example.org/x", "ftp://a@b/1"]
        {
            assert!(parse_dsn(wrong).is_none(), "{wrong}");
        }
    }
}
