//! Where models may be reached. Names are checked here; the addresses behind them once they were resolved, by what connects.

use std::net::IpAddr;

use url::{Host, Url};

use crate::{Error, Result};

/// Known to serve models to everybody.
const WELL_KNOWN: &[&str] = &[
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "openrouter.ai",
    "api.mistral.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.together.xyz",
    "api.x.ai",
];
const URL_MAX: usize = 500;

/// The operator's list (`AI_ALLOWED_HOSTS`): `host`, `host:port`, `*.domain`, or `*` for the whole public internet.
#[derive(Debug, Clone, Default)]
pub struct HostList(Vec<String>);

impl HostList {
    /// Errors: the entry that can't be used.
    pub fn parse(entries: &[String]) -> std::result::Result<Self, String> {
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry.trim().to_ascii_lowercase();
            let name = entry.strip_prefix("*.").unwrap_or(&entry);
            let is_name = entry == "*" || Url::parse(&format!("https://{name}/")).is_ok_and(|url| is_bare(&url, name));
            if !is_name {
                return Err(entry);
            }
            list.push(entry);
        }
        Ok(Self(list))
    }

    /// As people read it.
    pub fn describe(&self) -> String {
        let mut names: Vec<&str> = WELL_KNOWN.to_vec();
        names.extend(self.0.iter().map(String::as_str).filter(|name| *name != "*"));
        let all = if self.0.iter().any(|entry| entry == "*") { " and every other public host" } else { "" };
        format!("{}{all}", names.join(", "))
    }

    /// The operator named exactly this host, so it may be inside the network and be reached without TLS.
    pub fn trusts(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host = host.to_ascii_lowercase();
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        self.0.iter().any(|entry| *entry == host || Some(entry) == with_port.as_ref())
    }

    fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let below = |entry: &str| entry.strip_prefix('*').is_some_and(|tail| tail.is_empty() || host.ends_with(tail));
        WELL_KNOWN.contains(&host) || self.trusts(url) || self.0.iter().any(|entry| below(entry))
    }
}

fn is_bare(url: &Url, text: &str) -> bool {
    url.username().is_empty() && url.password().is_none() && url.path() == "/" && !text.contains(['/', '?', '#', '@', '*', ' '])
}

/// An address that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    pub text: String,
    /// What keys are bound to: the name, with the port unless it is that of https. So a change to plain http is a change of host.
    pub host: String,
    pub trusted: bool,
}

/// Checks where an administrator wants models to be reached. Errors: `Invalid` for the field `base_url`, with what would be allowed.
pub fn check(text: &str, list: &HostList) -> Result<BaseUrl> {
    let refuse = |message: String| Err(Error::invalid("base_url", message));
    let url = match Url::parse(text.trim()) {
        Ok(url) if text.len() <= URL_MAX && matches!(url.scheme(), "http" | "https") && url.host().is_some() => url,
        _ => return refuse("Give an address that begins with https://.".to_owned()),
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return refuse("Leave out names, passwords and everything after a question mark or a hash.".to_owned());
    }
    let trusted = list.trusts(&url);
    let name = host_of(&url);
    if !list.allows(&url) {
        let allowed = list.describe();
        return refuse(format!("{name} is not allowed here. The operator can add it to AI_ALLOWED_HOSTS. Allowed are {allowed}."));
    }
    let is_address = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) || name.parse::<IpAddr>().is_ok();
    if !trusted && is_address {
        return refuse("A bare address is only used where the operator names it in AI_ALLOWED_HOSTS.".to_owned());
    }
    if !trusted && url.scheme() == "http" {
        return refuse("Keys are only sent over https. The operator can name a host without it in AI_ALLOWED_HOSTS.".to_owned());
    }
    Ok(BaseUrl { text: url.as_str().trim_end_matches('/').to_owned(), host: name, trusted })
}

/// The host as keys are bound to it.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    match url.port_or_known_default() {
        Some(443) | None => host,
        Some(port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> HostList {
        HostList::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn only_known_and_named_hosts_are_allowed() {
        let none = list(&[]);
        assert_eq!(check("https://api.openai.com/v1/", &none).unwrap().text, "https://api.openai.com/v1");
        for refused in [
            "https://models.example.org",
            "http://api.openai.com/v1",
            "https://127.0.0.1:8080",
            "https://[::1]/",
            "http://2130706433/",
            "https://api.openai.com.evil.org/",
            "https://user:pass@api.openai.com/",
            "https://api.openai.com/?a=b",
            "file:///etc/passwd",
            "api.openai.com",
        ] {
            assert!(check(refused, &none).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_operator_names_hosts_inside_the_network() {
        let named = list(&["127.0.0.1:8123", "vllm.internal", "*.example.org"]);
        let local = check("http://127.0.0.1:8123/v1", &named).unwrap();
        assert_eq!((local.host.as_str(), local.trusted), ("127.0.0.1:8123", true));
        assert!(check("http://127.0.0.1:8124/v1", &named).is_err());
        assert!(check("http://vllm.internal:9000", &named).unwrap().trusted);
        let below = check("https://a.example.org", &named).unwrap();
        assert_eq!((below.host.as_str(), below.trusted), ("a.example.org", false));
        assert!(check("http://a.example.org", &named).is_err(), "a pattern trusts nobody");
        assert!(check("https://example.org", &named).is_err() && check("https://notexample.org", &named).is_err());
    }

    #[test]
    fn everything_public_is_still_not_every_address() {
        let all = list(&["*"]);
        assert!(!check("https://anywhere.example", &all).unwrap().trusted);
        assert!(check("https://10.0.0.1/", &all).is_err() && check("http://anywhere.example/", &all).is_err());
    }

    #[test]
    fn leaving_https_is_another_host() {
        let named = list(&["a.example.org"]);
        let host = |text| check(text, &named).unwrap().host;
        assert_eq!(host("https://a.example.org/v1"), host("https://A.example.org:443/v2"));
        assert_ne!(host("https://a.example.org/"), host("http://a.example.org/"));
    }

    #[test]
    fn entries_that_name_no_host_are_refused() {
        for wrong in ["https://a.org", "a b", "", "a.org/path", "*x.org", "a@b"] {
            assert!(HostList::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
