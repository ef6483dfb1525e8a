//! Patterns of paths, and the paths that always ask.

use super::{BuiltInRule, CallFacts, command::Reading};

/// Paths that the agent never changes without a question, whatever the mode and the rules. In lower case; in any folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    pub title: &'static str,
    pub why: &'static str,
    pub patterns: &'static [&'static str],
}

pub const BUILT_IN: [BuiltIn; 4] = [
    BuiltIn {
        title: "Version control",
        why: "It may change what version control keeps, which always asks.",
        patterns: &[".git", ".git/**", ".gitmodules", ".gitattributes"],
    },
    BuiltIn {
        title: "Hooks",
        why: "It may change hooks, which run on other machines and always ask.",
        patterns: &[".husky/**", ".githooks/**", ".pre-commit-config.yaml", "lefthook.yml", ".lefthook.yml", ".lefthook/**"],
    },
    BuiltIn {
        title: "CI",
        why: "It may change what CI runs, which always asks.",
        patterns: &[
            ".github/workflows/**",
            ".github/actions/**",
            ".github/dependabot.yml",
            ".forgejo/workflows/**",
            ".gitea/workflows/**",
            ".gitlab-ci.yml",
            ".gitlab/ci/**",
            ".circleci/**",
            ".buildkite/**",
            ".woodpecker.yml",
            ".woodpecker/**",
            ".drone.yml",
            ".travis.yml",
            ".teamcity/**",
            ".semaphore/**",
            "jenkinsfile*",
            "azure-pipelines*.yml",
            ".azure-pipelines/**",
            "bitbucket-pipelines.yml",
            "appveyor.yml",
            ".appveyor.yml",
            "buildspec.yml",
            "cloudbuild.yaml",
        ],
    },
    BuiltIn {
        title: "The agent's instructions",
        why: "It may change what the agent is told in this project, which always asks.",
        patterns: &[
            "agents.md",
            "agents.override.md",
            "agent.md",
            "claude.md",
            "claude.local.md",
            "gemini.md",
            ".cursorrules",
            ".cursor/**",
            ".windsurfrules",
            ".windsurf/**",
            ".clinerules",
            ".clinerules/**",
            ".claude/**",
            ".mcp.json",
            ".github/copilot-instructions.md",
            ".github/instructions/**",
        ],
    },
];

impl BuiltIn {
    pub fn to_rule(self) -> BuiltInRule {
        BuiltInRule { title: self.title.to_owned(), patterns: self.patterns.iter().map(|&pattern| pattern.to_owned()).collect() }
    }

    /// Also true for a folder on the way to what is meant: moving it moves that.
    fn covers(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        self.patterns.iter().any(|pattern| {
            let folder = pattern.rsplit_once('/').map(|(folder, _)| folder);
            let is_above =
                folder.is_some_and(|folder| ends_at(&path, folder) || folder.split_once('/').is_some_and(|(top, _)| ends_at(&path, top)));
            is_above || matches(pattern, &path) || matches(&format!("**/{pattern}"), &path)
        })
    }
}

fn ends_at(path: &str, name: &str) -> bool {
    path == name || path.strip_suffix(name).is_some_and(|before| before.ends_with('/'))
}

/// Why a call that changes something asks whatever the rules say.
pub fn always_asks(call: &CallFacts) -> Option<BuiltIn> {
    let reading = call.command.map(Reading::of);
    if reading.as_ref().is_some_and(Reading::may_write_git) {
        return BUILT_IN.first().copied();
    }
    BUILT_IN.into_iter().find(|built_in| {
        call.paths.iter().any(|path| built_in.covers(&plain(path)))
            || reading.as_ref().is_some_and(|reading| reading.mentions(call.paths, |path| built_in.covers(path)))
    })
}

/// Without what changes nothing in a path.
fn plain(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}

/// Whether a path could mean another place than it says.
pub fn is_unclear(path: &str) -> bool {
    path.starts_with(['/', '~']) || path.contains('\\') || path.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// `*` and `?` within a name, `**` for any number of folders; a pattern that ends in a slash means all below.
pub fn matches(pattern: &str, path: &str) -> bool {
    let below = pattern.strip_suffix('/').map(|folder| format!("{folder}/**"));
    let pattern: Vec<&str> = below.as_deref().unwrap_or(pattern).split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    wild(&pattern, &path, |part| *part == "**", |part, name| is_name(part, name))
}

fn is_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    wild(&pattern, &name, |c| *c == '*', |p, c| *p == '?' || p == c)
}

/// Matches with one kind of wildcard in time of the product of the lengths: only the last one met needs to be tried again.
fn wild<P, T>(pattern: &[P], items: &[T], is_any: impl Fn(&P) -> bool, is_same: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut retry = None;
    while let Some(item) = items.get(i) {
        match pattern.get(p) {
            Some(part) if is_any(part) => {
                retry = Some((p, i));
                p += 1;
            }
            Some(part) if is_same(part, item) => {
                p += 1;
                i += 1;
            }
            _ => match &mut retry {
                Some((at, from)) => {
                    *from += 1;
                    (p, i) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(is_any)
}
