use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{ChangeSetId, FieldError, HunkId, Micros, ReviewCommentId, RunId, TurnId, users::UserRef};

/// Characters of a reason, or of a comment on a hunk.
pub const REMARK_MAX_CHARS: usize = 4000;

/// What made a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeOrigin {
    /// A turn of the agent.
    #[default]
    Agent,
    /// A person, by replacing what a search finds.
    Replace,
    /// A person, with code that stands in a conversation.
    Conversation,
}

/// What a review is opened by: the turn that proposes, or the change set itself where no turn made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    Add,
    Modify,
    Delete,
    /// The file moved, perhaps with changes. Its first hunk is the move, the others are changes of the text; they are decided apart.
    Rename,
    Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeSetState {
    Open,
    Decided,
}

/// A reviewable piece of a file. `diff` holds the lines of a unified diff without its header: each begins with a space, `-` or `+`;
/// `\ No newline at end of file` may follow a line. Numbers count lines from 1 and include the context shown. A change that has no
/// lines (binary content, a mode, an empty file) is one hunk with an empty `diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    /// What the project has in place of the old side, where the hunk is in conflict. `None` where there is no text, or too much of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Gap>,
}

/// The lines of the project between those around a hunk that are still there. An edit that has seen this text replaces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Gap {
    /// Where the file is now: a move may not be accepted yet.
    pub path: String,
    /// Counted from 1.
    pub first_line: i32,
    /// Empty where nothing is left between them.
    pub text: String,
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

    /// The indexes of the added and removed lines. All lines of the diff are counted from 0, markers of missing line ends not.
    pub fn changed_lines(&self) -> BTreeSet<u32> {
        let lines = self.diff.split_inclusive('\n').filter(|line| !line.starts_with('\\'));
        (0u32..).zip(lines).filter(|(_, line)| line.starts_with(['+', '-'])).map(|(index, _)| index).collect()
    }

    /// The text that the hunk makes when only the changed lines in `taken` are: a removed line that is not taken stays, an added one
    /// does not come.
    pub fn text_of_lines(&self, taken: &BTreeSet<u32>) -> String {
        let line_end = if self.diff.contains("\r\n") { "\r\n" } else { "\n" };
        let mut text = String::new();
        let mut kept_last = false;
        let mut index = 0;
        for line in self.diff.split_inclusive('\n') {
            let first = line.as_bytes().first().copied().unwrap_or(b' ');
            if first == b'\\' {
                if kept_last && text.ends_with('\n') {
                    text.pop();
                }
                continue;
            }
            kept_last = match first {
                b'-' => !taken.contains(&index),
                b'+' => taken.contains(&index),
                _ => true,
            };
            index += 1;
            if kept_last {
                // What had no line end because it was the last line has one when another follows.
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push_str(line_end);
                }
                text.push_str(line.get(1..).unwrap_or_default());
            }
        }
        text
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
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ChangedFile {
    pub path: String,
    /// Where a renamed file was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    pub action: ChangeAction,
    pub binary: bool,
    /// A symbolic link, whose lines are where it leads. It is accepted or rejected as a whole.
    #[serde(default)]
    pub link: bool,
    /// A directory that is empty, or that the project holds for itself. It is accepted or rejected as a whole.
    #[serde(default)]
    pub directory: bool,
    pub added_lines: i32,
    pub removed_lines: i32,
    pub old_mode: Option<i32>,
    pub new_mode: Option<i32>,
    pub hunks: Vec<Hunk>,
}

impl ChangedFile {
    /// Whether it is about the file at a path: there, or moving away from there.
    pub fn touches(&self, path: &str) -> bool {
        self.path == path || self.old_path.as_deref() == Some(path)
    }

    /// What is said about the file as a whole. The hunks are most of it by far, and are not even copied.
    pub fn without_hunks(&self) -> Self {
        let Self { path, old_path, hunks: _, .. } = self;
        Self { path: path.clone(), old_path: old_path.clone(), hunks: Vec::new(), ..*self }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    /// The codegen run that proposes it. There is no conversation to go on in: nobody is told what becomes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    pub state: ChangeSetState,
    /// The project revision that it started from.
    pub base_revision: i64,
    pub created_at: Micros,
    pub files: Vec<ChangedFile>,
    /// What people said about hunks, oldest first.
    #[serde(default)]
    pub comments: Vec<ReviewComment>,
}

/// A remark on a hunk. Those that are not sent yet become the agent's next prompt in one go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ReviewComment {
    pub id: ReviewCommentId,
    pub hunk_id: HunkId,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<UserRef>,
    pub created_at: Micros,
    /// When it was sent to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AddComment {
    pub hunk_id: HunkId,
    pub text: String,
}

impl AddComment {
    pub fn validate(&self) -> Vec<FieldError> {
        let text = self.text.trim();
        if text.is_empty() {
            vec![FieldError::new("text", "Write what the agent should know about this hunk.")]
        } else if text.chars().count() > REMARK_MAX_CHARS {
            vec![FieldError::new("text", format!("A comment has at most {REMARK_MAX_CHARS} characters."))]
        } else {
            Vec::new()
        }
    }
}

/// A change set that still has open hunks, without its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OpenChangeSet {
    pub change_set_id: ChangeSetId,
    /// `None` where no turn made it.
    pub turn_id: Option<TurnId>,
    pub origin: ChangeOrigin,
    /// Empty for those of the agent.
    pub title: String,
    pub created_at: Micros,
    pub files: i64,
    pub open_hunks: i64,
}

impl OpenChangeSet {
    pub fn review_key(&self) -> ReviewKey {
        self.turn_id.map_or(ReviewKey::Set(self.change_set_id), ReviewKey::Turn)
    }
}

/// A file of a change set as it was and as it is proposed. A side is `None` where it is not text, or larger than is judged line by
/// line; it is empty where there is no file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FileSides {
    pub old: Option<String>,
    pub new: Option<String>,
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
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Decide {
    #[serde(default)]
    pub accept: Vec<HunkId>,
    #[serde(default)]
    pub reject: Vec<HunkId>,
    /// The text to write in place of the hunk's new side, context included.
    #[serde(default)]
    pub edits: BTreeMap<HunkId, String>,
    /// The text that an edited hunk in conflict replaces, as it was seen in [`Hunk::now`]. It is a conflict again where something else
    /// stands there by now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<HunkId, String>,
    /// The changed lines that are taken of a hunk, by [`Hunk::changed_lines`]; the others are rejected. The model is told the text
    /// that this makes, as of an edit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<HunkId, Vec<u32>>,
    /// Why the rejected hunks are.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why one rejected hunk is, in place of `reason`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<HunkId, String>,
}

impl Decide {
    pub fn validate(&self) -> Vec<FieldError> {
        let named: Vec<_> = self.accept.iter().chain(&self.reject).chain(self.edits.keys()).chain(self.lines.keys()).collect();
        let mut fields = Vec::new();
        if named.iter().collect::<BTreeSet<_>>().len() < named.len() {
            fields.push(FieldError::new("accept", "A hunk can be accepted, rejected, edited or taken by lines, but only one of these."));
        } else if named.is_empty() {
            fields.push(FieldError::new("accept", "Name at least one hunk."));
        }
        if self.seen.keys().any(|id| !self.edits.contains_key(id)) {
            fields.push(FieldError::new("seen", "Say what was seen for hunks that are edited."));
        }
        if self.reasons.keys().any(|id| !self.reject.contains(id)) {
            fields.push(FieldError::new("reasons", "Give reasons for hunks that are rejected."));
        }
        if self.reason.iter().chain(self.reasons.values()).any(|reason| reason.chars().count() > REMARK_MAX_CHARS) {
            fields.push(FieldError::new("reason", format!("A reason has at most {REMARK_MAX_CHARS} characters.")));
        }
        fields
    }

    /// Why a rejected hunk is, if that was said.
    pub fn reason_of(&self, id: HunkId) -> Option<&str> {
        let said = self.reasons.get(&id).or(self.reason.as_ref());
        said.map(|reason| reason.trim()).filter(|reason| !reason.is_empty())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Decided {
    pub change_set: ChangeSet,
    /// Files that were written.
    pub written: Vec<String>,
    /// Hunks that no longer fit; nothing of them was written.
    pub conflicts: Vec<HunkId>,
}

/// One decision, as the model is told about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct HunkDecision {
    pub path: String,
    /// What happens to the file; `None` in transcripts from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ChangeAction>,
    /// Where a renamed file was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
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

impl HunkDecision {
    /// What the decision is about, in words: a place in a file, or what happens to the file as a whole.
    pub fn subject(&self) -> String {
        subject(&self.path, self.old_path.as_deref(), self.action, !self.diff.is_empty(), self.old_start)
    }
}

/// What a hunk is about, in words; see [`HunkDecision::subject`].
pub fn subject(path: &str, old_path: Option<&str>, action: Option<ChangeAction>, has_lines: bool, old_start: i32) -> String {
    match (action, old_path) {
        (Some(ChangeAction::Delete), _) => format!("{path}, deleting it"),
        (Some(ChangeAction::Rename), Some(old)) if !has_lines => format!("{path}, moving it from {old}"),
        (Some(ChangeAction::Rename), Some(old)) => format!("{path} (from {old}), line {old_start}"),
        (Some(ChangeAction::Mode), _) => format!("{path}, its permissions"),
        (Some(ChangeAction::Add), _) if !has_lines => format!("{path}, adding it"),
        (Some(_), _) if !has_lines => format!("{path}, as a whole"),
        _ => format!("{path}, line {old_start}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunk(diff: &str) -> Hunk {
        Hunk {
            id: HunkId(uuid::Uuid::nil()),
            old_start: 1,
            old_lines: 0,
            new_start: 1,
            new_lines: 0,
            diff: diff.to_owned(),
            state: HunkState::Open,
            edited_text: None,
            reason: None,
            decided_by: None,
            now: None,
        }
    }

    #[test]
    fn chosen_lines_make_the_text() {
        let hunk = hunk("     for x in y:\n-        a = 2 ** n\n-        b()\n+        a = wait(n)\n+        c()\n         d\n");
        assert_eq!(hunk.changed_lines(), BTreeSet::from([1, 2, 3, 4]));
        assert_eq!(hunk.text_of_lines(&hunk.changed_lines()), hunk.new_text());
        assert_eq!(hunk.text_of_lines(&BTreeSet::new()), hunk.old_text());
        assert_eq!(hunk.text_of_lines(&BTreeSet::from([1, 3])), "    for x in y:\n        b()\n        a = wait(n)\n        d\n");
    }

    #[test]
    fn a_missing_line_end_stays_missing_only_at_the_end() {
        let hunk = hunk("-a\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n");
        assert_eq!(hunk.changed_lines(), BTreeSet::from([0, 1, 2]));
        assert_eq!(hunk.text_of_lines(&BTreeSet::from([0, 1, 2])), "a\nb");
        assert_eq!(hunk.text_of_lines(&BTreeSet::new()), "a");
        assert_eq!(hunk.text_of_lines(&BTreeSet::from([2])), "a\nb");
    }

    #[test]
    fn a_hunk_is_decided_in_one_way() {
        let id = |n: u128| HunkId(uuid::Uuid::from_u128(n));
        assert_eq!(Decide::default().validate().len(), 1);
        let doubled = Decide { accept: vec![id(1)], lines: [(id(1), vec![0])].into(), ..Decide::default() };
        assert_eq!(doubled.validate().len(), 1);
        let strayed = Decide { accept: vec![id(1)], seen: [(id(1), "a\n".into())].into(), ..Decide::default() };
        assert_eq!(strayed.validate().len(), 1);
        let decide = Decide {
            reject: vec![id(1), id(2)],
            reason: Some("all ".into()),
            reasons: [(id(2), " one".into())].into(),
            ..Decide::default()
        };
        assert!(decide.validate().is_empty());
        assert_eq!((decide.reason_of(id(1)), decide.reason_of(id(2))), (Some("all"), Some("one")));
    }
}
