//! What the chat panel shows, worked out without a browser: the state of a turn as a fold over its events, and the transcript as a
//! list of items with stable keys.

use std::{collections::BTreeMap, sync::Arc};

use wire::{
    ChangeSetId, ConversationId, Micros, RunId, TurnId,
    changes::HunkDecision,
    chat::{Approval, ConversationView, Message, MessageBody, TokenUsage, Turn, TurnReason, TurnState},
    event::EventKind,
};

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
    fn new(call_id: &str, name: &str, arguments: &str) -> Self {
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

/// A turn as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnView {
    pub state: TurnState,
    pub model: Option<String>,
    /// Why another model took over.
    pub switched: Option<String>,
    pub steps: Vec<Step>,
    pub usage: TokenUsage,
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
        EventKind::ModelSwitched { model, reason } => {
            view.model = Some(model.clone());
            view.switched = Some(reason.clone());
        }
        EventKind::Usage { input, output, cached } => {
            view.usage.input += input;
            view.usage.output += output;
            view.usage.cached += cached;
            // Booked once per answer, when it is written down.
            if let Some(step) = view.steps.last_mut() {
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

/// What only the events of a turn say about a call; kept when its messages take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFacts {
    pub state: ToolState,
    pub summary: String,
    pub run_id: Option<RunId>,
    pub took_ms: Option<i64>,
}

/// By call id.
pub type Facts = BTreeMap<String, ToolFacts>;

/// Remembers what the events of a finished turn said about its calls.
pub fn collect_facts(facts: &mut Facts, view: &TurnView) {
    for tool in view.steps.iter().flat_map(|step| &step.tools) {
        let fact = ToolFacts { state: tool.state, summary: tool.summary.clone(), run_id: tool.run_id, took_ms: tool.took_ms };
        facts.insert(tool.call_id.clone(), fact);
    }
}

/// Which item this is, whether its content comes from events or from messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKey {
    Prompt(TurnId),
    Step(TurnId, usize),
    End(TurnId),
    /// The conversation is part of the key, so that switching never reuses an item.
    Message(ConversationId, i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub key: ItemKey,
    pub body: ItemBody,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ItemBody {
    Mine {
        text: Arc<str>,
        attachments: Arc<[String]>,
    },
    Step {
        step: Arc<Step>,
        streaming: bool,
    },
    Decision {
        hunks: Arc<[HunkDecision]>,
    },
    Note {
        text: Arc<str>,
    },
    End(Arc<TurnEnd>),
    /// The place of a turn that is shown from its events.
    Live(TurnId),
}

// The decisions hold no floats; equality is total.
impl Eq for ItemBody {}

/// The line below a turn: how it stands or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnd {
    pub turn_id: TurnId,
    pub state: TurnState,
    pub reason: Option<TurnReason>,
    pub detail: String,
    pub model: String,
    pub switched: Option<String>,
    pub usage: TokenUsage,
    pub has_changes: bool,
    /// Steps so far.
    pub steps: usize,
    pub started: Micros,
    pub finished: Option<Micros>,
}

/// The transcript of everything that has settled; a turn that is not finished becomes an `ItemBody::Live`.
pub fn settle(view: &ConversationView, facts: &Facts) -> Vec<Item> {
    let turns: BTreeMap<TurnId, &Turn> = view.turns.iter().map(|turn| (turn.id, turn)).collect();
    let mut last_of = BTreeMap::new();
    for (i, message) in view.messages.iter().enumerate() {
        if let Some(turn) = message.turn_id
            && matches!(message.body, MessageBody::User { .. } | MessageBody::Assistant { .. } | MessageBody::Tool { .. })
        {
            last_of.insert(turn, i);
        }
    }
    let mut out = Settled { facts, items: Vec::new(), steps: Vec::new(), counted: BTreeMap::new() };
    for (i, message) in view.messages.iter().enumerate() {
        let turn = message.turn_id.and_then(|id| turns.get(&id).copied());
        if !tells_the_end(&view.messages[i..], turn) {
            out.take(view.conversation.id, message, turn);
        }
        if let Some(turn) = turn
            && last_of.get(&turn.id) == Some(&i)
        {
            out.end_turn(turn);
        }
    }
    for turn in view.turns.iter().filter(|turn| !last_of.contains_key(&turn.id)) {
        let body = ItemBody::Mine { text: turn.prompt.as_str().into(), attachments: Arc::new([]) };
        out.items.push(Item { key: ItemKey::Prompt(turn.id), body });
        out.end_turn(turn);
    }
    out.items
}

/// The model is told about a turn's end by a note; people see it on the turn itself. `rest` begins with the message in question.
fn tells_the_end(rest: &[Message], turn: Option<&Turn>) -> bool {
    let Some((Message { body: MessageBody::Note { .. }, turn_id, .. }, later)) = rest.split_first() else { return false };
    let goes_on = later.iter().any(|m| m.turn_id == *turn_id && matches!(m.body, MessageBody::Assistant { .. } | MessageBody::Tool { .. }));
    turn.is_some_and(|turn| turn.state == TurnState::Finished) && !goes_on
}

struct Settled<'a> {
    facts: &'a Facts,
    items: Vec<Item>,
    /// Steps of the turn at hand that are not among the items yet.
    steps: Vec<Step>,
    counted: BTreeMap<TurnId, usize>,
}

impl Settled<'_> {
    fn take(&mut self, conversation: ConversationId, message: &Message, turn: Option<&Turn>) {
        let live = turn.is_some_and(|turn| turn.state != TurnState::Finished);
        let message_key = ItemKey::Message(conversation, message.seq);
        match &message.body {
            MessageBody::Assistant { .. } | MessageBody::Tool { .. } if live => {}
            MessageBody::Assistant { text, tool_calls, .. } => {
                // A step without words continues the one before it, as it does while it streams.
                if !text.is_empty() || self.steps.is_empty() {
                    self.steps.push(Step { text: text.clone(), sealed: true, ..Step::default() });
                }
                if let Some(step) = self.steps.last_mut() {
                    step.tools.extend(tool_calls.iter().map(|call| {
                        let state = ToolState::Interrupted;
                        Tool { state, ..Tool::new(&call.id, &call.name, &call.arguments) }
                    }));
                }
            }
            MessageBody::Tool { call_id, ok, content, .. } => {
                if let Some(tool) = self.steps.iter_mut().flat_map(|s| &mut s.tools).find(|tool| &tool.call_id == call_id) {
                    tool.state = if *ok { ToolState::Done } else { ToolState::Failed };
                    tool.output = content.clone();
                }
            }
            MessageBody::User { text, attachments } => {
                self.flush(turn);
                let prompt = message.turn_id.map(ItemKey::Prompt).filter(|key| self.items.iter().all(|item| item.key != *key));
                let attachments = attachments.iter().map(|a| a.path.clone()).collect();
                let body = ItemBody::Mine { text: text.as_str().into(), attachments };
                self.items.push(Item { key: prompt.unwrap_or(message_key), body });
            }
            MessageBody::Decision { hunks, .. } => {
                self.flush(turn);
                self.items.push(Item { key: message_key, body: ItemBody::Decision { hunks: hunks.as_slice().into() } });
            }
            MessageBody::Note { text } => {
                self.flush(turn);
                self.items.push(Item { key: message_key, body: ItemBody::Note { text: text.as_str().into() } });
            }
        }
    }

    /// Moves the steps at hand into the items.
    fn flush(&mut self, turn: Option<&Turn>) {
        let Some(turn) = turn else {
            self.steps.clear();
            return;
        };
        let counted = self.counted.entry(turn.id).or_default();
        for mut step in self.steps.drain(..) {
            for tool in &mut step.tools {
                if let Some(facts) = self.facts.get(&tool.call_id) {
                    tool.summary.clone_from(&facts.summary);
                    tool.run_id = facts.run_id;
                    tool.took_ms = facts.took_ms;
                    if facts.state == ToolState::Declined {
                        tool.state = ToolState::Declined;
                    }
                }
            }
            let body = ItemBody::Step { step: Arc::new(step), streaming: false };
            self.items.push(Item { key: ItemKey::Step(turn.id, *counted), body });
            *counted += 1;
        }
    }

    fn end_turn(&mut self, turn: &Turn) {
        self.flush(Some(turn));
        let body = if turn.state == TurnState::Finished {
            let steps = self.counted.get(&turn.id).copied().unwrap_or_default();
            ItemBody::End(Arc::new(end_of(turn, steps)))
        } else {
            ItemBody::Live(turn.id)
        };
        self.items.push(Item { key: ItemKey::End(turn.id), body });
    }
}

fn end_of(turn: &Turn, steps: usize) -> TurnEnd {
    TurnEnd {
        turn_id: turn.id,
        state: turn.state,
        reason: turn.reason,
        detail: turn.detail.clone().unwrap_or_default(),
        model: turn.model.clone(),
        switched: None,
        usage: turn.usage,
        has_changes: turn.change_set_id.is_some(),
        steps,
        started: turn.created_at,
        finished: turn.finished_at,
    }
}

/// Puts the turns that are shown from their events in their places.
pub fn expand(settled: &[Item], turns: &[Turn], lives: &BTreeMap<TurnId, TurnView>) -> Vec<Item> {
    let mut items = Vec::with_capacity(settled.len() + 8);
    for item in settled {
        let ItemBody::Live(id) = item.body else {
            items.push(item.clone());
            continue;
        };
        let Some(turn) = turns.iter().find(|turn| turn.id == id) else { continue };
        let mut end = end_of(turn, 0);
        if let Some(live) = lives.get(&id) {
            let last = live.steps.len().saturating_sub(1);
            items.extend(live.steps.iter().enumerate().map(|(i, step)| Item {
                key: ItemKey::Step(id, i),
                body: ItemBody::Step {
                    step: Arc::new(step.clone()),
                    streaming: i == last && !step.sealed && step.tools.is_empty() && live.state == TurnState::Running,
                },
            }));
            end.state = live.state;
            end.steps = live.steps.len();
            end.switched.clone_from(&live.switched);
            end.has_changes |= live.changes.is_some();
            if let Some(model) = &live.model {
                end.model.clone_from(model);
            }
            if live.usage != TokenUsage::default() {
                end.usage = live.usage;
            }
            if let Some((reason, detail)) = &live.end {
                end.reason = Some(*reason);
                end.detail.clone_from(detail);
            }
        }
        items.push(Item { key: ItemKey::End(id), body: ItemBody::End(Arc::new(end)) });
    }
    items
}

#[cfg(test)]
#[path = "chat_state_tests.rs"]
mod tests;
