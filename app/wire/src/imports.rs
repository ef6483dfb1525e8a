//! Projects that come from somewhere else.

use serde::{Deserialize, Serialize};

use crate::{FieldError, network::HostRule, projects};

pub const URL_MAX: usize = 2048;
pub const BRANCH_MAX: usize = 200;

/// A project from the files of a git repository, as they are at the tip of a branch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImportGit {
    /// `https://host/path`, without a name or a password.
    #[serde(alias = "git_url")]
    pub url: String,
    /// Empty for the repository's own default.
    #[serde(default)]
    pub branch: String,
    /// Empty: made from the address.
    #[serde(default)]
    pub name: String,
    /// Empty: the server's default.
    #[serde(default)]
    pub storage_backend: String,
}

/// An address that git may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitAddress {
    pub url: String,
    pub host: String,
    pub port: u16,
}

impl GitAddress {
    /// What has to be open for it.
    pub fn rule(&self) -> HostRule {
        HostRule(if matches!(self.port, 80 | 443) { self.host.clone() } else { format!("{}:{}", self.host, self.port) })
    }

    /// `https://example.org/team/tool.git` makes `tool`.
    pub fn project_name(&self) -> String {
        let path = self.url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        let name = last.strip_suffix(".git").unwrap_or(last);
        if name.is_empty() || name.contains(':') { self.host.clone() } else { name.chars().take(80).collect() }
    }
}

/// Checks an address and says in one sentence what is wrong with it.
pub fn parse_git_url(text: &str) -> Result<GitAddress, &'static str> {
    const FORM: &str = "Write an address such as https://example.org/team/tool.git.";
    let text = text.trim();
    if text.len() > URL_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(FORM);
    }
    let (scheme, rest) =
        text.split_once("://").ok_or("Write an address that begins with https://. Addresses for ssh can't be used here.")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return Err("Only https:// and http:// addresses can be imported."),
    };
    let (authority, path) = rest.split_once('/').ok_or(FORM)?;
    if authority.contains('@') {
        return Err("Leave the name and the password out of the address: only repositories that anybody may read can be imported.");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(FORM)?),
        None => (authority, default_port),
    };
    let host = host.to_ascii_lowercase();
    if path.is_empty() || HostRule(host.clone()).parse().is_err() {
        return Err(FORM);
    }
    Ok(GitAddress { url: text.to_owned(), host, port })
}

/// Checks the name of a branch or tag. What git takes for an option is none.
pub fn check_branch(name: &str) -> Result<(), &'static str> {
    let fits = name.len() <= BRANCH_MAX
        && !name.starts_with('-')
        && !name.contains("..")
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '#'));
    if fits { Ok(()) } else { Err("This is not the name of a branch or a tag.") }
}

impl ImportGit {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if let Err(reason) = parse_git_url(&self.url) {
            fields.push(FieldError::new("url", reason));
        }
        if let Err(reason) = check_branch(self.branch.trim()) {
            fields.push(FieldError::new("branch", reason));
        }
        if !self.name.trim().is_empty() {
            fields.extend(projects::validate_name(&self.name));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parsed = parse_git_url(" https://Example.org/team/tool.git ").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port, parsed.project_name().as_str()), ("example.org", 443, "tool"));
        assert_eq!(parsed.rule().0, "example.org");
        assert_eq!(parse_git_url("http://git.example.org:8080/a/").unwrap().rule().0, "git.example.org:8080");
        for bad in [
            "",
            "example.org/tool",
            "git@example.org:team/tool.git",
            "ssh://example.org/tool",
            "file:///etc/passwd",
            "https://user:secret@example.org/tool",
            "https://token@example.org/tool",
            "https://localhost/tool",
            "https://127.0.0.1/tool",
            "https://example.org",
            "https://example.org/",
            "https://example.org/a b",
            "ext::sh -c x",
            "https://example.org:0/x",
        ] {
            assert!(parse_git_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_branch_is_no_option() {
        for good in ["", "main", "feature/x-1", "v1.0+2", "größe"] {
            assert!(check_branch(good).is_ok(), "{good}");
        }
        for bad in ["--upload-pack=x", "-b", "a b", "a..b", "a\nb", "a:b", "a;b", &"x".repeat(300)] {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
    }
}
