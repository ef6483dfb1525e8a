use std::{collections::BTreeSet, fmt::Write as _};

use bytes::Bytes;
use futures::{Stream as Futures, stream};
use store::{chat as table, context, rewinds};
use wire::{
    ConversationId, TurnId,
    changes::HunkState,
    chat::{AttachmentKind, Conversation, Message, MessageBody, Rewind, Turn},
    projects::ProjectRole,
};

use super::conversation;
use crate::{Ctx, Error, Result};

/// Messages that are read at a time.
const PAGE: i64 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    Markdown,
    Json,
}

/// A conversation as one file. Its bytes are made while they are read.
pub struct ConversationExport<S> {
    pub file_name: String,
    pub media_type: &'static str,
    pub body: S,
}

/// The whole conversation, also what was taken back, for people (Markdown) or programs (JSON: the shapes of the REST interface).
pub async fn export(
    ctx: &Ctx,
    id: ConversationId,
    format: ExportFormat,
) -> Result<ConversationExport<impl Futures<Item = Result<Bytes>> + Send + use<>>> {
    let mut conn = ctx.services().db.read().await?;
    let row = conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    let turns: Vec<Turn> = table::turns(&mut conn, id).await?.into_iter().map(table::TurnRow::into_turn).collect();
    let rewinds: Vec<Rewind> = rewinds::list(&mut conn, id).await?.into_iter().map(rewinds::RewindRow::into_rewind).collect();
    let undone = context::undone_compactions(&mut conn, id).await?.into_keys().collect();
    drop(conn);
    let about = row.into_conversation();
    let stem = file_stem(&about.title);
    let (file_name, media_type) = match format {
        ExportFormat::Markdown => (format!("{stem}.md"), "text/markdown; charset=utf-8"),
        ExportFormat::Json => (format!("{stem}.json"), "application/json"),
    };
    let writer = Writer { ctx: ctx.clone(), format, about, turns, rewinds, undone, taken_over: None, after: 0, state: State::Head };
    let body = stream::try_unfold(writer, |mut writer| async move { Ok(writer.next().await?.map(|piece| (piece, writer))) });
    Ok(ConversationExport { file_name, media_type, body })
}

fn file_stem(title: &str) -> String {
    let words: Vec<String> = title
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(8)
        .map(|word| word.chars().take(24).collect::<String>().to_lowercase())
        .collect();
    if words.is_empty() { "conversation".to_owned() } else { words.join("-") }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Messages { any: bool },
    End,
}

struct Writer {
    ctx: Ctx,
    format: ExportFormat,
    about: Conversation,
    turns: Vec<Turn>,
    rewinds: Vec<Rewind>,
    /// Numbers of summaries that were taken back.
    undone: BTreeSet<i64>,
    /// The last turn in which another model took over, and that model.
    taken_over: Option<(TurnId, String)>,
    after: i64,
    state: State,
}

impl Writer {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let any = match self.state {
            State::End => return Ok(None),
            State::Head => {
                self.state = State::Messages { any: false };
                return self.head().map(Some);
            }
            State::Messages { any } => any,
        };
        let mut conn = self.ctx.services().db.read().await?;
        let page = table::messages_between(&mut conn, self.about.id, self.after + 1, i64::MAX, PAGE).await?;
        drop(conn);
        let Some(last) = page.last() else {
            self.state = State::End;
            let tail: &[u8] = if self.format == ExportFormat::Json { b"]}\n" } else { b"" };
            return Ok(Some(Bytes::from_static(tail)));
        };
        self.after = last.seq;
        self.state = State::Messages { any: true };
        let mut out = String::new();
        for (n, message) in page.iter().enumerate() {
            match self.format {
                ExportFormat::Markdown => self.write_message(&mut out, message),
                ExportFormat::Json => {
                    if any || n > 0 {
                        out.push_str(",\n");
                    }
                    out.push_str(&serde_json::to_string(message).map_err(Error::internal)?);
                }
            }
        }
        Ok(Some(out.into()))
    }

    fn head(&self) -> Result<Bytes> {
        if self.format == ExportFormat::Json {
            let part = |value: serde_json::Result<String>| value.map_err(Error::internal);
            let (about, turns, rewinds) = (
                part(serde_json::to_string(&self.about))?,
                part(serde_json::to_string(&self.turns))?,
                part(serde_json::to_string(&self.rewinds))?,
            );
            let head = format!("{{\"conversation\":{about},\n\"turns\":{turns},\n\"rewinds\":{rewinds},\n\"messages\":[");
            return Ok(head.into());
        }
        let title = if self.about.title.is_empty() { "Conversation" } else { &self.about.title };
        let mut out = format!("# {}\n\nBegun {}", one_line(title), self.about.created_at.to_rfc3339());
        if let Some(parent) = &self.about.parent {
            let _ =
                write!(out, ", forked from “{}” at message {}", one_line(parent.title.as_deref().unwrap_or("a conversation")), parent.seq);
        }
        out.push_str(".\n");
        Ok(out.into())
    }

    /// The model that answers in a turn, as far as it is written.
    fn model_of(&self, id: Option<TurnId>) -> &str {
        match &self.taken_over {
            Some((turn, model)) if id == Some(*turn) => model,
            _ => id.and_then(|id| self.turns.iter().find(|turn| turn.id == id)).map_or("Agent", |turn| turn.model.as_str()),
        }
    }

    fn write_message(&mut self, out: &mut String, message: &Message) {
        if self.rewinds.iter().any(|rewind| rewind.chat && rewind.from_seq == message.seq) {
            out.push_str("\n---\n\n*What follows was taken back later.*\n");
        }
        match &message.body {
            MessageBody::User { text, attachments } => {
                let _ = write!(out, "\n## Person, {}\n\n{}\n", message.created_at.to_rfc3339(), text.trim_end());
                for attachment in attachments {
                    let kind = match attachment.kind {
                        AttachmentKind::File => "file",
                        AttachmentKind::Folder => "folder",
                        AttachmentKind::Run => "run",
                        AttachmentKind::Selection => "selection of",
                        AttachmentKind::Image => "picture",
                    };
                    let _ = writeln!(out, "\n- Attached {kind} `{}`", one_line(&attachment.path));
                }
            }
            MessageBody::Assistant { text, reasoning, tool_calls, .. } => {
                let _ = write!(out, "\n## Agent ({})\n", one_line(self.model_of(message.turn_id)));
                if !reasoning.trim().is_empty() {
                    let _ = write!(out, "\n> *Thoughts*\n>\n> {}\n", reasoning.trim().replace('\n', "\n> "));
                }
                if !text.trim().is_empty() {
                    let _ = write!(out, "\n{}\n", text.trim_end());
                }
                for call in tool_calls {
                    let _ = writeln!(out, "\nCalls `{}`:", call.name);
                    write_block(out, "json", &call.arguments);
                }
            }
            MessageBody::Tool { name, ok, content, .. } => {
                let how = if *ok { "answered" } else { "failed" };
                let _ = writeln!(out, "\nTool `{name}` {how}:");
                write_block(out, "", content);
            }
            MessageBody::Decision { hunks, .. } => {
                out.push_str("\n## Review\n");
                for hunk in hunks {
                    let state = match hunk.state {
                        HunkState::Accepted => "accepted",
                        HunkState::Rejected => "rejected",
                        HunkState::Edited => "edited and accepted",
                        HunkState::Conflict => "did not fit any more",
                        HunkState::Open => "open",
                    };
                    let _ = writeln!(out, "\n`{}` line {}: {state}", hunk.path, hunk.old_start);
                    if let Some(reason) = &hunk.reason {
                        let _ = writeln!(out, "Reason: {}", one_line(reason));
                    }
                    write_block(out, "diff", &hunk.diff);
                    if let Some(text) = &hunk.edited_text {
                        out.push_str("\nWritten instead:\n");
                        write_block(out, "", text);
                    }
                }
            }
            MessageBody::Note { text } => {
                let _ = write!(out, "\n> {}\n", text.trim_end().replace('\n', "\n> "));
            }
            MessageBody::Switched { from, to, reason } => {
                self.taken_over = message.turn_id.map(|turn| (turn, to.clone()));
                let _ = write!(out, "\n> Switched from {from} to {to}: {}\n", one_line(reason));
            }
            MessageBody::Compacted { summary, upto_seq, .. } => {
                let undone = if self.undone.contains(&message.seq) { ", taken back later" } else { "" };
                let _ = write!(out, "\n## Summary of messages 1 to {upto_seq}{undone}\n\n{}\n", summary.trim_end());
            }
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A block whose fence is longer than any in the text.
fn write_block(out: &mut String, language: &str, text: &str) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "\n{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'));
}
