//! Prompts that wait for the turn at work in their conversation to end.

use sqlx::FromRow;
use wire::{
    ConversationId, Micros, QueuedPromptId, UserId,
    chat::{QueuedPrompt, StartTurn},
};

use crate::{Conn, Doc, Result, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct PromptRow {
    pub id: QueuedPromptId,
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub request: Doc<StartTurn>,
    /// Begins however the turn before it ends.
    pub urgent: bool,
    /// It came with an archive and never begins by itself.
    pub held: bool,
    /// Counts its changes.
    pub version: i64,
    pub created_at: Micros,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl PromptRow {
    pub fn into_prompt(self) -> QueuedPrompt {
        let by = user_ref(Some(self.user_id), self.username, self.full_name);
        QueuedPrompt {
            id: self.id,
            conversation_id: self.conversation_id,
            request: self.request.0,
            by: by.unwrap_or_else(|| wire::users::UserRef { id: self.user_id, name: String::new() }),
            version: self.version,
            created_at: self.created_at,
        }
    }
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT q.id, q.conversation_id, q.user_id, q.request, q.urgent, q.held, q.version, q.created_at, u.username, u.full_name
             FROM queued_prompts q JOIN users u ON u.id = q.user_id WHERE ",
            $filter
        )
    };
}

/// The next one first: an urgent one, then the oldest; those that are held come last.
pub async fn list(c: &mut Conn, conversation: ConversationId) -> Result<Vec<PromptRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("q.conversation_id = $1 ORDER BY q.urgent DESC, q.held, q.created_at, q.id LIMIT 100")).bind(conversation).fetch_all(c).await?
    }))
}

pub async fn get(c: &mut Conn, id: QueuedPromptId) -> Result<Option<PromptRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("q.id = $1")).bind(id).fetch_optional(c).await?))
}

pub async fn insert(
    c: &mut Conn,
    id: QueuedPromptId,
    conversation: ConversationId,
    user: UserId,
    request: &StartTurn,
    at: Micros,
) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO queued_prompts (id, conversation_id, user_id, request, urgent, version, created_at) VALUES ($1, $2, $3, $4, $5, 1, $6)",
        )
        .bind(id).bind(conversation).bind(user).bind(Doc(request)).bind(false).bind(at).execute(c).await?;
    });
    Ok(())
}

/// `false` when it is gone.
pub async fn update(c: &mut Conn, id: QueuedPromptId, request: &StartTurn) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE queued_prompts SET request = $2, version = version + 1 WHERE id = $1").bind(id).bind(Doc(request)).execute(c).await?.rows_affected()
    }) == 1)
}

/// Puts it before all others, to begin however the turn ends, also one that was held. `false` when it is gone.
pub async fn make_urgent(c: &mut Conn, id: QueuedPromptId, conversation: ConversationId) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE queued_prompts SET urgent = $2 WHERE conversation_id = $1 AND urgent = $3")
            .bind(conversation).bind(false).bind(true).execute(&mut *c).await?;
        sqlx::query("UPDATE queued_prompts SET urgent = $2, held = $3, version = version + 1 WHERE id = $1")
            .bind(id).bind(true).bind(false).execute(c).await?.rows_affected()
    }) == 1)
}

/// `false` when it is gone already.
pub async fn delete(c: &mut Conn, id: QueuedPromptId) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM queued_prompts WHERE id = $1").bind(id).execute(c).await?.rows_affected()
    }) == 1)
}
