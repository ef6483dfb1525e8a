use store::{
    Db, checkpoints, events, exports, files, files_bulk,
    forgotten::{self, Mark},
    projects, quotas,
};
use wire::{
    ExportId, ProjectId, UserId,
    checkpoints::CheckpointKind,
    event::{EventKind, Stream},
    files::{EntryKind, FileAction, Origin},
};

use crate::world::{at, begin, commit, id, project, read, user, write};

/// One version in a revision of its own, at that second; without content it is a deletion. Answers its number.
async fn save(db: &Db, project: ProjectId, by: UserId, path: &str, content: Option<&str>) -> i64 {
    let mut tx = begin(db).await;
    let totals = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap();
    let version = files::latest(&mut tx, project, path).await.unwrap().map_or(totals.version_floor, |row| row.version) + 1;
    let new = files::NewVersion {
        project_id: project,
        path,
        version,
        revision: totals.revision,
        action: if content.is_some() { FileAction::Modified } else { FileAction::Deleted },
        kind: EntryKind::File,
        size: content.map_or(0, |text| text.len() as i64),
        content_type: "text/plain",
        checksum: content,
        mode: 0o644,
        origin: Origin::Person,
        at: at(totals.revision),
        by: Some(by),
        moved_from: None,
        cause: None,
        deleted_as: content.is_none().then_some(path),
    };
    files::insert_version(&mut tx, &new).await.unwrap();
    let _committed = commit(tx).await;
    version
}

fn mark(revision: i64, path: &str) -> Mark {
    Mark { revision, path: path.to_owned() }
}

async fn deletions(db: &Db, project: ProjectId, after: &Mark, until: i64, limit: i64) -> Vec<Mark> {
    forgotten::deletions(&mut read(db).await, project, after, until, limit).await.unwrap()
}

pub async fn deletions_are_forgotten_and_numbers_go_on(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    for text in [Some("else"), None] {
        save(&db, other, ada, "a", text).await;
    }
    // Deleted in revisions 3, 5, 7 and 9.
    for (path, texts) in [("a", &[Some("1"), Some("22"), None][..]), ("b", &[Some("b"), None][..])] {
        for text in texts {
            save(&db, project, ada, path, *text).await;
        }
    }
    save(&db, project, ada, "c", Some("needed")).await;
    write!(&db, tx => checkpoints::insert(&mut tx, &checkpoints::NewCheckpoint {
        id: id(), project_id: project, revision: 6, kind: CheckpointKind::Named, name: Some("Kept"), turn_id: None, file_count: 1, size_bytes: 6,
        at: at(1), by: Some(ada),
    }));
    save(&db, project, ada, "c", None).await;
    for text in [Some("d"), None] {
        save(&db, project, ada, "d", text).await;
    }
    let beyond = async |kept| forgotten::beyond(&mut read(&db).await, project, kept).await.unwrap();
    assert_eq!((beyond(0).await, beyond(2).await, beyond(3).await, beyond(4).await), (Some(8), Some(4), Some(2), None));
    let until = async |seconds| forgotten::revision_at(&mut read(&db).await, project, at(seconds)).await.unwrap();
    assert_eq!((until(0).await, until(5).await, until(50).await), (0, 5, 9));
    let first = Mark::default();
    assert_eq!(deletions(&db, project, &first, 9, 3).await, [mark(3, "a"), mark(5, "b"), mark(7, "c")]);
    assert_eq!(deletions(&db, project, &mark(5, "b"), 8, 9).await, [mark(7, "c")]);
    assert_eq!(deletions(&db, project, &mark(5, "a"), 5, 9).await, [mark(5, "b")]);

    let export: ExportId = id();
    write!(&db, tx => exports::hold(&mut tx, export, project, at(500)));
    assert_eq!(deletions(&db, project, &first, 9, 9).await, [], "an archive is being made");
    let mut tx = begin(&db).await;
    assert_eq!(forgotten::forget(&mut tx, project, &first, &mark(9, "d")).await.unwrap(), 0);
    drop(tx);
    write!(&db, tx => exports::release(&mut tx, export));

    let mut tx = begin(&db).await;
    assert!(quotas::lock_project(&mut tx, project).await.unwrap());
    assert_eq!(forgotten::forget(&mut tx, project, &first, &mark(7, "c")).await.unwrap(), 2);
    assert_eq!(forgotten::forget(&mut tx, project, &first, &mark(7, "c")).await.unwrap(), 0, "once");
    let _committed = commit(tx).await;
    let mut c = read(&db).await;
    for path in ["a", "b"] {
        assert!(files::history(&mut c, project, path, 99, 9).await.unwrap().is_empty(), "{path}");
    }
    assert_eq!(files::latest(&mut c, project, "c").await.unwrap().unwrap().version, 2, "what a checkpoint needs is known to be deleted");
    let then: Vec<String> = files::at_revision(&mut c, project, 6).await.unwrap().into_iter().map(|row| row.path).collect();
    assert_eq!(then, ["c"]);
    assert_eq!(files::latest(&mut c, project, "d").await.unwrap().unwrap().version, 2);
    assert_eq!(files::latest(&mut c, other, "a").await.unwrap().unwrap().version, 2);
    assert_eq!((forgotten::revision(&mut c, project).await.unwrap(), forgotten::revision(&mut c, other).await.unwrap()), (5, 0));
    for (revision, is_kept) in [(2, false), (4, false), (6, true)] {
        assert_eq!(files::is_kept_at(&mut c, project, revision).await.unwrap(), is_kept, "at {revision}");
    }
    drop(c);

    assert_eq!(save(&db, project, ada, "a", Some("again")).await, 4, "no version of it means two things");
    assert_eq!(save(&db, project, ada, "c", Some("again")).await, 3);
    assert_eq!(save(&db, other, ada, "new", Some("new")).await, 1);
    // Also where a directory is put there as a whole.
    save(&db, project, ada, "e/x", Some("x")).await;
    let mut tx = begin(&db).await;
    let totals = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap();
    assert_eq!((totals.version_floor, totals.forgotten_revision), (3, 5));
    let step =
        files_bulk::Step { project_id: project, revision: totals.revision, origin: Origin::Person, at: at(9), by: Some(ada), cause: None };
    files_bulk::put_whole(&mut tx, &step, "e", "b", false).await.unwrap();
    assert_eq!(files::latest(&mut tx, project, "b/x").await.unwrap().unwrap().version, 4);
}

pub async fn what_a_revision_wrote_is_thinned(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    for path in ["d/x", "z"] {
        for text in ["1", "22", "333", "4444", "55555"] {
            save(&db, project, ada, path, Some(text)).await;
        }
    }
    for text in ["y", "yy"] {
        save(&db, project, ada, "d/y", Some(text)).await;
    }
    write!(&db, tx => checkpoints::insert(&mut tx, &checkpoints::NewCheckpoint {
        id: id(), project_id: project, revision: 2, kind: CheckpointKind::Named, name: Some("Kept"), turn_id: None, file_count: 1, size_bytes: 2,
        at: at(1), by: Some(ada),
    }));
    let mut tx = begin(&db).await;
    let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
    let step = files_bulk::Step { project_id: project, revision, origin: Origin::Person, at: at(99), by: Some(ada), cause: None };
    files_bulk::delete_whole(&mut tx, &step, "d", Some("d")).await.unwrap();
    assert_eq!(quotas::remove_beyond(&mut tx, project, revision, 6).await.unwrap(), 0);
    assert_eq!(quotas::remove_beyond(&mut tx, project, revision, 2).await.unwrap(), 4);
    let _committed = commit(tx).await;
    let mut c = read(&db).await;
    for (path, kept) in [("d/x", &[6, 5, 2][..]), ("d/y", &[3, 2][..]), ("z", &[5, 4, 3, 2, 1][..])] {
        let versions: Vec<i64> = files::history(&mut c, project, path, 99, 9).await.unwrap().iter().map(|row| row.version).collect();
        assert_eq!(versions, kept, "{path}");
    }
}

pub async fn old_events_go_and_numbers_go_on(db: Db) {
    let (stream, other) = (Stream::Project(id()), Stream::Project(id()));
    for n in 1..=10 {
        write!(&db, tx => events::append(&mut tx, stream, at(n), vec![EventKind::ProjectChanged {}]));
    }
    write!(&db, tx => events::append(&mut tx, other, at(1), vec![EventKind::ProjectChanged {}]));
    let is_due = async |before, kept| events::has_old(&mut read(&db).await, stream, at(before), kept).await.unwrap();
    let forget = async |before, kept, limit| write!(&db, tx => events::forget_old(&mut tx, stream, at(before), kept, limit));
    let left = async || {
        let events = events::after(&mut read(&db).await, stream, 0, 99).await.unwrap();
        events.into_iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!((is_due(1, 10).await, is_due(2, 10).await, is_due(1, 9).await), (false, true, true));
    assert_eq!(forget(1, 10, 99).await, 0);
    assert_eq!((forget(4, 10, 2).await, forget(4, 10, 2).await, forget(4, 10, 2).await), (2, 1, 0));
    assert!(!is_due(4, 7).await);
    assert_eq!(forget(0, 5, 99).await, 2);
    assert_eq!(left().await, [6, 7, 8, 9, 10]);
    assert_eq!(forget(99, 0, 99).await, 4, "the last one stays");
    assert!(!is_due(99, 0).await);
    write!(&db, tx => events::append(&mut tx, stream, at(99), vec![EventKind::ProjectChanged {}]));
    assert_eq!(left().await, [10, 11]);
    assert_eq!(events::last_seq(&mut read(&db).await, stream).await.unwrap(), 11);
    assert_eq!(events::after(&mut read(&db).await, other, 0, 9).await.unwrap().len(), 1);
    assert!(!events::has_old(&mut read(&db).await, Stream::Project(id()), at(99), 0).await.unwrap());
}
