//! The queue as the worker and people see it.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    Ctx, Error,
    jobs::{self, Failed, Gone, JobKind, TERMINAL_LANE, WORK_LANE},
    runs, settings,
};
use store::{JobSignal, SignalsLink};
use support::Home;
use uuid::Uuid;
use wire::{
    ProjectId,
    jobs::JobState,
    runs::{RunKind, RunState, StartRun},
    settings::RunSettings,
};

const LEASE: Duration = Duration::from_secs(30);

on_both!(
    a_killed_workers_run_is_lost_once,
    what_can_be_repeated_goes_back_into_the_queue,
    people_cancel_their_own_jobs_only,
    the_administrators_limits_apply_at_once,
);

async fn start(ctx: &Ctx, project: ProjectId) -> wire::JobId {
    let run = runs::start(ctx, project, StartRun::command("true")).await.unwrap();
    let db = ctx.services().db.clone();
    let row = store::runs::get(&mut db.read().await.unwrap(), run.id).await.unwrap().unwrap();
    row.job_id.unwrap()
}

async fn claim(home: &Home, worker: &str) -> Option<jobs::Claimed> {
    jobs::claim(&home.services, worker, WORK_LANE, LEASE).await.unwrap()
}

async fn a_killed_workers_run_is_lost_once(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await;
    let id = start(&ada, project.id).await;
    let claimed = claim(&home, "first").await.unwrap();
    assert_eq!((claimed.id, claimed.kind), (id, JobKind::SandboxExec));
    let reap = |worker: &'static str, gone| jobs::reap(&home.services, worker, LEASE, gone);
    assert!(reap("second", Gone::Expired).await.unwrap().is_empty(), "its lease is good");
    assert!(reap("second", Gone::Earlier("second")).await.unwrap().is_empty(), "and it is somebody else's");

    let mut lost = reap("first", Gone::Earlier("first")).await.unwrap();
    let lost = lost.pop().unwrap();
    assert!(reap("third", Gone::Expired).await.unwrap().is_empty(), "the reaper has a lease of its own");
    assert_eq!((lost.id, lost.kind), (id, Some(JobKind::SandboxExec)));
    assert_eq!(jobs::get(&ada, id).await.unwrap().state, JobState::Running, "until what it stood for has ended");
    assert!(jobs::bury(&home.services, &lost).await.unwrap());
    assert!(!jobs::bury(&home.services, &lost).await.unwrap());
    let job = jobs::get(&ada, id).await.unwrap();
    assert_eq!((job.state, job.attempts), (JobState::Failed, 1));

    // The worker was not dead after all.
    assert!(!jobs::complete(&home.services, &claimed).await.unwrap());
    assert_eq!(jobs::fail(&home.services, &claimed, "late", true).await.unwrap(), Failed::NotOurs);
    assert_eq!(jobs::heartbeat(&home.services, &claimed, LEASE, None).await.unwrap(), jobs::Beat::Lost);
    assert!(claim(&home, "second").await.is_none(), "a command is never run twice");
}

async fn what_can_be_repeated_goes_back_into_the_queue(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await;
    let id: wire::JobId = Uuid::now_v7().into();
    let mut tx = home.services.db.begin().await.unwrap();
    let new = store::jobs::NewJob {
        id,
        kind: "import",
        lane: "work",
        priority: 0,
        payload: "not JSON",
        user_id: ada.user_id(),
        project_id: Some(project.id),
        max_attempts: 2,
        at: ada.now(),
    };
    store::jobs::insert(&mut tx, &new).await.unwrap();
    assert!(tx.commit().await.unwrap().wakes_workers);
    for attempt in 1..=2 {
        let claimed = claim(&home, "first").await.unwrap();
        assert_eq!((claimed.id, claimed.attempt, claimed.is_last_attempt()), (id, attempt, attempt == 2));
        let lost = jobs::reap(&home.services, "second", LEASE, Gone::Everybody).await.unwrap();
        assert_eq!(lost.len(), usize::from(attempt == 2));
        for lost in lost {
            assert!(jobs::bury(&home.services, &lost).await.unwrap());
        }
    }
    assert_eq!(jobs::get(&ada, id).await.unwrap().state, JobState::Dead);
}

async fn people_cancel_their_own_jobs_only(home: Home) {
    let (admin, ada, eve) = (home.person("root").await, home.person("ada").await, home.person("eve").await);
    let project = home.project(&ada).await;
    let id = start(&ada, project.id).await;
    assert!(matches!(jobs::cancel(&eve, id).await, Err(Error::NotFound(_))));
    assert!(matches!(jobs::cancel(&home.nobody(), id).await, Err(Error::NotSignedIn)));
    assert_eq!(jobs::cancel(&ada, id).await.unwrap().state, JobState::Cancelled);
    assert_eq!(runs::list(&ada, project.id).await.unwrap()[0].state, RunState::Cancelled);
    assert!(matches!(jobs::cancel(&ada, id).await, Err(Error::Conflict { .. })));
    let other = start(&ada, project.id).await;
    assert_eq!(jobs::cancel(&admin, other).await.unwrap().state, JobState::Cancelled);

    // Of a run that goes on in another process, only the wish is written down.
    let running = start(&ada, project.id).await;
    assert_eq!(claim(&home, "elsewhere").await.unwrap().id, running);
    let asked = tokio::time::timeout(Duration::from_millis(500), jobs::cancel(&ada, running)).await;
    assert!(asked.is_err(), "it waits for the end");
    assert_eq!(jobs::cancelled_of(&home.services, "elsewhere").await.unwrap(), [running]);
}

async fn the_administrators_limits_apply_at_once(home: Home) {
    let (admin, ada) = (home.person("root").await, home.person("ada").await);
    let project = home.project(&ada).await;
    for _ in 0..3 {
        start(&ada, project.id).await;
    }
    let limit = async |settings: RunSettings| settings::update_runs(&admin, settings).await.unwrap();
    limit(RunSettings { jobs_per_user: 1, ..RunSettings::default() }).await;
    assert!(claim(&home, "w").await.is_some());
    assert!(claim(&home, "w").await.is_none());
    limit(RunSettings { jobs_per_user: 9, jobs_in_all: 2, ..RunSettings::default() }).await;
    assert!(claim(&home, "w").await.is_some());
    assert!(claim(&home, "w").await.is_none());
    assert!(jobs::claim(&home.services, "w", TERMINAL_LANE, LEASE).await.unwrap().is_none(), "there is no terminal");
}

#[test]
fn every_kind_has_a_word_and_every_run_a_kind() {
    for kind in JobKind::ALL {
        assert_eq!(JobKind::parse(kind.as_str()), Some(kind));
    }
    for run in [RunKind::SandboxExec, RunKind::TestRunner, RunKind::Codegen, RunKind::Terminal] {
        let kind = JobKind::of_run(run);
        assert!(kind.is_run());
        assert_eq!(kind.lane(), if run == RunKind::Terminal { TERMINAL_LANE } else { WORK_LANE });
    }
    assert!(!JobKind::Import.is_run() && !JobKind::AgentTurn.is_run());
}

#[derive(Default)]
struct Wire(Mutex<Vec<JobSignal>>);

impl SignalsLink for Wire {
    fn send(&self, signal: JobSignal) {
        self.0.lock().unwrap().push(signal);
    }
}

#[tokio::test]
async fn signals_go_out_once_and_what_comes_in_stays() {
    let signals = jobs::JobSignals::default();
    let wire = Arc::new(Wire::default());
    signals.connect(wire.clone());
    let (here, elsewhere) = (Uuid::now_v7(), Uuid::now_v7());
    let running = signals.register(here);
    assert!(signals.cancel(here) && running.token.is_cancelled());
    assert!(!signals.cancel(elsewhere));
    signals.wake();
    assert_eq!(*wire.0.lock().unwrap(), [JobSignal::Cancel(elsewhere), JobSignal::Wake]);

    let second = signals.register(elsewhere);
    let inside = signals.within_process();
    inside.receive(JobSignal::Cancel(elsewhere));
    assert!(second.token.is_cancelled());
    inside.receive(JobSignal::Cancel(Uuid::now_v7()));
    for lane in [WORK_LANE, TERMINAL_LANE] {
        let woken = std::time::Instant::now();
        signals.wait_for_work(lane, LEASE).await;
        assert!(woken.elapsed() < LEASE / 2, "the earlier wake-up was kept");
    }
    let waiting = tokio::spawn(async move { signals.wait_for_work(TERMINAL_LANE, LEASE).await });
    inside.receive(JobSignal::Wake);
    tokio::time::timeout(LEASE / 2, waiting).await.unwrap().unwrap();
    assert_eq!(wire.0.lock().unwrap().len(), 2, "nothing echoes");
}
