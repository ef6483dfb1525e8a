use std::collections::BTreeMap;

use uuid::Uuid;
use wire::{
    Micros,
    chat::{Conversation, LiveFrom, Message, Mode, ToolCall, Turn},
    event::EventKind,
    users::UserRef,
};

use super::*;
use crate::components::chat_state::{apply, expand, settle};

fn id<T: From<Uuid>>(n: u128) -> T {
    Uuid::from_u128(n).into()
}

/// Turns of two messages each: the first turn holds messages 1 and 2.
fn conversation(turns: std::ops::Range<i64>, state: TurnState) -> ConversationView {
    let last = turns.end - 1;
    let turn = |n: i64| Turn {
        id: id(n as u128 + 100),
        conversation_id: id(1),
        project_id: id(2),
        prompt: format!("p{n}"),
        mode: Mode::Ask,
        model: "m".into(),
        state: if n == last { state } else { TurnState::Finished },
        reason: None,
        detail: None,
        usage: TokenUsage::default(),
        cost_micros: 0,
        estimated: false,
        budget: None,
        change_set_id: None,
        created_at: Micros(n),
        finished_at: None,
    };
    let message = |seq: i64| {
        let body = if seq % 2 == 1 {
            MessageBody::User { text: format!("p{}", seq / 2), attachments: vec![] }
        } else {
            let (text, reasoning, usage) = (format!("a{}", seq / 2 - 1), String::new(), TokenUsage::default());
            MessageBody::Assistant { text, reasoning, tool_calls: vec![], usage }
        };
        Message { id: id(seq as u128), turn_id: Some(id(((seq - 1) / 2) as u128 + 100)), seq, body, created_at: Micros(seq) }
    };
    ConversationView {
        conversation: Conversation {
            id: id(1),
            project_id: id(2),
            title: "T".into(),
            created_at: Micros(0),
            updated_at: Micros(0),
            active_turn: None,
            parent: None,
            last_prompt: None,
            messages: last * 2 + 2,
        },
        messages: (turns.start * 2 + 1..turns.end * 2 + 1).map(message).collect(),
        before: (turns.start > 0).then_some(turns.start * 2 + 1),
        turns: turns.map(turn).collect(),
        queue: vec![],
        queue_waits: None,
        rewinds: vec![],
        events: 0,
        live: None,
    }
}

fn numbers(view: &ConversationView) -> Vec<i64> {
    view.messages.iter().map(|message| message.seq).collect()
}

fn items(view: &ConversationView) -> Vec<Item> {
    expand(&settle(view), &view.turns, &BTreeMap::new())
}

fn rewind(n: u128, from_seq: i64, upto_seq: i64, chat: bool) -> Rewind {
    let by = UserRef { id: id(9), name: "Ada".into() };
    let turn_id = id(((from_seq - 1) / 2) as u128 + 100);
    Rewind { id: id(n), turn_id, from_seq, upto_seq, chat, files: !chat, checkpoint_id: None, by, created_at: Micros(n as i64) }
}

#[test]
fn older_messages_come_before_and_stay_when_the_newest_are_read_again() {
    let newest = conversation(4..6, TurnState::Finished);
    let whole = prepend(conversation(2..4, TurnState::Finished), newest.clone());
    assert_eq!((numbers(&whole), whole.before, whole.turns.len()), ((5..=12).collect(), Some(5), 4));
    let again = merge(Some(whole), conversation(4..7, TurnState::Finished));
    assert_eq!((numbers(&again), again.before, again.turns.len()), ((5..=14).collect(), Some(5), 5));
}

#[test]
fn a_window_that_does_not_join_takes_the_place_of_all() {
    let far = merge(Some(conversation(0..2, TurnState::Finished)), conversation(5..7, TurnState::Finished));
    assert_eq!((numbers(&far), far.before), ((11..=14).collect(), Some(11)));
    let mut other = conversation(0..2, TurnState::Finished);
    other.conversation.id = id(77);
    assert_eq!(numbers(&merge(Some(other), conversation(1..2, TurnState::Finished))), [3, 4]);
}

#[test]
fn what_was_taken_back_is_one_item_until_it_is_opened() {
    let view = conversation(0..3, TurnState::Finished);
    let rewinds = [rewind(50, 3, 4, true)];
    let folded = fold(items(&view), &rewinds, &BTreeSet::new());
    let keys: Vec<ItemKey> = folded.iter().map(|item| item.key).collect();
    let (first, last) = (id(100), id(102));
    assert_eq!(
        keys,
        [
            ItemKey::Prompt(first),
            ItemKey::Step(first, 0),
            ItemKey::End(first),
            ItemKey::Rewind(id(50)),
            ItemKey::Prompt(last),
            ItemKey::Step(last, 0),
            ItemKey::End(last),
        ]
    );
    let open = fold(items(&view), &rewinds, &BTreeSet::from([id(50)]));
    assert_eq!(open.len(), 10);
    assert_eq!(open.iter().filter(|item| item.is_past).count(), 3);
}

#[test]
fn the_outermost_of_nested_stretches_is_shown() {
    let view = conversation(0..3, TurnState::Finished);
    let rewinds = [rewind(50, 5, 6, true), rewind(51, 3, 6, true)];
    let keys: Vec<ItemKey> = fold(items(&view), &rewinds, &BTreeSet::new()).iter().map(|item| item.key).collect();
    assert_eq!(keys[3..], [ItemKey::Rewind(id(51))]);
}

#[test]
fn files_put_back_are_told_where_it_happened() {
    let view = conversation(0..3, TurnState::Finished);
    let keys: Vec<ItemKey> = fold(items(&view), &[rewind(50, 1, 4, false)], &BTreeSet::new()).iter().map(|item| item.key).collect();
    assert_eq!(keys.len(), 10);
    assert_eq!(keys[6], ItemKey::Rewind(id(50)));
    let at_the_end: Vec<ItemKey> = fold(items(&view), &[rewind(50, 1, 6, false)], &BTreeSet::new()).iter().map(|item| item.key).collect();
    assert_eq!(at_the_end.last(), Some(&ItemKey::Rewind(id(50))));
}

#[test]
fn a_long_turn_begun_with_its_messages_ends_as_one_that_was_followed() {
    let turn = id(100);
    let mut view = conversation(0..1, TurnState::Running);
    let call = ToolCall { id: "c".into(), name: "read_file".into(), arguments: "{}".into() };
    let usage = TokenUsage { input: 5, output: 2, cached: 0 };
    view.messages[1].body = MessageBody::Assistant { text: "Look.".into(), reasoning: "Hm.".into(), tool_calls: vec![call], usage };
    view.live = Some(LiveFrom { turn_id: turn, event: 3000 });
    let behind = [
        EventKind::Usage { input: 5, output: 2, cached: 0, cost_micros: 0, estimated: false },
        EventKind::ToolCalled { call_id: "c".into(), name: "read_file".into(), arguments: "{}".into() },
        EventKind::ToolFinished { call_id: "c".into(), ok: true, summary: "1 line".into() },
        EventKind::TextDelta { text: "Done.".into() },
    ];
    let mut followed = TurnView::default();
    let before = [
        EventKind::TurnStarted { model: "m".into() },
        EventKind::ReasoningDelta { text: "Hm.".into() },
        EventKind::TextDelta { text: "Look.".into() },
    ];
    for kind in before.iter().chain(&behind) {
        apply(&mut followed, Micros(1), kind);
    }
    let mut seeded = seed(&view, turn);
    for kind in &behind {
        apply(&mut seeded, Micros(1), kind);
    }
    assert_eq!(seeded, followed);
}
