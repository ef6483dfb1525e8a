//! What belongs to the context of turns: choices, pictures, summaries taken back, and how providers count.

use std::collections::BTreeMap;

use sqlx::FromRow;
use wire::{ConversationId, Micros, ProjectId, TurnId, UserId, context::ContextChoice};

use crate::{Conn, Doc, Result, db::on};

/// Written once, with the turn.
pub async fn insert_choice(c: &mut Conn, turn: TurnId, choice: &ContextChoice) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO turn_context (turn_id, choice) VALUES ($1, $2)").bind(turn).bind(Doc(choice)).execute(c).await?;
    });
    Ok(())
}

pub async fn choice(c: &mut Conn, turn: TurnId) -> Result<Option<ContextChoice>> {
    let found: Option<Doc<ContextChoice>> = on!(c, c => {
        sqlx::query_scalar("SELECT choice FROM turn_context WHERE turn_id = $1").bind(turn).fetch_optional(c).await?
    });
    Ok(found.map(|doc| doc.0))
}

/// A picture that was uploaded for messages of a project.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ImageRow {
    pub checksum: String,
    pub media_type: String,
    pub size_bytes: i64,
}

/// The same bytes again are the same picture.
pub async fn insert_image(c: &mut Conn, project: ProjectId, by: UserId, image: &ImageRow, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO chat_images (project_id, checksum, media_type, size_bytes, user_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (project_id, checksum) DO UPDATE SET created_at = $6",
        )
        .bind(project).bind(&image.checksum).bind(&image.media_type).bind(image.size_bytes).bind(by).bind(at)
        .execute(c).await?;
    });
    Ok(())
}

pub async fn image(c: &mut Conn, project: ProjectId, checksum: &str) -> Result<Option<ImageRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT checksum, media_type, size_bytes FROM chat_images WHERE project_id = $1 AND checksum = $2")
            .bind(project).bind(checksum).fetch_optional(c).await?
    }))
}

/// Bytes of all pictures of a project.
pub async fn image_bytes(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM chat_images WHERE project_id = $1")
            .bind(project).fetch_one(c).await?
    }))
}

/// A message holds it now: it stays.
pub async fn use_image(c: &mut Conn, project: ProjectId, checksum: &str, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE chat_images SET used_at = $3 WHERE project_id = $1 AND checksum = $2")
            .bind(project).bind(checksum).bind(at).execute(c).await?;
    });
    Ok(())
}

/// Forgets pictures that were uploaded before then, were never sent and are of no message that waits; answers how many.
pub async fn forget_unused_images(c: &mut Conn, before: Micros) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query(
            "DELETE FROM chat_images WHERE used_at IS NULL AND created_at < $1
             AND NOT EXISTS (SELECT 1 FROM queued_prompts q JOIN conversations v ON v.id = q.conversation_id
                             WHERE v.project_id = chat_images.project_id AND q.request LIKE '%' || chat_images.checksum || '%')",
        )
        .bind(before).execute(c).await?.rows_affected()
    }))
}

/// Which summaries of a conversation were taken back, and when.
pub async fn undone_compactions(c: &mut Conn, conversation: ConversationId) -> Result<BTreeMap<i64, Micros>> {
    let rows: Vec<(i64, Micros)> = on!(c, c => {
        sqlx::query_as("SELECT seq, undone_at FROM compactions_undone WHERE conversation_id = $1").bind(conversation).fetch_all(c).await?
    });
    Ok(rows.into_iter().collect())
}

/// `false` when it was taken back already.
pub async fn undo_compaction(c: &mut Conn, conversation: ConversationId, seq: i64, by: UserId, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "INSERT INTO compactions_undone (conversation_id, seq, undone_at, undone_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (conversation_id, seq) DO NOTHING",
        )
        .bind(conversation).bind(seq).bind(at).bind(by).execute(c).await?.rows_affected()
    }) == 1)
}

/// `false` when it was in force.
pub async fn redo_compaction(c: &mut Conn, conversation: ConversationId, seq: i64) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM compactions_undone WHERE conversation_id = $1 AND seq = $2")
            .bind(conversation).bind(seq).execute(c).await?.rows_affected()
    }) == 1)
}

/// Adds a call; what was there before counts half.
pub async fn learn_ratio(c: &mut Conn, model: &str, estimated: i64, measured: i64, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO token_ratios (model, estimated, measured, updated_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (model) DO UPDATE SET estimated = token_ratios.estimated / 2 + $2, measured = token_ratios.measured / 2 + $3, updated_at = $4",
        )
        .bind(model).bind(estimated).bind(measured).bind(at).execute(c).await?;
    });
    Ok(())
}

/// Estimated and measured tokens of a model's calls.
pub async fn ratio(c: &mut Conn, model: &str) -> Result<Option<(i64, i64)>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT estimated, measured FROM token_ratios WHERE model = $1").bind(model).fetch_optional(c).await?
    }))
}
