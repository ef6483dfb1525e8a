use serde::{Deserialize, Serialize};

use crate::{
    ChangeSetId, CheckpointId, ConversationId, FieldError, MessageId, Micros, ProjectId, QueuedPromptId, RewindId, RunId, TurnId,
    changes::HunkDecision,
    checkpoints::RestorePlan,
    context::{self, ContextChoice, ImageRef},
    files::PathConflict,
    generate, limits,
    permissions::RememberRule,
    users::UserRef,
};

mod budget;

pub use crate::models::{ModelInfo, Models};
pub use budget::TurnBudget;

/// How much the agent may do without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Reads only.
    Plan,
    /// Edits its branch; asks before it runs anything.
    #[default]
    Ask,
    /// Edits and runs, still on its branch.
    Auto,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Conversation {
    pub id: ConversationId,
    pub project_id: ProjectId,
    pub title: String,
    pub created_at: Micros,
    pub updated_at: Micros,
    /// The turn that is not finished yet, if there is one.
    pub active_turn: Option<TurnId>,
    /// Where it was forked from.
    #[serde(default)]
    pub parent: Option<ConversationParent>,
    /// The beginning of what was asked last, one line of at most [`LAST_PROMPT_CHARS`] characters.
    #[serde(default)]
    pub last_prompt: Option<String>,
    /// Messages it holds.
    #[serde(default)]
    pub messages: i64,
}

/// Characters of a conversation's last prompt that lists show.
pub const LAST_PROMPT_CHARS: usize = 120;

/// The conversation that another one was forked from, up to and with its message `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConversationParent {
    pub id: ConversationId,
    /// As it is called now; `None` when it is gone.
    pub title: Option<String>,
    pub seq: i64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateConversation {
    #[serde(default)]
    pub title: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpdateConversation {
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    Queued,
    Running,
    /// An approval is awaited; no job runs meanwhile.
    Waiting,
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TurnReason {
    Done,
    Stopped,
    Failed,
    Budget,
    Limit,
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenUsage {
    pub input: i64,
    pub output: i64,
    pub cached: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Turn {
    pub id: TurnId,
    pub conversation_id: ConversationId,
    pub project_id: ProjectId,
    pub prompt: String,
    pub mode: Mode,
    pub model: String,
    pub state: TurnState,
    pub reason: Option<TurnReason>,
    pub detail: Option<String>,
    pub usage: TokenUsage,
    /// What its model calls cost so far, in micro-US-dollars.
    #[serde(default)]
    pub cost_micros: i64,
    /// Part of the cost is worked out, since a provider did not tell the usage.
    #[serde(default)]
    pub estimated: bool,
    /// The limits that its message set; absent where it set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<TurnBudget>,
    pub change_set_id: Option<ChangeSetId>,
    pub created_at: Micros,
    pub finished_at: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StartTurn {
    pub prompt: String,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub model: Option<String>,
    /// Paths of the project whose content goes along with the prompt.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// Images that go along with the prompt, where the model takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageRef>,
    /// What else is sent and what is left out.
    #[serde(default)]
    pub context: ContextChoice,
    /// Limits of this message alone.
    #[serde(default)]
    pub budget: Option<TurnBudget>,
    /// Tokens of each answer, at most what the model writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<i64>,
    /// 0 to 2; the model's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

impl StartTurn {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.prompt.trim().is_empty() {
            fields.push(FieldError::new("prompt", "Write what the agent should do."));
        } else if self.prompt.chars().count() > limits::PROMPT_MAX_CHARS {
            fields.push(FieldError::new("prompt", "A prompt has at most 100 000 characters; attach long text as a file."));
        }
        for path in &self.attachments {
            if let Err(reason) = crate::files::check_path(path) {
                fields.push(FieldError::new("attachments", reason));
            }
        }
        if self.attachments.len() > 32 {
            fields.push(FieldError::new("attachments", "At most 32 files can be attached."));
        }
        if self.images.len() > context::IMAGES_MAX {
            fields.push(FieldError::new("images", "At most 8 pictures go with one message."));
        }
        fields.extend(self.context.validate());
        fields.extend(self.budget.iter().flat_map(TurnBudget::validate));
        fields.extend(generate::check_answer(self.temperature, self.max_tokens));
        fields
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TurnStarted {
    pub turn_id: TurnId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    Approve,
    Reject,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DecideApproval {
    pub decision: Approval,
    #[serde(default)]
    pub reason: Option<String>,
    /// Makes a rule of the answer, so that the like is not asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember: Option<RememberRule>,
}

/// A tool call of the model, `arguments` as the raw JSON text that the model wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// One entry of the transcript: what the model was and will be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Message {
    pub id: MessageId,
    pub turn_id: Option<TurnId>,
    /// Counts 1, 2, 3 … in the conversation.
    pub seq: i64,
    pub body: MessageBody,
    pub created_at: Micros,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum MessageBody {
    User {
        text: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
    },
    Assistant {
        text: String,
        /// What the model thought on the way, as far as it is kept: for people, never sent to a model again.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reasoning: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
        #[serde(default)]
        usage: TokenUsage,
    },
    Tool {
        call_id: String,
        name: String,
        ok: bool,
        content: String,
        #[serde(default)]
        facts: ToolFacts,
    },
    /// What the person decided about the agent's changes; sent with the next request.
    Decision { change_set_id: ChangeSetId, hunks: Vec<HunkDecision> },
    /// A fact for the model that nobody typed, such as "the turn was stopped".
    Note { text: String },
    /// From here on `to` answers in place of `from`, which failed before it began; `reason` is a sentence.
    Switched { from: String, to: String, reason: String },
    /// Stands in for the messages up to and with `upto_seq` when the model is asked. They stay; undoing it sends them again.
    Compacted { summary: String, upto_seq: i64, tokens_before: i64, tokens_after: i64 },
}

/// What people are shown of a tool call, and the model is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ToolFacts {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Milliseconds; absent of what did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// The run that the call made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// A person refused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declined: bool,
    /// Bytes of files that it replaced, added or removed itself; absent of commands, whose changes show when the turn ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_changed: Option<i64>,
}

/// What was sent along with a prompt, as it was then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Attachment {
    /// A path, for a run its id.
    pub path: String,
    /// The text; empty for an image, whose bytes are the blob `checksum`.
    pub content: String,
    #[serde(default)]
    pub kind: AttachmentKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    #[default]
    File,
    Folder,
    Run,
    Selection,
    Image,
}

impl Attachment {
    /// A file with its text.
    pub fn file(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self { path: path.into(), content: content.into(), kind: AttachmentKind::File, media_type: None, checksum: None }
    }
}

/// Part of a conversation: the transcript's end or an earlier piece, with the turns it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConversationView {
    pub conversation: Conversation,
    /// The turns of these messages and all that are not finished, the oldest first.
    pub turns: Vec<Turn>,
    pub messages: Vec<Message>,
    /// Older messages exist: ask for those before this `seq`.
    #[serde(default)]
    pub before: Option<i64>,
    /// Prompts that wait for their turn, the next one first.
    #[serde(default)]
    pub queue: Vec<QueuedPrompt>,
    /// Why the queue does not go on by itself.
    #[serde(default)]
    pub queue_waits: Option<String>,
    /// What was taken back and not brought back, the oldest first.
    #[serde(default)]
    pub rewinds: Vec<Rewind>,
    /// The last event of the conversation's stream that this holds: follow it from here.
    #[serde(default)]
    pub events: i64,
    /// Where the events of a long turn at work go on behind its messages here; without it they are read from their beginning.
    #[serde(default)]
    pub live: Option<LiveFrom>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LiveFrom {
    pub turn_id: TurnId,
    pub event: i64,
}

/// Which part of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Window {
    /// Messages before this `seq`; without it the latest ones.
    #[serde(default)]
    pub before: Option<i64>,
    /// At most this many, 1 to [`WINDOW_MAX`].
    #[serde(default)]
    pub limit: Option<i64>,
}

pub const WINDOW_DEFAULT: i64 = 200;
pub const WINDOW_MAX: i64 = 1000;

impl Window {
    pub fn latest(limit: i64) -> Self {
        Self { before: None, limit: Some(limit) }
    }
}

/// Which conversations of a project: last used first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConversationQuery {
    /// Words in the title or in a message.
    #[serde(default)]
    pub search: Option<String>,
    #[serde(default)]
    pub cursor: Option<String>,
    #[serde(default)]
    pub limit: Option<i64>,
}

/// A conversation in a list, with the place that was searched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FoundConversation {
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Text around the words, where a message has them.
    #[serde(default)]
    pub excerpt: Option<String>,
}

/// A conversation that was removed and can still be brought back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RemovedConversation {
    #[serde(flatten)]
    pub conversation: Conversation,
    pub removed_at: Micros,
    /// After this it is gone for good.
    pub until: Micros,
}

/// A prompt that was written while the agent worked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct QueuedPrompt {
    pub id: QueuedPromptId,
    pub conversation_id: ConversationId,
    pub request: StartTurn,
    pub by: UserRef,
    /// Counts its changes.
    #[serde(default)]
    pub version: i64,
    pub created_at: Micros,
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Queued {
    /// Nothing was going on: it began at once.
    Started { turn_id: TurnId },
    /// It begins when what is going on and those before it have ended.
    Waiting { prompt: Box<QueuedPrompt> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UpdateQueued {
    pub prompt: String,
    /// The [`QueuedPrompt::version`] that this is based on: another one is a conflict. Absent, whatever is there is replaced.
    #[serde(default)]
    pub version: Option<i64>,
}

/// A new conversation with the messages up to and with `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ForkConversation {
    pub seq: i64,
    #[serde(default)]
    pub title: Option<String>,
}

/// Goes back to before a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RewindConversation {
    pub turn_id: TurnId,
    /// The model no longer sees the turn and what came after it.
    #[serde(default)]
    pub chat: bool,
    /// The files are as they were before the turn.
    #[serde(default)]
    pub files: bool,
    /// For files: the revision of the preview, after which nothing may have changed; without it they are taken as they are now.
    #[serde(default)]
    pub expected_revision: Option<i64>,
    /// Exactly these files of the preview; without it all but what others have changed since.
    #[serde(default)]
    pub paths: Option<Vec<String>>,
}

/// What going back to before a turn would do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RewindPreview {
    pub turn_id: TurnId,
    /// Messages that the model would no longer see.
    pub messages: i64,
    pub turns: i64,
    /// What would happen to files; `None` where the checkpoint before the turn is gone.
    pub files: Option<RestorePlan>,
}

/// A stretch of a conversation that was taken back. The messages stay and are shown folded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Rewind {
    pub id: RewindId,
    pub turn_id: TurnId,
    /// The first message taken back.
    pub from_seq: i64,
    /// The last one.
    pub upto_seq: i64,
    pub chat: bool,
    pub files: bool,
    /// The files as they were before the rewind; restoring it brings them back.
    pub checkpoint_id: Option<CheckpointId>,
    pub by: UserRef,
    pub created_at: Micros,
}

/// A rewind either happens or names the paths that stand in its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RewindOutcome {
    Rewound {
        rewind: Rewind,
        /// Files that were put back.
        paths: Vec<String>,
        /// What others have changed since and was left as they made it.
        left: Vec<String>,
    },
    /// Nothing was changed.
    Conflict { paths: Vec<PathConflict> },
}

/// Takes a rewind back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UndoRewind {
    /// For files: the revision at which the page last saw them; what was changed after it stands in the way.
    #[serde(default)]
    pub expected_revision: Option<i64>,
}

/// What taking a rewind back led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum UndoneRewind {
    Undone {
        paths: Vec<String>,
        left: Vec<String>,
    },
    /// Nothing was changed.
    Conflict {
        paths: Vec<PathConflict>,
    },
}
