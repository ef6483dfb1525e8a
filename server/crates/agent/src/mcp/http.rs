//! Streamable HTTP: each message is a request of its own, answered by a document or by a stream of events.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use domain::mcp::ToolServer;
use futures::StreamExt;
use llm::{
    HostPolicy, ModelError,
    http::{HttpClient, HttpResponse, Url, clean_text, describe_error, guarded_client, read_events},
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::session::{McpError, Wire, answer_to, is_answer};

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
/// Longest wait for an answer to begin, and longest silence within it.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Messages of one answer: more is a server that never comes to the point.
const MESSAGES_MAX: usize = 10_000;

#[derive(Default)]
struct State {
    session: Option<String>,
    version: Option<String>,
}

pub struct HttpWire {
    http: HttpClient,
    address: Url,
    key: Option<String>,
    state: Mutex<State>,
}

impl HttpWire {
    pub fn new(server: &ToolServer) -> Result<Self, McpError> {
        let unreachable = |why: &str| McpError::Unreachable(why.to_owned());
        let url: Url = server.target.parse().map_err(|_| unreachable("its address can't be read"))?;
        let hosts = HostPolicy { allowed: Vec::new(), private: server.trusted_host };
        let http = guarded_client(&url, &hosts, Duration::from_secs(10)).map_err(|error| tell(&error))?;
        let key =
            server.key.as_ref().map(|key| String::from_utf8(key.0.clone())).transpose().map_err(|_| unreachable("its key is no text"))?;
        Ok(Self { http, address: url, key, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn post(&self, message: &Value, by: Instant) -> Result<HttpResponse, McpError> {
        let mut request = self.http.post(self.address.clone()).header("accept", "application/json, text/event-stream").json(message);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let had_session = {
            let state = self.state();
            if let Some(session) = &state.session {
                request = request.header(SESSION, session);
            }
            if let Some(version) = &state.version {
                request = request.header(VERSION, version);
            }
            state.session.is_some()
        };
        let response = match timeout_at(by, request.send()).await {
            Err(_) => return Err(McpError::TimedOut),
            Ok(Err(error)) => return Err(tell(&describe_error(&error, &self.address))),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        match status.as_u16() {
            200..=299 => {}
            404 if had_session => return Err(McpError::SessionLost),
            401 | 403 => return Err(McpError::Unreachable("it did not accept the key".into())),
            300..=399 => return Err(McpError::Unreachable("it answered with a redirect, which is not followed".into())),
            code => return Err(McpError::Unreachable(format!("it answered with status {code}"))),
        }
        let named = response.headers().get(SESSION).and_then(|value| value.to_str().ok());
        if let Some(session) = named.filter(|session| session.len() <= 500) {
            self.state().session = Some(session.to_owned());
        }
        Ok(response)
    }
}

#[async_trait]
impl Wire for HttpWire {
    async fn ask(&self, id: u64, request: &Value) -> Result<Value, McpError> {
        let by = Instant::now() + SILENCE_MAX;
        let response = self.post(request, by).await?;
        let mut events = read_events(response, by, SILENCE_MAX);
        let mut count = 0;
        while let Some(event) = events.next().await {
            let data = event.map_err(|error| tell(&error))?;
            // A stream may begin with an event that only says where it can be taken up again.
            if data.trim().is_empty() {
                continue;
            }
            let message: Value = serde_json::from_str(&data).map_err(|_| McpError::Malformed("it is not JSON".into()))?;
            let messages = match message {
                Value::Array(batch) => batch,
                one => vec![one],
            };
            for message in messages {
                count += 1;
                if is_answer(&message, id) {
                    return Ok(message);
                }
                if let Some(reply) = answer_to(&message) {
                    self.post(&reply, Instant::now() + SILENCE_MAX).await?;
                }
            }
            if count > MESSAGES_MAX {
                return Err(McpError::Malformed("it sent too many messages".into()));
            }
        }
        Err(McpError::CutOff)
    }

    async fn tell(&self, notice: &Value) -> Result<(), McpError> {
        self.post(notice, Instant::now() + Duration::from_secs(20)).await.map(|_| ())
    }

    fn agreed(&self, version: &str) {
        self.state().version = Some(version.to_owned());
    }

    fn reset(&self) {
        *self.state() = State::default();
    }
}

impl Drop for HttpWire {
    fn drop(&mut self) {
        let session = self.state().session.take();
        let (Some(session), Ok(runtime)) = (session, tokio::runtime::Handle::try_current()) else { return };
        let mut request = self.http.delete(self.address.clone()).header(SESSION, session).timeout(Duration::from_secs(5));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        // A courtesy: servers forget sessions by themselves too.
        runtime.spawn(async move {
            let _ = request.send().await;
        });
    }
}

/// The words for models are not those for servers with tools.
fn tell(error: &ModelError) -> McpError {
    match error {
        ModelError::FirstByteTimeout | ModelError::Stalled => McpError::TimedOut,
        ModelError::CutOff => McpError::CutOff,
        ModelError::Malformed { detail } => McpError::Malformed(detail.clone()),
        ModelError::Unreachable { detail, .. } | ModelError::AddressRefused { detail, .. } => McpError::Unreachable(detail.clone()),
        other => McpError::Unreachable(clean_text(&other.to_string(), None)),
    }
}
