use serde::{Deserialize, Serialize};

use crate::{ChangeSetId, ConversationId, FieldError, MessageId, Micros, ProjectId, TurnId, changes::HunkDecision, limits};

/// How much the agent may do without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
pub struct Conversation {
    pub id: ConversationId,
    pub project_id: ProjectId,
    pub title: String,
    pub created_at: Micros,
    pub updated_at: Micros,
    /// The turn that is not finished yet, if there is one.
    pub active_turn: Option<TurnId>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CreateConversation {
    #[serde(default)]
    pub title: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateConversation {
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    Queued,
    Running,
    /// An approval is awaited; no job runs meanwhile.
    Waiting,
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct TokenUsage {
    pub input: i64,
    pub output: i64,
    pub cached: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    pub change_set_id: Option<ChangeSetId>,
    pub created_at: Micros,
    pub finished_at: Option<Micros>,
}

/// Limits of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TurnBudget {
    #[serde(default)]
    pub tokens: Option<i64>,
    #[serde(default)]
    pub steps: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartTurn {
    pub prompt: String,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub model: Option<String>,
    /// Paths of the project whose content goes along with the prompt.
    #[serde(default)]
    pub attachments: Vec<String>,
    #[serde(default)]
    pub budget: Option<TurnBudget>,
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
        fields
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnStarted {
    pub turn_id: TurnId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    Approve,
    Reject,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecideApproval {
    pub decision: Approval,
    #[serde(default)]
    pub reason: Option<String>,
}

/// A tool call of the model, `arguments` as the raw JSON text that the model wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// One entry of the transcript: what the model was and will be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub turn_id: Option<TurnId>,
    /// Counts 1, 2, 3 … in the conversation.
    pub seq: i64,
    pub body: MessageBody,
    pub created_at: Micros,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum MessageBody {
    User {
        text: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
    },
    Assistant {
        text: String,
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
    },
    /// What the person decided about the agent's changes; sent with the next request.
    Decision {
        change_set_id: ChangeSetId,
        hunks: Vec<HunkDecision>,
    },
    /// A fact for the model that nobody typed, such as "the turn was stopped".
    Note {
        text: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub path: String,
    pub content: String,
}

/// A model that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub name: String,
    pub provider: String,
    /// A script that shows the product offline. It must be labelled as not an AI.
    pub is_demo: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Empty when none is configured; `hint` then says how to connect one.
    pub items: Vec<ModelInfo>,
    pub default: Option<String>,
    pub hint: String,
}

/// All that the chat panel needs to show a conversation: the transcript, the turns, and where to follow each stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationView {
    pub conversation: Conversation,
    pub turns: Vec<Turn>,
    pub messages: Vec<Message>,
}
