use serde::{Deserialize, Serialize};

use crate::{Micros, UploadId, limits, users::UserRef};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Directory,
    File,
    Symlink,
}

/// One line of the tree. Directories that exist only because files lie below them have no version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Entry {
    pub path: String,
    pub kind: EntryKind,
    pub size: i64,
    pub content_type: String,
    /// SHA-256 in lower-case hex; empty for directories, and in the tree that pages get.
    pub checksum: String,
    /// Counts up with every change of this path, also across deletion. 0 for implied directories.
    pub version: i64,
    /// Permission bits, 0o644 or 0o755; 0o644 for symbolic links, whose bytes are where they lead.
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
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Person,
    Agent,
    Run,
    Terminal,
    Import,
    Restore,
    Sample,
    Git,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    Added,
    Modified,
    Deleted,
    Restored,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Tree {
    /// The project revision that this list shows.
    pub revision: i64,
    /// The last event of `project:{id}` that this list has seen: follow the stream from here.
    pub seq: i64,
    pub items: Vec<Entry>,
}

/// What a save was based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// The path must not exist.
    New,
    /// The path must be at this version.
    Version(i64),
    /// Nothing at the path or below it may have changed after this revision of the project: what a directory is based on.
    Revision(i64),
}

/// How text stands in its bytes. Line ends are part of the text; both sides keep them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TextFormat {
    /// A label of the WHATWG Encoding Standard in lower case: `utf-8`, `utf-16le`, `windows-1252`.
    pub encoding: String,
    /// The bytes begin with a byte order mark; the text does not hold it.
    pub bom: bool,
}

impl Default for TextFormat {
    fn default() -> Self {
        Self { encoding: "utf-8".to_owned(), bom: false }
    }
}

/// What the `.editorconfig` files of the project say about one file. Absent: nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EditorStyle {
    pub insert_spaces: Option<bool>,
    pub indent_size: Option<u8>,
    pub tab_width: Option<u8>,
    /// `\n`, `\r\n` or `\r`, for new lines in files that have none yet.
    pub end_of_line: Option<String>,
    pub trim_trailing_whitespace: Option<bool>,
    pub insert_final_newline: Option<bool>,
    pub max_line_length: Option<u32>,
}

/// A text file opened in the editor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OpenedFile {
    pub entry: Entry,
    /// `None` when the file is no text or is too large for the editor.
    pub text: Option<String>,
    /// How the text is written; saving names it again.
    #[serde(default)]
    pub format: TextFormat,
    #[serde(default)]
    pub style: EditorStyle,
}

/// Saves text from the editor. Large and binary content goes over `PUT`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SaveText {
    pub path: String,
    pub base: Base,
    pub text: String,
    /// Characters that it does not have are refused, not replaced.
    #[serde(default)]
    pub format: TextFormat,
}

/// A save either happens or shows what is there now: a conflict is an answer, not a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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

/// One step on files. Where a directory is meant, all that lies below it is. `base` says what the step is based on: the version of a
/// file, the revision for a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum FileStep {
    Move {
        from: String,
        to: String,
        base: Base,
    },
    Copy {
        from: String,
        to: String,
        base: Base,
    },
    /// To the trash.
    Delete {
        path: String,
        base: Base,
    },
    /// Without a version: what was deleted at the path, with all that went in the same step. With one: that version of a file, as a new
    /// version. `base` is what is there now, [`Base::New`] where nothing is.
    Restore {
        path: String,
        #[serde(default)]
        version: Option<i64>,
        base: Base,
    },
    CreateDirectory {
        path: String,
    },
}

/// As [`FileStep::Move`] and [`FileStep::Copy`], over REST, where a move without a base is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MovePath {
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub base: Option<Base>,
}

/// As [`FileStep::Restore`], over REST.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RestorePath {
    pub path: String,
    #[serde(default)]
    pub version: Option<i64>,
    #[serde(default)]
    pub base: Option<Base>,
}

/// Several steps as one revision: all of them or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ChangeFiles {
    pub steps: Vec<FileStep>,
}

/// A change either happens or names the paths that stand in its way: a conflict is an answer, not a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum FilesChanged {
    Changed {
        revision: i64,
        /// Takes the change back, if nobody touches these paths meanwhile.
        undo: Vec<FileStep>,
        /// Deleted files that could not be brought back with the others, since what they held is not kept any more.
        #[serde(default)]
        left_out: i64,
    },
    /// Nothing was changed.
    Conflict { paths: Vec<PathConflict> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PathConflict {
    pub path: String,
    /// What is in the way, in a sentence.
    pub reason: String,
    /// What is there now.
    pub current: Option<Entry>,
}

/// Something that was deleted in one step and can be restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TrashItem {
    pub path: String,
    pub kind: EntryKind,
    /// Files that went with it and can be restored, itself included; their bytes together.
    pub files: i64,
    pub size: i64,
    /// Files that went with it and are not kept any more.
    #[serde(default)]
    pub lost: i64,
    /// The revision that deleted it.
    pub revision: i64,
    pub deleted_at: Micros,
    pub deleted_by: Option<UserRef>,
}

/// An upload in pieces, which can be taken up again after a lost connection, a reload or a restart of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StartUpload {
    pub path: String,
    /// Bytes in all.
    pub size: i64,
    pub base: Base,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Upload {
    pub id: UploadId,
    pub path: String,
    pub size: i64,
    /// Where the next piece begins. Where all has come and there is no file yet, an empty piece at the end makes it.
    pub received: i64,
    pub expires_at: Micros,
}

/// One file of a batch: where it goes and what it is based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BatchItem {
    pub path: String,
    pub base: Base,
}

/// What became of one file of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum BatchOutcome {
    Saved {
        entry: Entry,
    },
    /// Something is at the path that the file was not based on.
    Conflict {
        path: String,
        current: Option<Entry>,
    },
    Refused {
        path: String,
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FileVersion {
    pub path: String,
    pub version: i64,
    pub revision: i64,
    pub action: FileAction,
    pub origin: Origin,
    pub size: i64,
    pub checksum: String,
    pub kind: EntryKind,
    #[serde(default)]
    pub mode: i32,
    /// Where it was before, when a move made it.
    #[serde(default)]
    pub moved_from: Option<String>,
    /// The turn or the run that made it, as far as `origin` is one.
    #[serde(default)]
    pub cause: Option<uuid::Uuid>,
    pub created_at: Micros,
    pub created_by: Option<UserRef>,
}

/// Checks a path relative to the project and says in one sentence what is wrong with it. The same rule holds in the browser, over
/// REST, in archives and in the sandbox.
///
/// Accepted: `/`-separated segments, each 1 to 255 bytes, no `.` or `..`, no control characters, no marks that can't be seen, at most 64
/// of them and 4000 bytes together.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("The path is empty.");
    }
    if path.len() > limits::PATH_MAX {
        return Err("The path is longer than 4000 bytes.");
    }
    if path.starts_with('/') {
        return Err("The path starts with a slash; write it relative to the project.");
    }
    if path.split('/').count() > limits::PATH_DEPTH_MAX {
        return Err("The path is nested deeper than 64 names.");
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err("The path has an empty part."),
            "." | ".." => return Err("The path has a part that is . or .., which could leave the project."),
            _ if is_git(segment) => return Err("The name .git is kept for version control."),
            _ => {}
        }
        if segment.len() > limits::PATH_SEGMENT_MAX {
            return Err("One name in the path is longer than 255 bytes.");
        }
        if segment.contains('\\') {
            return Err("A name holds a backslash.");
        }
        if segment.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err("A name holds a control character, such as a line break.");
        }
        if segment.chars().any(|c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
            return Err("A name holds a mark that changes the reading direction.");
        }
        // Joiners (U+200C, U+200D) belong to the spelling of Persian words and of pictures.
        if segment.chars().any(|c| matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')) {
            return Err("A name holds a character without width, which makes it look like another name.");
        }
        if segment.starts_with(' ') || segment.ends_with(' ') {
            return Err("A name starts or ends with a space.");
        }
    }
    Ok(())
}

/// Whether a name is the one of git's own directory, on a disk that takes `.GIT` for the same as well.
pub fn is_git(name: &str) -> bool {
    name.eq_ignore_ascii_case(".git")
}

#[cfg(test)]
mod tests {
    use super::check_path;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_refused_with_a_reason() {
        for bad in [
            "",
            "/etc/passwd",
            "a//b",
            "../x",
            "a/../../x",
            "a/./b",
            "a\nb",
            "a\u{202e}b",
            "a\\b",
            "x/.git/config",
            ".GIT/hooks/x",
            "a\u{61c}b",
            "a\u{2028}b",
            "a\u{200b}b",
            &"n".repeat(256),
            &"d/".repeat(64),
        ] {
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
