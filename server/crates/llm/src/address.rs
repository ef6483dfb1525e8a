//! Which hosts may be spoken to, and at which addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{HostPolicy, ModelError};

/// `host` or `host:port`, as it is shown to people.
pub(crate) fn show_host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

/// Refuses an address that cannot or must not be spoken to. What a name resolves to is checked later, each time.
pub(crate) fn check_url(url: &Url, policy: &HostPolicy) -> Result<(), ModelError> {
    let unusable = |why: &str| Err(ModelError::BadRequest { detail: format!("the base address {why}") });
    if !matches!(url.scheme(), "http" | "https") {
        return unusable("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return unusable("must not hold a user name or password");
    }
    let refused = |why: &str| Err(ModelError::AddressRefused { host: show_host(url), detail: why.into() });
    let literal = match url.host() {
        None => return unusable("has no host"),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
    };
    if !policy.allowed.is_empty() && !policy.allowed.iter().any(|rule| fits(rule, url)) {
        return refused("it is not on the list of allowed hosts");
    }
    match literal.and_then(wire::address::why_closed) {
        Some(what) if !policy.private => refused(&format!("it is {what}")),
        _ => Ok(()),
    }
}

fn fits(rule: &str, url: &Url) -> bool {
    let rule = rule.trim().to_ascii_lowercase();
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    // An address of version 6 is in brackets, and has colons of its own.
    let (name, port) = match rule.rsplit_once(':') {
        Some((name, port)) if !rule.ends_with(']') => (name, Some(port)),
        _ => (rule.as_str(), None),
    };
    let named = match name.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.ends_with('.')),
        None => host == name,
    };
    named && port.is_none_or(|port| port.parse().ok() == url.port_or_known_default())
}

/// Resolves names once for each connection and connects to nothing but what was checked.
pub(crate) struct CheckedResolver {
    pub(crate) private: bool,
}

impl CheckedResolver {
    pub(crate) fn shared(policy: &HostPolicy) -> Arc<Self> {
        Arc::new(Self { private: policy.private })
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One closed address among open ones is how a name is made to change its mind.
            let closed = found.iter().find_map(|address| wire::address::why_closed(address.ip()));
            match closed {
                Some(what) if !private => Err(ClosedAddress(what).into()),
                _ => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// Answers with addresses that were found and checked before, whatever is asked.
pub(crate) struct PinnedResolver(pub(crate) Vec<SocketAddr>);

impl Resolve for PinnedResolver {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

#[derive(Debug)]
pub(crate) struct ClosedAddress(pub(crate) &'static str);

impl fmt::Display for ClosedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it resolves to {}", self.0)
    }
}

impl std::error::Error for ClosedAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, allowed: &[&str], private: bool) -> Result<(), ModelError> {
        let policy = HostPolicy { allowed: allowed.iter().map(|rule| (*rule).to_owned()).collect(), private };
        check_url(&url.parse().unwrap(), &policy)
    }

    #[test]
    fn only_allowed_hosts_pass() {
        assert_eq!(check("https://api.example.com/v1", &[], false), Ok(()));
        assert_eq!(check("https://api.example.com/v1", &["*.example.com"], false), Ok(()));
        assert_eq!(check("https://api.example.com/v1", &["API.example.com:443"], false), Ok(()));
        for rule in ["example.com", "api.example.com:8443", "*.xample.com", "*.api.example.com"] {
            let refused = check("https://api.example.com/v1", &[rule], true);
            assert!(matches!(refused, Err(ModelError::AddressRefused { .. })), "{rule}");
        }
        assert_eq!(check("http://[fd00::1]:9/", &["[fd00::1]:9"], true), Ok(()));
    }

    #[test]
    fn only_public_addresses_pass_unless_private_ones_are_allowed() {
        for url in ["http://127.0.0.1:8080/v1", "https://10.0.0.1", "http://[::1]:1", "http://169.254.169.254/", "http://2130706433/"] {
            assert!(matches!(check(url, &[], false), Err(ModelError::AddressRefused { .. })), "{url}");
            assert_eq!(check(url, &[], true), Ok(()));
        }
        assert_eq!(check("https://1.1.1.1/", &[], false), Ok(()));
        assert!(matches!(check("ftp://h/", &[], true), Err(ModelError::BadRequest { .. })));
        assert!(matches!(check("https://user:pw@h/v1", &[], true), Err(ModelError::BadRequest { .. })));
    }
}
