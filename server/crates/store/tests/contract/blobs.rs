use std::{collections::HashSet, time::Duration};

use store::{
    Db, Tx,
    blobs::{self, Sweep},
    files, projects,
};
use wire::{
    JobId, Micros, ProjectId, UserId,
    files::{EntryKind, FileAction, Origin},
};

use crate::world::{at, begin, commit, id, project, read, user, write};

const LOCAL: &str = "local";

/// A name as blobs have them.
fn sha(n: usize) -> String {
    format!("{n:064x}")
}

/// A row that names a blob, in the caller's transaction.
async fn name_it(tx: &mut Tx, project: ProjectId, by: UserId, path: &str, sha256: &str) {
    let revision = projects::next_revision(tx, project, at(1)).await.unwrap().unwrap().revision;
    let version = files::latest(tx, project, path).await.unwrap().map_or(1, |row| row.version + 1);
    let new = files::NewVersion {
        project_id: project,
        path,
        version,
        revision,
        action: FileAction::Added,
        kind: EntryKind::File,
        size: 1,
        content_type: "text/plain",
        checksum: Some(sha256),
        mode: 0o644,
        origin: Origin::Person,
        at: at(1),
        by: Some(by),
        moved_from: None,
        cause: None,
        deleted_as: None,
    };
    files::insert_version(tx, &new).await.unwrap();
}

/// The bytes of one blob, a writer who stores and names them, and a sweep, one step at a time.
struct Story {
    db: Db,
    project: ProjectId,
    by: UserId,
    sha256: String,
    is_there: bool,
    /// The writer found bytes and wrote none.
    outcome: Option<Result<(), Sweep>>,
    /// What the sweep has begun.
    removing: Option<Micros>,
}

impl Story {
    async fn step(&mut self, step: char, clock: i64) {
        let sha256 = self.sha256.clone();
        match step {
            'p' => self.is_there = true,
            'k' => {
                let mut tx = begin(&self.db).await;
                let left = blobs::keep(&mut tx, LOCAL, &[&sha256]).await.unwrap();
                let refused = match left.first() {
                    Some((_, Sweep::Removed)) if self.is_there => {
                        blobs::forget(&mut tx, LOCAL, &sha256).await.unwrap();
                        None
                    }
                    other => other.map(|(_, state)| *state),
                };
                if let Some(state) = refused {
                    self.outcome = Some(Err(state));
                    return;
                }
                name_it(&mut tx, self.project, self.by, &format!("file{clock}"), &sha256).await;
                let _committed = commit(tx).await;
                self.outcome = Some(Ok(()));
            }
            'd' => {
                let named = blobs::referenced(&mut read(&self.db).await, LOCAL, &[&sha256]).await.unwrap();
                if self.is_there && named.is_empty() {
                    write!(&self.db, tx => blobs::doom(&mut tx, LOCAL, &[&sha256], at(clock)));
                }
            }
            'b' => {
                let begun = write!(&self.db, tx => blobs::begin_removal(&mut tx, LOCAL, &sha256, at(clock), at(clock)));
                self.removing = begun.then_some(at(clock));
            }
            'r' if self.removing.is_some() => self.is_there = false,
            'f' => {
                if let Some(begun) = self.removing.take() {
                    write!(&self.db, tx => blobs::finish_removal(&mut tx, LOCAL, &sha256, begun, at(clock)));
                }
            }
            _ => {}
        }
    }
}

/// All ways to shuffle two sequences, each in its own order.
fn shuffles(one: &str, two: &str) -> Vec<String> {
    match (one.chars().next(), two.chars().next()) {
        (None, _) => vec![two.to_owned()],
        (_, None) => vec![one.to_owned()],
        (Some(a), Some(b)) => {
            let first = shuffles(&one[1..], two).into_iter().map(|rest| format!("{a}{rest}"));
            first.chain(shuffles(one, &two[1..]).into_iter().map(|rest| format!("{b}{rest}"))).collect()
        }
    }
}

/// Put and keep against doom, begin, remove and finish, in every order, with the bytes there or not before: what is named is there, and
/// who is refused succeeds when nothing is in between.
pub async fn a_sweep_never_removes_what_a_row_names(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let mut counts = [0; 2];
    for (n, order) in shuffles("pk", "dbrf").into_iter().enumerate() {
        for is_there in [false, true] {
            let sha256 = sha(n * 2 + usize::from(is_there) + 1);
            let mut story = Story { db: db.clone(), project, by: ada, sha256: sha256.clone(), is_there, outcome: None, removing: None };
            for (clock, step) in order.chars().enumerate() {
                // Whoever finds the bytes writes none, which is the dangerous case.
                story.step(step, (n * 10 + clock) as i64).await;
                let named = blobs::referenced(&mut read(&db).await, LOCAL, &[&sha256]).await.unwrap();
                assert!(named.is_empty() || story.is_there, "{order}, there before: {is_there}, after {step}");
            }
            let was_refused = story.outcome.unwrap().is_err();
            counts[usize::from(was_refused)] += 1;
            if was_refused {
                story.step('p', 9000).await;
                story.step('k', 9001).await;
                assert_eq!(story.outcome, Some(Ok(())), "{order}: the second try");
            }
            assert!(story.is_there, "{order}");
            // Nothing of it is left on its way out that a later sweep could take up.
            story.step('b', 9002).await;
            assert!(story.removing.is_none(), "{order}");
        }
    }
    assert!(counts.iter().all(|count| *count > 0), "both happened: {counts:?}");
}

/// Two transactions at once: whoever has the row first is seen by the other.
pub async fn keeping_and_removing_wait_for_each_other(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (kept, removed) = (sha(1), sha(2));
    write!(&db, tx => blobs::doom(&mut tx, LOCAL, &[&kept, &removed], at(1)));

    let mut writer = begin(&db).await;
    assert!(blobs::keep(&mut writer, LOCAL, &[&kept]).await.unwrap().is_empty());
    name_it(&mut writer, project, ada, "kept", &kept).await;
    let (other, name) = (db.clone(), kept.clone());
    let sweep = tokio::spawn(async move { write!(&other, tx => blobs::begin_removal(&mut tx, LOCAL, &name, at(5), at(5))) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!sweep.is_finished(), "the sweep waits for the writer");
    let _committed = commit(writer).await;
    assert!(!sweep.await.unwrap(), "and finds that it is kept");

    let mut sweep = begin(&db).await;
    assert!(blobs::begin_removal(&mut sweep, LOCAL, &removed, at(5), at(5)).await.unwrap());
    let (other, name) = (db.clone(), removed.clone());
    let writer = tokio::spawn(async move { write!(&other, tx => blobs::keep(&mut tx, LOCAL, &[&name])) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!writer.is_finished(), "the writer waits for the sweep");
    let _committed = commit(sweep).await;
    assert_eq!(writer.await.unwrap(), [(removed.clone(), Sweep::Removing)], "and is refused");

    // Only who began it, or took it up since, ends it.
    assert!(write!(&db, tx => blobs::resume_removal(&mut tx, LOCAL, &removed, at(6), at(7))));
    assert!(!write!(&db, tx => blobs::resume_removal(&mut tx, LOCAL, &removed, at(6), at(8))));
    write!(&db, tx => blobs::finish_removal(&mut tx, LOCAL, &removed, at(5), at(9)));
    assert_eq!(blobs::in_state(&mut read(&db).await, LOCAL, Sweep::Removing, at(9), 10).await.unwrap(), std::slice::from_ref(&removed));
    write!(&db, tx => blobs::finish_removal(&mut tx, LOCAL, &removed, at(7), at(9)));
    assert_eq!(blobs::in_state(&mut read(&db).await, LOCAL, Sweep::Removed, at(9), 10).await.unwrap(), std::slice::from_ref(&removed));
    assert_eq!(write!(&db, tx => blobs::drop_tombstones(&mut tx, at(8))), 0);
    assert_eq!(write!(&db, tx => blobs::drop_tombstones(&mut tx, at(9))), 1);
}

pub async fn names_count_where_their_project_is_or_goes(db: Db) {
    let ada = user(&db, "ada").await;
    let (here, there) = (project(&db, ada).await, project(&db, ada).await);
    let mut tx = begin(&db).await;
    for n in 1..=3 {
        name_it(&mut tx, here, ada, &format!("f{n}"), &sha(n)).await;
    }
    name_it(&mut tx, here, ada, "again", &sha(1)).await;
    name_it(&mut tx, there, ada, "f", &sha(9)).await;
    let _committed = commit(tx).await;
    let all: Vec<String> = (1..=900).map(sha).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let found = async |backend: &str| blobs::referenced(&mut read(&db).await, backend, &all).await.unwrap().len();
    assert_eq!((found(LOCAL).await, found("s3").await), (4, 0));
    let job: JobId = id();
    write!(&db, tx => blobs::set_moving(&mut tx, here, Some(("s3", job))));
    assert_eq!((found(LOCAL).await, found("s3").await), (4, 3), "a project on its way counts in both");
    let place = blobs::place(&mut read(&db).await, here).await.unwrap().unwrap();
    assert_eq!((place.storage_backend.as_str(), place.moving_to.as_deref(), place.moving_job), (LOCAL, Some("s3"), Some(job)));
    write!(&db, tx => blobs::set_place(&mut tx, here, "s3", at(5)));
    assert_eq!((found(LOCAL).await, found("s3").await), (1, 3));
    let place = write!(&db, tx => blobs::lock_place(&mut tx, here)).unwrap();
    assert_eq!((place.storage_backend.as_str(), place.moving_to, place.moving_job, place.moved_at), ("s3", None, None, Some(at(5))));

    let mut c = read(&db).await;
    assert_eq!(blobs::count_named_by(&mut c, here).await.unwrap(), 3);
    assert_eq!(blobs::named_by(&mut c, here, "", 2).await.unwrap(), [sha(1), sha(2)]);
    assert_eq!(blobs::named_by(&mut c, here, &sha(2), 2).await.unwrap(), [sha(3)]);
    assert_eq!(blobs::known_to(&mut c, here, &all).await.unwrap(), HashSet::from([sha(1), sha(2), sha(3)]));
    assert!(blobs::known_to(&mut c, there, &[&sha(1)]).await.unwrap().is_empty());
    assert!(blobs::place(&mut c, id()).await.unwrap().is_none());
}
