use sqlx::FromRow;
use wire::{
    ConversationId, Micros, PermissionRuleId, ProjectId, TurnId, UserId,
    chat::{MessageBody, Mode},
    permissions::{PermissionEffect, PermissionRule},
};

use crate::{Conn, Doc, Result, Word, db::on, users::user_ref};

#[derive(FromRow)]
struct RuleRow {
    id: PermissionRuleId,
    project_id: ProjectId,
    effect: Word<PermissionEffect>,
    tool: Option<String>,
    command_pattern: Option<String>,
    path_pattern: Option<String>,
    created_by: Option<UserId>,
    created_at: Micros,
    username: Option<String>,
    full_name: Option<String>,
}

/// The project's rules, the newest first.
pub async fn rules(c: &mut Conn, project: ProjectId) -> Result<Vec<PermissionRule>> {
    rules_where(c, project, false).await
}

/// Rules that came with an archive and hold nothing until somebody makes them, the newest first.
pub async fn waiting(c: &mut Conn, project: ProjectId) -> Result<Vec<PermissionRule>> {
    rules_where(c, project, true).await
}

async fn rules_where(c: &mut Conn, project: ProjectId, waits: bool) -> Result<Vec<PermissionRule>> {
    let rows: Vec<RuleRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT r.id, r.project_id, r.effect, r.tool, r.command_pattern, r.path_pattern, r.created_by, r.created_at, u.username,
                    COALESCE(r.author, u.full_name) AS full_name
             FROM permission_rules r LEFT JOIN users u ON u.id = r.created_by
             WHERE r.project_id = $1 AND r.waits = $2 ORDER BY r.created_at DESC, r.id DESC",
        )
        .bind(project).bind(waits).fetch_all(c).await?
    });
    let rule = |row: RuleRow| PermissionRule {
        id: row.id,
        project_id: row.project_id,
        effect: row.effect.0,
        tool: row.tool,
        command_pattern: row.command_pattern,
        path_pattern: row.path_pattern,
        // Who has no account here is known by name alone.
        created_by: user_ref(row.created_by.or(row.full_name.as_ref().map(|_| UserId(uuid::Uuid::nil()))), row.username, row.full_name),
        created_at: row.created_at,
    };
    Ok(rows.into_iter().map(rule).collect())
}

/// Whoever adds a rule waits for whoever is adding one until the transaction ends.
pub async fn lock(c: &mut Conn, project: ProjectId) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE projects SET revision = revision WHERE id = $1").bind(project).execute(c).await?; });
    Ok(())
}

pub async fn insert_rule(c: &mut Conn, rule: &PermissionRule) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO permission_rules (id, project_id, effect, tool, command_pattern, path_pattern, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(rule.id).bind(rule.project_id).bind(Word(rule.effect)).bind(&rule.tool).bind(&rule.command_pattern).bind(&rule.path_pattern)
        .bind(rule.created_by.as_ref().map(|by| by.id)).bind(rule.created_at).execute(c).await?;
    });
    Ok(())
}

/// `false` when the project has no such rule.
pub async fn delete_rule(c: &mut Conn, project: ProjectId, id: PermissionRuleId) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM permission_rules WHERE project_id = $1 AND id = $2").bind(project).bind(id).execute(c).await?.rows_affected()
    }) == 1)
}

/// A turn whose calls can be judged again.
#[derive(Debug, Clone, FromRow)]
pub struct PastTurn {
    pub id: TurnId,
    pub conversation_id: ConversationId,
    pub mode: Word<Mode>,
    pub base_revision: i64,
}

/// The project's last turns, the newest first, without those of conversations that were deleted.
pub async fn past_turns(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<PastTurn>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT t.id, t.conversation_id, t.mode, t.base_revision FROM turns t JOIN conversations v ON v.id = t.conversation_id
             WHERE t.project_id = $1 AND v.deleted_at IS NULL ORDER BY t.created_at DESC, t.id DESC LIMIT $2",
        )
        .bind(project).bind(limit).fetch_all(c).await?
    }))
}

/// What a turn added to its conversation, in order.
pub async fn past_messages(c: &mut Conn, turn: &PastTurn) -> Result<Vec<(MessageBody, Micros)>> {
    let rows: Vec<(Doc<MessageBody>, Micros)> = on!(c, c => {
        sqlx::query_as("SELECT body, created_at FROM messages WHERE conversation_id = $1 AND turn_id = $2 ORDER BY seq")
            .bind(turn.conversation_id).bind(turn.id).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|(body, at)| (body.0, at)).collect())
}
