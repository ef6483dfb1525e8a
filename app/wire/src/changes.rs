use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ChangeSetId, FieldError, HunkId, Micros, TurnId, users::UserRef};

/// What made a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeOrigin {
    /// A turn of the agent.
    #[default]
    Agent,
    /// A person, by replacing what a search finds.
    Replace,
}

/// What a review is opened by: the turn that proposes, or the change set itself where no turn made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewKey {
    Turn(TurnId),
    Set(ChangeSetId),
}

impl From<TurnId> for ReviewKey {
    fn from(turn: TurnId) -> Self {
        Self::Turn(turn)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    Add,
    Modify,
    Delete,
    Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HunkState {
    Open,
    Accepted,
    Edited,
    Rejected,
    /// Accepted, but the project has moved on and it no longer fits; nothing was written.
    Conflict,
}

impl HunkState {
    /// A decision can still be made.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Conflict)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeSetState {
    Open,
    Decided,
}

/// A reviewable piece of a file. `diff` holds the lines of a unified diff without its header: each begins with a space, `-` or `+`;
/// `\ No newline at end of file` may follow a line. Numbers count lines from 1 and include the context shown. A change that has no
/// lines (binary content, a mode, an empty file) is one hunk with an empty `diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hunk {
    pub id: HunkId,
    pub old_start: i32,
    pub old_lines: i32,
    pub new_start: i32,
    pub new_lines: i32,
    pub diff: String,
    pub state: HunkState,
    /// What was written instead of the new side of the hunk, where the person edited it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<UserRef>,
}

impl Hunk {
    /// The text of the new side, context included: what an edit starts from.
    pub fn new_text(&self) -> String {
        side(&self.diff, '-')
    }

    /// The text of the old side, context included.
    pub fn old_text(&self) -> String {
        side(&self.diff, '+')
    }
}

fn side(diff: &str, without: char) -> String {
    let mut text = String::new();
    let mut kept_last = false;
    for line in diff.split_inclusive('\n') {
        if line.starts_with('\\') {
            // The marker belongs to the line before it, which then has no line end.
            if kept_last && text.ends_with('\n') {
                text.pop();
            }
        } else {
            kept_last = !line.starts_with(without);
            if kept_last {
                text.push_str(line.get(1..).unwrap_or_default());
            }
        }
    }
    text
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedFile {
    pub path: String,
    pub action: ChangeAction,
    pub binary: bool,
    pub added_lines: i32,
    pub removed_lines: i32,
    pub old_mode: Option<i32>,
    pub new_mode: Option<i32>,
    pub hunks: Vec<Hunk>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    pub change_set_id: ChangeSetId,
    /// `None` where no turn made it.
    pub turn_id: Option<TurnId>,
    #[serde(default)]
    pub origin: ChangeOrigin,
    /// What it does in a few words; empty for those of the agent.
    #[serde(default)]
    pub title: String,
    /// Who made it, where that was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<UserRef>,
    pub state: ChangeSetState,
    /// The project revision that it started from.
    pub base_revision: i64,
    pub created_at: Micros,
    pub files: Vec<ChangedFile>,
}

impl ChangeSet {
    pub fn review_key(&self) -> ReviewKey {
        self.turn_id.map_or(ReviewKey::Set(self.change_set_id), ReviewKey::Turn)
    }

    pub fn open_hunks(&self) -> usize {
        self.files.iter().flat_map(|f| &f.hunks).filter(|h| h.state.is_open()).count()
    }
}

/// Decisions made in one go. A hunk may stand in only one of the lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Decide {
    #[serde(default)]
    pub accept: Vec<HunkId>,
    #[serde(default)]
    pub reject: Vec<HunkId>,
    /// The text to write in place of the hunk's new side, context included.
    #[serde(default)]
    pub edits: BTreeMap<HunkId, String>,
    #[serde(default)]
    pub reason: Option<String>,
}

impl Decide {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut seen = std::collections::BTreeSet::new();
        let doubled = self.accept.iter().chain(&self.reject).chain(self.edits.keys()).any(|id| !seen.insert(*id));
        if doubled {
            vec![FieldError::new("accept", "A hunk can be accepted, rejected or edited, but only one of these.")]
        } else if seen.is_empty() {
            vec![FieldError::new("accept", "Name at least one hunk.")]
        } else {
            Vec::new()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub change_set: ChangeSet,
    /// Files that were written.
    pub written: Vec<String>,
    /// Hunks that no longer fit; nothing of them was written.
    pub conflicts: Vec<HunkId>,
}

/// One decision, as the model is told about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HunkDecision {
    pub path: String,
    pub old_start: i32,
    pub state: HunkState,
    /// The hunk as the agent proposed it.
    pub diff: String,
    /// What was written instead, where it was edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
