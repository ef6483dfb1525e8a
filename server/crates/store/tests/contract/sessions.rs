use store::{
    Db, budgets, changes, chat,
    context::{self, ImageRow},
    events, ledger, prompts, removed, rewinds,
};
use wire::{
    ConversationId, Micros, ProjectId, TurnId, UserId,
    budgets::{BudgetScope, Period},
    changes::{ChangeOrigin, ChangeSetState},
    chat::{Attachment, AttachmentKind, MessageBody, StartTurn, TokenUsage, TurnReason},
    context::ImageRef,
    event::{EventKind, Stream},
};

use crate::world::{at, conversation, id, new_turn, project, read, user, write};

fn said(text: &str) -> MessageBody {
    MessageBody::User { text: text.to_owned(), attachments: vec![] }
}

async fn say(db: &Db, conversation: ConversationId, text: &str, when: Micros) {
    let body = said(text);
    write!(db, tx => chat::insert_message(&mut tx, id(), conversation, None, &body, when));
}

pub async fn conversations_are_found_by_what_was_said_a_page_at_a_time(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let mut all = Vec::new();
    for n in 0..5 {
        let conversation = conversation(&db, project, ada).await;
        say(&db, conversation, &format!("Talk about Ünïcode {n} and 100% of a_b"), at(10 + n)).await;
        all.push(conversation);
    }
    write!(&db, tx => chat::rename_conversation(&mut tx, all[0], "The Title", at(10)));
    let mut c = read(&db).await;
    let find = async |c: &mut store::Conn, words: &str| {
        chat::conversations(c, project, Some(words), None, 10).await.unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(find(&mut c, "ünïcode 3").await, [all[3]]);
    assert_eq!(find(&mut c, "the title").await, [all[0]]);
    drop(c);
    write!(&db, tx => chat::rename_conversation(&mut tx, all[1], "Über den Fluß", at(11)));
    let mut c = read(&db).await;
    assert_eq!(find(&mut c, "über").await, [all[1]], "titles in any script");
    assert_eq!(find(&mut c, "0% of a_b").await.len(), 5);
    assert_eq!(find(&mut c, "0% of a%b").await.len(), 0, "signs of patterns are letters like others");
    assert_eq!(find(&mut c, "user").await.len(), 0, "what JSON adds is not searched");
    let found = chat::message_with(&mut c, all[3], "ünïcode").await.unwrap().unwrap();
    assert_eq!(found.seq, 1);

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = chat::conversations(&mut c, project, None, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(chat::After { updated_at: last.updated_at, id: last.id });
        seen.extend(page.iter().map(|row| row.id));
    }
    all.reverse();
    assert_eq!(seen, all, "each once, the last used first");
}

pub async fn deleted_conversations_come_back_for_a_while(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    write!(&db, tx => chat::mark_conversation_deleted(&mut tx, conversation, at(5)));
    assert!(!write!(&db, tx => chat::lock_conversation(&mut tx, conversation)));
    assert!(chat::any_conversation(&mut read(&db).await, conversation).await.unwrap().is_some());
    assert!(!write!(&db, tx => chat::restore_conversation(&mut tx, conversation, at(6))), "it is too late");
    assert!(write!(&db, tx => chat::restore_conversation(&mut tx, conversation, at(4))));
    assert!(!write!(&db, tx => chat::restore_conversation(&mut tx, conversation, at(4))), "once");
    assert!(write!(&db, tx => chat::lock_conversation(&mut tx, conversation)));
}

pub async fn messages_are_read_a_window_at_a_time(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    let new = new_turn(conversation, project, ada);
    let turn = new.id;
    write!(&db, tx => chat::insert_turn(&mut tx, &new));
    say(&db, conversation, "before", at(1)).await;
    let kinds = vec![EventKind::TextDelta { text: "a".into() }, EventKind::TextDelta { text: "b".into() }];
    write!(&db, tx => store::events::append(&mut tx, Stream::Turn(turn), at(1), kinds));
    for text in ["first", "second"] {
        let body = said(text);
        write!(&db, tx => chat::insert_message(&mut tx, id(), conversation, Some(turn), &body, at(2)));
    }
    let mut c = read(&db).await;
    let placed = chat::messages_before(&mut c, conversation, i64::MAX, 2).await.unwrap();
    assert_eq!(placed.iter().map(|placed| (placed.message.seq, placed.turn_event)).collect::<Vec<_>>(), [(3, Some(2)), (2, Some(2))]);
    let rest = chat::messages_before(&mut c, conversation, 2, 10).await.unwrap();
    assert_eq!(rest.iter().map(|placed| (placed.message.seq, placed.turn_event)).collect::<Vec<_>>(), [(1, None)]);
    let between = chat::messages_between(&mut c, conversation, 2, 3, 1).await.unwrap();
    assert_eq!(between.iter().map(|message| message.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(chat::message(&mut c, conversation, 3).await.unwrap().unwrap().body, said("second"));
    assert_eq!(chat::first_message_of(&mut c, conversation, turn).await.unwrap(), Some(2));
    assert_eq!(chat::last_message_of(&mut c, conversation, turn).await.unwrap(), Some(3));
    assert_eq!(chat::first_message_of(&mut c, conversation, id()).await.unwrap(), None);
}

pub async fn turns_remember_calls_costs_and_what_they_are_copies_of(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    let new = chat::NewTurn { budget_usd_micros: Some(500), ..new_turn(conversation, project, ada) };
    let turn = new.id;
    write!(&db, tx => chat::insert_turn(&mut tx, &new));
    let call = |name: &str| EventKind::ToolCalled { call_id: name.into(), name: "read_file".into(), arguments: r#"{"kind":"x"}"#.into() };
    let kinds = vec![call("a"), EventKind::TextDelta { text: r#"{"kind":"tool_called""#.into() }, call("b")];
    write!(&db, tx => store::events::append(&mut tx, Stream::Turn(turn), at(1), kinds));
    assert_eq!(chat::called_tools(&mut read(&db).await, turn).await.unwrap(), [call("a"), call("b")]);

    write!(&db, tx => chat::add_usage(&mut tx, turn, TokenUsage { input: 1, output: 2, cached: 0 }));
    write!(&db, tx => chat::add_cost(&mut tx, turn, 30, false));
    write!(&db, tx => chat::add_cost(&mut tx, turn, 12, true));
    write!(&db, tx => chat::add_cost(&mut tx, turn, 0, false));
    let origin = id();
    write!(&db, tx => chat::set_copied_from(&mut tx, turn, origin));
    let row = chat::turn(&mut read(&db).await, turn).await.unwrap().unwrap();
    assert_eq!((row.cost_micros, row.cost_estimated, row.copied_from, row.budget_usd_micros), (42, true, Some(origin), Some(500)));

    let mut c = read(&db).await;
    assert_eq!(chat::turns_between(&mut c, conversation, at(5), at(6)).await.unwrap().len(), 1, "it is not finished");
    drop(c);
    write!(&db, tx => chat::finish_turn(&mut tx, turn, TurnReason::Done, "", at(3)));
    let mut c = read(&db).await;
    assert_eq!(chat::turns_between(&mut c, conversation, at(5), at(6)).await.unwrap().len(), 0);
    assert_eq!(chat::turns_between(&mut c, conversation, at(1), at(1)).await.unwrap().len(), 1);
    assert_eq!(chat::count_turns_since(&mut c, conversation, at(1)).await.unwrap(), 1);
    assert_eq!(chat::count_turns_since(&mut c, conversation, at(2)).await.unwrap(), 0);
    assert_eq!(chat::checkpoint_before(&mut c, project, turn).await.unwrap(), None);
}

pub async fn conversations_know_their_parent_prompt_and_why_they_wait(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (parent, child) = (conversation(&db, project, ada).await, conversation(&db, project, ada).await);
    write!(&db, tx => chat::set_parent(&mut tx, child, parent, 7));
    write!(&db, tx => chat::set_queue_waits(&mut tx, child, Some("Because.")));
    let row = chat::conversation(&mut read(&db).await, child).await.unwrap().unwrap();
    assert_eq!(row.queue_waits.as_deref(), Some("Because."));
    let shown = row.into_conversation().parent.unwrap();
    assert_eq!((shown.id, shown.title.as_deref(), shown.seq), (parent, Some("Title"), 7));
    write!(&db, tx => chat::note_prompt(&mut tx, child, "Do this"));
    write!(&db, tx => chat::mark_conversation_deleted(&mut tx, parent, at(5)));
    let row = chat::conversation(&mut read(&db).await, child).await.unwrap().unwrap();
    assert_eq!((row.last_prompt.as_deref(), row.queue_waits.as_deref()), (Some("Do this"), None));
    assert_eq!(row.into_conversation().parent.unwrap().title, None);
}

pub async fn prompts_wait_in_order_and_an_urgent_one_goes_first(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    let request = |text: &str| StartTurn { prompt: text.to_owned(), ..StartTurn::default() };
    let (first, second) = (id(), id());
    write!(&db, tx => prompts::insert(&mut tx, first, conversation, ada, &request("one"), at(1)));
    write!(&db, tx => prompts::insert(&mut tx, second, conversation, ada, &request("two"), at(2)));
    let listed =
        async || prompts::list(&mut read(&db).await, conversation).await.unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(listed().await, [first, second]);
    assert!(write!(&db, tx => prompts::make_urgent(&mut tx, second, conversation)));
    assert_eq!(listed().await, [second, first]);
    assert!(write!(&db, tx => prompts::make_urgent(&mut tx, first, conversation)));
    assert_eq!(listed().await, [first, second], "one is urgent at a time");
    assert!(write!(&db, tx => prompts::update(&mut tx, second, &request("zwei"))));
    let row = prompts::get(&mut read(&db).await, second).await.unwrap().unwrap();
    assert_eq!((row.version, row.request.0.prompt.as_str(), row.clone().into_prompt().by.name.as_str()), (3, "zwei", "ada"));
    assert!(write!(&db, tx => prompts::delete(&mut tx, second)));
    assert!(!write!(&db, tx => prompts::delete(&mut tx, second)));
    assert!(!write!(&db, tx => prompts::update(&mut tx, second, &request("x"))));
}

pub async fn rewinds_hide_messages_until_they_are_undone_once(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    let new = rewinds::NewRewind {
        id: id(),
        conversation_id: conversation,
        turn_id: id(),
        from_seq: 3,
        upto_seq: 5,
        chat: true,
        files: false,
        checkpoint_id: None,
        revision: None,
        by: ada,
        at: at(1),
    };
    write!(&db, tx => rewinds::insert(&mut tx, &new));
    let row = rewinds::list(&mut read(&db).await, conversation).await.unwrap().pop().unwrap();
    assert_eq!([2, 3, 5, 6].map(|seq| row.hides(seq)), [false, true, true, false]);
    assert_eq!((row.id, row.clone().into_rewind().by.name.as_str()), (new.id, "ada"));
    assert!(write!(&db, tx => rewinds::mark_undone(&mut tx, new.id, ada, at(2))));
    assert!(!write!(&db, tx => rewinds::mark_undone(&mut tx, new.id, ada, at(3))));
    assert!(rewinds::list(&mut read(&db).await, conversation).await.unwrap().is_empty());
    assert!(!rewinds::get(&mut read(&db).await, new.id).await.unwrap().unwrap().hides(3));
}

async fn show(db: &Db, conversation: ConversationId, pictures: &[&str]) {
    let picture = |checksum: &&str| Attachment {
        kind: AttachmentKind::Image,
        checksum: Some((*checksum).to_owned()),
        ..Attachment::file("picture.png", "")
    };
    let body = MessageBody::User { text: "Look".to_owned(), attachments: pictures.iter().map(picture).collect() };
    write!(db, tx => chat::insert_message(&mut tx, id(), conversation, None, &body, at(3)));
}

async fn upload(db: &Db, project: ProjectId, by: UserId, checksum: &str) {
    let image = ImageRow { checksum: checksum.to_owned(), media_type: "image/png".to_owned(), size_bytes: 7 };
    write!(db, tx => context::insert_image(&mut tx, project, by, &image, at(1)));
    write!(db, tx => context::use_image(&mut tx, project, checksum, at(3)));
}

pub async fn pictures_that_only_removed_conversations_show_are_released(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (old, other) = (conversation(&db, project, ada).await, conversation(&db, project, ada).await);
    for checksum in ["aaa", "bbb", "ccc", "ddd"] {
        upload(&db, project, ada, checksum).await;
    }
    show(&db, old, &["ddd", "aaa", "bbb"]).await;
    show(&db, old, &["aaa", "ccc"]).await;
    show(&db, other, &["bbb"]).await;
    say(&db, other, "Is aaa a picture?", at(4)).await;
    let image = ImageRef { checksum: "ccc".into(), name: "c".into(), media_type: "image/png".into(), size_bytes: 7 };
    let waiting = StartTurn { prompt: "Later".into(), images: vec![image], ..StartTurn::default() };
    write!(&db, tx => prompts::insert(&mut tx, id(), other, ada, &waiting, at(5)));
    assert_eq!(removed::pictures(&mut read(&db).await, old).await.unwrap(), ["aaa", "bbb", "ccc", "ddd"]);
    let release = async |checksum, when| write!(&db, tx => removed::release_picture(&mut tx, project, old, checksum, when));
    assert!(!release("ddd", at(2)).await, "somebody sent it after that");
    assert!(release("ddd", at(9)).await);
    assert!(!release("bbb", at(9)).await, "another message shows it");
    assert!(!release("ccc", at(9)).await, "it waits to be sent");
    assert_eq!(write!(&db, tx => context::forget_unused_images(&mut tx, at(10))), 1);
    assert!(context::image(&mut read(&db).await, project, "ddd").await.unwrap().is_none());
}

/// A turn that has ended, with a change set that waits, events and a call in the books.
async fn spent_turn(db: &Db, conversation: ConversationId, project: ProjectId, ada: UserId) -> TurnId {
    let turn = new_turn(conversation, project, ada);
    write!(db, tx => chat::insert_turn(&mut tx, &turn));
    write!(db, tx => chat::finish_turn(&mut tx, turn.id, TurnReason::Done, "", at(2)));
    let told = (0..5).map(|_| EventKind::TextDelta { text: "word".to_owned() }).collect();
    write!(db, tx => events::append(&mut tx, Stream::Turn(turn.id), at(2), told));
    let set = changes::ChangeSetRow {
        id: id(),
        project_id: project,
        turn_id: Some(turn.id),
        origin: store::Word(ChangeOrigin::Agent),
        title: String::new(),
        state: store::Word(ChangeSetState::Open),
        base_revision: 1,
        version: 1,
        created_at: at(2),
        created_by: None,
    };
    write!(db, tx => changes::insert_set(&mut tx, &set));
    let call = ledger::Call {
        id: id(),
        user: ada,
        project: Some(project),
        conversation: Some(conversation),
        turn: Some(turn.id),
        version: id(),
        model: "large",
        prices: wire::models::Prices::default(),
        input: 9,
        output: 9,
        micros: 9,
        at: at(2),
    };
    write!(db, tx => ledger::insert(&mut tx, &call));
    turn.id
}

pub async fn removed_conversations_are_taken_apart_in_pieces(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (old, young, busy) =
        (conversation(&db, project, ada).await, conversation(&db, project, ada).await, conversation(&db, project, ada).await);
    let turn = spent_turn(&db, old, project, ada).await;
    write!(&db, tx => chat::insert_turn(&mut tx, &new_turn(busy, project, ada)));
    for n in 0..5 {
        say(&db, old, &format!("word {n}"), at(n)).await;
    }
    let budget = budgets::NewBudget {
        id: id(),
        scope: BudgetScope::Conversation,
        subject: old.0,
        period: Period::Total,
        usd_micros: Some(5),
        tokens: None,
        at: at(3),
        by: ada,
    };
    write!(&db, tx => budgets::put(&mut tx, &budget));
    for (conversation, when) in [(old, 100), (busy, 101), (young, 200)] {
        write!(&db, tx => chat::mark_conversation_deleted(&mut tx, conversation, at(when)));
    }
    let mut c = read(&db).await;
    let listed = chat::removed_conversations(&mut c, project, at(150), None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|row| (row.id, row.deleted_at)).collect::<Vec<_>>(), [(young, Some(at(200)))]);
    assert_eq!(chat::removed_conversations(&mut c, project, at(0), None, 2).await.unwrap().len(), 2);
    let after = Some(chat::After { updated_at: at(101), id: busy });
    let rest = chat::removed_conversations(&mut c, project, at(0), after, 10).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [old]);
    assert_eq!(removed::due(&mut c, at(100), 10).await.unwrap(), []);
    assert_eq!(removed::due(&mut c, at(150), 10).await.unwrap(), [(old, project)], "an unfinished turn holds its conversation");
    drop(c);

    let forget = async |stream| write!(&db, tx => events::forget(&mut tx, stream, 2));
    let stream = Stream::Turn(turn);
    assert_eq!([forget(stream).await, forget(stream).await], [2, 2]);
    assert_eq!(events::after(&mut read(&db).await, stream, 0, 10).await.unwrap()[0].seq, 5, "the oldest go first");
    assert_eq!([forget(stream).await, forget(stream).await], [1, 0]);
    assert_eq!(events::last_seq(&mut read(&db).await, stream).await.unwrap(), 0);
    assert_eq!(removed::turns(&mut read(&db).await, old, 10).await.unwrap(), [turn]);
    write!(&db, tx => removed::delete_turn(&mut tx, turn));
    assert!(changes::set_of_turn(&mut read(&db).await, turn).await.unwrap().is_none());
    let less = async || write!(&db, tx => removed::delete_messages(&mut tx, old, 3));
    assert_eq!([less().await, less().await, less().await], [3, 2, 0]);
    assert!(!write!(&db, tx => removed::delete_conversation(&mut tx, old, at(100))), "it was removed later");
    assert!(!write!(&db, tx => removed::delete_conversation(&mut tx, id(), at(150))));
    assert!(write!(&db, tx => removed::delete_conversation(&mut tx, old, at(150))));
    let mut c = read(&db).await;
    assert!(chat::any_conversation(&mut c, old).await.unwrap().is_none());
    let of = budgets::Subjects { conversation: old.0, ..budgets::Subjects::default() };
    assert!(budgets::applying(&mut c, of).await.unwrap().is_empty());
    assert_eq!(ledger::calls_of_turn(&mut c, turn).await.unwrap().len(), 1, "the books stay");
}
