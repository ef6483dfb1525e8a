use store::{
    Db, Word, budgets,
    changes::{self, ChangeSetRow},
    files, jobs, network, projects, purge, quotas, runs,
};
use wire::{
    ProjectId, RunId,
    budgets::BudgetScope,
    changes::{ChangeOrigin, ChangeSetState},
    files::{EntryKind, FileAction, Origin},
    network::EgressEntry,
};

use crate::world::{at, begin, commit, conversation, id, project, read, run, user, write};

pub async fn a_deleted_project_is_due_until_its_end_is_begun(db: Db) {
    let ada = user(&db, "ada").await;
    let (gone, busy, kept) = (project(&db, ada).await, project(&db, ada).await, project(&db, ada).await);
    write!(&db, tx => jobs::insert(&mut tx, &jobs::NewJob {
        id: id(), kind: "test", lane: "work", priority: 0, payload: "{}", user_id: Some(ada), project_id: Some(busy), max_attempts: 3, at: at(1),
    }));
    let due = async |before: i64| purge::due(&mut read(&db).await, at(before), 9).await.unwrap();
    assert_eq!(due(100).await, []);
    write!(&db, tx => projects::mark_deleted(&mut tx, busy, at(4)));
    write!(&db, tx => projects::mark_deleted(&mut tx, gone, at(5)));
    assert_eq!((due(5).await, due(6).await), (vec![], vec![(gone, false)]), "a job still works on the other");

    assert!(!write!(&db, tx => purge::finish(&mut tx, gone)), "its end was not begun");
    assert_eq!(write!(&db, tx => purge::begin(&mut tx, kept, at(100))), None, "nobody deleted it");
    assert_eq!(write!(&db, tx => purge::begin(&mut tx, gone, at(5))), None, "too early");
    assert_eq!(write!(&db, tx => purge::begin(&mut tx, gone, at(6))).as_deref(), Some("Project"));
    assert_eq!(write!(&db, tx => purge::begin(&mut tx, gone, at(6))), None, "once");
    assert_eq!(due(6).await, [(gone, true)]);

    let of = [(BudgetScope::Project, gone.0), (BudgetScope::Project, kept.0)];
    write!(&db, tx => budgets::reserve(&mut tx, &of[..1], "2026-11", 7, 8));
    write!(&db, tx => budgets::reserve(&mut tx, &of[1..], "2026-11", 7, 8));
    assert!(write!(&db, tx => purge::finish(&mut tx, gone)));
    let mut c = read(&db).await;
    assert!(quotas::project(&mut c, gone).await.unwrap().is_none() && quotas::project(&mut c, kept).await.unwrap().is_some());
    assert_eq!(budgets::counter(&mut c, BudgetScope::Project, gone.0).await.unwrap(), budgets::Counter::default());
    assert_eq!(budgets::counter(&mut c, BudgetScope::Project, kept.0).await.unwrap().reserved_micros, 7);
}

pub async fn what_a_project_holds_goes_in_pieces(db: Db) {
    let ada = user(&db, "ada").await;
    let (gone, kept) = (project(&db, ada).await, project(&db, ada).await);
    let talk = conversation(&db, gone, ada).await;
    conversation(&db, kept, ada).await;
    let (first, second) = (run(&db, gone, ada, None, None, at(1)).await, run(&db, gone, ada, None, None, at(2)).await);
    let elsewhere = run(&db, kept, ada, None, None, at(1)).await;
    let mut tx = begin(&db).await;
    for (project_id, path) in [(gone, "a"), (gone, "b"), (gone, "c"), (kept, "a")] {
        let new = files::NewVersion {
            project_id,
            path,
            version: 1,
            revision: 1,
            action: FileAction::Added,
            kind: EntryKind::File,
            size: 3,
            content_type: "text/plain",
            checksum: Some("one"),
            mode: 0o644,
            origin: Origin::Person,
            at: at(1),
            by: Some(ada),
            moved_from: None,
            cause: None,
            deleted_as: None,
        };
        files::insert_version(&mut tx, &new).await.unwrap();
    }
    for (project_id, run_id) in [(gone, first), (gone, second), (kept, elsewhere)] {
        let entry = EgressEntry { run_id, host: "example.org".to_owned(), port: 443, allowed: true, reason: String::new(), at: at(1) };
        network::insert_log(&mut tx, id(), project_id, &entry).await.unwrap();
        changes::insert_set(&mut tx, &replacement(project_id)).await.unwrap();
    }
    let _committed = commit(tx).await;

    let mut c = read(&db).await;
    assert_eq!(purge::conversations(&mut c, gone, 9).await.unwrap(), [talk]);
    assert_eq!(purge::conversations(&mut c, gone, 0).await.unwrap(), []);
    let sorted = |mut ids: Vec<RunId>| {
        ids.sort_unstable();
        ids
    };
    assert_eq!(purge::runs(&mut c, gone, 9).await.unwrap(), sorted(vec![first, second]));
    assert_eq!(purge::runs(&mut c, gone, 1).await.unwrap().len(), 1);
    drop(c);
    write!(&db, tx => purge::delete_run(&mut tx, first));
    assert_eq!(purge::runs(&mut read(&db).await, gone, 9).await.unwrap(), [second], "whatever its state says");
    assert!(runs::get(&mut read(&db).await, elsewhere).await.unwrap().is_some());

    assert_eq!(write!(&db, tx => purge::delete_some(&mut tx, gone, 2)), 4, "two versions and two requests to the network");
    assert_eq!(write!(&db, tx => purge::delete_some(&mut tx, gone, 100)), 3, "a version and two change sets");
    assert_eq!(write!(&db, tx => purge::delete_some(&mut tx, gone, 100)), 0);
    assert_eq!(write!(&db, tx => purge::delete_some(&mut tx, kept, 100)), 3, "nothing of the other went");
}

fn replacement(project_id: ProjectId) -> ChangeSetRow {
    ChangeSetRow {
        id: id(),
        project_id,
        turn_id: None,
        origin: Word(ChangeOrigin::Replace),
        title: "Replaced".to_owned(),
        state: Word(ChangeSetState::Decided),
        base_revision: 0,
        version: 1,
        created_at: at(1),
        created_by: None,
    }
}
