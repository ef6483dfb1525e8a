//! Conversations that were deleted and can't come back any more are taken apart piece by piece, so that no transaction gets long. The books
//! stay: rows of the ledger go on naming what is gone.

use wire::{
    ConversationId, Micros, ProjectId, TurnId,
    chat::{AttachmentKind, MessageBody},
};

use crate::{Conn, Doc, Result, db::on};

/// Conversations that were deleted before a moment, the first one first, at most `limit`. Those that a run stands on stay with it, and so
/// does one with a turn that has not ended.
pub async fn due(c: &mut Conn, before: Micros, limit: i64) -> Result<Vec<(ConversationId, ProjectId)>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT c.id, c.project_id FROM conversations c WHERE c.deleted_at < $1
             AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id
                             AND (t.state <> 'finished' OR EXISTS (SELECT 1 FROM codegen_runs g WHERE g.turn_id = t.id)))
             ORDER BY c.deleted_at, c.id LIMIT $2",
        )
        .bind(before).bind(limit).fetch_all(c).await?
    }))
}

/// The pictures that messages of a conversation name, each once.
pub async fn pictures(c: &mut Conn, conversation: ConversationId) -> Result<Vec<String>> {
    let rows: Vec<(Doc<MessageBody>,)> = on!(c, c => {
        sqlx::query_as(
            r#"SELECT body FROM messages WHERE conversation_id = $1 AND body LIKE '{"role":"user"%' AND body LIKE '%"kind":"image"%'"#,
        )
        .bind(conversation).fetch_all(c).await?
    });
    let attachments = rows.into_iter().flat_map(|(Doc(body),)| match body {
        MessageBody::User { attachments, .. } => attachments,
        _ => Vec::new(),
    });
    let mut found: Vec<String> =
        attachments.filter(|attached| attached.kind == AttachmentKind::Image).filter_map(|attached| attached.checksum).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Makes a picture one that no message uses, if no other conversation of the project names it and nobody has sent it after `at`.
pub async fn release_picture(c: &mut Conn, project: ProjectId, conversation: ConversationId, checksum: &str, at: Micros) -> Result<bool> {
    let named = format!("%{checksum}%");
    Ok(on!(c, c => {
        sqlx::query(
            r#"UPDATE chat_images SET used_at = NULL WHERE project_id = $1 AND checksum = $2 AND used_at <= $3
               AND NOT EXISTS (SELECT 1 FROM messages m JOIN conversations v ON v.id = m.conversation_id
                               WHERE v.project_id = $1 AND v.id <> $4 AND m.body LIKE '{"role":"user"%' AND m.body LIKE $5)
               AND NOT EXISTS (SELECT 1 FROM queued_prompts q JOIN conversations v ON v.id = q.conversation_id
                               WHERE v.project_id = $1 AND v.id <> $4 AND q.request LIKE $5)"#,
        )
        .bind(project).bind(checksum).bind(at).bind(conversation).bind(named).execute(c).await?.rows_affected()
    }) == 1)
}

/// The first turns of a conversation, at most `limit`.
pub async fn turns(c: &mut Conn, conversation: ConversationId, limit: i64) -> Result<Vec<TurnId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM turns WHERE conversation_id = $1 ORDER BY created_at, id LIMIT $2")
            .bind(conversation).bind(limit).fetch_all(c).await?
    }))
}

/// With its approvals, its choice of context and its change set.
pub async fn delete_turn(c: &mut Conn, turn: TurnId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM turns WHERE id = $1").bind(turn).execute(c).await?; });
    Ok(())
}

/// The oldest messages of a conversation, at most `limit`; answers how many.
pub async fn delete_messages(c: &mut Conn, conversation: ConversationId, limit: i64) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query(
            "DELETE FROM messages WHERE conversation_id = $1
             AND seq <= (SELECT MAX(seq) FROM (SELECT seq FROM messages WHERE conversation_id = $1 ORDER BY seq LIMIT $2) AS oldest)",
        )
        .bind(conversation).bind(limit).execute(c).await?.rows_affected()
    }))
}

/// What is left of a conversation that was deleted before a moment: its row, queue, rewinds and budget. `false` when there was none.
pub async fn delete_conversation(c: &mut Conn, id: ConversationId, before: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        let gone = sqlx::query("DELETE FROM conversations WHERE id = $1 AND deleted_at < $2")
            .bind(id).bind(before).execute(&mut *c).await?.rows_affected();
        if gone == 1 {
            for table in ["budgets", "budget_counters"] {
                let text = format!("DELETE FROM {table} WHERE scope = 'conversation' AND subject = $1");
                sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).execute(&mut *c).await?;
            }
        }
        gone
    }) == 1)
}
