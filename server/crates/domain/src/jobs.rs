//! Slow work is a row: queued in the transaction of the fact that caused it, leased by one worker at a time, and always ended by
//! somebody saying how.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use store::{Tx, jobs as table};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    JobId, ProjectId, UserId,
    event::{EventKind, Stream},
    jobs::{Job, JobState, Progress},
    users::{User, UserState},
};

use crate::{Ctx, Error, Result, Services};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    AgentTurn,
    SandboxExec,
    Import,
}

impl JobKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentTurn => "agent_turn",
            Self::SandboxExec => "sandbox_exec",
            Self::Import => "import",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::AgentTurn, Self::SandboxExec, Self::Import].into_iter().find(|kind| kind.as_str() == word)
    }

    /// How often it is tried. A command is never run twice by itself: it may have done half of something.
    fn max_attempts(self) -> i64 {
        match self {
            Self::SandboxExec => 1,
            Self::Import => 3,
            Self::AgentTurn => 5,
        }
    }
}

/// Wake-ups and cancels inside one process. Other processes see the same through the database, later.
#[derive(Clone, Default)]
pub struct JobSignals {
    work: Arc<Notify>,
    running: Arc<Mutex<HashMap<Uuid, CancellationToken>>>,
}

/// Keeps a token known while something runs.
pub struct Running {
    id: Uuid,
    pub token: CancellationToken,
    signals: JobSignals,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signals.lock().remove(&self.id);
    }
}

impl JobSignals {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wake(&self) {
        self.work.notify_one();
    }

    /// Returns when something was queued, or after `timeout`.
    pub async fn wait_for_work(&self, timeout: Duration) {
        let _ = tokio::time::timeout(timeout, self.work.notified()).await;
    }

    /// Announces that a job or a run goes on here and can be stopped.
    pub fn register(&self, id: impl Into<Uuid>) -> Running {
        let (id, token) = (id.into(), CancellationToken::new());
        self.lock().insert(id, token.clone());
        Running { id, token, signals: self.clone() }
    }

    /// `false` when it does not run in this process.
    pub fn cancel(&self, id: impl Into<Uuid>) -> bool {
        match self.lock().get(&id.into()) {
            Some(token) => {
                token.cancel();
                true
            }
            None => false,
        }
    }
}

/// A job that this worker now owns until the lease ends.
#[derive(Debug)]
pub struct Claimed {
    pub id: JobId,
    pub kind: JobKind,
    pub payload: serde_json::Value,
    /// Who asked for it. `None` when the account is gone or disabled: then it must not run.
    pub user: Option<User>,
    pub project_id: Option<ProjectId>,
    /// 1 for the first.
    pub attempt: i64,
    pub max_attempts: i64,
    pub fence: i64,
    pub cancel_requested: bool,
}

impl Claimed {
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.payload.clone()).map_err(Error::internal)
    }
}

/// How a job's body ended, when it did not succeed. Every failure says whether it is worth another try.
#[derive(Debug)]
pub enum JobError {
    /// The sentence for the person who asked.
    Final(String),
    Retry(String),
    Cancelled,
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::Internal(source) => {
                tracing::error!(error = %source, "a job failed");
                Self::Retry("The server failed while it worked on this. It will try again.".to_owned())
            }
            Error::Unavailable(detail) => Self::Retry(detail),
            other => Self::Final(other.to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    Alive {
        cancel_requested: bool,
    },
    /// Another worker may own it by now: stop, and write nothing more.
    Lost,
}

/// What became of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    WillRetry,
    Final,
    /// The lease was lost; nothing was written.
    NotOurs,
}

pub(crate) async fn enqueue(ctx: &Ctx, tx: &mut Tx, kind: JobKind, project: Option<ProjectId>, payload: &impl Serialize) -> Result<JobId> {
    let user = ctx.require_user()?.id;
    enqueue_for(ctx, tx, user, kind, project, payload).await
}

/// As [`enqueue`], on behalf of whoever began the work: a reviewer who approves a call lends the agent no rights.
pub(crate) async fn enqueue_for(
    ctx: &Ctx,
    tx: &mut Tx,
    user: UserId,
    kind: JobKind,
    project: Option<ProjectId>,
    payload: &impl Serialize,
) -> Result<JobId> {
    let id: JobId = ctx.new_id();
    let payload = serde_json::to_string(payload).map_err(Error::internal)?;
    let job = table::NewJob {
        id,
        kind: kind.as_str(),
        payload: &payload,
        user_id: Some(user),
        project_id: project,
        max_attempts: kind.max_attempts(),
        at: ctx.now(),
    };
    table::insert(tx, &job).await?;
    announce(ctx.services(), tx, id, JobState::Queued, Progress::default(), None).await?;
    Ok(id)
}

async fn announce(services: &Services, tx: &mut Tx, id: JobId, state: JobState, progress: Progress, error: Option<&str>) -> Result<()> {
    let event = || EventKind::JobChanged { job_id: id, state, progress, error: error.map(str::to_owned) };
    let now = services.clock.now();
    store::events::append(tx, Stream::Job(id), now, vec![event()]).await?;
    Ok(())
}

async fn commit(services: &Services, tx: Tx) -> Result<()> {
    let committed = tx.commit().await?;
    services.bus.publish(committed.events).await;
    if committed.wakes_workers {
        services.signals.wake();
    }
    Ok(())
}

/// Takes the next job that is due, fairest user first.
pub async fn claim(services: &Services, worker: &str, lease: Duration) -> Result<Option<Claimed>> {
    let now = services.clock.now();
    // Looking is a read; only what is there is worth the write lock.
    let summary = table::summary(&mut services.db.read().await?, now).await?;
    if summary.oldest_due.is_none() {
        return Ok(None);
    }
    let mut tx = services.db.begin().await?;
    let lease_until = now.plus_millis(lease.as_millis() as i64);
    let Some(row) = table::claim(&mut tx, worker, now, lease_until, services.settings.jobs_per_user).await? else { return Ok(None) };
    let user = match row.user_id {
        Some(id) => store::users::by_id(&mut tx, id).await?.map(store::users::UserRow::into_user).filter(|u| u.state == UserState::Active),
        None => None,
    };
    let Some(kind) = JobKind::parse(&row.kind) else {
        table::finish(&mut tx, row.id, row.fence, JobState::Dead, Some("This server does not know this kind of job."), now).await?;
        commit(services, tx).await?;
        return Ok(None);
    };
    let progress = Progress { done: row.progress_done, total: row.progress_total };
    announce(services, &mut tx, row.id, JobState::Running, progress, None).await?;
    commit(services, tx).await?;
    Ok(Some(Claimed {
        id: row.id,
        kind,
        payload: serde_json::from_str(&row.payload).map_err(Error::internal)?,
        user,
        project_id: row.project_id,
        attempt: row.attempts,
        max_attempts: row.max_attempts,
        fence: row.fence,
        cancel_requested: row.cancel_requested,
    }))
}

/// Renews the lease, and says whether to go on.
pub async fn heartbeat(services: &Services, job: &Claimed, lease: Duration, progress: Option<Progress>) -> Result<Beat> {
    let now = services.clock.now();
    let mut tx = services.db.begin().await?;
    let lease_until = now.plus_millis(lease.as_millis() as i64);
    let beat = match table::renew(&mut tx, job.id, job.fence, lease_until, progress).await? {
        Some(cancel_requested) => Beat::Alive { cancel_requested },
        None => Beat::Lost,
    };
    if let (Some(progress), Beat::Alive { .. }) = (progress, beat) {
        announce(services, &mut tx, job.id, JobState::Running, progress, None).await?;
    }
    commit(services, tx).await?;
    Ok(beat)
}

async fn end(services: &Services, job: &Claimed, state: JobState, error: Option<&str>) -> Result<bool> {
    let mut tx = services.db.begin().await?;
    let ours = table::finish(&mut tx, job.id, job.fence, state, error, services.clock.now()).await?;
    if ours {
        announce(services, &mut tx, job.id, state, Progress::default(), error).await?;
        commit(services, tx).await?;
    }
    // A slot of this user is free: another of theirs may be waiting for it.
    services.signals.wake();
    Ok(ours)
}

/// `false` when the lease was lost.
pub async fn complete(services: &Services, job: &Claimed) -> Result<bool> {
    end(services, job, JobState::Succeeded, None).await
}

pub async fn finish_cancelled(services: &Services, job: &Claimed) -> Result<bool> {
    end(services, job, JobState::Cancelled, None).await
}

/// Ends an attempt that failed. With `retry` the job comes back later, until its attempts are used up; then it is dead and waits for
/// an administrator.
pub async fn fail(services: &Services, job: &Claimed, error: &str, retry: bool) -> Result<Failed> {
    if !retry {
        return Ok(if end(services, job, JobState::Failed, Some(error)).await? { Failed::Final } else { Failed::NotOurs });
    }
    if job.attempt >= job.max_attempts {
        return Ok(if end(services, job, JobState::Dead, Some(error)).await? { Failed::Final } else { Failed::NotOurs });
    }
    let mut tx = services.db.begin().await?;
    let ours = table::retry(&mut tx, job.id, job.fence, error, services.clock.now().plus_seconds(back_off_s(job.attempt))).await?;
    if ours {
        announce(services, &mut tx, job.id, JobState::Queued, Progress::default(), Some(error)).await?;
        commit(services, tx).await?;
    }
    Ok(if ours { Failed::WillRetry } else { Failed::NotOurs })
}

fn back_off_s(attempt: i64) -> i64 {
    1 << attempt.clamp(1, 8)
}

/// Jobs whose worker is gone, put back into the queue or, where an attempt must not be repeated, ended. `everything` says that no
/// other process can be working. Answers those that ended, so that what they stood for can be told.
pub async fn reap(services: &Services, everything: bool) -> Result<Vec<(JobId, JobKind, serde_json::Value)>> {
    let now = services.clock.now();
    let mut tx = services.db.begin().await?;
    let mut ended = Vec::new();
    for row in table::abandoned(&mut tx, now, everything).await? {
        let error = "The server that worked on this was stopped.";
        let kind = JobKind::parse(&row.kind);
        if row.cancel_requested {
            table::finish(&mut tx, row.id, row.fence, JobState::Cancelled, None, now).await?;
            announce(services, &mut tx, row.id, JobState::Cancelled, Progress::default(), None).await?;
        } else if row.attempts < row.max_attempts {
            // It did not fail by itself, so it need not wait.
            table::retry(&mut tx, row.id, row.fence, error, now).await?;
            tx.wake_workers();
            announce(services, &mut tx, row.id, JobState::Queued, Progress::default(), Some(error)).await?;
            continue;
        } else {
            let state = if row.max_attempts == 1 { JobState::Failed } else { JobState::Dead };
            table::finish(&mut tx, row.id, row.fence, state, Some(error), now).await?;
            announce(services, &mut tx, row.id, state, Progress::default(), Some(error)).await?;
        }
        if let Some(kind) = kind {
            ended.push((row.id, kind, serde_json::from_str(&row.payload).unwrap_or_default()));
        }
    }
    commit(services, tx).await?;
    Ok(ended)
}

/// A job that the caller asked for, or any for an administrator.
pub async fn get(ctx: &Ctx, id: JobId) -> Result<Job> {
    let user = ctx.require_user()?;
    let row = table::get(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("job"))?;
    if row.job.user_id != Some(user.id) && !user.is_admin() {
        return Err(Error::NotFound("job"));
    }
    Ok(row.into_job())
}

/// Asks a job to stop, wherever it is.
pub(crate) async fn request_cancel(ctx: &Ctx, tx: &mut Tx, id: JobId) -> Result<Option<JobState>> {
    let state = table::request_cancel(tx, id, ctx.now()).await?;
    if state == Some(JobState::Cancelled) {
        announce(ctx.services(), tx, id, JobState::Cancelled, Progress::default(), None).await?;
    }
    Ok(state)
}
