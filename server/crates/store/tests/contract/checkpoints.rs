use store::{Db, checkpoints, files, projects};
use wire::{
    CheckpointId, ProjectId, TurnId, UserId,
    checkpoints::CheckpointKind,
    files::{EntryKind, FileAction, Origin},
};

use crate::world::{at, begin, commit, id, project, read, turn, user, write};

struct Change<'a> {
    path: &'a str,
    checksum: Option<&'a str>,
    kind: EntryKind,
}

fn file<'a>(path: &'a str, checksum: &'a str) -> Change<'a> {
    Change { path, checksum: Some(checksum), kind: EntryKind::File }
}

fn gone(path: &str) -> Change<'_> {
    Change { path, checksum: None, kind: EntryKind::File }
}

/// Several changes as one revision; every file has 10 bytes. Answers the revision.
async fn change(db: &Db, project: ProjectId, by: UserId, changes: &[Change<'_>]) -> i64 {
    let mut tx = begin(db).await;
    let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
    for change in changes {
        let version = files::latest(&mut tx, project, change.path).await.unwrap().map_or(1, |row| row.version + 1);
        let is_file = change.kind == EntryKind::File && change.checksum.is_some();
        let deleted = change.kind == EntryKind::File && change.checksum.is_none();
        let new = files::NewVersion {
            project_id: project,
            path: change.path,
            version,
            revision,
            action: if deleted { FileAction::Deleted } else { FileAction::Added },
            kind: change.kind,
            size: if is_file { 10 } else { 0 },
            content_type: "text/plain",
            checksum: change.checksum,
            mode: 0o755,
            origin: Origin::Person,
            at: at(revision),
            by: Some(by),
            moved_from: None,
            cause: None,
            deleted_as: deleted.then_some(change.path),
        };
        files::insert_version(&mut tx, &new).await.unwrap();
    }
    let _committed = commit(tx).await;
    revision
}

async fn keep(db: &Db, project: ProjectId, by: UserId, revision: i64, name: Option<&str>, turn: Option<TurnId>) -> CheckpointId {
    let new = id();
    let kind = if turn.is_some() { CheckpointKind::Turn } else { CheckpointKind::Named };
    write!(db, tx => checkpoints::insert(&mut tx, &checkpoints::NewCheckpoint {
        id: new, project_id: project, revision, kind, name, turn_id: turn, file_count: 2, size_bytes: 20, at: at(revision), by: Some(by),
    }));
    new
}

async fn ids(db: &Db, project: ProjectId) -> Vec<CheckpointId> {
    checkpoints::list(&mut read(db).await, project).await.unwrap().into_iter().map(|row| row.id).collect()
}

pub async fn checkpoints_are_listed_named_and_bounded(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    let turn = turn(&db, project, ada).await;
    let first = keep(&db, project, ada, 1, None, Some(turn)).await;
    let named = keep(&db, project, ada, 2, Some("Works"), None).await;
    let third = keep(&db, project, ada, 3, None, None).await;
    let fourth = keep(&db, project, ada, 4, None, None).await;
    keep(&db, other, ada, 1, None, None).await;

    assert_eq!(ids(&db, project).await, [fourth, third, named, first]);
    let mut c = read(&db).await;
    let row = checkpoints::get(&mut c, project, first).await.unwrap().unwrap().into_checkpoint();
    assert_eq!((row.prompt.as_deref(), row.title().as_str(), row.turn_id), (Some("Do it"), "Before: Do it", Some(turn)));
    assert_eq!((row.files, row.bytes, row.revision), (2, 20, 1));
    assert_eq!(row.created_by.map(|by| by.name).as_deref(), Some("ada"));
    assert!(checkpoints::get(&mut c, other, first).await.unwrap().is_none(), "known in its own project only");
    assert_eq!(checkpoints::count_named(&mut c, project).await.unwrap(), 1);
    assert_eq!(checkpoints::oldest_unnamed(&mut c, project).await.unwrap(), Some(first));
    drop(c);

    assert!(!write!(&db, tx => checkpoints::rename(&mut tx, other, first, Some("x"))));
    assert!(write!(&db, tx => checkpoints::rename(&mut tx, project, third, Some("Kept"))));
    assert_eq!(write!(&db, tx => checkpoints::prune(&mut tx, project, 5, at(0))), 0);
    assert_eq!(write!(&db, tx => checkpoints::prune(&mut tx, project, 1, at(0))), 1, "what has a name is not counted");
    assert_eq!(ids(&db, project).await, [fourth, third, named]);
    assert_eq!(checkpoints::oldest_unnamed(&mut read(&db).await, project).await.unwrap(), None, "the newest one stays");
    assert_eq!(write!(&db, tx => checkpoints::prune(&mut tx, project, 5, at(100))), 1, "too old");
    assert!(!write!(&db, tx => checkpoints::delete(&mut tx, other, named)));
    assert!(write!(&db, tx => checkpoints::delete(&mut tx, project, named)));
    assert!(!write!(&db, tx => checkpoints::delete(&mut tx, project, named)));
    assert_eq!(ids(&db, project).await, [third]);
    assert_eq!(ids(&db, other).await.len(), 1);
}

pub async fn checkpoints_know_what_changed_since_and_what_they_hold(db: Db) {
    let ada = user(&db, "ada").await;
    let ben = user(&db, "ben").await;
    let project = project(&db, ada).await;
    change(&db, project, ada, &[file("a", "one"), file("b", "two"), file("c", "three"), file("z/.gitignore", "rules")]).await;
    let kept = change(&db, project, ada, &[file("c", "four")]).await;
    change(&db, project, ada, &[file("a", "five")]).await;
    change(&db, project, ben, &[file("a", "six"), gone("b"), file("d", "four")]).await;

    let mut c = read(&db).await;
    let steps = checkpoints::steps_since(&mut c, project, kept).await.unwrap();
    let seen: Vec<_> = steps.iter().map(|row| (row.path.as_str(), row.version, row.by().unwrap().name)).collect();
    let expected = [("a", 1, "ada"), ("a", 2, "ada"), ("a", 3, "ben"), ("b", 1, "ada"), ("b", 2, "ben"), ("d", 1, "ben")];
    assert_eq!(seen, expected.map(|(path, version, by)| (path, version, by.to_owned())));
    assert_eq!(checkpoints::count_changed(&mut c, project, kept).await.unwrap(), 3);
    assert_eq!(checkpoints::held_bytes(&mut c, project).await.unwrap(), 0, "no checkpoint holds anything yet");
    assert_eq!(checkpoints::totals_at(&mut c, project, kept).await.unwrap(), (4, 40));
    assert_eq!(checkpoints::ignore_files(&mut c, project, 5, 100).await.unwrap(), [("z/.gitignore".to_owned(), "rules".to_owned())]);
    assert_eq!(checkpoints::ignore_files(&mut c, project, 5, 5).await.unwrap(), []);
    let mut names = checkpoints::checksums_at(&mut c, project, kept).await.unwrap();
    names.sort();
    assert_eq!(names, ["four", "one", "rules", "two"]);
    drop(c);
    keep(&db, project, ada, kept, None, None).await;
    // `one` and `two` are held; `four` is still there under another name, and `five` no checkpoint shows.
    assert_eq!(checkpoints::held_bytes(&mut read(&db).await, project).await.unwrap(), 20);
}

pub async fn a_tree_is_copied_with_its_names(db: Db) {
    let ada = user(&db, "ada").await;
    let (from, to) = (project(&db, ada).await, project(&db, ada).await);
    let directory = Change { path: "empty", checksum: Some(""), kind: EntryKind::Directory };
    let kept = change(&db, from, ada, &[file("Ä.txt", "one"), file("b", "two"), directory]).await;
    change(&db, from, ada, &[gone("b"), file("c", "three")]).await;
    let mut tx = begin(&db).await;
    let source = checkpoints::hold(&mut tx, from).await.unwrap().unwrap();
    assert_eq!((source.revision, source.storage_backend.as_str(), source.name.as_str()), (2, "local", "Project"));
    let to_revision = projects::next_revision(&mut tx, to, at(9)).await.unwrap().unwrap().revision;
    let fork = checkpoints::Fork { from, revision: kept, to, to_revision, at: at(9), by: ada };
    assert_eq!(checkpoints::copy_tree(&mut tx, &fork).await.unwrap(), 3);
    let _committed = commit(tx).await;
    let mut c = read(&db).await;
    let rows: Vec<_> =
        files::current(&mut c, to).await.unwrap().into_iter().map(|row| (row.path, row.version, row.revision, row.kind.0)).collect();
    let row = |path: &str, kind| (path.to_owned(), 1, to_revision, kind);
    assert_eq!(rows, [row("b", EntryKind::File), row("empty", EntryKind::Directory), row("Ä.txt", EntryKind::File)]);
    assert_eq!(files::find_spelling(&mut c, to, "ä.TXT").await.unwrap(), [("Ä.txt".to_owned(), EntryKind::File)]);
    assert_eq!(files::current(&mut c, from).await.unwrap().len(), 3, "the source is as it was");
    drop(c);
    let mut tx = begin(&db).await;
    assert!(checkpoints::hold(&mut tx, id()).await.unwrap().is_none());
}

pub async fn files_and_bytes_are_told_as_they_are_booked(db: Db) {
    let ada = user(&db, "ada").await;
    let (filled, empty) = (project(&db, ada).await, project(&db, ada).await);
    write!(&db, tx => projects::add_totals(&mut tx, filled, 2, 30));
    write!(&db, tx => projects::add_totals(&mut tx, filled, -1, 5));
    let mut c = read(&db).await;
    assert_eq!(checkpoints::totals_now(&mut c, filled).await.unwrap(), Some((1, 35)));
    assert_eq!(checkpoints::totals_now(&mut c, empty).await.unwrap(), Some((0, 0)));
    assert_eq!(checkpoints::totals_now(&mut c, id()).await.unwrap(), None);
}
