use std::time::Duration;

use store::{
    Db, exports, files, projects,
    quotas::{self, OldVersion, Surplus},
    settings,
};
use wire::{
    ExportId, ProjectId, UserId,
    changes::{ChangeOrigin, ChangeSetState},
    checkpoints::CheckpointKind,
    files::{EntryKind, FileAction, Origin},
    quotas::QuotaOverride,
};

use crate::world::{at, begin, commit, id, project, read, turn, user, write};

pub async fn an_owner_counts_all_projects_together(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, second, foreign) = (project(&db, ada).await, project(&db, ada).await, project(&db, bob).await);
    for (project, files, bytes) in [(first, 2, 30), (second, 1, 5), (foreign, 9, 900)] {
        write!(&db, tx => projects::add_totals(&mut tx, project, files, bytes));
    }
    let totals = quotas::of_owner(&mut read(&db).await, ada).await.unwrap();
    assert_eq!((totals.projects, totals.files, totals.bytes), (2, 3, 35));
    let held = quotas::project(&mut read(&db).await, first).await.unwrap().unwrap();
    let stored = quotas::bytes_by_backend(&mut read(&db).await).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert!(stored[0].0 == "local" && stored[0].1 >= totals.bytes, "{stored:?}");
    assert_eq!((held.owner_id, held.owner_name.as_str(), held.files, held.bytes), (ada, "ada", 2, 30));
    write!(&db, tx => projects::mark_deleted(&mut tx, second, at(1)));
    let totals = quotas::of_owner(&mut read(&db).await, ada).await.unwrap();
    assert_eq!((totals.projects, totals.bytes), (1, 35), "what is deleted takes its room until it is gone for good");
    assert_eq!(quotas::of_owner(&mut read(&db).await, id()).await.unwrap(), quotas::Totals::default());

    assert_eq!(quotas::get_override(&mut read(&db).await, ada).await.unwrap(), QuotaOverride::default());
    let own = QuotaOverride {
        bytes: Some(1 << 40),
        all_versions: Some(20),
        all_checkpoints: Some(30),
        projects: Some(4),
        ..QuotaOverride::default()
    };
    write!(&db, tx => quotas::set_override(&mut tx, ada, own));
    assert_eq!(write!(&db, tx => quotas::lock_owner(&mut tx, ada)), own);
    assert_eq!(quotas::get_override(&mut read(&db).await, ada).await.unwrap(), own, "taking the lock changes nothing");

    let narrow = QuotaOverride { files: Some(7), versions: Some(3), ..QuotaOverride::default() };
    write!(&db, tx => quotas::set_override_of_project(&mut tx, first, narrow));
    write!(&db, tx => quotas::add_history(&mut tx, first, 40));
    write!(&db, tx => settings::put(&mut tx, "storage", "{}", at(1), None));
    let bounds = async |project, name| quotas::bounds(&mut read(&db).await, project, name).await.unwrap();
    let held = bounds(first, "storage").await.unwrap();
    assert_eq!((held.history, held.owner, held.own, held.everybody.as_deref()), (40, own, narrow, Some("{}")));
    let held = bounds(foreign, "unknown").await.unwrap();
    assert_eq!((held.history, held.owner, held.own, held.everybody), (0, QuotaOverride::default(), QuotaOverride::default(), None));
    assert!(bounds(id(), "storage").await.is_none());
}

pub async fn an_owner_counts_versions_and_checkpoints_together(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, second, foreign) = (project(&db, ada).await, project(&db, ada).await, project(&db, bob).await);
    let booked = async |project| quotas::project(&mut read(&db).await, project).await.unwrap().unwrap().versions;
    for (project, by, times) in [(first, ada, 4), (second, ada, 2), (foreign, bob, 3)] {
        for n in 0..times {
            save(&db, project, by, "a", Some(&"x".repeat(n + 1))).await;
            let replaced = write!(&db, tx => quotas::book_versions(&mut tx, project));
            assert_eq!(replaced, i64::from(n > 0), "the first of a path replaces nothing");
        }
    }
    assert_eq!((booked(first).await, booked(second).await, booked(foreign).await), (3, 1, 2));
    assert_eq!(quotas::of_owner(&mut read(&db).await, ada).await.unwrap().versions, 4);
    for (project, checkpoints) in [(first, 2), (second, 1), (foreign, 1)] {
        for n in 0..checkpoints {
            write!(&db, tx => store::checkpoints::insert(&mut tx, &store::checkpoints::NewCheckpoint {
                id: id(), project_id: project, revision: 1, kind: CheckpointKind::Turn, name: None, turn_id: None, file_count: 1, size_bytes: 1,
                at: at(n), by: None,
            }));
        }
    }
    write!(&db, tx => projects::mark_deleted(&mut tx, second, at(1)));
    let (totals, checkpoints) = quotas::whole_of_owner(&mut read(&db).await, ada).await.unwrap();
    assert_eq!((totals.versions, checkpoints, totals.projects, totals.held), (4, 3, 1, 2), "deleted ones count");
    assert_eq!(totals, quotas::of_owner(&mut read(&db).await, ada).await.unwrap());
    assert_eq!(quotas::count_checkpoints_of_owner(&mut read(&db).await, ada).await.unwrap(), 3);
    assert_eq!(quotas::whole_of_owner(&mut read(&db).await, id()).await.unwrap(), (quotas::Totals::default(), 0));

    // The first version is what the checkpoints show, and the third went only with the newest revision.
    assert_eq!(write!(&db, tx => quotas::remove_oldest(&mut tx, first, 0)), 0);
    assert_eq!(write!(&db, tx => quotas::remove_oldest(&mut tx, first, 10)), 1);
    assert_eq!((booked(first).await, quotas::count_versions(&mut read(&db).await, first).await.unwrap()), (2, 2));
    assert!(files::at_version(&mut read(&db).await, first, "a", 2).await.unwrap().is_none());
    assert_eq!(write!(&db, tx => quotas::remove_up_to(&mut tx, first, "a", 3)), 1);
    assert_eq!(write!(&db, tx => quotas::remove(&mut tx, foreign, &[OldVersion { path: "a".into(), version: 2 }])), 1);
    assert_eq!((booked(first).await, booked(foreign).await), (1, 1), "what goes is booked too");
    write!(&db, tx => quotas::set_versions(&mut tx, first, 7));
    let mut counts = quotas::versions_of_owner(&mut read(&db).await, ada).await.unwrap();
    counts.sort_unstable();
    assert_eq!(counts, [1, 7]);
}

/// Two who enlarge projects of one owner go one after the other, and the second one sees what the first one wrote.
pub async fn writers_of_one_owner_wait_for_each_other(db: Db) {
    let ada = user(&db, "ada").await;
    let (first, second) = (project(&db, ada).await, project(&db, ada).await);
    let mut tx = begin(&db).await;
    quotas::lock_owner(&mut tx, ada).await.unwrap();
    let other = {
        let db = db.clone();
        tokio::spawn(async move {
            let mut tx = begin(&db).await;
            quotas::lock_owner(&mut tx, ada).await.unwrap();
            let seen = quotas::of_owner(&mut tx, ada).await.unwrap().bytes;
            projects::add_totals(&mut tx, second, 1, 1).await.unwrap();
            let _committed = commit(tx).await;
            seen
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!other.is_finished(), "it went ahead while the owner was locked");
    projects::add_totals(&mut tx, first, 1, 70).await.unwrap();
    let _committed = commit(tx).await;
    assert_eq!(other.await.unwrap(), 70);
}

/// One version in a revision of its own, at that second.
async fn save(db: &Db, project: ProjectId, by: UserId, path: &str, content: Option<&str>) -> i64 {
    let mut tx = begin(db).await;
    let revision = projects::next_revision(&mut tx, project, at(1)).await.unwrap().unwrap().revision;
    let version = files::latest(&mut tx, project, path).await.unwrap().map_or(1, |row| row.version + 1);
    let new = files::NewVersion {
        project_id: project,
        path,
        version,
        revision,
        action: if content.is_some() { FileAction::Modified } else { FileAction::Deleted },
        kind: EntryKind::File,
        size: content.map_or(0, |text| text.len() as i64),
        content_type: "text/plain",
        checksum: content,
        mode: 0o644,
        origin: Origin::Person,
        at: at(revision),
        by: Some(by),
        moved_from: None,
        cause: None,
        deleted_as: content.is_none().then_some(path),
    };
    files::insert_version(&mut tx, &new).await.unwrap();
    let _committed = commit(tx).await;
    revision
}

async fn surplus(db: &Db, project: ProjectId, why: Surplus, seconds: i64) -> Vec<(String, i64)> {
    let found = quotas::surplus(&mut read(db).await, project, why, at(seconds), 100).await.unwrap();
    found.into_iter().map(|old| (old.path, old.version)).collect()
}

pub async fn what_something_needs_is_no_surplus(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    save(&db, other, ada, "a", Some("else")).await;
    for text in ["1", "22", "333", "4444"] {
        save(&db, project, ada, "a", Some(text)).await;
    }
    save(&db, project, ada, "b", Some("bb")).await;
    save(&db, project, ada, "b", None).await;
    let named = |versions: &[(&str, i64)]| versions.iter().map(|(path, version)| ((*path).to_owned(), *version)).collect::<Vec<_>>();

    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, named(&[("a", 1), ("a", 2), ("a", 3), ("b", 1)]), "the newest stay");
    assert_eq!(surplus(&db, project, Surplus::Age, 3).await, named(&[("a", 1), ("a", 2)]), "by when they were replaced");
    assert_eq!(surplus(&db, project, Surplus::BeyondCount(2), 100).await, named(&[("a", 1), ("a", 2)]));
    assert_eq!(surplus(&db, project, Surplus::BeyondCount(2), 2).await, named(&[("a", 1)]), "what was replaced only now waits");
    assert_eq!(quotas::history_bytes(&mut read(&db).await, project).await.unwrap(), 1 + 2 + 3 + 2);

    write!(&db, tx => store::checkpoints::insert(&mut tx, &store::checkpoints::NewCheckpoint {
        id: id(), project_id: project, revision: 1, kind: CheckpointKind::Named, name: Some("Kept"), turn_id: None, file_count: 1, size_bytes: 1,
        at: at(1), by: Some(ada),
    }));
    assert_eq!(quotas::count_checkpoints(&mut read(&db).await, project).await.unwrap(), 1);
    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, named(&[("a", 2), ("a", 3), ("b", 1)]), "a checkpoint keeps its tree");
    // The turn of the test world began at revision 3 and goes on.
    let turn = turn(&db, project, ada).await;
    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, named(&[("a", 2), ("b", 1)]), "a turn that goes on keeps its tree");
    write!(&db, tx => store::changes::insert_set(&mut tx, &store::changes::ChangeSetRow {
        id: id(), project_id: project, turn_id: Some(turn), origin: store::Word(ChangeOrigin::Agent), title: String::new(),
        state: store::Word(ChangeSetState::Open), base_revision: 5, version: 1, created_at: at(1), created_by: None,
    }));
    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, named(&[("a", 2)]), "an open review keeps its tree");

    assert_eq!(quotas::most_versions(&mut read(&db).await, project).await.unwrap(), 4);
    assert_eq!(quotas::most_versions(&mut read(&db).await, id()).await.unwrap(), 0);
    assert_eq!(quotas::count_directories(&mut read(&db).await, project).await.unwrap(), 0);
    let mut tx = begin(&db).await;
    assert_eq!(quotas::remove_up_to(&mut tx, project, "a", 4).await.unwrap(), 1, "what is needed and the newest stay");
    assert_eq!(quotas::remove_up_to(&mut tx, project, "none", 4).await.unwrap(), 0);
    drop(tx);

    let asked = [("a", 1), ("a", 2), ("a", 4), ("b", 2)].map(|(path, version)| OldVersion { path: path.to_owned(), version });
    let mut tx = begin(&db).await;
    assert!(quotas::lock_project(&mut tx, project).await.unwrap());
    assert_eq!(quotas::remove(&mut tx, project, &asked).await.unwrap(), 1, "what is needed stays, whatever was asked for");
    let _committed = commit(tx).await;
    assert!(files::at_version(&mut read(&db).await, project, "a", 2).await.unwrap().is_none());
    assert_eq!(files::at_revision(&mut read(&db).await, project, 1).await.unwrap().len(), 1);
    for (revision, is_kept) in [(1, true), (2, false), (3, true)] {
        assert_eq!(files::is_kept_at(&mut read(&db).await, project, revision).await.unwrap(), is_kept, "at {revision}");
    }
    assert_eq!(files::latest(&mut read(&db).await, project, "b").await.unwrap().unwrap().version, 2, "a deletion stays");
    assert!(files::at_version(&mut read(&db).await, other, "a", 1).await.unwrap().is_some());
    let all = quotas::projects_after(&mut read(&db).await, None, 10).await.unwrap();
    assert_eq!(quotas::projects_after(&mut read(&db).await, Some(all[0]), 10).await.unwrap(), all[1..]);
}

pub async fn what_an_export_shows_is_no_surplus_until_it_ends(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let all = |versions: &[i64]| versions.iter().map(|version| ("a".to_owned(), *version)).collect::<Vec<_>>();
    for text in ["1", "22"] {
        save(&db, project, ada, "a", Some(text)).await;
    }
    let (first, second): (ExportId, ExportId) = (id(), id());
    assert_eq!(write!(&db, tx => exports::hold(&mut tx, first, project, at(500))), Some(2));
    for text in ["333", "4444"] {
        save(&db, project, ada, "a", Some(text)).await;
    }
    assert_eq!(write!(&db, tx => exports::hold(&mut tx, second, project, at(600))), Some(4));
    assert_eq!(write!(&db, tx => exports::hold(&mut tx, id(), id(), at(600))), None, "of a project that is gone");
    save(&db, project, ada, "a", Some("55555")).await;
    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, all(&[1, 3]), "what either shows stays");
    let mut tx = begin(&db).await;
    assert_eq!(quotas::remove_up_to(&mut tx, project, "a", 5).await.unwrap(), 2);
    drop(tx);
    write!(&db, tx => exports::release(&mut tx, second));
    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, all(&[1, 3, 4]));
    assert_eq!(write!(&db, tx => exports::release_expired(&mut tx, at(499))), 0);
    assert_eq!(write!(&db, tx => exports::release_expired(&mut tx, at(500))), 1, "an export that never ended");
    assert_eq!(surplus(&db, project, Surplus::Age, 100).await, all(&[1, 2, 3, 4]));
}

pub async fn what_was_counted_takes_the_place_of_what_was_added(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, second, foreign) = (project(&db, ada).await, project(&db, ada).await, project(&db, bob).await);
    for (project, bytes) in [(first, 40), (second, 5), (foreign, 9)] {
        write!(&db, tx => quotas::add_history(&mut tx, project, bytes));
    }
    write!(&db, tx => quotas::set_history(&mut tx, first, 7));
    assert_eq!(quotas::project(&mut read(&db).await, first).await.unwrap().unwrap().history, 7);
    assert_eq!(quotas::of_owner(&mut read(&db).await, ada).await.unwrap().history, 7 + 5);
    assert_eq!(quotas::of_owner(&mut read(&db).await, bob).await.unwrap().history, 9);

    write!(&db, tx => projects::mark_deleted(&mut tx, second, at(1)));
    let mut owned = quotas::projects_of(&mut read(&db).await, ada).await.unwrap();
    owned.sort_unstable();
    let mut expected = [first, second];
    expected.sort_unstable();
    assert_eq!(owned, expected, "deleted ones included");
    assert_eq!(quotas::projects_of(&mut read(&db).await, bob).await.unwrap(), [foreign]);
}
