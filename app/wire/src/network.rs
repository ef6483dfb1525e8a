//! What runs of a project may reach, and what they tried to.

use serde::{Deserialize, Serialize};

use crate::{Micros, RunId};

pub const RULES_MAX: usize = 100;
/// Lines of the log that are shown.
pub const LOG_MAX: i64 = 200;

/// A host, `*.` and a host for all below it, or either with `:port`; without a port 443 and 80 are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct HostRule(pub String);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NetworkPolicy {
    /// What this project's runs may reach. Empty: nothing.
    pub allow: Vec<HostRule>,
    /// Came with the archive that the project is from, and are closed until the owner allows them.
    #[serde(default)]
    pub waiting: Vec<HostRule>,
    /// What the administrator lets owners choose from. A project's rule has to be covered by one of these.
    pub available: Vec<HostRule>,
    /// Why no run can reach anything on this server, whatever is allowed.
    #[serde(default)]
    pub unavailable: Option<String>,
    /// Newest first.
    pub log: Vec<EgressEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpdateNetwork {
    pub allow: Vec<HostRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct EgressEntry {
    pub run_id: RunId,
    pub host: String,
    pub port: u16,
    pub allowed: bool,
    /// For people, when it was refused.
    pub reason: String,
    pub at: Micros,
}

impl HostRule {
    /// The host in lower case and the ports, or why it is no rule.
    pub fn parse(&self) -> Result<(String, Option<u16>), &'static str> {
        let text = self.0.trim().to_ascii_lowercase();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| "The port has to be a number from 1 to 65535.")?)),
            None => (text.as_str(), None),
        };
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let labels: Vec<&str> = name.split('.').collect();
        // Addresses are refused: names are what a person can judge.
        let is_address = labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if name.len() > 253 || labels.len() < 2 || is_address || !labels.iter().all(|label| is_label(label)) || port == Some(0) {
            return Err("Write a host name such as pypi.org, *.example.org or example.org:8443.");
        }
        Ok((host.to_owned(), port))
    }

    /// Whether a connection to `host:port` is meant. `host` in lower case, without a final dot.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        let Ok((own, own_port)) = self.parse() else { return false };
        let port_fits = own_port.map_or(port == 443 || port == 80, |own| own == port);
        let host_fits = match own.strip_prefix("*.") {
            Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => own == host,
        };
        port_fits && host_fits
    }

    /// Whether everything that `other` means is meant by this rule.
    pub fn includes(&self, other: &HostRule) -> bool {
        let (Ok((own, own_port)), Ok((theirs, their_port))) = (self.parse(), other.parse()) else { return false };
        let port_fits = own_port == their_port || (own_port.is_none() && matches!(their_port, Some(80 | 443)));
        let host_fits = own == theirs
            || own.strip_prefix("*.").is_some_and(|parent| {
                let below = theirs.strip_prefix("*.").unwrap_or(&theirs);
                below.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            });
        port_fits && host_fits
    }
}

/// The host and the port that an `http` or `https` address names; the host in lower case, without a final dot. `None` for what could be
/// read in two ways or names no host: user names, addresses in numbers, letters beyond ASCII, backslashes.
pub fn read_host(address: &str) -> Option<(String, u16)> {
    let (scheme, rest) = address.split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match place.split_once(':') {
        Some((host, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => (host, digits.parse().ok().filter(|port| *port > 0)?),
        Some(_) => return None,
        None => (place, usual),
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // Resolvers take `127.1`, `0x7f.1` and `2130706433` for addresses.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number =
        last.bytes().all(|b| b.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    (host.split('.').all(is_label) && !is_number).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_only_read_where_it_is_certain() {
        let read = |text: &str| read_host(text).map(|(host, port)| format!("{host}:{port}"));
        for (text, host) in [
            ("https://Docs.RS/serde", "docs.rs:443"),
            ("http://docs.rs", "docs.rs:80"),
            ("HTTPS://docs.rs.:8443?q=a@b.org:1", "docs.rs:8443"),
            ("http://docs.rs#@evil.org", "docs.rs:80"),
            ("http://docs.rs/\\@evil.org", "docs.rs:80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(host), "{text}");
        }
        for unclear in [
            "",
            "docs.rs",
            "ftp://docs.rs/",
            "https:docs.rs",
            "http://",
            "http:///docs.rs",
            " http://docs.rs",
            "http://docs.rs\\@evil.org/",
            "http://docs.rs@evil.org/",
            "http://user:pw@docs.rs/",
            "http://docs.rs:/",
            "http://docs.rs:0/",
            "http://docs.rs:99999/",
            "http://docs.rs:80:80/",
            "http://do\ncs.rs/",
            "http://b\u{fc}cher.example/",
            "http://docs%2ers/",
            "http://a..b/",
            "http://[::1]/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0x1/",
            "http://127.0.0.1./",
        ] {
            assert_eq!(read(unclear), None, "{unclear}");
        }
    }

    fn rule(text: &str) -> HostRule {
        HostRule(text.to_owned())
    }

    #[test]
    fn a_rule_covers_its_host_and_ports_only() {
        assert!(rule("PyPI.org").covers("pypi.org", 443) && rule("pypi.org").covers("pypi.org", 80));
        assert!(!rule("pypi.org").covers("pypi.org", 22) && !rule("pypi.org").covers("evil-pypi.org", 443));
        assert!(!rule("pypi.org").covers("a.pypi.org", 443) && rule("*.pypi.org").covers("a.b.pypi.org", 443));
        assert!(!rule("*.pypi.org").covers("pypi.org", 443) && !rule("*.pypi.org").covers("xpypi.org", 443));
        assert!(rule("x.org:8443").covers("x.org", 8443) && !rule("x.org:8443").covers("x.org", 443));
    }

    #[test]
    fn names_only_and_no_addresses() {
        for bad in [
            "",
            "localhost",
            "127.0.0.1",
            "10.0.0.1:80",
            "[::1]:80",
            "a b.org",
            "*.",
            "*",
            "x.org:0",
            "x.org:http",
            "-a.org",
            "http://x.org",
        ] {
            assert!(rule(bad).parse().is_err(), "{bad}");
        }
    }

    #[test]
    fn inclusion_follows_coverage() {
        assert!(rule("*.a.org").includes(&rule("b.a.org")) && rule("*.a.org").includes(&rule("*.b.a.org")));
        assert!(!rule("b.a.org").includes(&rule("*.a.org")) && !rule("*.a.org").includes(&rule("a.org")));
        assert!(rule("a.org").includes(&rule("a.org:443")) && !rule("a.org").includes(&rule("a.org:22")));
    }
}
