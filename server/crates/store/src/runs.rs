use std::collections::BTreeMap;

use sqlx::FromRow;
use wire::{
    JobId, Micros, ProjectId, RunId, TurnId, UserId,
    runs::{Exit, Run, RunChange, RunKind, RunLimits, RunState, RunUsage},
    users::UserRef,
};

use crate::{Conn, Doc, Result, Word, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct RunRow {
    pub id: RunId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub turn_id: Option<TurnId>,
    pub job_id: Option<JobId>,
    pub kind: Word<RunKind>,
    pub command: String,
    pub cwd: String,
    pub env: Doc<BTreeMap<String, String>>,
    pub state: Word<RunState>,
    pub exit_json: Option<Doc<Exit>>,
    pub tier: Option<String>,
    pub limits_json: Doc<RunLimits>,
    pub usage_json: Option<Doc<RunUsage>>,
    pub changes_json: Doc<Vec<RunChange>>,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl RunRow {
    pub fn into_run(self) -> Run {
        let started_by = user_ref(Some(self.user_id), self.username, self.full_name);
        Run {
            id: self.id,
            project_id: self.project_id,
            kind: self.kind.0,
            command: self.command,
            cwd: self.cwd,
            state: self.state.0,
            exit: self.exit_json.map(|doc| doc.0),
            tier: self.tier,
            limits: self.limits_json.0,
            usage: self.usage_json.map(|doc| doc.0),
            changes: self.changes_json.0,
            turn_id: self.turn_id,
            started_by: started_by.unwrap_or(UserRef { id: self.user_id, name: String::new() }),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }
}

pub struct NewRun<'a> {
    pub id: RunId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub turn_id: Option<TurnId>,
    pub job_id: Option<JobId>,
    pub kind: RunKind,
    pub command: &'a str,
    pub cwd: &'a str,
    pub env: &'a BTreeMap<String, String>,
    pub limits: &'a RunLimits,
    pub at: Micros,
}

pub async fn insert(c: &mut Conn, run: &NewRun<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO runs (id, project_id, user_id, turn_id, job_id, kind, command, cwd, env, state, limits_json, changes_json, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, '[]', $11)",
        )
        .bind(run.id).bind(run.project_id).bind(run.user_id).bind(run.turn_id).bind(run.job_id).bind(Word(run.kind)).bind(run.command)
        .bind(run.cwd).bind(Doc(run.env)).bind(Doc(run.limits)).bind(run.at)
        .execute(c).await?;
    });
    Ok(())
}

macro_rules! select {
    ($filter:literal) => {
        concat!("SELECT r.*, u.username, u.full_name FROM runs r LEFT JOIN users u ON u.id = r.user_id WHERE ", $filter)
    };
}

pub async fn get(c: &mut Conn, id: RunId) -> Result<Option<RunRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("r.id = $1")).bind(id).fetch_optional(c).await?))
}

/// The newest first.
pub async fn list(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<RunRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("r.project_id = $1 ORDER BY r.created_at DESC, r.id DESC LIMIT $2")).bind(project).bind(limit).fetch_all(c).await?
    }))
}

pub async fn by_job(c: &mut Conn, job: JobId) -> Result<Option<RunRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("r.job_id = $1")).bind(job).fetch_optional(c).await?))
}

/// Runs of a turn that have no end yet.
pub async fn unfinished_of_turn(c: &mut Conn, turn: TurnId) -> Result<Vec<RunRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("r.turn_id = $1 AND r.state IN ('queued', 'running')")).bind(turn).fetch_all(c).await?))
}

/// `false` when it is not queued any more.
pub async fn mark_started(c: &mut Conn, id: RunId, tier: &str, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE runs SET state = 'running', tier = $2, started_at = $3 WHERE id = $1 AND state = 'queued'")
            .bind(id).bind(tier).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

/// `false` when it had ended already: a run ends once.
pub async fn mark_finished(
    c: &mut Conn,
    id: RunId,
    state: RunState,
    exit: &Exit,
    usage: &RunUsage,
    changes: &[RunChange],
    at: Micros,
) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE runs SET state = $2, exit_json = $3, usage_json = $4, changes_json = $5, finished_at = $6
             WHERE id = $1 AND state IN ('queued', 'running')",
        )
        .bind(id).bind(Word(state)).bind(Doc(exit)).bind(Doc(usage)).bind(Doc(changes)).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}
