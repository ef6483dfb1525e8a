use std::{collections::BTreeMap, str::FromStr};

use wire::{
    TurnId,
    chat::{Conversation, ConversationView, Message, MessageBody, Mode, ToolCall, Turn},
    users::UserRef,
};

use super::*;

fn at(ms: i64) -> Micros {
    Micros(ms * 1000)
}

fn called(id: &str, name: &str) -> EventKind {
    EventKind::ToolCalled { call_id: id.into(), name: name.into(), arguments: "{}".into() }
}

fn text(text: &str) -> EventKind {
    EventKind::TextDelta { text: text.into() }
}

fn story() -> Vec<EventKind> {
    let by = UserRef { id: id(7), name: "Mara".into() };
    let asked = EventKind::ApprovalAsked { call_id: "b".into(), name: "run_command".into(), arguments: r#"{"command":"ls"}"#.into() };
    vec![
        EventKind::TurnStarted { model: "m".into() },
        text("Let me "),
        text("look."),
        called("a", "read_file"),
        EventKind::ToolFinished { call_id: "a".into(), ok: true, summary: "12 lines".into() },
        text("Now I run it."),
        called("b", "run_command"),
        asked,
        EventKind::ApprovalAnswered { call_id: "b".into(), decision: Approval::Approve, by },
        EventKind::TurnResumed { from_message: 4 },
        EventKind::ToolOutput { call_id: "b".into(), run_id: None, text: "file\n".into() },
        EventKind::ToolFinished { call_id: "b".into(), ok: false, summary: "exit 1".into() },
        text("It fai"),
        EventKind::TurnResumed { from_message: 5 },
        text("It failed."),
        EventKind::Usage { input: 10, output: 5, cached: 0, cost_micros: 0, estimated: false },
        EventKind::ChangeSetReady { change_set_id: id(6), files: 1, hunks: 2 },
        EventKind::TurnFinished { reason: TurnReason::Done, detail: String::new() },
    ]
}

fn fold(events: &[EventKind]) -> TurnView {
    let mut view = TurnView::default();
    for (i, event) in events.iter().enumerate() {
        apply(&mut view, at(i as i64 * 100), event);
    }
    view
}

#[test]
fn a_turn_is_the_fold_of_its_events() {
    let view = fold(&story());
    assert_eq!(view.state, TurnState::Finished);
    let said: Vec<&str> = view.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(said, ["Let me look.", "Now I run it.", "It failed."]);
    let run = &view.steps[1].tools[0];
    assert_eq!((run.state, run.summary.as_str(), run.output.as_str()), (ToolState::Failed, "exit 1", "file\n"));
    assert_eq!(run.took_ms, Some(300), "counted from the approval");
    assert_eq!(view.changes.map(|c| c.hunks), Some(2));
    assert_eq!(view.usage.input, 10);
}

#[test]
fn replay_from_the_start_equals_following() {
    let events = story();
    let mut followed = TurnView::default();
    for (i, event) in events.iter().enumerate() {
        apply(&mut followed, at(i as i64 * 100), event);
        assert_eq!(followed, fold(&events[..=i]), "after event {i}");
    }
}

#[test]
fn an_approval_shows_once_and_ends() {
    let events = story();
    assert_eq!(fold(&events[..8]).waiting().map(|tool| tool.call_id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(fold(&events[..8]).state, TurnState::Waiting);
    assert_eq!(fold(&events[..9]).waiting().count(), 0);
    assert_eq!(fold(&events[..9]).state, TurnState::Running);
}

#[test]
fn text_of_a_broken_off_step_is_void() {
    let events = story();
    assert_eq!(fold(&events[..13]).steps.len(), 3);
    assert_eq!(fold(&events[..14]).steps.len(), 2, "void after the resume");
}

#[test]
fn a_declined_call_stays_declined_when_it_is_answered() {
    let by = UserRef { id: id(7), name: "Mara".into() };
    let view = fold(&[
        EventKind::ApprovalAsked { call_id: "a".into(), name: "run_command".into(), arguments: "{}".into() },
        EventKind::ApprovalAnswered { call_id: "a".into(), decision: Approval::Reject, by },
        EventKind::TurnResumed { from_message: 2 },
        called("a", "run_command"),
        EventKind::ToolFinished { call_id: "a".into(), ok: false, summary: "Declined".into() },
    ]);
    let tool = &view.steps[0].tools[0];
    assert_eq!((tool.state, tool.took_ms), (ToolState::Declined, None));
}

#[test]
fn a_whole_answer_without_calls_survives_a_resume() {
    let usage = EventKind::Usage { input: 1, output: 1, cached: 0, cost_micros: 0, estimated: false };
    let view = fold(&[text("Part one"), usage, text("Part tw"), EventKind::TurnResumed { from_message: 3 }, text("Part two")]);
    let said: Vec<&str> = view.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(said, ["Part one", "Part two"]);
}

#[test]
fn what_still_ran_is_marked_when_the_turn_ends() {
    let view = fold(&[called("a", "run_command"), EventKind::TurnFinished { reason: TurnReason::Stopped, detail: "Stopped.".into() }]);
    assert_eq!(view.steps[0].tools[0].state, ToolState::Interrupted);
    assert_eq!(view.end, Some((TurnReason::Stopped, "Stopped.".into())));
}

#[test]
fn long_tool_output_keeps_its_end() {
    let mut view = fold(&[called("a", "run_command")]);
    for _ in 0..3 {
        let text = "ä".repeat(20_000) + "\n";
        apply(&mut view, at(1), &EventKind::ToolOutput { call_id: "a".into(), run_id: None, text });
    }
    let output = &view.steps[0].tools[0].output;
    assert!(output.len() <= TOOL_OUTPUT_MAX && output.ends_with("ä\n"));
}

fn id<T: FromStr<Err: std::fmt::Debug>>(n: usize) -> T {
    format!("{n:032x}").parse().unwrap()
}

fn conversation(state: TurnState) -> ConversationView {
    let turn: TurnId = id(1);
    let facts = ToolFacts { summary: "2 lines".into(), took_ms: Some(100), ..ToolFacts::default() };
    let bodies = [
        MessageBody::User { text: "Do it".into(), attachments: Vec::new() },
        MessageBody::Assistant {
            text: "Let me look.".into(),
            reasoning: String::new(),
            tool_calls: vec![ToolCall { id: "a".into(), name: "read_file".into(), arguments: "{}".into() }],
            usage: TokenUsage::default(),
        },
        MessageBody::Tool { call_id: "a".into(), name: "read_file".into(), ok: true, content: "one\ntwo".into(), facts },
        MessageBody::Assistant { text: "Done.".into(), reasoning: "Fine.".into(), tool_calls: Vec::new(), usage: TokenUsage::default() },
    ];
    let messages = bodies.into_iter().enumerate().map(|(i, body)| Message {
        id: id(i),
        turn_id: Some(turn),
        seq: i as i64 + 1,
        body,
        created_at: at(0),
    });
    ConversationView {
        conversation: Conversation {
            id: id(9),
            project_id: id(8),
            title: "T".into(),
            created_at: at(0),
            updated_at: at(0),
            active_turn: None,
            parent: None,
            last_prompt: None,
            messages: 4,
        },
        turns: vec![Turn {
            id: turn,
            conversation_id: id(9),
            project_id: id(8),
            prompt: "Do it".into(),
            mode: Mode::Ask,
            model: "m".into(),
            state,
            reason: None,
            detail: None,
            usage: TokenUsage::default(),
            cost_micros: 0,
            estimated: false,
            budget: None,
            change_set_id: None,
            created_at: at(0),
            finished_at: None,
        }],
        messages: messages.collect(),
        before: None,
        queue: Vec::new(),
        queue_waits: None,
        rewinds: Vec::new(),
        events: 0,
        live: None,
    }
}

fn keys(items: &[Item]) -> Vec<ItemKey> {
    items.iter().map(|item| item.key).collect()
}

/// A file was read and thought about, then came `last`.
fn after_a_look(last: EventKind) -> TurnView {
    fold(&[
        EventKind::TurnStarted { model: "m".into() },
        text("Let me look."),
        called("a", "read_file"),
        EventKind::ToolFinished { call_id: "a".into(), ok: true, summary: "2 lines".into() },
        EventKind::ReasoningDelta { text: "Fine.".into() },
        last,
    ])
}

#[test]
fn events_and_messages_make_the_same_items() {
    let turn: TurnId = id(1);
    let live = after_a_look(text("Done."));
    let running = conversation(TurnState::Running);
    let shown = expand(&settle(&running), &running.turns, &BTreeMap::from([(turn, live.clone())]));
    let finished = conversation(TurnState::Finished);
    let settled = expand(&settle(&finished), &finished.turns, &BTreeMap::new());
    assert_eq!(keys(&shown), keys(&settled));
    let ItemBody::Step { step, .. } = &settled[1].body else { panic!("a step") };
    assert_eq!((step.tools[0].output.as_str(), step.tools[0].summary.as_str()), ("one\ntwo", "2 lines"));
    assert_eq!(step.tools[0].took_ms, Some(100));
    for items in [&shown, &settled] {
        let ItemBody::Step { step, .. } = &items[2].body else { panic!("a step") };
        assert_eq!((step.reasoning.as_str(), step.text.as_str()), ("Fine.", "Done."));
    }
}

#[test]
fn reasoning_alone_is_a_step_of_its_own() {
    let turn: TurnId = id(1);
    let live = after_a_look(called("b", "read_file"));
    let thought = |state| {
        let mut view = conversation(state);
        view.messages[3].body = MessageBody::Assistant {
            text: String::new(),
            reasoning: "Fine.".into(),
            tool_calls: vec![ToolCall { id: "b".into(), name: "read_file".into(), arguments: "{}".into() }],
            usage: TokenUsage::default(),
        };
        view
    };
    let running = thought(TurnState::Running);
    let shown = expand(&settle(&running), &running.turns, &BTreeMap::from([(turn, live)]));
    let settled = settle(&thought(TurnState::Finished));
    assert_eq!(keys(&shown), keys(&settled));
    let ItemBody::Step { step, .. } = &settled[2].body else { panic!("a step") };
    assert_eq!((step.reasoning.as_str(), step.tools.len()), ("Fine.", 1));
}

fn end_of_last(items: &[Item]) -> TurnEnd {
    let Some(ItemBody::End(end)) = items.last().map(|item| &item.body) else { panic!("the turn's end comes last") };
    (**end).clone()
}

#[test]
fn another_model_is_named_while_the_turn_works_and_after_it() {
    let turn: TurnId = id(1);
    let (from, to, reason) = ("large".to_owned(), "small".to_owned(), "It is overloaded.".to_owned());
    let live = fold(&[
        EventKind::TurnStarted { model: "large".into() },
        EventKind::ModelSwitched { from: from.clone(), model: to.clone(), reason: reason.clone() },
    ]);
    let running = conversation(TurnState::Running);
    let shown = end_of_last(&expand(&settle(&running), &running.turns, &BTreeMap::from([(turn, live)])));
    assert_eq!(shown.switched.as_ref().map(Switch::words).as_deref(), Some("Switched from large to small: It is overloaded."));
    assert_eq!(shown.model, "small");

    let mut finished = conversation(TurnState::Finished);
    let plain = settle(&finished);
    assert_eq!(end_of_last(&plain).switched, None);
    let told = Message { body: MessageBody::Switched { from, to, reason }, ..finished.messages[0].clone() };
    // Behind the prompt, or behind the last answer where nothing came after it.
    for place in [1, 4] {
        let mut messages = conversation(TurnState::Finished).messages;
        messages.insert(place, told.clone());
        finished.messages = messages;
        let settled = settle(&finished);
        assert_eq!(keys(&settled), keys(&plain), "it is no item of its own");
        assert_eq!(end_of_last(&settled).switched, shown.switched);
    }
    let old: EventKind = serde_json::from_str(r#"{"kind":"model_switched","model":"small","reason":"It is overloaded."}"#).unwrap();
    assert_eq!(fold(&[old]).switched.map(|switch| switch.words()).as_deref(), Some("Switched to small: It is overloaded."));
}

#[test]
fn a_queued_turn_shows_its_prompt_without_messages() {
    let mut view = conversation(TurnState::Queued);
    view.messages.clear();
    let items = expand(&settle(&view), &view.turns, &BTreeMap::new());
    assert_eq!(keys(&items), [ItemKey::Prompt(id(1)), ItemKey::End(id(1))]);
}
