//! Conversations, turns and their transcript. The transcript is what the model was told and said; the turn's event stream is what
//! people watch. Both survive the server.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{Tx, chat as table};
use wire::{
    ConversationId, MessageId, ProjectId, TurnId,
    chat::{
        Approval, Attachment, Conversation, ConversationView, CreateConversation, DecideApproval, Message, MessageBody, Models, StartTurn,
        TokenUsage, ToolCall, Turn, TurnBudget, TurnReason, TurnStarted, TurnState, UpdateConversation,
    },
    checkpoints::CheckpointKind,
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use crate::{Ctx, Error, Result, checkpoints, files, jobs, live, projects};

/// How long a stop waits for the turn's end before it answers with what is known.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one attachment.
const ATTACHMENT_MAX: u64 = 64 * 1024;
const TITLE_CHARS: usize = 60;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnJob {
    pub turn_id: TurnId,
}

/// An approval that was asked for, with its answer if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalState {
    pub call_id: String,
    pub decision: Option<Approval>,
    pub reason: Option<String>,
}

/// All that the driver needs to begin a turn, or to go on with it.
#[derive(Debug, Clone)]
pub struct TurnWork {
    pub turn: Turn,
    /// The whole conversation, in order.
    pub messages: Vec<Message>,
    pub base_revision: i64,
    pub approvals: Vec<ApprovalState>,
    /// An earlier job has worked on this turn.
    pub resumed: bool,
    /// Calls whose execution had begun.
    pub started_calls: Vec<String>,
    pub budget: TurnBudget,
    pub stop_requested: bool,
}

pub async fn models(ctx: &Ctx) -> Result<Models> {
    ctx.require_user()?;
    Ok(ctx.services().models.clone())
}

async fn conversation(ctx: &Ctx, conn: &mut store::Conn, id: ConversationId, needed: ProjectRole) -> Result<table::ConversationRow> {
    let row = table::conversation(conn, id).await?.ok_or(Error::NotFound("conversation"))?;
    projects::require(ctx, conn, row.project_id, needed).await.map_err(hide_as("conversation"))?;
    Ok(row)
}

fn hide_as(noun: &'static str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::NotFound(_) => Error::NotFound(noun),
        other => other,
    }
}

pub async fn list_conversations(ctx: &Ctx, project: ProjectId) -> Result<Vec<Conversation>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(table::conversations(&mut conn, project).await?.into_iter().map(table::ConversationRow::into_conversation).collect())
}

pub async fn create_conversation(ctx: &Ctx, project: ProjectId, request: CreateConversation) -> Result<Conversation> {
    let user = ctx.require_user()?;
    let title = request.title.unwrap_or_default();
    check_title(&title)?;
    let id: ConversationId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    table::insert_conversation(&mut tx, id, project, user.id, title.trim(), ctx.now()).await?;
    announce(ctx, &mut tx, project, id).await?;
    let row = table::conversation(&mut tx, id).await?.ok_or(Error::NotFound("conversation"))?;
    ctx.commit(tx).await?;
    Ok(row.into_conversation())
}

fn check_title(title: &str) -> Result<()> {
    if title.chars().count() > 120 || title.chars().any(char::is_control) {
        return Err(Error::invalid("title", "Use at most 120 characters and no control characters."));
    }
    Ok(())
}

async fn announce(ctx: &Ctx, tx: &mut Tx, project: ProjectId, id: ConversationId) -> Result<()> {
    let event = EventKind::ConversationChanged { conversation_id: id };
    Ok(store::events::append(tx, Stream::Project(project), ctx.now(), vec![event]).await?)
}

pub async fn get_conversation(ctx: &Ctx, id: ConversationId) -> Result<Conversation> {
    let mut conn = ctx.services().db.read().await?;
    Ok(conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?.into_conversation())
}

pub async fn rename_conversation(ctx: &Ctx, id: ConversationId, request: UpdateConversation) -> Result<Conversation> {
    check_title(&request.title)?;
    if request.title.trim().is_empty() {
        return Err(Error::invalid("title", "Give the conversation a name."));
    }
    let mut tx = ctx.services().db.begin().await?;
    let row = conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    table::rename_conversation(&mut tx, id, request.title.trim(), ctx.now()).await?;
    announce(ctx, &mut tx, row.project_id, id).await?;
    ctx.commit(tx).await?;
    get_conversation(ctx, id).await
}

pub async fn delete_conversation(ctx: &Ctx, id: ConversationId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let row = conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    if row.active_turn.is_some() {
        return Err(Error::conflict("The agent is at work in this conversation. Stop it first."));
    }
    table::mark_conversation_deleted(&mut tx, id, ctx.now()).await?;
    announce(ctx, &mut tx, row.project_id, id).await?;
    ctx.commit(tx).await
}

/// A conversation with its turns and transcript.
pub async fn view(ctx: &Ctx, id: ConversationId) -> Result<ConversationView> {
    let mut conn = ctx.services().db.read().await?;
    let row = conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    let turns = table::turns(&mut conn, id).await?.into_iter().map(table::TurnRow::into_turn).collect();
    let messages = table::messages(&mut conn, id).await?;
    Ok(ConversationView { conversation: row.into_conversation(), turns, messages })
}

pub async fn messages(ctx: &Ctx, id: ConversationId) -> Result<Vec<Message>> {
    Ok(view(ctx, id).await?.messages)
}

async fn turn_row(ctx: &Ctx, conn: &mut store::Conn, id: TurnId, needed: ProjectRole) -> Result<table::TurnRow> {
    let row = table::turn(conn, id).await?.ok_or(Error::NotFound("turn"))?;
    projects::require(ctx, conn, row.project_id, needed).await.map_err(hide_as("turn"))?;
    Ok(row)
}

pub async fn get_turn(ctx: &Ctx, id: TurnId) -> Result<Turn> {
    let mut conn = ctx.services().db.read().await?;
    Ok(turn_row(ctx, &mut conn, id, ProjectRole::Viewer).await?.into_turn())
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
    let model = choose_model(ctx, request.model.as_deref())?;
    let attachments = read_attachments(ctx, project, &request.attachments).await?;

    let turn_id: TurnId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let row = conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    if row.active_turn.is_some() {
        return Err(Error::conflict("The agent is still at work in this conversation. Wait for it, or stop it."));
    }
    if row.title.is_empty() {
        table::rename_conversation(&mut tx, id, &title_of(&request.prompt), ctx.now()).await?;
    }
    let base_revision = store::projects::revision(&mut tx, project).await?.ok_or(Error::NotFound("project"))?;
    let job_id = jobs::enqueue(ctx, &mut tx, jobs::JobKind::AgentTurn, Some(project), &TurnJob { turn_id }).await?;
    let budget = request.budget.unwrap_or_default();
    let new = table::NewTurn {
        id: turn_id,
        conversation_id: id,
        project_id: project,
        user_id: user.id,
        job_id,
        prompt: &request.prompt,
        mode: request.mode,
        model: &model,
        base_revision,
        budget_tokens: budget.tokens,
        budget_steps: budget.steps.map(i64::from),
        at: ctx.now(),
    };
    match table::insert_turn(&mut tx, &new).await {
        Ok(()) => {}
        Err(store::Error::Taken(_)) => {
            return Err(Error::conflict("The agent is still at work in this conversation. Wait for it, or stop it."));
        }
        Err(other) => return Err(other.into()),
    }
    let body = MessageBody::User { text: request.prompt, attachments };
    insert_message(ctx, &mut tx, id, Some(turn_id), &body, vec![EventKind::TurnQueued { turn_id }]).await?;
    // After the conversation's rows, which is the order in which decisions take them too.
    checkpoints::record(ctx, &mut tx, project, CheckpointKind::Turn, base_revision, Some(turn_id)).await?;
    announce(ctx, &mut tx, project, id).await?;
    ctx.commit(tx).await?;
    Ok(TurnStarted { turn_id })
}

fn choose_model(ctx: &Ctx, wanted: Option<&str>) -> Result<String> {
    let models = &ctx.services().models;
    let Some(name) = wanted.filter(|name| !name.is_empty()).or(models.default.as_deref()) else {
        return Err(Error::Unavailable(models.hint.clone()));
    };
    let known = models.items.iter().find(|model| model.name == name);
    known
        .map(|model| model.name.clone())
        .ok_or_else(|| Error::invalid("model", format!("There is no model {name}. Choose one of the list.")))
}

fn title_of(prompt: &str) -> String {
    let line = prompt.trim().lines().next().unwrap_or_default();
    let mut title: String = line.chars().filter(|c| !c.is_control()).take(TITLE_CHARS).collect();
    if line.chars().count() > TITLE_CHARS {
        title.push('…');
    }
    title
}

async fn read_attachments(ctx: &Ctx, project: ProjectId, paths: &[String]) -> Result<Vec<Attachment>> {
    let mut attachments = Vec::new();
    for path in paths {
        let opened = files::open_text(ctx, project, path, None).await?;
        let text = opened.text.filter(|text| text.len() as u64 <= ATTACHMENT_MAX);
        let content = text.ok_or_else(|| Error::invalid("attachments", format!("{path} is not text, or is larger than 64 KiB.")))?;
        attachments.push(Attachment { path: path.clone(), content });
    }
    Ok(attachments)
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
    store::events::append(tx, Stream::Conversation(id), ctx.now(), kinds).await?;
    Ok(Message { id: message_id, turn_id: turn, seq, body: body.clone(), created_at: ctx.now() })
}

async fn set_state(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow, state: TurnState, job: Option<wire::JobId>) -> Result<()> {
    table::set_turn_state(tx, row.id, state, job, ctx.now()).await?;
    let changed = EventKind::TurnChanged { turn_id: row.id, state };
    Ok(store::events::append(tx, Stream::Conversation(row.conversation_id), ctx.now(), vec![changed]).await?)
}

/// Begins a turn or goes on with it. `None` when it has ended.
pub async fn take_up_turn(ctx: &Ctx, id: TurnId) -> Result<Option<TurnWork>> {
    let started_calls = started_calls(ctx, id).await?;
    let mut tx = ctx.services().db.begin().await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    if row.state.0 == TurnState::Finished {
        return Ok(None);
    }
    projects::require(ctx, &mut tx, row.project_id, ProjectRole::Editor).await?;
    let resumed = row.started_at.is_some();
    let messages = table::messages(&mut tx, row.conversation_id).await?;
    let event = if resumed {
        EventKind::TurnResumed { from_message: messages.last().map_or(0, |message| message.seq) }
    } else {
        EventKind::TurnStarted { model: row.model.clone() }
    };
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), vec![event]).await?;
    set_state(ctx, &mut tx, &row, TurnState::Running, None).await?;
    let approvals = table::approvals(&mut tx, id).await?;
    ctx.commit(tx).await?;
    Ok(Some(TurnWork {
        messages,
        base_revision: row.base_revision,
        approvals: approvals
            .into_iter()
            .map(|row| ApprovalState { call_id: row.call_id, decision: row.decision.map(|word| word.0), reason: row.reason })
            .collect(),
        resumed,
        started_calls,
        budget: TurnBudget { tokens: row.budget_tokens, steps: row.budget_steps.map(|steps| steps as u32) },
        stop_requested: row.stop_requested,
        turn: row.into_turn(),
    }))
}

async fn started_calls(ctx: &Ctx, id: TurnId) -> Result<Vec<String>> {
    let (mut calls, mut after) = (Vec::new(), 0);
    loop {
        let events = live::replay(ctx, Stream::Turn(id), after, 1000).await?;
        let Some(last) = events.last() else { return Ok(calls) };
        after = last.seq;
        calls.extend(events.into_iter().filter_map(|event| match event.kind {
            EventKind::ToolCalled { call_id, .. } => Some(call_id),
            _ => None,
        }));
    }
}

/// Adds to the transcript what the model said or was told.
pub async fn append_message(ctx: &Ctx, id: TurnId, body: MessageBody) -> Result<Message> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    let message = insert_message(ctx, &mut tx, row.conversation_id, Some(id), &body, Vec::new()).await?;
    ctx.commit(tx).await?;
    Ok(message)
}

/// Adds to what people watch.
pub async fn emit(ctx: &Ctx, id: TurnId, kinds: Vec<EventKind>) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), kinds).await?;
    ctx.commit(tx).await
}

/// Asks a person about these calls. The turn waits without a job until all are answered.
pub async fn ask_approval(ctx: &Ctx, id: TurnId, calls: &[ToolCall]) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    let mut kinds = Vec::new();
    for call in calls {
        if table::insert_approval(&mut tx, id, &call.id, &call.name, &call.arguments, ctx.now()).await? {
            kinds.push(EventKind::ApprovalAsked { call_id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() });
        }
    }
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), kinds).await?;
    set_state(ctx, &mut tx, &row, TurnState::Waiting, None).await?;
    if row.stop_requested {
        // Somebody stopped the turn just before it began to wait; nobody else would take it up again.
        resume(ctx, &mut tx, &row).await?;
    }
    ctx.commit(tx).await
}

async fn resume(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow) -> Result<()> {
    let job = jobs::enqueue_for(ctx, tx, row.user_id, jobs::JobKind::AgentTurn, Some(row.project_id), &TurnJob { turn_id: row.id }).await?;
    set_state(ctx, tx, row, TurnState::Queued, Some(job)).await
}

/// Answers a call that waits. Once all are answered the turn goes on.
pub async fn decide_approval(ctx: &Ctx, id: TurnId, call_id: &str, request: DecideApproval) -> Result<()> {
    let user = ctx.require_user()?;
    let mut tx = ctx.services().db.begin().await?;
    turn_row(ctx, &mut tx, id, ProjectRole::Reviewer).await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    let approvals = table::approvals(&mut tx, id).await?;
    if !approvals.iter().any(|approval| approval.call_id == call_id) {
        return Err(Error::NotFound("question"));
    }
    let reason = request.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if row.state.0 == TurnState::Finished
        || !table::answer_approval(&mut tx, id, call_id, request.decision, reason, user.id, ctx.now()).await?
    {
        return Err(Error::conflict("This question was answered already."));
    }
    if let Some(by) = ctx.user_ref() {
        let event = EventKind::ApprovalAnswered { call_id: call_id.to_owned(), decision: request.decision, by };
        store::events::append(&mut tx, Stream::Turn(id), ctx.now(), vec![event]).await?;
    }
    let others_wait = approvals.iter().any(|approval| approval.call_id != call_id && approval.decision.is_none());
    if !others_wait && row.state.0 == TurnState::Waiting {
        resume(ctx, &mut tx, &row).await?;
    }
    ctx.commit(tx).await
}

pub async fn add_usage(ctx: &Ctx, id: TurnId, usage: TokenUsage) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::add_usage(&mut tx, id, usage).await?;
    let event = EventKind::Usage { input: usage.input, output: usage.output, cached: usage.cached };
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), vec![event]).await?;
    ctx.commit(tx).await
}

/// Ends a turn, once.
pub async fn finish_turn(ctx: &Ctx, id: TurnId, reason: TurnReason, detail: &str) -> Result<Turn> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    end(ctx, &mut tx, &row, reason, detail).await?;
    ctx.commit(tx).await?;
    let row = table::turn(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("turn"))?;
    Ok(row.into_turn())
}

async fn end(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow, reason: TurnReason, detail: &str) -> Result<()> {
    if !table::finish_turn(tx, row.id, reason, detail, ctx.now()).await? {
        return Ok(());
    }
    let finished = EventKind::TurnFinished { reason, detail: detail.to_owned() };
    store::events::append(tx, Stream::Turn(row.id), ctx.now(), vec![finished]).await?;
    let changed = EventKind::TurnChanged { turn_id: row.id, state: TurnState::Finished };
    store::events::append(tx, Stream::Conversation(row.conversation_id), ctx.now(), vec![changed]).await?;
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
        TurnState::Waiting => resume(ctx, &mut tx, &row).await?,
        TurnState::Queued if row.started_at.is_none() => {
            if let Some(job) = row.job_id {
                jobs::request_cancel(ctx, &mut tx, job).await?;
            }
            end(ctx, &mut tx, &row, TurnReason::Stopped, "Stopped before it began. Nothing was changed.").await?;
        }
        // The worker may be another process, which asks its jobs now and then.
        TurnState::Running => {
            if let Some(job) = row.job_id {
                jobs::ask_to_stop(&mut tx, job).await?;
            }
        }
        TurnState::Queued | TurnState::Finished => {}
    }
    ctx.commit(tx).await?;
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
