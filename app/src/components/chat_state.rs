//! A turn as the chat panel knows it, worked out without a browser: a fold over its events.

use wire::{
    ChangeSetId, Micros, RunId,
    chat::{Approval, TokenUsage, ToolFacts, TurnReason, TurnState},
    event::EventKind,
};

pub use super::chat_items::*;

/// Bytes of live tool output kept; the run's own stream has all of it.
const TOOL_OUTPUT_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolState {
    Running,
    /// A person has to allow it first.
    Waiting,
    Declined,
    Done,
    Failed,
    /// The turn ended before it did.
    Interrupted,
}

/// A tool call with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub call_id: String,
    pub name: String,
    /// The raw JSON text that the model wrote.
    pub arguments: String,
    pub state: ToolState,
    pub summary: String,
    pub output: String,
    pub run_id: Option<RunId>,
    pub started: Option<Micros>,
    pub took_ms: Option<i64>,
}

impl Tool {
    pub fn new(call_id: &str, name: &str, arguments: &str) -> Self {
        Self {
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            state: ToolState::Running,
            summary: String::new(),
            output: String::new(),
            run_id: None,
            started: None,
            took_ms: None,
        }
    }

    /// Its result as the conversation keeps it.
    pub fn settle(&mut self, ok: bool, content: &str, facts: &ToolFacts) {
        self.state = match (facts.declined, ok) {
            (true, _) => ToolState::Declined,
            (false, true) => ToolState::Done,
            (false, false) => ToolState::Failed,
        };
        self.output = content.to_owned();
        self.summary.clone_from(&facts.summary);
        self.run_id = facts.run_id;
        self.took_ms = facts.took_ms;
    }
}

/// Text of the model and the tools it called after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    pub text: String,
    pub reasoning: String,
    pub tools: Vec<Tool>,
    /// The answer it belongs to has arrived whole.
    pub sealed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposedChanges {
    pub id: ChangeSetId,
    pub files: i64,
    pub hunks: i64,
}

/// Micro-US-dollars; `estimated` where a provider did not tell what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    pub micros: i64,
    pub estimated: bool,
}

/// Another model took over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Empty where an older event did not tell.
    pub from: String,
    pub to: String,
    /// A sentence.
    pub reason: String,
}

impl Switch {
    pub fn words(&self) -> String {
        match self.from.as_str() {
            "" => format!("Switched to {}: {}", self.to, self.reason),
            from => format!("Switched from {from} to {}: {}", self.to, self.reason),
        }
    }
}

/// A turn as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnView {
    pub state: TurnState,
    pub model: Option<String>,
    pub switched: Option<Switch>,
    pub steps: Vec<Step>,
    pub usage: TokenUsage,
    pub cost: Cost,
    pub changes: Option<ProposedChanges>,
    pub end: Option<(TurnReason, String)>,
}

impl Default for TurnView {
    fn default() -> Self {
        Self {
            state: TurnState::Queued,
            model: None,
            switched: None,
            steps: Vec::new(),
            usage: TokenUsage::default(),
            cost: Cost::default(),
            changes: None,
            end: None,
        }
    }
}

impl TurnView {
    /// The calls that wait for a person, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Tool> {
        self.steps.iter().flat_map(|step| &step.tools).filter(|tool| tool.state == ToolState::Waiting)
    }

    fn tool_mut(&mut self, call_id: &str) -> Option<&mut Tool> {
        self.steps.iter_mut().flat_map(|step| &mut step.tools).find(|tool| tool.call_id == call_id)
    }

    /// A call is announced more than once when it is asked for first or taken up again; it stays one card.
    fn put_tool(&mut self, call_id: &str, name: &str, arguments: &str) -> &mut Tool {
        let known = self.steps.iter().enumerate().find_map(|(s, step)| {
            let t = step.tools.iter().position(|tool| tool.call_id == call_id)?;
            Some((s, t))
        });
        let (s, t) = known.unwrap_or_else(|| {
            if self.steps.is_empty() {
                self.steps.push(Step::default());
            }
            let s = self.steps.len() - 1;
            self.steps[s].tools.push(Tool::new(call_id, name, arguments));
            (s, self.steps[s].tools.len() - 1)
        });
        &mut self.steps[s].tools[t]
    }

    /// The step that text goes to: after a whole answer or tool calls, a new one.
    fn open_step(&mut self) -> &mut Step {
        if self.steps.last().is_none_or(|step| step.sealed || !step.tools.is_empty()) {
            self.steps.push(Step::default());
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }
}

/// Takes one event of `turn:{id}` in. Events come once and in order; applying a stream from its start gives the same view each time.
pub fn apply(view: &mut TurnView, at: Micros, kind: &EventKind) {
    match kind {
        EventKind::TurnStarted { model } => {
            view.state = TurnState::Running;
            view.model = Some(model.clone());
        }
        EventKind::TurnResumed { .. } => {
            view.state = TurnState::Running;
            // What was still streaming is void and comes again.
            if view.steps.last().is_some_and(|step| !step.sealed && step.tools.is_empty()) {
                view.steps.pop();
            }
        }
        EventKind::TextDelta { text } => view.open_step().text.push_str(text),
        EventKind::ReasoningDelta { text } => view.open_step().reasoning.push_str(text),
        EventKind::ToolCalled { call_id, name, arguments } => {
            let tool = view.put_tool(call_id, name, arguments);
            // A declined call is announced as well, and answered without having run.
            if tool.state != ToolState::Declined {
                tool.state = ToolState::Running;
                tool.started = Some(at);
                tool.output.clear();
            }
        }
        EventKind::ApprovalAsked { call_id, name, arguments } => {
            view.put_tool(call_id, name, arguments).state = ToolState::Waiting;
            view.state = TurnState::Waiting;
        }
        EventKind::ApprovalAnswered { call_id, decision, .. } => {
            if let Some(tool) = view.tool_mut(call_id) {
                tool.started = Some(at);
                tool.state = match decision {
                    Approval::Approve => ToolState::Running,
                    Approval::Reject => ToolState::Declined,
                };
            }
            if view.waiting().next().is_none() {
                view.state = TurnState::Running;
            }
        }
        EventKind::ToolOutput { call_id, run_id, text } => {
            if let Some(tool) = view.tool_mut(call_id) {
                tool.run_id = run_id.or(tool.run_id);
                tool.output.push_str(text);
                keep_tail(&mut tool.output);
            }
        }
        EventKind::ToolFinished { call_id, ok, summary } => finish_tool(view, at, call_id, *ok, summary),
        EventKind::ModelSwitched { from, model, reason } => {
            view.model = Some(model.clone());
            view.switched = Some(Switch { from: from.clone(), to: model.clone(), reason: reason.clone() });
        }
        EventKind::Usage { input, output, cached, cost_micros, estimated } => {
            view.cost.micros += cost_micros;
            view.cost.estimated |= estimated;
            view.usage.input += input;
            view.usage.output += output;
            view.usage.cached += cached;
            // Booked once per answer, when it is written down.
            if input + output > 0
                && let Some(step) = view.steps.last_mut()
            {
                step.sealed = true;
            }
        }
        EventKind::ChangeSetReady { change_set_id, files, hunks } => {
            view.changes = Some(ProposedChanges { id: *change_set_id, files: *files, hunks: *hunks });
        }
        EventKind::TurnFinished { reason, detail } => {
            view.state = TurnState::Finished;
            view.end = Some((*reason, detail.clone()));
            for tool in view.steps.iter_mut().flat_map(|step| &mut step.tools) {
                if matches!(tool.state, ToolState::Running | ToolState::Waiting) {
                    tool.state = ToolState::Interrupted;
                }
            }
        }
        _ => {}
    }
}

fn finish_tool(view: &mut TurnView, at: Micros, call_id: &str, ok: bool, summary: &str) {
    if let Some(tool) = view.tool_mut(call_id) {
        tool.summary = summary.to_owned();
        if tool.state != ToolState::Declined {
            tool.took_ms = tool.started.map(|started| at.millis_since(started));
            tool.state = if ok { ToolState::Done } else { ToolState::Failed };
        }
    }
}

fn keep_tail(text: &mut String) {
    if text.len() > TOOL_OUTPUT_MAX {
        let mut cut = text.len() - TOOL_OUTPUT_MAX;
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        text.drain(..cut);
    }
}

#[cfg(test)]
#[path = "chat_state_tests.rs"]
mod tests;
