//! Which part of a conversation is on screen, worked out without a browser: windows put together, stretches that were taken back folded,
//! and a long turn at work begun with its messages.

use std::{collections::BTreeSet, sync::Arc};

use wire::{
    RewindId, TurnId,
    chat::{ConversationView, MessageBody, Rewind, TokenUsage, TurnState},
};

use super::chat_state::{Cost, Item, ItemBody, ItemKey, Step, TakenBack, Tool, ToolState, TurnView, switched_in};

/// Messages that are read when a conversation is opened, and each time that older ones are asked for.
pub const WINDOW: i64 = 80;

/// The newest window, with what of the older ones still joins it.
pub fn merge(known: Option<ConversationView>, new: ConversationView) -> ConversationView {
    let Some(known) = known.filter(|known| known.conversation.id == new.conversation.id) else { return new };
    let Some(first) = new.messages.first().map(|message| message.seq) else { return new };
    let joins = known.messages.last().is_some_and(|last| last.seq + 1 >= first);
    if !joins || known.messages.first().is_none_or(|oldest| oldest.seq >= first) {
        return new;
    }
    let before = known.before;
    let mut merged = join(known, new);
    merged.before = before;
    merged
}

/// Older messages in front of those on screen. They are of the same conversation.
pub fn prepend(older: ConversationView, known: ConversationView) -> ConversationView {
    let before = older.before;
    let mut merged = join(older, known);
    merged.before = before;
    merged
}

/// Everything but the messages and turns is the newer one's.
fn join(older: ConversationView, newer: ConversationView) -> ConversationView {
    let first = newer.messages.first().map_or(i64::MAX, |message| message.seq);
    let mut messages: Vec<_> = older.messages.into_iter().filter(|message| message.seq < first).collect();
    messages.extend(newer.messages);
    let known: BTreeSet<TurnId> = newer.turns.iter().map(|turn| turn.id).collect();
    let mut turns: Vec<_> = older.turns.into_iter().filter(|turn| !known.contains(&turn.id)).collect();
    turns.extend(newer.turns);
    turns.sort_by_key(|turn| (turn.created_at, turn.id));
    ConversationView { messages, turns, ..newer }
}

/// Folds what was taken back into one item each. Stretches that were opened are shown, marked as past.
pub fn fold(items: Vec<Item>, rewinds: &[Rewind], open: &BTreeSet<RewindId>) -> Vec<Item> {
    if rewinds.is_empty() {
        return items;
    }
    // A later rewind may reach further back and hold an earlier one: the outermost is what people see.
    let holder = |seq: i64| rewinds.iter().rfind(|rewind| rewind.chat && (rewind.from_seq..=rewind.upto_seq).contains(&seq));
    let mut out = Vec::with_capacity(items.len() + rewinds.len());
    let mut told: BTreeSet<RewindId> = BTreeSet::new();
    for mut item in items {
        // What only events tell of is of a turn at work: never taken back.
        let past = item.seq.and_then(holder);
        for rewind in rewinds.iter().filter(|rewind| !rewind.chat && rewind.upto_seq < item.seq.unwrap_or(i64::MAX)) {
            if told.insert(rewind.id) {
                out.push(marker(rewind, false));
            }
        }
        if let Some(rewind) = past {
            if told.insert(rewind.id) {
                out.push(marker(rewind, open.contains(&rewind.id)));
            }
            item.is_past = true;
            if !open.contains(&rewind.id) {
                continue;
            }
        }
        out.push(item);
    }
    for rewind in rewinds.iter().filter(|rewind| !rewind.chat) {
        if told.insert(rewind.id) {
            out.push(marker(rewind, false));
        }
    }
    out
}

fn marker(rewind: &Rewind, is_open: bool) -> Item {
    let messages = if rewind.chat { rewind.upto_seq - rewind.from_seq + 1 } else { 0 };
    let body = ItemBody::Rewound(Arc::new(TakenBack { rewind: rewind.clone(), messages, is_open }));
    Item { key: ItemKey::Rewind(rewind.id), body, seq: None, is_past: false }
}

/// A long turn at work as its messages tell it, to be followed from `event` on: its calls are told once more by events behind that.
pub fn seed(view: &ConversationView, turn: TurnId) -> TurnView {
    let mut steps: Vec<Step> = Vec::new();
    let mut usages: Vec<TokenUsage> = Vec::new();
    for message in view.messages.iter().filter(|message| message.turn_id == Some(turn)) {
        match &message.body {
            MessageBody::Assistant { text, reasoning, tool_calls, usage } => {
                if !text.is_empty() || !reasoning.is_empty() || steps.is_empty() {
                    steps.push(Step { text: text.clone(), reasoning: reasoning.clone(), sealed: true, ..Step::default() });
                }
                if let Some(step) = steps.last_mut() {
                    step.tools.extend(
                        tool_calls
                            .iter()
                            .map(|call| Tool { state: ToolState::Interrupted, ..Tool::new(&call.id, &call.name, &call.arguments) }),
                    );
                }
                usages.push(*usage);
            }
            MessageBody::Tool { call_id, ok, content, facts, .. } => {
                if let Some(tool) = steps.iter_mut().flat_map(|step| &mut step.tools).find(|tool| &tool.call_id == call_id) {
                    tool.settle(*ok, content, facts);
                }
            }
            _ => {}
        }
    }
    // The last answer's is told by the events that follow.
    usages.pop();
    let mut usage = TokenUsage::default();
    for part in usages {
        usage.input += part.input;
        usage.output += part.output;
        usage.cached += part.cached;
    }
    let known = view.turns.iter().find(|known| known.id == turn);
    TurnView {
        state: known.map_or(TurnState::Running, |turn| turn.state),
        model: known.map(|turn| turn.model.clone()),
        switched: switched_in(view, turn),
        steps,
        usage,
        cost: known.map_or_else(Cost::default, |turn| Cost { micros: turn.cost_micros, estimated: turn.estimated }),
        ..TurnView::default()
    }
}

#[cfg(test)]
#[path = "chat_window_tests.rs"]
mod tests;
