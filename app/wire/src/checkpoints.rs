//! Points of a project's past that can be looked at, restored and forked.

use serde::{Deserialize, Serialize};

use crate::{
    CheckpointId, FieldError, Micros, TurnId,
    files::{EntryKind, FileAction, Origin, PathConflict},
    users::UserRef,
};

pub const NAME_MAX_CHARS: usize = 80;

/// Directories that commands fill and nobody versions: dependencies, build results, caches, what our own tools leave.
pub const EXCLUDED_DIRECTORIES: [&str; 10] =
    [".git", "node_modules", "target", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".cloudxdevai"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// Made before a turn of the agent.
    Turn,
    /// Made before a restore, so that it can be undone.
    Restore,
    /// Made by a person.
    Named,
}

/// One revision that is kept. What has a name is kept until somebody deletes it; the others are bounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Checkpoint {
    pub id: CheckpointId,
    pub kind: CheckpointKind,
    pub name: Option<String>,
    /// The first line of what the agent was asked, where a turn began here.
    pub prompt: Option<String>,
    pub turn_id: Option<TurnId>,
    pub revision: i64,
    pub files: i64,
    pub bytes: i64,
    pub created_at: Micros,
    pub created_by: Option<UserRef>,
}

impl Checkpoint {
    /// What it is called in lists.
    pub fn title(&self) -> String {
        match (&self.name, &self.prompt, self.kind) {
            (Some(name), ..) => name.clone(),
            (None, Some(prompt), CheckpointKind::Turn) if !prompt.is_empty() => format!("Before: {prompt}"),
            (None, _, CheckpointKind::Turn) => "Before a turn of the agent".to_owned(),
            (None, _, CheckpointKind::Restore) => "Before a restore".to_owned(),
            (None, _, CheckpointKind::Named) => "Checkpoint".to_owned(),
        }
    }
}

/// How much of the past is kept beyond what has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CheckpointBounds {
    /// Checkpoints without a name, newest first.
    pub count: i64,
    /// Age of checkpoints without a name.
    pub days: i64,
    /// Bytes that only checkpoints hold.
    pub bytes: i64,
}

/// Paths that are not part of the project's past, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Exclusion {
    /// The `.gitignore` that says so; `None` for what is always left out.
    pub source: Option<String>,
    pub patterns: Vec<String>,
}

/// The past of a project, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Timeline {
    /// The revision that this list shows.
    pub revision: i64,
    /// Paths that changed after the newest checkpoint.
    pub changed: i64,
    pub items: Vec<Checkpoint>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    pub bounds: CheckpointBounds,
    /// Bytes that only checkpoints hold: those of files that have changed or gone since.
    pub held_bytes: i64,
    pub excluded: Vec<Exclusion>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateCheckpoint {
    pub name: String,
}

/// A new name; an empty one takes the name away from a checkpoint that was made automatically.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpdateCheckpoint {
    pub name: String,
}

/// What a restore does to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RestoreEffect {
    /// Its earlier content comes back.
    GoesBack,
    /// It was deleted or moved away since, and comes back.
    ComesBack,
    /// It did not exist then.
    ToTrash,
    /// Only its permissions differ.
    Mode,
}

/// A path at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FileState {
    pub version: i64,
    pub kind: EntryKind,
    pub size: i64,
    pub checksum: String,
    pub mode: i32,
}

/// A file, a link or an empty directory as a checkpoint holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CheckpointFile {
    pub path: String,
    pub version: i64,
    pub kind: EntryKind,
    pub size: i64,
    /// SHA-256 in lower-case hex; empty for a directory.
    pub checksum: String,
    pub mode: i32,
}

/// Who changed a path, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ChangeNote {
    pub at: Micros,
    pub by: Option<UserRef>,
    pub origin: Origin,
    pub action: FileAction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PlannedFile {
    pub path: String,
    pub effect: RestoreEffect,
    /// As it was; `None` where it did not exist.
    pub then: Option<FileState>,
    /// As it is; `None` where it does not exist.
    pub now: Option<FileState>,
    /// The newest change since.
    pub last: ChangeNote,
    /// The newest change since by each other person than the one who asks: what a restore leaves alone unless told otherwise.
    pub others: Vec<ChangeNote>,
}

/// What restoring a checkpoint would do now. Nothing else would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RestorePlan {
    pub checkpoint: Checkpoint,
    /// The revision that this plan compares with; name it with the restore.
    pub revision: i64,
    /// Sorted by path.
    pub items: Vec<PlannedFile>,
    /// Files that stay as they are.
    pub unchanged: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RestoreCheckpoint {
    /// Exactly these of the plan. Without it: all of the plan but what others have changed since.
    #[serde(default)]
    pub paths: Option<Vec<String>>,
    /// The revision of the plan: what was changed after it stands in the way. Without it the files are taken as they are now; what was there
    /// before is kept as a checkpoint either way.
    #[serde(default)]
    pub expected_revision: Option<i64>,
}

/// A restore either happens or names the paths that stand in its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RestoreOutcome {
    Restored {
        revision: i64,
        /// Made before it: restoring it takes this restore back.
        before: Checkpoint,
        /// What was restored.
        paths: Vec<String>,
        /// What others have changed since and was left as they made it.
        left: Vec<String>,
    },
    /// Nothing was changed.
    Conflict { paths: Vec<PathConflict> },
}

/// A new project with the files of this one, as they are or as they were.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ForkProject {
    pub name: String,
    /// The files as they were at this checkpoint; without one, as they are.
    #[serde(default)]
    pub checkpoint_id: Option<CheckpointId>,
}

pub fn validate_name(name: &str) -> Option<FieldError> {
    let trimmed = name.trim();
    if trimmed.is_empty() {
        Some(FieldError::new("name", "Give the checkpoint a name."))
    } else if trimmed.chars().count() > NAME_MAX_CHARS || trimmed.chars().any(char::is_control) {
        Some(FieldError::new("name", "Use at most 80 characters and no control characters."))
    } else {
        None
    }
}
