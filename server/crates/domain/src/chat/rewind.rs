//! Going back to before a turn: the model no longer sees what came after, or the files are as they were, or both as one step with one
//! undo. Nothing is lost: messages stay in their rows behind a marker, files in their versions.

use store::{chat as table, rewinds};
use wire::{
    ConversationId, RewindId,
    chat::{Rewind, RewindConversation, RewindOutcome, RewindPreview, UndoRewind, UndoneRewind},
    checkpoints::RestoreCheckpoint,
    event::EventKind,
    files::Origin,
    projects::ProjectRole,
};

use super::{announce, conversation, lock_conversation, tell};
use crate::{
    Ctx, Error, Result,
    checkpoints::{self, Written},
    files::WriteBatch,
};

const CHECKPOINT_GONE: &str =
    "The checkpoint before this turn is no longer kept, so its files can't be put back from here. The conversation alone can be rewound.";

/// What going back to before a turn would do now.
pub async fn preview_rewind(ctx: &Ctx, id: ConversationId, turn: wire::TurnId) -> Result<RewindPreview> {
    let mut conn = ctx.services().db.read().await?;
    let row = conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    let stretch = stretch_from(&mut conn, &row, turn).await?;
    let checkpoint = checkpoint_of(&mut conn, &row, &stretch.turn).await?;
    let hidden = rewinds::list(&mut conn, id).await?;
    let messages = (stretch.from_seq..=stretch.upto_seq).filter(|seq| !hidden.iter().any(|rewind| rewind.hides(*seq))).count();
    let turns = table::count_turns_since(&mut conn, id, stretch.turn.created_at).await?;
    drop(conn);
    let files = match checkpoint {
        Some(checkpoint) => Some(checkpoints::diff(ctx, row.project_id, checkpoint).await?),
        None => None,
    };
    Ok(RewindPreview { turn_id: turn, messages: messages as i64, turns, files })
}

/// The messages from a turn's first one to the last of the conversation.
struct Stretch {
    turn: table::TurnRow,
    from_seq: i64,
    upto_seq: i64,
}

async fn stretch_from(conn: &mut store::Conn, row: &table::ConversationRow, turn: wire::TurnId) -> Result<Stretch> {
    let turn = table::turn(conn, turn).await?.filter(|turn| turn.conversation_id == row.id).ok_or(Error::NotFound("turn"))?;
    let from_seq = table::first_message_of(conn, row.id, turn.id).await?.ok_or(Error::NotFound("turn"))?;
    Ok(Stretch { turn, from_seq, upto_seq: row.last_message })
}

async fn checkpoint_of(conn: &mut store::Conn, row: &table::ConversationRow, turn: &table::TurnRow) -> Result<Option<wire::CheckpointId>> {
    Ok(table::checkpoint_before(conn, row.project_id, turn.copied_from.unwrap_or(turn.id)).await?)
}

/// Goes back to before a turn. What is done is one transaction; what is in the way is named and nothing is changed.
pub async fn rewind(ctx: &Ctx, id: ConversationId, request: RewindConversation) -> Result<RewindOutcome> {
    if !request.chat && !request.files {
        return Err(Error::invalid("chat", "Choose the conversation, the files, or both."));
    }
    if request.files {
        return rewind_files(ctx, id, request).await;
    }
    let mut tx = ctx.services().db.begin().await?;
    let row = lock_conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    let stretch = check(&mut tx, &row, &request).await?;
    let rewind_id = announce_rewind(ctx, &mut tx, &row, &stretch, &request).await?;
    let rewind = mark(ctx, &mut tx, rewind_id, &row, &stretch, &request, None).await?;
    announce(ctx, &mut tx, row.project_id, id).await?;
    ctx.commit(tx).await?;
    Ok(RewindOutcome::Rewound { rewind, paths: Vec::new(), left: Vec::new() })
}

async fn rewind_files(ctx: &Ctx, id: ConversationId, request: RewindConversation) -> Result<RewindOutcome> {
    let mut conn = ctx.services().db.read().await?;
    let found = conversation(ctx, &mut conn, id, ProjectRole::Editor).await?;
    let stretch = stretch_from(&mut conn, &found, request.turn_id).await?;
    let checkpoint = checkpoint_of(&mut conn, &found, &stretch.turn).await?.ok_or_else(|| Error::conflict(CHECKPOINT_GONE))?;
    drop(conn);
    // The project's row before the conversation's, as decisions take them.
    let mut batch = WriteBatch::begin(ctx, found.project_id, ProjectRole::Editor, Origin::Restore).await?;
    let row = lock_conversation(ctx, &mut batch.tx, id, ProjectRole::Editor).await?;
    let stretch = check(&mut batch.tx, &row, &request).await?;
    let rewind_id = announce_rewind(ctx, &mut batch.tx, &row, &stretch, &request).await?;
    let restore = RestoreCheckpoint { paths: request.paths.clone(), expected_revision: request.expected_revision };
    match checkpoints::restore_in(ctx, &mut batch, found.project_id, checkpoint, restore, None).await? {
        Written::Conflict(paths) => Ok(RewindOutcome::Conflict { paths }),
        Written::Nothing { left } if request.chat => {
            // The files are as they were already: only the conversation goes back.
            let chat_only = RewindConversation { files: false, ..request };
            drop(batch);
            Box::pin(rewind(ctx, id, chat_only)).await.map(|outcome| match outcome {
                RewindOutcome::Rewound { rewind, paths, .. } => RewindOutcome::Rewound { rewind, paths, left },
                conflict => conflict,
            })
        }
        Written::Nothing { .. } => {
            Err(Error::conflict("There is nothing to put back: the files are as they were before this turn. Nothing was changed."))
        }
        Written::Done { before, paths, left } => {
            let files = Some((before, batch.revision()));
            let rewind = mark(ctx, &mut batch.tx, rewind_id, &row, &stretch, &request, files).await?;
            announce(ctx, &mut batch.tx, row.project_id, id).await?;
            batch.commit().await?;
            Ok(RewindOutcome::Rewound { rewind, paths, left })
        }
    }
}

/// Whether it may be done now, with the conversation's row held.
async fn check(tx: &mut store::Tx, row: &table::ConversationRow, request: &RewindConversation) -> Result<Stretch> {
    if row.active_turn.is_some() {
        return Err(Error::conflict("The agent is at work in this conversation. Stop it first, then go back."));
    }
    let stretch = stretch_from(tx, row, request.turn_id).await?;
    if request.chat && rewinds::list(tx, row.id).await?.iter().any(|rewind| rewind.hides(stretch.from_seq)) {
        return Err(Error::conflict("This turn was taken back already."));
    }
    Ok(stretch)
}

async fn announce_rewind(
    ctx: &Ctx,
    tx: &mut store::Tx,
    row: &table::ConversationRow,
    stretch: &Stretch,
    request: &RewindConversation,
) -> Result<RewindId> {
    let rewind_id: RewindId = ctx.new_id();
    let told = EventKind::ConversationRewound {
        rewind_id,
        turn_id: request.turn_id,
        from_seq: stretch.from_seq,
        upto_seq: stretch.upto_seq,
        chat: request.chat,
        files: request.files,
        by: ctx.user_ref(),
    };
    tell(ctx, tx, row.id, vec![told]).await?;
    Ok(rewind_id)
}

/// Writes the marker. `files` are the checkpoint that brings them back and the revision that the rewind made.
async fn mark(
    ctx: &Ctx,
    tx: &mut store::Tx,
    id: RewindId,
    row: &table::ConversationRow,
    stretch: &Stretch,
    request: &RewindConversation,
    files: Option<(wire::CheckpointId, i64)>,
) -> Result<Rewind> {
    let new = rewinds::NewRewind {
        id,
        conversation_id: row.id,
        turn_id: request.turn_id,
        from_seq: stretch.from_seq,
        upto_seq: stretch.upto_seq,
        chat: request.chat,
        files: files.is_some(),
        checkpoint_id: files.map(|(checkpoint, _)| checkpoint),
        revision: files.map(|(_, revision)| revision),
        by: ctx.require_user()?.id,
        at: ctx.now(),
    };
    rewinds::insert(tx, &new).await?;
    Ok(rewinds::get(tx, id).await?.ok_or(Error::NotFound("rewind"))?.into_rewind())
}

/// Takes a rewind back: messages go to the model again, files are as they were before it.
pub async fn undo_rewind(ctx: &Ctx, id: RewindId, request: UndoRewind) -> Result<UndoneRewind> {
    let found = rewinds::get(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("rewind"))?;
    let by = ctx.require_user()?.id;
    let Some(checkpoint) = found.checkpoint_id else {
        let mut tx = ctx.services().db.begin().await?;
        let row = lock_for_undo(ctx, &mut tx, &found).await?;
        finish_undo(ctx, &mut tx, &row, id, by).await?;
        announce(ctx, &mut tx, row.project_id, row.id).await?;
        ctx.commit(tx).await?;
        return Ok(UndoneRewind::Undone { paths: Vec::new(), left: Vec::new() });
    };
    let mut conn = ctx.services().db.read().await?;
    let project =
        conversation(ctx, &mut conn, found.conversation_id, ProjectRole::Editor).await.map_err(super::hide_as("rewind"))?.project_id;
    drop(conn);
    let expected_revision = Some(request.expected_revision.or(found.revision).unwrap_or_default());
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, Origin::Restore).await?;
    let row = lock_for_undo(ctx, &mut batch.tx, &found).await?;
    finish_undo(ctx, &mut batch.tx, &row, id, by).await?;
    // What the rewind left alone may have changed since; that is no part of it.
    let written = match found.revision {
        Some(revision) => Some(store::files::written_at(&mut batch.tx, project, revision).await?.into_iter().collect()),
        None => None,
    };
    let restore = RestoreCheckpoint { paths: None, expected_revision };
    match checkpoints::restore_in(ctx, &mut batch, project, checkpoint, restore, written.as_ref()).await {
        Ok(Written::Conflict(paths)) => Ok(UndoneRewind::Conflict { paths }),
        Ok(Written::Nothing { left }) => {
            // Somebody brought the files back by hand.
            drop(batch);
            let mut tx = ctx.services().db.begin().await?;
            let row = lock_for_undo(ctx, &mut tx, &found).await?;
            finish_undo(ctx, &mut tx, &row, id, by).await?;
            announce(ctx, &mut tx, row.project_id, row.id).await?;
            ctx.commit(tx).await?;
            Ok(UndoneRewind::Undone { paths: Vec::new(), left })
        }
        Ok(Written::Done { paths, left, .. }) => {
            announce(ctx, &mut batch.tx, row.project_id, row.id).await?;
            batch.commit().await?;
            Ok(UndoneRewind::Undone { paths, left })
        }
        Err(Error::NotFound("checkpoint")) => Err(Error::conflict(
            "The checkpoint from before this rewind is no longer kept, so the files can't be brought back in one step. Nothing was changed; \
             single files are in their histories.",
        )),
        Err(other) => Err(other),
    }
}

async fn lock_for_undo(ctx: &Ctx, tx: &mut store::Tx, found: &rewinds::RewindRow) -> Result<table::ConversationRow> {
    let row = lock_conversation(ctx, tx, found.conversation_id, ProjectRole::Editor).await.map_err(super::hide_as("rewind"))?;
    if row.active_turn.is_some() {
        return Err(Error::conflict("The agent is at work in this conversation. Stop it first, then bring this back."));
    }
    Ok(row)
}

async fn finish_undo(ctx: &Ctx, tx: &mut store::Tx, row: &table::ConversationRow, id: RewindId, by: wire::UserId) -> Result<()> {
    if !rewinds::mark_undone(tx, id, by, ctx.now()).await? {
        return Err(Error::conflict("This rewind was undone already."));
    }
    tell(ctx, tx, row.id, vec![EventKind::RewindUndone { rewind_id: id, by: ctx.user_ref() }]).await
}
