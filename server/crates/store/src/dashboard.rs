//! What the first page tells of all projects of a person at once, each list in one statement.

use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    ConversationId, Micros, ProjectId, UserId,
    chat::{TurnReason, TurnState},
    dashboard::{RecentConversation, Work, WorkKind},
    projects::ProjectRole,
};

use crate::{Conn, Result, Word, db::on};

#[derive(Debug, FromRow)]
struct RecentRow {
    id: ConversationId,
    project_id: ProjectId,
    project_name: String,
    title: String,
    updated_at: Micros,
    turn_state: Option<Word<TurnState>>,
    turn_reason: Option<Word<TurnReason>>,
    has_changes: bool,
}

impl RecentRow {
    fn into_recent(self) -> RecentConversation {
        RecentConversation {
            id: self.id,
            project_id: self.project_id,
            project_name: self.project_name,
            title: self.title,
            updated_at: self.updated_at,
            turn_state: self.turn_state.map(|word| word.0),
            turn_reason: self.turn_reason.map(|word| word.0),
            has_changes: self.has_changes,
        }
    }
}

/// Conversations that a person began, in projects that they may still read, last used first. Those of codegen runs are not among them.
pub async fn conversations_of(c: &mut Conn, user: UserId, limit: i64) -> Result<Vec<RecentConversation>> {
    let rows: Vec<RecentRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT c.id, c.project_id, p.name AS project_name, c.title, c.updated_at, t.state AS turn_state, t.reason AS turn_reason,
                    EXISTS (SELECT 1 FROM change_sets s WHERE s.turn_id = t.id AND s.state = 'open') AS has_changes
             FROM conversations c
             JOIN projects p ON p.id = c.project_id
             LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1
             LEFT JOIN turns t ON t.id = (
                 SELECT l.id FROM turns l WHERE l.conversation_id = c.id ORDER BY l.created_at DESC, l.id DESC LIMIT 1)
             WHERE c.user_id = $1 AND c.deleted_at IS NULL AND p.deleted_at IS NULL AND NOT p.importing
               AND (p.visibility = 'public' OR m.role = 'owner' OR (p.visibility = 'shared' AND m.role IS NOT NULL))
               AND NOT EXISTS (SELECT 1 FROM codegen_runs g JOIN turns x ON x.id = g.turn_id WHERE x.conversation_id = c.id)
             ORDER BY c.updated_at DESC, c.id DESC LIMIT $2",
        )
        .bind(user).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(RecentRow::into_recent).collect())
}

#[derive(Debug, FromRow)]
struct WorkRow {
    kind: Word<WorkKind>,
    id: Uuid,
    project_id: ProjectId,
    project_name: String,
    role: Word<ProjectRole>,
    conversation_id: Option<ConversationId>,
    title: String,
    detail: Option<String>,
    is_mine: bool,
    since: Micros,
    done: i64,
    total: i64,
}

impl WorkRow {
    fn into_work(self) -> Work {
        Work {
            kind: self.kind.0,
            id: self.id,
            project_id: self.project_id,
            project_name: self.project_name,
            role: self.role.0,
            conversation_id: self.conversation_id,
            title: self.title,
            detail: self.detail,
            is_mine: self.is_mine,
            at: self.since,
            done: self.done,
            total: self.total,
        }
    }
}

/// The projects that the person is a member of and may enter, joined to what is in them.
macro_rules! within {
    ($project:literal) => {
        concat!(
            " JOIN projects p ON p.id = ",
            $project,
            " AND p.deleted_at IS NULL AND NOT p.importing
              JOIN project_members m ON m.project_id = p.id AND m.user_id = $1 AND (p.visibility <> 'private' OR m.role = 'owner') "
        )
    };
}

/// Imports of the person in one state: each state has its own index.
macro_rules! imports {
    ($state:literal) => {
        concat!(
            " UNION ALL
              SELECT 'import', j.id, j.project_id, p.name, 'owner', NULL, '', NULL, j.user_id = $1, COALESCE(j.started_at, j.created_at),
                     j.progress_done, j.progress_total
              FROM jobs j JOIN projects p ON p.id = j.project_id
              WHERE j.state = '",
            $state,
            "' AND j.kind IN ('import', 'git_import') AND j.user_id = $1 "
        )
    };
}

const WORK: &str = concat!(
    "SELECT CASE WHEN t.state = 'waiting' AND t.user_id = $1 THEN 'approval' ELSE 'turn' END AS kind, t.id AS id, t.project_id AS project_id,
            p.name AS project_name, m.role AS role, t.conversation_id AS conversation_id, c.title AS title,
            (SELECT MIN(a.name) FROM approvals a WHERE a.turn_id = t.id AND a.decision IS NULL) AS detail, t.user_id = $1 AS is_mine,
            COALESCE(t.started_at, t.created_at) AS since, CAST(0 AS BIGINT) AS done, CAST(0 AS BIGINT) AS total
     FROM turns t JOIN conversations c ON c.id = t.conversation_id AND c.deleted_at IS NULL",
    within!("t.project_id"),
    "WHERE t.state <> 'finished' AND NOT EXISTS (SELECT 1 FROM codegen_runs g WHERE g.turn_id = t.id)
     UNION ALL
     SELECT 'review', s.id, s.project_id, p.name, m.role, t.conversation_id, COALESCE(NULLIF(s.title, ''), c.title, ''), s.origin,
            COALESCE(COALESCE(t.user_id, s.created_by) = $1, FALSE), s.created_at,
            (SELECT COUNT(*) FROM change_hunks h WHERE h.change_set_id = s.id AND h.state IN ('open', 'conflict')),
            (SELECT COUNT(*) FROM change_hunks h WHERE h.change_set_id = s.id)
     FROM change_sets s LEFT JOIN turns t ON t.id = s.turn_id LEFT JOIN conversations c ON c.id = t.conversation_id",
    within!("s.project_id"),
    "WHERE s.state = 'open' AND m.role <> 'viewer'
     UNION ALL
     SELECT CASE r.kind WHEN 'terminal' THEN 'terminal' ELSE 'run' END, r.id, r.project_id, p.name, m.role, NULL, r.command, NULL,
            r.user_id = $1, COALESCE(r.started_at, r.created_at), 0, 0
     FROM runs r",
    within!("r.project_id"),
    "WHERE r.state IN ('queued', 'running')",
    imports!("queued"),
    imports!("running"),
    "ORDER BY since DESC, id LIMIT $2"
);

/// What goes on or waits in the projects that a person is a member of, and the imports they began; the newest first, at most `limit`.
pub async fn work_of(c: &mut Conn, user: UserId, limit: i64) -> Result<Vec<Work>> {
    let rows: Vec<WorkRow> = on!(c, c => sqlx::query_as(WORK).bind(user).bind(limit).fetch_all(c).await?);
    Ok(rows.into_iter().map(WorkRow::into_work).collect())
}
