use store::{Db, Error, Word, changes};
use wire::{
    ChangeSetId, ProjectId, TurnId,
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, Hunk, HunkState},
    files::EntryKind,
};

use crate::world::{at, begin, id, project, read, turn, user, write};

fn new_set(project: ProjectId, turn: TurnId) -> changes::ChangeSetRow {
    changes::ChangeSetRow {
        id: id(),
        project_id: project,
        turn_id: Some(turn),
        origin: Word(ChangeOrigin::Agent),
        title: String::new(),
        state: Word(ChangeSetState::Open),
        base_revision: 4,
        version: 1,
        created_at: at(1),
        created_by: None,
    }
}

fn new_file(set: ChangeSetId, ord: i64, path: &str) -> changes::ChangeFileRow {
    changes::ChangeFileRow {
        change_set_id: set,
        ord,
        path: path.to_owned(),
        old_path: (ord == 0).then(|| "before".to_owned()),
        action: Word(ChangeAction::Modify),
        is_binary: ord == 1,
        kind: Word(EntryKind::File),
        added_lines: 2,
        removed_lines: 1,
        old_checksum: Some("old".to_owned()),
        old_mode: Some(0o644),
        new_checksum: None,
        new_mode: None,
        new_size: 17,
    }
}

fn new_hunk(start: i32) -> Hunk {
    Hunk {
        id: id(),
        old_start: start,
        old_lines: 3,
        new_start: start + 1,
        new_lines: 4,
        diff: " a\n-b\n+c\n".to_owned(),
        state: HunkState::Open,
        edited_text: None,
        reason: None,
        decided_by: None,
        now: None,
    }
}

pub async fn a_turn_has_one_change_set(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    let set = new_set(project, turn);
    write!(&db, tx => changes::insert_set(&mut tx, &set));
    let mut tx = begin(&db).await;
    assert!(matches!(changes::insert_set(&mut tx, &new_set(project, turn)).await, Err(Error::Taken(_))));
    drop(tx);

    let mut c = read(&db).await;
    let found = changes::set(&mut c, set.id).await.unwrap().unwrap();
    assert_eq!((found.turn_id, found.state.0, found.base_revision, found.version), (Some(turn), ChangeSetState::Open, 4, 1));
    assert_eq!(changes::set_of_turn(&mut c, turn).await.unwrap().unwrap().id, set.id);
    // Sets that no turn made do not stand in each other's way.
    for title in ["Replace a by b", "Replace a by c"] {
        let by_hand = changes::ChangeSetRow {
            id: id(),
            turn_id: None,
            origin: Word(ChangeOrigin::Replace),
            title: title.to_owned(),
            created_by: Some(ada),
            ..new_set(project, turn)
        };
        write!(&db, tx => changes::insert_set(&mut tx, &by_hand));
        let found = changes::set(&mut c, by_hand.id).await.unwrap().unwrap();
        assert_eq!(
            (found.turn_id, found.origin.0, found.title.as_str(), found.created_by),
            (None, ChangeOrigin::Replace, title, Some(ada))
        );
    }
    assert!(changes::set(&mut c, id()).await.unwrap().is_none());
    assert!(changes::set_of_turn(&mut c, id()).await.unwrap().is_none());
    drop(c);

    // Reviewers that lock the set see each other's count.
    let reviewers: Vec<_> = (0..8)
        .map(|_| {
            let (db, id) = (db.clone(), set.id);
            tokio::spawn(async move { write!(&db, tx => changes::lock_set(&mut tx, id)).unwrap().version })
        })
        .collect();
    let mut versions = Vec::new();
    for reviewer in reviewers {
        versions.push(reviewer.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=9).collect::<Vec<i64>>());
    assert!(write!(&db, tx => changes::lock_set(&mut tx, id())).is_none());
    write!(&db, tx => changes::set_state(&mut tx, set.id, ChangeSetState::Decided));
    assert_eq!(changes::set(&mut read(&db).await, set.id).await.unwrap().unwrap().state.0, ChangeSetState::Decided);
}

pub async fn hunks_are_decided(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    let set = new_set(project, turn);
    let (early, late, only) = (new_hunk(1), new_hunk(20), new_hunk(5));
    write!(&db, tx => changes::insert_set(&mut tx, &set));
    for (ord, path) in [(1, "b"), (0, "a")] {
        write!(&db, tx => changes::insert_file(&mut tx, &new_file(set.id, ord, path)));
    }
    for (file, ord, hunk) in [(1, 0, &only), (0, 1, &late), (0, 0, &early)] {
        write!(&db, tx => changes::insert_hunk(&mut tx, set.id, file, ord, hunk));
    }
    let mut c = read(&db).await;
    let files = changes::files(&mut c, set.id).await.unwrap();
    assert_eq!(files.iter().map(|row| (row.path.as_str(), row.is_binary)).collect::<Vec<_>>(), [("a", false), ("b", true)]);
    assert_eq!(files.iter().map(|row| row.old_path.as_deref()).collect::<Vec<_>>(), [Some("before"), None]);
    assert_eq!((files[0].old_mode, files[0].new_mode, files[0].old_checksum.as_deref()), (Some(0o644), None, Some("old")));
    assert_eq!(
        (files[0].action.0, files[0].kind.0, files[0].added_lines, files[0].new_size),
        (ChangeAction::Modify, EntryKind::File, 2, 17)
    );
    let hunks = changes::hunks(&mut c, set.id).await.unwrap();
    assert_eq!(hunks.iter().map(|row| (row.file_ord, row.ord)).collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0)]);
    assert_eq!(hunks[0].clone().into_hunk(), early);
    drop(c);

    write!(&db, tx => changes::decide_hunk(&mut tx, late.id, HunkState::Edited, Some("text"), Some("better"), ada, at(3)));
    let decided = changes::hunks(&mut read(&db).await, set.id).await.unwrap().remove(1).into_hunk();
    assert_eq!(
        (decided.state, decided.edited_text.as_deref(), decided.reason.as_deref()),
        (HunkState::Edited, Some("text"), Some("better"))
    );
    assert_eq!(decided.decided_by.map(|by| (by.id, by.name)), Some((ada, "ada".to_owned())));
}

/// The migration that lets change sets be without a turn makes their table again on SQLite, where that would take the rows below along.
pub async fn a_table_made_again_keeps_what_hangs_on_it(db: Db) {
    let Db::Sqlite { write, .. } = &db else { return };
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    let set = new_set(project, turn);
    let hunk = new_hunk(1);
    write!(&db, tx => changes::insert_set(&mut tx, &set));
    write!(&db, tx => changes::insert_file(&mut tx, &new_file(set.id, 0, "a")));
    write!(&db, tx => changes::insert_hunk(&mut tx, set.id, 0, 0, &hunk));
    let mut tx = write.begin().await.unwrap();
    sqlx::raw_sql(include_str!("../../../../../migrations/sqlite/0008_replace.sql")).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    let mut c = read(&db).await;
    let found = changes::set(&mut c, set.id).await.unwrap().unwrap();
    assert_eq!((found.turn_id, found.origin.0, found.version), (Some(turn), ChangeOrigin::Agent, 1));
    assert_eq!(changes::files(&mut c, set.id).await.unwrap().len(), 1);
    assert_eq!(changes::hunks(&mut c, set.id).await.unwrap().remove(0).into_hunk(), hunk);
    drop(c);
    // They still go with their set.
    sqlx::raw_sql("DELETE FROM change_sets").execute(write).await.unwrap();
    assert!(changes::hunks(&mut read(&db).await, set.id).await.unwrap().is_empty());
}

pub async fn open_sets_are_listed_by_project(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    let (first, second, decided) =
        (new_set(project, turn), by_hand(project, ChangeSetState::Open, 5), by_hand(project, ChangeSetState::Decided, 6));
    for set in [&first, &second, &decided] {
        write!(&db, tx => changes::insert_set(&mut tx, set));
    }
    write!(&db, tx => changes::insert_file(&mut tx, &new_file(first.id, 0, "a")));
    let (open, rejected, conflict) = (new_hunk(1), new_hunk(9), new_hunk(20));
    for (ord, hunk) in [(0, &open), (1, &rejected), (2, &conflict)] {
        write!(&db, tx => changes::insert_hunk(&mut tx, first.id, 0, ord, hunk));
    }
    write!(&db, tx => changes::decide_hunk(&mut tx, rejected.id, HunkState::Rejected, None, None, ada, at(3)));
    write!(&db, tx => changes::decide_hunk(&mut tx, conflict.id, HunkState::Conflict, None, None, ada, at(3)));
    let mut c = read(&db).await;
    let listed = changes::open_sets(&mut c, project, None, 10).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|set| (set.change_set_id, set.turn_id, set.origin, set.files, set.open_hunks)).collect();
    assert_eq!(
        shown,
        [(second.id, None, ChangeOrigin::Replace, 0, 0), (first.id, Some(turn), ChangeOrigin::Agent, 1, 2)],
        "newest first, without what is decided"
    );
    assert_eq!(changes::open_sets(&mut c, project, None, 1).await.unwrap().len(), 1);
    let rest = changes::open_sets(&mut c, project, Some((listed[0].created_at, second.id)), 10).await.unwrap();
    assert_eq!(rest.iter().map(|set| set.change_set_id).collect::<Vec<_>>(), [first.id]);
    assert!(changes::open_sets(&mut c, id(), None, 10).await.unwrap().is_empty());
}

fn by_hand(project: ProjectId, state: ChangeSetState, when: i64) -> changes::ChangeSetRow {
    changes::ChangeSetRow {
        turn_id: None,
        origin: Word(ChangeOrigin::Replace),
        state: Word(state),
        created_at: at(when),
        ..new_set(project, id())
    }
}

pub async fn comments_are_sent_once(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let set = by_hand(project, ChangeSetState::Open, 1);
    let hunk = new_hunk(1);
    write!(&db, tx => changes::insert_set(&mut tx, &set));
    write!(&db, tx => changes::insert_file(&mut tx, &new_file(set.id, 0, "a")));
    write!(&db, tx => changes::insert_hunk(&mut tx, set.id, 0, 0, &hunk));
    let (first, second, third) = (id(), id(), id());
    for (comment, text, when) in [(second, "two", 2), (first, "one", 1)] {
        write!(&db, tx => changes::insert_comment(&mut tx, comment, set.id, hunk.id, text, ada, at(when)));
    }
    let mut c = read(&db).await;
    let said = changes::comments(&mut c, set.id).await.unwrap();
    assert_eq!(said.iter().map(|row| (row.id, row.text.as_str())).collect::<Vec<_>>(), [(first, "one"), (second, "two")], "oldest first");
    let shown = changes::comment(&mut c, first).await.unwrap().unwrap().into_comment();
    assert_eq!((shown.hunk_id, shown.created_by.map(|by| by.name), shown.sent_at), (hunk.id, Some("ada".to_owned()), None));
    assert_eq!(write!(&db, tx => changes::claim_comments(&mut tx, set.id, at(5))), 2);
    assert_eq!(write!(&db, tx => changes::claim_comments(&mut tx, set.id, at(6))), 0, "each is sent once");
    assert!(!write!(&db, tx => changes::delete_unsent_comment(&mut tx, first)));
    write!(&db, tx => changes::insert_comment(&mut tx, third, set.id, hunk.id, "three", ada, at(7)));
    let mut c = read(&db).await;
    let sent: Vec<_> = changes::comments(&mut c, set.id).await.unwrap().into_iter().map(|row| row.sent_at).collect();
    assert_eq!(sent, [Some(at(5)), Some(at(5)), None], "what is said later waits");
    assert!(write!(&db, tx => changes::delete_unsent_comment(&mut tx, third)));
    assert!(!write!(&db, tx => changes::delete_unsent_comment(&mut tx, third)));
    assert!(changes::comment(&mut read(&db).await, third).await.unwrap().is_none());
}
