//! What belongs to a project as a whole: its rules and settings, what it cost, what its runs asked the network for.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    BudgetId, ConversationId, MessageId, Micros, PermissionRuleId, ProjectId, ReservationId, RunId, TurnId, UserId,
    budgets::{BudgetScope, Period},
    network::HostRule,
    permissions::PermissionEffect,
};

use super::{By, Maker};
use crate::{Conn, Doc, Result, Word, db::on};

/// A rule of what the agent may do.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct RuleLine {
    pub id: PermissionRuleId,
    pub effect: Word<PermissionEffect>,
    pub tool: Option<String>,
    pub command_pattern: Option<String>,
    pub path_pattern: Option<String>,
    /// It came with an archive, and nobody has made it here.
    #[serde(default)]
    pub waits: bool,
    pub created_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

/// The oldest first.
pub async fn rules(c: &mut Conn, project: ProjectId) -> Result<Vec<RuleLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT r.id, r.effect, r.tool, r.command_pattern, r.path_pattern, r.waits, r.created_at, u.username,
                    COALESCE(r.author, u.full_name, u.username) AS author
             FROM permission_rules r LEFT JOIN users u ON u.id = r.created_by WHERE r.project_id = $1 ORDER BY r.created_at, r.id",
        )
        .bind(project).fetch_all(c).await?
    }))
}

pub async fn insert_rule(c: &mut Conn, project: ProjectId, line: &RuleLine, by: &Maker) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO permission_rules (id, project_id, effect, tool, command_pattern, path_pattern, waits, created_by, created_at, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(line.id).bind(project).bind(line.effect).bind(&line.tool).bind(&line.command_pattern).bind(&line.path_pattern).bind(line.waits)
        .bind(by.id).bind(line.created_at).bind(&by.author).execute(c).await?;
    });
    Ok(())
}

/// How a project is tested, and what its runs may reach.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct SettingsLine {
    pub test_command: Option<String>,
    pub test_report: Option<String>,
    #[sqlx(rename = "egress_json")]
    pub hosts: Doc<Vec<HostRule>>,
    /// Came with an archive, and nobody has allowed them here.
    #[sqlx(rename = "egress_waits_json")]
    pub hosts_waiting: Doc<Vec<HostRule>>,
}

pub async fn settings(c: &mut Conn, project: ProjectId) -> Result<Option<SettingsLine>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT test_command, test_report, egress_json, egress_waits_json FROM project_run_settings WHERE project_id = $1")
            .bind(project).fetch_optional(c).await?
    }))
}

/// `Taken` where the project has settings.
pub async fn put_settings(c: &mut Conn, project: ProjectId, line: &SettingsLine) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO project_run_settings (project_id, test_command, test_report, egress_json, egress_waits_json)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(project).bind(&line.test_command).bind(&line.test_report).bind(&line.hosts).bind(&line.hosts_waiting).execute(c).await?;
    });
    Ok(())
}

/// A limit that a project's people set: of the project (`project_own`) or of one conversation.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct BudgetLine {
    pub id: BudgetId,
    pub scope: Word<BudgetScope>,
    /// The project or the conversation.
    pub subject: Uuid,
    pub period: Word<Period>,
    pub usd_micros: Option<i64>,
    pub tokens: Option<i64>,
    pub updated_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

pub async fn budgets(c: &mut Conn, project: ProjectId) -> Result<Vec<BudgetLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT b.id, b.scope, b.subject, b.period, b.usd_micros, b.tokens, b.updated_at, u.username,
                    COALESCE(u.full_name, u.username) AS author
             FROM budgets b LEFT JOIN users u ON u.id = b.updated_by
             WHERE (b.scope = 'project_own' AND b.subject = $1)
                OR (b.scope = 'conversation' AND b.subject IN (SELECT id FROM conversations WHERE project_id = $1))
             ORDER BY b.updated_at, b.id",
        )
        .bind(project).fetch_all(c).await?
    }))
}

pub async fn insert_budget(c: &mut Conn, line: &BudgetLine, by: Option<UserId>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO budgets (id, scope, subject, period, usd_micros, tokens, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(line.id).bind(line.scope).bind(line.subject).bind(line.period).bind(line.usd_micros).bind(line.tokens).bind(line.updated_at)
        .bind(by).execute(c).await?;
    });
    Ok(())
}

/// A model call that has ended.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct CallLine {
    pub id: ReservationId,
    pub conversation_id: Option<ConversationId>,
    pub turn_id: Option<TurnId>,
    pub message_id: Option<MessageId>,
    pub model: String,
    pub price_input: i64,
    pub price_output: i64,
    pub price_cached: i64,
    #[serde(default)]
    pub price_cache_write: Option<i64>,
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    #[serde(default)]
    pub cache_write: i64,
    pub cost_micros: i64,
    pub estimated: bool,
    pub first_token_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub outcome: String,
    pub code: Option<String>,
    pub started_at: Micros,
    pub ended_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

/// The oldest first; those after `after`, at most `limit`.
pub async fn calls(c: &mut Conn, project: ProjectId, after: Option<(Micros, ReservationId)>, limit: i64) -> Result<Vec<CallLine>> {
    let (at, id) = after.unwrap_or((Micros(i64::MIN), ReservationId(Uuid::nil())));
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT l.id, l.conversation_id, l.turn_id, l.message_id, l.model, l.price_input, l.price_output, l.price_cached,
                    l.price_cache_write,
                    l.input, l.output, l.cached, l.cache_write, l.cost_micros, l.estimated, l.first_token_ms, l.duration_ms, l.outcome,
                    l.code, l.started_at, l.ended_at,
                    u.username, COALESCE(l.author, u.full_name, u.username) AS author
             FROM ledger l LEFT JOIN users u ON u.id = l.user_id
             WHERE l.project_id = $1 AND l.outcome <> 'open' AND (l.started_at > $2 OR (l.started_at = $2 AND l.id > $3))
             ORDER BY l.started_at, l.id LIMIT $4",
        )
        .bind(project).bind(at).bind(id).bind(limit).fetch_all(c).await?
    }))
}

/// Adds a call that was paid for elsewhere: no budget counts it.
pub async fn insert_call(c: &mut Conn, project: ProjectId, line: &CallLine, by: &Maker) -> Result<()> {
    let user = by.id.unwrap_or(UserId(Uuid::nil()));
    on!(c, c => {
        sqlx::query(
            "INSERT INTO ledger (id, user_id, project_id, conversation_id, turn_id, message_id, model_version_id, model, price_input,
                                 price_output, price_cached, reserved_input, reserved_output, reserved_micros, input, output, cached,
                                 cost_micros, estimated, first_token_ms, duration_ms, outcome, code, started_at, ended_at, imported, author,
                                 price_cache_write, cache_write)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                     $26)",
        )
        .bind(line.id).bind(user).bind(project).bind(line.conversation_id).bind(line.turn_id).bind(line.message_id).bind(Uuid::nil())
        .bind(&line.model).bind(line.price_input).bind(line.price_output).bind(line.price_cached).bind(line.input).bind(line.output)
        .bind(line.cached).bind(line.cost_micros).bind(line.estimated).bind(line.first_token_ms).bind(line.duration_ms).bind(&line.outcome)
        .bind(&line.code).bind(line.started_at).bind(line.ended_at).bind(true).bind(&by.author)
        .bind(line.price_cache_write).bind(line.cache_write).execute(c).await?;
    });
    Ok(())
}

/// Something that a run asked the network for.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct EgressLine {
    pub id: Uuid,
    pub run_id: RunId,
    pub host: String,
    pub port: i64,
    pub allowed: bool,
    pub reason: String,
    pub at: Micros,
}

/// The newest `limit`, the oldest of them first.
pub async fn egress(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<EgressLine>> {
    let mut lines: Vec<EgressLine> = on!(c, c => {
        sqlx::query_as(
            "SELECT id, run_id, host, port, allowed, reason, at FROM egress_log WHERE project_id = $1 ORDER BY at DESC, id DESC LIMIT $2",
        )
        .bind(project).bind(limit).fetch_all(c).await?
    });
    lines.reverse();
    Ok(lines)
}

pub async fn insert_egress(c: &mut Conn, project: ProjectId, line: &EgressLine) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO egress_log (id, project_id, run_id, host, port, allowed, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(line.id).bind(project).bind(line.run_id).bind(&line.host).bind(line.port).bind(line.allowed).bind(&line.reason).bind(line.at)
        .execute(c).await?;
    });
    Ok(())
}

/// A run that stands for a turn.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct CodegenLine {
    pub run_id: RunId,
    pub turn_id: TurnId,
}

/// Those of runs that have ended. Rows are inserted by [`crate::codegen::insert`].
pub async fn codegen(c: &mut Conn, project: ProjectId) -> Result<Vec<CodegenLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT g.run_id, g.turn_id FROM codegen_runs g JOIN runs r ON r.id = g.run_id
             WHERE r.project_id = $1 AND r.state NOT IN ('queued', 'running') ORDER BY g.run_id",
        )
        .bind(project).fetch_all(c).await?
    }))
}
