//! From the transcript to the pieces of a request. What is sent and what the page shows as sent are these same pieces.

use std::collections::{BTreeSet, HashMap};

use wire::{
    chat::{Attachment, AttachmentKind, Message, MessageBody, ToolCall},
    context::{IMAGE_TOKENS, Part, PartKind, estimate_tokens},
};

use super::{
    Ground,
    review::describe_review,
    text::{cut_middle, fence_for, one_line},
};

/// One tool result, in bytes: more than tools give, which say themselves what they left out and where the rest is.
pub const RESULT_MAX: usize = 72 * 1024;
/// One attachment, in bytes.
const ATTACHMENT_MAX: usize = 48 * 1024;
/// What a message costs besides its text, in bytes: the provider's wrapping.
const WRAPPING: usize = 16;
const NO_RESULT: &str = "No result: the turn ended before this call had one. Look before you repeat it.";
const TAKEN_OUT: &str = "Taken out to save room; make the call again if it still matters.";
const LEFT_OUT: &str = "[Left out by the person.]";
const LABEL_CHARS: usize = 72;

/// A tool as the model is told of it; `schema` is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolText {
    pub name: String,
    pub description: String,
    pub schema: String,
}

/// What is known of the tools before a turn begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolList {
    pub tools: Vec<ToolText>,
    /// Names of servers that are only asked for their tools when a turn begins.
    pub later: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    User,
    Assistant,
    Tool,
}

/// One message of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The transcript's message that it comes from; of a summary, the last one that it stands for.
    pub seq: i64,
    pub role: Role,
    /// In their order; text comes before calls and pictures.
    pub parts: Vec<Part>,
    pub calls: Vec<ToolCall>,
    /// Of a tool's result.
    pub call_id: Option<String>,
    /// Pictures that are sent along.
    pub images: Vec<Attachment>,
}

impl Entry {
    fn new(seq: i64, role: Role, parts: Vec<Part>) -> Self {
        Self { seq, role, parts, calls: Vec::new(), call_id: None, images: Vec::new() }
    }

    /// Exactly the text of the message.
    pub fn text(&self) -> String {
        let spoken = self.parts.iter().filter(|part| !matches!(part.kind, PartKind::ToolCall | PartKind::Image));
        spoken.filter_map(|part| part.text.as_deref()).collect()
    }

    pub fn tokens(&self) -> i64 {
        self.parts.iter().map(|part| part.tokens).sum()
    }
}

/// A whole request, in pieces.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// Put together they are the system prompt.
    pub system: Vec<Part>,
    pub tools: Part,
    pub entries: Vec<Entry>,
}

impl Assembled {
    pub fn system_text(&self) -> String {
        self.system.iter().filter_map(|part| part.text.as_deref()).collect()
    }

    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.system.iter().chain([&self.tools]).chain(self.entries.iter().flat_map(|entry| &entry.parts))
    }

    /// Estimated tokens of the request.
    pub fn tokens(&self) -> i64 {
        self.parts().map(|part| part.tokens).sum()
    }
}

/// What a request is made of.
pub struct Source<'a> {
    pub ground: &'a Ground,
    pub tools: &'a [ToolText],
    /// Servers whose tools are not known before the turn begins.
    pub later: &'a [String],
    /// The conversation in its order, as far as the model may still see it.
    pub messages: &'a [Message],
    /// The number of the prompt that is being worked on: it and what follows it can't be left out.
    pub prompt_seq: i64,
    /// Keys of parts that a person left out.
    pub without: &'a [String],
    /// Numbers of summaries that were taken back.
    pub undone: &'a BTreeSet<i64>,
    pub ratio_percent: i64,
    /// Tokens that the request may have; beyond it the oldest tool results are taken out.
    pub room: i64,
    /// The model takes pictures.
    pub images: bool,
}

impl Source<'_> {
    /// The pieces in their order. Every call has exactly one result, right behind the answer that made it, whatever came in between:
    /// providers refuse anything else. What people said is never taken out.
    pub fn assemble(&self) -> Assembled {
        let folded = self.folded();
        let (upto, known) = folded.as_ref().map_or((0, 0), |fold| (fold.upto_seq, fold.prompt_seq));
        let mut results: HashMap<&str, &Message> = self
            .messages
            .iter()
            .filter_map(|message| match &message.body {
                MessageBody::Tool { call_id, .. } => Some((call_id.as_str(), message)),
                _ => None,
            })
            .collect();
        let mut entries = Vec::new();
        entries.extend(folded.map(|fold| self.summary(&fold)));
        for message in self.messages {
            // The prompt that is being worked on stays word for word, also when it is older than what was summed up. What was decided while
            // the turn that made the summary was at work is not in it.
            let is_unknown = message.seq > known && matches!(message.body, MessageBody::Decision { .. });
            if message.seq <= upto && message.seq != self.prompt_seq && !is_unknown {
                continue;
            }
            self.add(message, &mut results, &mut entries);
        }
        let mut assembled = Assembled { system: self.system(), tools: self.tools(), entries };
        take_out_old_results(&mut assembled, self);
        assembled
    }

    fn tokens_of(&self, bytes: usize) -> i64 {
        scale(estimate_tokens(bytes), self.ratio_percent)
    }

    /// A piece that may be left out; `stub` is what is sent in its place then.
    fn part(&self, key: String, kind: PartKind, label: String, removable: bool, text: String, stub: &str) -> Part {
        let left_out = removable && self.without.contains(&key);
        let text = if left_out { stub.to_owned() } else { text };
        let tokens = self.tokens_of(text.len());
        Part { key, kind, label, tokens, removable, left_out, text: Some(text) }
    }

    fn system(&self) -> Vec<Part> {
        let ground = self.ground;
        let mut parts = vec![self.part(
            "situation".into(),
            PartKind::Situation,
            "How the agent works here".into(),
            false,
            ground.situation.clone(),
            "",
        )];
        for file in &ground.instructions {
            let key = format!("instructions:{}", file.path);
            parts.push(self.part(key, PartKind::Instructions, file.path.clone(), true, file.text.clone(), ""));
        }
        parts.push(self.part("map".into(), PartKind::ProjectMap, "Project map".into(), true, ground.map.clone(), ""));
        parts
    }

    fn tools(&self) -> Part {
        let mut text = String::new();
        for tool in self.tools {
            text.push_str(&format!("{}\n{}\n{}\n", tool.name, tool.description, tool.schema));
        }
        let mut label = if self.tools.len() == 1 { "1 tool".to_owned() } else { format!("{} tools", self.tools.len()) };
        if !self.later.is_empty() {
            label.push_str(&format!(", and those of {} once the turn begins", self.later.join(", ")));
        }
        self.part("tools".into(), PartKind::Tools, label, false, text, "")
    }

    /// The summary that is in force: the last one that was neither taken back nor left out.
    fn folded(&self) -> Option<Fold<'_>> {
        let (message, fold) = self.messages.iter().rev().find_map(|message| match &message.body {
            MessageBody::Compacted { summary, upto_seq, .. } if !self.undone.contains(&message.seq) => {
                let key = format!("m{}", message.seq);
                (!self.without.contains(&key)).then_some((message, Fold { key, summary, upto_seq: *upto_seq, prompt_seq: 0 }))
            }
            _ => None,
        })?;
        let is_prompt = |before: &&Message| before.seq < message.seq && matches!(before.body, MessageBody::User { .. });
        Some(Fold { prompt_seq: self.messages.iter().rev().find(is_prompt).map_or(0, |prompt| prompt.seq), ..fold })
    }

    fn summary(&self, fold: &Fold<'_>) -> Entry {
        let text = format!(
            "[Summary of the conversation up to here, made to save room. What it tells of files may have changed since.]\n{}",
            fold.summary.trim_end()
        );
        let part = self.part(fold.key.clone(), PartKind::Summary, "Summary of the older messages".into(), true, text, "");
        Entry::new(fold.upto_seq, Role::User, vec![part])
    }

    fn add(&self, message: &Message, results: &mut HashMap<&str, &Message>, entries: &mut Vec<Entry>) {
        let seq = message.seq;
        let key = format!("m{seq}");
        let past = seq < self.prompt_seq;
        match &message.body {
            MessageBody::User { text, attachments } => entries.push(self.user(seq, text, attachments)),
            // What it thought is kept for people alone; sent again it would only cost room.
            MessageBody::Assistant { text, reasoning: _, tool_calls, usage: _ } => {
                if text.trim().is_empty() && tool_calls.is_empty() {
                    return;
                }
                let mut entry = Entry::new(seq, Role::Assistant, Vec::new());
                if !text.trim().is_empty() {
                    entry.parts.push(self.part(key, PartKind::Assistant, one_line(text, LABEL_CHARS), past, text.clone(), LEFT_OUT));
                }
                for call in tool_calls {
                    let sent = sent_call(call);
                    let mut part =
                        self.part(format!("m{seq}.c:{}", call.id), PartKind::ToolCall, label_of(call), false, sent.arguments.clone(), "");
                    part.tokens += self.tokens_of(sent.id.len() + sent.name.len());
                    entry.parts.push(part);
                    entry.calls.push(sent);
                }
                entries.push(entry);
                for call in tool_calls {
                    entries.push(self.result(seq, call, results.remove(call.id.as_str())));
                }
            }
            MessageBody::Decision { hunks, .. } => {
                let label = "What became of the agent's changes".to_owned();
                entries.push(Entry::new(seq, Role::User, vec![self.part(key, PartKind::Review, label, false, describe_review(hunks), "")]));
            }
            MessageBody::Note { text } => entries.push(self.note(seq, text)),
            MessageBody::Switched { from, to, reason } => {
                let text = format!("From here on {to} answers instead of {from}, which failed before it began: {reason}");
                entries.push(self.note(seq, &text));
            }
            // Results stand behind their calls; of the summaries only the last one counts.
            MessageBody::Tool { .. } | MessageBody::Compacted { .. } => {}
        }
    }

    fn user(&self, seq: i64, text: &str, attachments: &[Attachment]) -> Entry {
        let past = seq < self.prompt_seq;
        let label = one_line(text, LABEL_CHARS);
        let mut entry =
            Entry::new(seq, Role::User, vec![self.part(format!("m{seq}"), PartKind::User, label, past, text.to_owned(), LEFT_OUT)]);
        for attachment in attachments.iter().filter(|attachment| attachment.kind != AttachmentKind::Image) {
            let key = format!("m{seq}.a:{}", attachment.path);
            entry.parts.push(self.part(key, PartKind::Attachment, attachment.path.clone(), true, attached_text(attachment), ""));
        }
        for image in attachments.iter().filter(|attachment| attachment.kind == AttachmentKind::Image) {
            let key = format!("m{seq}.i:{}", image.checksum.as_deref().unwrap_or_default());
            let left_out = self.without.contains(&key) || !self.images;
            let label = if self.images { image.path.clone() } else { format!("{} (this model takes no pictures)", image.path) };
            let tokens = if left_out { 0 } else { IMAGE_TOKENS };
            entry.parts.push(Part { key, kind: PartKind::Image, label, tokens, removable: self.images, left_out, text: None });
            if !left_out {
                entry.images.push(image.clone());
            }
        }
        entry
    }

    fn note(&self, seq: i64, text: &str) -> Entry {
        let sent = format!("[Note from the workspace] {text}");
        Entry::new(seq, Role::User, vec![self.part(format!("m{seq}"), PartKind::Note, one_line(text, LABEL_CHARS), false, sent, "")])
    }

    fn result(&self, answer_seq: i64, call: &ToolCall, result: Option<&Message>) -> Entry {
        let (seq, content) = match result.map(|message| (message.seq, &message.body)) {
            Some((seq, MessageBody::Tool { content, .. })) => (seq, cut_middle(content, RESULT_MAX)),
            _ => (answer_seq, NO_RESULT.to_owned()),
        };
        let key = if result.is_some() { format!("m{seq}") } else { format!("m{seq}.r:{}", call.id) };
        let label = format!("Result of {}", label_of(call));
        let removable = result.is_some();
        let mut entry = Entry::new(seq, Role::Tool, vec![self.part(key, PartKind::ToolResult, label, removable, content, LEFT_OUT)]);
        entry.call_id = Some(call.id.clone());
        entry
    }
}

struct Fold<'a> {
    key: String,
    summary: &'a str,
    upto_seq: i64,
    /// The prompt of the turn that made it.
    prompt_seq: i64,
}

pub(super) fn scale(tokens: i64, percent: i64) -> i64 {
    tokens.saturating_mul(percent).saturating_add(99) / 100
}

/// Some servers refuse a whole conversation for one call whose arguments are not JSON.
fn sent_call(call: &ToolCall) -> ToolCall {
    let is_object = matches!(serde_json::from_str(&call.arguments), Ok(serde_json::Value::Object(_)));
    let arguments = match call.arguments.trim() {
        "" => "{}".to_owned(),
        _ if is_object => call.arguments.clone(),
        raw => serde_json::json!({ "unreadable_arguments": cut_middle(raw, 2000) }).to_string(),
    };
    ToolCall { id: call.id.clone(), name: call.name.clone(), arguments }
}

/// The tool and what it was about.
fn label_of(call: &ToolCall) -> String {
    let arguments: serde_json::Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let about = ["path", "command", "query", "from", "question", "filter", "url"].iter().find_map(|name| arguments.get(name)?.as_str());
    match about {
        Some(about) => format!("{} {}", call.name, one_line(about, 48)),
        None => call.name.clone(),
    }
}

fn attached_text(attachment: &Attachment) -> String {
    let content = cut_middle(&attachment.content, ATTACHMENT_MAX);
    let fence = fence_for(&content);
    let what = match attachment.kind {
        AttachmentKind::File | AttachmentKind::Image => "Attached file",
        AttachmentKind::Folder => "Files in the folder",
        AttachmentKind::Run => "Attached run",
        AttachmentKind::Selection => "Lines selected by the person in",
    };
    format!("\n\n{what} {}:\n{fence}\n{content}\n{fence}", attachment.path)
}

/// Bytes of a request besides the texts of its pieces, as tokens.
pub(super) fn wrapping(entries: usize, percent: i64) -> i64 {
    scale(estimate_tokens(entries * WRAPPING), percent)
}

fn take_out_old_results(assembled: &mut Assembled, source: &Source<'_>) {
    let mut total = assembled.tokens() + wrapping(assembled.entries.len(), source.ratio_percent);
    let short = source.tokens_of(TAKEN_OUT.len());
    for part in assembled.entries.iter_mut().flat_map(|entry| &mut entry.parts) {
        if total <= source.room {
            return;
        }
        if part.kind == PartKind::ToolResult && part.tokens > short {
            total -= part.tokens - short;
            part.tokens = short;
            part.text = Some(TAKEN_OUT.to_owned());
            part.label.push_str(" (taken out to save room)");
        }
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
