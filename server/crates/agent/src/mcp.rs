//! Tools of servers that an administrator added, spoken to with the Model Context Protocol.
//!
//! What a server says of itself is data: its tools count as changing things and wait for approval unless an administrator
//! trusts what it says, its names can't stand for built-in tools, and whatever it sends is bounded.

mod http;
pub mod known;
mod results;
mod session;
mod stdio;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Ctx, Error,
    mcp::{RemoteTools, ToolServer},
};
use futures::{StreamExt, stream};
use sandbox::Sandbox;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::{
    ProjectId,
    mcp::{McpTool, McpTransport},
};

use self::{
    results::{Offer, read_result, tool_name},
    session::{McpError, Session},
};
use crate::{
    fsm::ToolRule,
    tools::{Foreign, ForeignTool, Output, ToolError},
};

/// For connecting and listing tools, of all servers at once.
const CONNECT_MAX: Duration = Duration::from_secs(20);
const CALL_MAX: Duration = Duration::from_secs(300);
/// Of all servers together; more would crowd out the project in what a model is sent.
const TOOLS_MAX: usize = 100;

/// Where servers that are commands run.
#[derive(Clone)]
pub struct Place {
    pub sandbox: Arc<Sandbox>,
    pub project: ProjectId,
}

enum Line {
    /// Kept for as long as the tools are.
    Http(Session<http::HttpWire>),
    /// Kept from its first call on, for as long as nobody else needs the checkout.
    Stdio(stdio::Program),
}

struct Connected {
    name: String,
    line: Line,
}

struct Known {
    server: usize,
    /// The server's own name for it.
    name: String,
}

/// The tools of all servers that could be reached, for one turn.
pub struct McpTools {
    servers: Vec<Connected>,
    tools: Vec<ForeignTool>,
    known: Vec<Known>,
    /// A sentence for each server that could not be reached.
    pub problems: Vec<String>,
}

/// Connects to every active server and asks for its tools. A server that can't be reached is left out, and told in `problems`.
pub async fn connect_all(ctx: &Ctx, place: &Place) -> Result<McpTools, Error> {
    let (servers, problems) = domain::mcp::offered(ctx).await?;
    Ok(connect(servers, problems, place).await)
}

async fn connect(servers: Vec<ToolServer>, problems: Vec<String>, place: &Place) -> McpTools {
    let mut all = McpTools { servers: Vec::new(), tools: Vec::new(), known: Vec::new(), problems };
    let asked = servers.into_iter().map(|server| async move {
        let reached = timeout(CONNECT_MAX, reach(&server, place)).await.unwrap_or(Err(McpError::TimedOut));
        (server, reached)
    });
    // In the order of the servers, so that a turn's tools keep their order from one time to the next.
    let mut asked = stream::iter(asked).buffered(8);
    while let Some((server, reached)) = asked.next().await {
        match reached {
            Ok((line, offers)) => {
                known::remember(&server, place.project, &offers);
                all.add(&server, line, offers);
            }
            Err(error) => {
                tracing::warn!(server = server.name, %error, "a server with tools could not be reached");
                all.problems.push(format!("The tools of {} are not there: {error}.", server.name));
            }
        }
    }
    all
}

async fn reach(server: &ToolServer, place: &Place) -> Result<(Line, Vec<Offer>), McpError> {
    match server.transport {
        McpTransport::Http => {
            let session = Session::open(http::HttpWire::new(server)?).await?;
            let offers = session.list().await?;
            Ok((Line::Http(session), offers))
        }
        McpTransport::Stdio => {
            let command = stdio::Program::new(server, place);
            let offers = command.list().await?;
            Ok((Line::Stdio(command), offers))
        }
    }
}

/// A server's tool as the model sees it.
fn tool_of(server: &ToolServer, offer: &Offer) -> ForeignTool {
    let is_harmless = offer.read_only && server.trusted;
    ForeignTool {
        name: tool_name(&server.name, &offer.name),
        description: format!("[{}] {}", server.name, offer.description),
        schema: Arc::new(offer.schema.clone()),
        mutates: !is_harmless,
        asks: !is_harmless,
    }
}

impl McpTools {
    fn add(&mut self, server: &ToolServer, line: Line, offers: Vec<Offer>) {
        let at = self.servers.len();
        for offer in offers {
            let tool = tool_of(server, &offer);
            if self.tools.iter().any(|known| known.name == tool.name) {
                continue;
            }
            if self.tools.len() == TOOLS_MAX {
                self.problems
                    .push(format!("Only the first {TOOLS_MAX} tools of servers are offered; some of {} are left out.", server.name));
                break;
            }
            self.tools.push(tool);
            self.known.push(Known { server: at, name: offer.name });
        }
        self.servers.push(Connected { name: server.name.clone(), line });
    }

    /// What the machine knows of the tools.
    pub fn rules(&self) -> Vec<ToolRule> {
        let rule = |tool: &ForeignTool| ToolRule {
            name: tool.name.clone(),
            mutates: tool.mutates,
            asks: tool.asks,
            by_person: false,
            schema: tool.schema.clone(),
        };
        self.tools.iter().map(rule).collect()
    }
}

#[async_trait]
impl Foreign for McpTools {
    fn tools(&self) -> &[ForeignTool] {
        &self.tools
    }

    async fn call(&self, name: &str, arguments: Map<String, Value>, cancel: &CancellationToken) -> Result<Output, ToolError> {
        let Some(at) = self.tools.iter().position(|tool| tool.name == name) else {
            return Err(ToolError::refused(format!("There is no tool named {name:?}."), "No such tool"));
        };
        let known = &self.known[at];
        let server = &self.servers[known.server];
        let params = json!({"name": known.name, "arguments": arguments});
        let mut anew = None;
        let answer = async {
            match &server.line {
                Line::Http(session) => session.call(params).await,
                Line::Stdio(command) => command.call(params, &mut anew).await,
            }
        };
        let answer = tokio::select! {
            answer = timeout(CALL_MAX, answer) => answer.unwrap_or(Err(McpError::TimedOut)),
            () = cancel.cancelled() => Err(McpError::Stopped),
        };
        let told = match answer {
            Ok(result) => read_result(&server.name, &result),
            Err(error) => {
                let content = format!(
                    "The server {} gave no result: {error}. It may have done something or nothing; look before you repeat it.",
                    server.name
                );
                Err(ToolError::refused(content, format!("{} gave no result: {error}", server.name)))
            }
        };
        match anew {
            Some(why) => tell_anew(&format!("[The server {} was started anew for this call: {why}]\n", server.name), told),
            None => told,
        }
    }

    async fn close(&self) {
        for server in &self.servers {
            if let Line::Stdio(command) = &server.line {
                command.close().await;
            }
        }
    }
}

/// Puts a sentence of ours before what a server said.
fn tell_anew(sentence: &str, told: Result<Output, ToolError>) -> Result<Output, ToolError> {
    match told {
        Ok(output) => Ok(Output { content: format!("{sentence}{}", output.content), ..output }),
        Err(ToolError::Refused { content, summary }) => Err(ToolError::Refused { content: format!("{sentence}{content}"), summary }),
        Err(other) => Err(other),
    }
}

/// Asks servers at addresses what they offer, for the administration.
pub struct Prober;

#[async_trait]
impl RemoteTools for Prober {
    async fn list(&self, at: ToolServer) -> Result<Vec<McpTool>, String> {
        let asked = async {
            let session = Session::open(http::HttpWire::new(&at)?).await?;
            session.list().await
        };
        let offers = timeout(CONNECT_MAX, asked).await.unwrap_or(Err(McpError::TimedOut));
        let offers = offers.map_err(|error| format!("{} gave no list of tools: {error}.", at.name))?;
        let tool = |offer: Offer| McpTool { name: offer.name, description: offer.description, read_only: offer.read_only };
        Ok(offers.into_iter().map(tool).collect())
    }
}

#[cfg(test)]
mod tests;
