//! What the first page tells: projects, what waits and runs in them, what was talked about, and what this month has cost.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ConversationId, Micros, ProjectId,
    budgets::{Budget, BudgetUse},
    chat::{TurnReason, TurnState},
    projects::{Project, ProjectRole},
    quotas::UserQuota,
};

/// All of it, read together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstPage {
    /// The caller's own, last changed first.
    pub projects: Vec<Project>,
    /// Public ones of others that the caller is no member of, last changed first.
    pub public: Vec<Project>,
    /// What the caller's own projects use together.
    pub quota: UserQuota,
    pub board: Dashboard,
}

/// What stands beside the projects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    /// The caller's own, last used first.
    pub conversations: Vec<RecentConversation>,
    /// In all projects that the caller is in, the newest first.
    pub work: Vec<Work>,
    pub month: MonthUse,
    pub sample: Sample,
}

/// A conversation in whichever project it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentConversation {
    pub id: ConversationId,
    pub project_id: ProjectId,
    pub project_name: String,
    pub title: String,
    pub updated_at: Micros,
    /// Of its last turn; `None` while it has none.
    pub turn_state: Option<TurnState>,
    pub turn_reason: Option<TurnReason>,
    /// The last turn's changes wait for a review.
    pub has_changes: bool,
}

/// The id of a turn, a change set, a run or a job.
pub type WorkId = Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// A turn of the caller that asks before it goes on.
    Approval,
    /// Any other turn that has not ended.
    Turn,
    /// A change set with hunks that nobody decided.
    Review,
    /// A command, a test run or a codegen run.
    Run,
    Terminal,
    /// An import that the caller began.
    Import,
}

/// Something that goes on, or waits for somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub kind: WorkKind,
    pub id: WorkId,
    pub project_id: ProjectId,
    pub project_name: String,
    /// What the caller may do there.
    pub role: ProjectRole,
    pub conversation_id: Option<ConversationId>,
    /// What the conversation, the change set or the command is called; empty for an import.
    pub title: String,
    /// Of an approval: the tool that waits. Of a review: who proposes, as the word of its `ChangeOrigin`.
    pub detail: Option<String>,
    /// The caller began it.
    pub is_mine: bool,
    /// When it began.
    pub at: Micros,
    /// Of a review: open hunks of all its hunks. Of an import: its progress, where `total` 0 means not known yet.
    pub done: i64,
    pub total: i64,
}

/// What the caller used in this calendar month, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonthUse {
    /// `2026-11`.
    pub month: String,
    pub used: BudgetUse,
    /// All that hold for the caller wherever they ask.
    pub budgets: Vec<Budget>,
    /// When the budget in money that ends first would be used up at the pace of this month; may lie beyond the month. `None` where
    /// nothing was spent of one.
    pub lasts_until: Option<Micros>,
}

/// The sample project that anybody may have a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// 0 where there is none.
    pub files: i64,
    pub tests: i64,
    /// The demonstration model is there to work on it.
    pub is_scripted: bool,
}
