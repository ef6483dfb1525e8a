use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use wire::{
    ChangeSetId, ConversationId, HunkId, MessageId, Micros, ProjectId, TurnId, UserId,
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, HunkState},
    chat::{MessageBody, Mode, TurnReason},
    context::ContextChoice,
    files::EntryKind,
};

use super::{By, Maker};
use crate::{Conn, Doc, Result, Word, chat::words_of, db::on};

#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct ConversationLine {
    pub id: ConversationId,
    pub title: String,
    pub last_message: i64,
    pub created_at: Micros,
    pub updated_at: Micros,
    /// Where it was forked from; that one may be gone.
    #[serde(default)]
    pub parent_id: Option<ConversationId>,
    #[serde(default)]
    pub parent_seq: Option<i64>,
    #[serde(default)]
    pub last_prompt: Option<String>,
    /// Why its queue does not go on by itself.
    #[serde(default)]
    pub queue_waits: Option<String>,
    /// Removed then, and not gone yet.
    #[serde(default)]
    pub deleted_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

/// The oldest first, with `removed` also those that were removed.
pub async fn conversations(c: &mut Conn, project: ProjectId, removed: bool) -> Result<Vec<ConversationLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT c.id, c.title, c.last_message, c.created_at, c.updated_at, c.parent_id, c.parent_seq, c.last_prompt, c.queue_waits,
                    c.deleted_at, u.username, COALESCE(u.full_name, u.username) AS author
             FROM conversations c JOIN users u ON u.id = c.user_id WHERE c.project_id = $1 AND (c.deleted_at IS NULL OR $2)
             ORDER BY c.created_at, c.id",
        )
        .bind(project).bind(removed).fetch_all(c).await?
    }))
}

pub async fn insert_conversation(c: &mut Conn, project: ProjectId, line: &ConversationLine, user: UserId) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO conversations (id, project_id, user_id, title, last_message, created_at, updated_at, parent_id, parent_seq,
                                        last_prompt, queue_waits, deleted_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(line.id).bind(project).bind(user).bind(&line.title).bind(line.last_message).bind(line.created_at).bind(line.updated_at)
        .bind(line.parent_id).bind(line.parent_seq).bind(&line.last_prompt).bind(&line.queue_waits).bind(line.deleted_at)
        .execute(c).await?;
    });
    Ok(())
}

/// A turn that has ended, or was going on when the archive was made: then without a reason.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct TurnLine {
    pub id: TurnId,
    pub conversation_id: ConversationId,
    pub prompt: String,
    pub mode: Word<Mode>,
    pub model: String,
    pub reason: Option<Word<TurnReason>>,
    pub detail: Option<String>,
    pub base_revision: i64,
    pub budget_tokens: Option<i64>,
    pub budget_steps: Option<i64>,
    pub usage_input: i64,
    pub usage_output: i64,
    pub usage_cached: i64,
    #[serde(default)]
    pub budget_usd_micros: Option<i64>,
    #[serde(default)]
    pub max_tokens: Option<i64>,
    /// In thousandths.
    #[serde(default)]
    pub temperature: Option<i64>,
    /// What its model calls cost, in micro-US-dollars.
    #[serde(default)]
    pub cost_micros: i64,
    #[serde(default)]
    pub cost_estimated: bool,
    /// In a fork: the turn that this is a copy of.
    #[serde(default)]
    pub copied_from: Option<TurnId>,
    /// What a person chose to send with it and to leave out.
    #[serde(default)]
    pub choice: Option<Doc<ContextChoice>>,
    pub change_set_id: Option<ChangeSetId>,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

/// The oldest first.
pub async fn turns(c: &mut Conn, conversation: ConversationId) -> Result<Vec<TurnLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT t.id, t.conversation_id, t.prompt, t.mode, t.model, t.reason, t.detail, t.base_revision, t.budget_tokens, t.budget_steps,
                    t.usage_input, t.usage_output, t.usage_cached, t.budget_usd_micros, t.cost_micros, t.cost_estimated, t.copied_from,
                    t.max_tokens, t.temperature, x.choice, t.change_set_id, t.created_at, t.started_at, t.finished_at, u.username,
                    COALESCE(u.full_name, u.username) AS author
             FROM turns t JOIN users u ON u.id = t.user_id LEFT JOIN turn_context x ON x.turn_id = t.id WHERE t.conversation_id = $1 ORDER BY t.created_at, t.id",
        )
        .bind(conversation).fetch_all(c).await?
    }))
}

/// Adds a turn that has ended, with what was chosen to be sent along.
pub async fn insert_turn(c: &mut Conn, project: ProjectId, line: &TurnLine, user: UserId) -> Result<()> {
    on!(&mut *c, c => {
        sqlx::query(
            "INSERT INTO turns (id, conversation_id, project_id, user_id, prompt, mode, model, state, reason, detail, base_revision,
                                budget_tokens, budget_steps, usage_input, usage_output, usage_cached, stop_requested, change_set_id,
                                created_at, started_at, finished_at, budget_usd_micros, cost_micros, cost_estimated, copied_from,
                                max_tokens, temperature)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'finished', $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
                     $24, $25, $26)",
        )
        .bind(line.id).bind(line.conversation_id).bind(project).bind(user).bind(&line.prompt).bind(line.mode).bind(&line.model)
        .bind(line.reason).bind(&line.detail).bind(line.base_revision).bind(line.budget_tokens).bind(line.budget_steps)
        .bind(line.usage_input).bind(line.usage_output).bind(line.usage_cached).bind(false).bind(line.change_set_id)
        .bind(line.created_at).bind(line.started_at).bind(line.finished_at).bind(line.budget_usd_micros).bind(line.cost_micros)
        .bind(line.cost_estimated).bind(line.copied_from).bind(line.max_tokens).bind(line.temperature).execute(c).await?;
    });
    if let Some(choice) = &line.choice {
        crate::context::insert_choice(c, line.id, &choice.0).await?;
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct MessageLine {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub turn_id: Option<TurnId>,
    pub seq: i64,
    pub body: Doc<MessageBody>,
    pub created_at: Micros,
}

/// Messages after `after`, at most `limit`.
pub async fn messages(c: &mut Conn, conversation: ConversationId, after: i64, limit: i64) -> Result<Vec<MessageLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT id, conversation_id, turn_id, seq, body, created_at FROM messages WHERE conversation_id = $1 AND seq > $2
             ORDER BY seq LIMIT $3",
        )
        .bind(conversation).bind(after).bind(limit).fetch_all(c).await?
    }))
}

pub async fn insert_message(c: &mut Conn, line: &MessageLine) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO messages (id, conversation_id, turn_id, seq, body, created_at, words) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(line.id).bind(line.conversation_id).bind(line.turn_id).bind(line.seq).bind(&line.body).bind(line.created_at)
            .bind(words_of(&line.body.0)).execute(c).await?;
    });
    Ok(())
}

#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct ChangeSetLine {
    pub id: ChangeSetId,
    pub turn_id: Option<TurnId>,
    pub origin: Word<ChangeOrigin>,
    pub title: String,
    pub state: Word<ChangeSetState>,
    pub base_revision: i64,
    pub version: i64,
    pub created_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

/// The oldest first.
pub async fn change_sets(c: &mut Conn, project: ProjectId) -> Result<Vec<ChangeSetLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT s.id, s.turn_id, s.origin, s.title, s.state, s.base_revision, s.version, s.created_at, u.username,
                    COALESCE(u.full_name, u.username) AS author
             FROM change_sets s LEFT JOIN users u ON u.id = s.created_by WHERE s.project_id = $1 ORDER BY s.created_at, s.id",
        )
        .bind(project).fetch_all(c).await?
    }))
}

pub async fn insert_change_set(c: &mut Conn, project: ProjectId, line: &ChangeSetLine, by: Option<UserId>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO change_sets (id, project_id, turn_id, origin, title, state, base_revision, version, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(line.id).bind(project).bind(line.turn_id).bind(line.origin).bind(&line.title).bind(line.state).bind(line.base_revision)
        .bind(line.version).bind(line.created_at).bind(by).execute(c).await?;
    });
    Ok(())
}

#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct ChangeFileLine {
    pub change_set_id: ChangeSetId,
    pub ord: i64,
    pub path: String,
    pub action: Word<ChangeAction>,
    pub is_binary: bool,
    pub kind: Word<EntryKind>,
    pub added_lines: i64,
    pub removed_lines: i64,
    pub old_checksum: Option<String>,
    pub old_mode: Option<i64>,
    pub new_checksum: Option<String>,
    pub new_mode: Option<i64>,
    pub new_size: i64,
    /// Where a renamed file was; older archives do not know it.
    #[serde(default)]
    pub old_path: Option<String>,
}

pub async fn change_files(c: &mut Conn, set: ChangeSetId) -> Result<Vec<ChangeFileLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT change_set_id, ord, path, action, is_binary, kind, added_lines, removed_lines, old_checksum, old_mode, new_checksum,
                    new_mode, new_size, old_path
             FROM change_files WHERE change_set_id = $1 ORDER BY ord",
        )
        .bind(set).fetch_all(c).await?
    }))
}

pub async fn insert_change_file(c: &mut Conn, line: &ChangeFileLine) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO change_files (change_set_id, ord, path, action, is_binary, kind, added_lines, removed_lines, old_checksum, old_mode,
                                       new_checksum, new_mode, new_size, old_path)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(line.change_set_id).bind(line.ord).bind(&line.path).bind(line.action).bind(line.is_binary).bind(line.kind)
        .bind(line.added_lines).bind(line.removed_lines).bind(&line.old_checksum).bind(line.old_mode).bind(&line.new_checksum)
        .bind(line.new_mode).bind(line.new_size).bind(&line.old_path).execute(c).await?;
    });
    Ok(())
}

#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct HunkLine {
    pub id: HunkId,
    pub change_set_id: ChangeSetId,
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
    pub decided_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

pub async fn hunks(c: &mut Conn, set: ChangeSetId) -> Result<Vec<HunkLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT h.id, h.change_set_id, h.file_ord, h.ord, h.old_start, h.old_lines, h.new_start, h.new_lines, h.diff, h.state,
                    h.edited_text, h.reason, h.decided_at, u.username, COALESCE(h.author, u.full_name, u.username) AS author
             FROM change_hunks h LEFT JOIN users u ON u.id = h.decided_by WHERE h.change_set_id = $1 ORDER BY h.file_ord, h.ord",
        )
        .bind(set).fetch_all(c).await?
    }))
}

pub async fn insert_hunk(c: &mut Conn, line: &HunkLine, by: &Maker) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO change_hunks (id, change_set_id, file_ord, ord, old_start, old_lines, new_start, new_lines, diff, state, edited_text,
                                       reason, decided_by, decided_at, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(line.id).bind(line.change_set_id).bind(line.file_ord).bind(line.ord).bind(line.old_start).bind(line.old_lines)
        .bind(line.new_start).bind(line.new_lines).bind(&line.diff).bind(line.state).bind(&line.edited_text).bind(&line.reason).bind(by.id)
        .bind(line.decided_at).bind(&by.author).execute(c).await?;
    });
    Ok(())
}

/// How far a conversation's messages are numbered.
pub async fn set_last_message(c: &mut Conn, conversation: ConversationId, seq: i64) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE conversations SET last_message = $2 WHERE id = $1").bind(conversation).bind(seq).execute(c).await?; });
    Ok(())
}
