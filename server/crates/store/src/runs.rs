use std::collections::BTreeMap;

use sqlx::FromRow;
use wire::{
    JobId, Micros, ProjectId, RunId, TurnId, UserId,
    event::Stream,
    previews::RunPort,
    runs::{Exit, Run, RunChange, RunKind, RunLimits, RunNetwork, RunState, RunUsage},
    test_reports::{Framework, TestReport},
    users::UserRef,
};

use crate::{Conn, Doc, Result, Tx, Word, db::on, users::user_ref};

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
    pub network: Word<RunNetwork>,
    pub ports_json: Doc<Vec<RunPort>>,
    pub only_json: Doc<Vec<String>>,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
    pub username: Option<String>,
    pub full_name: Option<String>,
    pub framework: Option<Word<Framework>>,
    pub passed: Option<i64>,
    pub failed: Option<i64>,
    pub skipped: Option<i64>,
    pub truncated: Option<bool>,
}

impl RunRow {
    /// What its tests found, without the cases.
    fn tests(&self) -> Option<TestReport> {
        let framework = self.framework?.0;
        let [passed, failed, skipped] = [self.passed, self.failed, self.skipped].map(Option::unwrap_or_default);
        Some(TestReport { framework, passed, failed, skipped, cases: Vec::new(), truncated: self.truncated.unwrap_or_default() })
    }

    pub fn into_run(self) -> Run {
        let tests = self.tests();
        let started_by = user_ref(Some(self.user_id), self.username, self.full_name);
        Run {
            id: self.id,
            project_id: self.project_id,
            kind: self.kind.0,
            command: self.command,
            cwd: self.cwd,
            env_names: self.env.0.into_keys().collect(),
            only: self.only_json.0,
            state: self.state.0,
            exit: self.exit_json.map(|doc| doc.0),
            tier: self.tier,
            limits: self.limits_json.0,
            network: self.network.0,
            ports: self.ports_json.0,
            tests,
            usage: self.usage_json.map(|doc| doc.0),
            changes: self.changes_json.0,
            turn_id: self.turn_id,
            change_set_id: None,
            codegen_turn: None,
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
    pub network: RunNetwork,
    pub only: &'a [String],
    pub at: Micros,
}

pub async fn insert(c: &mut Conn, run: &NewRun<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO runs (id, project_id, user_id, turn_id, job_id, kind, command, cwd, env, state, limits_json, changes_json, network,
                               only_json, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, '[]', $11, $12, $13)",
        )
        .bind(run.id).bind(run.project_id).bind(run.user_id).bind(run.turn_id).bind(run.job_id).bind(Word(run.kind)).bind(run.command)
        .bind(run.cwd).bind(Doc(run.env)).bind(Doc(run.limits)).bind(Word(run.network))
        .bind(Doc(run.only)).bind(run.at)
        .execute(c).await?;
    });
    Ok(())
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT r.*, u.username, COALESCE(r.author, u.full_name) AS full_name, t.framework, t.passed, t.failed, t.skipped, t.truncated
             FROM runs r LEFT JOIN users u ON u.id = r.user_id LEFT JOIN test_reports t ON t.run_id = r.id WHERE ",
            $filter
        )
    };
}

pub async fn get(c: &mut Conn, id: RunId) -> Result<Option<RunRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("r.id = $1")).bind(id).fetch_optional(c).await?))
}

/// What the tests of a run found, with the cases.
pub async fn report(c: &mut Conn, id: RunId) -> Result<Option<TestReport>> {
    let found: Option<Doc<TestReport>> =
        on!(c, c => sqlx::query_scalar("SELECT report FROM test_reports WHERE run_id = $1").bind(id).fetch_optional(c).await?);
    Ok(found.map(|doc| doc.0))
}

/// Where a page of [`list`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub created_at: Micros,
    pub id: RunId,
}

/// The newest first, terminals left out; those after `before`, at most `limit`.
pub async fn list(c: &mut Conn, project: ProjectId, before: Option<Position>, limit: i64) -> Result<Vec<RunRow>> {
    let Position { created_at, id } = before.unwrap_or(Position { created_at: Micros(i64::MAX), id: RunId(uuid::Uuid::max()) });
    Ok(on!(c, c => {
        sqlx::query_as(select!(
            "r.project_id = $1 AND r.kind <> 'terminal' AND r.created_at <= $2 AND (r.created_at < $2 OR r.id < $3)
             ORDER BY r.created_at DESC, r.id DESC LIMIT $4"
        ))
        .bind(project).bind(created_at).bind(id).bind(limit).fetch_all(c).await?
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

pub async fn state(c: &mut Conn, id: RunId) -> Result<Option<RunState>> {
    let found: Option<Word<RunState>> =
        on!(c, c => sqlx::query_scalar("SELECT state FROM runs WHERE id = $1").bind(id).fetch_optional(c).await?);
    Ok(found.map(|word| word.0))
}

/// What listens inside it now; `false` when it does not run any more.
pub async fn set_ports(c: &mut Conn, id: RunId, ports: &[RunPort]) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE runs SET ports_json = $2 WHERE id = $1 AND state = 'running'").bind(id).bind(Doc(ports)).execute(c).await?.rows_affected()
    }) == 1)
}

/// Takes a finished run away, with what it printed; `false` when it is not finished.
pub async fn delete(tx: &mut Tx, id: RunId) -> Result<bool> {
    let stream = Stream::Run(id).to_string();
    Ok(on!(&mut **tx, c => {
        let gone = sqlx::query("DELETE FROM runs WHERE id = $1 AND state NOT IN ('queued', 'running')").bind(id).execute(&mut *c).await?.rows_affected();
        if gone == 1 {
            sqlx::query("DELETE FROM events WHERE stream = $1").bind(&stream).execute(&mut *c).await?;
            sqlx::query("DELETE FROM event_streams WHERE stream = $1").bind(&stream).execute(c).await?;
        }
        gone
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
            "UPDATE runs SET state = $2, exit_json = $3, usage_json = $4, changes_json = $5, finished_at = $6, ports_json = '[]'
             WHERE id = $1 AND state IN ('queued', 'running')",
        )
        .bind(id).bind(Word(state)).bind(Doc(exit)).bind(Doc(usage)).bind(Doc(changes)).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}
