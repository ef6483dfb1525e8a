//! When the older part of a conversation is summed up, and which part that is. Pure: what is sent decides, nothing else.

use std::fmt::Write as _;

use wire::{
    chat::{Message, MessageBody},
    context::PartKind,
};

use super::{
    parts::{Assembled, Entry, Role, wrapping},
    review::outline_review,
    text::cut_middle,
};
use crate::changes::COMMENTS_NOTE;

/// Tokens of one answer.
pub const ANSWER_MAX: i64 = 8192;
/// Where a model does not say how much it can read.
pub const WINDOW_DEFAULT: i64 = 128_000;
/// From this share of the room on, the conversation is summed up.
const COMPACT_PERCENT: i64 = 80;
/// The newest messages up to this share of the room stay as they are.
const KEEP_PERCENT: i64 = 30;
/// Where a person asks for it: up to this share of the conversation.
const KEEP_ASKED_PERCENT: i64 = 25;
/// One message in what the summary is made from, in bytes.
const PIECE_MAX: usize = 6 * 1024;

/// How much a model takes, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub window: i64,
    /// Kept free for the answer.
    pub answer: i64,
}

impl Room {
    /// Of a model that reads and writes `window` tokens together and writes at most `max_output`; 0: it does not say.
    pub fn of(window: i64, max_output: i64) -> Self {
        let window = if window > 0 { window } else { WINDOW_DEFAULT };
        let most = if max_output > 0 { max_output } else { ANSWER_MAX };
        Self { window, answer: most.min(window / 4) }
    }

    /// For the request.
    pub fn input(&self) -> i64 {
        (self.window - self.answer).max(0)
    }

    pub fn compact_at(&self) -> i64 {
        self.input() * COMPACT_PERCENT / 100
    }

    /// Tokens of a summary.
    pub fn summary_max(&self) -> i64 {
        (self.window / 16).clamp(256, 2048)
    }
}

/// Which messages a summary is to stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub upto_seq: i64,
    /// Of the whole request, as it is now.
    pub tokens_before: i64,
    /// Of what the summary takes the place of.
    pub folded: i64,
}

/// Decides whether to sum up before the next request. `untouched` is the request before old tool results are taken out of it. With
/// `is_asked` a person wants it: then it need not be full, and more of it goes.
///
/// Every plan goes further than all earlier ones, also those that were taken back, and takes the place of at least three times what a
/// summary may cost: so it can't be repeated without progress. What people decided about changes is in none before a model was told.
pub fn plan(untouched: &Assembled, messages: &[Message], room: Room, prompt_seq: i64, ratio_percent: i64, is_asked: bool) -> Option<Plan> {
    let entries = &untouched.entries;
    let tokens_before = untouched.tokens() + wrapping(entries.len(), ratio_percent);
    if tokens_before <= room.compact_at() && !is_asked {
        return None;
    }
    let behind = messages.iter().filter_map(|message| match message.body {
        MessageBody::Compacted { upto_seq, .. } => Some(upto_seq),
        _ => None,
    });
    let behind = behind.max().unwrap_or(0);
    let mut keep = room.input() * KEEP_PERCENT / 100;
    if is_asked {
        keep = keep.min(entries.iter().map(Entry::tokens).sum::<i64>() * KEEP_ASKED_PERCENT / 100);
    }
    let untold = first_untold(messages).and_then(|seq| entries.iter().rposition(|entry| entry.seq == seq));
    let first = boundary(entries, keep, untold.unwrap_or(entries.len()))?;
    let upto_seq = entries[..first].iter().map(|entry| entry.seq).max()?;
    let stays = |entry: &&Entry| entry.seq != prompt_seq;
    let folded: i64 = entries[..first].iter().filter(stays).map(Entry::tokens).sum();
    (upto_seq > behind && folded >= 3 * room.summary_max()).then_some(Plan { upto_seq, tokens_before, folded })
}

/// The first of what people decided or remarked about changes that no model was told yet. A decision may be made while a turn is at work
/// that has read the conversation already: what tells it for sure is the next prompt that gets an answer.
fn first_untold(messages: &[Message]) -> Option<i64> {
    let last = |fits: fn(&MessageBody) -> bool, before: i64| {
        messages.iter().rev().find(|message| message.seq < before && fits(&message.body)).map_or(0, |message| message.seq)
    };
    let answered = last(|body| matches!(body, MessageBody::Assistant { .. }), i64::MAX);
    let prompt = last(|body| matches!(body, MessageBody::User { .. }), answered);
    let is_untold = |message: &&Message| match &message.body {
        MessageBody::Decision { .. } => message.seq > prompt,
        MessageBody::User { text, .. } => message.seq > answered && text.starts_with(COMMENTS_NOTE),
        _ => false,
    };
    messages.iter().find(is_untold).map(|message| message.seq)
}

/// The first of the messages that stay: the earliest one from which on they fit into `keep` tokens, and none behind `latest`. Calls stay
/// with their results.
fn boundary(entries: &[Entry], keep: i64, latest: usize) -> Option<usize> {
    let mut tail = 0;
    let mut found = None;
    for at in (1..entries.len()).rev() {
        tail += entries[at].tokens();
        if found.is_some() && tail > keep {
            break;
        }
        let all_before_are_older = entries[..at].iter().all(|entry| entry.seq < entries[at].seq);
        if at <= latest && entries[at].role != Role::Tool && all_before_are_older {
            found = Some(at);
        }
    }
    found
}

/// What the summary is made from: the pieces that it takes the place of, told apart by who spoke.
pub fn material(untouched: &Assembled, plan: &Plan, prompt_seq: i64, max_bytes: usize) -> String {
    let mut out = String::new();
    for entry in untouched.entries.iter().filter(|entry| entry.seq <= plan.upto_seq && entry.seq != prompt_seq) {
        let who = match (entry.role, entry.parts.first().map(|part| part.kind)) {
            (Role::Assistant, _) => "Agent",
            (Role::Tool, _) => "Tool",
            (Role::User, Some(PartKind::Summary)) => "Earlier summary",
            (Role::User, Some(PartKind::Review)) => "Review",
            (Role::User, Some(PartKind::Note)) => "Workspace",
            (Role::User, _) => "Person",
        };
        let _ = writeln!(out, "## {who}\n{}", cut_middle(&entry.text(), PIECE_MAX));
        for call in &entry.calls {
            let _ = writeln!(out, "Calls {} {}", call.name, cut_middle(&call.arguments, 1024));
        }
    }
    cut_middle(&out, max_bytes)
}

/// What a summary keeps whatever the model writes: which files the agent changed, and what people decided about changes. At most two
/// thirds of what the summary itself may have, so that both together are less than what they take the place of.
pub fn kept_facts(messages: &[Message], plan: &Plan, room: Room) -> String {
    let (mut changed, mut decided) = (Vec::new(), String::new());
    for message in messages.iter().filter(|message| message.seq <= plan.upto_seq) {
        match &message.body {
            MessageBody::Assistant { tool_calls, .. } => {
                for call in
                    tool_calls.iter().filter(|call| ["write_file", "edit_file", "move_file", "delete_file"].contains(&call.name.as_str()))
                {
                    let arguments: serde_json::Value = serde_json::from_str(&call.arguments).unwrap_or_default();
                    let path = arguments.get("path").or(arguments.get("to")).and_then(|path| path.as_str()).unwrap_or_default();
                    let line = format!("- {} {path}", call.name);
                    if !path.is_empty() && !changed.contains(&line) {
                        changed.push(line);
                    }
                }
            }
            MessageBody::Decision { hunks, .. } => decided.push_str(&outline_review(hunks)),
            _ => {}
        }
    }
    let mut out = String::new();
    if !changed.is_empty() {
        let _ = write!(out, "\n\nCalls that changed files, on the branch of their turn:\n{}", changed.join("\n"));
    }
    if !decided.is_empty() {
        let _ = write!(out, "\n\nWhat people decided about proposed changes:\n{}", decided.trim_end());
    }
    cut_middle(&out, usize::try_from(room.summary_max() * 2).unwrap_or(512))
}

#[cfg(test)]
#[path = "compaction_tests.rs"]
mod tests;
