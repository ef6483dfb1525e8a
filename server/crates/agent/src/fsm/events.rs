//! What the machine is told, and what it wants done.

use wire::{
    chat::{Approval, MessageBody, TokenUsage, ToolCall, ToolFacts, TurnReason},
    event::EventKind,
};

use super::Question;

/// How a complete answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerEnd {
    Complete,
    /// The length limit cut it; calls that were cut through are not in it.
    Length,
    /// The provider's filter ended it.
    Filtered,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub text: String,
    pub reasoning: String,
    pub tool_calls: Vec<ToolCall>,
    pub usage: TokenUsage,
    pub end: AnswerEnd,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    pub call_id: String,
    pub ok: bool,
    /// What the model is told.
    pub content: String,
    /// What a person sees on the card.
    pub facts: ToolFacts,
    /// Processes that could not be ended.
    pub left_alive: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The turn begins, or goes on after an approval or a crash.
    Begin,
    ModelAnswered(Answer),
    /// The answer failed; `text` and `reasoning` are what had arrived.
    ModelFailed {
        sentence: String,
        text: String,
        reasoning: String,
        usage: TokenUsage,
        /// Nothing had arrived yet, and another model may fare better.
        may_switch: bool,
    },
    /// Another model has taken the place of the one that failed.
    ModelSwitched {
        from: String,
        to: String,
    },
    /// There is no other model.
    NoOtherModel,
    /// The answer was abandoned because of `CancelAll`.
    ModelStopped {
        text: String,
        reasoning: String,
        usage: TokenUsage,
    },
    /// The next request would not fit what is left of the turn's tokens; nothing was sent.
    BudgetTooSmall,
    /// A budget of somebody's does not allow the next request; nothing was sent.
    BudgetRefused {
        sentence: String,
    },
    ToolFinished(ToolResult),
    ApprovalDecided {
        call_id: String,
        decision: Approval,
        reason: Option<String>,
    },
    StopRequested,
    /// The turn has worked as long as a turn may.
    TimeUp,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    CallModel(ModelCall),
    /// Take another model than the one that failed, for the sentence it failed with.
    SwitchModel {
        reason: String,
    },
    RunTool(ToolCall),
    /// Ask for all of these at once; nothing else runs meanwhile.
    AskApproval(Vec<Question>),
    AppendMessage(MessageBody),
    BookUsage(TokenUsage),
    Emit(Vec<EventKind>),
    /// Abandon the answer and everything that runs; each still reports its end.
    CancelAll,
    Finish {
        reason: TurnReason,
        detail: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct ModelCall {
    /// Names of the tools on offer.
    pub tools: Vec<String>,
    /// What is left of the budget; neither request nor answer may exceed it.
    pub tokens_left: Option<i64>,
    /// Counts 1, 2, 3 … in the turn.
    pub step: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    Calling,
    /// A model has failed; another one is looked for.
    Switching,
    Tools,
    Waiting,
    Stopping,
    Finished,
}
