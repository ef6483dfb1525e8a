//! Slow work is a row: queued in the transaction of the fact that caused it, leased by one worker at a time, and always ended by
//! somebody saying how.

mod signals;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use store::{Tx, jobs as table};
use wire::{
    JobId, ProjectId, UserId,
    audit::AuditAction,
    event::{EventKind, Stream},
    jobs::{Job, JobState, Progress},
    runs::RunKind,
    users::{User, UserState},
};

use crate::{
    Ctx, Error, Result, Services,
    audit::{self, Facts},
    chat::{self, TurnJob},
    export::{self, ExportJob},
    import::GitJob,
    projects::{self, ImportJob},
    runs::{self, RunJob},
    settings,
    storage::{self, MoveJob},
};

pub use signals::{JobSignals, Running};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    AgentTurn,
    SandboxExec,
    TestRunner,
    Codegen,
    Terminal,
    Import,
    GitImport,
    Export,
    MoveStorage,
    /// Nobody asked for it: it runs with the server's own rights.
    Cleanup,
    /// The same.
    UsageRollup,
}

impl JobKind {
    pub const ALL: [Self; 11] = [
        Self::AgentTurn,
        Self::SandboxExec,
        Self::TestRunner,
        Self::Codegen,
        Self::Terminal,
        Self::Import,
        Self::GitImport,
        Self::Export,
        Self::MoveStorage,
        Self::Cleanup,
        Self::UsageRollup,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentTurn => "agent_turn",
            Self::SandboxExec => "sandbox_exec",
            Self::TestRunner => "test_runner",
            Self::Codegen => "codegen",
            Self::Terminal => "terminal",
            Self::Import => "import",
            Self::GitImport => "git_import",
            Self::Export => "export",
            Self::MoveStorage => "move_storage",
            Self::Cleanup => "cleanup",
            Self::UsageRollup => "usage_rollup",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The job that executes a run of this kind. Its payload is a [`crate::runs::RunJob`].
    pub fn of_run(kind: RunKind) -> Self {
        match kind {
            RunKind::SandboxExec => Self::SandboxExec,
            RunKind::TestRunner => Self::TestRunner,
            RunKind::Codegen => Self::Codegen,
            RunKind::Terminal => Self::Terminal,
        }
    }

    /// Whether it stands for a run: a command in the sandbox, or a terminal.
    pub fn is_run(self) -> bool {
        matches!(self, Self::SandboxExec | Self::TestRunner | Self::Codegen | Self::Terminal)
    }

    /// Whether it is the server's own work rather than somebody's.
    pub fn is_of_system(self) -> bool {
        matches!(self, Self::Cleanup | Self::UsageRollup)
    }

    /// The slots it takes. Terminals stay open for hours and have their own, so that work which ends never waits for them.
    pub fn lane(self) -> &'static str {
        match self {
            Self::Terminal => TERMINAL_LANE,
            _ => WORK_LANE,
        }
    }

    /// Higher goes first among the jobs of one user: what somebody sits and waits for before what goes on behind their back.
    pub fn priority(self) -> i64 {
        match self {
            Self::AgentTurn | Self::Terminal => 20,
            Self::SandboxExec | Self::TestRunner | Self::Codegen => 10,
            Self::Import | Self::GitImport | Self::Export | Self::MoveStorage => 0,
            Self::Cleanup | Self::UsageRollup => -10,
        }
    }

    /// Whether it goes on elsewhere from where it is, so that a worker that stops need not see it through.
    pub fn moves(self) -> bool {
        matches!(self, Self::AgentTurn | Self::Codegen)
    }

    /// How often it is tried. A command is never run twice by itself: it may have done half of something.
    fn max_attempts(self) -> i64 {
        match self {
            Self::SandboxExec | Self::TestRunner | Self::Terminal => 1,
            // The next one comes in an hour anyway.
            Self::Cleanup | Self::UsageRollup => 1,
            Self::Import | Self::GitImport | Self::Export => 3,
            // A turn is gone on with from its transcript.
            Self::AgentTurn | Self::Codegen | Self::MoveStorage => 5,
        }
    }
}

/// Work that ends by itself.
pub const WORK_LANE: &str = "work";
pub const TERMINAL_LANE: &str = "terminal";

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
    insert(ctx, tx, Some(user), kind, project, payload).await
}

/// Work that nobody asked for; see [`JobKind::is_of_system`].
pub(crate) async fn enqueue_for_system(ctx: &Ctx, tx: &mut Tx, kind: JobKind, payload: &impl Serialize) -> Result<JobId> {
    insert(ctx, tx, None, kind, None, payload).await
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
    insert(ctx, tx, Some(user), kind, project, payload).await
}

async fn insert(
    ctx: &Ctx,
    tx: &mut Tx,
    user_id: Option<UserId>,
    kind: JobKind,
    project: Option<ProjectId>,
    payload: &impl Serialize,
) -> Result<JobId> {
    let id: JobId = ctx.new_id();
    let payload = serde_json::to_string(payload).map_err(Error::internal)?;
    let job = table::NewJob {
        id,
        kind: kind.as_str(),
        lane: kind.lane(),
        priority: kind.priority(),
        payload: &payload,
        user_id,
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

/// Takes the next job that is due in a lane, as far as the administrator's limits allow: the user with the fewest running jobs first,
/// then whoever has waited longest for a turn.
pub async fn claim(services: &Services, worker: &str, lane: &str, lease: Duration) -> Result<Option<Claimed>> {
    let now = services.clock.now();
    // Looking is a read; only what is there is worth the write lock.
    if !table::is_due(&mut services.db.read().await?, lane, now).await? {
        return Ok(None);
    }
    let mut tx = services.db.begin().await?;
    let limits = settings::load(&mut tx).await?;
    let (per_user, in_all) = match lane {
        TERMINAL_LANE => (limits.terminals_per_user, 0),
        _ => (limits.jobs_per_user, limits.jobs_in_all),
    };
    let lease_until = now.plus_millis(lease.as_millis() as i64);
    let claim = table::Claim { worker, lane, now, lease_until, per_user: i64::from(per_user), in_all: i64::from(in_all) };
    let Some(row) = table::claim(&mut tx, &claim).await? else { return Ok(None) };
    let user = match row.user_id {
        Some(id) => store::users::by_id(&mut tx, id).await?.map(store::users::UserRow::into_user).filter(|u| u.state == UserState::Active),
        None => None,
    };
    let Some(kind) = JobKind::parse(&row.kind) else {
        table::finish(&mut tx, row.id, row.fence, JobState::Dead, Some("This server does not know this kind of job."), now).await?;
        services.commit(tx).await?;
        return Ok(None);
    };
    let progress = Progress { done: row.progress_done, total: row.progress_total };
    announce(services, &mut tx, row.id, JobState::Running, progress, None).await?;
    services.commit(tx).await?;
    let waited_s = now.millis_since(row.run_at).max(0) as f64 / 1000.0;
    metrics::histogram!("cloudxdevai_job_wait_seconds", "kind" => kind.as_str()).record(waited_s);
    Ok(Some(Claimed {
        id: row.id,
        kind,
        payload: read_payload(&row),
        user,
        project_id: row.project_id,
        attempt: row.attempts,
        max_attempts: row.max_attempts,
        fence: row.fence,
        cancel_requested: row.cancel_requested,
    }))
}

/// Null where it is no JSON; whoever needs it says so then.
fn read_payload(row: &table::JobRow) -> serde_json::Value {
    serde_json::from_str(&row.payload).unwrap_or_default()
}

/// The worker's running jobs that somebody asked to stop, in this process or another.
pub async fn cancelled_of(services: &Services, worker: &str) -> Result<Vec<JobId>> {
    Ok(table::cancelled_of(&mut services.db.read().await?, worker).await?)
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
    services.commit(tx).await?;
    Ok(beat)
}

async fn end(services: &Services, id: JobId, fence: i64, state: JobState, error: Option<&str>) -> Result<bool> {
    let mut tx = services.db.begin().await?;
    let ours = table::finish(&mut tx, id, fence, state, error, services.clock.now()).await?;
    if ours {
        announce(services, &mut tx, id, state, Progress::default(), error).await?;
        services.commit(tx).await?;
    }
    // A slot of this user is free: another of theirs may be waiting for it.
    services.signals.wake();
    Ok(ours)
}

/// `false` when the lease was lost.
pub async fn complete(services: &Services, job: &Claimed) -> Result<bool> {
    end(services, job.id, job.fence, JobState::Succeeded, None).await
}

pub async fn finish_cancelled(services: &Services, job: &Claimed) -> Result<bool> {
    end(services, job.id, job.fence, JobState::Cancelled, None).await
}

impl Claimed {
    /// Whether a failure now is the last, with nothing left to try.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }
}

/// Ends an attempt that failed. With `retry` the job comes back later, until its attempts are used up; then it is dead and waits for
/// an administrator.
pub async fn fail(services: &Services, job: &Claimed, error: &str, retry: bool) -> Result<Failed> {
    if !retry {
        return Ok(if end(services, job.id, job.fence, JobState::Failed, Some(error)).await? { Failed::Final } else { Failed::NotOurs });
    }
    if job.is_last_attempt() {
        return Ok(if end(services, job.id, job.fence, JobState::Dead, Some(error)).await? { Failed::Final } else { Failed::NotOurs });
    }
    let mut tx = services.db.begin().await?;
    let ours = table::retry(&mut tx, job.id, job.fence, error, services.clock.now().plus_seconds(back_off_s(job.attempt))).await?;
    if ours {
        announce(services, &mut tx, job.id, JobState::Queued, Progress::default(), Some(error)).await?;
        services.commit(tx).await?;
    }
    Ok(if ours { Failed::WillRetry } else { Failed::NotOurs })
}

/// Puts a job back into the queue because its worker stops. Another takes it up at once, and the attempt does not count. Not for what
/// is tried only once. `false` when the lease was lost; nothing was written then.
pub async fn hand_back(services: &Services, job: &Claimed, why: &str) -> Result<bool> {
    let mut tx = services.db.begin().await?;
    let ours = table::hand_back(&mut tx, job.id, job.fence, why, services.clock.now()).await?;
    if ours {
        tx.wake_workers();
        announce(services, &mut tx, job.id, JobState::Queued, Progress::default(), Some(why)).await?;
        services.commit(tx).await?;
    }
    Ok(ours)
}

/// Refuses what a job writes after another worker has taken it: one that stood still for longer than its lease does not know yet.
pub(crate) async fn check_claim(ctx: &Ctx, tx: &mut Tx) -> Result<()> {
    let Some((job, fence)) = ctx.claim() else { return Ok(()) };
    if table::is_held(tx, job, fence).await? {
        return Ok(());
    }
    Err(Error::Unavailable("Another worker has taken this over.".to_owned()))
}

fn back_off_s(attempt: i64) -> i64 {
    1 << attempt.clamp(1, 8)
}

/// Whose jobs are nobody's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone<'a> {
    /// Workers that have not renewed their leases.
    Expired,
    /// An earlier process of this name, too: whoever uses the name now is alone with it.
    Earlier(&'a str),
    /// Every worker there was: no other process can be working.
    Everybody,
}

/// A job that can't go on and was taken over by the reaper, to tell the end of what it stood for and then [`bury`] it. A reaper that
/// is itself lost meanwhile is followed by another.
#[derive(Debug)]
pub struct Lost {
    pub id: JobId,
    /// `None` for a kind that this server does not know.
    pub kind: Option<JobKind>,
    pub payload: serde_json::Value,
    fence: i64,
    state: JobState,
}

const WORKER_GONE: &str = "The server that worked on this was stopped.";

/// Puts jobs whose worker is gone back into the queue. Answers those whose attempt must not be repeated.
pub async fn reap(services: &Services, worker: &str, lease: Duration, gone: Gone<'_>) -> Result<Vec<Lost>> {
    let now = services.clock.now();
    let lease_until = now.plus_millis(lease.as_millis() as i64);
    let owner = if let Gone::Earlier(name) = gone { Some(name) } else { None };
    let mut tx = services.db.begin().await?;
    let mut lost = Vec::new();
    for row in table::abandoned(&mut tx, now, owner, gone == Gone::Everybody).await? {
        let state = match row {
            _ if row.cancel_requested => JobState::Cancelled,
            _ if row.attempts < row.max_attempts => {
                // It did not fail by itself, so it need not wait.
                if table::retry(&mut tx, row.id, row.fence, WORKER_GONE, now).await? {
                    tx.wake_workers();
                    announce(services, &mut tx, row.id, JobState::Queued, Progress::default(), Some(WORKER_GONE)).await?;
                }
                continue;
            }
            _ if row.max_attempts == 1 => JobState::Failed,
            _ => JobState::Dead,
        };
        // Another reaper may have seen it too; one of them gets it.
        if let Some(row) = table::take_over(&mut tx, row.id, row.fence, worker, lease_until).await? {
            lost.push(Lost { id: row.id, kind: JobKind::parse(&row.kind), payload: read_payload(&row), fence: row.fence, state });
        }
    }
    services.commit(tx).await?;
    Ok(lost)
}

/// Ends a lost job. `false` when another reaper has it by now.
pub async fn bury(services: &Services, lost: &Lost) -> Result<bool> {
    let error = (lost.state != JobState::Cancelled).then_some(WORKER_GONE);
    end(services, lost.id, lost.fence, lost.state, error).await
}

/// A job that the caller asked for, or any for an administrator. A token for some projects reaches only the jobs of those.
pub async fn get(ctx: &Ctx, id: JobId) -> Result<Job> {
    let user = ctx.require_user()?;
    let row = table::get(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("job"))?;
    let is_own = row.job.user_id == Some(user.id);
    let is_in_reach = match (row.job.project_id, ctx.grant()) {
        (Some(project), Some(grant)) => grant.covers(project),
        (None, _) => ctx.require_all_projects().is_ok(),
        (Some(_), None) => true,
    };
    if !is_in_reach || !(is_own || ctx.require_admin().is_ok()) {
        return Err(Error::NotFound("job"));
    }
    Ok(row.into_job())
}

/// Stops a job together with what it stands for: a run and a turn end, an import leaves nothing. Whoever asked for the job may, and
/// administrators. `Conflict` when it has ended.
pub async fn cancel(ctx: &Ctx, id: JobId) -> Result<Job> {
    get(ctx, id).await?;
    let services = ctx.services();
    let row = table::get(&mut services.db.read().await?, id).await?.ok_or(Error::NotFound("job"))?.job;
    if row.state.0.is_finished() {
        return Err(Error::conflict("This job has ended already."));
    }
    // What somebody began they may stop, even when they have left the project since; an administrator need not be in it.
    let system = ctx.with_system_rights();
    let kind = JobKind::parse(&row.kind);
    match kind {
        Some(kind) if kind.is_run() => drop(runs::cancel(&system, read::<RunJob>(&row)?.run_id).await?),
        Some(JobKind::AgentTurn) => drop(chat::stop_turn(&system, read::<TurnJob>(&row)?.turn_id).await?),
        _ => {
            let mut tx = services.db.begin().await?;
            let state = request_cancel(ctx, &mut tx, id).await?;
            ctx.commit(tx).await?;
            services.signals.cancel(id.0);
            if state == Some(JobState::Cancelled) {
                discard_queued(&system, kind, &row).await?;
            }
        }
    }
    let facts = Facts::about("job", id, row.kind).with(json!({ "of": row.user_id }));
    let facts = match row.project_id {
        Some(project) => facts.in_project(project),
        None => facts,
    };
    audit::record_alone(ctx, AuditAction::JobCancelled, facts).await;
    get(ctx, id).await
}

/// What a job that never began had announced.
async fn discard_queued(system: &Ctx, kind: Option<JobKind>, row: &table::JobRow) -> Result<()> {
    match kind {
        Some(JobKind::Import) => projects::discard_import(system, read::<ImportJob>(row)?.project_id).await,
        Some(JobKind::GitImport) => projects::discard_import(system, read::<GitJob>(row)?.project_id).await,
        Some(JobKind::MoveStorage) => storage::end_move(system, &read::<MoveJob>(row)?).await,
        Some(JobKind::Export) => export::discard(system, read::<ExportJob>(row)?.export_id).await,
        _ => Ok(()),
    }
}

fn read<T: DeserializeOwned>(row: &table::JobRow) -> Result<T> {
    serde_json::from_str(&row.payload).map_err(Error::internal)
}

/// Asks a job to stop, wherever it is.
pub(crate) async fn request_cancel(ctx: &Ctx, tx: &mut Tx, id: JobId) -> Result<Option<JobState>> {
    let state = table::request_cancel(tx, id, ctx.now()).await?;
    if state == Some(JobState::Cancelled) {
        announce(ctx.services(), tx, id, JobState::Cancelled, Progress::default(), None).await?;
    }
    Ok(state)
}

/// As [`request_cancel`], but leaves a job in the queue that must be taken up once more to end well.
pub(crate) async fn ask_to_stop(tx: &mut Tx, id: JobId) -> Result<()> {
    Ok(table::ask_to_stop(tx, id).await?)
}
