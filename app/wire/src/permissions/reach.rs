//! What a call reaches below the paths that it names. Whoever moves a folder moves all that it holds, and a list shows more than its name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    PermissionEffect, PermissionRule,
    command::Reading,
    paths::{self, BUILT_IN},
    subject,
};
use crate::files::check_path;

/// One place whose content a call shows, takes along or changes. Who judges the call looks there, and asks [`Reach::held`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Where to look; empty for the whole project.
    pub folder: String,
    /// It may change what is there.
    pub changes: bool,
    /// It works on the disk, and so does not leave out what version control ignores.
    pub ignored: bool,
    /// Only what this pattern means.
    only: Only,
    /// Where what was at `folder` will be.
    to: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Only {
    All,
    /// A pattern of a tool.
    Glob(String),
    /// What the shell makes of its signs, with all that is below.
    Shell(String),
}

/// Held in place of what could not be looked at: any rule about paths may mean it.
pub const UNKNOWN: &str = "//";
/// Paths that are looked at for one call. Whoever names more of a large project, such as by one pattern after another, is judged as if
/// they could not be looked at.
pub const LOOKED_AT_MAX: usize = 2_000_000;

impl Reach {
    /// `arguments` as the model wrote them. Empty for a call that reaches nothing beyond what it names.
    pub fn read(tool: &str, arguments: &str) -> Vec<Self> {
        let fields: Value = serde_json::from_str(arguments).unwrap_or_default();
        let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
        if subject::SHOWS_MANY.contains(&tool) {
            return vec![Self::shown(subject::plain_folder(text("path")))];
        }
        match tool {
            subject::MOVE_FILE if !text("from").is_empty() => vec![Self {
                folder: text("from").trim_end_matches('/').to_owned(),
                changes: true,
                ignored: true,
                only: Only::All,
                to: Some(text("to").trim_end_matches('/').to_owned()),
            }],
            subject::RUN_COMMAND => {
                let Some((changes, places)) = Reading::of(text("command")).folders(subject::plain_folder(text("cwd"))) else {
                    return Vec::new();
                };
                places.into_iter().map(|place| Self::of_command(place, changes)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn shown(path: &str) -> Self {
        let folder = literal_folder(path, &['*', '?', '[', '{', '\\']);
        // Sets and choices are not told apart here: then all of the folder counts.
        let is_all = folder == path || path.contains(['[', '{', '\\']);
        let only = if is_all { Only::All } else { Only::Glob(path.to_owned()) };
        Self { folder: folder.to_owned(), changes: false, ignored: false, only, to: None }
    }

    fn of_command(place: String, changes: bool) -> Self {
        let folder = literal_folder(&place, &['*', '?', paths::ANYTHING]).to_owned();
        let only = if folder == place { Only::All } else { Only::Shell(place) };
        Self { folder, changes, ignored: true, only, to: None }
    }

    /// Whether there can be anything at `folder`: nothing in a project has a name that no file can have.
    pub fn is_place(&self) -> bool {
        self.folder.is_empty() || check_path(&self.folder).is_ok()
    }

    /// Whether a path lies at `folder`, or is it.
    pub fn is_above(&self, path: &str) -> bool {
        self.folder.is_empty() || path.strip_prefix(self.folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Of what was found at `folder`, the paths that some rule about `tool` speaks of. The judgement that is given them sees them all.
    pub fn held<'a>(&self, rules: &[PermissionRule], tool: &str, found: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let patterns = limits(rules, tool);
        let is_limited = |path: &String| patterns.iter().any(|pattern| paths::matches(pattern, path));
        found.into_iter().flat_map(|path| self.reached(path)).filter(is_limited).collect()
    }

    /// Of what was found at `folder`, the places that are never changed without a question, if the call may change them.
    pub fn held_built_in<'a>(&self, found: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let found = found.into_iter().filter(|_| self.changes);
        found.flat_map(|path| self.reached(path)).filter(|path| BUILT_IN.iter().any(|built_in| built_in.covers(path))).collect()
    }

    /// The paths that the call is about because of one that was found at `folder`.
    fn reached(&self, found: &str) -> Vec<String> {
        let is_meant = match &self.only {
            Only::All => true,
            Only::Glob(glob) => paths::matches(glob, found),
            Only::Shell(signs) => with_folders(found).any(|path| paths::may_match(path, signs)),
        };
        if !is_meant {
            return Vec::new();
        }
        let moved = self.to.as_ref().and_then(|to| Some(format!("{to}{}", found.strip_prefix(self.folder.as_str())?)));
        [Some(found.to_owned()), moved].into_iter().flatten().collect()
    }

    /// Whether any rule about `tool` is about paths and narrows what it may touch.
    pub fn is_limited(rules: &[PermissionRule], tool: &str) -> bool {
        !limits(rules, tool).is_empty()
    }
}

/// The patterns of rules that narrow what `tool` may touch.
fn limits<'a>(rules: &'a [PermissionRule], tool: &str) -> Vec<&'a str> {
    let narrows = |rule: &&PermissionRule| rule.effect != PermissionEffect::Allow && rule.shows_or_is(tool);
    rules.iter().filter(narrows).filter_map(|rule| rule.path_pattern.as_deref()).collect()
}

/// The path itself and the folders above it.
fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(folder, _)| folder))
}

/// The part of a pattern that stands for itself.
fn literal_folder<'a>(path: &'a str, signs: &[char]) -> &'a str {
    match path.find(signs) {
        Some(at) => path.get(..at).unwrap_or_default().rsplit_once('/').map_or("", |(folder, _)| folder),
        None => path,
    }
}

impl PermissionRule {
    /// Whether it is about the tool, or about reading the files that the tool shows lines of.
    pub(super) fn shows_or_is(&self, tool: &str) -> bool {
        self.names(tool) || (subject::SHOWS_LINES.contains(&tool) && self.names(subject::READ_FILE))
    }
}

/// The paths that rules keep from tools which show many files at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    patterns: Vec<String>,
}

impl Hidden {
    /// What rules deny to any of `tools`.
    pub fn of(rules: &[PermissionRule], tools: &[&str]) -> Self {
        let denies = |rule: &&PermissionRule| rule.effect == PermissionEffect::Deny && tools.iter().any(|tool| rule.shows_or_is(tool));
        Self { patterns: rules.iter().filter(denies).filter_map(|rule| rule.path_pattern.clone()).collect() }
    }

    pub fn holds(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| paths::matches(pattern, path))
    }
}
