//! A conversation with one server: it is greeted, then asked.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::results::{Offer, read_offers};
use crate::text::cut_end;

/// The newest revision of the protocol that is spoken here; a server may choose an older one.
const VERSION: &str = "2025-06-18";
const VERSIONS: [&str; 3] = [VERSION, "2025-03-26", "2024-11-05"];
const PAGES_MAX: usize = 20;

/// Why a server did not answer. No variant holds a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    #[error("{0}")]
    Unreachable(String),
    #[error("it did not answer in time")]
    TimedOut,
    #[error("it was stopped")]
    Stopped,
    #[error("it broke off in the middle of its answer")]
    CutOff,
    #[error("it has forgotten the session")]
    SessionLost,
    #[error("its answer could not be read: {0}")]
    Malformed(String),
    #[error("it refused: {0}")]
    Refused(String),
}

/// How messages get there and back.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Sends a request and waits for the answer with its id.
    async fn ask(&self, id: u64, request: &Value) -> Result<Value, McpError>;

    /// Sends what has no answer.
    async fn tell(&self, notice: &Value) -> Result<(), McpError>;

    /// What the server chose, before anything but the greeting is sent.
    fn agreed(&self, _version: &str) {}

    /// Forgets what belongs to a session, before another one is begun.
    fn reset(&self) {}
}

pub struct Session<W> {
    wire: W,
    ids: AtomicU64,
}

impl<W: Wire> Session<W> {
    pub async fn open(wire: W) -> Result<Self, McpError> {
        let session = Self { wire, ids: AtomicU64::new(1) };
        session.greet().await?;
        Ok(session)
    }

    pub fn wire(&self) -> &W {
        &self.wire
    }

    async fn greet(&self) -> Result<(), McpError> {
        let params = json!({
            "protocolVersion": VERSION,
            // Nothing is offered in return: no files, no sampling of models, no questions to people.
            "capabilities": {},
            "clientInfo": {"name": "cloudxdevai", "version": env!("CARGO_PKG_VERSION")},
        });
        let result = self.ask("initialize", params).await?;
        let version = result["protocolVersion"].as_str().unwrap_or_default();
        if !VERSIONS.contains(&version) {
            return Err(McpError::Malformed(format!("it speaks version {:?} of the protocol", cut_end(version, 40))));
        }
        self.wire.agreed(version);
        self.wire.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, McpError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut answer = self.wire.ask(id, &request).await?;
        if !answer["error"].is_null() {
            let said = answer["error"]["message"].as_str().unwrap_or("it gave no reason");
            return Err(McpError::Refused(cut_end(&said.replace(char::is_control, " "), 300)));
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(McpError::Malformed("neither a result nor an error".into())),
        }
    }

    pub async fn list(&self) -> Result<Vec<Offer>, McpError> {
        let mut offers = Vec::new();
        let mut params = json!({});
        for _ in 0..PAGES_MAX {
            let page = self.ask("tools/list", params).await?;
            match read_offers(&page, &mut offers)? {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => break,
            }
        }
        Ok(offers)
    }

    /// `params` names the tool and its arguments. A session that the server has forgotten did nothing with them, so another one is begun.
    pub async fn call(&self, params: Value) -> Result<Value, McpError> {
        match self.ask("tools/call", params.clone()).await {
            Err(McpError::SessionLost) => {
                self.wire.reset();
                self.greet().await?;
                self.ask("tools/call", params).await
            }
            answer => answer,
        }
    }
}

/// What is sent back when a server asks something of its own. Nothing but a sign of life is given.
pub fn answer_to(message: &Value) -> Option<Value> {
    let id = message.get("id").filter(|id| !id.is_null())?;
    let method = message["method"].as_str()?;
    Some(match method {
        "ping" => json!({"jsonrpc": "2.0", "id": id, "result": {}}),
        _ => json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Not offered."}}),
    })
}

/// Whether `message` answers the request with that id.
pub fn is_answer(message: &Value, id: u64) -> bool {
    message["id"] == id && message["method"].is_null()
}
