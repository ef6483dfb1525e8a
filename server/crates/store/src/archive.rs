//! A project's rows as they stand in an archive with history, and back. Each struct is one line of such an archive: its fields are the
//! format, so they are only ever added to. Ids are those of the server that wrote it; whoever reads it gives new ones.

mod around;
mod chat;
mod files;
mod runs;
mod talk;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use wire::UserId;

pub use around::{
    BudgetLine, CallLine, CodegenLine, EgressLine, RuleLine, SettingsLine, budgets, calls, codegen, egress, insert_budget, insert_call,
    insert_egress, insert_rule, put_settings, rules, settings,
};
pub use chat::{
    ChangeFileLine, ChangeSetLine, ConversationLine, HunkLine, MessageLine, TurnLine, change_files, change_sets, conversations, hunks,
    insert_change_file, insert_change_set, insert_conversation, insert_hunk, insert_message, insert_turn, messages, set_last_message,
    turns,
};
pub use files::{BlobLine, CheckpointLine, Past, VersionLine, blobs, checkpoints, insert_checkpoint, insert_version, set_past, versions};
pub use runs::{OutputLine, ReportLine, RunLine, clear, insert_events, insert_report, insert_run, reports, runs};
pub use talk::{
    ApprovalLine, CommentLine, PictureLine, QueuedLine, RewindLine, UndoneLine, approvals, comments, hold_queue, insert_approval,
    insert_comment, insert_picture, insert_queued, insert_rewind, insert_undone, pictures, queued, rewinds, undone,
};

/// Who did something, in words that mean the same on another server.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow, Serialize, Deserialize)]
pub struct By {
    /// The account's name; `None` where there is no account.
    #[serde(default)]
    pub username: Option<String>,
    /// How people are shown who it was.
    #[serde(default)]
    pub author: Option<String>,
}

/// The same, on this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maker {
    pub id: Option<UserId>,
    /// Only where there is no account with the name.
    pub author: Option<String>,
}
