use store::{
    Db, Doc, Error, Word,
    archive::{self, By, Maker},
    changes, chat, ledger, network, permissions, test_reports,
};
use wire::{
    RunId,
    budgets::{BudgetScope, Period},
    changes::{ChangeOrigin, ChangeSetState},
    chat::{Approval, StartTurn},
    network::HostRule,
    permissions::PermissionEffect,
};

use crate::world::{at, begin, commit, conversation, id, new_turn, project, read, user, write};

/// Somebody who has an account here.
fn by_ada() -> By {
    By { username: Some("ada".to_owned()), author: Some("ada".to_owned()) }
}

/// Somebody who has none.
fn by_grace() -> By {
    By { username: None, author: Some("Grace".to_owned()) }
}

fn grace() -> Maker {
    Maker { id: None, author: Some("Grace".to_owned()) }
}

pub async fn rules_and_settings_are_read_as_they_were_inserted(db: Db) {
    let user_id = user(&db, "ada").await;
    let (filled, other) = (project(&db, user_id).await, project(&db, user_id).await);
    let ada = Maker { id: Some(user_id), author: None };
    let mine = archive::RuleLine {
        id: id(),
        effect: Word(PermissionEffect::Deny),
        tool: Some("run_command".to_owned()),
        command_pattern: Some("rm *".to_owned()),
        path_pattern: None,
        waits: false,
        created_at: at(1),
        by: by_ada(),
    };
    let theirs = archive::RuleLine {
        id: id(),
        effect: Word(PermissionEffect::Allow),
        tool: None,
        command_pattern: None,
        path_pattern: Some("docs/**".to_owned()),
        waits: true,
        created_at: at(2),
        by: by_grace(),
    };
    write!(&db, tx => archive::insert_rule(&mut tx, filled, &theirs, &grace()));
    write!(&db, tx => archive::insert_rule(&mut tx, filled, &mine, &ada));
    let settings = archive::SettingsLine {
        test_command: Some("make test".to_owned()),
        test_report: None,
        hosts: Doc(vec![HostRule("pypi.org".to_owned())]),
        hosts_waiting: Doc(vec![HostRule("example.org".to_owned())]),
    };
    assert_eq!(archive::settings(&mut read(&db).await, filled).await.unwrap(), None);
    write!(&db, tx => archive::put_settings(&mut tx, filled, &settings));
    let mut tx = begin(&db).await;
    assert!(matches!(archive::put_settings(&mut tx, filled, &settings).await, Err(Error::Taken(_))));
    drop(tx);

    let mut c = read(&db).await;
    assert_eq!(archive::settings(&mut c, filled).await.unwrap(), Some(settings));
    assert_eq!(archive::settings(&mut c, other).await.unwrap(), None);
    assert_eq!(test_reports::settings(&mut c, filled).await.unwrap(), (Some("make test".to_owned()), None));
    assert_eq!(network::rules(&mut c, filled).await.unwrap(), [HostRule("pypi.org".to_owned())]);
    assert_eq!(network::waiting(&mut c, filled).await.unwrap(), [HostRule("example.org".to_owned())]);
    let ids = |rules: Vec<wire::permissions::PermissionRule>| rules.into_iter().map(|rule| rule.id).collect::<Vec<_>>();
    assert_eq!(ids(permissions::rules(&mut c, filled).await.unwrap()), [mine.id]);
    assert_eq!(ids(permissions::waiting(&mut c, filled).await.unwrap()), [theirs.id], "it holds nothing yet");
    assert_eq!(archive::rules(&mut c, filled).await.unwrap(), [mine, theirs]);
    assert_eq!(archive::rules(&mut c, other).await.unwrap(), []);
}

pub async fn what_a_project_cost_is_read_as_it_was_inserted(db: Db) {
    let user_id = user(&db, "ada").await;
    let (filled, other) = (project(&db, user_id).await, project(&db, user_id).await);
    let talk = conversation(&db, filled, user_id).await;
    let own = archive::BudgetLine {
        id: id(),
        scope: Word(BudgetScope::ProjectOwn),
        subject: filled.0,
        period: Word(Period::Month),
        usd_micros: Some(5),
        tokens: None,
        updated_at: at(1),
        by: by_ada(),
    };
    let of_talk = archive::BudgetLine {
        id: id(),
        scope: Word(BudgetScope::Conversation),
        subject: talk.0,
        tokens: Some(7),
        updated_at: at(2),
        by: By::default(),
        ..own.clone()
    };
    let of_person = archive::BudgetLine { id: id(), scope: Word(BudgetScope::User), subject: user_id.0, ..own.clone() };
    write!(&db, tx => archive::insert_budget(&mut tx, &of_talk, None));
    write!(&db, tx => archive::insert_budget(&mut tx, &own, Some(user_id)));
    write!(&db, tx => archive::insert_budget(&mut tx, &of_person, Some(user_id)));
    assert_eq!(archive::budgets(&mut read(&db).await, filled).await.unwrap(), [own, of_talk], "a person's own is no project's");
    assert_eq!(archive::budgets(&mut read(&db).await, other).await.unwrap(), []);

    let first = archive::CallLine {
        id: id(),
        conversation_id: Some(talk),
        turn_id: Some(id()),
        message_id: Some(id()),
        model: "demo".to_owned(),
        price_input: 1,
        price_output: 2,
        price_cached: 3,
        price_cache_write: Some(4),
        input: 5,
        output: 6,
        cached: 7,
        cache_write: 8,
        cost_micros: 9,
        estimated: true,
        first_token_ms: Some(10),
        duration_ms: Some(11),
        outcome: "done".to_owned(),
        code: Some("stop".to_owned()),
        started_at: at(3),
        ended_at: Some(at(4)),
        by: by_grace(),
    };
    let second = archive::CallLine {
        id: id(),
        turn_id: None,
        price_cache_write: None,
        estimated: false,
        started_at: at(5),
        by: by_ada(),
        ..first.clone()
    };
    write!(&db, tx => archive::insert_call(&mut tx, filled, &first, &grace()));
    write!(&db, tx => archive::insert_call(&mut tx, filled, &second, &Maker { id: Some(user_id), author: None }));
    let mut c = read(&db).await;
    assert_eq!(ledger::turn_of(&mut c, first.id).await.unwrap(), first.turn_id);
    assert_eq!(ledger::turn_of(&mut c, second.id).await.unwrap(), None);
    assert_eq!(archive::calls(&mut c, filled, None, 1).await.unwrap(), std::slice::from_ref(&first));
    let after = Some((first.started_at, first.id));
    assert_eq!(archive::calls(&mut c, filled, after, 9).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(archive::calls(&mut c, filled, None, 9).await.unwrap(), [first, second]);
    assert_eq!(archive::calls(&mut c, other, None, 9).await.unwrap(), []);
    drop(c);

    let run_id: RunId = id();
    let asked = |seconds: i64| archive::EgressLine {
        id: id(),
        run_id,
        host: format!("h{seconds}.example.org"),
        port: 65_535,
        allowed: seconds == 2,
        reason: "Not on the list.".to_owned(),
        at: at(seconds),
    };
    let lines = [asked(1), asked(2), asked(3)];
    for line in &lines {
        write!(&db, tx => archive::insert_egress(&mut tx, filled, line));
    }
    assert_eq!(archive::egress(&mut read(&db).await, filled, 2).await.unwrap(), lines[1..], "the newest, the oldest of them first");
    assert_eq!(archive::egress(&mut read(&db).await, other, 9).await.unwrap(), []);
}

pub async fn what_belongs_to_talk_is_read_as_it_was_inserted(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (talk, silent) = (conversation(&db, project, ada).await, conversation(&db, project, ada).await);
    let turn = new_turn(talk, project, ada);
    write!(&db, tx => chat::insert_turn(&mut tx, &turn));

    let used = archive::PictureLine {
        checksum: "a".repeat(64),
        media_type: "image/png".to_owned(),
        size_bytes: 9,
        created_at: at(1),
        used_at: Some(at(2)),
        by: by_ada(),
    };
    let unused = archive::PictureLine { checksum: "b".repeat(64), used_at: None, ..used.clone() };
    for line in [&unused, &used] {
        write!(&db, tx => archive::insert_picture(&mut tx, project, line, ada));
    }
    assert_eq!(archive::pictures(&mut read(&db).await, project).await.unwrap(), [used, unused]);

    let answered = archive::ApprovalLine {
        turn_id: turn.id,
        call_id: "call-1".to_owned(),
        name: "run_command".to_owned(),
        arguments: "{}".to_owned(),
        decision: Some(Word(Approval::Reject)),
        reason: Some("no".to_owned()),
        created_at: at(1),
        decided_at: Some(at(2)),
        by: by_grace(),
    };
    let open = archive::ApprovalLine {
        call_id: "call-2".to_owned(),
        decision: None,
        reason: None,
        decided_at: None,
        by: By::default(),
        ..answered.clone()
    };
    write!(&db, tx => archive::insert_approval(&mut tx, &open, &Maker::default()));
    write!(&db, tx => archive::insert_approval(&mut tx, &answered, &grace()));
    assert_eq!(archive::approvals(&mut read(&db).await, talk).await.unwrap(), [answered, open]);

    let undone = archive::RewindLine {
        id: id(),
        conversation_id: talk,
        turn_id: turn.id,
        from_seq: 1,
        upto_seq: 2,
        chat: true,
        files: false,
        checkpoint_id: Some(id()),
        revision: Some(3),
        created_at: at(3),
        undone_by: Some("ada".to_owned()),
        undone_at: Some(at(4)),
        by: by_ada(),
    };
    let standing = archive::RewindLine { id: id(), created_at: at(5), undone_by: None, undone_at: None, by: by_grace(), ..undone.clone() };
    write!(&db, tx => archive::insert_rewind(&mut tx, &standing, ada, Some("Grace"), None));
    write!(&db, tx => archive::insert_rewind(&mut tx, &undone, ada, None, Some(ada)));
    assert_eq!(archive::rewinds(&mut read(&db).await, talk).await.unwrap(), [undone, standing]);

    let queued = |seconds: i64| archive::QueuedLine {
        id: id(),
        conversation_id: talk,
        request: Doc(StartTurn { prompt: format!("Then {seconds}"), ..StartTurn::default() }),
        created_at: at(seconds),
        by: by_ada(),
    };
    let (next, last) = (queued(1), queued(2));
    for line in [&last, &next] {
        write!(&db, tx => archive::insert_queued(&mut tx, line, ada));
    }
    assert_eq!(archive::queued(&mut read(&db).await, talk).await.unwrap(), [next, last]);
    for reason in ["Came with an archive.", "Something else."] {
        write!(&db, tx => archive::hold_queue(&mut tx, talk, reason));
    }
    let held = archive::conversations(&mut read(&db).await, project, false).await.unwrap();
    let held: Vec<_> = held.into_iter().filter_map(|line| Some((line.id, line.queue_waits?))).collect();
    assert_eq!(held, [(talk, "Came with an archive.".to_owned())], "the first reason stays, and the other queue goes on");

    let summary = archive::UndoneLine { conversation_id: talk, seq: 4, undone_at: at(6), by: by_ada() };
    write!(&db, tx => archive::insert_undone(&mut tx, &summary, ada));
    let mut tx = begin(&db).await;
    assert!(matches!(archive::insert_undone(&mut tx, &summary, ada).await, Err(Error::Taken(_))));
    drop(tx);
    let mut c = read(&db).await;
    assert_eq!(archive::undone(&mut c, talk).await.unwrap(), [summary]);
    // Nothing of this belongs to the other conversation.
    assert_eq!(archive::approvals(&mut c, silent).await.unwrap(), []);
    assert_eq!(archive::rewinds(&mut c, silent).await.unwrap(), []);
    assert_eq!(archive::queued(&mut c, silent).await.unwrap(), []);
    assert_eq!(archive::undone(&mut c, silent).await.unwrap(), []);
}

pub async fn comments_are_read_as_they_were_inserted(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let set = changes::ChangeSetRow {
        id: id(),
        project_id: project,
        turn_id: None,
        origin: Word(ChangeOrigin::Replace),
        title: "Replaced".to_owned(),
        state: Word(ChangeSetState::Open),
        base_revision: 0,
        version: 1,
        created_at: at(1),
        created_by: None,
    };
    let sent = archive::CommentLine {
        id: id(),
        change_set_id: set.id,
        hunk_id: id(),
        text: "Why?".to_owned(),
        created_at: at(1),
        sent_at: Some(at(3)),
        by: by_ada(),
    };
    let unsent = archive::CommentLine { id: id(), created_at: at(2), sent_at: None, by: by_grace(), ..sent.clone() };
    let mut tx = begin(&db).await;
    changes::insert_set(&mut tx, &set).await.unwrap();
    archive::insert_comment(&mut tx, &unsent, &grace()).await.unwrap();
    archive::insert_comment(&mut tx, &sent, &Maker { id: Some(ada), author: None }).await.unwrap();
    let _committed = commit(tx).await;
    assert_eq!(archive::comments(&mut read(&db).await, set.id).await.unwrap(), [sent, unsent]);
    assert_eq!(archive::comments(&mut read(&db).await, id()).await.unwrap(), []);
}
