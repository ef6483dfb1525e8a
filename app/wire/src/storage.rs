//! Where the bytes of projects are kept.

use serde::{Deserialize, Serialize};

use crate::jobs::Job;

/// The kinds of storage that are set up here, as they are written in a project: `local` first, then `s3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StorageChoices {
    pub backends: Vec<String>,
    /// Where new projects go when nobody chooses.
    pub default: String,
}

/// Where one project is, and whether it is on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProjectStorage {
    pub backend: String,
    pub choices: StorageChoices,
    /// While it moves: where to, and the job that does it. Everything works meanwhile.
    #[serde(default)]
    pub move_to: Option<String>,
    #[serde(default)]
    pub move_job: Option<Job>,
    /// Why the last move did not come to its end, in a sentence.
    #[serde(default)]
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MoveStorage {
    /// `local` or `s3`.
    pub to: String,
}

/// What a storage is called on pages.
pub fn storage_label(backend: &str) -> &'static str {
    match backend {
        "s3" => "S3 storage",
        _ => "This server's disk",
    }
}
