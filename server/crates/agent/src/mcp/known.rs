//! What servers offered when they were last asked, so that people see the tools of a turn before it begins. Kept per process: a server
//! at an address is asked again where it is not known, a command only when a turn starts it.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::mcp::ToolServer;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::{ProjectId, mcp::McpTransport};

use super::{Session, TOOLS_MAX, http, results::Offer, tool_of};
use crate::tools::{Foreign, ForeignTool, Output, ToolError};

/// As long as somebody who looks at the list waits for a server.
const ASK_MAX: Duration = Duration::from_secs(3);
/// A list is asked for anew after this, an unreachable server as well.
const FRESH: Duration = Duration::from_secs(60);
/// Lists that are kept; beyond it they are asked for anew.
const KEPT_MAX: usize = 1024;

struct Listed {
    /// `None`: it could not be reached.
    offers: Option<Vec<Offer>>,
    at: Instant,
}

/// Name and target. What a command says may come out of the project it runs in, so it is told in no other one.
type Key = (String, String, Option<ProjectId>);

static LISTED: LazyLock<Mutex<HashMap<Key, Listed>>> = LazyLock::new(Mutex::default);

fn key_of(server: &ToolServer, project: ProjectId) -> Key {
    (server.name.clone(), server.target.clone(), (server.transport == McpTransport::Stdio).then_some(project))
}

/// Keeps what a server offers in a project.
pub fn remember(server: &ToolServer, project: ProjectId, offers: &[Offer]) {
    keep(key_of(server, project), Some(offers.to_vec()));
}

fn keep(key: Key, offers: Option<Vec<Offer>>) {
    let mut listed = LISTED.lock().unwrap_or_else(PoisonError::into_inner);
    if listed.len() >= KEPT_MAX {
        listed.clear();
    }
    listed.insert(key, Listed { offers, at: Instant::now() });
}

/// The tools of servers as they are known before a turn begins.
pub struct KnownTools {
    tools: Vec<ForeignTool>,
    /// Servers of which nothing is known.
    pub later: Vec<String>,
}

/// What the servers offer in a project, in their order. Those at an address are asked where their list is old, for a few seconds at most.
pub async fn list(servers: &[ToolServer], project: ProjectId) -> KnownTools {
    let asked = servers.iter().filter(|server| server.transport == McpTransport::Http && !is_fresh(&key_of(server, project)));
    futures::future::join_all(asked.map(|server| ask(server, project))).await;
    let mut known = KnownTools { tools: Vec::new(), later: Vec::new() };
    let listed = LISTED.lock().unwrap_or_else(PoisonError::into_inner);
    for server in servers {
        let Some(offers) = listed.get(&key_of(server, project)).and_then(|listed| listed.offers.as_ref()) else {
            known.later.push(server.name.clone());
            continue;
        };
        for tool in offers.iter().map(|offer| tool_of(server, offer)) {
            if known.tools.len() < TOOLS_MAX && !known.tools.iter().any(|other| other.name == tool.name) {
                known.tools.push(tool);
            }
        }
    }
    known
}

fn is_fresh(key: &Key) -> bool {
    let listed = LISTED.lock().unwrap_or_else(PoisonError::into_inner);
    listed.get(key).is_some_and(|listed| listed.at.elapsed() < FRESH)
}

async fn ask(server: &ToolServer, project: ProjectId) {
    let asked = async {
        let session = Session::open(http::HttpWire::new(server)?).await?;
        session.list().await
    };
    let offers = timeout(ASK_MAX, asked).await.ok().and_then(Result::ok);
    keep(key_of(server, project), offers);
}

#[async_trait]
impl Foreign for KnownTools {
    fn tools(&self) -> &[ForeignTool] {
        &self.tools
    }

    async fn call(&self, name: &str, _: Map<String, Value>, _: &CancellationToken) -> Result<Output, ToolError> {
        Err(ToolError::refused(format!("{name} can only be called in a turn."), "Not in a turn"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command(name: &str, trusted: bool) -> ToolServer {
        ToolServer {
            name: name.to_owned(),
            transport: McpTransport::Stdio,
            target: "true".to_owned(),
            key: None,
            trusted_host: false,
            trusted,
        }
    }

    #[tokio::test]
    async fn a_command_is_known_once_a_turn_has_asked_it_in_this_project() {
        let (here, elsewhere) = (ProjectId(uuid::Uuid::from_u128(1)), ProjectId(uuid::Uuid::from_u128(2)));
        let server = command("known-test", true);
        let before = list(std::slice::from_ref(&server), here).await;
        assert!(before.tools.is_empty() && before.later == ["known-test"]);
        let offer = Offer { name: "look".into(), description: "Looks.".into(), schema: json!({"type": "object"}), read_only: true };
        remember(&server, here, &[offer]);
        assert_eq!(list(std::slice::from_ref(&server), elsewhere).await.later, ["known-test"]);
        let after = list(&[server, command("other-test", false)], here).await;
        assert_eq!(after.later, ["other-test"]);
        assert_eq!(
            after.tools.iter().map(|tool| (tool.name.as_str(), tool.mutates)).collect::<Vec<_>>(),
            [("mcp__known-test__look", false)]
        );
        // Whether a server is trusted counts as it is now.
        assert!(list(&[command("known-test", false)], here).await.tools[0].mutates);
    }
}
