//! Removed conversations go for good once nobody can bring them back any more. The ledger keeps what they cost.

use store::{changes, events, removed as table};
use tokio_util::sync::CancellationToken;
use wire::{
    ConversationId, Micros, ProjectId, TurnId,
    changes::ChangeSetState,
    event::{EventKind, Stream},
};

use super::sessions::KEPT_DELETED;
use crate::{Ctx, Error, Result};

/// Clocks of several servers differ: whoever brings one back in its last moment wins.
const MARGIN_S: i64 = 600;
/// Conversations in one cleanup; the rest waits for the next.
const MOST: i64 = 200;
/// Rows that one transaction removes.
const BATCH: i64 = 1000;
const TURNS: i64 = 100;

/// Takes apart what was removed more than a week ago, in short transactions. Answers how many conversations are gone. One that fails does
/// not keep the others; what was begun and not ended goes on next time. For the server itself.
pub(crate) async fn purge_removed(ctx: &Ctx, stop: &CancellationToken) -> Result<u64> {
    if !ctx.is_system() {
        return Err(Error::Forbidden("Only the server itself cleans up.".to_owned()));
    }
    let before = ctx.now().plus_seconds(-KEPT_DELETED - MARGIN_S);
    let due = table::due(&mut ctx.services().db.read().await?, before, MOST).await?;
    let (mut gone, mut failed) = (0, None);
    for (id, project) in due {
        match purge(ctx, id, project, before, stop).await {
            Ok(done) => gone += u64::from(done),
            Err(error) => drop(failed.get_or_insert(error)),
        }
        if stop.is_cancelled() {
            break;
        }
    }
    failed.map_or(Ok(gone), Err)
}

/// `false` when it was stopped on the way.
async fn purge(ctx: &Ctx, id: ConversationId, project: ProjectId, before: Micros, stop: &CancellationToken) -> Result<bool> {
    release_pictures(ctx, id, project).await?;
    if !take_apart(ctx, id, project, stop).await? {
        return Ok(false);
    }
    let mut tx = ctx.services().db.begin().await?;
    let gone = table::delete_conversation(&mut tx, id, before).await?;
    ctx.commit(tx).await?;
    Ok(gone)
}

/// One of a project that goes as a whole.
pub(crate) async fn purge_with_project(ctx: &Ctx, id: ConversationId, project: ProjectId, stop: &CancellationToken) -> Result<bool> {
    if !take_apart(ctx, id, project, stop).await? {
        return Ok(false);
    }
    let mut tx = ctx.services().db.begin().await?;
    store::chat::mark_conversation_deleted(&mut tx, id, ctx.now()).await?;
    table::delete_conversation(&mut tx, id, ctx.now().plus_seconds(1)).await?;
    ctx.commit(tx).await?;
    Ok(true)
}

/// Takes away all but the conversation's own row. `false` when it was stopped on the way.
async fn take_apart(ctx: &Ctx, id: ConversationId, project: ProjectId, stop: &CancellationToken) -> Result<bool> {
    loop {
        let turns = table::turns(&mut ctx.services().db.read().await?, id, TURNS).await?;
        if turns.is_empty() {
            break;
        }
        for turn in turns {
            if stop.is_cancelled() {
                return Ok(false);
            }
            forget_stream(ctx, Stream::Turn(turn)).await?;
            forget_turn(ctx, turn, project).await?;
        }
    }
    forget_stream(ctx, Stream::Conversation(id)).await?;
    loop {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let mut tx = ctx.services().db.begin().await?;
        let gone = table::delete_messages(&mut tx, id, BATCH).await?;
        ctx.commit(tx).await?;
        if gone < BATCH as u64 {
            return Ok(true);
        }
    }
}

/// Pictures that only this conversation shows become ones that no message uses: these are forgotten, and their bytes swept, as others.
async fn release_pictures(ctx: &Ctx, id: ConversationId, project: ProjectId) -> Result<()> {
    let now = ctx.now();
    for checksum in table::pictures(&mut ctx.services().db.read().await?, id).await? {
        let mut tx = ctx.services().db.begin().await?;
        table::release_picture(&mut tx, project, id, &checksum, now).await?;
        ctx.commit(tx).await?;
    }
    Ok(())
}

pub(crate) async fn forget_stream(ctx: &Ctx, stream: Stream) -> Result<()> {
    loop {
        let mut tx = ctx.services().db.begin().await?;
        let gone = events::forget(&mut tx, stream, BATCH).await?;
        ctx.commit(tx).await?;
        if gone < BATCH as u64 {
            return Ok(());
        }
    }
}

/// With its change set. Pages that show it as open are told that nothing of it is left to decide.
async fn forget_turn(ctx: &Ctx, turn: TurnId, project: ProjectId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let open = changes::set_of_turn(&mut tx, turn).await?.filter(|set| set.state.0 == ChangeSetState::Open);
    table::delete_turn(&mut tx, turn).await?;
    if let Some(set) = open {
        let (change_set_id, turn_id) = (set.id, Some(turn));
        let event = EventKind::ChangeSetChanged { change_set_id, turn_id, state: ChangeSetState::Decided, open_hunks: 0 };
        events::append(&mut tx, Stream::Project(project), ctx.now(), vec![event]).await?;
    }
    ctx.commit(tx).await
}
