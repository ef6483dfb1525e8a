//! A project from files that come batch by batch: all of them or none, and nothing is left of what was given up.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use domain::{
    Clock, Ctx, Error, SystemClock,
    files::{self, Received},
    import::staged::{self, KEPT_S, OPEN_MAX, StageFile},
    jobs::{self, Claimed, JobError, JobKind},
    projects, quotas,
};
use support::Home;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    ErrorCode, Micros, PageQuery, ProjectId,
    files::Origin,
    imports::{StageOutcome, StartImport},
    jobs::JobState,
    limits,
    quotas::QuotaOverride,
};

on_both!(
    batches_become_a_project,
    what_no_project_can_have_is_told_file_by_file,
    a_path_comes_once,
    eight_senders_of_one_path_agree_on_one_content,
    an_import_that_is_given_up_leaves_nothing,
    a_server_that_stops_does_not_give_it_up,
    caps_hold_before_and_at_the_end,
    what_nobody_goes_on_with_is_swept,
    an_import_is_its_owners_alone,
);

async fn file(ctx: &Ctx, id: ProjectId, path: &str, content: &[u8]) -> StageFile {
    let bytes = staged::receive(ctx, id, Box::pin(std::io::Cursor::new(content.to_vec()))).await.unwrap();
    StageFile { path: path.to_owned(), executable: false, bytes }
}

async fn start(ctx: &Ctx, name: &str) -> ProjectId {
    let request = StartImport { name: name.to_owned(), ..StartImport::default() };
    staged::start(ctx, request).await.unwrap().id
}

/// Sends text files and answers for each why it was refused.
async fn send(ctx: &Ctx, id: ProjectId, sent: &[(&str, &str)]) -> Vec<Option<String>> {
    let mut batch = Vec::new();
    for (path, text) in sent {
        batch.push(file(ctx, id, path, text.as_bytes()).await);
    }
    let outcomes = staged::stage(ctx, id, batch).await.unwrap();
    let reason = |outcome| match outcome {
        StageOutcome::Staged { .. } => None,
        StageOutcome::Refused { reason, .. } => Some(reason),
    };
    outcomes.into_iter().map(reason).collect()
}

async fn claim(ctx: &Ctx) -> Claimed {
    let claimed = jobs::claim(ctx.services(), "worker", jobs::WORK_LANE, Duration::from_secs(60)).await.unwrap().expect("a job waits");
    assert_eq!(claimed.kind, JobKind::Import);
    claimed
}

/// One attempt, as a worker makes it; `stop` is cancelled where the worker is told to stop.
async fn attempt(ctx: &Ctx, job: &Claimed, stop: CancellationToken) -> Result<(u64, u64), JobError> {
    let own = Ctx::for_job(ctx.services(), job.user.clone().unwrap(), job.id).fenced(job.fence);
    let (progress, seen) = watch::channel((0, 0));
    let ended = projects::run_import(&own, &job.payload().unwrap(), progress, stop).await;
    let last = *seen.borrow();
    ended.map(|()| last)
}

async fn work(ctx: &Ctx) -> Result<(u64, u64), JobError> {
    let job = claim(ctx).await;
    let ended = attempt(ctx, &job, CancellationToken::new()).await;
    match &ended {
        Ok(_) => drop(jobs::complete(ctx.services(), &job).await.unwrap()),
        Err(error) => drop(jobs::fail(ctx.services(), &job, &format!("{error:?}"), false).await.unwrap()),
    }
    ended
}

fn is_unknown<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::NotFound(_)))
}

/// Neither the import nor its project is there, and nothing names its content.
async fn assert_gone(ctx: &Ctx, id: ProjectId, checksum: &str) {
    assert!(is_unknown(staged::get(ctx, id).await) && is_unknown(projects::get(ctx, id).await));
    let mut conn = ctx.services().db.read().await.unwrap();
    assert!(store::blobs::place(&mut conn, id).await.unwrap().is_none(), "the project's row is gone");
    assert!(store::blobs::referenced(&mut conn, "local", &[checksum]).await.unwrap().is_empty(), "its content is named by nothing");
    assert!(store::imports::files(&mut conn, id, "", 10).await.unwrap().is_empty());
}

/// The checksum of one file that has come.
async fn checksum(ctx: &Ctx, id: ProjectId) -> String {
    staged::files(ctx, id, &PageQuery::default()).await.unwrap().items[0].checksum.clone()
}

async fn batches_become_a_project(home: Home) {
    let ada = home.person("ada").await;
    let id = start(&ada, "Weather station").await;
    assert_eq!(send(&ada, id, &[("src/main.py", "print(1)\n"), ("README.md", "# hi\n")]).await, [None, None]);
    let mut tool = file(&ada, id, "bin/tool", b"#!/bin/sh\n").await;
    tool.executable = true;
    let outcomes = staged::stage(&ada, id, vec![tool, file(&ada, id, "src/empty", b"").await]).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, StageOutcome::Staged { .. })), "{outcomes:?}");

    let import = staged::get(&ada, id).await.unwrap();
    assert_eq!((import.name.as_str(), import.files, import.bytes, import.job_id), ("Weather station", 4, 24, None));
    assert!(is_unknown(projects::get(&ada, id).await) && projects::list(&ada).await.unwrap().is_empty(), "nobody sees it yet");
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = staged::files(&ada, id, &PageQuery { limit: Some(3), cursor }).await.unwrap();
        listed.extend(page.items.into_iter().map(|file| (file.path, file.size, file.executable)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected = [("bin/tool", 10, true), ("README.md", 5, false), ("src/empty", 0, false), ("src/main.py", 9, false)];
    assert_eq!(listed, expected.map(|(path, size, executable)| (path.to_owned(), size, executable)));

    let begun = staged::finish(&ada, id).await.unwrap();
    assert_eq!(staged::finish(&ada, id).await.unwrap(), begun, "asked again it is the same job");
    let late = staged::stage(&ada, id, vec![]).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "nothing more comes once it is complete");
    assert!(is_unknown(projects::get(&ada, id).await));
    assert_eq!(work(&ada).await.unwrap(), (24, 24));

    let project = projects::get(&ada, id).await.unwrap();
    assert_eq!((project.name.as_str(), project.file_count, project.size_bytes, project.revision), ("Weather station", 4, 24, 1));
    let entries = files::manifest(&ada, id).await.unwrap().entries;
    let found: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.mode, entry.size)).collect();
    assert_eq!(found, [("README.md", 0o644, 5), ("bin/tool", 0o755, 10), ("src/empty", 0o644, 0), ("src/main.py", 0o644, 9)]);
    let text = files::open_text(&ada, id, "src/main.py", None).await.unwrap();
    assert_eq!(text.text.as_deref(), Some("print(1)\n"));
    let versions = files::history(&ada, id, "README.md", None).await.unwrap();
    assert_eq!(versions.items[0].origin, Origin::Import);
    assert!(is_unknown(staged::get(&ada, id).await), "an import that became a project is none any more");
    assert_eq!(jobs::get(&ada, begun.job_id).await.unwrap().state, JobState::Succeeded);
}

async fn what_no_project_can_have_is_told_file_by_file(home: Home) {
    let ada = home.person("ada").await;
    let id = start(&ada, "Hostile").await;
    let long = "n".repeat(256);
    let hostile =
        ["", "/etc/passwd", "../evil", "a/../../evil", "a//b", "a\nb", "a\u{202e}b", "a\\b", ".git/config", "sub/.git/hooks/x", &long];
    for path in hostile {
        let refused = send(&ada, id, &[(path, "x"), ("ok.txt", "ok")]).await;
        assert!(refused[0].as_deref().is_some_and(|reason| reason.ends_with('.')), "{path:?}: {refused:?}");
        assert_eq!(refused[1], None, "the others are kept");
        assert_eq!(staged::refuse_path(path), refused[0], "known before the bytes travel");
    }
    let first = send(&ada, id, &[("src/Main.rs", "1"), ("caf\u{e9}/x", "1"), ("docs", "a file")]).await;
    assert_eq!(first, [None, None, None]);
    // Against what came before, and within one batch.
    for path in ["src/main.rs", "SRC/other.rs", "cafe\u{301}/y", "DOCS", "docs/inside", "src"] {
        let refused = send(&ada, id, &[(path, "2"), ("Twice/a", "1"), ("twice/b", "1")]).await;
        assert!(refused[0].is_some(), "{path}");
        assert_eq!(refused[1], None);
        assert!(refused[2].as_deref().is_some_and(|reason| reason.contains("differs from it only in upper and lower case")), "{refused:?}");
    }
    let large = file(&ada, id, "large.bin", &vec![7; (1 << 20) + 1]).await;
    assert!(matches!(large.bytes, Received::Refused(_)), "larger than a file may be");
    let outcomes = staged::stage(&ada, id, vec![large]).await.unwrap();
    assert!(matches!(&outcomes[0], StageOutcome::Refused { reason, .. } if reason.contains("at most 1048576 bytes")), "{outcomes:?}");
    assert_eq!(staged::get(&ada, id).await.unwrap().files, 5);
    staged::finish(&ada, id).await.unwrap();
    work(&ada).await.unwrap();
    let entries = files::manifest(&ada, id).await.unwrap().entries;
    let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["Twice/a", "caf\u{e9}/x", "docs", "ok.txt", "src/Main.rs"]);
}

async fn a_path_comes_once(home: Home) {
    let ada = home.person("ada").await;
    let id = start(&ada, "Again").await;
    let batch = [("a.txt", "one"), ("dir/b.txt", "two")];
    assert_eq!(send(&ada, id, &batch).await, [None, None]);
    assert_eq!(send(&ada, id, &batch).await, [None, None], "a batch whose answer got lost comes again");
    let refused = send(&ada, id, &[("a.txt", "other"), ("c.txt", "three"), ("c.txt", "four")]).await;
    assert!(refused[0].as_deref().is_some_and(|reason| reason.starts_with("Another file came as a.txt before")), "{refused:?}");
    assert!(refused[1].is_none() && refused[2].is_some(), "{refused:?}");
    let import = staged::get(&ada, id).await.unwrap();
    assert_eq!((import.files, import.bytes), (3, 11));
    staged::finish(&ada, id).await.unwrap();
    work(&ada).await.unwrap();
    for (path, text) in [("a.txt", "one"), ("c.txt", "three")] {
        assert_eq!(files::open_text(&ada, id, path, None).await.unwrap().text.as_deref(), Some(text));
    }
}

async fn eight_senders_of_one_path_agree_on_one_content(home: Home) {
    let ada = home.person("ada").await;
    let id = start(&ada, "At once").await;
    let senders = (0..8).map(|n| {
        let ada = ada.clone();
        tokio::spawn(async move {
            let own = format!("own/{n}.txt");
            send(&ada, id, &[("same.txt", &format!("content {n}")), (&own, "own")]).await
        })
    });
    let answers: Vec<_> = futures::future::join_all(senders).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer[0].is_none()).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer[1].is_none()), "{answers:?}");
    let import = staged::get(&ada, id).await.unwrap();
    assert_eq!((import.files, import.bytes), (9, 9 + 8 * 3));
    staged::finish(&ada, id).await.unwrap();
    work(&ada).await.unwrap();
    assert_eq!(projects::get(&ada, id).await.unwrap().file_count, 9);
}

async fn an_import_that_is_given_up_leaves_nothing(home: Home) {
    let ada = home.person("ada").await;
    // While files come.
    let id = start(&ada, "First").await;
    send(&ada, id, &[("a.txt", "given up")]).await;
    let sum = checksum(&ada, id).await;
    staged::cancel(&ada, id).await.unwrap();
    assert_gone(&ada, id, &sum).await;
    assert!(is_unknown(staged::cancel(&ada, id).await) && is_unknown(staged::finish(&ada, id).await));
    // While its job waits: by the import or by the job.
    for by_job in [false, true] {
        let id = start(&ada, "Second").await;
        send(&ada, id, &[("a.txt", "given up")]).await;
        let job = staged::finish(&ada, id).await.unwrap().job_id;
        match by_job {
            true => drop(jobs::cancel(&ada, job).await.unwrap()),
            false => staged::cancel(&ada, id).await.unwrap(),
        }
        assert_eq!(jobs::get(&ada, job).await.unwrap().state, JobState::Cancelled);
        assert_gone(&ada, id, &sum).await;
    }
    // While its job works.
    let id = start(&ada, "Third").await;
    send(&ada, id, &[("a.txt", "given up")]).await;
    staged::finish(&ada, id).await.unwrap();
    let job = claim(&ada).await;
    staged::cancel(&ada, id).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(matches!(attempt(&ada, &job, stop).await, Err(JobError::Cancelled)));
    jobs::finish_cancelled(ada.services(), &job).await.unwrap();
    assert_gone(&ada, id, &sum).await;
    assert!(projects::list(&ada).await.unwrap().is_empty());
    // Without any file there is nothing to make a project of.
    let id = start(&ada, "Empty").await;
    assert!(matches!(staged::finish(&ada, id).await, Err(Error::Conflict { .. })));
}

async fn a_server_that_stops_does_not_give_it_up(home: Home) {
    let ada = home.person("ada").await;
    let id = start(&ada, "Goes on").await;
    send(&ada, id, &[("a.txt", "kept")]).await;
    staged::finish(&ada, id).await.unwrap();
    let job = claim(&ada).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(matches!(attempt(&ada, &job, stop).await, Err(JobError::Retry(_))));
    assert!(jobs::hand_back(ada.services(), &job, "stopped").await.unwrap());
    assert_eq!(staged::get(&ada, id).await.unwrap().files, 1);
    work(&ada).await.unwrap();
    assert_eq!(projects::get(&ada, id).await.unwrap().file_count, 1);
}

async fn caps_hold_before_and_at_the_end(home: Home) {
    let (admin, ada) = (home.person("admin").await, home.person("ada").await);
    let announce = |files, bytes| StartImport { name: "Caps".to_owned(), files, bytes, ..StartImport::default() };
    for (files, bytes) in [(limits::PROJECT_FILES_MAX + 1, 0), (0, limits::PROJECT_BYTES_MAX + 1)] {
        assert!(matches!(staged::start(&ada, announce(files, bytes)).await, Err(Error::TooLarge(_))));
    }
    let negative = staged::start(&ada, announce(-1, 0)).await.unwrap_err().into_problem(&ada);
    assert_eq!((negative.code, negative.fields[0].field.as_str()), (ErrorCode::Invalid, "files"));

    let id = ada.user_id().unwrap();
    quotas::set_of_user(&admin, id, QuotaOverride { files: Some(10), ..QuotaOverride::default() }).await.unwrap();
    assert!(matches!(staged::start(&ada, announce(11, 0)).await, Err(Error::TooLarge(_))), "refused before anything travels");
    let import = start(&ada, "Caps").await;
    let names: Vec<String> = (0..11).map(|n| format!("{n}.txt")).collect();
    let first: Vec<_> = names[..8].iter().map(|name| (name.as_str(), "x")).collect();
    send(&ada, import, &first).await;
    let mut rest = Vec::new();
    for name in &names[8..] {
        rest.push(file(&ada, import, name, b"x").await);
    }
    let refused = staged::stage(&ada, import, rest).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{:?}", refused.map(|outcomes| outcomes.len()));
    assert_eq!(staged::get(&ada, import).await.unwrap().files, 8, "the batch was not kept, the earlier one was");
    send(&ada, import, &[("8.txt", "x"), ("9.txt", "x")]).await;
    let sum = checksum(&ada, import).await;
    staged::finish(&ada, import).await.unwrap();
    // Meanwhile another project took the room.
    let held = home.project(&admin).await.id;
    let mut tx = ada.services().db.begin().await.unwrap();
    store::members::set_holder(&mut tx, held, id).await.unwrap();
    store::projects::add_totals(&mut tx, held, 1, 1).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    assert!(matches!(work(&ada).await, Err(JobError::Final(sentence)) if sentence.contains("10 files")));
    assert_gone(&ada, import, &sum).await;
}

/// The time, and the seconds that are added to it.
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Micros {
        SystemClock.now().plus_seconds(self.0.load(Ordering::SeqCst))
    }
}

async fn what_nobody_goes_on_with_is_swept(mut home: Home) {
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let wait = |seconds: i64| {
        later.0.fetch_add(seconds, Ordering::SeqCst);
    };
    let ada = home.person("ada").await;
    let system = Ctx::system(&home.services);
    let (left, kept, complete) = (start(&ada, "Left").await, start(&ada, "Kept").await, start(&ada, "Complete").await);
    for id in [left, kept, complete] {
        send(&ada, id, &[("a.txt", "of three")]).await;
    }
    staged::finish(&ada, complete).await.unwrap();
    wait(KEPT_S - 60);
    send(&ada, kept, &[("b.txt", "goes on")]).await;
    assert_eq!(staged::forget_expired(&system).await.unwrap(), 0);
    wait(120);
    assert!(is_unknown(staged::get(&ada, left).await), "from then on, whether it was swept or not");
    assert_eq!(staged::forget_expired(&system).await.unwrap(), 1);
    assert_gone(&ada, left, "none").await;
    assert_eq!(staged::get(&ada, kept).await.unwrap().files, 2);
    work(&ada).await.unwrap();
    assert_eq!(projects::get(&ada, complete).await.unwrap().file_count, 1, "what waits for a worker does not expire");

    // Pages that were closed do not pile up.
    wait(1);
    let mut open = vec![kept];
    for n in 0..OPEN_MAX {
        wait(1);
        open.push(start(&ada, &format!("Page {n}")).await);
    }
    assert!(is_unknown(staged::get(&ada, kept).await), "the one that waited longest is given up");
    for id in &open[1..] {
        staged::get(&ada, *id).await.unwrap();
    }
}

async fn an_import_is_its_owners_alone(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let id = start(&ben, "Ben's").await;
    send(&ben, id, &[("a.txt", "secret")]).await;
    // The administrator is no exception.
    assert!(is_unknown(staged::get(&ada, id).await) && is_unknown(staged::files(&ada, id, &PageQuery::default()).await));
    assert!(is_unknown(staged::stage(&ada, id, vec![]).await) && is_unknown(staged::finish(&ada, id).await));
    assert!(is_unknown(staged::receive(&ada, id, Box::pin(std::io::Cursor::new(vec![1]))).await.map(drop)));
    assert!(is_unknown(staged::cancel(&ada, id).await));
    // Nor is a project an import.
    let project = home.project(&ben).await.id;
    assert!(is_unknown(staged::get(&ben, project).await) && is_unknown(staged::cancel(&ben, project).await));
    assert!(matches!(
        staged::start(&home.nobody(), StartImport { name: "X".to_owned(), ..Default::default() }).await,
        Err(Error::NotSignedIn)
    ));
    projects::get(&ben, project).await.unwrap();
    assert_eq!(staged::get(&ben, id).await.unwrap().files, 1);
}
