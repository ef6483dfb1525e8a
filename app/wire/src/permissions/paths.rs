//! Patterns of paths, and the paths that always ask.

use std::borrow::Cow;

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
    pub(super) fn covers(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        self.patterns.iter().any(|pattern| {
            // Most paths of a large project are done with here.
            let begin = pattern.split(['/', '*']).next().unwrap_or_default();
            if !path.contains(begin) && !has_signs(&path) {
                return false;
            }
            let folder = pattern.rsplit_once('/').map(|(folder, _)| folder);
            let is_above =
                folder.is_some_and(|folder| ends_at(&path, folder) || folder.split_once('/').is_some_and(|(top, _)| ends_at(&path, top)));
            is_above || matches(pattern, &path) || matches(&format!("**/{pattern}"), &path) || (has_signs(&path) && may_be(pattern, &path))
        })
    }
}

/// Whether a path with the shell's signs can come to be what a built-in pattern means, or a folder on the way. Where the pattern itself
/// leaves something open, its shortest name counts: else every list of files would.
fn may_be(pattern: &str, path: &str) -> bool {
    // All that is in a folder: as if the folder itself was named.
    if !path.rsplit('/').next().unwrap_or(path).contains(char::is_alphanumeric) {
        return false;
    }
    let named = |part: &str| if part == "**" { part.to_owned() } else { part.replace('*', "") };
    let pattern = pattern.split('/').map(named).collect::<Vec<_>>().join("/");
    let folder = pattern.rsplit_once('/').map(|(folder, _)| folder);
    let top = folder.and_then(|folder| folder.split_once('/')).map(|(top, _)| top);
    let in_any_folder = |meant: &str| overlap(path, &format!("**/{meant}"));
    [Some(pattern.as_str()), folder, top].into_iter().flatten().any(in_any_folder)
}

fn ends_at(path: &str, name: &str) -> bool {
    path == name || path.strip_suffix(name).is_some_and(|before| before.ends_with('/'))
}

/// Which of the places that always ask a path lies in: a command may have changed it without naming it.
pub fn guarded_place(path: &str) -> Option<BuiltIn> {
    BUILT_IN.into_iter().find(|built_in| built_in.covers(&plain(path)))
}

/// Why a call that changes something asks whatever the rules say.
pub fn always_asks(call: &CallFacts) -> Option<BuiltIn> {
    let reading = call.command.map(Reading::of);
    if reading.as_ref().is_some_and(Reading::may_write_git) {
        return BUILT_IN.first().copied();
    }
    BUILT_IN.into_iter().find(|built_in| {
        call.paths.iter().chain(call.held).any(|path| built_in.covers(&plain(path)))
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
    // Most paths of a large project are done with here.
    if !path.starts_with(fixed_folder(pattern)) || !path.ends_with(fixed_end(pattern)) {
        return false;
    }
    let pattern = with_below(pattern);
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    wild(&pattern, &path, |part| *part == "**", |part, name| is_name(part, name))
}

/// A pattern with what a slash at its end means.
fn with_below(pattern: &str) -> Cow<'_, str> {
    pattern.strip_suffix('/').map_or(Cow::Borrowed(pattern), |folder| Cow::Owned(format!("{folder}/**")))
}

/// The folder in which all that a pattern matches lies, or which is all that it matches; empty where that may be anywhere.
fn fixed_folder(pattern: &str) -> &str {
    let fixed = pattern.split(['*', '?']).next().unwrap_or_default();
    fixed.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What the last name of all that a pattern matches ends with.
fn fixed_end(pattern: &str) -> &str {
    pattern.rsplit(['*', '?', '/']).next().unwrap_or_default()
}

/// Stands in a path for anything at all within a name, also for a dot in front.
pub(super) const ANYTHING: char = '\u{1}';

fn has_signs(path: &str) -> bool {
    path.contains(['*', '?', ANYTHING])
}

/// As [`matches`]; of a path that the shell would expand, whether it can come to be one that matches.
pub(super) fn may_match(pattern: &str, path: &str) -> bool {
    matches(pattern, path) || (has_signs(path) && overlap(path, &with_below(pattern)))
}

/// Whether any path is meant by both: by the shell's signs and by a pattern.
fn overlap(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), pattern.split('/').collect());
    meet(
        &path,
        &pattern,
        |part| *part == "**",
        |part, name| {
            // The shell's signs leave out what is hidden.
            let is_hidden = name.starts_with('.') && part.starts_with(['*', '?']);
            let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
            !is_hidden && meet(&part, &name, |c| matches!(*c, '*' | ANYTHING), |a, b| a == b || *a == '?' || *b == '?')
        },
    )
}

/// Whether two lists with wildcards have a list in common, in time of the product of their lengths.
fn meet<T>(left: &[T], right: &[T], is_any: impl Fn(&T) -> bool, may_be_same: impl Fn(&T, &T) -> bool) -> bool {
    // For each end of `right`, whether it meets the end of `left` that was looked at last.
    let mut below: Vec<bool> = (0..=right.len()).map(|at| right[at..].iter().all(&is_any)).collect();
    for one in left.iter().rev() {
        let mut now = vec![false; right.len() + 1];
        for at in (0..=right.len()).rev() {
            let other = right.get(at);
            now[at] = match other {
                _ if is_any(one) => below[at] || (other.is_some() && now[at + 1]),
                Some(other) if is_any(other) => now[at + 1] || below[at],
                Some(other) => below[at + 1] && may_be_same(one, other),
                None => false,
            };
        }
        below = now;
    }
    below[0]
}

fn is_name(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == name;
    }
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
