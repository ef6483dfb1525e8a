//! How much projects and people may keep, and how long earlier versions are kept.

use serde::{Deserialize, Serialize};

use crate::{FieldError, limits};

/// What an administrator chooses for everybody. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageSettings {
    /// The files of one project as they are now.
    pub project_bytes: i64,
    pub project_files: i64,
    /// Earlier versions and deleted files of one project, each content counted once. Beyond it the oldest that nothing needs are removed;
    /// at [`HISTORY_TIMES`] as much nothing new is saved until some of it is gone.
    pub project_history_bytes: i64,
    /// The newest of each file are kept, the present one included; older ones that nothing needs are removed. Within the hour in which
    /// they were replaced at most [`HISTORY_TIMES`] as many are.
    pub versions_per_file: i64,
    /// Of one project.
    pub checkpoints: i64,
    /// All projects that one person owns, together; each may be overridden for a person.
    pub user_bytes: i64,
    pub user_files: i64,
    /// Earlier versions in all projects that one person owns. Beyond it the oldest that nothing needs are removed within the hour, where
    /// there are most; at [`HISTORY_TIMES`] as many the project that is written makes room at once.
    pub user_versions: i64,
    /// Checkpoints in all projects that one person owns.
    pub user_checkpoints: i64,
    /// Projects that one person owns. Deleted ones count until they are gone for good.
    pub user_projects: i64,
    /// Earlier versions and deleted files are kept for so long after they were replaced. `None`: for as long as the server's
    /// configuration says (`STORAGE_RETENTION_DAYS`).
    pub retention_days: Option<u32>,
}

/// Earlier versions and deleted files hold at most so many times what a limit names, whatever can't go yet: of a project's
/// `project_history_bytes`, and over all projects of a person of what their files may hold.
pub const HISTORY_TIMES: i64 = 2;

const MIB: i64 = 1024 * 1024;
const GIB: i64 = 1024 * MIB;

/// From this share of a limit on people are told, in percent.
pub const NOTICE_PERCENT: i64 = 80;
/// More days than any of us will see.
pub const RETENTION_DAYS_MAX: u32 = 36_500;

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            project_bytes: limits::PROJECT_BYTES_MAX,
            project_files: limits::PROJECT_FILES_MAX,
            project_history_bytes: 5 * limits::PROJECT_BYTES_MAX,
            versions_per_file: 500,
            checkpoints: 200,
            user_bytes: 20 * GIB,
            user_files: 2_000_000,
            user_versions: 2_000_000,
            user_checkpoints: 10_000,
            user_projects: 1000,
            retention_days: None,
        }
    }
}

impl StorageSettings {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let mut check = |name: &str, value: i64, least: i64, most: i64, what: &str| {
            if !(least..=most).contains(&value) {
                fields.push(FieldError::new(name, format!("Choose {what}.")));
            }
        };
        check("project_bytes", self.project_bytes, MIB, 4096 * GIB, "1 MiB to 4 TiB");
        check("project_files", self.project_files, 10, 10_000_000, "10 to 10 million files");
        check("project_history_bytes", self.project_history_bytes, MIB, 40_960 * GIB, "1 MiB to 40 TiB");
        check("versions_per_file", self.versions_per_file, 2, 1_000_000, "2 to 1 million versions");
        check("checkpoints", self.checkpoints, 10, 100_000, "10 to 100000 checkpoints");
        check("user_bytes", self.user_bytes, MIB, 40_960 * GIB, "1 MiB to 40 TiB");
        check("user_files", self.user_files, 10, 100_000_000, "10 to 100 million files");
        check("user_versions", self.user_versions, 10, 1_000_000_000, "10 to 1 billion versions");
        check("user_checkpoints", self.user_checkpoints, 10, 10_000_000, "10 to 10 million checkpoints");
        check("user_projects", self.user_projects, 1, 100_000, "1 to 100000 projects");
        if let Some(days) = self.retention_days {
            check("retention_days", i64::from(days), 1, i64::from(RETENTION_DAYS_MAX), "1 to 36500 days");
        }
        fields
    }
}

/// One person's or one project's own limits. What is absent is as for everybody, or for a project as for its owner's projects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct QuotaOverride {
    /// A person's: of all projects together.
    pub bytes: Option<i64>,
    pub files: Option<i64>,
    /// Of each file.
    pub versions: Option<i64>,
    /// Of each project.
    pub checkpoints: Option<i64>,
    /// Earlier versions in all projects of a person; no project has this, nor what follows.
    pub all_versions: Option<i64>,
    /// Checkpoints in all projects of a person.
    pub all_checkpoints: Option<i64>,
    /// Projects that a person owns.
    pub projects: Option<i64>,
}

impl QuotaOverride {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.bytes.is_some_and(|bytes| !(MIB..=40_960 * GIB).contains(&bytes)) {
            fields.push(FieldError::new("bytes", "Choose 1 MiB to 40 TiB, or leave it empty."));
        }
        if self.files.is_some_and(|files| !(10..=100_000_000).contains(&files)) {
            fields.push(FieldError::new("files", "Choose 10 to 100 million files, or leave it empty."));
        }
        if self.versions.is_some_and(|versions| !(2..=1_000_000).contains(&versions)) {
            fields.push(FieldError::new("versions", "Choose 2 to 1 million versions, or leave it empty."));
        }
        if self.checkpoints.is_some_and(|checkpoints| !(10..=100_000).contains(&checkpoints)) {
            fields.push(FieldError::new("checkpoints", "Choose 10 to 100000 checkpoints, or leave it empty."));
        }
        if self.all_versions.is_some_and(|versions| !(10..=1_000_000_000).contains(&versions)) {
            fields.push(FieldError::new("all_versions", "Choose 10 to 1 billion versions, or leave it empty."));
        }
        if self.all_checkpoints.is_some_and(|checkpoints| !(10..=10_000_000).contains(&checkpoints)) {
            fields.push(FieldError::new("all_checkpoints", "Choose 10 to 10 million checkpoints, or leave it empty."));
        }
        if self.projects.is_some_and(|projects| !(1..=100_000).contains(&projects)) {
            fields.push(FieldError::new("projects", "Choose 1 to 100000 projects, or leave it empty."));
        }
        fields
    }

    /// As [`Self::validate`], of a project's own limits.
    pub fn validate_of_project(&self) -> Vec<FieldError> {
        let only_of_people = [("all_versions", self.all_versions), ("all_checkpoints", self.all_checkpoints), ("projects", self.projects)];
        let wrong = only_of_people.into_iter().filter(|(_, limit)| limit.is_some());
        let wrong = wrong.map(|(name, _)| FieldError::new(name, "Only people have this limit. Leave it empty."));
        self.validate().into_iter().chain(wrong).collect()
    }
}

/// How much of something is used, in bytes or pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Used {
    pub used: i64,
    pub limit: i64,
}

impl Used {
    pub fn percent(self) -> f64 {
        if self.limit <= 0 { 100.0 } else { self.used as f64 * 100.0 / self.limit as f64 }
    }

    /// Nearly used up: the moment to say so.
    pub fn is_near(self) -> bool {
        self.used.saturating_mul(100) >= self.limit.saturating_mul(NOTICE_PERCENT)
    }

    pub fn is_full(self) -> bool {
        self.used >= self.limit
    }
}

/// What a project uses and may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProjectQuota {
    pub bytes: Used,
    pub files: Used,
    /// Earlier versions and deleted files. Beyond the limit the oldest go; at [`HISTORY_TIMES`] as much nothing new is saved.
    pub history_bytes: Used,
    pub checkpoints: Used,
    /// Of the file that has most. Beyond the limit the oldest go within the hour, at [`HISTORY_TIMES`] as many at once; those that a
    /// checkpoint, an open review or an unfinished turn needs stay.
    #[serde(default)]
    pub versions: Used,
    pub versions_per_file: i64,
    pub retention_days: u32,
    /// What the project's owner uses over all projects: the project stops growing there too.
    pub owner: UserQuota,
    /// Set for this project by an administrator.
    #[serde(default)]
    pub own: QuotaOverride,
}

/// What one person's projects use together, and may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserQuota {
    pub bytes: Used,
    pub files: Used,
    /// At least what earlier versions and deleted files hold; at the limit nothing new is saved.
    #[serde(default)]
    pub history_bytes: Used,
    /// At least how many earlier versions are kept. Beyond the limit the oldest go within the hour, where there are most; at
    /// [`HISTORY_TIMES`] as many the project that is written makes room at once, and nothing new is saved where it has none to give.
    #[serde(default)]
    pub versions: Used,
    #[serde(default)]
    pub checkpoints: Used,
    /// `projects` with those that are being imported, or deleted and not yet gone for good. At the limit no project is made or taken over.
    #[serde(default)]
    pub all_projects: Used,
    pub projects: i64,
    /// Set for this person by an administrator.
    #[serde(default)]
    pub own: QuotaOverride,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted_and_are_what_held_before() {
        let defaults = StorageSettings::default();
        assert_eq!(defaults.validate(), []);
        assert_eq!((defaults.project_bytes, defaults.project_files), (limits::PROJECT_BYTES_MAX, limits::PROJECT_FILES_MAX));
    }

    #[test]
    fn wrong_values_are_named_by_their_fields() {
        let wrong = StorageSettings { versions_per_file: 1, retention_days: Some(0), ..StorageSettings::default() };
        let names: Vec<_> = wrong.validate().into_iter().map(|field| field.field).collect();
        assert_eq!(names, ["versions_per_file", "retention_days"]);
        let own = QuotaOverride { bytes: Some(1), versions: Some(1), checkpoints: Some(0), ..QuotaOverride::default() };
        assert_eq!(own.validate().len(), 3);
        let own = QuotaOverride { all_versions: Some(1), all_checkpoints: Some(10), projects: Some(0), ..QuotaOverride::default() };
        let names = |fields: Vec<FieldError>| fields.into_iter().map(|field| field.field).collect::<Vec<_>>();
        assert_eq!(names(own.validate()), ["all_versions", "projects"]);
        assert_eq!(names(own.validate_of_project()), ["all_versions", "projects", "all_versions", "all_checkpoints", "projects"]);
        assert_eq!(QuotaOverride { files: Some(10), ..QuotaOverride::default() }.validate_of_project(), []);
    }

    #[test]
    fn people_are_told_from_four_fifths_on() {
        let used = |used| Used { used, limit: 1000 };
        assert!(!used(799).is_near() && used(800).is_near() && !used(999).is_full() && used(1000).is_full());
    }
}
