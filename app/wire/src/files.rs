use serde::{Deserialize, Serialize};

use crate::{Micros, limits, users::UserRef};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Directory,
    File,
    Symlink,
}

/// One line of the tree. Directories that exist only because files lie below them have no version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    pub kind: EntryKind,
    pub size: i64,
    pub content_type: String,
    /// SHA-256 in lower-case hex; empty for directories.
    pub checksum: String,
    /// Counts up with every change of this path, also across deletion. 0 for implied directories.
    pub version: i64,
    /// Permission bits, 0o644 or 0o755.
    pub mode: i32,
    pub updated_at: Micros,
    pub updated_by: Option<UserRef>,
}

impl Entry {
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Who or what made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Person,
    Agent,
    Run,
    Terminal,
    Import,
    Restore,
    Sample,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    Added,
    Modified,
    Deleted,
    Restored,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// The project revision that this list shows.
    pub revision: i64,
    /// The last event of `project:{id}` that this list has seen: follow the stream from here.
    pub seq: i64,
    pub items: Vec<Entry>,
}

/// What a save was based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// The path must not exist.
    New,
    /// The path must be at this version.
    Version(i64),
}

/// A text file opened in the editor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenedFile {
    pub entry: Entry,
    /// `None` when the file is not UTF-8 text or is too large for the editor.
    pub text: Option<String>,
}

/// Saves text from the editor. Large and binary content goes over `PUT`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaveText {
    pub path: String,
    pub base: Base,
    pub text: String,
}

/// A save either happens or shows what is there now: a conflict is an answer, not a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum SaveOutcome {
    Saved {
        entry: Entry,
    },
    /// `theirs` is `None` when the file was deleted.
    Conflict {
        theirs: Option<OpenedFile>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovePath {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestorePath {
    pub path: String,
    #[serde(default)]
    pub version: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileVersion {
    pub path: String,
    pub version: i64,
    pub revision: i64,
    pub action: FileAction,
    pub origin: Origin,
    pub size: i64,
    pub checksum: String,
    pub created_at: Micros,
    pub created_by: Option<UserRef>,
}

/// Checks a path relative to the project and says in one sentence what is wrong with it. The same rule holds in the browser, over
/// REST, in archives and in the sandbox.
///
/// Accepted: `/`-separated segments, each 1 to 255 bytes, no `.` or `..`, no control characters, no bidirectional overrides, at most
/// 4096 bytes together.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("The path is empty.");
    }
    if path.len() > limits::PATH_MAX {
        return Err("The path is longer than 4096 bytes.");
    }
    if path.starts_with('/') {
        return Err("The path starts with a slash; write it relative to the project.");
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err("The path has an empty part."),
            "." | ".." => return Err("The path has a part that is . or .., which could leave the project."),
            ".git" => return Err("The name .git is kept for version control."),
            _ => {}
        }
        if segment.len() > limits::PATH_SEGMENT_MAX {
            return Err("One name in the path is longer than 255 bytes.");
        }
        if segment.contains('\\') {
            return Err("A name holds a backslash.");
        }
        if segment.chars().any(|c| c.is_control()) {
            return Err("A name holds a control character, such as a line break.");
        }
        if segment.chars().any(|c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')) {
            return Err("A name holds a mark that changes the reading direction.");
        }
        if segment.starts_with(' ') || segment.ends_with(' ') {
            return Err("A name starts or ends with a space.");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_path;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_refused_with_a_reason() {
        for bad in
            ["", "/etc/passwd", "a//b", "../x", "a/../../x", "a/./b", "a\nb", "a\u{202e}b", "a\\b", "x/.git/config", &"n".repeat(256)]
        {
            assert!(check_path(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "-rf", "ä/ö.txt", ".env", ".gitignore", "a b/c", "..."] {
            assert!(check_path(good).is_ok(), "{good:?} was refused");
        }
    }

    proptest! {
        /// Whatever is accepted stays below the directory it is joined to.
        #[test]
        fn accepted_paths_never_leave_the_project(path in "\\PC{0,40}|[./a\\\\]{0,20}") {
            if check_path(&path).is_ok() {
                let joined = std::path::Path::new("/project").join(&path);
                prop_assert!(joined.starts_with("/project"));
                prop_assert!(joined.components().all(|c| !matches!(c, std::path::Component::ParentDir)));
                prop_assert!(joined.components().count() == path.split('/').count() + 2);
            }
        }
    }
}
