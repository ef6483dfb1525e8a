//! The agent's loop as a pure machine: events in, effects out. No IO and no clock, so that every order of events can be
//! tried, and so that a turn can be rebuilt from its transcript after a crash.
//!
//! What it promises, whatever the order of events: every call that the model makes gets exactly one answer; a call that
//! changes something is never run twice and never beside another; every turn ends, with a sentence that says why.

mod answers;
mod events;
mod guards;
mod judge;
mod rebuild;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_grounds;
#[cfg(test)]
mod tests_guards;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use wire::{
    chat::{Approval, MessageBody, Mode, TokenUsage, ToolCall, ToolFacts, TurnReason},
    event::EventKind,
    permissions::PermissionRule,
};

pub use self::{
    events::{Answer, AnswerEnd, Effect, Event, ModelCall, State, ToolResult},
    judge::{Held, Question},
    rebuild::{ApprovalRecord, History},
};
use self::{guards::Guards, judge::Verdict};
use crate::text::first_sentence;

/// Calls that only read and that may run at the same time.
const PARALLEL_READS: usize = 8;
/// Answers in a row that may break off at the length limit.
const CUTS_MAX: u32 = 2;

/// What the machine must know of a tool.
#[derive(Debug, Clone)]
pub struct ToolRule {
    pub name: String,
    /// It may change something; when in doubt, true.
    pub mutates: bool,
    /// In *ask* mode it waits for a person.
    pub asks: bool,
    /// A person's words are its result, in every mode.
    pub by_person: bool,
    /// JSON Schema of its arguments.
    pub schema: Arc<Value>,
}

/// What holds for one turn.
#[derive(Debug, Clone)]
pub struct Rules {
    pub mode: Mode,
    pub tools: Vec<ToolRule>,
    /// Model calls of the whole turn.
    pub max_steps: u32,
    /// The message that began the turn set that number.
    pub steps_of_message: bool,
    /// Tokens of the whole turn, input and output together.
    pub max_tokens: Option<i64>,
    /// What the project's people have decided in advance.
    pub permissions: Vec<PermissionRule>,
}

impl Rules {
    /// The tools that the model may see in this mode.
    pub fn offered(&self) -> Vec<String> {
        self.tools.iter().filter(|t| !(self.mode == Mode::Plan && t.mutates)).map(|t| t.name.clone()).collect()
    }

    fn rule(&self, name: &str) -> Option<&ToolRule> {
        self.tools.iter().find(|t| t.name == name)
    }
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
    /// What calls that wait would reach.
    held: Vec<Held>,
    state: State,
    steps: u32,
    tokens: i64,
    queue: VecDeque<Pending>,
    running: HashMap<String, Pending>,
    approvals: HashMap<String, ApprovalRecord>,
    /// Calls that had begun before this machine was built.
    started: HashSet<String>,
    seen_ids: HashSet<String>,
    guards: Guards,
    cuts: u32,
    left_alive: u32,
    /// Why the model in use was left, while another one is looked for.
    failure: String,
    /// Another model was taken already; there is no third.
    switched: bool,
    /// Set as soon as the turn is to end; nothing new begins then.
    ending: Option<(TurnReason, String)>,
    /// The transcript already ends with an answer that needs nothing more.
    answered: bool,
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
            (State::Calling, Event::ModelFailed { sentence, usage, may_switch: true, .. }) if !self.switched => {
                self.book(usage, &mut out);
                self.failure.clone_from(&sentence);
                self.switched = true;
                self.state = State::Switching;
                out.push(Effect::SwitchModel { reason: sentence });
            }
            (State::Calling, Event::ModelFailed { sentence, text, reasoning, usage, .. }) => {
                self.keep_part(text, reasoning, usage, &mut out);
                self.finish(TurnReason::Failed, sentence, &mut out);
            }
            (State::Switching, Event::ModelSwitched { from, to }) => self.go_on_with(from, to, &mut out),
            (State::Switching, Event::NoOtherModel) => {
                let sentence = std::mem::take(&mut self.failure);
                self.finish(TurnReason::Failed, sentence, &mut out);
            }
            (State::Stopping, Event::ModelFailed { text, reasoning, usage, .. } | Event::ModelStopped { text, reasoning, usage })
                if self.running.is_empty() =>
            {
                self.keep_part(text, reasoning, usage, &mut out);
                self.advance(&mut out);
            }
            // Nobody asked for it, so the answer is missing all the same.
            (State::Calling, Event::ModelStopped { text, reasoning, usage }) => {
                self.keep_part(text, reasoning, usage, &mut out);
                self.finish(TurnReason::Failed, answers::ANSWER_LOST.to_owned(), &mut out);
            }
            (State::Calling | State::Stopping, Event::BudgetTooSmall) if self.running.is_empty() => self.end_budget(None, &mut out),
            (State::Calling | State::Stopping, Event::BudgetRefused { sentence }) if self.running.is_empty() => {
                self.end_budget(Some(sentence), &mut out);
            }
            (State::Tools | State::Stopping, Event::ToolFinished(result)) => self.take_result(result, &mut out),
            (State::Waiting, Event::ApprovalDecided { call_id, decision, reason }) => {
                self.take_decision(call_id, decision, reason, &mut out);
            }
            // Stopping for another reason may be slow; a person's word then counts.
            (state, Event::StopRequested) if state != State::Stopping || !self.is_stopped() => {
                // The sentence is written at the end, when it is known what could not be ended.
                self.give_up(TurnReason::Stopped, String::new(), &mut out);
            }
            (state, Event::TimeUp) if state != State::Stopping => {
                self.give_up(TurnReason::Limit, answers::TIME_UP.to_owned(), &mut out);
            }
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
        if !is_blank || !answer.reasoning.trim().is_empty() || !answer.tool_calls.is_empty() {
            out.push(Effect::AppendMessage(MessageBody::Assistant {
                text: answer.text,
                reasoning: answer.reasoning,
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
    fn keep_part(&mut self, text: String, reasoning: String, usage: TokenUsage, out: &mut Vec<Effect>) {
        if !text.trim().is_empty() || !reasoning.trim().is_empty() {
            out.push(Effect::AppendMessage(MessageBody::Assistant { text, reasoning, tool_calls: Vec::new(), usage }));
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
        let noted = self.guards.note_result(&pending.call, result.ok, &content);
        if pending.repeats >= guards::REPEATS_TOLD {
            content.push_str(&answers::repeated(pending.repeats));
        }
        if let Some(undone) = noted {
            content.push_str(&answers::undone(&undone.path, undone.times));
            if undone.times >= guards::UNDONE_MAX && self.ending.is_none() {
                self.ending = Some((TurnReason::Limit, answers::undone_too_often(&undone.path)));
            }
        }
        out.push(Effect::AppendMessage(MessageBody::Tool {
            call_id: pending.call.id.clone(),
            name: pending.call.name,
            ok: result.ok,
            content,
            facts: result.facts.clone(),
        }));
        let summary = result.facts.summary;
        out.push(Effect::Emit(vec![EventKind::ToolFinished { call_id: pending.call.id, ok: result.ok, summary }]));
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

    fn is_stopped(&self) -> bool {
        matches!(self.ending, Some((TurnReason::Stopped, _)))
    }

    /// Ends the turn as soon as what is going on has ended.
    fn give_up(&mut self, reason: TurnReason, detail: String, out: &mut Vec<Effect>) {
        let was_calling = self.state == State::Calling;
        if was_calling || !self.running.is_empty() {
            out.push(Effect::CancelAll);
        }
        self.ending = Some((reason, detail));
        if self.state != State::Stopping {
            self.state = State::Stopping;
            if !was_calling {
                self.advance(out);
            }
        }
    }

    /// Starts whatever may start now; when nothing is left to do, calls the model or ends the turn.
    fn advance(&mut self, out: &mut Vec<Effect>) {
        if self.ending.is_some() {
            return self.wind_up(out);
        }
        while let Some(front) = self.queue.front() {
            match self.judge(&front.call) {
                Verdict::Answer { ok, content, summary } => {
                    if let Some(pending) = self.queue.pop_front() {
                        self.answer(&pending.call, ok, content, summary, out);
                    }
                }
                Verdict::Ask(_) => {
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
            self.end_step(out);
        }
    }

    /// Answers what will not run any more, and ends once nothing is running.
    fn wind_up(&mut self, out: &mut Vec<Effect>) {
        while let Some(pending) = self.queue.pop_front() {
            let (content, summary) = if self.was_interrupted(&pending.call) {
                (answers::INTERRUPTED.to_owned(), "Interrupted by a restart")
            } else {
                answers::not_run(self.ending.as_ref().map(|e| e.0))
            };
            self.answer(&pending.call, false, content, summary, out);
        }
        if self.running.is_empty()
            && let Some((reason, detail)) = self.ending.take()
        {
            self.finish(reason, detail, out);
        }
    }

    /// All calls of an answer have their results.
    fn end_step(&mut self, out: &mut Vec<Effect>) {
        match self.guards.close_step() {
            guards::Pace::Fine => {}
            guards::Pace::Slow(steps) => {
                out.push(Effect::AppendMessage(MessageBody::Note { text: answers::stalling(steps) }));
            }
            guards::Pace::Stalled(steps) => return self.finish(TurnReason::Limit, answers::stalled(steps), out),
        }
        self.call_model(out);
    }

    fn may_start(&self, mutates: bool) -> bool {
        let beside_a_change = self.running.values().any(|p| self.rules.rule(&p.call.name).is_none_or(|r| r.mutates));
        !beside_a_change && self.running.len() < if mutates { 1 } else { PARALLEL_READS }
    }

    fn start(&mut self, pending: Pending, out: &mut Vec<Effect>) {
        let call = pending.call.clone();
        out.push(Effect::Emit(vec![if self.started.contains(&call.id) {
            EventKind::ToolOutput { call_id: call.id.clone(), run_id: None, text: answers::AGAIN.to_owned() }
        } else {
            called(&call)
        }]));
        self.running.insert(call.id.clone(), pending);
        out.push(Effect::RunTool(call));
    }

    /// Answers a call without running it.
    fn answer(&mut self, call: &ToolCall, ok: bool, content: String, summary: &str, out: &mut Vec<Effect>) {
        self.guards.note_result(call, ok, &content);
        let declined = self.approvals.get(&call.id).is_some_and(|record| record.decision == Some(Approval::Reject));
        let facts = ToolFacts { summary: summary.to_owned(), declined, ..ToolFacts::default() };
        out.push(Effect::AppendMessage(MessageBody::Tool { call_id: call.id.clone(), name: call.name.clone(), ok, content, facts }));
        let mut kinds = Vec::new();
        if !self.started.contains(&call.id) {
            kinds.push(called(call));
        }
        kinds.push(EventKind::ToolFinished { call_id: call.id.clone(), ok, summary: summary.to_owned() });
        out.push(Effect::Emit(kinds));
    }

    fn go_on_with(&mut self, from: String, to: String, out: &mut Vec<Effect>) {
        // What to do about it is of no use to anybody any more.
        let reason = first_sentence(&std::mem::take(&mut self.failure)).to_owned();
        let body = MessageBody::Switched { from: from.clone(), to: to.clone(), reason: reason.clone() };
        out.push(Effect::AppendMessage(body));
        out.push(Effect::Emit(vec![EventKind::ModelSwitched { from, model: to, reason }]));
        // The call that failed was this step's.
        self.steps = self.steps.saturating_sub(1);
        self.call_model(out);
    }

    fn call_model(&mut self, out: &mut Vec<Effect>) {
        if self.steps >= self.rules.max_steps {
            return self.finish(TurnReason::Limit, answers::too_many_steps(self.rules.max_steps, self.rules.steps_of_message), out);
        }
        let tokens_left = self.rules.max_tokens.map(|max| max - self.tokens);
        if tokens_left.is_some_and(|left| left <= 0) {
            return self.end_budget(None, out);
        }
        self.steps += 1;
        self.state = State::Calling;
        out.push(Effect::CallModel(ModelCall { tools: self.rules.offered(), tokens_left, step: self.steps }));
    }

    fn end_budget(&mut self, sentence: Option<String>, out: &mut Vec<Effect>) {
        if let Some((reason, detail)) = self.ending.take() {
            return self.finish(reason, detail, out);
        }
        let sentence = sentence.unwrap_or_else(|| answers::budget_used(self.tokens, self.rules.max_tokens.unwrap_or_default()));
        self.finish(TurnReason::Budget, sentence, out);
    }

    fn finish_done(&mut self, out: &mut Vec<Effect>) {
        let detail = if self.steps <= 1 { "Done.".to_owned() } else { format!("Done in {} steps.", self.steps) };
        self.finish(TurnReason::Done, detail, out);
    }

    fn finish(&mut self, reason: TurnReason, detail: String, out: &mut Vec<Effect>) {
        self.state = State::Finished;
        let detail = match (reason, self.left_alive) {
            (TurnReason::Stopped, left) => answers::stopped(left),
            (_, 0) => detail,
            (_, left) => format!("{detail} {}", answers::left_running(left)),
        };
        if reason != TurnReason::Done {
            out.push(Effect::AppendMessage(MessageBody::Note { text: answers::end_note(reason, &detail) }));
        }
        out.push(Effect::Finish { reason, detail });
    }
}

fn called(call: &ToolCall) -> EventKind {
    EventKind::ToolCalled { call_id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() }
}
