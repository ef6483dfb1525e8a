use sqlx::FromRow;
use wire::{
    JobId, Micros, ProjectId, UserId,
    event::Stream,
    jobs::{Job, JobState, Progress},
};

use crate::{Conn, Result, Tx, Word, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct JobRow {
    pub id: JobId,
    pub kind: String,
    pub state: Word<JobState>,
    pub lane: String,
    pub priority: i64,
    pub payload: String,
    pub user_id: Option<UserId>,
    pub project_id: Option<ProjectId>,
    pub attempts: i64,
    pub max_attempts: i64,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Micros>,
    pub fence: i64,
    pub cancel_requested: bool,
    pub progress_done: i64,
    pub progress_total: i64,
    pub error: Option<String>,
    /// Not before.
    pub run_at: Micros,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
}

#[derive(Debug, Clone, FromRow)]
pub struct JobWithUser {
    #[sqlx(flatten)]
    pub job: JobRow,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl JobWithUser {
    pub fn into_job(self) -> Job {
        let row = self.job;
        Job {
            id: row.id,
            kind: row.kind,
            state: row.state.0,
            attempts: row.attempts as i32,
            max_attempts: row.max_attempts as i32,
            progress: Progress { done: row.progress_done, total: row.progress_total },
            error: row.error,
            project_id: row.project_id,
            user: user_ref(row.user_id, self.username, self.full_name),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

pub struct NewJob<'a> {
    pub id: JobId,
    pub kind: &'a str,
    /// Whose slots it takes.
    pub lane: &'a str,
    /// Higher goes first among the jobs of one user.
    pub priority: i64,
    pub payload: &'a str,
    pub user_id: Option<UserId>,
    pub project_id: Option<ProjectId>,
    pub max_attempts: i64,
    pub at: Micros,
}

/// Queues a job in the caller's transaction: it exists exactly if the fact that caused it does.
pub async fn insert(tx: &mut Tx, job: &NewJob<'_>) -> Result<()> {
    on!(&mut **tx, c => {
        sqlx::query(
            "INSERT INTO jobs (id, kind, state, payload, user_id, project_id, attempts, max_attempts, run_at, fence, cancel_requested,
                               progress_done, progress_total, created_at, lane, priority)
             VALUES ($1, $2, 'queued', $3, $4, $5, 0, $6, $7, 0, $8, 0, 0, $7, $9, $10)",
        )
        .bind(job.id).bind(job.kind).bind(job.payload).bind(job.user_id).bind(job.project_id).bind(job.max_attempts).bind(job.at).bind(false)
        .bind(job.lane).bind(job.priority)
        .execute(c).await?;
    });
    tx.wakes_workers = true;
    Ok(())
}

/// Who claims, from which slots, and how much may run.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub worker: &'a str,
    pub lane: &'a str,
    pub now: Micros,
    pub lease_until: Micros,
    /// Jobs of one user in this lane.
    pub per_user: i64,
    /// Jobs of everybody in this lane; 0 for no limit.
    pub in_all: i64,
}

/// Takes the next job that is due in a lane. Users come first by how few of their jobs run now, then by whose turn is longest ago;
/// among the jobs of one user the higher priority goes first, then the older one.
pub async fn claim(tx: &mut Tx, claim: &Claim<'_>) -> Result<Option<JobRow>> {
    // The two databases differ only in how they keep workers apart: SQLite's writer is alone anyway.
    macro_rules! candidate {
        ($lock:literal) => {
            concat!(
                "SELECT q.id FROM jobs q
                 LEFT JOIN (SELECT user_id, COUNT(*) AS running FROM jobs WHERE state = 'running' AND lane = $2 GROUP BY user_id) r
                        ON r.user_id = q.user_id
                 LEFT JOIN queue_turns t ON t.user_id = q.user_id AND t.lane = q.lane
                 WHERE q.state = 'queued' AND q.lane = $2 AND q.run_at <= $1 AND COALESCE(r.running, 0) < $3
                   AND ($4 = 0 OR (SELECT COUNT(*) FROM jobs WHERE state = 'running' AND lane = $2) < $4)
                 ORDER BY COALESCE(r.running, 0), COALESCE(t.served_at, 0), q.priority DESC, q.run_at, q.id
                 LIMIT 1",
                $lock
            )
        };
    }
    // Claims go one after the other: two that count at once would both find a user one below the limit.
    const CLAIMS: i64 = 0x6a6f_6273;
    let Claim { worker, lane, now, lease_until, per_user, in_all } = *claim;
    let id: Option<JobId> = match &mut **tx {
        Conn::Sqlite(handle) => {
            sqlx::query_scalar(candidate!("")).bind(now).bind(lane).bind(per_user).bind(in_all).fetch_optional(handle.get()).await?
        }
        Conn::Postgres(handle) => {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CLAIMS).execute(handle.get()).await?;
            let locked = sqlx::query_scalar(candidate!(" FOR UPDATE OF q SKIP LOCKED"));
            locked.bind(now).bind(lane).bind(per_user).bind(in_all).fetch_optional(handle.get()).await?
        }
    };
    let Some(id) = id else { return Ok(None) };
    let row: Option<JobRow> = on!(&mut **tx, c => {
        sqlx::query_as(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, fence = fence + 1, lease_owner = $2, lease_until = $3,
                             started_at = COALESCE(started_at, $4)
             WHERE id = $1 AND state = 'queued' RETURNING *",
        )
        .bind(id).bind(worker).bind(lease_until).bind(now).fetch_optional(c).await?
    });
    if let Some(user) = row.as_ref().and_then(|row| row.user_id) {
        on!(&mut **tx, c => {
            sqlx::query(
                "INSERT INTO queue_turns (user_id, lane, served_at) VALUES ($1, $2, $3)
                 ON CONFLICT (user_id, lane) DO UPDATE SET served_at = $3",
            )
            .bind(user).bind(lane).bind(now).execute(c).await?;
        });
    }
    Ok(row)
}

/// Whether anything is due in a lane. Says nothing about limits.
pub async fn is_due(c: &mut Conn, lane: &str, now: Micros) -> Result<bool> {
    let found: Option<JobId> = on!(c, c => {
        sqlx::query_scalar("SELECT id FROM jobs WHERE state = 'queued' AND lane = $1 AND run_at <= $2 LIMIT 1")
            .bind(lane).bind(now).fetch_optional(c).await?
    });
    Ok(found.is_some())
}

/// Renews a lease. `None` when it was lost; otherwise whether to stop: somebody asked to, or whoever it is for is not active any more.
pub async fn renew(c: &mut Conn, id: JobId, fence: i64, lease_until: Micros, progress: Option<Progress>) -> Result<Option<bool>> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "UPDATE jobs SET lease_until = $3, progress_done = COALESCE($4, progress_done), progress_total = COALESCE($5, progress_total)
             WHERE id = $1 AND fence = $2 AND state = 'running'
             RETURNING (cancel_requested OR EXISTS (SELECT 1 FROM users u WHERE u.id = jobs.user_id AND u.state <> 'active'))",
        )
        .bind(id).bind(fence).bind(lease_until).bind(progress.map(|p| p.done)).bind(progress.map(|p| p.total)).fetch_optional(c).await?
    }))
}

/// Whether this fence still owns the job.
pub async fn is_held(c: &mut Conn, id: JobId, fence: i64) -> Result<bool> {
    let found: Option<JobId> = on!(c, c => {
        sqlx::query_scalar("SELECT id FROM jobs WHERE id = $1 AND fence = $2 AND state = 'running'")
            .bind(id).bind(fence).fetch_optional(c).await?
    });
    Ok(found.is_some())
}

/// Ends a job that this fence still owns; `false` when it no longer does.
pub async fn finish(c: &mut Conn, id: JobId, fence: i64, state: JobState, error: Option<&str>, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE jobs SET state = $3, error = $4, finished_at = $5, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND fence = $2 AND state = 'running'",
        )
        .bind(id).bind(fence).bind(Word(state)).bind(error).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

/// Puts a job back for another attempt at `run_at`; `false` when the fence no longer owns it.
pub async fn retry(c: &mut Conn, id: JobId, fence: i64, error: &str, run_at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE jobs SET state = 'queued', error = $3, run_at = $4, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND fence = $2 AND state = 'running'",
        )
        .bind(id).bind(fence).bind(error).bind(run_at).execute(c).await?.rows_affected()
    }) == 1)
}

/// Puts a job back whose worker leaves it at `now` through no fault of the job's: the attempt does not count. `false` when the fence no
/// longer owns it.
pub async fn hand_back(c: &mut Conn, id: JobId, fence: i64, why: &str, now: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE jobs SET state = 'queued', error = $3, run_at = $4, attempts = attempts - 1, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND fence = $2 AND state = 'running'",
        )
        .bind(id).bind(fence).bind(why).bind(now).execute(c).await?.rows_affected()
    }) == 1)
}

/// Jobs whose worker is gone: those with an expired lease, those of `owner`, or all that run when `all` (nobody else can be
/// running them).
pub async fn abandoned(c: &mut Conn, now: Micros, owner: Option<&str>, all: bool) -> Result<Vec<JobRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM jobs WHERE state = 'running' AND (lease_until < $1 OR lease_owner = $2 OR $3) ORDER BY created_at")
            .bind(now).bind(owner).bind(all).fetch_all(c).await?
    }))
}

/// Makes an abandoned job that must end somebody's, who tells its end. `None` when another was faster.
pub async fn take_over(c: &mut Conn, id: JobId, fence: i64, worker: &str, lease_until: Micros) -> Result<Option<JobRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "UPDATE jobs SET fence = fence + 1, lease_owner = $3, lease_until = $4
             WHERE id = $1 AND fence = $2 AND state = 'running' RETURNING *",
        )
        .bind(id).bind(fence).bind(worker).bind(lease_until).fetch_optional(c).await?
    }))
}

/// The jobs of a worker that somebody asked to stop.
pub async fn cancelled_of(c: &mut Conn, worker: &str) -> Result<Vec<JobId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM jobs WHERE state = 'running' AND lease_owner = $1 AND cancel_requested = $2")
            .bind(worker).bind(true).fetch_all(c).await?
    }))
}

/// Asks a job to stop. A queued one is cancelled at once. Answers its state after that.
pub async fn request_cancel(c: &mut Conn, id: JobId, at: Micros) -> Result<Option<JobState>> {
    on!(c, c => {
        sqlx::query("UPDATE jobs SET cancel_requested = $2 WHERE id = $1 AND state IN ('queued', 'running')")
            .bind(id).bind(true).execute(&mut *c).await?;
        sqlx::query("UPDATE jobs SET state = 'cancelled', finished_at = $2 WHERE id = $1 AND state = 'queued'")
            .bind(id).bind(at).execute(&mut *c).await?;
        let state: Option<Word<JobState>> =
            sqlx::query_scalar("SELECT state FROM jobs WHERE id = $1").bind(id).fetch_optional(c).await?;
        Ok(state.map(|word| word.0))
    })
}

/// Asks a running job to stop; leaves one that is queued alone.
pub async fn ask_to_stop(c: &mut Conn, id: JobId) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE jobs SET cancel_requested = $2 WHERE id = $1 AND state = 'running'").bind(id).bind(true).execute(c).await?;
    });
    Ok(())
}

/// Takes a dead job up again with fresh attempts; `false` when it is not dead.
pub async fn requeue_dead(tx: &mut Tx, id: JobId, at: Micros) -> Result<bool> {
    let done = on!(&mut **tx, c => {
        sqlx::query("UPDATE jobs SET state = 'queued', attempts = 0, run_at = $2, finished_at = NULL, cancel_requested = $3 WHERE id = $1 AND state = 'dead'")
            .bind(id).bind(at).bind(false).execute(c).await?.rows_affected()
    }) == 1;
    tx.wakes_workers |= done;
    Ok(done)
}

pub async fn get(c: &mut Conn, id: JobId) -> Result<Option<JobWithUser>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT j.*, u.username, u.full_name FROM jobs j LEFT JOIN users u ON u.id = j.user_id WHERE j.id = $1")
            .bind(id).fetch_optional(c).await?
    }))
}

/// The newest jobs first.
pub async fn list(c: &mut Conn, limit: i64) -> Result<Vec<JobWithUser>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT j.*, u.username, u.full_name FROM jobs j LEFT JOIN users u ON u.id = j.user_id ORDER BY j.created_at DESC, j.id DESC LIMIT $1",
        )
        .bind(limit).fetch_all(c).await?
    }))
}

/// The newest job of a kind that is about a project.
pub async fn last_of(c: &mut Conn, project: ProjectId, kind: &str) -> Result<Option<JobWithUser>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT j.*, u.username, u.full_name FROM jobs j LEFT JOIN users u ON u.id = j.user_id
             WHERE j.kind = $1 AND j.project_id = $2 ORDER BY j.created_at DESC, j.id DESC LIMIT 1",
        )
        .bind(kind).bind(project).fetch_optional(c).await?
    }))
}

/// Whether a job of a kind waits or runs, or was made after `since`.
pub async fn any_since(c: &mut Conn, kind: &str, since: Micros) -> Result<bool> {
    let found: Option<JobId> = on!(c, c => {
        sqlx::query_scalar("SELECT id FROM jobs WHERE kind = $1 AND (state IN ('queued', 'running') OR created_at > $2) LIMIT 1")
            .bind(kind).bind(since).fetch_optional(c).await?
    });
    Ok(found.is_some())
}

/// Removes jobs of a kind that went well and ended before `before`, with what was told about them.
pub async fn forget_succeeded(tx: &mut Tx, kind: &str, before: Micros) -> Result<()> {
    on!(&mut **tx, c => {
        let gone: Vec<JobId> = sqlx::query_scalar("DELETE FROM jobs WHERE kind = $1 AND state = 'succeeded' AND finished_at < $2 RETURNING id")
            .bind(kind).bind(before).fetch_all(&mut *c).await?;
        for id in gone {
            let stream = Stream::Job(id).to_string();
            sqlx::query("DELETE FROM events WHERE stream = $1").bind(&stream).execute(&mut *c).await?;
            sqlx::query("DELETE FROM event_streams WHERE stream = $1").bind(&stream).execute(&mut *c).await?;
        }
    });
    Ok(())
}

#[derive(Debug, Clone, Copy, FromRow)]
pub struct QueueSummary {
    pub queued: i64,
    pub running: i64,
    pub dead: i64,
    pub oldest_due: Option<Micros>,
}

pub async fn summary(c: &mut Conn, now: Micros) -> Result<QueueSummary> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT COUNT(CASE WHEN state = 'queued' THEN 1 END) AS queued, COUNT(CASE WHEN state = 'running' THEN 1 END) AS running,
                    COUNT(CASE WHEN state = 'dead' THEN 1 END) AS dead,
                    MIN(CASE WHEN state = 'queued' AND run_at <= $1 THEN run_at END) AS oldest_due
             FROM jobs WHERE state IN ('queued', 'running', 'dead')",
        )
        .bind(now).fetch_one(c).await?
    }))
}

/// How many jobs of each kind wait, run or were given up.
pub async fn by_kind(c: &mut Conn) -> Result<Vec<(String, JobState, i64)>> {
    let rows: Vec<(String, Word<JobState>, i64)> = on!(c, c => {
        sqlx::query_as("SELECT kind, state, COUNT(*) FROM jobs WHERE state IN ('queued', 'running', 'dead') GROUP BY kind, state ORDER BY kind, state")
            .fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|(kind, state, count)| (kind, state.0, count)).collect())
}
