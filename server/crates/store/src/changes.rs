use sqlx::FromRow;
use wire::{
    ChangeSetId, HunkId, Micros, ProjectId, ReviewCommentId, TurnId, UserId,
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, Hunk, HunkState, OpenChangeSet, ReviewComment},
    files::EntryKind,
};

use crate::{Conn, Result, Word, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct ChangeSetRow {
    pub id: ChangeSetId,
    pub project_id: ProjectId,
    /// `None` where no turn made it.
    pub turn_id: Option<TurnId>,
    pub origin: Word<ChangeOrigin>,
    pub title: String,
    pub state: Word<ChangeSetState>,
    pub base_revision: i64,
    pub version: i64,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
}

#[derive(Debug, Clone, FromRow)]
pub struct ChangeFileRow {
    pub change_set_id: ChangeSetId,
    pub ord: i64,
    pub path: String,
    /// Where a renamed file was.
    pub old_path: Option<String>,
    pub action: Word<ChangeAction>,
    pub is_binary: bool,
    pub kind: Word<EntryKind>,
    pub added_lines: i64,
    pub removed_lines: i64,
    pub old_checksum: Option<String>,
    pub old_mode: Option<i64>,
    pub new_checksum: Option<String>,
    pub new_mode: Option<i64>,
    /// Bytes of the new content, 0 for a deletion.
    pub new_size: i64,
}

#[derive(Debug, Clone, FromRow)]
pub struct HunkRow {
    pub id: HunkId,
    pub file_ord: i64,
    pub ord: i64,
    pub old_start: i64,
    pub old_lines: i64,
    pub new_start: i64,
    pub new_lines: i64,
    pub diff: String,
    pub state: Word<HunkState>,
    pub edited_text: Option<String>,
    pub reason: Option<String>,
    pub decided_by: Option<UserId>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl HunkRow {
    pub fn into_hunk(self) -> Hunk {
        Hunk {
            id: self.id,
            old_start: self.old_start as i32,
            old_lines: self.old_lines as i32,
            new_start: self.new_start as i32,
            new_lines: self.new_lines as i32,
            diff: self.diff,
            state: self.state.0,
            edited_text: self.edited_text,
            reason: self.reason,
            decided_by: user_ref(self.decided_by, self.username, self.full_name),
            now: None,
        }
    }
}

/// `Taken` when the turn has a change set.
pub async fn insert_set(c: &mut Conn, row: &ChangeSetRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO change_sets (id, project_id, turn_id, origin, title, state, base_revision, version, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(row.id).bind(row.project_id).bind(row.turn_id).bind(row.origin).bind(&row.title).bind(row.state).bind(row.base_revision)
        .bind(row.version).bind(row.created_at).bind(row.created_by)
        .execute(c).await?;
    });
    Ok(())
}

pub async fn insert_file(c: &mut Conn, row: &ChangeFileRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO change_files (change_set_id, ord, path, action, is_binary, kind, added_lines, removed_lines, old_checksum, old_mode,
                                       new_checksum, new_mode, new_size, old_path)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(row.change_set_id).bind(row.ord).bind(&row.path).bind(row.action).bind(row.is_binary).bind(row.kind).bind(row.added_lines)
        .bind(row.removed_lines).bind(&row.old_checksum).bind(row.old_mode).bind(&row.new_checksum).bind(row.new_mode).bind(row.new_size)
        .bind(&row.old_path)
        .execute(c).await?;
    });
    Ok(())
}

pub async fn insert_hunk(c: &mut Conn, set: ChangeSetId, file_ord: i64, ord: i64, hunk: &Hunk) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO change_hunks (id, change_set_id, file_ord, ord, old_start, old_lines, new_start, new_lines, diff, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(hunk.id).bind(set).bind(file_ord).bind(ord).bind(i64::from(hunk.old_start)).bind(i64::from(hunk.old_lines))
        .bind(i64::from(hunk.new_start)).bind(i64::from(hunk.new_lines)).bind(&hunk.diff).bind(Word(hunk.state))
        .execute(c).await?;
    });
    Ok(())
}

pub async fn set(c: &mut Conn, id: ChangeSetId) -> Result<Option<ChangeSetRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM change_sets WHERE id = $1").bind(id).fetch_optional(c).await?))
}

/// The set with its row locked until the transaction ends, so that two reviewers decide one after the other.
pub async fn lock_set(c: &mut Conn, id: ChangeSetId) -> Result<Option<ChangeSetRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("UPDATE change_sets SET version = version + 1 WHERE id = $1 RETURNING *").bind(id).fetch_optional(c).await?
    }))
}

pub async fn set_of_turn(c: &mut Conn, turn: TurnId) -> Result<Option<ChangeSetRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM change_sets WHERE turn_id = $1").bind(turn).fetch_optional(c).await?))
}

pub async fn files(c: &mut Conn, set: ChangeSetId) -> Result<Vec<ChangeFileRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM change_files WHERE change_set_id = $1 ORDER BY ord").bind(set).fetch_all(c).await?))
}

pub async fn hunks(c: &mut Conn, set: ChangeSetId) -> Result<Vec<HunkRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT h.id, h.file_ord, h.ord, h.old_start, h.old_lines, h.new_start, h.new_lines, h.diff, h.state, h.edited_text, h.reason,
                    h.decided_by, u.username, COALESCE(h.author, u.full_name) AS full_name
             FROM change_hunks h LEFT JOIN users u ON u.id = h.decided_by WHERE h.change_set_id = $1 ORDER BY h.file_ord, h.ord",
        )
        .bind(set).fetch_all(c).await?
    }))
}

pub async fn decide_hunk(
    c: &mut Conn,
    id: HunkId,
    state: HunkState,
    edited_text: Option<&str>,
    reason: Option<&str>,
    by: UserId,
    at: Micros,
) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE change_hunks SET state = $2, edited_text = $3, reason = $4, decided_by = $5, decided_at = $6 WHERE id = $1")
            .bind(id).bind(Word(state)).bind(edited_text).bind(reason).bind(by).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn set_state(c: &mut Conn, id: ChangeSetId, state: ChangeSetState) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE change_sets SET state = $2 WHERE id = $1").bind(id).bind(Word(state)).execute(c).await?; });
    Ok(())
}

#[derive(Debug, Clone, FromRow)]
struct OpenRow {
    id: ChangeSetId,
    turn_id: Option<TurnId>,
    origin: Word<ChangeOrigin>,
    title: String,
    created_at: Micros,
    files: i64,
    open_hunks: i64,
}

/// The open change sets of a project, newest first, at most `limit`.
pub async fn open_sets(c: &mut Conn, project: ProjectId, after: Option<(Micros, ChangeSetId)>, limit: i64) -> Result<Vec<OpenChangeSet>> {
    let (at, id) = after.unwrap_or((Micros(i64::MAX), ChangeSetId(uuid::Uuid::max())));
    let rows: Vec<OpenRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT s.id, s.turn_id, s.origin, s.title, s.created_at,
                    (SELECT COUNT(*) FROM change_files f WHERE f.change_set_id = s.id) AS files,
                    (SELECT COUNT(*) FROM change_hunks h WHERE h.change_set_id = s.id AND h.state IN ('open', 'conflict')) AS open_hunks
             FROM change_sets s WHERE s.project_id = $1 AND s.state = 'open'
               AND (s.created_at < $3 OR (s.created_at = $3 AND s.id < $4)) ORDER BY s.created_at DESC, s.id DESC LIMIT $2",
        )
        .bind(project).bind(limit).bind(at).bind(id).fetch_all(c).await?
    });
    let shown = |row: OpenRow| OpenChangeSet {
        change_set_id: row.id,
        turn_id: row.turn_id,
        origin: row.origin.0,
        title: row.title,
        created_at: row.created_at,
        files: row.files,
        open_hunks: row.open_hunks,
    };
    Ok(rows.into_iter().map(shown).collect())
}

#[derive(Debug, Clone, FromRow)]
pub struct CommentRow {
    pub id: ReviewCommentId,
    pub change_set_id: ChangeSetId,
    pub hunk_id: HunkId,
    pub text: String,
    pub created_by: Option<UserId>,
    pub created_at: Micros,
    pub sent_at: Option<Micros>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl CommentRow {
    pub fn into_comment(self) -> ReviewComment {
        ReviewComment {
            id: self.id,
            hunk_id: self.hunk_id,
            text: self.text,
            created_by: user_ref(self.created_by, self.username, self.full_name),
            created_at: self.created_at,
            sent_at: self.sent_at,
        }
    }
}

const COMMENT: &str = "SELECT c.id, c.change_set_id, c.hunk_id, c.text, c.created_by, c.created_at, c.sent_at, u.username,
                              COALESCE(c.author, u.full_name) AS full_name
                       FROM review_comments c LEFT JOIN users u ON u.id = c.created_by";

pub async fn insert_comment(
    c: &mut Conn,
    id: ReviewCommentId,
    set: ChangeSetId,
    hunk: HunkId,
    text: &str,
    by: UserId,
    at: Micros,
) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO review_comments (id, change_set_id, hunk_id, text, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id).bind(set).bind(hunk).bind(text).bind(by).bind(at).execute(c).await?;
    });
    Ok(())
}

/// What was said about a set, oldest first.
pub async fn comments(c: &mut Conn, set: ChangeSetId) -> Result<Vec<CommentRow>> {
    let sql = format!("{COMMENT} WHERE c.change_set_id = $1 ORDER BY c.created_at, c.id");
    Ok(on!(c, c => sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(set).fetch_all(c).await?))
}

pub async fn comment(c: &mut Conn, id: ReviewCommentId) -> Result<Option<CommentRow>> {
    let sql = format!("{COMMENT} WHERE c.id = $1");
    Ok(on!(c, c => sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(c).await?))
}

/// `false` when it was sent, or is gone.
pub async fn delete_unsent_comment(c: &mut Conn, id: ReviewCommentId) -> Result<bool> {
    let done = on!(c, c => {
        sqlx::query("DELETE FROM review_comments WHERE id = $1 AND sent_at IS NULL").bind(id).execute(c).await?.rows_affected()
    });
    Ok(done > 0)
}

/// Marks all unsent comments of a set as sent at `at` and answers how many there were: each is sent by one caller only.
pub async fn claim_comments(c: &mut Conn, set: ChangeSetId, at: Micros) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE review_comments SET sent_at = $2 WHERE change_set_id = $1 AND sent_at IS NULL")
            .bind(set).bind(at).execute(c).await?.rows_affected()
    }))
}
