//! What the script reads out of a conversation.

use super::REVIEW_NOTE;
use crate::{Message, ToolCall};

/// Index of the person's last message. A note about decisions can stand beside it, or within a turn.
pub(super) fn find_prompt(messages: &[Message]) -> usize {
    for (at, message) in messages.iter().enumerate().rev() {
        match message {
            Message::User { text, .. } if !text.starts_with(REVIEW_NOTE) => return at,
            Message::User { .. } => match at.checked_sub(1).map(|before| &messages[before]) {
                Some(Message::User { .. }) => return at - 1,
                Some(Message::Tool { .. }) => {}
                _ => return at,
            },
            _ => {}
        }
    }
    0
}

pub(super) fn calls_in(messages: &[Message]) -> impl Iterator<Item = &ToolCall> {
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Assistant { tool_calls, .. } => Some(tool_calls),
            _ => None,
        })
        .flatten()
}

pub(super) fn result_of<'a>(messages: &'a [Message], id: &str) -> Option<&'a str> {
    messages.iter().find_map(|message| match message {
        Message::Tool { call_id, content } if call_id == id => Some(content.as_str()),
        _ => None,
    })
}

/// Whether each line of `text` is in `file`, which may carry line numbers before its lines.
pub(super) fn shows_lines(file: &str, text: &str) -> bool {
    let lines: Vec<&str> = file.lines().map(str::trim_end).collect();
    text.lines().map(str::trim).filter(|wanted| !wanted.is_empty()).all(|wanted| lines.iter().any(|line| line.ends_with(wanted)))
}

pub(super) fn speaks_of_review(text: &str) -> bool {
    let text = text.to_lowercase();
    ["accepted", "rejected"].iter().any(|word| text.contains(word))
}

pub(super) fn looks_refused(result: &str) -> bool {
    let start = result.trim_start().to_lowercase();
    ["error", "refused", "not ", "no ", "{\"error"].iter().any(|word| start.starts_with(word))
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Run<'a> {
    Passed(&'a str),
    Failed(&'a str),
    Declined,
    Unclear(&'a str),
}

pub(super) fn judge_run(result: &str) -> Run<'_> {
    let lines = || result.lines().map(str::trim).rev();
    if let Some(line) = lines().find(|line| line.starts_with("FAILED (")) {
        return Run::Failed(line);
    }
    if let Some(line) = lines().find(|line| *line == "OK" || line.starts_with("OK (")) {
        return Run::Passed(line);
    }
    let said = result.to_lowercase();
    if ["declin", "reject", "not approved", "denied"].iter().any(|word| said.contains(word)) {
        return Run::Declined;
    }
    Run::Unclear(lines().find(|line| !line.is_empty()).unwrap_or("nothing"))
}
