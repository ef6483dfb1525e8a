//! Projects that come from somewhere else.

use serde::{Deserialize, Serialize};

use crate::{FieldError, JobId, Micros, ProjectId, network::HostRule, projects};

pub const URL_MAX: usize = 2048;
pub const BRANCH_MAX: usize = 200;

/// A project from the files of a git repository, as they are at the tip of a branch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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

/// A project from files that come batch by batch: a folder, or several files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StartImport {
    pub name: String,
    /// Empty: the server's default.
    #[serde(default)]
    pub storage_backend: String,
    /// How many files are to come, as far as that is known: refused at once where there is no room for them.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(range(min = 0)))]
    pub files: i64,
    /// Their bytes, the same.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(range(min = 0)))]
    pub bytes: i64,
}

impl StartImport {
    pub fn validate(&self) -> Vec<FieldError> {
        let counts = [("files", self.files), ("bytes", self.bytes)];
        let negative = counts.into_iter().filter(|(_, count)| *count < 0).map(|(field, _)| FieldError::new(field, "Use 0 or more."));
        projects::validate_name(&self.name).into_iter().chain(negative).collect()
    }
}

/// An import whose files come batch by batch. Nobody sees the project until a job has filled it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StagedImport {
    /// The project's too, once there is one.
    pub id: ProjectId,
    pub name: String,
    /// That have come.
    pub files: i64,
    pub bytes: i64,
    /// The job that makes the project; `None` while files may still come.
    pub job_id: Option<JobId>,
    pub created_at: Micros,
    /// It is given up then, unless another batch comes before.
    pub expires_at: Micros,
}

/// A file of an import that has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StagedFile {
    pub path: String,
    pub size: i64,
    /// SHA-256 in lower-case hex.
    pub checksum: String,
    pub executable: bool,
}

/// One file of a batch: where it goes in the project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StageItem {
    pub path: String,
    #[serde(default)]
    pub executable: bool,
}

/// What became of one file of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum StageOutcome {
    /// It has come; also when the same had come before.
    Staged {
        path: String,
    },
    Refused {
        path: String,
        reason: String,
    },
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
