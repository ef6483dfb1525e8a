//! The transcript as a list of items with stable keys, whether their content comes from messages or from events.

use std::{collections::BTreeMap, sync::Arc};

use wire::{
    ConversationId, Micros, RewindId, TurnId,
    changes::HunkDecision,
    chat::{ConversationView, Message, MessageBody, Rewind, TokenUsage, Turn, TurnReason, TurnState},
};

use super::{
    chat_attached::Along,
    chat_state::{Cost, Step, Switch, Tool, ToolState, TurnView},
};

/// Which item this is, whether its content comes from events or from messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKey {
    Prompt(TurnId),
    Step(TurnId, usize),
    End(TurnId),
    /// The conversation is part of the key, so that switching never reuses an item.
    Message(ConversationId, i64),
    /// A stretch that was taken back.
    Rewind(RewindId),
}

impl ItemKey {
    pub fn turn(self) -> Option<TurnId> {
        match self {
            Self::Prompt(turn) | Self::Step(turn, _) | Self::End(turn) => Some(turn),
            Self::Message(..) | Self::Rewind(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub key: ItemKey,
    pub body: ItemBody,
    /// The last message that it shows; `None` while it is shown from events.
    pub seq: Option<i64>,
    /// It was taken back: the model is not sent it.
    pub is_past: bool,
}

impl Item {
    fn new(key: ItemKey, body: ItemBody, seq: Option<i64>) -> Self {
        Self { key, body, seq, is_past: false }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum ItemBody {
    Mine {
        text: Arc<str>,
        attachments: Arc<[Along]>,
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
    /// What the model is sent in place of older messages.
    Compacted(Arc<Summary>),
    /// Says what was taken back, and offers it again.
    Rewound(Arc<TakenBack>),
    End(Arc<TurnEnd>),
    /// The place of a turn that is shown from its events.
    Live(TurnId),
}

/// A summary that stands for the messages up to a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub seq: i64,
    pub text: String,
    pub upto_seq: i64,
    pub tokens_before: i64,
    pub tokens_after: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TakenBack {
    pub rewind: Rewind,
    /// Messages that the model no longer sees.
    pub messages: i64,
    pub is_open: bool,
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
    pub switched: Option<Switch>,
    pub usage: TokenUsage,
    pub cost: Cost,
    pub has_changes: bool,
    /// Steps so far.
    pub steps: usize,
    pub started: Micros,
    pub finished: Option<Micros>,
}

/// The transcript of everything that has settled; a turn that is not finished becomes an `ItemBody::Live`.
pub fn settle(view: &ConversationView) -> Vec<Item> {
    let turns: BTreeMap<TurnId, &Turn> = view.turns.iter().map(|turn| (turn.id, turn)).collect();
    let mut last_of = BTreeMap::new();
    for (i, message) in view.messages.iter().enumerate() {
        if let Some(turn) = message.turn_id
            && matches!(message.body, MessageBody::User { .. } | MessageBody::Assistant { .. } | MessageBody::Tool { .. })
        {
            last_of.insert(turn, i);
        }
    }
    let switched = view.turns.iter().filter_map(|turn| Some((turn.id, switched_in(view, turn.id)?))).collect();
    let mut out = Settled { items: Vec::new(), steps: Vec::new(), counted: BTreeMap::new(), last_of: BTreeMap::new(), switched };
    for (i, message) in view.messages.iter().enumerate() {
        let turn = message.turn_id.and_then(|id| turns.get(&id).copied());
        if !tells_the_end(&view.messages[i..], turn) {
            out.take(view.conversation.id, message, turn);
        }
        if let Some(turn) = turn {
            out.last_of.insert(turn.id, message.seq);
        }
        if let Some(turn) = turn
            && last_of.get(&turn.id) == Some(&i)
        {
            out.end_turn(turn);
        }
    }
    for turn in view.turns.iter().filter(|turn| !last_of.contains_key(&turn.id)) {
        let body = ItemBody::Mine { text: turn.prompt.as_str().into(), attachments: Arc::new([]) };
        out.items.push(Item::new(ItemKey::Prompt(turn.id), body, None));
        out.end_turn(turn);
    }
    out.items
}

/// The last model that took over in a turn, as its messages tell.
pub fn switched_in(view: &ConversationView, turn: TurnId) -> Option<Switch> {
    view.messages.iter().rev().filter(|message| message.turn_id == Some(turn)).find_map(|message| match &message.body {
        MessageBody::Switched { from, to, reason } => Some(Switch { from: from.clone(), to: to.clone(), reason: reason.clone() }),
        _ => None,
    })
}

/// The model is told about a turn's end by a note; people see it on the turn itself. `rest` begins with the message in question.
fn tells_the_end(rest: &[Message], turn: Option<&Turn>) -> bool {
    let Some((Message { body: MessageBody::Note { .. }, turn_id, .. }, later)) = rest.split_first() else { return false };
    let goes_on = later.iter().any(|m| m.turn_id == *turn_id && matches!(m.body, MessageBody::Assistant { .. } | MessageBody::Tool { .. }));
    turn.is_some_and(|turn| turn.state == TurnState::Finished) && !goes_on
}

struct Settled {
    items: Vec<Item>,
    /// Steps of the turn at hand that are not among the items yet, with the last message of each.
    steps: Vec<(Step, i64)>,
    counted: BTreeMap<TurnId, usize>,
    /// The last message of each turn so far.
    last_of: BTreeMap<TurnId, i64>,
    switched: BTreeMap<TurnId, Switch>,
}

impl Settled {
    fn take(&mut self, conversation: ConversationId, message: &Message, turn: Option<&Turn>) {
        let live = turn.is_some_and(|turn| turn.state != TurnState::Finished);
        let message_key = ItemKey::Message(conversation, message.seq);
        match &message.body {
            MessageBody::Assistant { .. } | MessageBody::Tool { .. } if live => {}
            MessageBody::Assistant { text, reasoning, tool_calls, .. } => {
                // A step without words continues the one before it, as it does while it streams.
                if !text.is_empty() || !reasoning.is_empty() || self.steps.is_empty() {
                    let step = Step { text: text.clone(), reasoning: reasoning.clone(), sealed: true, ..Step::default() };
                    self.steps.push((step, message.seq));
                }
                if let Some((step, seq)) = self.steps.last_mut() {
                    *seq = message.seq;
                    step.tools.extend(tool_calls.iter().map(|call| {
                        let state = ToolState::Interrupted;
                        Tool { state, ..Tool::new(&call.id, &call.name, &call.arguments) }
                    }));
                }
            }
            MessageBody::Tool { call_id, ok, content, facts, .. } => {
                if let Some(tool) = self.steps.iter_mut().flat_map(|(step, _)| &mut step.tools).find(|tool| &tool.call_id == call_id) {
                    tool.settle(*ok, content, facts);
                }
            }
            MessageBody::User { text, attachments } => {
                self.flush(turn);
                let prompt = message.turn_id.map(ItemKey::Prompt).filter(|key| self.items.iter().all(|item| item.key != *key));
                let attachments = attachments.iter().map(Along::of).collect();
                let body = ItemBody::Mine { text: text.as_str().into(), attachments };
                self.items.push(Item::new(prompt.unwrap_or(message_key), body, Some(message.seq)));
            }
            MessageBody::Decision { hunks, .. } => {
                self.flush(turn);
                self.items.push(Item::new(message_key, ItemBody::Decision { hunks: hunks.as_slice().into() }, Some(message.seq)));
            }
            // Said on the line below the turn.
            MessageBody::Switched { .. } => {}
            MessageBody::Note { text } => {
                self.flush(turn);
                self.items.push(Item::new(message_key, ItemBody::Note { text: text.as_str().into() }, Some(message.seq)));
            }
            MessageBody::Compacted { summary, upto_seq, tokens_before, tokens_after } => {
                self.flush(turn);
                let summary = Summary {
                    seq: message.seq,
                    text: summary.clone(),
                    upto_seq: *upto_seq,
                    tokens_before: *tokens_before,
                    tokens_after: *tokens_after,
                };
                self.items.push(Item::new(message_key, ItemBody::Compacted(Arc::new(summary)), Some(message.seq)));
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
        for (step, seq) in self.steps.drain(..) {
            let body = ItemBody::Step { step: Arc::new(step), streaming: false };
            self.items.push(Item::new(ItemKey::Step(turn.id, *counted), body, Some(seq)));
            *counted += 1;
        }
    }

    fn end_turn(&mut self, turn: &Turn) {
        self.flush(Some(turn));
        let body = if turn.state == TurnState::Finished {
            let steps = self.counted.get(&turn.id).copied().unwrap_or_default();
            let switched = self.switched.get(&turn.id).cloned();
            ItemBody::End(Arc::new(TurnEnd { switched, ..end_of(turn, steps) }))
        } else {
            ItemBody::Live(turn.id)
        };
        let seq = self.last_of.get(&turn.id).copied();
        self.items.push(Item::new(ItemKey::End(turn.id), body, seq));
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
        cost: Cost { micros: turn.cost_micros, estimated: turn.estimated },
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
            items.extend(live.steps.iter().enumerate().map(|(i, step)| {
                let streaming = i == last && !step.sealed && step.tools.is_empty() && live.state == TurnState::Running;
                Item::new(ItemKey::Step(id, i), ItemBody::Step { step: Arc::new(step.clone()), streaming }, None)
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
            if live.cost != Cost::default() {
                end.cost = live.cost;
            }
            if let Some((reason, detail)) = &live.end {
                end.reason = Some(*reason);
                end.detail.clone_from(detail);
            }
        }
        items.push(Item::new(ItemKey::End(id), ItemBody::End(Arc::new(end)), None));
    }
    items
}
