//! What the first page tells of all projects of a person at once, in few statements.

use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    ConversationId, Micros, ProjectId, UserId,
    budgets::BudgetScope,
    chat::{TurnReason, TurnState},
    dashboard::{RecentConversation, Work, WorkKind},
    projects::ProjectRole,
    quotas::QuotaOverride,
};

use crate::{
    Conn, Result, Word,
    budgets::{Counter, CounterOrNone},
    db::on,
    quotas::{Totals, all_checkpoints, totals},
};

/// Something that goes on or waits, or a conversation, which has no `kind`.
#[derive(Debug, FromRow)]
struct ActivityRow {
    kind: Option<Word<WorkKind>>,
    id: Uuid,
    project_id: ProjectId,
    project_name: String,
    role: Option<Word<ProjectRole>>,
    conversation_id: Option<ConversationId>,
    title: String,
    detail: Option<String>,
    is_mine: bool,
    since: Micros,
    done: i64,
    total: i64,
    turn_state: Option<Word<TurnState>>,
    turn_reason: Option<Word<TurnReason>>,
    has_changes: bool,
}

impl ActivityRow {
    fn into_recent(self) -> RecentConversation {
        RecentConversation {
            id: self.id.into(),
            project_id: self.project_id,
            project_name: self.project_name,
            title: self.title,
            updated_at: self.since,
            turn_state: self.turn_state.map(|word| word.0),
            turn_reason: self.turn_reason.map(|word| word.0),
            has_changes: self.has_changes,
        }
    }

    fn into_work(self, kind: WorkKind) -> Work {
        Work {
            kind,
            id: self.id,
            project_id: self.project_id,
            project_name: self.project_name,
            role: self.role.map_or(ProjectRole::Viewer, |word| word.0),
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

/// Conversations that the person began, in projects that they may still read. Those of codegen runs are not among them.
macro_rules! conversations {
    () => {
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
         ORDER BY c.updated_at DESC, c.id DESC LIMIT $2"
    };
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

/// What goes on or waits in the projects that the person is a member of, and the imports they began.
macro_rules! work {
    () => {
        concat!(
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
            "ORDER BY since DESC, id DESC LIMIT $3"
        )
    };
}

/// Both in one list; what only one of them has is empty in the other.
const ACTIVITY: &str = concat!(
    "SELECT w.kind, w.id, w.project_id, w.project_name, w.role, w.conversation_id, w.title, w.detail, w.is_mine, w.since, w.done, w.total,
            CAST(NULL AS TEXT) AS turn_state, CAST(NULL AS TEXT) AS turn_reason, FALSE AS has_changes
     FROM (",
    work!(),
    ") AS w
     UNION ALL
     SELECT NULL, r.id, r.project_id, r.project_name, NULL, r.id, r.title, NULL, TRUE, r.updated_at, 0, 0,
            r.turn_state, r.turn_reason, r.has_changes
     FROM (",
    conversations!(),
    ") AS r
     ORDER BY since DESC, id DESC"
);

/// What somebody talked about last, and what goes on or waits for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// Last used first.
    pub conversations: Vec<RecentConversation>,
    /// The newest first.
    pub work: Vec<Work>,
}

/// The conversations that a person began, and what goes on or waits in the projects that they are a member of: at most so many of each.
pub async fn activity_of(c: &mut Conn, user: UserId, conversations: i64, work: i64) -> Result<Activity> {
    let rows: Vec<ActivityRow> = on!(c, c => sqlx::query_as(ACTIVITY).bind(user).bind(conversations).bind(work).fetch_all(c).await?);
    let mut found = Activity::default();
    for row in rows {
        match row.kind.as_ref().map(|word| word.0) {
            Some(kind) => found.work.push(row.into_work(kind)),
            None => found.conversations.push(row.into_recent()),
        }
    }
    Ok(found)
}

#[derive(Debug, FromRow)]
struct AccountRow {
    #[sqlx(flatten)]
    totals: Totals,
    checkpoints: i64,
    own_bytes: Option<i64>,
    own_files: Option<i64>,
    own_versions: Option<i64>,
    own_checkpoints: Option<i64>,
    own_all_versions: Option<i64>,
    own_all_checkpoints: Option<i64>,
    own_projects: Option<i64>,
    storage: Option<String>,
    #[sqlx(flatten)]
    counter: CounterOrNone,
}

/// What one person's projects hold, and what they have asked models for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As [`crate::quotas::of_owner`].
    pub totals: Totals,
    /// As [`crate::quotas::count_checkpoints_of_owner`].
    pub checkpoints: i64,
    /// As [`crate::quotas::get_override`].
    pub own: QuotaOverride,
    /// The saved settings of storage, as in [`crate::settings::get`].
    pub storage: Option<String>,
    /// As [`crate::budgets::counter`].
    pub counter: Counter,
}

pub async fn account_of(c: &mut Conn, user: UserId) -> Result<Account> {
    let row: AccountRow = on!(c, c => {
        sqlx::query_as(concat!(
            "SELECT a.projects, a.files, a.bytes, a.history, a.versions, a.held, (",
            all_checkpoints!(),
            ") AS checkpoints, q.bytes AS own_bytes, q.files AS own_files, q.versions AS own_versions,
                    q.checkpoints AS own_checkpoints, q.all_versions AS own_all_versions, q.all_checkpoints AS own_all_checkpoints,
                    q.projects AS own_projects, (SELECT value FROM settings WHERE name = 'storage') AS storage,
                    k.month, k.month_micros, k.month_estimated, k.month_tokens, k.total_micros, k.total_estimated, k.total_tokens,
                    k.reserved_micros, k.reserved_tokens
             FROM (",
            totals!(),
            ") AS a
             LEFT JOIN user_quotas q ON q.user_id = $1
             LEFT JOIN budget_counters k ON k.scope = $2 AND k.subject = $1"
        ))
        .bind(user).bind(Word(BudgetScope::User)).fetch_one(c).await?
    });
    let own = QuotaOverride {
        bytes: row.own_bytes,
        files: row.own_files,
        versions: row.own_versions,
        checkpoints: row.own_checkpoints,
        all_versions: row.own_all_versions,
        all_checkpoints: row.own_all_checkpoints,
        projects: row.own_projects,
    };
    Ok(Account { totals: row.totals, checkpoints: row.checkpoints, own, storage: row.storage, counter: row.counter.into() })
}
