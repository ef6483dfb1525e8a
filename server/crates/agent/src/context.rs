//! From the transcript to what a model is sent.

use std::{collections::HashMap, fmt::Write as _};

use wire::{
    changes::{HunkDecision, HunkState},
    chat::{Attachment, MessageBody, ToolCall},
};

use crate::text::{cut_middle, fence_for};

/// One tool result, in bytes.
pub const RESULT_MAX: usize = 64 * 1024;
/// One attachment, in bytes.
const ATTACHMENT_MAX: usize = 48 * 1024;
const NO_RESULT: &str = "No result: the turn ended before this call had one. Look before you repeat it.";
const TAKEN_OUT: &str = "Taken out to save room; make the call again if it still matters.";

/// The messages of the whole conversation for a model, shortened to about `max_bytes`.
///
/// Every call has exactly one result, right behind the answer that made it, whatever came in between: providers refuse
/// anything else. When it is too long, the oldest tool results are taken out first; what people said never is.
pub fn to_model(transcript: &[&MessageBody], max_bytes: usize) -> Vec<llm::Message> {
    let mut messages = Vec::with_capacity(transcript.len());
    let mut results: HashMap<&str, &str> = transcript
        .iter()
        .filter_map(|body| match body {
            MessageBody::Tool { call_id, content, .. } => Some((call_id.as_str(), content.as_str())),
            _ => None,
        })
        .collect();
    for body in transcript {
        match body {
            MessageBody::User { text, attachments } => messages.push(user(with_attachments(text, attachments))),
            MessageBody::Assistant { text, tool_calls, .. } => {
                if text.trim().is_empty() && tool_calls.is_empty() {
                    continue;
                }
                messages.push(llm::Message::Assistant {
                    text: text.clone(),
                    reasoning: None,
                    tool_calls: tool_calls.iter().map(to_call).collect(),
                });
                for call in tool_calls {
                    let content = results.remove(call.id.as_str()).map_or_else(|| NO_RESULT.to_owned(), |c| cut_middle(c, RESULT_MAX));
                    messages.push(llm::Message::Tool { call_id: call.id.clone(), content });
                }
            }
            MessageBody::Tool { .. } => {}
            MessageBody::Decision { hunks, .. } => messages.push(user(describe_review(hunks))),
            MessageBody::Note { text } => messages.push(user(format!("[Note from the workspace] {text}"))),
        }
    }
    take_out_old_results(&mut messages, max_bytes);
    messages
}

fn user(text: String) -> llm::Message {
    llm::Message::User { text }
}

/// Some servers refuse a whole conversation for one call whose arguments are not JSON.
fn to_call(call: &ToolCall) -> llm::ToolCall {
    let is_object = matches!(serde_json::from_str(&call.arguments), Ok(serde_json::Value::Object(_)));
    let arguments = match call.arguments.trim() {
        "" => "{}".to_owned(),
        _ if is_object => call.arguments.clone(),
        raw => serde_json::json!({ "unreadable_arguments": cut_middle(raw, 2000) }).to_string(),
    };
    llm::ToolCall { id: call.id.clone(), name: call.name.clone(), arguments }
}

fn with_attachments(text: &str, attachments: &[Attachment]) -> String {
    let mut out = text.to_owned();
    for attachment in attachments {
        let content = cut_middle(&attachment.content, ATTACHMENT_MAX);
        let fence = fence_for(&content);
        let _ = write!(out, "\n\nAttached file {}:\n{fence}\n{content}\n{fence}", attachment.path);
    }
    out
}

/// What the person decided about the agent's changes, hunk by hunk and word for word. Begins with [`llm::demo::REVIEW_NOTE`].
pub fn describe_review(hunks: &[HunkDecision]) -> String {
    let count = |state| hunks.iter().filter(|h| h.state == state).count();
    let mut out = format!(
        "{} by the person: {} accepted, {} edited, {} rejected",
        llm::demo::REVIEW_NOTE,
        count(HunkState::Accepted),
        count(HunkState::Edited),
        count(HunkState::Rejected),
    );
    match count(HunkState::Conflict) {
        0 => out.push_str(".\n"),
        n => {
            let _ = writeln!(out, ", {n} accepted but no longer fitting.");
        }
    }
    let mut in_order: Vec<&HunkDecision> = hunks.iter().collect();
    in_order.sort_by(|a, b| (&a.path, a.old_start).cmp(&(&b.path, b.old_start)));
    for (n, hunk) in in_order.into_iter().enumerate() {
        let verdict = match hunk.state {
            HunkState::Accepted => "accepted as proposed; it is in the project now",
            HunkState::Edited => "edited; the person's text is in the project now, yours is not",
            HunkState::Rejected => "rejected; it is not in the project",
            HunkState::Conflict => "accepted, but the file has changed meanwhile and it no longer fits; nothing of it was written",
            HunkState::Open => "not decided yet; it is not in the project",
        };
        let _ = write!(out, "\n{}. {}, line {}: {verdict}.", n + 1, hunk.path, hunk.old_start);
        if let Some(reason) = hunk.reason.as_deref().filter(|r| !r.trim().is_empty()) {
            let _ = write!(out, " Reason given: {reason}");
        }
        out.push('\n');
        if !hunk.diff.is_empty() {
            let fence = fence_for(&hunk.diff);
            let _ = writeln!(out, "You proposed:\n{fence}diff\n{}\n{fence}", hunk.diff.trim_end_matches('\n'));
        }
        if let Some(text) = &hunk.edited_text {
            let fence = fence_for(text);
            let _ = writeln!(out, "The person wrote instead:\n{fence}\n{}\n{fence}", text.trim_end_matches('\n'));
        }
    }
    out
}

fn size_of(message: &llm::Message) -> usize {
    match message {
        llm::Message::User { text } => text.len(),
        llm::Message::Assistant { text, tool_calls, .. } => {
            text.len() + tool_calls.iter().map(|c| c.id.len() + c.name.len() + c.arguments.len()).sum::<usize>()
        }
        llm::Message::Tool { content, .. } => content.len(),
    }
}

/// Bytes of a conversation as it is sent, without the provider's wrapping.
pub fn size_of_all(messages: &[llm::Message]) -> usize {
    messages.iter().map(|m| size_of(m) + 16).sum()
}

fn take_out_old_results(messages: &mut [llm::Message], max_bytes: usize) {
    let mut size = size_of_all(messages);
    for message in messages {
        if size <= max_bytes {
            return;
        }
        if let llm::Message::Tool { content, .. } = message
            && content.len() > TAKEN_OUT.len()
        {
            size -= content.len() - TAKEN_OUT.len();
            *content = TAKEN_OUT.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{ChangeSetId, chat::TokenUsage};

    fn call(id: &str, arguments: &str) -> ToolCall {
        ToolCall { id: id.into(), name: "read_file".into(), arguments: arguments.into() }
    }

    fn assistant(text: &str, tool_calls: Vec<ToolCall>) -> MessageBody {
        MessageBody::Assistant { text: text.into(), tool_calls, usage: TokenUsage::default() }
    }

    fn tool(id: &str, content: &str) -> MessageBody {
        MessageBody::Tool { call_id: id.into(), name: "read_file".into(), ok: true, content: content.into() }
    }

    fn person(text: &str) -> MessageBody {
        MessageBody::User { text: text.into(), attachments: vec![] }
    }

    fn convert(bodies: &[MessageBody], max: usize) -> Vec<llm::Message> {
        to_model(&bodies.iter().collect::<Vec<_>>(), max)
    }

    #[test]
    fn results_stand_behind_their_calls_and_none_is_missing() {
        let note = MessageBody::Note { text: "n".into() };
        let got = convert(
            &[
                person("go"),
                assistant("", vec![call("a", "{}"), call("b", "oops"), call("c", "")]),
                tool("b", "B"),
                note,
                tool("a", "A"),
                assistant("", vec![]),
            ],
            10_000,
        );
        assert!(matches!(&got[1], llm::Message::Assistant { tool_calls, .. }
            if tool_calls[1].arguments == r#"{"unreadable_arguments":"oops"}"# && tool_calls[2].arguments == "{}"));
        let shown: Vec<_> = got
            .iter()
            .map(|m| match m {
                llm::Message::Tool { call_id, content } => format!("{call_id}={content}"),
                llm::Message::User { text } => text.clone(),
                llm::Message::Assistant { .. } => "assistant".into(),
            })
            .collect();
        assert_eq!(shown, ["go", "assistant", "a=A", "b=B", &format!("c={NO_RESULT}"), "[Note from the workspace] n"]);
    }

    #[test]
    fn a_review_is_told_word_for_word() {
        let hunk = |state, edited: Option<&str>, reason: Option<&str>| HunkDecision {
            path: "a.py".into(),
            old_start: 3,
            state,
            diff: " x\n-old\n+new\n".into(),
            edited_text: edited.map(Into::into),
            reason: reason.map(Into::into),
        };
        let hunks = vec![
            hunk(HunkState::Accepted, None, None),
            hunk(HunkState::Edited, Some("x\nmine ```\n"), None),
            hunk(HunkState::Rejected, None, Some("breaks the API")),
            hunk(HunkState::Conflict, None, None),
        ];
        let decision = MessageBody::Decision { change_set_id: ChangeSetId(uuid::Uuid::nil()), hunks };
        let got = convert(&[decision, person("go on")], 10_000);
        let llm::Message::User { text } = &got[0] else { panic!() };
        assert!(
            text.starts_with("Review of your changes by the person: 1 accepted, 1 edited, 1 rejected, 1 accepted but no longer fitting.")
        );
        assert!(text.contains("1. a.py, line 3: accepted as proposed"));
        assert!(text.contains("The person wrote instead:\n````\nx\nmine ```\n````"));
        assert!(text.contains("3. a.py, line 3: rejected; it is not in the project. Reason given: breaks the API"));
        assert!(text.contains("```diff\n x\n-old\n+new\n```"));
        assert!(matches!(&got[1], llm::Message::User { text } if text == "go on"));
    }

    #[test]
    fn attachments_are_fenced() {
        let body =
            MessageBody::User { text: "look".into(), attachments: vec![Attachment { path: "a.md".into(), content: "```\nx".into() }] };
        let got = convert(&[body], 1000);
        assert!(matches!(&got[0], llm::Message::User { text } if text == "look\n\nAttached file a.md:\n````\n```\nx\n````"));
    }

    #[test]
    fn the_oldest_results_make_room() {
        let big = "x".repeat(5000);
        let got = convert(
            &[person("go"), assistant("", vec![call("a", "{}")]), tool("a", &big), assistant("", vec![call("b", "{}")]), tool("b", &big)],
            6000,
        );
        assert!(matches!(&got[2], llm::Message::Tool { content, .. } if content == TAKEN_OUT));
        assert!(matches!(&got[4], llm::Message::Tool { content, .. } if content.len() == 5000));
    }
}
