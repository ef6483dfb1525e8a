//! What a branch has seen of its turn. Branches lie on workers' disks and turns move between workers, so one that is there may be of
//! before another worker went on without it.

use std::collections::HashSet;

use sandbox::WorkspaceError;
use serde::{Deserialize, Serialize};
use wire::chat::{Message, MessageBody, ToolCall};

use crate::{
    branch::Branch,
    text::{count_of, cut_end},
    tools,
};

const NAME: &str = "journal";
const SIZE_MAX: u64 = 4 << 20;
/// What is named of what was lost.
const NAMED: usize = 12;
const NAME_CHARS: usize = 120;
/// How each note of a lost branch begins.
const LOST: &str = "The branch of this turn was lost with the worker that held it";

/// Kept beside the branch, written before the transcript is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The project's revision that the branch was made from.
    pub base_revision: i64,
    /// The last message when it was made.
    made_at: i64,
    /// Calls answered since then that may have changed files.
    calls: HashSet<String>,
}

impl Journal {
    pub(super) fn new(base_revision: i64, messages: &[Message]) -> Self {
        Self { base_revision, made_at: messages.last().map_or(0, |message| message.seq), calls: HashSet::new() }
    }

    /// `None` for a branch that has none yet.
    pub(super) async fn read(branch: &Branch) -> Result<Option<Self>, WorkspaceError> {
        let Some(text) = branch.note(NAME, SIZE_MAX).await? else { return Ok(None) };
        Ok(serde_json::from_str(&text).inspect_err(|error| tracing::warn!(%error, "a branch's journal could not be read")).ok())
    }

    pub(super) async fn keep(&self, branch: &Branch) -> Result<(), WorkspaceError> {
        let text = serde_json::to_string(self).map_err(|error| WorkspaceError::Io(error.into()))?;
        branch.keep_note(NAME, &text).await
    }

    /// Takes in what is about to be written to the transcript; `true` where that has to be kept first.
    pub(super) fn note(&mut self, body: &MessageBody) -> bool {
        match body {
            MessageBody::Tool { call_id, name, .. } if changes_files(name) => self.calls.insert(call_id.clone()),
            _ => false,
        }
    }

    /// Whether the branch holds all that the transcript tells of, and nothing that it says is lost.
    pub(super) fn is_current(&self, own: &[&Message]) -> bool {
        own.iter().filter(|message| message.seq > self.made_at).all(|message| match &message.body {
            MessageBody::Tool { call_id, name, .. } => !changes_files(name) || self.calls.contains(call_id),
            MessageBody::Note { text } => !text.starts_with(LOST),
            _ => true,
        })
    }
}

/// What servers' tools change is elsewhere.
fn changes_files(name: &str) -> bool {
    tools::TOOLS.iter().any(|tool| tool.name == name && tool.mutates)
}

/// What goes with the branch of a turn, for the model and for people: whatever was done since a note of this kind was last written.
/// `None` where there is nothing to lose. `started` are the ids of all calls that had begun.
pub(super) fn describe_lost(own: &[&Message], started: &[String]) -> Option<String> {
    let told = own.iter().rposition(|message| matches!(&message.body, MessageBody::Note { text } if text.starts_with(LOST)));
    let since = told.map_or(0, |at| at + 1);
    let calls: Vec<&ToolCall> = own.iter().flat_map(|message| calls_of(message)).collect();
    let (mut edits, mut commands) = (Vec::new(), 0);
    let mut answered: HashSet<&str> = HashSet::new();
    for (at, message) in own.iter().enumerate() {
        let MessageBody::Tool { call_id, name, ok, facts, .. } = &message.body else { continue };
        answered.insert(call_id);
        // A command that failed may have written something before.
        if at < since || !changes_files(name) || !(*ok || facts.run_id.is_some()) {
            continue;
        }
        match calls.iter().find(|call| call.id == *call_id).map(|call| paths_of(call)) {
            Some(paths) if !paths.is_empty() => edits.extend(paths.into_iter().map(|path| cut_end(&path, NAME_CHARS))),
            _ => commands += 1,
        }
    }
    let was_cut = |call: &&ToolCall| !answered.contains(call.id.as_str()) && changes_files(&call.name) && started.contains(&call.id);
    let interrupted = own[since..].iter().flat_map(|message| calls_of(message)).filter(was_cut).count();
    let mut seen = HashSet::new();
    edits.retain(|path| seen.insert(path.clone()));
    let mut parts = name_edits(&edits);
    if commands > 0 {
        parts.push(format!("what {} wrote", count_of(commands, "command")));
    }
    if interrupted > 0 {
        parts.push(format!("what {} had done so far", count_of(interrupted, "interrupted call")));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "{LOST}. Whatever earlier results of this turn say, this is gone: {}. The files are as the project has them now. Make the \
             changes again where they are still needed.",
            parts.join(", ")
        )
    })
}

fn name_edits(paths: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = paths.iter().take(NAMED).map(|path| format!("the edits of {path}")).collect();
    if paths.len() > NAMED {
        parts.push(format!("the edits of {}", count_of(paths.len() - NAMED, "other file")));
    }
    parts
}

fn calls_of(message: &Message) -> &[ToolCall] {
    match &message.body {
        MessageBody::Assistant { tool_calls, .. } => tool_calls,
        _ => &[],
    }
}

/// The files that a call names as what it changes; a command names none.
fn paths_of(call: &ToolCall) -> Vec<String> {
    let arguments: serde_json::Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    ["path", "from", "to"]
        .into_iter()
        .filter(|_| !matches!(call.name.as_str(), "run_command" | "run_tests"))
        .filter_map(|key| arguments[key].as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{
        Micros, RunId, TurnId,
        chat::{TokenUsage, ToolFacts},
    };

    fn message(seq: i64, body: MessageBody) -> Message {
        let turn = TurnId(uuid::Uuid::nil());
        Message { id: uuid::Uuid::nil().into(), seq, turn_id: Some(turn), body, created_at: Micros(0) }
    }

    fn asked(seq: i64, calls: &[(&str, &str, &str)]) -> Message {
        let tool_calls = calls
            .iter()
            .map(|(id, name, arguments)| ToolCall { id: (*id).into(), name: (*name).into(), arguments: (*arguments).into() })
            .collect();
        message(seq, MessageBody::Assistant { text: String::new(), reasoning: String::new(), tool_calls, usage: TokenUsage::default() })
    }

    fn result(seq: i64, id: &str, name: &str, ok: bool) -> Message {
        let ran = matches!(name, "run_command").then(|| RunId(uuid::Uuid::nil()));
        let facts = ToolFacts { run_id: ran, ..ToolFacts::default() };
        message(seq, MessageBody::Tool { call_id: id.into(), name: name.into(), ok, content: String::new(), facts })
    }

    fn refs(messages: &[Message]) -> Vec<&Message> {
        messages.iter().collect()
    }

    #[test]
    fn what_is_lost_is_named_once() {
        let mut turn = vec![
            asked(2, &[("a", "write_file", r#"{"path":"a.txt","content":"x"}"#), ("b", "read_file", r#"{"path":"b.txt"}"#)]),
            result(3, "a", "write_file", true),
            result(4, "b", "read_file", true),
        ];
        let lost = describe_lost(&refs(&turn), &[]).unwrap();
        assert!(lost.contains("this is gone: the edits of a.txt. The files"), "{lost}");
        turn.extend([
            asked(5, &[("c", "move_file", r#"{"from":"a.txt","to":"c.txt"}"#), ("d", "run_command", r#"{"command":"false"}"#)]),
            result(6, "c", "move_file", true),
            result(7, "d", "run_command", false),
            asked(8, &[("e", "edit_file", r#"{"path":"z.txt"}"#), ("f", "run_command", r#"{"command":"make"}"#)]),
            result(9, "e", "edit_file", false),
        ]);
        let lost = describe_lost(&refs(&turn), &["f".to_owned()]).unwrap();
        let named = "the edits of a.txt, the edits of c.txt, what 1 command wrote, what 1 interrupted call had done so far.";
        assert!(lost.contains(named), "{lost}");
        turn.push(message(10, MessageBody::Note { text: lost }));
        assert_eq!(describe_lost(&refs(&turn), &["f".to_owned()]), None, "told once");
        turn.push(result(11, "f", "run_command", true));
        let again = describe_lost(&refs(&turn), &["f".to_owned()]).unwrap();
        assert!(again.contains("this is gone: what 1 command wrote."), "{again}");
        assert_eq!(describe_lost(&[], &[]), None);
    }

    #[test]
    fn a_branch_that_missed_something_is_not_current() {
        let before = [asked(2, &[("a", "write_file", "{}")]), result(3, "a", "write_file", true)];
        let mut journal = Journal::new(7, &before);
        assert!(journal.is_current(&refs(&before)));
        let mut after = before.to_vec();
        after.extend([asked(4, &[("b", "edit_file", "{}"), ("c", "read_file", "{}")]), result(5, "c", "read_file", true)]);
        assert!(journal.is_current(&refs(&after)) && !journal.note(&after[3].body), "reading changes nothing");
        after.push(result(6, "b", "edit_file", true));
        assert!(!journal.is_current(&refs(&after)), "that happened elsewhere");
        assert!(journal.note(&after[4].body) && journal.is_current(&refs(&after)));
        after.push(message(7, MessageBody::Note { text: format!("{LOST}. More.") }));
        assert!(!journal.is_current(&refs(&after)), "the model was told that it is gone");
        assert!(Journal::new(8, &after).is_current(&refs(&after)));
    }

    #[tokio::test]
    async fn a_journal_is_kept_beside_its_branch() {
        let kit = crate::tools::testkit::branch(&[]).await;
        assert_eq!(Journal::read(&kit.branch).await.unwrap(), None);
        let mut journal = Journal::new(3, &[]);
        journal.note(&result(1, "a", "write_file", true).body);
        journal.keep(&kit.branch).await.unwrap();
        assert_eq!(Journal::read(&kit.branch).await.unwrap(), Some(journal));
    }
}
