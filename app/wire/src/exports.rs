//! Archives of a project: its files alone, or with everything that happened to them.

use serde::{Deserialize, Serialize};

use crate::{
    ExportId, JobId, Micros, ProjectId,
    jobs::{JobState, Progress},
};

/// How long an archive can be downloaded.
pub const KEPT_S: i64 = 24 * 3600;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StartExport {
    /// With versions, checkpoints, conversations and runs: such an archive can be imported again as an equal project.
    #[serde(default)]
    pub history: bool,
}

/// An archive that is being made, or can be downloaded until it expires. Only who asked for it sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Export {
    pub id: ExportId,
    pub project_id: ProjectId,
    /// The job that makes it: follow it for progress, cancel it to stop.
    pub job_id: JobId,
    pub history: bool,
    pub filename: String,
    pub state: JobState,
    /// In bytes.
    pub progress: Progress,
    /// Why it failed, in a sentence.
    pub error: Option<String>,
    /// Bytes of the archive; `None` until it is made.
    pub size: Option<i64>,
    pub created_at: Micros,
    pub expires_at: Micros,
}

impl Export {
    pub fn can_be_downloaded(&self) -> bool {
        self.size.is_some() && self.state == JobState::Succeeded
    }
}
