//! Conversations that survive: queue and interrupt, rewind and its undo, forks, windows, search, export.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use domain::{
    Clock, Ctx, Error, SystemClock,
    chat::{self, ExportFormat},
    context, files, storage,
};
use futures::TryStreamExt;
use support::Home;
use wire::{
    ConversationId, Micros, ProjectId, TurnId,
    chat::{
        ConversationQuery, CreateConversation, ForkConversation, Message, MessageBody, Queued, RewindConversation, RewindOutcome,
        StartTurn, TokenUsage, ToolCall, ToolFacts, TurnBudget, TurnReason, TurnState, UndoRewind, UndoneRewind, UpdateQueued, Window,
    },
    checkpoints::RestoreEffect,
    context::SetCompaction,
};

struct World {
    home: Home,
    ada: Ctx,
    project: ProjectId,
    conversation: ConversationId,
}

impl World {
    async fn new(home: Home) -> Self {
        let ada = home.person("ada").await;
        let project = home.project(&ada).await.id;
        let conversation = chat::create_conversation(&ada, project, CreateConversation::default()).await.unwrap().id;
        Self { home, ada, project, conversation }
    }

    async fn start(&self, prompt: &str) -> TurnId {
        chat::start_turn(&self.ada, self.conversation, ask(prompt)).await.unwrap().turn_id
    }

    async fn queue(&self, prompt: &str) -> wire::QueuedPromptId {
        match chat::enqueue(&self.ada, self.conversation, ask(prompt)).await.unwrap() {
            Queued::Waiting { prompt } => prompt.id,
            started => panic!("{started:?}"),
        }
    }

    /// As the agent: an answer, and the end.
    async fn answer(&self, turn: TurnId, text: &str) {
        let agent = self.ada.as_agent(turn);
        chat::take_up_turn(&agent, turn).await.unwrap().unwrap();
        let body = MessageBody::Assistant { text: text.into(), reasoning: String::new(), tool_calls: vec![], usage: TokenUsage::default() };
        chat::append_message(&agent, turn, body).await.unwrap();
        chat::finish_turn(&agent, turn, TurnReason::Done, "").await.unwrap();
    }

    async fn view(&self) -> wire::chat::ConversationView {
        chat::view(&self.ada, self.conversation, Window::default()).await.unwrap()
    }

    async fn active(&self) -> TurnId {
        self.view().await.conversation.active_turn.expect("a turn is at work")
    }

    async fn sent(&self) -> Vec<String> {
        chat::sent_messages(&self.ada, self.conversation).await.unwrap().iter().map(text_of).collect()
    }

    async fn write(&self, path: &str, text: &str) {
        let body: blobs::Reader = Box::pin(std::io::Cursor::new(text.as_bytes().to_vec()));
        let precondition = match files::open_text(&self.ada, self.project, path, None).await {
            Ok(opened) => files::Precondition::Version(opened.entry.version),
            Err(_) => files::Precondition::New,
        };
        files::put(&self.ada, self.project, path, precondition, body, None).await.unwrap();
    }

    async fn text(&self, path: &str) -> Option<String> {
        files::open_text(&self.ada, self.project, path, None).await.ok().and_then(|opened| opened.text)
    }
}

on_both! {
    what_waits_begins_when_the_turn_ends_by_itself,
    what_waits_is_not_changed_by_who_has_not_seen_it,
    what_waits_is_held_after_another_end_and_says_why,
    an_interrupt_stops_the_turn_and_goes_first,
    prompts_queued_while_the_turn_ends_are_never_forgotten,
    a_prompt_that_can_not_begin_any_more_waits_with_a_sentence,
    a_rewound_stretch_is_not_sent_and_comes_back,
    files_and_conversation_go_back_and_return_as_one_step,
    an_undo_never_takes_what_was_changed_since,
    single_files_go_back_and_return_whatever_became_of_the_others,
    a_fork_goes_on_from_any_message_and_leaves_the_first_alone,
    a_fork_leaves_out_what_was_taken_back_unless_it_begins_there,
    a_summary_that_was_taken_back_stays_so_in_a_fork,
    a_window_holds_whole_turns_and_says_where_older_ones_begin,
    conversations_are_found_renamed_removed_and_brought_back,
    removed_conversations_go_for_good_after_a_week,
    a_conversation_is_exported_whole,
    a_message_keeps_the_limits_of_its_own,
}

fn ask(prompt: &str) -> StartTurn {
    StartTurn { prompt: prompt.to_owned(), ..StartTurn::default() }
}

fn text_of(message: &Message) -> String {
    match &message.body {
        MessageBody::User { text, .. } | MessageBody::Assistant { text, .. } | MessageBody::Note { text } => text.clone(),
        MessageBody::Tool { content, .. } => content.clone(),
        other => format!("{other:?}"),
    }
}

async fn what_waits_begins_when_the_turn_ends_by_itself(home: Home) {
    let world = World::new(home).await;
    let first = world.start("one").await;
    let (second, third) = (world.queue("two").await, world.queue("three").await);
    let changed = chat::update_queued(&world.ada, third, UpdateQueued { prompt: "3".into(), version: None }).await.unwrap();
    assert_eq!(changed.request.prompt, "3");
    world.answer(first, "did one").await;
    let now = world.active().await;
    let view = world.view().await;
    assert_eq!(view.queue.iter().map(|prompt| prompt.id).collect::<Vec<_>>(), [third]);
    assert_eq!(view.conversation.last_prompt.as_deref(), Some("two"));
    assert!(matches!(chat::remove_queued(&world.ada, second, None).await, Err(Error::NotFound(_))), "it has begun");
    world.answer(now, "did two").await;
    world.answer(world.active().await, "did three").await;
    assert_eq!(world.sent().await, ["one", "did one", "two", "did two", "3", "did three"]);
    assert!(world.view().await.conversation.active_turn.is_none());
}

async fn what_waits_is_not_changed_by_who_has_not_seen_it(home: Home) {
    let world = World::new(home).await;
    world.start("one").await;
    let waiting = world.queue("two").await;
    let seen = world.view().await.queue[0].version;
    let update = |prompt: &str, version| chat::update_queued(&world.ada, waiting, UpdateQueued { prompt: prompt.into(), version });
    let first = update("2", Some(seen)).await.unwrap();
    assert!(first.version > seen);
    for outcome in [update("zwei", Some(seen)).await.map(drop), chat::remove_queued(&world.ada, waiting, Some(seen)).await] {
        let Err(Error::Conflict { current: Some(now), .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((now["request"]["prompt"].as_str(), now["version"].as_i64()), (Some("2"), Some(first.version)));
    }
    assert_eq!(world.view().await.queue, std::slice::from_ref(&first), "nothing was overwritten");
    // Two at once: one of them is told.
    let (here, there) = tokio::join!(update("here", Some(first.version)), update("there", Some(first.version)));
    let (kept, refused) = if let Ok(kept) = here { (kept, there) } else { (there.unwrap(), here) };
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert_eq!(world.view().await.queue, std::slice::from_ref(&kept));
    let told = update("whatever it was", None).await.unwrap();
    chat::remove_queued(&world.ada, waiting, Some(told.version)).await.unwrap();
    assert!(world.view().await.queue.is_empty());
}

async fn what_waits_is_held_after_another_end_and_says_why(home: Home) {
    let world = World::new(home).await;
    let first = world.start("one").await;
    let waiting = world.queue("two").await;
    chat::finish_turn(&world.ada.as_agent(first), first, TurnReason::Budget, "").await.unwrap();
    let view = world.view().await;
    assert!(view.queue_waits.unwrap().contains("budget") && view.conversation.active_turn.is_none());
    let Queued::Started { turn_id } = chat::send_queued_now(&world.ada, waiting).await.unwrap() else { panic!("it waits") };
    let view = world.view().await;
    assert_eq!((view.conversation.active_turn, view.queue_waits, view.queue.len()), (Some(turn_id), None, 0));
}

async fn an_interrupt_stops_the_turn_and_goes_first(home: Home) {
    let world = World::new(home).await;
    let first = world.start("one").await;
    let (_, urgent) = (world.queue("later").await, world.queue("at once").await);
    // Nobody has taken the turn up: it ends here, and what was sent at once begins with its end.
    chat::send_queued_now(&world.ada, urgent).await.unwrap();
    assert_eq!(chat::get_turn(&world.ada, first).await.unwrap().reason, Some(TurnReason::Stopped));
    let second = chat::get_turn(&world.ada, world.active().await).await.unwrap();
    assert_eq!((second.prompt.as_str(), second.state), ("at once", TurnState::Queued));
    world.answer(second.id, "did that").await;
    assert_eq!(chat::get_turn(&world.ada, world.active().await).await.unwrap().prompt, "later");
}

async fn prompts_queued_while_the_turn_ends_are_never_forgotten(home: Home) {
    let world = World::new(home).await;
    for round in 0..15 {
        let turn = world.start(&format!("round {round}")).await;
        let agent = world.ada.as_agent(turn);
        let queue = chat::enqueue(&world.ada, world.conversation, ask("behind it"));
        let end = chat::finish_turn(&agent, turn, TurnReason::Done, "");
        let (queued, ended) = tokio::join!(queue, end);
        queued.unwrap();
        ended.unwrap();
        let next = world.active().await;
        assert!(world.view().await.queue.is_empty());
        chat::finish_turn(&world.ada.as_agent(next), next, TurnReason::Done, "").await.unwrap();
    }
}

async fn a_prompt_that_can_not_begin_any_more_waits_with_a_sentence(home: Home) {
    let world = World::new(home).await;
    world.write("a.txt", "a").await;
    let first = world.start("one").await;
    let request = StartTurn { attachments: vec!["a.txt".into()], ..ask("with a file") };
    chat::enqueue(&world.ada, world.conversation, request).await.unwrap();
    files::delete(&world.ada, world.project, "a.txt", support::AS_IT_IS).await.unwrap();
    chat::finish_turn(&world.ada.as_agent(first), first, TurnReason::Done, "").await.unwrap();
    let view = world.view().await;
    assert!(view.queue_waits.unwrap().starts_with("The next message could not begin: "));
    assert_eq!(view.queue.len(), 1);
}

async fn a_rewound_stretch_is_not_sent_and_comes_back(home: Home) {
    let world = World::new(home).await;
    let mut turns = Vec::new();
    for n in 1..=3 {
        let turn = world.start(&format!("ask {n}")).await;
        let at_work = RewindConversation { turn_id: turn, chat: true, files: false, expected_revision: None, paths: None };
        assert!(matches!(chat::rewind(&world.ada, world.conversation, at_work).await, Err(Error::Conflict { .. })));
        world.answer(turn, &format!("did {n}")).await;
        turns.push(turn);
    }
    let back = |turn| RewindConversation { turn_id: turn, chat: true, files: false, expected_revision: None, paths: None };
    let preview = chat::preview_rewind(&world.ada, world.conversation, turns[1]).await.unwrap();
    assert_eq!((preview.messages, preview.turns, preview.files.unwrap().items.len()), (4, 2, 0));
    let RewindOutcome::Rewound { rewind, .. } = chat::rewind(&world.ada, world.conversation, back(turns[1])).await.unwrap() else {
        panic!()
    };
    assert_eq!((rewind.from_seq, rewind.upto_seq), (3, 6));
    assert_eq!(world.sent().await, ["ask 1", "did 1"]);
    assert!(
        matches!(chat::rewind(&world.ada, world.conversation, back(turns[2])).await, Err(Error::Conflict { .. })),
        "it is gone already"
    );

    let turn = world.start("ask anew").await;
    let work = chat::take_up_turn(&world.ada.as_agent(turn), turn).await.unwrap().unwrap();
    assert_eq!(work.messages.iter().map(text_of).collect::<Vec<_>>(), ["ask 1", "did 1", "ask anew"]);
    chat::finish_turn(&world.ada.as_agent(turn), turn, TurnReason::Done, "").await.unwrap();
    assert_eq!(world.view().await.messages.len(), 7, "the rows stay");
    assert_eq!(world.view().await.rewinds.len(), 1);

    assert!(matches!(chat::undo_rewind(&world.ada, rewind.id, UndoRewind::default()).await.unwrap(), UndoneRewind::Undone { .. }));
    assert_eq!(world.sent().await, ["ask 1", "did 1", "ask 2", "did 2", "ask 3", "did 3", "ask anew"]);
    assert!(matches!(chat::undo_rewind(&world.ada, rewind.id, UndoRewind::default()).await, Err(Error::Conflict { .. })), "once");
}

async fn files_and_conversation_go_back_and_return_as_one_step(home: Home) {
    let world = World::new(home).await;
    world.write("kept.txt", "one").await;
    let turn = world.start("change it").await;
    world.answer(turn, "changed").await;
    world.write("kept.txt", "two").await;
    world.write("new.txt", "new").await;
    let preview = chat::preview_rewind(&world.ada, world.conversation, turn).await.unwrap();
    let plan = preview.files.unwrap();
    assert_eq!(
        plan.items.iter().map(|item| (item.path.as_str(), item.effect)).collect::<Vec<_>>(),
        [("kept.txt", RestoreEffect::GoesBack), ("new.txt", RestoreEffect::ToTrash)]
    );
    let both = |revision| RewindConversation { turn_id: turn, chat: true, files: true, expected_revision: revision, paths: None };

    // What changes after the preview stands in the way, and then nothing happens at all.
    world.write("kept.txt", "three").await;
    let refused = chat::rewind(&world.ada, world.conversation, both(Some(plan.revision))).await.unwrap();
    assert!(matches!(refused, RewindOutcome::Conflict { .. }));
    assert_eq!((world.text("kept.txt").await.as_deref(), world.sent().await.len()), (Some("three"), 2));
    assert!(world.view().await.rewinds.is_empty());

    let plan = chat::preview_rewind(&world.ada, world.conversation, turn).await.unwrap().files.unwrap();
    let done = chat::rewind(&world.ada, world.conversation, both(Some(plan.revision))).await.unwrap();
    let RewindOutcome::Rewound { rewind, paths, .. } = done else { panic!("{done:?}") };
    assert_eq!(paths, ["kept.txt", "new.txt"]);
    assert_eq!((world.text("kept.txt").await.as_deref(), world.text("new.txt").await), (Some("one"), None));
    assert_eq!(world.sent().await, Vec::<String>::new());

    let undone = chat::undo_rewind(&world.ada, rewind.id, UndoRewind::default()).await.unwrap();
    assert!(matches!(undone, UndoneRewind::Undone { .. }));
    assert_eq!((world.text("kept.txt").await.as_deref(), world.text("new.txt").await.as_deref()), (Some("three"), Some("new")));
    assert_eq!(world.sent().await.len(), 2);

    // Without a revision the files are taken as they are, and come back the same way.
    world.write("kept.txt", "four").await;
    let request: RewindConversation = serde_json::from_value(serde_json::json!({ "turn_id": turn, "files": true })).unwrap();
    let done = chat::rewind(&world.ada, world.conversation, request).await.unwrap();
    let RewindOutcome::Rewound { rewind, .. } = done else { panic!("{done:?}") };
    assert_eq!((world.text("kept.txt").await.as_deref(), world.sent().await.len()), (Some("one"), 2));
    chat::undo_rewind(&world.ada, rewind.id, UndoRewind::default()).await.unwrap();
    assert_eq!(world.text("kept.txt").await.as_deref(), Some("four"));
}

async fn an_undo_never_takes_what_was_changed_since(home: Home) {
    let world = World::new(home).await;
    world.write("a.txt", "one").await;
    let turn = world.start("change it").await;
    world.answer(turn, "changed").await;
    world.write("a.txt", "two").await;
    let plan = chat::preview_rewind(&world.ada, world.conversation, turn).await.unwrap().files.unwrap();
    let request = RewindConversation { turn_id: turn, chat: false, files: true, expected_revision: Some(plan.revision), paths: None };
    let RewindOutcome::Rewound { rewind, .. } = chat::rewind(&world.ada, world.conversation, request).await.unwrap() else { panic!() };
    assert_eq!(world.sent().await.len(), 2, "the conversation goes on");
    world.write("a.txt", "mine").await;
    let undone = chat::undo_rewind(&world.ada, rewind.id, UndoRewind::default()).await.unwrap();
    assert!(matches!(undone, UndoneRewind::Conflict { .. }));
    assert_eq!((world.text("a.txt").await.as_deref(), world.view().await.rewinds.len()), (Some("mine"), 1));
}

async fn single_files_go_back_and_return_whatever_became_of_the_others(home: Home) {
    let world = World::new(home).await;
    world.write("a.txt", "one").await;
    world.write("b.txt", "one").await;
    let turn = world.start("change it").await;
    world.answer(turn, "changed").await;
    world.write("a.txt", "two").await;
    world.write("b.txt", "two").await;
    let plan = chat::preview_rewind(&world.ada, world.conversation, turn).await.unwrap().files.unwrap();
    assert_eq!(plan.items.len(), 2);
    let paths = Some(vec!["a.txt".to_owned()]);
    let request = RewindConversation { turn_id: turn, chat: true, files: true, expected_revision: Some(plan.revision), paths };
    let done = chat::rewind(&world.ada, world.conversation, request).await.unwrap();
    let RewindOutcome::Rewound { rewind, paths, left } = done else { panic!("{done:?}") };
    assert_eq!((paths, left), (vec!["a.txt".to_owned()], vec![]));
    assert_eq!((world.text("a.txt").await.as_deref(), world.text("b.txt").await.as_deref()), (Some("one"), Some("two")));

    // What was left out is worked on; bringing the rest back does not touch it.
    world.write("b.txt", "three").await;
    let undone = chat::undo_rewind(&world.ada, rewind.id, UndoRewind::default()).await.unwrap();
    let UndoneRewind::Undone { paths, .. } = undone else { panic!("{undone:?}") };
    assert_eq!(paths, ["a.txt"]);
    assert_eq!((world.text("a.txt").await.as_deref(), world.text("b.txt").await.as_deref()), (Some("two"), Some("three")));
    assert_eq!(world.sent().await.len(), 2);
}

async fn a_fork_goes_on_from_any_message_and_leaves_the_first_alone(home: Home) {
    let world = World::new(home).await;
    world.write("a.txt", "one").await;
    let first = world.start("ask 1").await;
    let agent = world.ada.as_agent(first);
    chat::take_up_turn(&agent, first).await.unwrap();
    let call = ToolCall { id: "c".into(), name: "read_file".into(), arguments: "{}".into() };
    let usage = TokenUsage { input: 10, output: 5, cached: 0 };
    let look = MessageBody::Assistant { text: "look".into(), reasoning: String::new(), tool_calls: vec![call], usage };
    chat::append_message(&agent, first, look).await.unwrap();
    chat::add_usage(&agent, first, usage).await.unwrap();
    let result =
        MessageBody::Tool { call_id: "c".into(), name: "read_file".into(), ok: true, content: "found".into(), facts: ToolFacts::default() };
    chat::append_message(&agent, first, result).await.unwrap();
    let last = MessageBody::Assistant { text: "did 1".into(), reasoning: String::new(), tool_calls: vec![], usage };
    chat::append_message(&agent, first, last).await.unwrap();
    chat::finish_turn(&agent, first, TurnReason::Done, "").await.unwrap();
    let second = world.start("ask 2").await;
    world.answer(second, "did 2").await;

    // The message with the call: its result goes along, the rest of the turn does not.
    let fork = chat::fork(&world.ada, world.conversation, ForkConversation { seq: 2, title: None }).await.unwrap();
    assert_eq!((fork.title.as_str(), fork.messages), ("ask 1 (fork)", 3));
    assert_eq!(fork.parent.as_ref().map(|parent| (parent.id, parent.seq)), Some((world.conversation, 2)));
    let view = chat::view(&world.ada, fork.id, Window::default()).await.unwrap();
    assert_eq!(view.messages.iter().map(text_of).collect::<Vec<_>>(), ["ask 1", "look", "found"]);
    let copy = &view.turns[0];
    assert_eq!((copy.state, copy.reason, copy.usage), (TurnState::Finished, Some(TurnReason::Stopped), TokenUsage::default()));
    assert_ne!(copy.id, first);

    // Files can be put back to before the turn that the copy stands for.
    world.write("a.txt", "two").await;
    let preview = chat::preview_rewind(&world.ada, fork.id, copy.id).await.unwrap();
    assert_eq!(preview.files.unwrap().items.len(), 1);

    let turn = chat::start_turn(&world.ada, fork.id, ask("another way")).await.unwrap().turn_id;
    let work = chat::take_up_turn(&world.ada.as_agent(turn), turn).await.unwrap().unwrap();
    assert_eq!(work.messages.iter().map(text_of).collect::<Vec<_>>(), ["ask 1", "look", "found", "another way"]);
    assert_eq!(world.sent().await.len(), 6, "the first is as it was");
    let stranger = world.home.person("eve").await;
    let refused = chat::fork(&stranger, world.conversation, ForkConversation { seq: 1, title: None }).await;
    assert!(matches!(refused, Err(Error::NotFound(_))));
}

async fn a_fork_leaves_out_what_was_taken_back_unless_it_begins_there(home: Home) {
    let world = World::new(home).await;
    let mut turns = Vec::new();
    for n in 1..=3 {
        let turn = world.start(&format!("ask {n}")).await;
        world.answer(turn, &format!("did {n}")).await;
        turns.push(turn);
    }
    let back = RewindConversation { turn_id: turns[1], chat: true, files: false, expected_revision: None, paths: None };
    chat::rewind(&world.ada, world.conversation, back).await.unwrap();
    world.answer(world.start("anew").await, "did anew").await;
    let texts = async |seq| {
        let fork = chat::fork(&world.ada, world.conversation, ForkConversation { seq, title: Some("F".into()) }).await.unwrap();
        chat::messages(&world.ada, fork.id).await.unwrap().iter().map(text_of).collect::<Vec<_>>()
    };
    assert_eq!(texts(8).await, ["ask 1", "did 1", "anew", "did anew"]);
    assert_eq!(texts(4).await, ["ask 1", "did 1", "ask 2", "did 2"]);
}

async fn a_summary_that_was_taken_back_stays_so_in_a_fork(home: Home) {
    let world = World::new(home).await;
    let first = world.start("ask 1").await;
    world.answer(first, "did 1").await;
    let left_out = world.start("ask 2").await;
    world.answer(left_out, "did 2").await;
    let back = RewindConversation { turn_id: left_out, chat: true, files: false, expected_revision: None, paths: None };
    chat::rewind(&world.ada, world.conversation, back).await.unwrap();
    let turn = world.start("ask 3").await;
    let mut summaries = Vec::new();
    for text in ["not this", "but this"] {
        summaries.push(context::record_compaction(&world.ada.as_agent(turn), turn, text.into(), 2, 900, 90).await.unwrap().seq);
    }
    world.answer(turn, "did 3").await;
    context::set_compaction(&world.ada, world.conversation, summaries[0], SetCompaction { undone: true }).await.unwrap();
    let fork = chat::fork(&world.ada, world.conversation, ForkConversation { seq: summaries[1] + 1, title: None }).await.unwrap();
    let found = context::compactions(&world.ada, fork.id).await.unwrap();
    assert_eq!(found.iter().map(|summary| (summary.seq, summary.undone_at.is_some())).collect::<Vec<_>>(), [(4, true), (5, false)]);
}

async fn a_window_holds_whole_turns_and_says_where_older_ones_begin(home: Home) {
    let world = World::new(home).await;
    for n in 1..=6 {
        let turn = world.start(&format!("ask {n}")).await;
        world.answer(turn, &format!("did {n}")).await;
    }
    let read = async |before, limit| chat::view(&world.ada, world.conversation, Window { before, limit: Some(limit) }).await.unwrap();
    let latest = read(None, 3).await;
    assert_eq!(latest.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), [9, 10, 11, 12], "a turn is not cut");
    assert_eq!((latest.before, latest.turns.len()), (Some(9), 2));
    let older = read(latest.before, 4).await;
    assert_eq!((older.messages.len(), older.before, older.turns.len()), (4, Some(5), 2));
    let first = read(older.before, 100).await;
    assert_eq!((first.messages.len(), first.before, first.turns.len()), (4, None, 2));
    assert!(latest.events > 0);
}

async fn conversations_are_found_renamed_removed_and_brought_back(home: Home) {
    let world = World::new(home).await;
    let turn = world.start("Why does the depot import time out?").await;
    world.answer(turn, "Because the retry header is ignored.").await;
    let find = async |words: &str| {
        let query = ConversationQuery { search: Some(words.to_owned()), ..ConversationQuery::default() };
        chat::search_conversations(&world.ada, world.project, query).await.unwrap().items
    };
    assert_eq!(find("DEPOT").await[0].excerpt, None, "it is in the title");
    assert_eq!(find("Retry Header").await[0].excerpt.as_deref(), Some("Because the retry header is ignored."));
    assert!(find("assistant").await.is_empty());
    chat::delete_conversation(&world.ada, world.conversation).await.unwrap();
    assert!(find("depot").await.is_empty());
    let back = chat::restore_conversation(&world.ada, world.conversation).await.unwrap();
    assert_eq!(back.title, "Why does the depot import time out?");
    assert_eq!(find("depot").await.len(), 1);
    let stranger = world.home.person("eve").await;
    assert!(matches!(chat::restore_conversation(&stranger, world.conversation).await, Err(Error::NotFound(_))));
}

/// The time, and what is added to it.
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Micros {
        SystemClock.now().plus_seconds(self.0.load(Ordering::SeqCst))
    }
}

async fn removed_conversations_go_for_good_after_a_week(mut home: Home) {
    const DAY: i64 = 86_400;
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let world = World::new(home).await;
    let turn = world.start("Tidy up").await;
    world.answer(turn, "Tidied.").await;
    let fork = chat::fork(&world.ada, world.conversation, ForkConversation { seq: 2, title: None }).await.unwrap();
    chat::delete_conversation(&world.ada, world.conversation).await.unwrap();
    let listed = async || chat::removed_conversations(&world.ada, world.project).await.unwrap().items;
    let clean = async || {
        let progress = tokio::sync::watch::Sender::new((0, 0));
        storage::clean(&Ctx::system(&world.home.services), progress, tokio_util::sync::CancellationToken::new()).await.unwrap();
    };
    let removed = listed().await;
    assert_eq!((removed.len(), removed[0].conversation.title.as_str(), removed[0].conversation.messages), (1, "Tidy up", 2));
    assert_eq!(removed[0].until, removed[0].removed_at.plus_seconds(7 * DAY));
    let stranger = world.home.person("eve").await;
    assert!(matches!(chat::removed_conversations(&stranger, world.project).await, Err(Error::NotFound(_))));

    later.0.store(7 * DAY - 600, Ordering::SeqCst);
    clean().await;
    chat::restore_conversation(&world.ada, world.conversation).await.unwrap();
    chat::delete_conversation(&world.ada, world.conversation).await.unwrap();
    assert_eq!(listed().await.len(), 1);
    later.0.store(14 * DAY, Ordering::SeqCst);
    assert!(listed().await.is_empty());
    assert!(matches!(chat::restore_conversation(&world.ada, world.conversation).await, Err(Error::Conflict { .. })));
    clean().await;
    assert!(matches!(chat::restore_conversation(&world.ada, world.conversation).await, Err(Error::NotFound(_))));
    assert!(matches!(chat::get_turn(&world.ada, turn).await, Err(Error::NotFound(_))));
    let mut conn = world.home.services.db.read().await.unwrap();
    for stream in [wire::event::Stream::Turn(turn), wire::event::Stream::Conversation(world.conversation)] {
        assert!(store::events::after(&mut conn, stream, 0, 10).await.unwrap().is_empty());
    }
    drop(conn);

    // What was forked from it stands on its own, and so do checkpoints.
    let view = chat::view(&world.ada, fork.id, Window::default()).await.unwrap();
    assert_eq!(view.messages.iter().map(text_of).collect::<Vec<_>>(), ["Tidy up", "Tidied."]);
    assert_eq!(view.conversation.parent.map(|parent| parent.title), Some(None));
    assert!(chat::preview_rewind(&world.ada, fork.id, view.turns[0].id).await.unwrap().files.is_some());
    assert_eq!(domain::checkpoints::list(&world.ada, world.project).await.unwrap().items.len(), 1);
}

async fn exported(world: &World, format: ExportFormat) -> (String, String) {
    let made = chat::export(&world.ada, world.conversation, format).await.unwrap();
    let bytes: Vec<bytes::Bytes> = made.body.try_collect().await.unwrap();
    (made.file_name, String::from_utf8(bytes.concat()).unwrap())
}

async fn a_conversation_is_exported_whole(home: Home) {
    let world = World::new(home).await;
    let first = world.start("Say ```hi```, <b>bold</b>").await;
    world.answer(first, "Fenced:\n```\ncode\n```").await;
    let second = world.start("Regret").await;
    world.answer(second, "Gone").await;
    let back = RewindConversation { turn_id: second, chat: true, files: false, expected_revision: None, paths: None };
    chat::rewind(&world.ada, world.conversation, back).await.unwrap();
    let (name, text) = exported(&world, ExportFormat::Markdown).await;
    assert_eq!(name, "say-hi-b-bold-b.md");
    for part in
        ["# Say ```hi```, <b>bold</b>", "## Person, ", "## Agent (scripted)", "code\n```", "*What follows was taken back later.*", "Gone"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (name, text) = exported(&world, ExportFormat::Json).await;
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(name, "say-hi-b-bold-b.json");
    assert_eq!(read["messages"].as_array().unwrap().len(), 4);
    assert_eq!((read["turns"].as_array().unwrap().len(), read["rewinds"].as_array().unwrap().len()), (2, 1));
    let back: Vec<Message> = serde_json::from_value(read["messages"].clone()).unwrap();
    assert_eq!(back, chat::messages(&world.ada, world.conversation).await.unwrap());
}

async fn a_message_keeps_the_limits_of_its_own(home: Home) {
    let world = World::new(home).await;
    let first = world.start("one").await;
    assert_eq!(chat::get_turn(&world.ada, first).await.unwrap().budget, None);
    let budget = Some(TurnBudget { usd_micros: Some(250_000), steps: Some(3), tokens: None });
    let limited = StartTurn { budget, max_tokens: Some(200), temperature: Some(1.25), ..ask("two") };
    let Queued::Waiting { prompt } = chat::enqueue(&world.ada, world.conversation, limited).await.unwrap() else { panic!("it began") };
    assert_eq!(prompt.request.budget, budget);
    assert_eq!(world.view().await.queue[0].request.budget, budget);
    world.answer(first, "did one").await;
    let second = world.active().await;
    assert_eq!(chat::get_turn(&world.ada, second).await.unwrap().budget, budget);
    let work = chat::take_up_turn(&world.ada.as_agent(second), second).await.unwrap().unwrap();
    assert_eq!((Some(work.budget), work.max_tokens, work.temperature), (budget, Some(200), Some(1.25)));
    chat::finish_turn(&world.ada.as_agent(second), second, TurnReason::Limit, "").await.unwrap();

    let wrong = |budget| StartTurn { budget: Some(budget), ..ask("three") };
    let none = TurnBudget::default();
    for (field, request) in [
        ("budget.steps", wrong(TurnBudget { steps: Some(0), ..none })),
        ("budget.steps", wrong(TurnBudget { steps: Some(501), ..none })),
        ("budget.tokens", wrong(TurnBudget { tokens: Some(0), ..none })),
        ("budget.usd_micros", wrong(TurnBudget { usd_micros: Some(-1), ..none })),
        ("temperature", StartTurn { temperature: Some(2.1), ..ask("three") }),
        ("max_tokens", StartTurn { max_tokens: Some(0), ..ask("three") }),
        ("max_tokens", StartTurn { max_tokens: Some(1_000_000_000), ..ask("three") }),
    ] {
        match chat::enqueue(&world.ada, world.conversation, request).await {
            Err(Error::Invalid(fields)) => assert_eq!(fields.iter().map(|known| known.field.as_str()).collect::<Vec<_>>(), [field]),
            other => panic!("{other:?}"),
        }
    }
    assert!(world.view().await.conversation.active_turn.is_none(), "nothing began");
}
