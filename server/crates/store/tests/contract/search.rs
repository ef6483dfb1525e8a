use store::{Db, files, projects, search};
use wire::files::{EntryKind, FileAction, Origin};

use crate::world::{at, begin, commit, project, read, user};

pub async fn files_are_paged_as_they_are_now(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    let steps = [
        (project, "b", FileAction::Added, EntryKind::File),
        (project, "a/x", FileAction::Added, EntryKind::File),
        (project, "gone", FileAction::Added, EntryKind::File),
        (project, "link", FileAction::Added, EntryKind::Symlink),
        (project, "c", FileAction::Added, EntryKind::File),
        (other, "elsewhere", FileAction::Added, EntryKind::File),
        (project, "gone", FileAction::Deleted, EntryKind::File),
        (project, "b", FileAction::Modified, EntryKind::File),
    ];
    for (project, path, action, kind) in steps {
        let mut tx = begin(&db).await;
        let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
        let version = files::latest(&mut tx, project, path).await.unwrap().map_or(1, |row| row.version + 1);
        let checksum = format!("{path}@{version}");
        let new = files::NewVersion {
            project_id: project,
            path,
            version,
            revision,
            action,
            kind,
            size: version * 10,
            content_type: "text/plain",
            checksum: (action != FileAction::Deleted).then_some(checksum.as_str()),
            mode: 0o755,
            origin: Origin::Person,
            at: at(revision),
            by: Some(ada),
            moved_from: None,
            cause: None,
            deleted_as: None,
        };
        files::insert_version(&mut tx, &new).await.unwrap();
        let _committed = commit(tx).await;
    }
    let mut c = read(&db).await;
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = search::files_after(&mut c, project, &after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.path.clone();
        seen.extend(page);
    }
    assert_eq!(seen.iter().map(|row| (row.path.as_str(), row.size)).collect::<Vec<_>>(), [("a/x", 10), ("b", 20), ("c", 10)]);
    assert_eq!((seen[1].checksum.as_str(), seen[1].mode), ("b@2", 0o755));
}
