//! The HTTP half: one client for one provider. It sends, and tells refusals apart.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::address::{ClosedAddress, show_host};
use crate::assemble::read_error_text;
use crate::dialects::{Body, Dialect, dialect_of};
use crate::error::clean_detail;
use crate::http::guarded_client;
use crate::retry::{Refusal, read_retry_after, read_retry_delay};
use crate::{ApiKey, ModelError, Spec};

const MAX_LIST_BYTES: usize = 4 << 20;
const MAX_NAMES: usize = 2000;

pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) spec: Spec,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) host: String,
    endpoint: Url,
}

impl Client {
    pub(crate) fn new(spec: &Spec) -> Result<Self, ModelError> {
        let dialect = dialect_of(spec.kind);
        let mut base = spec.base_url.clone();
        base.set_fragment(None);
        let endpoint = dialect.endpoint(&base, &spec.model);
        let host = show_host(&endpoint);
        let http = guarded_client(&spec.base_url, &spec.hosts, spec.first_byte)?;
        Ok(Self { http, spec: spec.clone(), dialect, host, endpoint })
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.spec.key.as_ref().map(ApiKey::expose)
    }

    /// One attempt, up to the headers of the answer.
    pub(crate) async fn send(&self, model: &str, body: &Body, by: Instant) -> Result<Response, Refusal> {
        // Some dialects have the model in the path.
        let endpoint = if model == self.spec.model { self.endpoint.clone() } else { self.dialect.endpoint(&self.spec.base_url, model) };
        let accepted = "text/event-stream, application/x-ndjson, application/json";
        let request = self.http.post(endpoint).header(ACCEPT, accepted).header(CONTENT_TYPE, "application/json");
        // Not every server takes a body whose length it is not told.
        let request = request.header(CONTENT_LENGTH, body.iter().map(Bytes::len).sum::<usize>());
        let pieces = body.clone().into_iter().map(Ok::<_, Infallible>);
        let request = request.body(reqwest::Body::wrap_stream(stream::iter(pieces)));
        self.exchange(request, by).await
    }

    /// The names of the models that the provider offers.
    pub(crate) async fn list_models(&self) -> Result<Vec<String>, ModelError> {
        let by = Instant::now() + self.spec.first_byte;
        let request = self.http.get(self.dialect.models_endpoint(&self.spec.base_url)).header(ACCEPT, "application/json");
        let response = self.exchange(request, by).await.map_err(|refusal| refusal.error)?;
        let body = timeout_at(by, read_start(response, MAX_LIST_BYTES)).await.map_err(|_| ModelError::Stalled)?;
        let unreadable = || ModelError::Malformed { detail: "its list of models is not the expected JSON".into() };
        let list = serde_json::from_str::<Value>(&body).map_err(|_| unreadable())?;
        let mut names = self.dialect.read_models(&list).ok_or_else(unreadable)?;
        names.retain(|name| !name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control));
        names.sort();
        names.dedup();
        names.truncate(MAX_NAMES);
        Ok(names)
    }

    async fn exchange(&self, mut request: RequestBuilder, by: Instant) -> Result<Response, Refusal> {
        for (name, value) in self.dialect.headers() {
            request = request.header(*name, *value);
        }
        if let Some(key) = self.key() {
            let (name, prefix) = self.dialect.key_header();
            let value = HeaderValue::from_str(&format!("{prefix}{key}"));
            let mut value = value.map_err(|_| ModelError::Unauthorised { host: self.host.clone() })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let response = match timeout_at(by, request.send()).await {
            Err(_) => return Err(ModelError::FirstByteTimeout.into()),
            Ok(Err(error)) => return Err(describe_transport(&error, &self.host).into()),
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.read_refusal(response, by).await)
    }

    async fn read_refusal(&self, response: Response, by: Instant) -> Refusal {
        let status = response.status();
        let retry_after = read_retry_after(response.headers());
        let unauthorised = || Refusal::from(ModelError::Unauthorised { host: self.host.clone() });
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return unauthorised(),
            status if status.is_redirection() => {
                let detail = format!("{} answered with a redirect ({}), which is not followed", self.host, status.as_u16());
                return ModelError::BadRequest { detail }.into();
            }
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                return Refusal { error: ModelError::Server { status: status.as_u16() }, retry_after };
            }
            _ => {}
        }
        let body = timeout_at(by, read_start(response, 64 * 1024)).await.unwrap_or_default();
        // One of Google's ways to say that a key is wrong is a plain 400.
        if body.contains("API_KEY_INVALID") {
            return unauthorised();
        }
        let error = read_error(&body);
        let code = |name: &str| error.as_ref().and_then(|error| error[name].as_str()).unwrap_or_default();
        // An exhausted account also answers 429, but waiting does not help it.
        let exhausted = code("code") == "insufficient_quota" || code("type") == "insufficient_quota";
        if status == StatusCode::TOO_MANY_REQUESTS && !exhausted {
            let retry_after = retry_after.or_else(|| error.as_ref().and_then(read_retry_delay));
            return ModelError::RateLimited { retry_after }.into();
        }
        let text = match &error {
            Some(error) => read_error_text(error, self.key()),
            None => clean_detail(&body, self.key()),
        };
        let detail = if text.is_empty() { format!("status {}", status.as_u16()) } else { text };
        let error = match status {
            _ if exhausted => ModelError::Exhausted { detail },
            StatusCode::PAYMENT_REQUIRED => ModelError::Exhausted { detail },
            StatusCode::NOT_FOUND => ModelError::NotFound { detail },
            _ => ModelError::BadRequest { detail },
        };
        error.into()
    }
}

/// The error value of a refusal's body, wherever servers put it.
fn read_error(body: &str) -> Option<Value> {
    let mut body = match serde_json::from_str::<Value>(body).ok()? {
        Value::Array(list) => list.into_iter().next()?,
        other => other,
    };
    match body.get_mut("error") {
        Some(error) => Some(error.take()),
        None => body.get_mut("detail").map(Value::take),
    }
}

pub(crate) fn is_document(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.to_ascii_lowercase().starts_with("application/json")
}

/// The beginning of a body as text.
async fn read_start(mut response: Response, limit: usize) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= limit {
            bytes.truncate(limit);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The innermost cause in words, without the address (it may hold what is private).
pub(crate) fn describe_transport(error: &reqwest::Error, host: &str) -> ModelError {
    let unreachable = |detail: String| ModelError::Unreachable { host: host.to_owned(), detail };
    let mut cause: &dyn std::error::Error = error;
    loop {
        if let Some(ClosedAddress(what)) = cause.downcast_ref() {
            return ModelError::AddressRefused { host: host.to_owned(), detail: format!("it resolves to {what}") };
        }
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
    }
    if error.is_timeout() {
        return unreachable("the connection was not accepted in time".into());
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => unreachable("nothing is listening there".into()),
        _ => unreachable(clean_detail(&cause.to_string(), None)),
    }
}
