use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use domain::{
    Ctx, Error,
    jobs::{self, Beat, Claimed, Failed},
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
const REAP_EVERY: Duration = Duration::from_secs(15);
/// When stopping: running jobs may end by themselves for this long, then they are handed back.
const FINISH_TIME: Duration = Duration::from_secs(5);
const HAND_BACK_TIME: Duration = Duration::from_secs(10);

const STOPPED: &str = "The server was stopped while it worked on this.";
const NO_ACCOUNT: &str = "The account that asked for this is disabled or gone.";
const BROKEN: &str = "Something failed on the server. The log has the details.";

/// Takes jobs as long as the process lives.
pub struct Worker {
    work: Arc<Work>,
}

impl Worker {
    pub fn new(work: Work) -> Self {
        Self { work: Arc::new(work) }
    }

    /// Works until `stop`, then lets running jobs end or hands them back.
    pub async fn run(self, stop: CancellationToken) {
        let swept = self.work.sandbox.sweep().await;
        tracing::info!(?swept, "what an earlier server left behind was removed");
        reap(&self.work, self.work.owns_all_jobs).await;
        let hand_back = CancellationToken::new();
        let tasks = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.work.concurrency));
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.take_jobs(&slots, &tasks, &hand_back) => {}
            () = self.reap_now_and_then() => {}
        }
        tasks.close();
        if tokio::time::timeout(FINISH_TIME, tasks.wait()).await.is_err() {
            hand_back.cancel();
            if tokio::time::timeout(HAND_BACK_TIME, tasks.wait()).await.is_err() {
                tracing::warn!(jobs = tasks.len(), "jobs did not stop in time; their leases will run out");
            }
        }
    }

    async fn take_jobs(&self, slots: &Arc<Semaphore>, tasks: &TaskTracker, hand_back: &CancellationToken) {
        while let Ok(slot) = slots.clone().acquire_owned().await {
            let job = self.next_job().await;
            tasks.spawn(attempt(self.work.clone(), job, slot, hand_back.clone()));
        }
    }

    async fn next_job(&self) -> Claimed {
        loop {
            match jobs::claim(&self.work.services, &self.work.name, LEASE).await {
                Ok(Some(job)) => return job,
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the queue could not be read"),
            }
            self.work.services.signals.wait_for_work(IDLE).await;
        }
    }

    async fn reap_now_and_then(&self) {
        loop {
            tokio::time::sleep(REAP_EVERY).await;
            reap(&self.work, false).await;
        }
    }
}

/// Ends or requeues jobs whose worker is gone, and tells whoever waits for them.
async fn reap(work: &Work, everything: bool) {
    let ended = match jobs::reap(&work.services, everything).await {
        Ok(ended) => ended,
        Err(error) => return tracing::error!(%error, "abandoned jobs could not be looked for"),
    };
    let system = Ctx::system(&work.services);
    for (id, kind, payload) in ended {
        tracing::warn!(job.id = %id, job.kind = kind.as_str(), "a job was lost with its worker");
        if let Err(error) = registry::find(kind).tell_lost(work, &system, &payload).await {
            tracing::error!(%error, job.id = %id, "the end of a lost job could not be told");
        }
    }
}

/// One attempt from claim to the last word about it.
async fn attempt(work: Arc<Work>, job: Claimed, _slot: OwnedSemaphorePermit, hand_back: CancellationToken) {
    let span = tracing::info_span!("job", job.id = %job.id, job.kind = job.kind.as_str(), job.attempt = job.attempt);
    let recorded = async {
        let Some(user) = job.user.clone() else {
            return conclude(&work, &job, Outcome::Failed(NO_ACCOUNT.to_owned())).await;
        };
        let running = work.services.signals.register(job.id.0);
        let stop = Stop::new(running.token.clone());
        if job.cancel_requested {
            stop.stop(Why::Asked);
        }
        let (progress, reports) = watch::channel((0, 0));
        let task = Task { ctx: Ctx::for_job(&work.services, user, job.id), job, stop, progress };
        let started = std::time::Instant::now();
        let outcome = tokio::select! {
            outcome = do_work(&work, &task) => outcome,
            never = keep_alive(&work, &task, reports, &hand_back) => match never {},
        };
        tracing::info!(?outcome, stopped = ?task.stop.why(), duration_ms = started.elapsed().as_millis() as u64, "job ended");
        if task.stop.why() != Some(Why::LeaseLost) {
            conclude(&work, &task.job, outcome).await;
        }
    };
    recorded.instrument(span).await;
}

async fn do_work(work: &Work, task: &Task) -> Outcome {
    match AssertUnwindSafe(registry::find(task.job.kind).run(work, task)).catch_unwind().await {
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
        match jobs::heartbeat(&work.services, &task.job, LEASE, progress).await {
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

async fn conclude(work: &Work, job: &Claimed, outcome: Outcome) {
    let services = &work.services;
    let written = match &outcome {
        Outcome::Done => jobs::complete(services, job).await.map(|_| false),
        Outcome::Cancelled => jobs::finish_cancelled(services, job).await.map(|_| false),
        Outcome::Retry(error) => jobs::fail(services, job, error, true).await.map(|failed| failed == Failed::Final),
        Outcome::Failed(error) => jobs::fail(services, job, error, false).await.map(|failed| failed == Failed::Final),
    };
    match written {
        Ok(false) => {}
        Ok(true) => {
            if let Err(error) = registry::find(job.kind).tell_lost(work, &Ctx::system(services), &job.payload).await {
                tracing::error!(%error, "the end of a failed job could not be told");
            }
        }
        // The lease runs out, and the reaper says the last word.
        Err(error) => tracing::error!(%error, "the end of a job could not be written"),
    }
}
