use std::collections::BTreeMap;

use store::{chat as chat_table, context as table};
use wire::{
    ConversationId, Micros, TurnId,
    chat::{Message, MessageBody},
    context::{Compaction, SetCompaction},
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use crate::{Ctx, Error, Result, chat, projects};

/// Writes a summary down in the turn that needed it. The messages it stands for stay.
pub async fn record_compaction(
    ctx: &Ctx,
    turn: TurnId,
    summary: String,
    upto_seq: i64,
    tokens_before: i64,
    tokens_after: i64,
) -> Result<Message> {
    let mut tx = ctx.services().db.begin().await?;
    let row = chat_table::lock_turn(&mut tx, turn).await?.ok_or(Error::NotFound("turn"))?;
    projects::require(ctx, &mut tx, row.project_id, ProjectRole::Editor).await?;
    let body = MessageBody::Compacted { summary, upto_seq, tokens_before, tokens_after };
    let message = chat::insert_message(ctx, &mut tx, row.conversation_id, Some(turn), &body, Vec::new()).await?;
    let told = EventKind::ContextCompacted { message_seq: message.seq, upto_seq, tokens_before, tokens_after };
    store::events::append(&mut tx, Stream::Conversation(row.conversation_id), ctx.now(), vec![told]).await?;
    ctx.commit(tx).await?;
    Ok(message)
}

/// The summaries of a conversation, the oldest first.
pub async fn compactions(ctx: &Ctx, conversation: ConversationId) -> Result<Vec<Compaction>> {
    chat::get_conversation(ctx, conversation).await?;
    let mut conn = ctx.services().db.read().await?;
    let messages = chat_table::messages(&mut conn, conversation).await?;
    let undone = table::undone_compactions(&mut conn, conversation).await?;
    Ok(messages.iter().filter_map(|message| describe(message, &undone)).collect())
}

fn describe(message: &Message, undone: &BTreeMap<i64, Micros>) -> Option<Compaction> {
    let MessageBody::Compacted { upto_seq, tokens_before, tokens_after, .. } = message.body else { return None };
    let undone_at = undone.get(&message.seq).copied();
    Some(Compaction { seq: message.seq, upto_seq, tokens_before, tokens_after, created_at: message.created_at, undone_at })
}

/// Takes a summary back, so that the messages themselves are sent again from the next turn on, or puts it in force again.
pub async fn set_compaction(ctx: &Ctx, conversation: ConversationId, seq: i64, request: SetCompaction) -> Result<Compaction> {
    let user = ctx.require_user()?;
    let project = chat::get_conversation(ctx, conversation).await?.project_id;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let message = chat_table::message(&mut tx, conversation, seq).await?;
    let message = message.filter(|message| matches!(message.body, MessageBody::Compacted { .. })).ok_or(Error::NotFound("summary"))?;
    let changed = match request.undone {
        true => table::undo_compaction(&mut tx, conversation, seq, user.id, ctx.now()).await?,
        false => table::redo_compaction(&mut tx, conversation, seq).await?,
    };
    if changed {
        let told = EventKind::CompactionChanged { message_seq: seq, undone: request.undone };
        store::events::append(&mut tx, Stream::Conversation(conversation), ctx.now(), vec![told]).await?;
    }
    let undone = table::undone_compactions(&mut tx, conversation).await?;
    ctx.commit(tx).await?;
    describe(&message, &undone).ok_or(Error::NotFound("summary"))
}
