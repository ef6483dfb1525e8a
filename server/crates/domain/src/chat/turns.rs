//! How a turn begins, is stopped and ends.

use std::time::Duration;

use store::{Tx, chat as table};
use wire::{
    ConversationId, ProjectId, RunId, TurnId, UserId,
    chat::{Attachment, LAST_PROMPT_CHARS, MessageBody, StartTurn, Turn, TurnReason, TurnStarted, TurnState},
    checkpoints::CheckpointKind,
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use super::{
    TurnJob, announce,
    codegen::{self, CodegenJob},
    conversation, insert_message, lock_conversation,
    queue::{self, Next},
    tell, transcript, turn_row,
};
use crate::{Ctx, Error, Result, checkpoints, context, generate, jobs, models};

/// How long a stop waits for the turn's end before it answers with what is known.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
const TITLE_CHARS: usize = 60;
/// How often an end is tried again because the queue was changed meanwhile.
const END_TRIES: usize = 5;
pub(super) const AT_WORK: &str = "The agent is still at work in this conversation. Wait for it, or stop it.";

pub async fn get_turn(ctx: &Ctx, id: TurnId) -> Result<Turn> {
    let mut conn = ctx.services().db.read().await?;
    Ok(turn_row(ctx, &mut conn, id, ProjectRole::Viewer).await?.into_turn())
}

/// Everything that a request names, read and found. What it says is not part of it.
pub(crate) struct Prepared {
    model: String,
    attachments: Vec<Attachment>,
    /// The run that stands for the turn, where no conversation is shown.
    run: Option<RunId>,
}

impl Prepared {
    pub(super) fn of_run(self, run: RunId) -> Self {
        Self { run: Some(run), ..self }
    }
}

/// Reads what goes along with a prompt. Outside of any transaction, since it reads files.
pub(crate) async fn prepare(ctx: &Ctx, project: ProjectId, request: &StartTurn) -> Result<Prepared> {
    let (model, attachments) = tokio::join!(models::resolve(ctx, request.model.as_deref()), context::collect(ctx, project, request));
    let model = model?;
    generate::check_length(&model, request.max_tokens)?;
    Ok(Prepared { model: model.name, attachments: attachments?, run: None })
}

/// Hands a prompt to the agent: the message, the turn and its job become true together.
pub async fn start_turn(ctx: &Ctx, id: ConversationId, request: StartTurn) -> Result<TurnStarted> {
    let user = ctx.require_user()?;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut conn = ctx.services().db.read().await?;
    let project = conversation(ctx, &mut conn, id, ProjectRole::Editor).await?.project_id;
    drop(conn);
    let prepared = prepare(ctx, project, &request).await?;
    let mut tx = ctx.services().db.begin().await?;
    let row = lock_conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    let turn_id = begin(ctx, &mut tx, &row, user.id, &request, prepared, Vec::new()).await?;
    ctx.commit(tx).await?;
    Ok(TurnStarted { turn_id })
}

/// Begins a turn in a conversation whose row the transaction holds. `before` is told first.
pub(super) async fn begin(
    ctx: &Ctx,
    tx: &mut Tx,
    row: &table::ConversationRow,
    user: UserId,
    request: &StartTurn,
    prepared: Prepared,
    before: Vec<EventKind>,
) -> Result<TurnId> {
    if row.active_turn.is_some() {
        return Err(Error::conflict(AT_WORK));
    }
    let (id, project, turn_id) = (row.id, row.project_id, ctx.new_id::<TurnId>());
    if row.title.is_empty() {
        table::rename_conversation(tx, id, &first_line(&request.prompt, TITLE_CHARS), ctx.now()).await?;
    }
    table::note_prompt(tx, id, &first_line(&request.prompt, LAST_PROMPT_CHARS - 1)).await?;
    let base_revision = store::projects::revision(tx, project).await?.ok_or(Error::NotFound("project"))?;
    let job_id = match prepared.run {
        Some(run_id) => {
            let job = CodegenJob { run_id, turn_id };
            jobs::enqueue_for(ctx, tx, user, jobs::JobKind::Codegen, Some(project), &job).await?
        }
        None => jobs::enqueue_for(ctx, tx, user, jobs::JobKind::AgentTurn, Some(project), &TurnJob { turn_id }).await?,
    };
    let budget = request.budget.unwrap_or_default();
    let new = table::NewTurn {
        id: turn_id,
        conversation_id: id,
        project_id: project,
        user_id: user,
        job_id,
        prompt: &request.prompt,
        mode: request.mode,
        model: &prepared.model,
        base_revision,
        budget_tokens: budget.tokens,
        budget_steps: budget.steps.map(i64::from),
        budget_usd_micros: budget.usd_micros,
        max_tokens: request.max_tokens,
        temperature: request.temperature,
        at: ctx.now(),
    };
    match table::insert_turn(tx, &new).await {
        Ok(()) => {}
        Err(store::Error::Taken(_)) => return Err(Error::conflict(AT_WORK)),
        Err(other) => return Err(other.into()),
    }
    context::keep_choice(ctx, tx, project, turn_id, request).await?;
    let mut kinds = before;
    kinds.push(EventKind::TurnQueued { turn_id });
    let body = MessageBody::User { text: request.prompt.clone(), attachments: prepared.attachments };
    insert_message(ctx, tx, id, Some(turn_id), &body, kinds).await?;
    // After the conversation's rows, which is the order in which decisions take them too.
    checkpoints::record(ctx, tx, project, CheckpointKind::Turn, base_revision, Some(turn_id)).await?;
    announce(ctx, tx, project, id).await?;
    Ok(turn_id)
}

/// At most `chars` characters and, where it goes on, an ellipsis.
pub(super) fn first_line(prompt: &str, chars: usize) -> String {
    let line = prompt.trim().lines().next().unwrap_or_default();
    let mut title: String = line.chars().filter(|c| !c.is_control()).take(chars).collect();
    if line.chars().count() > chars {
        title.push('…');
    }
    title
}

/// Ends a turn, once. What waits for it begins in the same transaction.
pub async fn finish_turn(ctx: &Ctx, id: TurnId, reason: TurnReason, detail: &str) -> Result<Turn> {
    end(ctx, id, reason, detail, Ending::Whatever).await?;
    let row = table::turn(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("turn"))?;
    Ok(row.into_turn())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whatever,
    /// Only while no job has taken it up: its job is cancelled.
    Unstarted,
}

async fn end(ctx: &Ctx, id: TurnId, reason: TurnReason, detail: &str, ending: Ending) -> Result<()> {
    for attempt in 1.. {
        let row = table::turn(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("turn"))?;
        let next = queue::look_ahead(ctx, row.conversation_id, row.project_id, reason).await?;
        let mut tx = ctx.services().db.begin().await?;
        jobs::check_claim(ctx, &mut tx).await?;
        let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
        if row.state.0 == TurnState::Finished || (ending == Ending::Unstarted && row.started_at.is_some()) {
            return Ok(());
        }
        table::lock_conversation(&mut tx, row.conversation_id).await?;
        let next = match queue::is_still_next(&mut tx, row.conversation_id, &next).await? {
            true => next,
            false if attempt < END_TRIES => continue,
            false => Next::Held {
                reason: "The queue was being changed when the turn ended. Send the next message now.".to_owned(),
                urgent: false,
            },
        };
        if let (Ending::Unstarted, Some(job)) = (ending, row.job_id) {
            jobs::request_cancel(ctx, &mut tx, job).await?;
        }
        write_end(ctx, &mut tx, &row, reason, detail).await?;
        queue::go_on(ctx, &mut tx, row.conversation_id, next).await?;
        return ctx.commit(tx).await;
    }
    Ok(())
}

async fn write_end(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow, reason: TurnReason, detail: &str) -> Result<()> {
    if !table::finish_turn(tx, row.id, reason, detail, ctx.now()).await? {
        return Ok(());
    }
    let finished = EventKind::TurnFinished { reason, detail: detail.to_owned() };
    store::events::append(tx, Stream::Turn(row.id), ctx.now(), vec![finished]).await?;
    codegen::turn_ended(ctx, tx, row, reason, detail).await?;
    tell(ctx, tx, row.conversation_id, vec![EventKind::TurnChanged { turn_id: row.id, state: TurnState::Finished }]).await?;
    announce(ctx, tx, row.project_id, row.conversation_id).await
}

/// Notes the revision that the turn's branch was made from.
pub async fn set_base_revision(ctx: &Ctx, id: TurnId, revision: i64) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::set_base_revision(&mut tx, id, revision).await?;
    ctx.commit(tx).await
}

pub async fn base_revision(ctx: &Ctx, id: TurnId) -> Result<i64> {
    let mut conn = ctx.services().db.read().await?;
    Ok(turn_row(ctx, &mut conn, id, ProjectRole::Viewer).await?.base_revision)
}

pub async fn stop_requested(ctx: &Ctx, id: TurnId) -> Result<bool> {
    let row = table::turn(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("turn"))?;
    Ok(row.stop_requested || row.state.0 == TurnState::Finished)
}

/// Stops a turn with everything it runs; what it has changed so far is kept as its change set. Answers when it has ended, or after
/// five seconds with its state then.
pub async fn stop_turn(ctx: &Ctx, id: TurnId) -> Result<Turn> {
    let mut ended = ctx.services().bus.subscribe(&[Stream::Turn(id)]).await;
    let mut tx = ctx.services().db.begin().await?;
    turn_row(ctx, &mut tx, id, ProjectRole::Editor).await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    if row.state.0 == TurnState::Finished {
        return Ok(row.into_turn());
    }
    table::request_stop(&mut tx, id).await?;
    match row.state.0 {
        // A job takes it up once more, to keep what was done so far.
        TurnState::Waiting => transcript::resume(ctx, &mut tx, &row).await?,
        // The worker may be another process, which asks its jobs now and then.
        TurnState::Running => {
            if let Some(job) = row.job_id {
                jobs::ask_to_stop(&mut tx, job).await?;
            }
        }
        TurnState::Queued | TurnState::Finished => {}
    }
    ctx.commit(tx).await?;
    if row.state.0 == TurnState::Queued && row.started_at.is_none() {
        end(ctx, id, TurnReason::Stopped, "Stopped before it began. Nothing was changed.", Ending::Unstarted).await?;
    }
    if let Some(job) = row.job_id {
        ctx.services().signals.cancel(job.0);
    }
    let waiting = async {
        while get_turn(ctx, id).await?.state != TurnState::Finished {
            ended.next().await;
        }
        Ok::<_, Error>(())
    };
    if let Ok(done) = tokio::time::timeout(STOP_PATIENCE, waiting).await {
        done?;
    }
    get_turn(ctx, id).await
}
