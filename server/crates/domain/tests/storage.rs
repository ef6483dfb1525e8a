//! Where bytes are: what moves, what is swept, and what never goes.

#[path = "../../blobs/tests/support/s3_server.rs"]
mod s3_server;
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use blobs::{Backend, Blobs, Storage};
use domain::{
    Clock, Ctx, Error, SystemClock,
    files::{self, Precondition},
    jobs::JobError,
    storage::{self, MoveJob, Swept},
};
use s3_server::S3Server;
use store::{files as rows, projects};
use support::Home;
use tokio::sync::{RwLock, watch};
use tokio_util::sync::CancellationToken;
use wire::{
    Micros, ProjectId, UserId,
    files::{EntryKind, FileAction, Origin},
    storage::MoveStorage,
};

on_both!(
    writers_and_a_sweep_lose_nothing,
    a_blob_that_is_being_removed_can_not_be_named,
    a_project_moves_while_people_write,
    a_move_that_ends_early_changes_nothing,
    cleaning_is_queued_once_an_hour,
    a_deleted_project_goes_for_good_after_its_time,
);

/// The same against servers that speak S3. Both storages are buckets without a cache, so that nothing is read from anywhere else.
mod on_s3 {
    use super::*;

    struct Buckets {
        home: Home,
        _servers: [S3Server; 2],
        _caches: tempfile::TempDir,
    }

    async fn buckets() -> Buckets {
        let caches = tempfile::tempdir().unwrap();
        let servers = [S3Server::start().await, S3Server::start().await];
        let here = servers[0].blobs(caches.path().join("here"), 0).await;
        let there = servers[1].blobs(caches.path().join("there"), 0).await;
        let storage = Storage { local: Arc::new(here), s3: Some(Arc::new(there)), default: Backend::Local };
        Buckets { home: Home::with_storage(storage).await, _servers: servers, _caches: caches }
    }

    macro_rules! on_buckets {
        ($($name:ident),+ $(,)?) => {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Buckets { home, _servers, _caches } = buckets().await;
                super::$name(home).await;
            }
        )+};
    }

    on_buckets!(
        writers_and_a_sweep_lose_nothing,
        a_blob_that_is_being_removed_can_not_be_named,
        a_project_moves_while_people_write,
        a_move_that_ends_early_changes_nothing,
    );
}

async fn sweep(home: &Home, backend: Backend, grace: Duration) -> Swept {
    let (progress, _) = watch::channel((0, 0));
    storage::sweep(&Ctx::system(&home.services), backend, grace, &progress, &CancellationToken::new()).await.unwrap()
}

/// Once more than a grace, so that what nothing names is gone.
async fn sweep_clean(home: &Home, backend: Backend) -> Swept {
    sweep(home, backend, Duration::ZERO).await;
    sweep(home, backend, Duration::ZERO).await
}

async fn save(ctx: &Ctx, project: ProjectId, path: &str, text: &str) -> Result<i64, Error> {
    let before = match files::entry(ctx, project, path).await {
        Ok(entry) => Precondition::Version(entry.version),
        Err(Error::NotFound(_)) => Precondition::New,
        Err(other) => return Err(other),
    };
    let body: blobs::Reader = Box::pin(std::io::Cursor::new(text.as_bytes().to_vec()));
    Ok(files::put(ctx, project, path, before, body, None).await?.entry.version)
}

/// Saves, and once more as long as the answer is to try again.
async fn save_patiently(ctx: &Ctx, project: ProjectId, path: &str, text: &str) {
    for _ in 0..200 {
        match save(ctx, project, path, text).await {
            Ok(_) => return,
            Err(Error::Unavailable(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it was refused two hundred times");
}

async fn text_of(ctx: &Ctx, project: ProjectId, path: &str) -> Option<String> {
    files::open_text(ctx, project, path, None).await.unwrap().text
}

/// A row that names a blob for a while: an import that is not finished, which can be taken away again.
async fn name_for_a_while(ctx: &Ctx, sha256: &str) -> Result<ProjectId, Error> {
    let services = ctx.services();
    let (id, now): (ProjectId, _) = (uuid::Uuid::now_v7().into(), services.clock.now());
    let owner: UserId = ctx.require_user()?.id;
    let mut tx = services.db.begin().await?;
    let new =
        projects::NewProject { id, owner_id: owner, name: "While", description: "", storage_backend: "local", at: now, importing: true };
    projects::insert(&mut tx, &new).await?;
    storage::keep(ctx, &mut tx, id, &[sha256]).await?;
    let version = rows::NewVersion {
        project_id: id,
        path: "file",
        version: 1,
        revision: 1,
        action: FileAction::Added,
        kind: EntryKind::File,
        size: 1,
        content_type: "text/plain",
        checksum: Some(sha256),
        mode: 0o644,
        origin: Origin::Import,
        at: now,
        by: Some(owner),
        moved_from: None,
        cause: None,
        deleted_as: None,
    };
    rows::insert_version(&mut tx, &version).await?;
    let _committed = tx.commit().await?;
    Ok(id)
}

/// Six writers store, name, read and let go of the same few contents while a sweep without any grace goes on and on. The lock stands
/// for the grace: a sweep begins when the transactions and uploads of before have ended.
async fn writers_and_a_sweep_lose_nothing(home: Home) {
    let ada = home.person("ada").await;
    let blobs = home.services.storage.local.clone();
    let grace = Arc::new(RwLock::new(()));
    let (refused, removed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let is_over = AtomicBool::new(false);
    let writers: Vec<_> = (0..6usize)
        .map(|writer| {
            let (ctx, blobs, grace, refused) = (ada.clone(), blobs.clone(), grace.clone(), refused.clone());
            let removed = removed.clone();
            tokio::spawn(async move {
                let enough = |round| round >= 20 && removed.load(Ordering::Relaxed) >= 30;
                for round in (0..1000).take_while(|round| !enough(*round)) {
                    let content = format!("content {}", (writer * 5 + round * 7) % 9).into_bytes();
                    let (sha256, project) = loop {
                        let within_grace = grace.read().await;
                        let stored = blobs.put_bytes(content.clone()).await.unwrap();
                        tokio::task::yield_now().await;
                        match name_for_a_while(&ctx, &stored.sha256).await {
                            Ok(project) => break (stored.sha256, project),
                            Err(Error::Unavailable(_)) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                            Err(other) => panic!("{other}"),
                        }
                        drop(within_grace);
                    };
                    for _ in 0..4 {
                        assert_eq!(blobs.read_all(&sha256, 100).await.unwrap(), content, "what a row names can be read");
                        tokio::task::yield_now().await;
                    }
                    let mut tx = ctx.services().db.begin().await.unwrap();
                    projects::remove_unfinished(&mut tx, project).await.unwrap();
                    let _committed = tx.commit().await.unwrap();
                    tokio::time::sleep(Duration::from_millis((round % 4) as u64)).await;
                }
            })
        })
        .collect();
    let sweeping = async {
        while !is_over.load(Ordering::Relaxed) {
            drop(grace.write().await);
            let swept = sweep(&home, Backend::Local, Duration::ZERO).await;
            removed.fetch_add(swept.removed as usize, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    let writing = async {
        for writer in writers {
            writer.await.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(sweeping, writing);
    assert!(removed.load(Ordering::Relaxed) >= 30, "hardly anything was removed, so nothing was shown");
    eprintln!("removed {}, refused {}", removed.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    sweep_clean(&home, Backend::Local).await;
    assert!(all_names(&*blobs).await.is_empty(), "and in the end nothing is left");
}

async fn all_names(blobs: &dyn Blobs) -> Vec<String> {
    use futures::TryStreamExt;
    blobs.list().await.unwrap().map_ok(|listed| listed.sha256).try_collect().await.unwrap()
}

/// Between the decision and the end of a removal a save is refused, and succeeds after it.
async fn a_blob_that_is_being_removed_can_not_be_named(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let blobs = home.services.storage.local.clone();
    let stored = blobs.put_bytes(b"again".to_vec()).await.unwrap();
    let other = blobs.put_bytes(b"named".to_vec()).await.unwrap();
    save(&ada, project, "named.txt", "named").await.unwrap();
    let first = sweep(&home, Backend::Local, Duration::ZERO).await;
    assert_eq!((first.looked_at, first.doomed, first.removed), (2, 1, 0));
    assert_eq!(sweep(&home, Backend::Local, Duration::from_secs(3600)).await.removed, 0, "not before its time");

    // Saved again after all: it is kept.
    save(&ada, project, "again.txt", "again").await.unwrap();
    assert_eq!(sweep_clean(&home, Backend::Local).await.removed, 0);
    assert!(blobs.exists(&stored.sha256).await.unwrap() && blobs.exists(&other.sha256).await.unwrap());

    // A server died between the decision and its end.
    let orphan = blobs.put_bytes(b"orphan".to_vec()).await.unwrap().sha256;
    let now = home.services.clock.now();
    let mut tx = home.services.db.begin().await.unwrap();
    store::blobs::doom(&mut tx, "local", &[&orphan], now).await.unwrap();
    assert!(store::blobs::begin_removal(&mut tx, "local", &orphan, now, now).await.unwrap());
    let _committed = tx.commit().await.unwrap();
    let refused = save(&ada, project, "orphan.txt", "orphan").await;
    assert!(matches!(&refused, Err(Error::Unavailable(reason)) if reason.contains("try again")), "{refused:?}");
    assert!(files::entry(&ada, project, "orphan.txt").await.is_err(), "nothing is half saved");
    // Nobody knows how long ago that was, as the memory has no lock: the next sweep leaves it alone for a while.
    assert_eq!(sweep(&home, Backend::Local, Duration::ZERO).await.removed, 0);
    let mut tx = home.services.db.begin().await.unwrap();
    store::blobs::finish_removal(&mut tx, "local", &orphan, now, now).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    save(&ada, project, "orphan.txt", "orphan").await.unwrap();
    assert_eq!(text_of(&ada, project, "orphan.txt").await.as_deref(), Some("orphan"));
    sweep_clean(&home, Backend::Local).await;
    assert_eq!(text_of(&ada, project, "orphan.txt").await.as_deref(), Some("orphan"));
}

async fn run(ctx: &Ctx, project: ProjectId, to: &str) -> Result<(), JobError> {
    let (progress, _) = watch::channel((0, 0));
    let job = MoveJob { project_id: project, to: to.to_owned() };
    storage::run_move(ctx, &job, progress, CancellationToken::new()).await
}

async fn a_project_moves_while_people_write(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    for n in 0..40 {
        save(&ada, project, &format!("dir/{n}.txt"), &format!("text {n}")).await.unwrap();
    }
    save(&ada, project, "dir/0.txt", "a second version").await.unwrap();
    let refused = storage::start_move(&ada, project, MoveStorage { to: "local".to_owned() }).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })));
    let moving = storage::start_move(&ada, project, MoveStorage { to: "s3".to_owned() }).await.unwrap();
    assert_eq!((moving.backend.as_str(), moving.move_to.as_deref()), ("local", Some("s3")));
    assert!(moving.move_job.is_some());
    let again = storage::start_move(&ada, project, MoveStorage { to: "s3".to_owned() }).await;
    assert!(matches!(again, Err(Error::Conflict { .. })));

    // Stored before the change, to be named after it.
    let late = storage::open(&ada, project).await.unwrap().put_bytes(b"late".to_vec()).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let ctx = ada.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    save_patiently(&ctx, project, &format!("new/{writer}-{n}.txt"), &format!("new {writer} {n}")).await;
                }
            })
        })
        .collect();
    run(&ada, project, "s3").await.unwrap();
    let there = storage::of_project(&ada, project).await.unwrap();
    assert_eq!((there.backend.as_str(), there.move_to, there.move_job), ("s3", None, None));
    for writer in writers {
        writer.await.unwrap();
    }
    let mut tx = home.services.db.begin().await.unwrap();
    let refused = storage::keep(&ada, &mut tx, project, &[&late.sha256]).await;
    assert!(matches!(&refused, Err(Error::Unavailable(reason)) if reason.contains("moved")), "{refused:?}");
    drop(tx);

    sweep_clean(&home, Backend::Local).await;
    sweep_clean(&home, Backend::S3).await;
    assert!(all_names(&*home.services.storage.local).await.is_empty(), "nothing of it is left behind");
    for n in 1..40 {
        assert_eq!(text_of(&ada, project, &format!("dir/{n}.txt")).await, Some(format!("text {n}")));
    }
    let first = files::open_text(&ada, project, "dir/0.txt", Some(1)).await.unwrap();
    assert_eq!(first.text.as_deref(), Some("text 0"), "earlier versions have moved, too");
    for writer in 0..4 {
        for n in 0..10 {
            assert_eq!(text_of(&ada, project, &format!("new/{writer}-{n}.txt")).await, Some(format!("new {writer} {n}")));
        }
    }
    // Done is done, also for an attempt that comes late.
    run(&ada, project, "s3").await.unwrap();

    let viewer = home.person("vera").await;
    assert!(matches!(storage::of_project(&viewer, project).await, Err(Error::NotFound(_))));
    assert!(matches!(storage::start_move(&viewer, project, MoveStorage { to: "local".to_owned() }).await, Err(Error::NotFound(_))));
}

async fn a_move_that_ends_early_changes_nothing(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    save(&ada, project, "a.txt", "a").await.unwrap();
    save(&ada, project, "b.txt", "b").await.unwrap();
    let to_s3 = || MoveStorage { to: "s3".to_owned() };
    let job = MoveJob { project_id: project, to: "s3".to_owned() };

    storage::start_move(&ada, project, to_s3()).await.unwrap();
    let (progress, _) = watch::channel((0, 0));
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let ended = storage::run_move(&ada, &job, progress, cancelled).await;
    assert!(matches!(ended, Err(JobError::Cancelled)), "{ended:?}");
    storage::end_move(&ada, &job).await.unwrap();
    let here = storage::of_project(&ada, project).await.unwrap();
    assert_eq!((here.backend.as_str(), here.move_to), ("local", None));
    assert!(matches!(run(&ada, project, "s3").await, Err(JobError::Cancelled)), "an attempt that comes late does nothing");

    storage::start_move(&ada, project, to_s3()).await.unwrap();
    let b = files::entry(&ada, project, "b.txt").await.unwrap().checksum;
    home.services.storage.local.remove(&b).await.unwrap();
    let ended = run(&ada, project, "s3").await;
    assert!(matches!(&ended, Err(JobError::Final(reason)) if reason.contains("missing")), "{ended:?}");
    assert_eq!(storage::of_project(&ada, project).await.unwrap().backend, "local");
    storage::end_move(&ada, &job).await.unwrap();
    assert_eq!(text_of(&ada, project, "a.txt").await.as_deref(), Some("a"));
    sweep_clean(&home, Backend::S3).await;
    assert!(all_names(&**home.services.storage.s3.as_ref().unwrap()).await.is_empty(), "what was copied is gone");
}

async fn cleaning_is_queued_once_an_hour(home: Home) {
    let system = Ctx::system(&home.services);
    for _ in 0..3 {
        storage::schedule_cleaning(&system).await.unwrap();
    }
    let lease = Duration::from_secs(30);
    let job = domain::jobs::claim(&home.services, "worker", "work", lease).await.unwrap().unwrap();
    assert_eq!((job.kind, job.user.is_none()), (domain::jobs::JobKind::Cleanup, true));
    assert!(domain::jobs::claim(&home.services, "worker", "work", lease).await.unwrap().is_none(), "one");
    let (progress, _) = watch::channel((0, 0));
    storage::clean(&system, progress, CancellationToken::new()).await.unwrap();
    assert!(domain::jobs::complete(&home.services, &job).await.unwrap());
    storage::schedule_cleaning(&system).await.unwrap();
    assert!(domain::jobs::claim(&home.services, "worker", "work", lease).await.unwrap().is_none(), "an hour has not gone by");
    let ada = home.person("ada").await;
    let (progress, _) = watch::channel((0, 0));
    assert!(matches!(storage::clean(&ada, progress, CancellationToken::new()).await, Err(Error::Forbidden(_))));
}

/// The time, and what is added to it.
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Micros {
        SystemClock.now().plus_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// What tables hold of a project, by their names; each of these has rows while it is there.
async fn rows_of(home: &Home, project: ProjectId) -> Vec<(&'static str, i64)> {
    let mut conn = home.services.db.read().await.unwrap();
    let mut found = Vec::new();
    for (table, rows) in [
        ("projects", "SELECT COUNT(*) FROM projects WHERE id = $1"),
        ("files", "SELECT COUNT(*) FROM file_versions WHERE project_id = $1"),
        ("members", "SELECT COUNT(*) FROM project_members WHERE project_id = $1"),
        ("checkpoints", "SELECT COUNT(*) FROM checkpoints WHERE project_id = $1"),
        ("conversations", "SELECT COUNT(*) FROM conversations WHERE project_id = $1"),
        ("limits", "SELECT COUNT(*) FROM project_quotas WHERE project_id = $1"),
    ] {
        let count: i64 = match &mut conn {
            store::Conn::Sqlite(handle) => sqlx::query_scalar(rows).bind(project).fetch_one(handle.get()).await.unwrap(),
            store::Conn::Postgres(handle) => sqlx::query_scalar(rows).bind(project).fetch_one(handle.get()).await.unwrap(),
        };
        found.push((table, count));
    }
    let events: i64 = store::events::last_seq(&mut conn, wire::event::Stream::Project(project)).await.unwrap();
    found.push(("events", events));
    found
}

async fn a_deleted_project_goes_for_good_after_its_time(mut home: Home) {
    const DAY: i64 = 86_400;
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let system = Ctx::system(&home.services);
    let clean = async |stop: CancellationToken| {
        let (progress, _) = watch::channel((0, 0));
        storage::clean(&system, progress, stop).await.unwrap();
    };
    let (admin, ada) = (home.person("admin").await, home.person("ada").await);
    let (gone, kept) = (home.project(&ada).await.id, home.project(&ada).await.id);
    for n in 0..30 {
        save(&ada, gone, &format!("{n}.txt"), &format!("only here {n}")).await.unwrap();
    }
    save(&ada, gone, "0.txt", "later").await.unwrap();
    for project in [gone, kept] {
        save(&ada, project, "shared.txt", "in both").await.unwrap();
    }
    domain::checkpoints::create(&ada, gone, wire::checkpoints::CreateCheckpoint { name: "Kept".into() }).await.unwrap();
    domain::chat::create_conversation(&ada, gone, wire::chat::CreateConversation::default()).await.unwrap();
    let own = wire::quotas::QuotaOverride { files: Some(1000), ..Default::default() };
    domain::quotas::set_of_project(&admin, gone, own).await.unwrap();
    let used = domain::quotas::mine(&ada).await.unwrap();
    domain::projects::delete(&ada, gone).await.unwrap();
    assert_eq!(domain::quotas::mine(&ada).await.unwrap().bytes, used.bytes, "it takes its room while it can be restored");

    let listed = async || {
        let query = wire::admin::ProjectQuery { deleted: Some(true), ..Default::default() };
        domain::admin::list_projects(&admin, query).await.unwrap().items
    };
    let shown = listed().await;
    assert_eq!(shown[0].restorable_until, shown[0].deleted_at.map(|at| at.plus_seconds(90 * DAY)));
    later.0.store(89 * DAY, Ordering::SeqCst);
    clean(CancellationToken::new()).await;
    domain::admin::restore_project(&admin, gone).await.unwrap();
    assert_eq!(text_of(&ada, gone, "1.txt").await.as_deref(), Some("only here 1"), "restored as it was");
    domain::projects::delete(&ada, gone).await.unwrap();

    later.0.store(181 * DAY, Ordering::SeqCst);

    // Begun and not ended: it can't come back, and the next cleanup goes on.
    let stopped = CancellationToken::new();
    stopped.cancel();
    clean(stopped).await;
    assert!(rows_of(&home, gone).await.iter().all(|(_, count)| *count > 0));
    assert!(listed().await.is_empty());
    assert!(matches!(domain::admin::restore_project(&admin, gone).await, Err(Error::NotFound(_))));
    clean(CancellationToken::new()).await;
    assert_eq!(rows_of(&home, gone).await.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), []);
    let left = domain::quotas::mine(&ada).await.unwrap();
    assert_eq!((left.projects, left.files.used, left.bytes.used), (1, 1, "in both".len() as i64));
    let about = wire::audit::AuditQuery { project: Some(gone), ..Default::default() };
    let told = domain::audit::list(&admin, about).await.unwrap().items;
    assert_eq!(told.iter().filter(|entry| entry.action == wire::audit::AuditAction::ProjectPurged).count(), 1, "{told:?}");
    assert!(told.iter().any(|entry| entry.action == wire::audit::AuditAction::ProjectCreated), "the log keeps what it has");
    // Its bytes go by the ordinary sweep; what another project names stays.
    assert_eq!(sweep_clean(&home, Backend::Local).await.removed, 31);
    assert_eq!(text_of(&ada, kept, "shared.txt").await.as_deref(), Some("in both"));
}
