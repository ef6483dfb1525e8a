use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{
    Ctx, Error,
    jobs::{self, Beat, Claimed, Gone, JobKind, Lost, TERMINAL_LANE, WORK_LANE},
};
use futures::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use wire::jobs::Progress;

use super::{
    Work, registry,
    task::{Outcome, Stop, Task, Why},
};

const LEASE: Duration = Duration::from_secs(30);
/// How often the queue is looked at when nothing woke the worker: jobs of other processes, and those due later.
const IDLE: Duration = Duration::from_secs(1);
/// Progress is told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(300);
/// How often unused checkouts are looked for; it reads every directory of every checkout.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);
/// A checkout that nothing has used for so long is made again when it is needed.
const KEEP_UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often it is looked whether the hourly cleanup is due.
const SCHEDULE_EVERY: Duration = Duration::from_secs(300);
const REAP_EVERY: Duration = Duration::from_secs(5);
/// How often running jobs are asked whether another process wants them to stop.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Terminals at a time: they wait for a person most of their lives.
const TERMINALS: usize = 32;
/// When stopping: running jobs may end by themselves for this long, then they are handed back. Those that go on elsewhere from where
/// they are, are handed back at once.
const FINISH_TIME: Duration = Duration::from_secs(5);
const HAND_BACK_TIME: Duration = Duration::from_secs(10);

const STOPPED: &str = "The server was stopped while it worked on this.";
const NO_ACCOUNT: &str = "The account that asked for this is disabled or gone.";
const BROKEN: &str = "Something failed on the server. The log has the details.";

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It has done as many jobs as it should; a new process is to take its place.
    Replace,
}

/// Takes jobs as long as the process lives.
pub struct Worker {
    work: Arc<Work>,
    taken: AtomicU64,
}

/// What the lanes and their jobs share.
struct Pool {
    tasks: TaskTracker,
    /// No more jobs are taken.
    closing: CancellationToken,
    /// The worker stops.
    stop: CancellationToken,
    /// All jobs that run are to be given back.
    hand_back: CancellationToken,
    terminals: Arc<Semaphore>,
}

impl Worker {
    pub fn new(work: Work) -> Self {
        Self { work: Arc::new(work), taken: AtomicU64::new(0) }
    }

    /// Works until `stop`, then lets running jobs end or hands them back. Where a most of jobs is set, ends by itself after it, once
    /// everything that ran has ended.
    pub async fn run(self, stop: CancellationToken) -> Ended {
        let swept = self.work.sandbox.sweep().await;
        tracing::info!(?swept, worker = self.work.name.as_str(), "what an earlier server left behind was removed");
        let gone = if self.work.owns_all_jobs { Gone::Everybody } else { Gone::Earlier(self.work.name.as_str()) };
        reap(&self.work, gone).await;
        let pool = Pool {
            tasks: TaskTracker::new(),
            closing: stop.child_token(),
            stop: stop.clone(),
            hand_back: CancellationToken::new(),
            terminals: Arc::new(Semaphore::new(TERMINALS)),
        };
        let slots = Arc::new(Semaphore::new(self.work.concurrency));
        let lanes = async {
            tokio::join!(self.take_jobs(WORK_LANE, &slots, &pool), self.take_jobs(TERMINAL_LANE, &pool.terminals, &pool));
            pool.tasks.close();
            if !stop.is_cancelled() {
                // To be replaced: nobody is in a hurry.
                tokio::select! {
                    () = pool.tasks.wait() => {}
                    () = stop.cancelled() => {}
                }
            }
        };
        tokio::select! {
            () = lanes => {}
            never = self.reap_now_and_then() => match never {},
            never = self.ask_for_cancels(&pool) => match never {},
            never = self.clean_now_and_then() => match never {},
            never = self.schedule_cleaning() => match never {},
            never = self.count_jobs(&pool) => match never {},
        }
        if !stop.is_cancelled() {
            tracing::info!(jobs = self.taken.load(Ordering::Relaxed), "the worker has done its jobs and makes room for a new one");
            return Ended::Replace;
        }
        if tokio::time::timeout(FINISH_TIME, pool.tasks.wait()).await.is_err() {
            pool.hand_back.cancel();
            if tokio::time::timeout(HAND_BACK_TIME, pool.tasks.wait()).await.is_err() {
                tracing::warn!(jobs = pool.tasks.len(), "jobs did not stop in time; their leases will run out");
            }
        }
        Ended::Stopped
    }

    /// Ends once the pool is closing, and never between claiming a job and starting it.
    async fn take_jobs(&self, lane: &str, slots: &Arc<Semaphore>, pool: &Pool) {
        loop {
            let slot = tokio::select! {
                biased;
                () = pool.closing.cancelled() => return,
                Ok(slot) = slots.clone().acquire_owned() => slot,
            };
            let Some(job) = self.next_job(lane, &pool.closing).await else { return };
            self.taken.fetch_add(1, Ordering::Relaxed);
            let hand_back = if job.kind.moves() { &pool.stop } else { &pool.hand_back };
            pool.tasks.spawn(attempt(self.work.clone(), job, slot, hand_back.clone()));
        }
    }

    async fn next_job(&self, lane: &str, closing: &CancellationToken) -> Option<Claimed> {
        let services = &self.work.services;
        while !closing.is_cancelled() {
            match jobs::claim(services, self.work.name.as_str(), lane, LEASE).await {
                Ok(Some(job)) => return Some(job),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the queue could not be read"),
            }
            tokio::select! {
                () = closing.cancelled() => {}
                () = services.signals.wait_for_work(lane, IDLE) => {}
            }
        }
        None
    }

    async fn reap_now_and_then(&self) -> Infallible {
        loop {
            sleep(REAP_EVERY).await;
            reap(&self.work, Gone::Expired).await;
        }
    }

    /// Removes checkouts and branches that nobody uses any more.
    async fn clean_now_and_then(&self) -> Infallible {
        loop {
            sleep(CLEAN_EVERY).await;
            let system = Ctx::system(&self.work.services);
            match agent::clean_workspaces(&system, self.work.sandbox.workspaces(), KEEP_UNUSED, self.work.work_dir_size).await {
                Ok(cleaned) => tracing::info!(?cleaned, "unused checkouts were removed"),
                Err(error) => tracing::warn!(%error, "unused checkouts could not be removed"),
            }
        }
    }

    async fn schedule_cleaning(&self) -> Infallible {
        loop {
            sleep(SCHEDULE_EVERY).await;
            let system = Ctx::system(&self.work.services);
            if let Err(error) = domain::storage::schedule_cleaning(&system).await {
                tracing::error!(%error, "the cleanup could not be queued");
            }
            if let Err(error) = domain::usage::schedule(&system).await {
                tracing::error!(%error, "the summing up of usage could not be queued");
            }
        }
    }

    /// What was asked for in this process is known already.
    async fn ask_for_cancels(&self, pool: &Pool) -> Infallible {
        let services = &self.work.services;
        let here = services.signals.within_process();
        loop {
            sleep(ASK_EVERY).await;
            if pool.tasks.is_empty() {
                continue;
            }
            match jobs::cancelled_of(services, self.work.name.as_str()).await {
                Ok(cancelled) => {
                    for id in cancelled {
                        here.cancel(id.0);
                    }
                }
                Err(error) => tracing::error!(%error, "running jobs could not be asked whether they are to stop"),
            }
        }
    }

    /// Closes the pool after the most jobs that were agreed, at a moment when no terminal would be lost.
    async fn count_jobs(&self, pool: &Pool) -> Infallible {
        let Some(most) = self.work.max_jobs else { return std::future::pending().await };
        loop {
            sleep(IDLE).await;
            // One place is held by whoever waits for the next terminal.
            let is_quiet = pool.terminals.available_permits() + 1 >= TERMINALS;
            if self.taken.load(Ordering::Relaxed) >= most && is_quiet {
                pool.closing.cancel();
            }
        }
    }
}

/// Ends or requeues jobs whose worker is gone, and tells whoever waits for them.
async fn reap(work: &Work, gone: Gone<'_>) {
    let lost = match jobs::reap(&work.services, work.name.as_str(), LEASE, gone).await {
        Ok(lost) => lost,
        Err(error) => return tracing::error!(%error, "abandoned jobs could not be looked for"),
    };
    for job in lost {
        let kind = job.kind.map_or("unknown", JobKind::as_str);
        tracing::warn!(job.id = %job.id, job.kind = kind, "a job was lost with its worker");
        if let Err(error) = end_lost(work, &job).await {
            // The lease runs out, and it is tried again.
            tracing::error!(%error, job.id = %job.id, job.kind = kind, "the end of a lost job could not be told");
        }
    }
}

/// What the job stood for ends first: a job that has ended is looked at by nobody.
async fn end_lost(work: &Work, job: &Lost) -> Result<(), Error> {
    if let Some(kind) = job.kind {
        tell_lost(work, kind, &job.payload).await?;
    }
    jobs::bury(&work.services, job).await.map(drop)
}

/// What is gone altogether needs no end.
async fn tell_lost(work: &Work, kind: JobKind, payload: &serde_json::Value) -> Result<(), Error> {
    let system = Ctx::system(&work.services);
    match registry::find(kind)?.tell_lost(work, &system, payload).await {
        Err(Error::NotFound(_)) => Ok(()),
        told => told,
    }
}

/// One attempt from claim to the last word about it.
async fn attempt(work: Arc<Work>, job: Claimed, _slot: OwnedSemaphorePermit, hand_back: CancellationToken) {
    // At this level, so that warnings name their job whatever the log leaves out.
    let span = tracing::error_span!(
        "job", job.id = %job.id, job.kind = job.kind.as_str(), job.attempt = job.attempt, job.outcome = tracing::field::Empty,
        user.id = tracing::field::Empty, project.id = tracing::field::Empty
    );
    if let Some(user) = &job.user {
        span.record("user.id", tracing::field::display(user.id));
    }
    if let Some(project) = job.project_id {
        span.record("project.id", tracing::field::display(project));
    }
    let recorded = async {
        let ctx = match job.user.clone() {
            Some(user) => Ctx::for_job(&work.services, user, job.id).fenced(job.fence),
            None if job.kind.is_of_system() => Ctx::system(&work.services),
            None => return Box::pin(conclude(&work, &job, Outcome::Failed(NO_ACCOUNT.to_owned()), None)).await,
        };
        let running = work.services.signals.register(job.id.0);
        let stop = Stop::new(running.token.clone());
        if job.cancel_requested {
            stop.stop(Why::Asked);
        }
        let (progress, reports) = watch::channel((0, 0));
        let task = Task { ctx, job, stop, progress };
        let started = std::time::Instant::now();
        let outcome = tokio::select! {
            outcome = do_work(&work, &task) => outcome,
            never = keep_alive(&work, &task, reports.clone(), &hand_back) => match never {},
            // Dropped, it is as if its worker had been killed: the next attempt starts over.
            () = stall(task.job.kind, work.timeout, reports) => {
                Outcome::Retry(format!("It made no progress for {} seconds.", work.timeout.as_secs()))
            }
        };
        let kind = task.job.kind.as_str();
        metrics::histogram!("cloudxdevai_job_duration_seconds", "kind" => kind).record(started.elapsed());
        metrics::counter!("cloudxdevai_jobs_total", "kind" => kind, "outcome" => outcome.word()).increment(1);
        tracing::Span::current().record("job.outcome", outcome.word());
        tracing::info!(?outcome, stopped = ?task.stop.why(), duration_ms = started.elapsed().as_millis() as u64, "job ended");
        if task.stop.why() != Some(Why::LeaseLost) {
            Box::pin(conclude(&work, &task.job, outcome, task.stop.why())).await;
        }
    };
    recorded.instrument(span).await;
}

async fn do_work(work: &Work, task: &Task) -> Outcome {
    let body = match registry::find(task.job.kind) {
        Ok(body) => body,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    match AssertUnwindSafe(body.run(work, task)).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) if task.stop.why() == Some(Why::Shutdown) => Outcome::Retry(STOPPED.to_owned()),
        Ok(Err(error)) => explain(error, &task.ctx),
        Err(_) => {
            tracing::error!("a job panicked");
            Outcome::Retry(BROKEN.to_owned())
        }
    }
}

/// A refusal will be the same next time; a part that does not answer may answer later.
fn explain(error: Error, ctx: &Ctx) -> Outcome {
    match error {
        Error::Internal(_) | Error::Unavailable(_) => Outcome::Retry(error.into_problem(ctx).detail),
        refused => Outcome::Failed(refused.into_problem(ctx).detail),
    }
}

/// Returns when a job has told no progress for too long. Runs, terminals and turns have limits of their own.
async fn stall(kind: JobKind, patience: Duration, mut reports: watch::Receiver<(u64, u64)>) {
    if kind.is_run() || kind == JobKind::AgentTurn {
        return std::future::pending().await;
    }
    while let Ok(Ok(())) = tokio::time::timeout(patience, reports.changed()).await {}
}

/// Renews the lease, tells progress and passes on requests to stop. Ends only by being dropped.
async fn keep_alive(work: &Work, task: &Task, mut reports: watch::Receiver<(u64, u64)>, hand_back: &CancellationToken) -> Infallible {
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(renewed + LEASE / 3) => {}
            Ok(()) = reports.changed() => sleep(TELL_EVERY).await,
            () = hand_back.cancelled(), if !task.stop.token.is_cancelled() => task.stop.stop(Why::Shutdown),
        }
        let (done, total) = *reports.borrow_and_update();
        let progress = ((done, total) != (0, 0)).then_some(Progress { done: done as i64, total: total as i64 });
        match Box::pin(jobs::heartbeat(&work.services, &task.job, LEASE, progress)).await {
            Ok(Beat::Alive { cancel_requested }) => {
                renewed = Instant::now();
                if cancel_requested {
                    task.stop.stop(Why::Asked);
                }
            }
            Ok(Beat::Lost) => {
                task.stop.stop(Why::LeaseLost);
                return std::future::pending().await;
            }
            Err(error) => {
                tracing::error!(%error, "the lease could not be renewed");
                if renewed.elapsed() > LEASE {
                    task.stop.stop(Why::LeaseLost);
                }
                sleep(TELL_EVERY).await;
            }
        }
    }
}

/// Says how an attempt ended. Whatever goes wrong here, the lease runs out and the reaper says the last word.
async fn conclude(work: &Work, job: &Claimed, outcome: Outcome, stopped: Option<Why>) {
    let services = &work.services;
    let written = async {
        let (error, retry) = match &outcome {
            Outcome::Done => return jobs::complete(services, job).await.map(drop),
            Outcome::Cancelled => return jobs::finish_cancelled(services, job).await.map(drop),
            Outcome::Retry(error) if stopped == Some(Why::Shutdown) && job.max_attempts > 1 => {
                return jobs::hand_back(services, job, error).await.map(drop);
            }
            Outcome::Retry(error) => (error, true),
            Outcome::Failed(error) => (error, false),
        };
        if !retry || job.is_last_attempt() {
            // What it stood for ends first, as long as it is ours to end.
            if jobs::heartbeat(services, job, LEASE, None).await? == Beat::Lost {
                return Ok(());
            }
            tell_lost(work, job.kind, &job.payload).await?;
        }
        jobs::fail(services, job, error, retry).await.map(drop)
    };
    if let Err(error) = written.await {
        tracing::error!(%error, "the end of a job could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_job_without_limits_of_its_own_stalls_and_progress_keeps_it_going() {
        let (progress, reports) = watch::channel((0, 0));
        let patience = Duration::from_millis(200);
        let limit = patience * 20;
        for kind in [JobKind::SandboxExec, JobKind::Terminal, JobKind::AgentTurn] {
            assert!(tokio::time::timeout(patience * 2, stall(kind, patience, reports.clone())).await.is_err(), "{kind:?}");
        }
        let began = Instant::now();
        let telling = async {
            for done in 1..=8 {
                sleep(patience / 4).await;
                progress.send_replace((done, 10));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stall(JobKind::Import, patience, reports.clone()) => {}
            () = telling => {}
            () = sleep(limit) => panic!("it was not stopped"),
        }
        assert!(began.elapsed() >= patience * 3, "stopped while it went on");
    }
}
