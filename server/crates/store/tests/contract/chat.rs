use store::{Db, Error, chat};
use wire::chat::{Approval, MessageBody, Mode, TokenUsage, TurnReason, TurnState};

use crate::world::{at, begin, commit, conversation, id, new_turn, project, read, turn, user, write};

fn note(text: &str) -> MessageBody {
    MessageBody::Note { text: text.to_owned() }
}

pub async fn conversations_are_listed_by_their_last_change(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (first, second) = (conversation(&db, project, ada).await, conversation(&db, project, ada).await);
    write!(&db, tx => chat::rename_conversation(&mut tx, first, "Renamed", at(5)));

    let mut c = read(&db).await;
    let listed = chat::conversations(&mut c, project, None, None, 100).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [first, second]);
    let shown = chat::conversation(&mut c, first).await.unwrap().unwrap().into_conversation();
    assert_eq!((shown.title.as_str(), shown.updated_at, shown.active_turn), ("Renamed", at(5), None));
    assert!(chat::conversation(&mut c, id()).await.unwrap().is_none());
    drop(c);

    write!(&db, tx => chat::mark_conversation_deleted(&mut tx, first, at(6)));
    let mut c = read(&db).await;
    assert!(chat::conversation(&mut c, first).await.unwrap().is_none());
    assert_eq!(chat::conversations(&mut c, project, None, None, 100).await.unwrap().len(), 1);
}

pub async fn messages_are_numbered_without_gaps(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let body = note(&n.to_string());
                // An attempt that is undone takes no number.
                let mut undone = begin(&db).await;
                chat::insert_message(&mut undone, id(), conversation, None, &body, at(1)).await.unwrap();
                drop(undone);
                (write!(&db, tx => chat::insert_message(&mut tx, id(), conversation, None, &body, at(2))), body)
            })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    written.sort_unstable_by_key(|(seq, _)| *seq);
    let stored = chat::messages(&mut read(&db).await, conversation).await.unwrap();
    assert_eq!(stored.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    for (message, (seq, body)) in stored.iter().zip(&written) {
        assert_eq!((message.seq, &message.body, message.created_at), (*seq, body, at(2)));
    }
    assert_eq!(chat::conversation(&mut read(&db).await, conversation).await.unwrap().unwrap().updated_at, at(2));
}

pub async fn a_conversation_has_one_unfinished_turn(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let new = new_turn(conversation, project, ada);
                let mut tx = begin(&db).await;
                chat::insert_turn(&mut tx, &new).await?;
                tx.commit().await.map(|_| new.id)
            })
        })
        .collect();
    let mut won = Vec::new();
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(turn) => won.push(turn),
            Err(error) => assert!(matches!(error, Error::Taken(_)), "{error:?}"),
        }
    }
    assert_eq!(won.len(), 1);
    let active = chat::conversation(&mut read(&db).await, conversation).await.unwrap().unwrap().active_turn;
    assert_eq!(active, Some(won[0]));
    for state in [TurnState::Running, TurnState::Waiting] {
        write!(&db, tx => chat::set_turn_state(&mut tx, won[0], state, None, at(2)));
        let mut tx = begin(&db).await;
        assert!(matches!(chat::insert_turn(&mut tx, &new_turn(conversation, project, ada)).await, Err(Error::Taken(_))));
    }
    assert!(write!(&db, tx => chat::finish_turn(&mut tx, won[0], TurnReason::Done, "", at(3))));
    let next = new_turn(conversation, project, ada);
    write!(&db, tx => chat::insert_turn(&mut tx, &next));
    let turns = chat::turns(&mut read(&db).await, conversation).await.unwrap();
    assert_eq!(turns.iter().map(|row| row.id).collect::<Vec<_>>(), [won[0], next.id]);
}

pub async fn turns_run_from_queued_to_finished(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    let queued = chat::turn(&mut read(&db).await, turn).await.unwrap().unwrap();
    assert_eq!((queued.state.0, queued.mode.0, queued.base_revision, queued.stop_requested), (TurnState::Queued, Mode::Ask, 3, false));
    assert_eq!((queued.budget_tokens, queued.budget_steps, queued.started_at), (Some(1000), None, None));
    assert!(chat::turn(&mut read(&db).await, id()).await.unwrap().is_none());

    let (job, change_set) = (id(), id());
    let mut tx = begin(&db).await;
    assert_eq!(chat::lock_turn(&mut tx, turn).await.unwrap().unwrap().id, turn);
    assert!(chat::lock_turn(&mut tx, id()).await.unwrap().is_none());
    chat::set_turn_state(&mut tx, turn, TurnState::Running, Some(job), at(2)).await.unwrap();
    chat::set_turn_state(&mut tx, turn, TurnState::Waiting, None, at(3)).await.unwrap();
    chat::request_stop(&mut tx, turn).await.unwrap();
    chat::add_usage(&mut tx, turn, TokenUsage { input: 5, output: 6, cached: 7 }).await.unwrap();
    chat::add_usage(&mut tx, turn, TokenUsage { input: 1, output: 1, cached: 1 }).await.unwrap();
    chat::set_change_set(&mut tx, turn, change_set).await.unwrap();
    let _committed = commit(tx).await;
    let row = chat::turn(&mut read(&db).await, turn).await.unwrap().unwrap();
    assert_eq!((row.state.0, row.job_id, row.started_at, row.stop_requested), (TurnState::Waiting, Some(job), Some(at(2)), true));

    assert!(write!(&db, tx => chat::finish_turn(&mut tx, turn, TurnReason::Stopped, "Stopped.", at(4))));
    assert!(!write!(&db, tx => chat::finish_turn(&mut tx, turn, TurnReason::Done, "", at(5))), "it ends once");
    write!(&db, tx => chat::set_turn_state(&mut tx, turn, TurnState::Running, None, at(6)));
    let shown = chat::turn(&mut read(&db).await, turn).await.unwrap().unwrap().into_turn();
    assert_eq!((shown.state, shown.reason, shown.detail.as_deref()), (TurnState::Finished, Some(TurnReason::Stopped), Some("Stopped.")));
    assert_eq!(shown.usage, TokenUsage { input: 6, output: 7, cached: 8 });
    assert_eq!((shown.change_set_id, shown.finished_at), (Some(change_set), Some(at(4))));
}

pub async fn approvals_are_answered_once(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    assert!(write!(&db, tx => chat::insert_approval(&mut tx, turn, "call-2", "run", "{}", at(1))));
    assert!(!write!(&db, tx => chat::insert_approval(&mut tx, turn, "call-2", "run", "{\"changed\":1}", at(2))));
    assert!(write!(&db, tx => chat::insert_approval(&mut tx, turn, "call-1", "run", "{}", at(2))));
    assert!(write!(&db, tx => chat::answer_approval(&mut tx, turn, "call-2", Approval::Reject, Some("no"), ada, at(3))));
    assert!(!write!(&db, tx => chat::answer_approval(&mut tx, turn, "call-2", Approval::Approve, None, ada, at(4))));
    assert!(!write!(&db, tx => chat::answer_approval(&mut tx, turn, "never asked", Approval::Approve, None, ada, at(4))));
    let asked = chat::approvals(&mut read(&db).await, turn).await.unwrap();
    let seen: Vec<_> = asked
        .iter()
        .map(|row| (row.call_id.as_str(), row.arguments.as_str(), row.decision.map(|word| word.0), row.reason.as_deref()))
        .collect();
    assert_eq!(seen, [("call-2", "{}", Some(Approval::Reject), Some("no")), ("call-1", "{}", None, None)]);
    assert_eq!(asked[0].name, "run");
    let decider = chat::decider(&mut read(&db).await, turn, "call-2").await.unwrap();
    assert_eq!(decider, Some((Approval::Reject, ada, "ada".to_owned())));
    assert_eq!(chat::decider(&mut read(&db).await, turn, "call-1").await.unwrap(), None, "nobody has answered");
}

pub async fn a_turn_is_compared_with_what_its_branch_was_made_of(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (first, other) = (turn(&db, project, ada).await, turn(&db, project, ada).await);
    write!(&db, tx => chat::set_base_revision(&mut tx, first, 8));
    let base = async |turn| chat::turn(&mut read(&db).await, turn).await.unwrap().unwrap().base_revision;
    assert_eq!((base(first).await, base(other).await), (8, 3));
}
