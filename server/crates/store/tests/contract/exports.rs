use store::{
    Db, Doc, Word,
    archive::{self, By, Maker},
    exports, files, projects,
};
use wire::{
    ChangeSetId, ConversationId, ExportId, ProjectId, TurnId, UserId,
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, HunkState},
    chat::{MessageBody, Mode, TurnReason},
    checkpoints::CheckpointKind,
    event::EventKind,
    files::{EntryKind, FileAction, Origin},
    jobs::JobState,
    runs::{RunKind, RunLimits, RunNetwork, RunState},
    test_reports::{Framework, TestReport},
};

use crate::world::{at, begin, commit, id, job, project, read, user, write};

fn sha(letter: &str) -> String {
    letter.repeat(64)
}

pub async fn exports_belong_to_who_asked_until_they_expire(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let project = project(&db, ada).await;
    let (first, second): (ExportId, ExportId) = (id(), id());
    for (export, seconds) in [(first, 1), (second, 2)] {
        let job_id = job(&db, Some(ada), at(0)).await;
        write!(&db, tx => exports::insert(&mut tx, &exports::NewExport {
            id: export, project_id: project, user_id: ada, job_id, history: export == second, filename: "p.zip", at: at(seconds),
            expires_at: at(seconds + 100),
        }));
    }
    let mut c = read(&db).await;
    let listed = exports::list(&mut c, project, ada, at(50)).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [second, first]);
    let shown = listed[0].clone().into_export();
    assert_eq!((shown.state, shown.size, shown.history), (JobState::Queued, None, true));
    assert!(exports::list(&mut c, project, bob, at(50)).await.unwrap().is_empty());
    assert_eq!(exports::list(&mut c, project, ada, at(101)).await.unwrap().len(), 1, "the first has expired");
    drop(c);
    assert!(write!(&db, tx => exports::finish(&mut tx, second, &sha("a"), 7, at(500))));
    assert!(!write!(&db, tx => exports::finish(&mut tx, id(), &sha("a"), 7, at(500))));
    let row = exports::get(&mut read(&db).await, second).await.unwrap().unwrap();
    assert_eq!((row.checksum, row.size, row.expires_at), (Some(sha("a")), Some(7), at(500)));
    assert_eq!(write!(&db, tx => exports::delete_expired(&mut tx, at(101))), 1);
    write!(&db, tx => exports::delete(&mut tx, second));
    assert!(exports::get(&mut read(&db).await, second).await.unwrap().is_none());
}

pub async fn an_archive_that_is_being_imported_is_named(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    for letter in ["a", "b"] {
        write!(&db, tx => exports::insert_import(&mut tx, project, &sha(letter)));
    }
    let (old, new) = (sha("a"), sha("b"));
    let named = store::blobs::referenced(&mut read(&db).await, "local", &[&old, &new]).await.unwrap();
    assert_eq!(named.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&new));
    write!(&db, tx => exports::delete_import(&mut tx, project));
    assert!(store::blobs::referenced(&mut read(&db).await, "local", &[&new]).await.unwrap().is_empty());
}

fn version(path: &str, version: i64, revision: i64, superseded: Option<i64>) -> archive::VersionLine {
    archive::VersionLine {
        path: path.to_owned(),
        version,
        revision,
        superseded,
        action: Word(FileAction::Added),
        kind: Word(EntryKind::File),
        size: 3,
        content_type: "text/plain".to_owned(),
        checksum: Some(sha("c")),
        mode: 0o644,
        origin: Word(Origin::Person),
        moved_from: None,
        cause: None,
        deleted_as: None,
        created_at: at(revision),
        by: By { username: None, author: Some("Grace".to_owned()) },
    }
}

async fn unfinished(db: &Db, owner: UserId) -> ProjectId {
    let new = id();
    write!(db, tx => projects::insert(&mut tx, &projects::NewProject {
        id: new, owner_id: owner, name: "P", description: "", storage_backend: "local", at: at(0), importing: true,
    }));
    new
}

/// A conversation with its turn, a change set and a run, as an archive would bring them.
async fn fill_talk(db: &Db, project: ProjectId, ada: UserId) -> (ConversationId, TurnId, ChangeSetId) {
    let (conversation_id, turn_id, change_set_id) = (id(), id(), id());
    let by = By { username: Some("ada".to_owned()), author: Some("ada".to_owned()) };
    let mut tx = begin(db).await;
    let line = archive::ConversationLine {
        id: conversation_id,
        title: "T".into(),
        last_message: 0,
        created_at: at(1),
        updated_at: at(2),
        parent_id: None,
        parent_seq: None,
        last_prompt: Some("Do it".into()),
        queue_waits: None,
        deleted_at: None,
        by: by.clone(),
    };
    archive::insert_conversation(&mut tx, project, &line, ada).await.unwrap();
    let turn = archive::TurnLine {
        id: turn_id,
        conversation_id,
        prompt: "Do it".into(),
        mode: Word(Mode::Ask),
        model: "m".into(),
        reason: Some(Word(TurnReason::Done)),
        detail: None,
        base_revision: 1,
        budget_tokens: None,
        budget_steps: Some(3),
        usage_input: 1,
        usage_output: 2,
        usage_cached: 0,
        budget_usd_micros: Some(5),
        max_tokens: Some(700),
        temperature: Some(1500),
        cost_micros: 3,
        cost_estimated: true,
        copied_from: None,
        choice: Some(Doc(wire::context::ContextChoice { without: vec!["m1".into()], ..Default::default() })),
        change_set_id: Some(change_set_id),
        created_at: at(1),
        started_at: Some(at(1)),
        finished_at: Some(at(2)),
        by: by.clone(),
    };
    archive::insert_turn(&mut tx, project, &turn, ada).await.unwrap();
    let body = Doc(MessageBody::Note { text: "n".into() });
    let message = archive::MessageLine { id: id(), conversation_id, turn_id: Some(turn_id), seq: 1, body, created_at: at(1) };
    archive::insert_message(&mut tx, &message).await.unwrap();
    archive::set_last_message(&mut tx, conversation_id, 1).await.unwrap();
    let set = archive::ChangeSetLine {
        id: change_set_id,
        turn_id: Some(turn_id),
        origin: Word(ChangeOrigin::Agent),
        title: String::new(),
        state: Word(ChangeSetState::Decided),
        base_revision: 1,
        version: 2,
        created_at: at(2),
        by: By::default(),
    };
    archive::insert_change_set(&mut tx, project, &set, None).await.unwrap();
    let file = archive::ChangeFileLine {
        change_set_id,
        ord: 0,
        path: "a".into(),
        action: Word(ChangeAction::Modify),
        is_binary: false,
        kind: Word(EntryKind::File),
        added_lines: 1,
        removed_lines: 1,
        old_checksum: Some(sha("c")),
        old_mode: Some(0o644),
        new_checksum: Some(sha("d")),
        new_mode: Some(0o644),
        new_size: 9,
        old_path: None,
    };
    archive::insert_change_file(&mut tx, &file).await.unwrap();
    let hunk = archive::HunkLine {
        id: id(),
        change_set_id,
        file_ord: 0,
        ord: 0,
        old_start: 1,
        old_lines: 1,
        new_start: 1,
        new_lines: 1,
        diff: "-a\n+b\n".into(),
        state: Word(HunkState::Accepted),
        edited_text: None,
        reason: None,
        decided_at: Some(at(3)),
        by: By { username: None, author: Some("Grace".into()) },
    };
    archive::insert_hunk(&mut tx, &hunk, &Maker { id: Some(id()), author: Some("Grace".into()) }).await.unwrap();
    let _ = commit(tx).await;
    (conversation_id, turn_id, change_set_id)
}

fn run_line(turn_id: Option<TurnId>) -> archive::RunLine {
    archive::RunLine {
        id: id(),
        turn_id,
        kind: RunKind::SandboxExec,
        command: "make".into(),
        cwd: String::new(),
        env_names: vec!["TOKEN".into()],
        state: RunState::Succeeded,
        exit: None,
        tier: Some("s2".into()),
        limits: RunLimits::default(),
        usage: None,
        changes: Vec::new(),
        network: RunNetwork::None,
        only: Vec::new(),
        created_at: at(4),
        started_at: Some(at(4)),
        finished_at: Some(at(5)),
        by: By { username: None, author: Some("Grace".into()) },
    }
}

pub async fn a_past_is_read_as_it_was_inserted_and_cleared_while_unfinished(db: Db) {
    let ada = user(&db, "ada").await;
    let project = unfinished(&db, ada).await;
    let grace = Maker { id: Some(id()), author: Some("Grace".to_owned()) };
    let mut tx = begin(&db).await;
    for line in [version("a", 1, 1, Some(2)), version("a", 2, 2, None), version("b/c", 1, 3, None)] {
        archive::insert_version(&mut tx, project, &line, &grace).await.unwrap();
    }
    let checkpoint = archive::CheckpointLine {
        id: id(),
        revision: 1,
        kind: Word(CheckpointKind::Named),
        name: Some("Kept".into()),
        turn_id: None,
        file_count: 1,
        size_bytes: 3,
        created_at: at(1),
        by: By { username: None, author: Some("Grace".into()) },
    };
    archive::insert_checkpoint(&mut tx, project, &checkpoint, &grace).await.unwrap();
    let _ = commit(tx).await;
    let (conversation, turn, set) = fill_talk(&db, project, ada).await;
    let run = run_line(Some(turn));
    let mut tx = begin(&db).await;
    archive::insert_run(&mut tx, project, &run, ada, Some("Grace")).await.unwrap();
    let noted = |text: &str| EventKind::RunNoted { text: text.to_owned() };
    archive::insert_events(&mut tx, run.id, 1, vec![(at(4), EventKind::RunQueued {})]).await.unwrap();
    archive::insert_events(&mut tx, run.id, 2, vec![(at(5), noted("one")), (at(6), noted("two"))]).await.unwrap();
    let report = TestReport { framework: Framework::Pytest, passed: 1, failed: 0, skipped: 0, cases: Vec::new(), truncated: false };
    archive::insert_report(&mut tx, &archive::ReportLine { run_id: run.id, report: Doc(report) }).await.unwrap();
    let past = archive::Past { description: "About", revision: 3, file_count: 2, size_bytes: 6 };
    archive::set_past(&mut tx, project, &past).await.unwrap();
    assert!(commit(tx).await.events.is_empty(), "nobody is told of what is long over");

    let mut c = read(&db).await;
    let now = archive::versions(&mut c, project, 3, None, 10).await.unwrap();
    assert_eq!(now, [version("a", 1, 1, Some(2)), version("a", 2, 2, None), version("b/c", 1, 3, None)]);
    let then = archive::versions(&mut c, project, 1, None, 10).await.unwrap();
    assert_eq!(then, [version("a", 1, 1, None)], "as it stood at that revision");
    assert_eq!(archive::versions(&mut c, project, 3, Some(("a", 1)), 1).await.unwrap(), [version("a", 2, 2, None)]);
    let blobs = archive::blobs(&mut c, project, 3, false, "", 10).await.unwrap();
    assert_eq!(
        blobs.iter().map(|blob| (blob.checksum.as_str(), blob.size)).collect::<Vec<_>>(),
        [(sha("c").as_str(), 3), (sha("d").as_str(), 9)]
    );
    assert_eq!(archive::blobs(&mut c, project, 3, false, &sha("c"), 10).await.unwrap().len(), 1);
    assert_eq!(archive::checkpoints(&mut c, project, 3).await.unwrap(), [checkpoint]);
    assert!(archive::checkpoints(&mut c, project, 0).await.unwrap().is_empty());
    assert_eq!(archive::conversations(&mut c, project, false).await.unwrap()[0].last_message, 1);
    assert_eq!(archive::turns(&mut c, conversation).await.unwrap()[0].id, turn);
    assert_eq!(archive::messages(&mut c, conversation, 0, 10).await.unwrap().len(), 1);
    assert!(archive::messages(&mut c, conversation, 1, 10).await.unwrap().is_empty());
    assert_eq!(archive::change_sets(&mut c, project).await.unwrap()[0].id, set);
    assert_eq!(archive::change_files(&mut c, set).await.unwrap()[0].new_size, 9);
    assert_eq!(archive::hunks(&mut c, set).await.unwrap()[0].by.author.as_deref(), Some("Grace"));
    assert_eq!(archive::runs(&mut c, project, None, 10).await.unwrap(), std::slice::from_ref(&run));
    assert!(archive::runs(&mut c, project, Some((run.created_at, run.id)), 10).await.unwrap().is_empty());
    assert_eq!(archive::reports(&mut c, project).await.unwrap()[0].run_id, run.id);
    let events = store::events::after(&mut c, wire::event::Stream::Run(run.id), 0, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
    // People see who it was, although nobody here has that name.
    assert_eq!(files::latest(&mut c, project, "a").await.unwrap().unwrap().into_version().created_by.unwrap().name, "Grace");
    assert_eq!(store::runs::get(&mut c, run.id).await.unwrap().unwrap().into_run().started_by.name, "Grace");
    drop(c);

    write!(&db, tx => archive::clear(&mut tx, project));
    let mut c = read(&db).await;
    assert!(archive::versions(&mut c, project, 3, None, 10).await.unwrap().is_empty());
    assert!(archive::conversations(&mut c, project, false).await.unwrap().is_empty());
    assert!(archive::runs(&mut c, project, None, 10).await.unwrap().is_empty());
    assert!(store::events::after(&mut c, wire::event::Stream::Run(run.id), 0, 10).await.unwrap().is_empty());
    drop(c);
    write!(&db, tx => archive::insert_version(&mut tx, project, &version("a", 1, 1, None), &grace));
    write!(&db, tx => projects::finish_import(&mut tx, project, at(9)));
    write!(&db, tx => archive::clear(&mut tx, project));
    assert_eq!(archive::versions(&mut read(&db).await, project, 3, None, 10).await.unwrap().len(), 1, "a finished project is left alone");
}
