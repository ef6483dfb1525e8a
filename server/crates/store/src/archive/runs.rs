use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use wire::{
    Micros, ProjectId, RunId, TurnId, UserId,
    event::{EventKind, Stream},
    runs::{Exit, RunChange, RunKind, RunLimits, RunNetwork, RunState, RunUsage},
    test_reports::TestReport,
};

use super::By;
use crate::{Conn, Doc, Result, Word, db::on};

/// A run that has ended. Of its variables only the names: their values may be secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLine {
    pub id: RunId,
    pub turn_id: Option<TurnId>,
    pub kind: RunKind,
    pub command: String,
    pub cwd: String,
    pub env_names: Vec<String>,
    pub state: RunState,
    pub exit: Option<Exit>,
    pub tier: Option<String>,
    pub limits: RunLimits,
    pub usage: Option<RunUsage>,
    pub changes: Vec<RunChange>,
    pub network: RunNetwork,
    pub only: Vec<String>,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
    pub by: By,
}

#[derive(FromRow)]
struct Row {
    id: RunId,
    turn_id: Option<TurnId>,
    kind: Word<RunKind>,
    command: String,
    cwd: String,
    env: Doc<BTreeMap<String, String>>,
    state: Word<RunState>,
    exit_json: Option<Doc<Exit>>,
    tier: Option<String>,
    limits_json: Doc<RunLimits>,
    usage_json: Option<Doc<RunUsage>>,
    changes_json: Doc<Vec<RunChange>>,
    network: Word<RunNetwork>,
    only_json: Doc<Vec<String>>,
    created_at: Micros,
    started_at: Option<Micros>,
    finished_at: Option<Micros>,
    #[sqlx(flatten)]
    by: By,
}

impl Row {
    fn into_line(self) -> RunLine {
        RunLine {
            id: self.id,
            turn_id: self.turn_id,
            kind: self.kind.0,
            command: self.command,
            cwd: self.cwd,
            env_names: self.env.0.into_keys().collect(),
            state: self.state.0,
            exit: self.exit_json.map(|doc| doc.0),
            tier: self.tier,
            limits: self.limits_json.0,
            usage: self.usage_json.map(|doc| doc.0),
            changes: self.changes_json.0,
            network: self.network.0,
            only: self.only_json.0,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            by: self.by,
        }
    }
}

/// Runs that have ended, the oldest first, without terminals; those after `after`, at most `limit`.
pub async fn runs(c: &mut Conn, project: ProjectId, after: Option<(Micros, RunId)>, limit: i64) -> Result<Vec<RunLine>> {
    let (at, id) = after.unwrap_or((Micros(i64::MIN), RunId(uuid::Uuid::nil())));
    let rows: Vec<Row> = on!(c, c => {
        sqlx::query_as(
            "SELECT r.id, r.turn_id, r.kind, r.command, r.cwd, r.env, r.state, r.exit_json, r.tier, r.limits_json, r.usage_json,
                    r.changes_json, r.network, r.only_json, r.created_at, r.started_at, r.finished_at,
                    CASE WHEN r.author IS NULL THEN u.username END AS username, COALESCE(r.author, u.full_name, u.username) AS author
             FROM runs r JOIN users u ON u.id = r.user_id
             WHERE r.project_id = $1 AND r.kind <> 'terminal' AND r.state NOT IN ('queued', 'running')
               AND (r.created_at > $2 OR (r.created_at = $2 AND r.id > $3))
             ORDER BY r.created_at, r.id LIMIT $4",
        )
        .bind(project).bind(at).bind(id).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(Row::into_line).collect())
}

/// `author` only where `user` is not who started it.
pub async fn insert_run(c: &mut Conn, project: ProjectId, line: &RunLine, user: UserId, author: Option<&str>) -> Result<()> {
    let env: BTreeMap<&str, &str> = line.env_names.iter().map(|name| (name.as_str(), "")).collect();
    on!(c, c => {
        sqlx::query(
            "INSERT INTO runs (id, project_id, user_id, turn_id, kind, command, cwd, env, state, exit_json, tier, limits_json, usage_json,
                               changes_json, network, only_json, created_at, started_at, finished_at, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        )
        .bind(line.id).bind(project).bind(user).bind(line.turn_id).bind(Word(line.kind)).bind(&line.command).bind(&line.cwd)
        .bind(Doc(&env)).bind(Word(line.state)).bind(line.exit.as_ref().map(Doc)).bind(&line.tier).bind(Doc(&line.limits))
        .bind(line.usage.as_ref().map(Doc)).bind(Doc(&line.changes)).bind(Word(line.network)).bind(Doc(&line.only))
        .bind(line.created_at).bind(line.started_at).bind(line.finished_at).bind(author).execute(c).await?;
    });
    Ok(())
}

/// One event of a run's stream, its output among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputLine {
    pub run_id: RunId,
    pub at: Micros,
    pub event: EventKind,
}

/// What the tests of a run found.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct ReportLine {
    pub run_id: RunId,
    pub report: Doc<TestReport>,
}

pub async fn reports(c: &mut Conn, project: ProjectId) -> Result<Vec<ReportLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT t.run_id, t.report FROM test_reports t JOIN runs r ON r.id = t.run_id WHERE r.project_id = $1 ORDER BY t.run_id",
        )
        .bind(project).fetch_all(c).await?
    }))
}

pub async fn insert_report(c: &mut Conn, line: &ReportLine) -> Result<()> {
    crate::test_reports::put(c, line.run_id, &line.report.0).await
}

/// Adds events of a run that is over, the first as number `first`. Nobody waits for them, so nothing is published.
pub async fn insert_events(c: &mut Conn, run: RunId, first: i64, events: Vec<(Micros, EventKind)>) -> Result<()> {
    let stream = Stream::Run(run).to_string();
    let last = first + events.len() as i64 - 1;
    for (seq, (at, kind)) in (first..).zip(events) {
        let output_end = kind.output_range().map(|range| range.end);
        on!(&mut *c, c => {
            sqlx::query("INSERT INTO events (stream, seq, at, body, output_end) VALUES ($1, $2, $3, $4, $5)")
                .bind(&stream).bind(seq).bind(at).bind(Doc(kind)).bind(output_end).execute(c).await?;
        });
    }
    on!(c, c => {
        sqlx::query(
            "INSERT INTO event_streams (stream, last_seq) VALUES ($1, $2)
             ON CONFLICT (stream) DO UPDATE SET last_seq = $2",
        )
        .bind(&stream).bind(last).execute(c).await?;
    });
    Ok(())
}

/// Takes everything away that was inserted into a project whose import has not finished, so that it can be filled again.
pub async fn clear(c: &mut Conn, project: ProjectId) -> Result<()> {
    let unfinished: Option<ProjectId> = on!(&mut *c, c => {
        sqlx::query_scalar("SELECT id FROM projects WHERE id = $1 AND importing").bind(project).fetch_optional(c).await?
    });
    if unfinished.is_none() {
        return Ok(());
    }
    let runs: Vec<RunId> =
        on!(&mut *c, c => sqlx::query_scalar("SELECT id FROM runs WHERE project_id = $1").bind(project).fetch_all(c).await?);
    for run in runs {
        let stream = Stream::Run(run).to_string();
        on!(&mut *c, c => {
            sqlx::query("DELETE FROM events WHERE stream = $1").bind(&stream).execute(&mut *c).await?;
            sqlx::query("DELETE FROM event_streams WHERE stream = $1").bind(&stream).execute(c).await?;
        });
    }
    // Without foreign keys, and before what they name.
    let of_conversations =
        "DELETE FROM budgets WHERE scope = 'conversation' AND subject IN (SELECT id FROM conversations WHERE project_id = $1)";
    for delete in
        [of_conversations, "DELETE FROM budgets WHERE scope = 'project_own' AND subject = $1", "DELETE FROM ledger WHERE project_id = $1"]
    {
        on!(&mut *c, c => { sqlx::query(delete).bind(project).execute(c).await?; });
    }
    for table in [
        "runs",
        "change_sets",
        "conversations",
        "checkpoints",
        "file_versions",
        "chat_images",
        "egress_log",
        "permission_rules",
        "project_run_settings",
    ] {
        let delete = format!("DELETE FROM {table} WHERE project_id = $1");
        on!(&mut *c, c => { sqlx::query(sqlx::AssertSqlSafe(delete)).bind(project).execute(c).await?; });
    }
    Ok(())
}
