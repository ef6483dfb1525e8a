//! Which addresses may be fetched: judged by name before anything is looked up, and by number before anything is connected to.

use std::{io, net::IpAddr};

use llm::http::Url;
use sandbox::{Cidr, why_closed};
use wire::network::{HostRule, read_host};

use crate::tools::ToolError;

/// Bytes of an address.
const ADDRESS_MAX: usize = 2000;
/// Addresses of one name that are tried.
const TRIED_MAX: usize = 4;
/// Rules that a refusal lists.
const LISTED_MAX: usize = 10;

/// Looks names up; a table in tests, whose answers are each given once.
pub(super) enum Resolver {
    System,
    #[cfg(test)]
    Table(std::sync::Mutex<std::collections::HashMap<String, Vec<Vec<IpAddr>>>>),
}

impl Resolver {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect()),
            #[cfg(test)]
            Self::Table(table) => {
                let mut table = table.lock().unwrap();
                let answers = table.get_mut(host).filter(|answers| !answers.is_empty()).ok_or(io::ErrorKind::NotFound)?;
                Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
            }
        }
    }
}

/// What one call may reach.
pub(super) struct Gate {
    rules: Vec<HostRule>,
    open: Vec<Cidr>,
    resolver: Resolver,
}

/// An address whose host and port are known for sure.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub url: Url,
    /// In lower case, without a final dot.
    pub host: String,
    pub port: u16,
}

impl Target {
    /// Reads an address. Nothing is judged yet.
    pub fn read(text: &str) -> Result<Self, ToolError> {
        let refuse = |why: &str| Err(ToolError::refused(format!("Not fetched: {why} Nothing was sent."), "Not a usable address"));
        let text = text.trim();
        if text.len() > ADDRESS_MAX {
            return refuse("the address is longer than 2000 bytes.");
        }
        let Ok(mut url) = text.parse::<Url>() else {
            return refuse("that is no address. Write it whole, such as https://docs.rs/serde.");
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("only addresses that begin with https:// or http:// can be fetched.");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("an address must not hold a user name or password.");
        }
        if url.domain().is_none() {
            return refuse("the host is an address in numbers; only names can be allowed.");
        }
        url.set_fragment(None);
        // Two readings of one text that differ are how a host passes for another.
        let named = url.host_str().map(|host| host.strip_suffix('.').unwrap_or(host).to_owned());
        match (read_host(text), url.port_or_known_default()) {
            (Some((host, port)), Some(known)) if named.as_deref() == Some(host.as_str()) && port == known => Ok(Self { url, host, port }),
            _ => refuse("its host can't be read for sure. Write the host in plain letters, without a user name."),
        }
    }

    /// `host`, or `host:port` where the port is not the usual one.
    pub fn place(&self) -> String {
        self.url.port().map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

impl Gate {
    pub fn new(rules: Vec<HostRule>, open: Vec<Cidr>) -> Self {
        Self { rules, open, resolver: Resolver::System }
    }

    #[cfg(test)]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Whether the project's list opens it.
    pub fn is_open(&self, target: &Target) -> bool {
        self.rules.iter().any(|rule| rule.covers(&target.host, target.port))
    }

    /// What the model is told of a host that is closed, with who can open it and where.
    pub fn closed(&self, target: &Target, before: &str) -> ToolError {
        let place = target.place();
        let listed: Vec<&str> = self.rules.iter().take(LISTED_MAX).map(|rule| rule.0.as_str()).collect();
        let open = if listed.is_empty() { "No host is open.".to_owned() } else { format!("Open are: {}.", listed.join(", ")) };
        let content = format!(
            "Not fetched: {before}{place} is not open to this project, and nothing was sent to it. {open} The project's owner or an administrator \
             can open a host under Network access in the project's settings; which ones can be chosen there an administrator decides under \
             Administration, Runs."
        );
        ToolError::refused(content, format!("{place} is not open to this project"))
    }

    /// Looks the name up, once, and answers the addresses that may be connected to.
    pub async fn resolve(&self, target: &Target) -> Result<Vec<IpAddr>, ToolError> {
        let host = &target.host;
        let Ok(found) = self.resolver.look_up(host, target.port).await else {
            return Err(ToolError::refused(format!("Not fetched: no address was found for {host}."), format!("{host} was not found")));
        };
        let usable: Vec<IpAddr> = found.iter().copied().filter(|ip| why_closed(*ip, &self.open).is_none()).take(TRIED_MAX).collect();
        if !usable.is_empty() {
            return Ok(usable);
        }
        let content = match found.first() {
            Some(ip) => {
                let what = why_closed(*ip, &self.open).unwrap_or("closed");
                format!(
                    "Not fetched: {host} leads to {}, {what}, which must not be reached from here. Nothing was sent.",
                    ip.to_canonical()
                )
            }
            None => format!("Not fetched: no address was found for {host}."),
        };
        Err(ToolError::refused(content, format!("{host} leads to a closed address")))
    }
}
