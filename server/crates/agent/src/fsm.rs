//! The agent's loop as a pure machine: events in, effects out. No IO and no clock, so that every order of events can be
//! tried, and so that a turn can be rebuilt from its transcript after a crash.
//!
//! What it promises, whatever the order of events: every call that the model makes gets exactly one answer; a call that
//! changes something is never run twice and never beside another; every turn ends, with a sentence that says why.

mod answers;
mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use wire::{
    chat::{Approval, MessageBody, Mode, TokenUsage, ToolCall, TurnReason},
    event::EventKind,
};

pub use rebuild::{ApprovalRecord, History};

/// Calls that only read and that may run at the same time.
const PARALLEL_READS: usize = 8;
/// From this many identical calls in a row on, the model is told.
const REPEATS_TOLD: u32 = 3;
/// At this many identical calls in a row the turn ends.
const REPEATS_MAX: u32 = 5;
/// Answers in a row that may break off at the length limit.
const CUTS_MAX: u32 = 2;

/// What the machine must know of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolRule {
    pub name: &'static str,
    /// It may change something; when in doubt, true.
    pub mutates: bool,
    /// In *ask* mode it waits for a person.
    pub asks: bool,
}

/// What holds for one turn.
#[derive(Debug, Clone)]
pub struct Rules {
    pub mode: Mode,
    pub tools: Vec<ToolRule>,
    /// Model calls of the whole turn.
    pub max_steps: u32,
    /// Tokens of the whole turn, input and output together.
    pub max_tokens: Option<i64>,
}

impl Rules {
    /// The tools that the model may see in this mode.
    pub fn offered(&self) -> Vec<&'static str> {
        self.tools.iter().filter(|t| !(self.mode == Mode::Plan && t.mutates)).map(|t| t.name).collect()
    }

    fn rule(&self, name: &str) -> Option<ToolRule> {
        self.tools.iter().copied().find(|t| t.name == name)
    }
}

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
    pub summary: String,
    /// Processes that could not be ended.
    pub left_alive: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The turn begins, or goes on after an approval or a crash.
    Begin,
    ModelAnswered(Answer),
    /// The answer failed; `text` is what had arrived.
    ModelFailed {
        sentence: String,
        text: String,
        usage: TokenUsage,
    },
    /// The answer was abandoned because of `CancelAll`.
    ModelStopped {
        text: String,
        usage: TokenUsage,
    },
    /// The next request would not fit what is left of the budget; nothing was sent.
    BudgetTooSmall,
    ToolFinished(ToolResult),
    ApprovalDecided {
        call_id: String,
        decision: Approval,
        reason: Option<String>,
    },
    StopRequested,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    CallModel(ModelCall),
    RunTool(ToolCall),
    /// Ask for all of these at once; nothing else runs meanwhile.
    AskApproval(Vec<ToolCall>),
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
    pub tools: Vec<&'static str>,
    /// What is left of the budget; neither request nor answer may exceed it.
    pub tokens_left: Option<i64>,
    /// Counts 1, 2, 3 … in the turn.
    pub step: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    Calling,
    Tools,
    Waiting,
    Stopping,
    Finished,
}

/// A call that has no answer yet.
#[derive(Debug, Clone)]
struct Pending {
    call: ToolCall,
    /// How many times in a row this same call was made, itself included.
    repeats: u32,
}

#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    state: State,
    steps: u32,
    tokens: i64,
    queue: VecDeque<Pending>,
    running: HashMap<String, Pending>,
    approvals: HashMap<String, ApprovalRecord>,
    /// Calls that had begun before this machine was built.
    started: HashSet<String>,
    seen_ids: HashSet<String>,
    last_call: Option<(String, String)>,
    repeats: u32,
    cuts: u32,
    left_alive: u32,
    /// Set as soon as the turn is to end; nothing new begins then.
    ending: Option<(TurnReason, String)>,
    /// The transcript already ends with an answer that needs nothing more.
    answered: bool,
}

enum Verdict {
    Run { mutates: bool },
    Ask,
    Answer { content: String, summary: &'static str },
}

impl Machine {
    pub fn state(&self) -> State {
        self.state
    }

    /// Feeds one event. An event that does not fit the state is ignored: it belongs to something already given up.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match (self.state, event) {
            (State::Finished, _) => {}
            (State::Ready, Event::Begin) => self.begin(&mut out),
            (State::Calling, Event::ModelAnswered(answer)) => self.take_answer(answer, &mut out),
            (State::Stopping, Event::ModelAnswered(answer)) if self.running.is_empty() => {
                self.take_answer(Answer { end: AnswerEnd::Complete, ..answer }, &mut out);
            }
            (State::Calling, Event::ModelFailed { sentence, text, usage }) => {
                self.keep_text(text, usage, &mut out);
                self.finish(TurnReason::Failed, sentence, &mut out);
            }
            (State::Stopping, Event::ModelFailed { text, usage, .. } | Event::ModelStopped { text, usage }) if self.running.is_empty() => {
                self.keep_text(text, usage, &mut out);
                self.advance(&mut out);
            }
            // Nobody asked for it, so the answer is missing all the same.
            (State::Calling, Event::ModelStopped { text, usage }) => {
                self.keep_text(text, usage, &mut out);
                self.finish(TurnReason::Failed, answers::ANSWER_LOST.to_owned(), &mut out);
            }
            (State::Calling | State::Stopping, Event::BudgetTooSmall) if self.running.is_empty() => self.end_budget(&mut out),
            (State::Tools | State::Stopping, Event::ToolFinished(result)) => self.take_result(result, &mut out),
            (State::Waiting, Event::ApprovalDecided { call_id, decision, reason }) => {
                self.take_decision(call_id, decision, reason, &mut out);
            }
            (state, Event::StopRequested) if state != State::Stopping => self.stop(&mut out),
            _ => {}
        }
        out
    }

    fn begin(&mut self, out: &mut Vec<Effect>) {
        if self.answered {
            return self.finish_done(out);
        }
        self.state = State::Tools;
        self.advance(out);
    }

    fn take_answer(&mut self, mut answer: Answer, out: &mut Vec<Effect>) {
        self.make_ids_unique(&mut answer.tool_calls);
        let is_blank = answer.text.trim().is_empty();
        if !is_blank || !answer.tool_calls.is_empty() {
            out.push(Effect::AppendMessage(MessageBody::Assistant {
                text: answer.text,
                tool_calls: answer.tool_calls.clone(),
                usage: answer.usage,
            }));
        }
        self.book(answer.usage, out);
        if self.state == State::Calling {
            self.state = State::Tools;
        }
        if !answer.tool_calls.is_empty() {
            self.cuts = 0;
            self.enqueue(answer.tool_calls);
            return self.advance(out);
        }
        if self.ending.is_some() {
            return self.advance(out);
        }
        match answer.end {
            AnswerEnd::Complete if is_blank && self.steps <= 1 => {
                self.finish(TurnReason::Failed, answers::EMPTY_ANSWER.to_owned(), out);
            }
            AnswerEnd::Complete => self.finish_done(out),
            AnswerEnd::Filtered => self.finish(TurnReason::Failed, answers::FILTERED.to_owned(), out),
            AnswerEnd::Length => {
                self.cuts += 1;
                if self.cuts > CUTS_MAX {
                    return self.finish(TurnReason::Limit, answers::TOO_LONG.to_owned(), out);
                }
                out.push(Effect::AppendMessage(MessageBody::Note { text: answers::CUT_NOTE.to_owned() }));
                self.advance(out);
            }
        }
    }

    /// Keeps what had arrived of an answer that will not be completed.
    fn keep_text(&mut self, text: String, usage: TokenUsage, out: &mut Vec<Effect>) {
        if !text.trim().is_empty() {
            out.push(Effect::AppendMessage(MessageBody::Assistant { text, tool_calls: Vec::new(), usage }));
        }
        self.book(usage, out);
    }

    fn book(&mut self, usage: TokenUsage, out: &mut Vec<Effect>) {
        self.tokens = self.tokens.saturating_add(usage.input.max(0)).saturating_add(usage.output.max(0));
        if usage != TokenUsage::default() {
            out.push(Effect::BookUsage(usage));
        }
    }

    fn take_result(&mut self, result: ToolResult, out: &mut Vec<Effect>) {
        let Some(pending) = self.running.remove(&result.call_id) else { return };
        self.left_alive = self.left_alive.saturating_add(result.left_alive);
        let mut content = result.content;
        if pending.repeats >= REPEATS_TOLD {
            content.push_str(&answers::repeated(pending.repeats));
        }
        out.push(Effect::AppendMessage(MessageBody::Tool {
            call_id: pending.call.id.clone(),
            name: pending.call.name,
            ok: result.ok,
            content,
        }));
        out.push(Effect::Emit(vec![EventKind::ToolFinished { call_id: pending.call.id, ok: result.ok, summary: result.summary }]));
        self.advance(out);
    }

    fn take_decision(&mut self, call_id: String, decision: Approval, reason: Option<String>, out: &mut Vec<Effect>) {
        if !self.queue.iter().any(|p| p.call.id == call_id) {
            return;
        }
        let record = self.approvals.entry(call_id).or_default();
        if record.decision.is_some() {
            return;
        }
        *record = ApprovalRecord { decision: Some(decision), reason };
        if self.undecided().is_empty() {
            self.state = State::Tools;
            self.advance(out);
        }
    }

    fn stop(&mut self, out: &mut Vec<Effect>) {
        let was_calling = self.state == State::Calling;
        if was_calling || !self.running.is_empty() {
            out.push(Effect::CancelAll);
        }
        // The sentence is written at the end, when it is known what could not be ended.
        self.ending = Some((TurnReason::Stopped, String::new()));
        self.state = State::Stopping;
        if !was_calling {
            self.advance(out);
        }
    }

    /// Starts whatever may start now; when nothing is left to do, calls the model or ends the turn.
    fn advance(&mut self, out: &mut Vec<Effect>) {
        if self.ending.is_some() {
            while let Some(pending) = self.queue.pop_front() {
                let (content, summary) = if self.was_interrupted(&pending.call) {
                    (answers::INTERRUPTED.to_owned(), "Interrupted by a restart")
                } else {
                    answers::not_run(self.ending.as_ref().map(|e| e.0))
                };
                self.answer(&pending.call, content, summary, out);
            }
            if self.running.is_empty()
                && let Some((reason, detail)) = self.ending.take()
            {
                self.finish(reason, detail, out);
            }
            return;
        }
        while let Some(front) = self.queue.front() {
            match self.judge(&front.call) {
                Verdict::Answer { content, summary } => {
                    if let Some(pending) = self.queue.pop_front() {
                        self.answer(&pending.call, content, summary, out);
                    }
                }
                Verdict::Ask => {
                    if self.running.is_empty() {
                        self.state = State::Waiting;
                        out.push(Effect::AskApproval(self.undecided()));
                    }
                    return;
                }
                Verdict::Run { mutates } => {
                    if !self.may_start(mutates) {
                        return;
                    }
                    if let Some(pending) = self.queue.pop_front() {
                        self.start(pending, out);
                    }
                }
            }
        }
        if self.running.is_empty() {
            self.call_model(out);
        }
    }

    fn may_start(&self, mutates: bool) -> bool {
        let beside_a_change = self.running.values().any(|p| self.rules.rule(&p.call.name).is_none_or(|r| r.mutates));
        !beside_a_change && self.running.len() < if mutates { 1 } else { PARALLEL_READS }
    }

    fn judge(&self, call: &ToolCall) -> Verdict {
        let Some(rule) = self.rules.rule(&call.name) else {
            return Verdict::Answer { content: answers::unknown_tool(&call.name, &self.rules.offered()), summary: "No such tool" };
        };
        if rule.mutates && self.rules.mode == Mode::Plan {
            return Verdict::Answer { content: answers::PLAN_ONLY.to_owned(), summary: "Not available in plan mode" };
        }
        if let Err(reason) = answers::check_arguments(&call.arguments) {
            return Verdict::Answer { content: reason, summary: "The arguments could not be read" };
        }
        if self.was_interrupted(call) {
            return Verdict::Answer { content: answers::INTERRUPTED.to_owned(), summary: "Interrupted by a restart" };
        }
        if rule.asks && self.rules.mode == Mode::Ask {
            match self.approvals.get(&call.id).map(|a| (a.decision, &a.reason)) {
                Some((Some(Approval::Approve), _)) => {}
                Some((Some(Approval::Reject), reason)) => {
                    return Verdict::Answer { content: answers::declined(reason.as_deref()), summary: "Declined" };
                }
                Some((None, _)) | None => return Verdict::Ask,
            }
        }
        Verdict::Run { mutates: rule.mutates }
    }

    /// It had begun when the server went away, and nobody knows how far it came.
    fn was_interrupted(&self, call: &ToolCall) -> bool {
        self.started.contains(&call.id) && self.rules.rule(&call.name).is_some_and(|r| r.mutates)
    }

    fn start(&mut self, pending: Pending, out: &mut Vec<Effect>) {
        let call = pending.call.clone();
        if !self.started.contains(&call.id) {
            out.push(Effect::Emit(vec![EventKind::ToolCalled {
                call_id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            }]));
        }
        self.running.insert(call.id.clone(), pending);
        out.push(Effect::RunTool(call));
    }

    /// Answers a call without running it.
    fn answer(&mut self, call: &ToolCall, content: String, summary: &str, out: &mut Vec<Effect>) {
        out.push(Effect::AppendMessage(MessageBody::Tool { call_id: call.id.clone(), name: call.name.clone(), ok: false, content }));
        let mut kinds = Vec::new();
        if !self.started.contains(&call.id) {
            kinds.push(EventKind::ToolCalled { call_id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() });
        }
        kinds.push(EventKind::ToolFinished { call_id: call.id.clone(), ok: false, summary: summary.to_owned() });
        out.push(Effect::Emit(kinds));
    }

    fn undecided(&self) -> Vec<ToolCall> {
        self.queue.iter().filter(|p| matches!(self.judge(&p.call), Verdict::Ask)).map(|p| p.call.clone()).collect()
    }

    fn call_model(&mut self, out: &mut Vec<Effect>) {
        if self.steps >= self.rules.max_steps {
            return self.finish(TurnReason::Limit, answers::too_many_steps(self.rules.max_steps), out);
        }
        let tokens_left = self.rules.max_tokens.map(|max| max - self.tokens);
        if tokens_left.is_some_and(|left| left <= 0) {
            return self.end_budget(out);
        }
        self.steps += 1;
        self.state = State::Calling;
        out.push(Effect::CallModel(ModelCall { tools: self.rules.offered(), tokens_left, step: self.steps }));
    }

    fn end_budget(&mut self, out: &mut Vec<Effect>) {
        if let Some((reason, detail)) = self.ending.take() {
            return self.finish(reason, detail, out);
        }
        let sentence = answers::budget_used(self.tokens, self.rules.max_tokens.unwrap_or_default());
        self.finish(TurnReason::Budget, sentence, out);
    }

    fn finish_done(&mut self, out: &mut Vec<Effect>) {
        let detail = if self.steps <= 1 { "Done.".to_owned() } else { format!("Done in {} steps.", self.steps) };
        self.finish(TurnReason::Done, detail, out);
    }

    fn finish(&mut self, reason: TurnReason, detail: String, out: &mut Vec<Effect>) {
        self.state = State::Finished;
        let detail = match reason {
            TurnReason::Stopped => answers::stopped(self.left_alive),
            _ => detail,
        };
        if reason != TurnReason::Done {
            out.push(Effect::AppendMessage(MessageBody::Note { text: answers::end_note(reason, &detail) }));
        }
        out.push(Effect::Finish { reason, detail });
    }
}
