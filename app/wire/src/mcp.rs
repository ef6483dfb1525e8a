//! Servers whose tools the agent may use, spoken to with the Model Context Protocol.

use serde::{Deserialize, Serialize};

use crate::{McpServerId, Micros, models::KeyState};

pub const NAME_MAX: usize = 24;
pub const COMMAND_MAX: usize = 1000;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum McpTransport {
    /// Streamable HTTP, at an address.
    #[default]
    Http,
    /// A command inside the sandbox, over a copy of the project that is thrown away.
    Stdio,
}

impl McpTransport {
    pub const CHOICES: [Self; 2] = [Self::Http, Self::Stdio];

    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stdio => "stdio",
        }
    }

    /// As people read it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Http => "Address (streamable HTTP)",
            Self::Stdio => "Command in the sandbox (stdio)",
        }
    }
}

/// A server as administrators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct McpServer {
    pub id: McpServerId,
    /// Part of its tools' names.
    pub name: String,
    pub transport: McpTransport,
    /// An address or a command line.
    pub target: String,
    /// Sent as `Authorization: Bearer` to the host of the address; never to a command.
    pub key: KeyState,
    /// What it says of a tool being read-only is believed: such tools need no approval and are offered in plan mode.
    pub trusted: bool,
    pub active: bool,
    pub created_at: Micros,
    /// Named by whoever changes it.
    pub revision: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateMcpServer {
    pub name: String,
    #[serde(default)]
    pub transport: McpTransport,
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default)]
    pub trusted: bool,
}

/// What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct UpdateMcpServer {
    /// The revision that was looked at.
    pub revision: i64,
    pub name: Option<String>,
    pub target: Option<String>,
    /// Replaces the key; empty removes it.
    pub key: Option<String>,
    pub trusted: Option<bool>,
    pub active: Option<bool>,
}

/// One tool as its server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct McpTool {
    pub name: String,
    pub description: String,
    /// The server says so.
    pub read_only: bool,
}

/// What a server answered when it was asked for its tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct McpTest {
    pub ok: bool,
    /// What happened, for people.
    pub detail: String,
    pub tools: Vec<McpTool>,
}

/// Why `name` can't be part of tools' names, or nothing.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if fits { Ok(()) } else { Err("Use 1 to 24 small letters, digits and dashes, such as issue-tracker.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_tool_names() {
        for good in ["a", "issue-tracker", "k8s"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "A", "a b", "a__b", "-a", "a-", "ä", &"x".repeat(25)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
