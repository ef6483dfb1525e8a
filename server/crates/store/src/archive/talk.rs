//! What belongs to conversations and reviews besides what was said.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use wire::{
    ChangeSetId, CheckpointId, ConversationId, HunkId, Micros, ProjectId, QueuedPromptId, ReviewCommentId, RewindId, TurnId, UserId,
    chat::{Approval, StartTurn},
};

use super::{By, Maker};
use crate::{Conn, Doc, Result, Word, db::on};

/// A picture of a message. Its bytes stand in the archive by their checksum.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct PictureLine {
    pub checksum: String,
    pub media_type: String,
    pub size_bytes: i64,
    pub created_at: Micros,
    /// When a message was last sent with it.
    pub used_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

/// All of a project, by checksum.
pub async fn pictures(c: &mut Conn, project: ProjectId) -> Result<Vec<PictureLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT i.checksum, i.media_type, i.size_bytes, i.created_at, i.used_at, u.username, COALESCE(u.full_name, u.username) AS author
             FROM chat_images i JOIN users u ON u.id = i.user_id WHERE i.project_id = $1 ORDER BY i.checksum",
        )
        .bind(project).fetch_all(c).await?
    }))
}

pub async fn insert_picture(c: &mut Conn, project: ProjectId, line: &PictureLine, user: UserId) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO chat_images (project_id, checksum, media_type, size_bytes, user_id, created_at, used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(project).bind(&line.checksum).bind(&line.media_type).bind(line.size_bytes).bind(user).bind(line.created_at).bind(line.used_at)
        .execute(c).await?;
    });
    Ok(())
}

/// A question about a call, and its answer if there was one.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct ApprovalLine {
    pub turn_id: TurnId,
    pub call_id: String,
    pub name: String,
    pub arguments: String,
    pub decision: Option<Word<Approval>>,
    pub reason: Option<String>,
    pub created_at: Micros,
    pub decided_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

pub async fn approvals(c: &mut Conn, conversation: ConversationId) -> Result<Vec<ApprovalLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT a.turn_id, a.call_id, a.name, a.arguments, a.decision, a.reason, a.created_at, a.decided_at, u.username,
                    COALESCE(a.author, u.full_name, u.username) AS author
             FROM approvals a JOIN turns t ON t.id = a.turn_id LEFT JOIN users u ON u.id = a.decided_by
             WHERE t.conversation_id = $1 ORDER BY a.created_at, a.turn_id, a.call_id",
        )
        .bind(conversation).fetch_all(c).await?
    }))
}

pub async fn insert_approval(c: &mut Conn, line: &ApprovalLine, by: &Maker) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO approvals (turn_id, call_id, name, arguments, decision, reason, decided_by, created_at, decided_at, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(line.turn_id).bind(&line.call_id).bind(&line.name).bind(&line.arguments).bind(line.decision).bind(&line.reason).bind(by.id)
        .bind(line.created_at).bind(line.decided_at).bind(&by.author).execute(c).await?;
    });
    Ok(())
}

/// A stretch that was taken back.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct RewindLine {
    pub id: RewindId,
    pub conversation_id: ConversationId,
    pub turn_id: TurnId,
    pub from_seq: i64,
    pub upto_seq: i64,
    pub chat: bool,
    pub files: bool,
    pub checkpoint_id: Option<CheckpointId>,
    pub revision: Option<i64>,
    pub created_at: Micros,
    /// The account's name.
    pub undone_by: Option<String>,
    pub undone_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

pub async fn rewinds(c: &mut Conn, conversation: ConversationId) -> Result<Vec<RewindLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT r.id, r.conversation_id, r.turn_id, r.from_seq, r.upto_seq, r.chat, r.files, r.checkpoint_id, r.revision, r.created_at,
                    w.username AS undone_by, r.undone_at, CASE WHEN r.author IS NULL THEN u.username END AS username,
                    COALESCE(r.author, u.full_name, u.username) AS author
             FROM rewinds r JOIN users u ON u.id = r.created_by LEFT JOIN users w ON w.id = r.undone_by
             WHERE r.conversation_id = $1 ORDER BY r.created_at, r.id",
        )
        .bind(conversation).fetch_all(c).await?
    }))
}

/// `author` only where `user` is not who did it.
pub async fn insert_rewind(c: &mut Conn, line: &RewindLine, user: UserId, author: Option<&str>, undone_by: Option<UserId>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO rewinds (id, conversation_id, turn_id, from_seq, upto_seq, chat, files, checkpoint_id, revision, created_by,
                                  created_at, undone_by, undone_at, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(line.id).bind(line.conversation_id).bind(line.turn_id).bind(line.from_seq).bind(line.upto_seq).bind(line.chat).bind(line.files)
        .bind(line.checkpoint_id).bind(line.revision).bind(user).bind(line.created_at).bind(undone_by).bind(line.undone_at).bind(author)
        .execute(c).await?;
    });
    Ok(())
}

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct QueuedLine {
    pub id: QueuedPromptId,
    pub conversation_id: ConversationId,
    pub request: Doc<StartTurn>,
    pub created_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

/// The next one first.
pub async fn queued(c: &mut Conn, conversation: ConversationId) -> Result<Vec<QueuedLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT q.id, q.conversation_id, q.request, q.created_at, u.username, COALESCE(u.full_name, u.username) AS author
             FROM queued_prompts q JOIN users u ON u.id = q.user_id WHERE q.conversation_id = $1
             ORDER BY q.urgent DESC, q.held, q.created_at, q.id",
        )
        .bind(conversation).fetch_all(c).await?
    }))
}

/// Adds a message that waits until somebody sends it, in the name of `user`.
pub async fn insert_queued(c: &mut Conn, line: &QueuedLine, user: UserId) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO queued_prompts (id, conversation_id, user_id, request, urgent, held, version, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7)",
        )
        .bind(line.id).bind(line.conversation_id).bind(user).bind(&line.request).bind(false).bind(true).bind(line.created_at)
        .execute(c).await?;
    });
    Ok(())
}

/// A summary of a conversation that was taken back: the message `seq` holds it.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct UndoneLine {
    pub conversation_id: ConversationId,
    pub seq: i64,
    pub undone_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

pub async fn undone(c: &mut Conn, conversation: ConversationId) -> Result<Vec<UndoneLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT k.conversation_id, k.seq, k.undone_at, u.username, COALESCE(u.full_name, u.username) AS author
             FROM compactions_undone k JOIN users u ON u.id = k.undone_by WHERE k.conversation_id = $1 ORDER BY k.seq",
        )
        .bind(conversation).fetch_all(c).await?
    }))
}

/// `Taken` for one that is there.
pub async fn insert_undone(c: &mut Conn, line: &UndoneLine, user: UserId) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO compactions_undone (conversation_id, seq, undone_at, undone_by) VALUES ($1, $2, $3, $4)")
            .bind(line.conversation_id).bind(line.seq).bind(line.undone_at).bind(user).execute(c).await?;
    });
    Ok(())
}

/// What somebody said about a hunk.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct CommentLine {
    pub id: ReviewCommentId,
    pub change_set_id: ChangeSetId,
    pub hunk_id: HunkId,
    pub text: String,
    pub created_at: Micros,
    pub sent_at: Option<Micros>,
    #[sqlx(flatten)]
    pub by: By,
}

pub async fn comments(c: &mut Conn, set: ChangeSetId) -> Result<Vec<CommentLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT k.id, k.change_set_id, k.hunk_id, k.text, k.created_at, k.sent_at, u.username,
                    COALESCE(k.author, u.full_name, u.username) AS author
             FROM review_comments k LEFT JOIN users u ON u.id = k.created_by WHERE k.change_set_id = $1 ORDER BY k.created_at, k.id",
        )
        .bind(set).fetch_all(c).await?
    }))
}

pub async fn insert_comment(c: &mut Conn, line: &CommentLine, by: &Maker) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO review_comments (id, change_set_id, hunk_id, text, created_by, created_at, sent_at, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(line.id).bind(line.change_set_id).bind(line.hunk_id).bind(&line.text).bind(by.id).bind(line.created_at).bind(line.sent_at)
        .bind(&by.author).execute(c).await?;
    });
    Ok(())
}

/// Says why the queue of a conversation waits, unless it says so already.
pub async fn hold_queue(c: &mut Conn, conversation: ConversationId, reason: &str) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE conversations SET queue_waits = COALESCE(queue_waits, $2) WHERE id = $1").bind(conversation).bind(reason)
            .execute(c).await?;
    });
    Ok(())
}
