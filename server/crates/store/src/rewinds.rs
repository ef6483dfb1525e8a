//! Stretches of conversations that were taken back.

use sqlx::FromRow;
use wire::{CheckpointId, ConversationId, Micros, RewindId, TurnId, UserId, chat::Rewind, users::UserRef};

use crate::{Conn, Result, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct RewindRow {
    pub id: RewindId,
    pub conversation_id: ConversationId,
    pub turn_id: TurnId,
    pub from_seq: i64,
    pub upto_seq: i64,
    pub chat: bool,
    pub files: bool,
    /// The files before the rewind.
    pub checkpoint_id: Option<CheckpointId>,
    /// The revision that the rewind of files made.
    pub revision: Option<i64>,
    pub created_by: UserId,
    pub created_at: Micros,
    pub undone_at: Option<Micros>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl RewindRow {
    pub fn into_rewind(self) -> Rewind {
        let by = user_ref(Some(self.created_by), self.username, self.full_name);
        Rewind {
            id: self.id,
            turn_id: self.turn_id,
            from_seq: self.from_seq,
            upto_seq: self.upto_seq,
            chat: self.chat,
            files: self.files,
            checkpoint_id: self.checkpoint_id,
            by: by.unwrap_or_else(|| UserRef { id: self.created_by, name: String::new() }),
            created_at: self.created_at,
        }
    }

    /// Whether the model is not sent this message because of it.
    pub fn hides(&self, seq: i64) -> bool {
        self.chat && self.undone_at.is_none() && (self.from_seq..=self.upto_seq).contains(&seq)
    }
}

pub struct NewRewind {
    pub id: RewindId,
    pub conversation_id: ConversationId,
    pub turn_id: TurnId,
    pub from_seq: i64,
    pub upto_seq: i64,
    pub chat: bool,
    pub files: bool,
    pub checkpoint_id: Option<CheckpointId>,
    pub revision: Option<i64>,
    pub by: UserId,
    pub at: Micros,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT r.id, r.conversation_id, r.turn_id, r.from_seq, r.upto_seq, r.chat, r.files, r.checkpoint_id, r.revision, r.created_by,
                    r.created_at, r.undone_at, u.username,
                    COALESCE(r.author, u.full_name) AS full_name
             FROM rewinds r JOIN users u ON u.id = r.created_by WHERE ",
            $filter
        )
    };
}

pub async fn insert(c: &mut Conn, new: &NewRewind) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO rewinds (id, conversation_id, turn_id, from_seq, upto_seq, chat, files, checkpoint_id, revision, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(new.id).bind(new.conversation_id).bind(new.turn_id).bind(new.from_seq).bind(new.upto_seq).bind(new.chat).bind(new.files)
        .bind(new.checkpoint_id).bind(new.revision).bind(new.by).bind(new.at).execute(c).await?;
    });
    Ok(())
}

/// Those that were not undone, the oldest first.
pub async fn list(c: &mut Conn, conversation: ConversationId) -> Result<Vec<RewindRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("r.conversation_id = $1 AND r.undone_at IS NULL ORDER BY r.created_at, r.id")).bind(conversation).fetch_all(c).await?
    }))
}

pub async fn get(c: &mut Conn, id: RewindId) -> Result<Option<RewindRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("r.id = $1")).bind(id).fetch_optional(c).await?))
}

/// `false` when it was undone already.
pub async fn mark_undone(c: &mut Conn, id: RewindId, by: UserId, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE rewinds SET undone_at = $2, undone_by = $3 WHERE id = $1 AND undone_at IS NULL").bind(id).bind(at).bind(by).execute(c).await?.rows_affected()
    }) == 1)
}
