//! Any server that speaks OpenAI's chat completions with streaming.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use eventsource_stream::{Event, EventStream, EventStreamError};
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use crate::assemble::{Assembler, read_error_text};
use crate::error::clean_detail;
use crate::request::write_body;
use crate::sse::{guard, guard_document};
use crate::{Model, ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, install_crypto};

const MAX_ATTEMPTS: u32 = 3;
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for usage once the provider has said the answer is complete.
const GRACE: Duration = Duration::from_secs(5);

/// A provider's key. Never shown: neither `Debug` nor any error holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one header it belongs in.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(•••)")
    }
}

/// Where and how to reach a provider.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    /// Up to and including the version, such as `https://api.openai.com/v1`. A bare host gets `/v1`.
    pub base_url: Url,
    pub api_key: Option<ApiKey>,
    pub default_model: String,
    /// Longest wait for the first byte of an answer, for each attempt.
    pub first_byte: Duration,
    /// Longest silence within an answer.
    pub stall: Duration,
}

impl OpenAiConfig {
    /// With the default limits: 30 s to the first byte, 60 s of silence.
    pub fn new(base_url: Url, api_key: Option<ApiKey>, default_model: impl Into<String>) -> Self {
        Self { base_url, api_key, default_model: default_model.into(), first_byte: Duration::from_secs(30), stall: Duration::from_secs(60) }
    }
}

pub struct OpenAiModel {
    client: reqwest::Client,
    config: OpenAiConfig,
    endpoint: Url,
    host: String,
}

impl OpenAiModel {
    /// Errors: `BadRequest` when the address is not usable, `Unreachable` when TLS cannot be set up.
    pub fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        install_crypto();
        let endpoint = chat_endpoint(&config.base_url)?;
        let host = match (endpoint.host_str(), endpoint.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => String::new(),
        };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(config.first_byte))
            .pool_idle_timeout(Duration::from_secs(60));
        if endpoint.scheme() == "http" {
            // A model on the local network must not need the system's certificates to exist.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| ModelError::Unreachable { host: host.clone(), detail: describe_transport(&error) })?;
        Ok(Self { client, config, endpoint, host })
    }

    fn key(&self) -> Option<&str> {
        self.config.api_key.as_ref().map(ApiKey::expose)
    }

    /// One attempt, up to the headers of the answer.
    async fn send(&self, body: &Value, first_byte_by: Instant) -> Result<Response, ModelError> {
        let mut request = self.client.post(self.endpoint.clone()).header(ACCEPT, "text/event-stream").json(body);
        if let Some(key) = self.key() {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| ModelError::Unauthorised { host: self.host.clone() })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = match timeout_at(first_byte_by, request.send()).await {
            Err(_) => return Err(ModelError::FirstByteTimeout),
            Ok(Err(error)) => {
                return Err(ModelError::Unreachable { host: self.host.clone(), detail: describe_transport(&error) });
            }
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.read_refusal(response, first_byte_by).await)
    }

    async fn read_refusal(&self, response: Response, by: Instant) -> ModelError {
        let status = response.status();
        let retry_after = read_retry_after(response.headers());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return ModelError::Unauthorised { host: self.host.clone() };
            }
            status if status.is_redirection() => {
                return ModelError::BadRequest {
                    detail: format!("{} answered with a redirect ({}), which is not followed", self.host, status.as_u16()),
                };
            }
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                return ModelError::Server { status: status.as_u16() };
            }
            _ => {}
        }
        let body = timeout_at(by, read_start(response)).await.unwrap_or_default();
        let error = serde_json::from_str::<Value>(&body).ok().and_then(|mut body| match body.get_mut("error") {
            Some(error) => Some(error.take()),
            None => body.get_mut("detail").map(Value::take),
        });
        // An exhausted account also answers 429, but waiting does not help it.
        let exhausted = error.as_ref().is_some_and(|error| error["code"] == "insufficient_quota");
        if status == StatusCode::TOO_MANY_REQUESTS && !exhausted {
            return ModelError::RateLimited { retry_after };
        }
        let text = match &error {
            Some(error) => read_error_text(error, self.key()),
            None => clean_detail(&body, self.key()),
        };
        ModelError::BadRequest { detail: if text.is_empty() { format!("status {}", status.as_u16()) } else { text } }
    }
}

#[async_trait]
impl Model for OpenAiModel {
    fn name(&self) -> &str {
        &self.config.default_model
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo { name: self.config.default_model.clone(), provider: self.host.clone(), is_demo: false, context_tokens: None }
    }

    async fn stream(&self, mut req: ModelRequest) -> Result<ModelStream, ModelError> {
        if req.model.is_empty() {
            req.model.clone_from(&self.config.default_model);
        }
        let body = write_body(&req, &self.host);
        let mut attempt = 1;
        loop {
            let first_byte_by = Instant::now() + self.config.first_byte;
            let error = match self.send(&body, first_byte_by).await {
                Ok(response) => {
                    let assembler = Assembler::new(&req.messages, self.key().map(str::to_owned));
                    return Ok(read_answer(response, assembler, first_byte_by, self.config.stall));
                }
                Err(error) => error,
            };
            let Some(wait) = wait_before_retry(&error, attempt) else {
                return Err(error);
            };
            tracing::info!(host = %self.host, code = error.code(), attempt, wait_ms = wait.as_millis() as u64, "model request is tried again");
            sleep(wait).await;
            attempt += 1;
        }
    }
}

/// How long to wait before the next attempt, or none when there is to be none.
fn wait_before_retry(error: &ModelError, attempt: u32) -> Option<Duration> {
    if attempt >= MAX_ATTEMPTS {
        return None;
    }
    let jittered = FIRST_BACKOFF.mul_f64(f64::from(1 << (attempt - 1)) * rand::random_range(0.7..1.3));
    match error {
        ModelError::RateLimited { retry_after: Some(wait) } if *wait > LONGEST_RETRY_AFTER => None,
        ModelError::RateLimited { retry_after: Some(wait) } => Some(*wait + jittered / 4),
        ModelError::RateLimited { .. } | ModelError::Server { .. } | ModelError::Unreachable { .. } => Some(jittered),
        _ => None,
    }
}

fn chat_endpoint(base: &Url) -> Result<Url, ModelError> {
    let unusable = |why: &str| ModelError::BadRequest { detail: format!("the base address {why}") };
    if !matches!(base.scheme(), "http" | "https") {
        return Err(unusable("must begin with http:// or https://"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(unusable("must not hold a user name or password"));
    }
    let mut url = base.clone();
    let path = match base.path().trim_end_matches('/') {
        "" => "/v1",
        path => path,
    };
    url.set_path(&format!("{path}/chat/completions"));
    url.set_fragment(None);
    Ok(url)
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<ModelError>>> + Send>>;

struct Answer {
    events: Events,
    assembler: Option<Assembler>,
    ready: VecDeque<ModelEvent>,
    failed: Option<ModelError>,
    grace: Duration,
}

fn read_answer(response: Response, assembler: Assembler, first_byte_by: Instant, stall: Duration) -> ModelStream {
    let is_document = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/json"));
    let events: Events = if is_document {
        Box::pin(read_document(response, first_byte_by, stall))
    } else {
        Box::pin(EventStream::new(guard(response.bytes_stream(), first_byte_by, stall).boxed()))
    };
    let answer = Answer { events, assembler: Some(assembler), ready: VecDeque::new(), failed: None, grace: GRACE.min(stall) };
    unfold(answer, |mut answer| async { answer.next().await.map(|item| (item, answer)) }).boxed()
}

/// Some servers ignore `stream` and answer with one document; it is read as if it were one event.
fn read_document(
    response: Response,
    first_byte_by: Instant,
    stall: Duration,
) -> BoxStream<'static, Result<Event, EventStreamError<ModelError>>> {
    let pieces = guard_document(response.bytes_stream(), first_byte_by, stall).boxed();
    futures::stream::once(async move {
        let mut pieces = pieces;
        let mut data = String::new();
        while let Some(piece) = pieces.next().await {
            data.push_str(&piece.map_err(EventStreamError::Transport)?);
        }
        Ok(Event { data, ..Event::default() })
    })
    .boxed()
}

impl Answer {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            self.assembler.as_ref()?;
            if let Err(error) = self.advance().await {
                self.assembler = None;
                self.failed = Some(error);
            }
        }
    }

    /// Reads one event of the wire and queues what it means.
    async fn advance(&mut self) -> Result<(), ModelError> {
        let Some(assembler) = self.assembler.as_mut() else {
            return Ok(());
        };
        let finished = assembler.is_finished();
        let next = if finished {
            // All of the answer is here: neither silence nor a broken connection can spoil it.
            match timeout(self.grace, self.events.next()).await {
                Ok(Some(Ok(event))) => Some(Ok(event)),
                _ => None,
            }
        } else {
            self.events.next().await
        };
        match next {
            Some(Ok(event)) if event.data.trim() == "[DONE]" => self.end(true),
            Some(Ok(event)) => {
                let mut out = Vec::new();
                let taken = assembler.take(&event.data, &mut out);
                self.ready.extend(out);
                taken
            }
            Some(Err(EventStreamError::Transport(error))) => Err(error),
            Some(Err(_)) => Err(ModelError::Malformed { detail: "it is not a stream of events".into() }),
            None => self.end(false),
        }
    }

    fn end(&mut self, said_done: bool) -> Result<(), ModelError> {
        if let Some(assembler) = self.assembler.take() {
            self.ready.extend(assembler.finish(said_done)?);
        }
        Ok(())
    }
}

/// At most 64 KiB of a refusal's body.
async fn read_start(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= 64 * 1024 {
            bytes.truncate(64 * 1024);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Seconds, as providers send them; a date is ignored and the usual back-off applies.
fn read_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The innermost cause in words, without the address (it may hold what is private).
fn describe_transport(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the connection was not accepted in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "nothing is listening there".into(),
        _ => clean_detail(&cause.to_string(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shows_the_key() {
        let config = OpenAiConfig::new("http://127.0.0.1:1/v1".parse().unwrap(), Some(ApiKey::new("sk-hidden")), "m");
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn finds_the_endpoint() {
        let at = |base: &str| chat_endpoint(&base.parse().unwrap()).map(|url| url.to_string());
        assert_eq!(at("http://h:1").unwrap(), "http://h:1/v1/chat/completions");
        assert_eq!(at("https://h/api/v1/").unwrap(), "https://h/api/v1/chat/completions");
        assert!(at("ftp://h/").is_err());
        assert!(at("https://user:pw@h/v1").is_err());
    }

    #[test]
    fn waits_as_told_but_not_for_ever() {
        let limited = |s| ModelError::RateLimited { retry_after: Some(Duration::from_secs(s)) };
        assert!(wait_before_retry(&limited(2), 1).unwrap() >= Duration::from_secs(2));
        assert_eq!(wait_before_retry(&limited(31), 1), None);
        assert_eq!(wait_before_retry(&ModelError::Server { status: 500 }, 3), None);
        assert_eq!(wait_before_retry(&ModelError::Stalled, 1), None);
    }
}
