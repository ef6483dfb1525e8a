use store::{Db, Tx, files, files_bulk, projects};
use wire::{
    ProjectId, UserId,
    files::{EntryKind, FileAction, Origin},
};

use crate::world::{at, begin, commit, project, read, user};

/// One change in a revision of its own; answers the revision.
async fn change(db: &Db, project: ProjectId, by: UserId, path: &str, action: FileAction) -> i64 {
    let mut tx = begin(db).await;
    let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
    add(&mut tx, project, by, path, action, revision).await;
    let _committed = commit(tx).await;
    revision
}

async fn add(tx: &mut Tx, project: ProjectId, by: UserId, path: &str, action: FileAction, revision: i64) {
    let version = files::latest(tx, project, path).await.unwrap().map_or(1, |row| row.version + 1);
    let checksum = format!("{path}@{version}");
    let deleted = action == FileAction::Deleted;
    let new = files::NewVersion {
        project_id: project,
        path,
        version,
        revision,
        action,
        kind: EntryKind::File,
        size: version * 10,
        content_type: "text/plain",
        checksum: (!deleted).then_some(checksum.as_str()),
        mode: 0o755,
        origin: Origin::Person,
        at: at(revision),
        by: Some(by),
        moved_from: (action == FileAction::Restored).then_some("origin"),
        cause: Some(uuid::Uuid::from_u128(7)),
        deleted_as: deleted.then_some(path),
    };
    files::insert_version(tx, &new).await.unwrap();
}

fn paths(rows: &[files::FileRow]) -> Vec<&str> {
    rows.iter().map(|row| row.path.as_str()).collect()
}

pub async fn versions_remember_every_tree(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    change(&db, other, ada, "elsewhere", FileAction::Added).await;
    change(&db, project, ada, "a", FileAction::Added).await;
    change(&db, project, ada, "d/x", FileAction::Added).await;
    change(&db, project, ada, "d/y", FileAction::Added).await;
    change(&db, project, ada, "a", FileAction::Modified).await;
    let mut tx = begin(&db).await;
    let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
    for path in ["d/x", "d/y"] {
        add(&mut tx, project, ada, path, FileAction::Deleted, revision).await;
    }
    let _committed = commit(tx).await;
    change(&db, project, ada, "d/x", FileAction::Restored).await;

    let mut c = read(&db).await;
    assert_eq!(paths(&files::current(&mut c, project).await.unwrap()), ["a", "d/x"]);
    assert_eq!(paths(&files::current_below(&mut c, project, "d").await.unwrap()), ["d/x"]);
    assert_eq!(paths(&files::current_below(&mut c, project, "a").await.unwrap()), [""; 0]);
    assert!(files::is_directory(&mut c, project, "d").await.unwrap());
    for path in ["a", "d/x", "none", ""] {
        assert!(!files::is_directory(&mut c, project, path).await.unwrap(), "{path}");
    }
    for (revision, tree) in
        [(0, vec![]), (1, vec!["a"]), (3, vec!["a", "d/x", "d/y"]), (4, vec!["a", "d/x", "d/y"]), (5, vec!["a"]), (6, vec!["a", "d/x"])]
    {
        assert_eq!(paths(&files::at_revision(&mut c, project, revision).await.unwrap()), tree, "at {revision}");
        let mut known = files::paths_at(&mut c, project, revision).await.unwrap();
        known.sort_unstable();
        assert_eq!(known, tree, "at {revision}");
    }
    assert_eq!(files::at_revision(&mut c, project, 3).await.unwrap()[0].version, 1);
    assert_eq!(files::at_revision(&mut c, project, 4).await.unwrap()[0].version, 2);
    assert_eq!(paths(&files::changed_since(&mut c, project, 4).await.unwrap()), ["d/x", "d/y"]);
    assert_eq!(paths(&files::changed_since(&mut c, project, 6).await.unwrap()), [""; 0]);
    for (revision, written) in [(4, vec!["a"]), (5, vec!["d/x", "d/y"]), (7, vec![])] {
        assert_eq!(files::written_at(&mut c, project, revision).await.unwrap(), written, "at {revision}");
    }
    let trash = files::trash(&mut c, project, None, 10).await.unwrap();
    let listed: Vec<_> = trash.iter().map(|item| (item.path.as_str(), item.kind, item.files, item.size, item.revision)).collect();
    assert_eq!(listed, [("d/y", EntryKind::File, 1, 10, 5)]);
    assert_eq!(trash[0].deleted_by.as_ref().unwrap().name, "ada");
    assert_eq!(paths(&files::deleted_with(&mut c, project, "d").await.unwrap()), ["d/y"]);
    assert_eq!(paths(&files::deleted_with(&mut c, project, "d/y").await.unwrap()), ["d/y"]);
    assert!(files::deleted_with(&mut c, project, "a").await.unwrap().is_empty());

    let history = files::history(&mut c, project, "d/x", 9, 9).await.unwrap();
    let history: Vec<_> = history.iter().map(|row| (row.version, row.action.0)).collect();
    assert_eq!(history, [(3, FileAction::Restored), (2, FileAction::Deleted), (1, FileAction::Added)]);
    let restored = files::at_version(&mut c, project, "d/x", 3).await.unwrap().unwrap();
    assert_eq!((restored.moved_from.as_deref(), restored.cause), (Some("origin"), Some(uuid::Uuid::from_u128(7))));
    let page = files::history(&mut c, project, "d/x", 3, 1).await.unwrap();
    assert_eq!(page.iter().map(|row| row.version).collect::<Vec<_>>(), [2]);
    let changed = files::changed_below(&mut c, project, "d", 3, 6, 9).await.unwrap();
    assert_eq!(paths(&changed), ["d/y"], "after 3 and before 6, of what is newest");
    assert!(files::latest(&mut c, project, "d/y").await.unwrap().unwrap().is_deleted());
    assert!(files::latest(&mut c, project, "none").await.unwrap().is_none());
    assert!(files::at_version(&mut c, project, "a", 9).await.unwrap().is_none());
    let version = files::at_version(&mut c, project, "a", 1).await.unwrap().unwrap().into_version();
    assert_eq!((version.checksum.as_str(), version.revision, version.origin), ("a@1", 1, Origin::Person));
    let entry = files::latest(&mut c, project, "a").await.unwrap().unwrap().into_entry();
    assert_eq!((entry.checksum.as_str(), entry.mode, entry.size, entry.kind), ("a@2", 0o755, 20, EntryKind::File));
    assert_eq!(entry.updated_by.map(|by| by.name).as_deref(), Some("ada"));
}

pub async fn listings_are_ordered_by_bytes(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let mut expected = ["B", "Z/x", "_x", "a", "a-b", "a.txt", "a/B", "a/b", "a/é", "a0", "b", "ä", "🦀"];
    for path in expected {
        change(&db, project, ada, path, FileAction::Added).await;
    }
    expected.sort_unstable();
    let mut c = read(&db).await;
    assert_eq!(paths(&files::current(&mut c, project).await.unwrap()), expected);
    assert_eq!(paths(&files::at_revision(&mut c, project, 100).await.unwrap()), expected);
    assert_eq!(paths(&files::changed_since(&mut c, project, 0).await.unwrap()), expected);
    assert_eq!(paths(&files::current_below(&mut c, project, "a").await.unwrap()), ["a/B", "a/b", "a/é"]);
    drop(c);
    for path in ["a/b", "a/é"] {
        change(&db, project, ada, path, FileAction::Deleted).await;
    }
    let mut c = read(&db).await;
    assert_eq!(paths(&files::deleted_with(&mut c, project, "a").await.unwrap()), ["a/é"], "the last revision only");
}

/// Each writer reads the file, and saves only if it is still what was read; otherwise it reads again.
pub async fn no_concurrent_save_is_lost(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    change(&db, project, ada, "shared", FileAction::Added).await;
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                loop {
                    let base = files::latest(&mut read(&db).await, project, "shared").await.unwrap().unwrap().version;
                    let mut tx = begin(&db).await;
                    let revision = projects::next_revision(&mut tx, project, at(2)).await.unwrap().unwrap().revision;
                    if files::latest(&mut tx, project, "shared").await.unwrap().unwrap().version == base {
                        add(&mut tx, project, ada, "shared", FileAction::Modified, revision).await;
                        let _committed = commit(tx).await;
                        return revision;
                    }
                }
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for writer in writers {
        revisions.push(writer.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=17).collect::<Vec<i64>>(), "an undone transaction takes no revision");
    let mut c = read(&db).await;
    let history = files::history(&mut c, project, "shared", 99, 99).await.unwrap();
    let history: Vec<_> = history.iter().map(|row| (row.version, row.revision)).collect();
    assert_eq!(history, (1..=17).rev().map(|n| (n, n)).collect::<Vec<_>>());
    assert_eq!(files::current(&mut c, project).await.unwrap().len(), 1);
}

pub async fn names_are_found_by_any_spelling(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    for path in ["README", "Src/Main.rs", "caf\u{e9}/x", "gone"] {
        change(&db, project, ada, path, FileAction::Added).await;
    }
    change(&db, project, ada, "gone", FileAction::Deleted).await;
    let mut c = read(&db).await;
    for (path, found) in [
        ("readme", vec!["README"]),
        ("README", vec!["README"]),
        ("SRC", vec!["Src/Main.rs"]),
        ("src/main.RS", vec!["Src/Main.rs"]),
        ("CAFE\u{301}", vec!["caf\u{e9}/x"]),
        ("GONE", vec![]),
        ("sr", vec![]),
    ] {
        let spelled = files::find_spelling(&mut c, project, path).await.unwrap();
        assert_eq!(spelled.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), found, "{path}");
    }
}

pub async fn entries_are_the_current_rows(db: Db) {
    let (ada, grace) = (user(&db, "ada").await, user(&db, "grace").await);
    let project = project(&db, ada).await;
    for (path, by) in [("a", ada), ("d/x", grace), ("d/y", ada), ("e", ada)] {
        change(&db, project, by, path, FileAction::Added).await;
    }
    change(&db, project, ada, "e", FileAction::Deleted).await;
    let mut c = read(&db).await;
    let rows: Vec<_> = files::current(&mut c, project).await.unwrap().into_iter().map(files::FileRow::into_entry).collect();
    assert_eq!(files::entries(&mut c, project, None).await.unwrap(), rows);
    let below: Vec<_> = files::current_below(&mut c, project, "d").await.unwrap().into_iter().map(files::FileRow::into_entry).collect();
    assert_eq!(files::entries(&mut c, project, Some("d")).await.unwrap(), below);
    assert_eq!(below.len(), 2);
}

pub async fn the_top_is_found_by_few_steps(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    for path in ["B", "a-b/x", "a.txt", "a/one", "a/two/three", "a0", "gone/x", "ä/x", "ä/y"] {
        change(&db, project, ada, path, FileAction::Added).await;
    }
    change(&db, project, ada, "gone/x", FileAction::Deleted).await;
    let mut c = read(&db).await;
    let top = |found: Option<Vec<wire::files::Entry>>| found.map(|all| all.into_iter().map(|entry| entry.path).collect::<Vec<_>>());
    let found = ["B", "a-b/x", "a.txt", "a/one", "a0", "ä/x"].map(str::to_owned).to_vec();
    assert_eq!(top(files::top_entries(&mut c, project, 6).await.unwrap()), Some(found));
    assert_eq!(top(files::top_entries(&mut c, project, 5).await.unwrap()), None);
}

pub async fn deletions_can_be_gathered(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    for path in ["d/x", "d/y", "d2"] {
        change(&db, project, ada, path, FileAction::Added).await;
    }
    let mut tx = begin(&db).await;
    let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
    for path in ["d/x", "d/y", "d2"] {
        add(&mut tx, project, ada, path, FileAction::Deleted, revision).await;
    }
    files::delete_as(&mut tx, project, revision, "d").await.unwrap();
    let _committed = commit(tx).await;
    let mut c = read(&db).await;
    let trash: Vec<_> = files::trash(&mut c, project, None, 10).await.unwrap().into_iter().map(|i| (i.path, i.kind, i.files)).collect();
    assert_eq!(trash, [("d".to_owned(), EntryKind::Directory, 2), ("d2".to_owned(), EntryKind::File, 1)]);
    let first = files::trash(&mut c, project, None, 1).await.unwrap();
    let after = Some((first[0].revision, first[0].path.as_str()));
    let rest: Vec<_> = files::trash(&mut c, project, after, 9).await.unwrap().into_iter().map(|item| item.path).collect();
    assert_eq!((first.len(), rest), (1, vec!["d2".to_owned()]));
}

/// A revision of its own for what happens to a whole directory.
async fn new_step(tx: &mut Tx, project_id: ProjectId, by: UserId) -> files_bulk::Step {
    let revision = projects::next_revision(tx, project_id, at(1)).await.unwrap().unwrap().revision;
    files_bulk::Step { project_id, revision, origin: Origin::Git, at: at(revision), by: Some(by), cause: None }
}

pub async fn directories_are_moved_copied_and_deleted_whole(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    for path in ["d/x", "d/Ä.txt", "d-b", "d0"] {
        change(&db, project, ada, path, FileAction::Added).await;
    }
    let mut tx = begin(&db).await;
    let moved = new_step(&mut tx, project, ada).await;
    files_bulk::delete_whole(&mut tx, &moved, "d", None).await.unwrap();
    files_bulk::put_whole(&mut tx, &moved, "d", "e", true).await.unwrap();
    let copied = new_step(&mut tx, project, ada).await;
    files_bulk::put_whole(&mut tx, &copied, "e", "f", false).await.unwrap();
    let _committed = commit(tx).await;

    let mut c = read(&db).await;
    assert_eq!(paths(&files::current(&mut c, project).await.unwrap()), ["d-b", "d0", "e/x", "e/Ä.txt", "f/x", "f/Ä.txt"]);
    assert_eq!(paths(&files::at_revision(&mut c, project, 4).await.unwrap()), ["d-b", "d/x", "d/Ä.txt", "d0"], "as it was before");
    let row = files::latest(&mut c, project, "e/x").await.unwrap().unwrap();
    assert_eq!((row.version, row.revision, row.origin.0, row.size), (1, moved.revision, Origin::Git, 10));
    assert_eq!((row.checksum.as_deref(), row.moved_from.as_deref()), (Some("d/x@1"), Some("d/x")));
    let row = files::latest(&mut c, project, "f/x").await.unwrap().unwrap();
    assert_eq!((row.version, row.revision, row.moved_from.as_deref()), (1, copied.revision, None));
    assert_eq!(row.checksum.as_deref(), Some("d/x@1"));
    let left = files::latest(&mut c, project, "d/x").await.unwrap().unwrap();
    assert_eq!((left.is_deleted(), left.version, left.revision, left.size), (true, 2, moved.revision, 0));
    assert!(files::trash(&mut c, project, None, 9).await.unwrap().is_empty(), "what moved away is elsewhere");
    let spelled = files::find_spelling(&mut c, project, "E/ä.TXT").await.unwrap();
    assert_eq!(spelled, [("e/Ä.txt".to_owned(), EntryKind::File)], "a moved name is compared as any other");
    drop(c);

    // Back to where something was before, whose numbers go on.
    let mut tx = begin(&db).await;
    let deleted = new_step(&mut tx, project, ada).await;
    files_bulk::delete_whole(&mut tx, &deleted, "e", Some("e")).await.unwrap();
    let back = new_step(&mut tx, project, ada).await;
    files_bulk::delete_whole(&mut tx, &back, "f", None).await.unwrap();
    files_bulk::put_whole(&mut tx, &back, "f", "d", true).await.unwrap();
    let _committed = commit(tx).await;
    let mut c = read(&db).await;
    assert_eq!(paths(&files::current(&mut c, project).await.unwrap()), ["d-b", "d/x", "d/Ä.txt", "d0"]);
    let history = files::history(&mut c, project, "d/x", 9, 9).await.unwrap();
    let history: Vec<_> = history.iter().map(|row| (row.version, row.action.0, row.moved_from.as_deref())).collect();
    assert_eq!(history, [(3, FileAction::Added, Some("f/x")), (2, FileAction::Deleted, None), (1, FileAction::Added, None)]);
    let trash: Vec<_> = files::trash(&mut c, project, None, 9).await.unwrap().into_iter().map(|i| (i.path, i.kind, i.files)).collect();
    assert_eq!(trash, [("e".to_owned(), EntryKind::Directory, 2)]);
}
