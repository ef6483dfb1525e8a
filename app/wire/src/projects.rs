use serde::{Deserialize, Serialize};

use crate::{
    FieldError, JobId, Micros, ProjectId, files::Origin, languages::Languages, limits, packed_tree::PackedTree, runs::Run, users::UserRef,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Only owners enter; other members keep their roles for when it is shared again.
    Private,
    /// Its members.
    Shared,
    /// Everybody who is signed in may read it; its members may do what their roles say.
    Public,
}

/// What a member may do. Ordered: each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProjectRole {
    Viewer,
    Reviewer,
    Editor,
    Owner,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub description: String,
    pub visibility: Visibility,
    /// `local` or `s3`.
    pub storage_backend: String,
    /// What the caller may do here.
    pub role: ProjectRole,
    pub owner: UserRef,
    /// Counts up with every change of any file.
    pub revision: i64,
    pub file_count: i64,
    pub size_bytes: i64,
    /// Runs that are queued or running now.
    #[serde(default)]
    pub active_runs: i64,
    /// Change sets of the agent with open hunks.
    #[serde(default)]
    pub pending_reviews: i64,
    /// Bytes of the files by the language they are written in, as far as their names tell.
    #[serde(default)]
    pub languages: Languages,
    /// Who changed files last; absent where something else of the project was changed since, and while it has no files.
    #[serde(default)]
    pub last_change: Option<LastChange>,
    pub created_at: Micros,
    pub updated_at: Micros,
}

/// What a project's page begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenedProject {
    pub project: Project,
    /// All files, or those at the top.
    pub tree: PackedTree,
    /// The tree has all of them.
    pub whole: bool,
    /// The newest first.
    pub runs: Vec<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LastChange {
    /// By what means.
    pub origin: Origin,
    pub by: Option<UserRef>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateProject {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// `local` or `s3`; the server's default where nothing is said.
    #[serde(default)]
    pub storage_backend: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpdateProject {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// Only owners may change it.
    #[serde(default)]
    pub visibility: Option<Visibility>,
}

/// The answer to an import: a project that fills while the job runs; it disappears if the archive is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ImportStarted {
    pub project_id: ProjectId,
    pub job_id: JobId,
}

pub fn validate_name(name: &str) -> Option<FieldError> {
    let trimmed = name.trim();
    if trimmed.is_empty() {
        Some(FieldError::new("name", "Give the project a name."))
    } else if trimmed.chars().count() > limits::PROJECT_NAME_MAX_CHARS || trimmed.chars().any(char::is_control) {
        Some(FieldError::new("name", "Use at most 80 characters and no control characters."))
    } else {
        None
    }
}

pub fn validate_description(text: &str) -> Option<FieldError> {
    (text.chars().count() > limits::DESCRIPTION_MAX_CHARS).then(|| FieldError::new("description", "Use at most 500 characters."))
}
