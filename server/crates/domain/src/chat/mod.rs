//! Conversations, turns and their transcript. The transcript is what the model was told and said; the turn's event stream is what
//! people watch. Both survive the server.

mod codegen;
mod export;
mod fork;
mod purge;
mod queue;
mod rewind;
mod sessions;
mod transcript;
mod turns;

use serde::{Deserialize, Serialize};
use store::{Tx, chat as table};
use wire::{
    ConversationId, MessageId, ProjectId, TurnId,
    chat::{Message, MessageBody},
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use crate::{Ctx, Error, Result, projects};

pub use codegen::{begin_run as begin_codegen_run, start as start_codegen};
pub use export::{ConversationExport, ExportFormat, export};
pub use fork::fork;
pub(crate) use purge::{forget_stream, purge_removed, purge_with_project};
pub(crate) use queue::{HELD_FROM_ARCHIVE, QUEUE_MAX, hand_over};
pub use queue::{enqueue, remove_queued, send_queued_now, update_queued};
pub use rewind::{preview_rewind, rewind, undo_rewind};
pub use sessions::{
    create_conversation, delete_conversation, get_conversation, list_conversations, messages, messages_page, removed_conversations,
    removed_page, rename_conversation, restore_conversation, search_conversations, view,
};
pub use transcript::{
    ApprovalState, TurnWork, add_usage, append_message, ask_approval, decide_approval, emit, sent_messages, take_up_turn,
};
pub(crate) use turns::prepare;
pub use turns::{base_revision, finish_turn, get_turn, set_base_revision, start_turn, stop_requested, stop_turn};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnJob {
    pub turn_id: TurnId,
}

async fn conversation(ctx: &Ctx, conn: &mut store::Conn, id: ConversationId, needed: ProjectRole) -> Result<table::ConversationRow> {
    let row = table::conversation(conn, id).await?.ok_or(Error::NotFound("conversation"))?;
    projects::require(ctx, conn, row.project_id, needed).await.map_err(hide_as("conversation"))?;
    Ok(row)
}

/// As [`conversation`], with its row held until the transaction ends: nothing begins, ends or is queued in it meanwhile.
async fn lock_conversation(ctx: &Ctx, tx: &mut Tx, id: ConversationId, needed: ProjectRole) -> Result<table::ConversationRow> {
    // Whoever is refused gives the row back with the transaction.
    table::lock_conversation(tx, id).await?;
    conversation(ctx, tx, id, needed).await
}

fn hide_as(noun: &'static str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::NotFound(_) => Error::NotFound(noun),
        other => other,
    }
}

async fn announce(ctx: &Ctx, tx: &mut Tx, project: ProjectId, id: ConversationId) -> Result<()> {
    let event = EventKind::ConversationChanged { conversation_id: id };
    Ok(store::events::append(tx, Stream::Project(project), ctx.now(), vec![event]).await?)
}

/// Tells those who follow the conversation.
async fn tell(ctx: &Ctx, tx: &mut Tx, id: ConversationId, kinds: Vec<EventKind>) -> Result<()> {
    Ok(store::events::append(tx, Stream::Conversation(id), ctx.now(), kinds).await?)
}

async fn turn_row(ctx: &Ctx, conn: &mut store::Conn, id: TurnId, needed: ProjectRole) -> Result<table::TurnRow> {
    let row = table::turn(conn, id).await?.ok_or(Error::NotFound("turn"))?;
    projects::require(ctx, conn, row.project_id, needed).await.map_err(hide_as("turn"))?;
    Ok(row)
}

pub(crate) async fn insert_message(
    ctx: &Ctx,
    tx: &mut Tx,
    id: ConversationId,
    turn: Option<TurnId>,
    body: &MessageBody,
    before: Vec<EventKind>,
) -> Result<Message> {
    let message_id: MessageId = ctx.new_id();
    let seq = table::insert_message(tx, message_id, id, turn, body, ctx.now()).await?;
    let mut kinds = before;
    kinds.push(EventKind::MessageAdded { seq });
    tell(ctx, tx, id, kinds).await?;
    Ok(Message { id: message_id, turn_id: turn, seq, body: body.clone(), created_at: ctx.now() })
}
