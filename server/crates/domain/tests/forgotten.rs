//! What is made and deleted without end leaves a bounded number of rows, and nothing that somebody may still hold a number of is taken for
//! something else.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use domain::{Clock, Ctx, Error, SystemClock, files, forgotten, live, quotas, settings};
use futures::StreamExt;
use support::Home;
use tokio_util::sync::CancellationToken;
use wire::{
    Micros, ProjectId,
    event::{EventKind, Stream},
    files::{Base, ChangeFiles, EntryKind, FileStep, FilesChanged, MovePath, Origin, SaveOutcome, SaveText},
    quotas::StorageSettings,
};

on_both!(
    a_thousand_names_are_not_remembered_for_ever,
    one_name_made_and_deleted_a_thousand_times_is_not_either,
    a_number_from_before_is_refused,
    whole_folders_never_have_too_many_versions,
    who_comes_from_before_starts_over,
);

const DAY: i64 = 86_400;

/// The time, and what is added to it.
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Micros {
        SystemClock.now().plus_seconds(self.0.load(Ordering::SeqCst))
    }
}

impl Later {
    fn of(home: &mut Home) -> Arc<Self> {
        let later = Arc::new(Self(AtomicI64::new(0)));
        Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
        later
    }

    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

async fn save(ctx: &Ctx, project: ProjectId, path: &str, base: Base, text: &str) -> SaveOutcome {
    let request = SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() };
    files::save_text(ctx, project, request).await.unwrap()
}

async fn saved(ctx: &Ctx, project: ProjectId, path: &str, base: Base, text: &str) -> i64 {
    match save(ctx, project, path, base, text).await {
        SaveOutcome::Saved { entry } => entry.version,
        SaveOutcome::Conflict { .. } => panic!("{path} is not at {base:?}"),
    }
}

async fn limit(admin: &Ctx, settings: StorageSettings) {
    settings::update_storage(admin, settings).await.unwrap();
}

async fn revision(ctx: &Ctx, project: ProjectId) -> i64 {
    domain::projects::get(ctx, project).await.unwrap().revision
}

/// Makes or removes empty directories, in one revision.
async fn directories(ctx: &Ctx, project: ProjectId, names: impl Iterator<Item = String>, is_there: bool) {
    let change = |path| files::WorkChange { path, kind: EntryKind::Directory, checksum: is_there.then(String::new), size: 0, mode: 0o755 };
    let here = revision(ctx, project).await;
    let done = files::commit_changes(ctx, project, here, Origin::Run.into(), names.map(change).collect()).await.unwrap();
    assert!(done.conflicts.is_empty() && done.refused.is_empty());
}

/// One revision that makes so many names, and one that deletes them.
async fn make_and_delete(ctx: &Ctx, project: ProjectId, round: usize, count: usize) {
    for is_there in [true, false] {
        directories(ctx, project, (0..count).map(|n| format!("{round}-{n}")), is_there).await;
    }
}

/// Paths that something is known of.
async fn remembered(ctx: &Ctx, project: ProjectId) -> usize {
    store::files::changed_since(&mut ctx.services().db.read().await.unwrap(), project, 0).await.unwrap().len()
}

async fn clean(system: &Ctx) -> u64 {
    forgotten::clean(system, &CancellationToken::new()).await.unwrap().names
}

async fn a_thousand_names_are_not_remembered_for_ever(mut home: Home) {
    let later = Later::of(&mut home);
    let ada = home.person("ada").await;
    let (project, other) = (home.project(&ada).await.id, home.project(&ada).await.id);
    let system = Ctx::system(&home.services);
    assert!(forgotten::clean(&ada, &CancellationToken::new()).await.is_err(), "people can't ask for it");
    make_and_delete(&ada, other, 0, 9).await;
    for round in 0..20 {
        make_and_delete(&ada, project, round, 50).await;
    }
    later.set(31 * DAY);
    assert_eq!(clean(&system).await, 0, "as many as a project may have files stay, whatever their age");
    assert_eq!(remembered(&ada, project).await, 1000);
    later.set(0);
    limit(&ada, StorageSettings { project_files: 10, retention_days: Some(30), ..StorageSettings::default() }).await;
    assert_eq!(clean(&system).await, 0, "what was deleted only now waits");
    later.set(7200);
    assert_eq!(clean(&system).await, 950);
    assert_eq!(remembered(&ada, project).await, 50, "what one revision deleted stays together");
    later.set(31 * DAY);
    for round in 100..102 {
        make_and_delete(&ada, project, round, 10).await;
    }
    assert_eq!(clean(&system).await, 50, "too many, and older than anything is kept");
    assert_eq!(remembered(&ada, project).await, 20, "too many, but not too old");
    assert_eq!(remembered(&ada, other).await, 9);
    assert_eq!(files::create_directory(&ada, project, "0-0").await.unwrap().version, 3, "above all that was forgotten");
    assert_eq!(files::create_directory(&ada, project, "100-0").await.unwrap().version, 5, "it began above it, and goes on where it was");
}

async fn one_name_made_and_deleted_a_thousand_times_is_not_either(mut home: Home) {
    let later = Later::of(&mut home);
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    limit(&ada, StorageSettings { versions_per_file: 3, ..StorageSettings::default() }).await;
    let once = || {
        let path = "again".to_owned();
        let base = Base::Revision(i64::MAX);
        [FileStep::CreateDirectory { path: path.clone() }, FileStep::Delete { path, base }]
    };
    let most = async || store::quotas::most_versions(&mut ada.services().db.read().await.unwrap(), project).await.unwrap();
    for _ in 0..20 {
        let steps = (0..50).flat_map(|_| once()).collect();
        let done = files::change(&ada, project, ChangeFiles { steps }).await.unwrap();
        assert!(matches!(done, FilesChanged::Changed { .. }));
        assert!(most().await <= 6, "twice the limit at most");
    }
    later.set(7200);
    quotas::thin(&Ctx::system(&home.services)).await.unwrap();
    assert!(most().await <= 3);
    assert_eq!(files::create_directory(&ada, project, "again").await.unwrap().version, 2001);
}

async fn a_number_from_before_is_refused(mut home: Home) {
    let later = Later::of(&mut home);
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let system = Ctx::system(&home.services);
    saved(&ada, project, "d/kept.txt", Base::New, "kept").await;
    let mut version = saved(&ada, project, "a.txt", Base::New, "first").await;
    for text in ["second", "third"] {
        version = saved(&ada, project, "a.txt", Base::Version(version), text).await;
    }
    let before = revision(&ada, project).await;
    files::delete(&ada, project, "a.txt", Some(Base::Version(version))).await.unwrap();
    for round in 0..3 {
        make_and_delete(&ada, project, round, 10).await;
    }
    limit(&ada, StorageSettings { project_files: 10, ..StorageSettings::default() }).await;
    later.set(7200);
    assert_eq!(clean(&system).await, 1);
    assert!(matches!(files::history(&ada, project, "a.txt", None).await, Err(Error::NotFound(_))), "nothing is known of it");

    // A tab that has been open since then, and a file that somebody else puts there.
    let new = saved(&ada, project, "a.txt", Base::New, "new").await;
    assert!(new > version + 1, "{new}");
    for old in 1..=version + 1 {
        let late = save(&ada, project, "a.txt", Base::Version(old), "lost").await;
        assert!(matches!(late, SaveOutcome::Conflict { .. }), "version {old}");
        assert!(files::delete(&ada, project, "a.txt", Some(Base::Version(old))).await.is_err(), "version {old}");
    }
    assert_eq!(files::open_text(&ada, project, "a.txt", None).await.unwrap().text.as_deref(), Some("new"));
    assert_eq!(saved(&ada, project, "a.txt", Base::Version(new), "newer").await, new + 1);

    // Nobody can say any more what was deleted in a directory since then.
    let delete = |base| ChangeFiles { steps: vec![FileStep::Delete { path: "d".to_owned(), base: Base::Revision(base) }] };
    let refused = files::change(&ada, project, delete(before)).await.unwrap();
    assert!(matches!(&refused, FilesChanged::Conflict { paths } if paths[0].reason.contains("may have changed")), "{refused:?}");
    let here = revision(&ada, project).await;
    assert!(files::changes_since(&ada, project, before).await.unwrap().is_partial, "a checkout of then needs all of it");
    assert!(!files::changes_since(&ada, project, here).await.unwrap().is_partial);
    assert!(matches!(files::change(&ada, project, delete(here)).await.unwrap(), FilesChanged::Changed { .. }));
}

/// Two move one folder back and forth; what is kept of its files never grows beyond twice its limit.
async fn whole_folders_never_have_too_many_versions(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    limit(&ada, StorageSettings { versions_per_file: 2, ..StorageSettings::default() }).await;
    directories(&ada, project, (0..210).map(|n| format!("d/{n}")), true).await;
    let movers = (0..2).map(|_| {
        let ada = ada.clone();
        tokio::spawn(async move {
            let mut moved = 0;
            for n in 0..8 {
                let (from, to) = if n % 2 == 0 { ("d", "e") } else { ("e", "d") };
                let request = MovePath { from: from.into(), to: to.into(), base: support::AS_IT_IS };
                moved += usize::from(files::move_path(&ada, project, request).await.is_ok());
                let most = store::quotas::most_versions(&mut ada.services().db.read().await.unwrap(), project).await.unwrap();
                assert!(most <= 4, "{most}");
            }
            moved
        })
    });
    let moved: usize = futures::future::join_all(movers.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).sum();
    assert!(moved >= 4, "each path got {moved} versions in all");
    let there = files::tree(&ada, project).await.unwrap().items;
    assert_eq!(there.iter().filter(|entry| entry.version > 0).count(), 210);
}

async fn who_comes_from_before_starts_over(mut home: Home) {
    let later = Later::of(&mut home);
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let system = Ctx::system(&home.services);
    for n in 0..5 {
        saved(&ada, project, &format!("{n}.txt"), Base::New, "x").await;
    }
    let last = files::tree(&ada, project).await.unwrap().seq;
    assert!(last >= 5);
    assert_eq!(forgotten::clean(&system, &CancellationToken::new()).await.unwrap().events, 0, "pages come back within days");
    later.set(8 * DAY);
    let gone = forgotten::clean(&system, &CancellationToken::new()).await.unwrap().events;
    assert_eq!(gone as i64, last - 1, "all but the last");
    // Sessions have an end too.
    later.set(0);
    let follow = async |after| Box::pin(live::follow(&ada, vec![(Stream::Project(project), after)]).await.unwrap());
    let (mut early, mut late) = (follow(1).await, follow(last - 1).await);
    let first = early.next().await.unwrap().unwrap();
    assert_eq!(first.kind, EventKind::StartOver {});
    assert!(first.seq >= last, "what follows is told");
    let next = late.next().await.unwrap().unwrap();
    assert_eq!(next.seq, last, "who has seen all that is forgotten goes on");
    saved(&ada, project, "new.txt", Base::New, "x").await;
    for (mut reader, mut seen) in [(early, first.seq), (late, next.seq)] {
        loop {
            let event = reader.next().await.unwrap().unwrap();
            assert_eq!(event.seq, seen + 1, "without a gap");
            seen = event.seq;
            if matches!(&event.kind, EventKind::FileChanged { path, .. } if path == "new.txt") {
                break;
            }
        }
    }
}
