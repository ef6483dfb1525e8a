//! From the transcript back to a machine that stands where the last one stood.

use std::collections::{HashMap, HashSet, VecDeque};

use wire::chat::{Approval, MessageBody, ToolCall, TurnReason};

use super::{Guards, Machine, Pending, Rules, State, answers, guards};

/// An approval that was asked for. `decision` is `None` while nobody has answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalRecord {
    pub decision: Option<Approval>,
    pub reason: Option<String>,
}

/// What is remembered of a turn. All empty for a turn that has not begun.
#[derive(Debug, Default)]
pub struct History<'a> {
    /// The messages of this turn alone, in order.
    pub messages: Vec<&'a MessageBody>,
    pub approvals: HashMap<String, ApprovalRecord>,
    /// Ids of calls that had begun, with or without a result.
    pub started: HashSet<String>,
    /// Model calls already made, where the count is kept elsewhere; the larger count holds.
    pub steps: u32,
}

impl Machine {
    /// A machine that goes on where the transcript ends. `Event::Begin` sets it going.
    pub fn resume(rules: Rules, history: History<'_>) -> Self {
        let mut machine = Self {
            rules,
            held: Vec::new(),
            state: State::Ready,
            steps: 0,
            tokens: 0,
            queue: VecDeque::new(),
            running: HashMap::new(),
            approvals: history.approvals,
            started: history.started,
            seen_ids: HashSet::new(),
            guards: Guards::default(),
            cuts: 0,
            left_alive: 0,
            failure: String::new(),
            switched: false,
            ending: None,
            answered: false,
        };
        for body in history.messages {
            machine.replay(body);
        }
        machine.steps = machine.steps.max(history.steps);
        machine
    }

    fn replay(&mut self, body: &MessageBody) {
        match body {
            MessageBody::Assistant { text, tool_calls, usage, .. } => {
                self.steps = self.steps.saturating_add(1);
                self.tokens = self.tokens.saturating_add(usage.input.max(0)).saturating_add(usage.output.max(0));
                self.seen_ids.extend(tool_calls.iter().map(|c| c.id.clone()));
                // Reasoning alone answers nothing.
                self.answered = tool_calls.is_empty() && !text.trim().is_empty();
                self.enqueue(tool_calls.clone());
            }
            MessageBody::Tool { call_id, ok, content, .. } => {
                if let Some(at) = self.queue.iter().position(|p| p.call.id == *call_id)
                    && let Some(pending) = self.queue.remove(at)
                {
                    self.guards.note_result(&pending.call, *ok, content);
                }
            }
            // The machine writes a note behind an answer only where the turn is to go on or was about to end otherwise.
            MessageBody::Note { .. } | MessageBody::Switched { .. } => {
                self.switched |= matches!(body, MessageBody::Switched { .. });
                self.answered = false;
                if self.queue.is_empty() {
                    self.guards.close_step();
                }
            }
            MessageBody::User { .. } | MessageBody::Decision { .. } | MessageBody::Compacted { .. } => {}
        }
    }

    /// Queues the calls of one answer and counts repetitions.
    pub(super) fn enqueue(&mut self, calls: Vec<ToolCall>) {
        if !calls.is_empty() {
            self.guards.open_step();
        }
        for call in calls {
            let repeats = self.guards.note_call(&call);
            if repeats >= guards::REPEATS_MAX && self.ending.is_none() {
                self.ending = Some((TurnReason::Limit, answers::repeated_too_often(&call.name)));
            }
            self.queue.push_back(Pending { call, repeats });
        }
    }

    /// A provider that repeats an id would make two calls share one answer.
    pub(super) fn make_ids_unique(&mut self, calls: &mut [ToolCall]) {
        for call in calls {
            let mut id = call.id.clone();
            let mut count = 2;
            while id.is_empty() || !self.seen_ids.insert(id.clone()) {
                id = format!("{}-{count}", call.id);
                count += 1;
            }
            call.id = id;
        }
    }
}
