use serde::{Deserialize, Serialize};

use crate::{
    JobId, Micros, ProjectId, UserId,
    jobs::{Job, JobState},
    projects::Visibility,
    quotas::UserQuota,
    users::{User, UserRef, UserRole, UserState},
};

/// Rows of a page, where the caller names no number, and at most.
pub const PAGE: u32 = 50;
pub const PAGE_MAX: u32 = 200;

/// One page of a list that can be turned both ways. Cursors are opaque; `None` means that there is nothing more that way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
    #[serde(default)]
    pub previous_cursor: Option<String>,
    /// Of the whole list, as it is filtered.
    #[serde(default)]
    pub total: i64,
}

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Asc,
    #[default]
    Desc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UserSort {
    Name,
    #[default]
    Joined,
    LastSeen,
    Projects,
    Storage,
    /// What models cost this month.
    Cost,
}

impl UserSort {
    pub const ALL: [Self; 6] = [Self::Name, Self::Joined, Self::LastSeen, Self::Projects, Self::Storage, Self::Cost];

    /// As in addresses and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Joined => "joined",
            Self::LastSeen => "last_seen",
            Self::Projects => "projects",
            Self::Storage => "storage",
            Self::Cost => "cost",
        }
    }
}

/// Which accounts: all that is named must fit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserQuery {
    /// In names, user names and e-mail addresses.
    #[serde(default)]
    pub search: Option<String>,
    #[serde(default)]
    pub role: Option<UserRole>,
    #[serde(default)]
    pub state: Option<UserState>,
    /// Those who have one, or those who have none.
    #[serde(default)]
    pub second_factor: Option<bool>,
    #[serde(default)]
    pub sort: UserSort,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default)]
    pub cursor: Option<String>,
    /// 1 to 200; 50 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// An account as administrators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AdminUser {
    #[serde(flatten)]
    pub user: User,
    /// Asked for a code or a passkey after the password.
    #[serde(default)]
    pub second_factor: bool,
    /// That the person owns, deleted ones aside.
    #[serde(default)]
    pub projects: i64,
    /// Files of these projects as they are now, in bytes.
    #[serde(default)]
    pub storage_bytes: i64,
    /// What models cost this month (UTC), in micro-US-dollars.
    #[serde(default)]
    pub cost_micros: i64,
}

/// One account with what administrators look at before they decide something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserDetail {
    pub user: AdminUser,
    pub quota: UserQuota,
    /// Sessions that may be used now.
    pub sessions: i64,
    pub tokens: i64,
    /// The last ones to change, at most 50.
    pub owned: Vec<AdminProject>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProjectSort {
    Name,
    Owner,
    Files,
    Size,
    #[default]
    Activity,
    Created,
}

impl ProjectSort {
    pub const ALL: [Self; 6] = [Self::Name, Self::Owner, Self::Files, Self::Size, Self::Activity, Self::Created];

    /// As in addresses and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Owner => "owner",
            Self::Files => "files",
            Self::Size => "size",
            Self::Activity => "activity",
            Self::Created => "created",
        }
    }
}

/// Which projects: all that is named must fit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProjectQuery {
    /// In names of projects and of their owners; or an id.
    #[serde(default)]
    pub search: Option<String>,
    #[serde(default)]
    pub visibility: Option<Visibility>,
    /// Only deleted ones, or none of them; all if absent.
    #[serde(default)]
    pub deleted: Option<bool>,
    #[serde(default)]
    pub owner: Option<UserId>,
    #[serde(default)]
    pub sort: ProjectSort,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default)]
    pub cursor: Option<String>,
    /// 1 to 200; 50 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What an administrator may know of any project: neither what is in it nor what it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AdminProject {
    pub id: ProjectId,
    pub name: String,
    pub owner: UserRef,
    pub visibility: Visibility,
    pub storage_backend: String,
    pub members: i64,
    pub file_count: i64,
    pub size_bytes: i64,
    pub created_at: Micros,
    pub updated_at: Micros,
    pub deleted_at: Option<Micros>,
    /// Of a deleted one: after that it goes for good.
    #[serde(default)]
    pub restorable_until: Option<Micros>,
    /// Until when the caller has it open; see [`AdminAccess`].
    #[serde(default)]
    pub open_until: Option<Micros>,
}

/// Why an administrator has to read a project that is not theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OpenProject {
    /// Shown to the project's people; 10 to 500 characters.
    pub reason: String,
}

/// Hands a project to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct GiveProject {
    pub to: UserId,
}

/// An administrator opened a project for a while, to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AdminAccess {
    pub by: UserRef,
    pub reason: String,
    pub opened_at: Micros,
    pub until: Micros,
    /// When it was closed early.
    pub closed_at: Option<Micros>,
}

impl AdminAccess {
    pub fn is_open(&self, now: Micros) -> bool {
        self.closed_at.is_none() && self.until > now
    }
}

/// Which jobs, the newest first: all that is named must fit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct JobQuery {
    /// The id of a job, or a part of a person's name or of an error.
    #[serde(default)]
    pub search: Option<String>,
    #[serde(default)]
    pub state: Option<JobState>,
    /// Only those that wait or run.
    #[serde(default)]
    pub live: Option<bool>,
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub user: Option<UserId>,
    #[serde(default)]
    pub project: Option<ProjectId>,
    #[serde(default)]
    pub cursor: Option<String>,
    /// 1 to 200; 50 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What became of jobs that were put back into the queue together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Requeued {
    pub jobs: Vec<JobId>,
}

/// Jobs by what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct QueueDepth {
    pub queued: i64,
    pub running: i64,
    /// Given up.
    pub dead: i64,
    /// When the one that waits longest could have begun.
    pub oldest_due: Option<Micros>,
}

/// The few numbers that say how the installation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Overview {
    pub users: i64,
    /// Seen in the last 30 days.
    pub active_users: i64,
    pub administrators: i64,
    pub disabled: i64,
    pub without_second_factor: i64,
    pub projects: i64,
    pub deleted_projects: i64,
    pub storage_bytes: i64,
    /// Of this month (UTC), in micro-US-dollars.
    pub cost_micros: i64,
    /// Projects that administrators have open now.
    pub open_accesses: i64,
    pub queue: QueueDepth,
    /// The last jobs that failed or were given up, at most 5.
    pub failed_jobs: Vec<Job>,
}

/// What the navigation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Pulse {
    pub live_jobs: i64,
    pub failed_checks: i64,
}

/// The checks, and what operators are asked for first when something is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct HealthReport {
    #[serde(flatten)]
    pub health: Health,
    pub version: String,
    /// Of this process; `None` where the system does not tell.
    pub uptime_s: Option<i64>,
    pub database: String,
    pub database_bytes: Option<i64>,
    pub queue: QueueDepth,
    pub checked_at: Micros,
}

/// Who changed settings last. The name is `accounts`, `runs`, `storage` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SettingsChange {
    pub name: String,
    pub at: Micros,
    pub by: Option<UserRef>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpdateUser {
    #[serde(default)]
    pub role: Option<UserRole>,
    #[serde(default)]
    pub state: Option<UserState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Ok,
    Warning,
    Failed,
}

/// One line of the health page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Check {
    pub name: String,
    pub state: CheckState,
    /// What was found.
    pub reason: String,
    /// What to do about it, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Health {
    pub state: CheckState,
    pub checks: Vec<Check>,
}

impl Health {
    pub fn from_checks(checks: Vec<Check>) -> Self {
        let state = if checks.iter().any(|c| c.state == CheckState::Failed) {
            CheckState::Failed
        } else if checks.iter().any(|c| c.state == CheckState::Warning) {
            CheckState::Warning
        } else {
            CheckState::Ok
        };
        Self { state, checks }
    }
}
