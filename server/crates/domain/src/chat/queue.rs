//! Prompts that were written while the agent worked. They begin one after the other as long as turns end by themselves; after any
//! other end they wait for a person, except for one that was sent at once, for which the turn was stopped. What came with an archive waits
//! for a person in any case.

use store::{Tx, chat as table, prompts};
use wire::{
    ConversationId, ProjectId, QueuedPromptId,
    chat::{Queued, QueuedPrompt, StartTurn, TurnReason, UpdateQueued},
    event::EventKind,
    projects::ProjectRole,
};

use super::{
    conversation, hide_as, lock_conversation, tell,
    turns::{self, Prepared},
};
use crate::{Ctx, Error, Result};

/// Prompts that wait in one conversation.
pub(crate) const QUEUE_MAX: usize = 20;

pub(crate) const HELD_FROM_ARCHIVE: &str = "This message came with the archive of the project. Send it when you want it answered.";

/// Hands a prompt to the agent, or, while it is at work here, to the queue.
pub async fn enqueue(ctx: &Ctx, id: ConversationId, request: StartTurn) -> Result<Queued> {
    ctx.require_user()?;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut conn = ctx.services().db.read().await?;
    let project = conversation(ctx, &mut conn, id, ProjectRole::Editor).await?.project_id;
    drop(conn);
    // Also what will only begin later has to be possible now.
    let prepared = turns::prepare(ctx, project, &request).await?;
    let mut tx = ctx.services().db.begin().await?;
    let queued = hand_over(ctx, &mut tx, id, &request, prepared).await?;
    ctx.commit(tx).await?;
    Ok(queued)
}

/// Begins or queues a request that was validated, in a transaction that may do more: both become true together.
pub(crate) async fn hand_over(ctx: &Ctx, tx: &mut Tx, id: ConversationId, request: &StartTurn, prepared: Prepared) -> Result<Queued> {
    let user = ctx.require_user()?.id;
    let row = lock_conversation(ctx, tx, id, ProjectRole::Editor).await?;
    if row.active_turn.is_none() {
        let turn_id = turns::begin(ctx, tx, &row, user, request, prepared, Vec::new()).await?;
        return Ok(Queued::Started { turn_id });
    }
    if prompts::list(tx, id).await?.len() >= QUEUE_MAX {
        return Err(Error::conflict("At most 20 messages can wait. Remove one, or wait until the agent has taken some."));
    }
    let prompt_id: QueuedPromptId = ctx.new_id();
    prompts::insert(tx, prompt_id, id, user, request, ctx.now()).await?;
    tell(ctx, tx, id, vec![EventKind::PromptQueued { prompt_id }]).await?;
    let prompt = prompts::get(tx, prompt_id).await?.ok_or(Error::NotFound("message"))?.into_prompt();
    Ok(Queued::Waiting { prompt: Box::new(prompt) })
}

/// The prompt, its conversation's row held. Only who wrote it, or who may edit the project, changes it: that is the same here.
async fn lock_prompt(ctx: &Ctx, tx: &mut Tx, id: QueuedPromptId) -> Result<(prompts::PromptRow, table::ConversationRow)> {
    let prompt = prompts::get(tx, id).await?.ok_or(Error::NotFound("message"))?;
    let row = lock_conversation(ctx, tx, prompt.conversation_id, ProjectRole::Editor).await.map_err(hide_as("message"))?;
    // It may have begun while the row was waited for.
    let prompt = prompts::get(tx, id).await?.ok_or(Error::NotFound("message"))?;
    Ok((prompt, row))
}

/// What waits must be what the caller has seen, where they say which that is.
fn check_version(prompt: &prompts::PromptRow, base: Option<i64>) -> Result<()> {
    if base.is_none_or(|base| base == prompt.version) {
        return Ok(());
    }
    let detail = "This message was changed elsewhere meanwhile. Nothing was overwritten; look at it again.".to_owned();
    Err(Error::Conflict { detail, current: serde_json::to_value(prompt.clone().into_prompt()).ok() })
}

/// Writes a prompt that waits anew.
pub async fn update_queued(ctx: &Ctx, id: QueuedPromptId, request: UpdateQueued) -> Result<QueuedPrompt> {
    let mut tx = ctx.services().db.begin().await?;
    let (prompt, _) = lock_prompt(ctx, &mut tx, id).await?;
    check_version(&prompt, request.version)?;
    let changed = StartTurn { prompt: request.prompt, ..prompt.request.0 };
    let fields = changed.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    prompts::update(&mut tx, id, &changed).await?;
    tell(ctx, &mut tx, prompt.conversation_id, vec![EventKind::PromptChanged { prompt_id: id }]).await?;
    let prompt = prompts::get(&mut tx, id).await?.ok_or(Error::NotFound("message"))?.into_prompt();
    ctx.commit(tx).await?;
    Ok(prompt)
}

/// Takes a prompt out of the queue; with `base` only that version of it.
pub async fn remove_queued(ctx: &Ctx, id: QueuedPromptId, base: Option<i64>) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let (prompt, _) = lock_prompt(ctx, &mut tx, id).await?;
    check_version(&prompt, base)?;
    prompts::delete(&mut tx, id).await?;
    if prompts::list(&mut tx, prompt.conversation_id).await?.is_empty() {
        table::set_queue_waits(&mut tx, prompt.conversation_id, None).await?;
    }
    tell(ctx, &mut tx, prompt.conversation_id, vec![EventKind::PromptRemoved { prompt_id: id }]).await?;
    ctx.commit(tx).await
}

/// Sends a prompt of the queue at once. A turn at work is stopped first and keeps what it changed for review.
pub async fn send_queued_now(ctx: &Ctx, id: QueuedPromptId) -> Result<Queued> {
    let mut conn = ctx.services().db.read().await?;
    let found = prompts::get(&mut conn, id).await?.ok_or(Error::NotFound("message"))?;
    let project = conversation(ctx, &mut conn, found.conversation_id, ProjectRole::Editor).await.map_err(hide_as("message"))?.project_id;
    drop(conn);
    let prepared = turns::prepare(ctx, project, &found.request.0).await?;
    let mut tx = ctx.services().db.begin().await?;
    let (prompt, row) = lock_prompt(ctx, &mut tx, id).await?;
    let Some(active) = row.active_turn else {
        if prompt.version != found.version {
            return Err(Error::conflict("This message was changed just now. Send it again."));
        }
        let turn_id = start(ctx, &mut tx, &row, &prompt, prepared).await?;
        ctx.commit(tx).await?;
        return Ok(Queued::Started { turn_id });
    };
    prompts::make_urgent(&mut tx, id, row.id).await?;
    tell(ctx, &mut tx, row.id, vec![EventKind::PromptChanged { prompt_id: id }]).await?;
    ctx.commit(tx).await?;
    turns::stop_turn(ctx, active).await?;
    let mut conn = ctx.services().db.read().await?;
    match prompts::get(&mut conn, id).await? {
        Some(prompt) => Ok(Queued::Waiting { prompt: Box::new(prompt.into_prompt()) }),
        None => {
            let turn_id = conversation(ctx, &mut conn, row.id, ProjectRole::Viewer).await?.active_turn;
            turn_id.map(|turn_id| Queued::Started { turn_id }).ok_or(Error::NotFound("message"))
        }
    }
}

async fn start(
    ctx: &Ctx,
    tx: &mut Tx,
    row: &table::ConversationRow,
    prompt: &prompts::PromptRow,
    prepared: Prepared,
) -> Result<wire::TurnId> {
    prompts::delete(tx, prompt.id).await?;
    let before = vec![EventKind::PromptStarted { prompt_id: prompt.id }];
    turns::begin(ctx, tx, row, prompt.user_id, &prompt.request.0, prepared, before).await
}

/// What happens to the queue when a turn ends.
pub(super) enum Next {
    Nothing,
    /// It waits for a person, for this reason.
    Held {
        reason: String,
        /// The first one was to begin in any case.
        urgent: bool,
    },
    Begins {
        prompt: Box<prompts::PromptRow>,
        prepared: Prepared,
    },
}

/// Reads what the next prompt needs, before the transaction that ends the turn.
pub(super) async fn look_ahead(ctx: &Ctx, id: ConversationId, project: ProjectId, reason: TurnReason) -> Result<Next> {
    let mut conn = ctx.services().db.read().await?;
    let Some(prompt) = prompts::list(&mut conn, id).await?.into_iter().next() else { return Ok(Next::Nothing) };
    drop(conn);
    if prompt.held {
        return Ok(Next::Held { reason: HELD_FROM_ARCHIVE.to_owned(), urgent: prompt.urgent });
    }
    if reason != TurnReason::Done && !(reason == TurnReason::Stopped && prompt.urgent) {
        return Ok(Next::Held { reason: held_after(reason).to_owned(), urgent: prompt.urgent });
    }
    match turns::prepare(ctx, project, &prompt.request.0).await {
        Ok(prepared) => Ok(Next::Begins { prompt: Box::new(prompt), prepared }),
        Err(error) => {
            let reason = format!("The next message could not begin: {}", error.into_problem(ctx).detail);
            Ok(Next::Held { reason, urgent: prompt.urgent })
        }
    }
}

fn held_after(reason: TurnReason) -> &'static str {
    match reason {
        TurnReason::Done => "",
        TurnReason::Stopped => "The turn before was stopped. Send the next message when you want to go on.",
        TurnReason::Failed => "The turn before failed. Send the next message when you want to go on.",
        TurnReason::Budget => "The turn before stopped at its budget. Send the next message when you want to go on.",
        TurnReason::Limit => "The turn before stopped at a limit. Send the next message when you want to go on.",
        TurnReason::Lost => "The turn before was lost. Send the next message when you want to go on.",
    }
}

/// Whether the queue is as it was looked at. The conversation's row is held.
pub(super) async fn is_still_next(tx: &mut Tx, id: ConversationId, next: &Next) -> Result<bool> {
    let first = prompts::list(tx, id).await?.into_iter().next();
    Ok(match (next, first) {
        (Next::Nothing, first) => first.is_none(),
        // Which one waits first makes no difference, unless it was sent at once meanwhile.
        (Next::Held { urgent, .. }, first) => first.is_some_and(|first| first.urgent == *urgent),
        (Next::Begins { prompt, .. }, Some(first)) => first.id == prompt.id && first.version == prompt.version,
        (Next::Begins { .. }, None) => false,
    })
}

/// Begins what comes next, or notes why it waits. The turn before has ended in this transaction.
pub(super) async fn go_on(ctx: &Ctx, tx: &mut Tx, id: ConversationId, next: Next) -> Result<()> {
    match next {
        Next::Nothing => Ok(()),
        Next::Held { reason, .. } => {
            table::set_queue_waits(tx, id, Some(&reason)).await?;
            tell(ctx, tx, id, vec![EventKind::QueueHeld { reason }]).await
        }
        Next::Begins { prompt, prepared } => {
            // A deleted conversation has no turn at work; it can't be gone here.
            let Some(row) = table::conversation(tx, id).await? else { return Ok(()) };
            start(ctx, tx, &row, &prompt, prepared).await.map(drop)
        }
    }
}
