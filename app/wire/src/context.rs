//! What goes to a model besides the prompt: what a person named or attached, what they left out, and the list of it all that they can look at
//! before it is sent.

use serde::{Deserialize, Serialize};

use crate::{ConversationId, FieldError, Micros, RunId, chat::StartTurn};

/// The largest picture that can be attached, in bytes.
pub const IMAGE_MAX_BYTES: usize = 5 * 1024 * 1024;
/// Pictures of one message.
pub const IMAGES_MAX: usize = 8;
/// Folders, runs and selections of one message.
pub const MENTIONS_MAX: usize = 32;
/// The longest selection, in bytes.
pub const SELECTION_MAX_BYTES: usize = 64 * 1024;
/// What may be left out by name.
const WITHOUT_MAX: usize = 2000;
/// What a picture costs, about: providers scale large ones down to no more than this many tokens.
pub const IMAGE_TOKENS: i64 = 1600;

/// What a provider may put around a request of its own, in tokens: its chat template, and how it tells a model about tools.
pub const REQUEST_FRAME_MAX: i64 = 1024;

/// The one estimate of tokens by length: three bytes a token, which errs on the high side for text and code.
pub fn estimate_tokens(bytes: usize) -> i64 {
    i64::try_from(bytes.div_ceil(3)).unwrap_or(i64::MAX)
}

/// A picture that was uploaded for a message. The server goes by `checksum` alone and takes the rest from its own row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ImageRef {
    /// SHA-256 of the bytes, in hexadecimal.
    pub checksum: String,
    pub name: String,
    /// `image/png`, `image/jpeg`, `image/webp` or `image/gif`, by what its bytes begin with.
    pub media_type: String,
    pub size_bytes: i64,
}

/// What a picture is, by the bytes that it begins with; `None` for everything that is not offered to models.
pub fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// What a message names besides whole files, which are its `attachments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Mention {
    /// The names of all files below.
    Folder { path: String },
    /// Command, end and the last of the output.
    Run { run_id: RunId },
    /// Lines of a file as they stood in the editor, counted from 1, both ends included.
    Selection {
        path: String,
        start_line: u32,
        end_line: u32,
        text: String,
        /// A person has changed the text since it was taken from the file.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        edited: bool,
    },
}

impl Mention {
    /// Lines of a file, named as they are in the transcript.
    pub fn selection_label(path: &str, start_line: u32, end_line: u32, edited: bool) -> String {
        let lines = if start_line == end_line { format!("line {start_line}") } else { format!("lines {start_line} to {end_line}") };
        format!("{path}, {lines}{}", if edited { ", as edited by the person" } else { "" })
    }
}

/// What a person decided about the context of a turn; kept with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContextChoice {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// Keys of parts that are not sent. Without a summary, what it stands for is sent instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// The older part of the conversation is summed up before this message is answered, also where there is room for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compact: bool,
}

impl ContextChoice {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.mentions.len() > MENTIONS_MAX {
            fields.push(FieldError::new("context", format!("At most {MENTIONS_MAX} folders, runs and selections go with one message.")));
        }
        if self.without.len() > WITHOUT_MAX || self.without.iter().any(|key| key.len() > 600) {
            fields.push(FieldError::new("context", "Too many parts are left out; start a new conversation instead."));
        }
        for mention in &self.mentions {
            let bad = match mention {
                Mention::Run { .. } => None,
                Mention::Folder { path } => crate::files::check_path(path).err(),
                Mention::Selection { path, start_line, end_line, text, .. } => {
                    if text.len() > SELECTION_MAX_BYTES {
                        Some("A selection has at most 64 KiB; attach the file.")
                    } else if *start_line == 0 || end_line < start_line {
                        Some("The lines of a selection are not in order.")
                    } else {
                        crate::files::check_path(path).err()
                    }
                }
            };
            if let Some(reason) = bad {
                fields.push(FieldError::new("context", reason));
            }
        }
        fields
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// What this product tells every model.
    Situation,
    /// A project's instructions file.
    Instructions,
    ProjectMap,
    Tools,
    /// What stands for the older part of the conversation.
    Summary,
    User,
    Attachment,
    Image,
    Assistant,
    ToolCall,
    ToolResult,
    Review,
    Note,
}

/// One piece of what a model is sent. The pieces in their order, put together, are the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Part {
    /// Names the piece in [`ContextChoice::without`]; the same before and after sending.
    pub key: String,
    pub kind: PartKind,
    pub label: String,
    /// Estimated, corrected by what the provider counted before.
    pub tokens: i64,
    /// It can be left out.
    pub removable: bool,
    pub left_out: bool,
    /// Exactly what is sent of it; `None` where only the list was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What would be sent for a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContextView {
    pub model: String,
    /// Tokens that the model can read and write.
    pub window: i64,
    /// Tokens of it that are kept free for the answer.
    pub answer: i64,
    /// Tokens of all parts.
    pub used: i64,
    /// Above this many the conversation is summed up before it is sent.
    pub compact_at: i64,
    /// Tokens by the provider's count for a hundred estimated ones; 100 where nothing was measured yet.
    pub ratio_percent: i64,
    /// Whether the model takes pictures.
    pub images: bool,
    /// Tokens of older messages that a summary would take the place of if it were asked for now; `None`: too few to be worth one.
    #[serde(default)]
    pub compactable: Option<i64>,
    pub parts: Vec<Part>,
}

/// Asks what would be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PreviewContext {
    /// `None` before the first message.
    #[serde(default)]
    pub conversation: Option<ConversationId>,
    /// As it would be sent; an empty prompt is allowed here.
    pub turn: StartTurn,
    /// Keys of the parts whose text is wanted.
    #[serde(default)]
    pub texts: Vec<String>,
}

/// What stands for the older part of a conversation, beside the message of that number which holds the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Compaction {
    /// The number of the message that holds the summary.
    pub seq: i64,
    /// Messages up to this one are no longer sent.
    pub upto_seq: i64,
    pub tokens_before: i64,
    pub tokens_after: i64,
    pub created_at: Micros,
    /// Taken back: the messages are sent again.
    pub undone_at: Option<Micros>,
}

/// Takes a compaction back, or puts it in force again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SetCompaction {
    pub undone: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_of_older_versions_can_be_read_and_lines_are_named() {
        let old = r#"{"mentions":[{"kind":"selection","path":"a","start_line":1,"end_line":2,"text":"x"}]}"#;
        let choice: ContextChoice = serde_json::from_str(old).unwrap();
        assert!(!choice.compact && matches!(choice.mentions[0], Mention::Selection { edited: false, .. }));
        assert_eq!(serde_json::to_string(&choice).unwrap(), old, "what is not chosen is not written");
        assert_eq!(Mention::selection_label("a", 2, 2, false), "a, line 2");
        assert_eq!(Mention::selection_label("a", 2, 3, true), "a, lines 2 to 3, as edited by the person");
    }
}
