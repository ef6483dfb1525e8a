//! What the driver of a turn reads and writes: the transcript, the turn's events, and questions to people.

use serde_json::json;
use store::{Tx, chat as table, rewinds};
use wire::{
    ConversationId, TurnId,
    audit::AuditAction,
    chat::{Approval, DecideApproval, Message, MessageBody, TokenUsage, ToolCall, ToolFacts, Turn, TurnBudget, TurnState},
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use super::{TurnJob, codegen, conversation, insert_message, tell, turn_row};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    jobs, permissions, projects,
};

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
    /// The conversation as far as the model may see it, in order.
    pub messages: Vec<Message>,
    pub base_revision: i64,
    pub approvals: Vec<ApprovalState>,
    /// An earlier job has worked on this turn.
    pub resumed: bool,
    /// Calls whose execution had begun.
    pub started_calls: Vec<String>,
    pub budget: TurnBudget,
    /// Tokens that its message allows each answer.
    pub max_tokens: Option<i64>,
    /// What its message asks for in place of the model's own.
    pub temperature: Option<f32>,
    pub stop_requested: bool,
}

/// Begins a turn or goes on with it. `None` when it has ended, waits for people, or is another job's by now.
pub async fn take_up_turn(ctx: &Ctx, id: TurnId) -> Result<Option<TurnWork>> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    if row.state.0 == TurnState::Finished {
        return Ok(None);
    }
    // A job whose worker died right after it had asked is tried again beside the one that the answer has queued.
    if row.state.0 == TurnState::Waiting || ctx.job().is_some_and(|job| row.job_id != Some(job)) {
        return Ok(None);
    }
    projects::require(ctx, &mut tx, row.project_id, ProjectRole::Editor).await?;
    let resumed = row.started_at.is_some();
    let started_calls = if resumed { started_calls(&mut tx, id).await? } else { Vec::new() };
    let messages = read_sent(&mut tx, row.conversation_id).await?;
    let event = if resumed {
        EventKind::TurnResumed { from_message: messages.last().map_or(0, |message| message.seq) }
    } else {
        EventKind::TurnStarted { model: row.model.clone() }
    };
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), vec![event]).await?;
    set_state(ctx, &mut tx, &row, TurnState::Running, None).await?;
    let approvals = if resumed { table::approvals(&mut tx, id).await? } else { Vec::new() };
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
        budget: row.budget(),
        max_tokens: row.max_tokens,
        temperature: row.temperature(),
        stop_requested: row.stop_requested,
        turn: row.into_turn(),
    }))
}

async fn started_calls(tx: &mut Tx, id: TurnId) -> Result<Vec<String>> {
    let called = table::called_tools(tx, id).await?;
    let call_id = |kind| match kind {
        EventKind::ToolCalled { call_id, .. } => Some(call_id),
        _ => None,
    };
    Ok(called.into_iter().filter_map(call_id).collect())
}

/// The messages of a conversation that the model is sent: all but those that were taken back, in order.
pub async fn sent_messages(ctx: &Ctx, id: ConversationId) -> Result<Vec<Message>> {
    let mut conn = ctx.services().db.read().await?;
    conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    read_sent(&mut conn, id).await
}

async fn read_sent(conn: &mut store::Conn, id: ConversationId) -> Result<Vec<Message>> {
    let rewinds = rewinds::list(conn, id).await?;
    let mut messages = table::messages(conn, id).await?;
    messages.retain(|message| !rewinds.iter().any(|rewind| rewind.hides(message.seq)));
    Ok(messages)
}

async fn set_state(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow, state: TurnState, job: Option<wire::JobId>) -> Result<()> {
    table::set_turn_state(tx, row.id, state, job, ctx.now()).await?;
    tell(ctx, tx, row.conversation_id, vec![EventKind::TurnChanged { turn_id: row.id, state }]).await
}

/// Adds to the transcript what the model said or was told.
pub async fn append_message(ctx: &Ctx, id: TurnId, body: MessageBody) -> Result<Message> {
    let mut tx = ctx.services().db.begin().await?;
    jobs::check_claim(ctx, &mut tx).await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    let message = insert_message(ctx, &mut tx, row.conversation_id, Some(id), &body, Vec::new()).await?;
    if matches!(body, MessageBody::Assistant { .. }) {
        store::ledger::attach_message(&mut tx, id, message.id).await?;
    }
    if let MessageBody::Tool { call_id, name, ok, facts, .. } = &body {
        note_call(ctx, &mut tx, &row, &Called { call_id, name, ok: *ok, facts }).await?;
    }
    ctx.commit(tx).await?;
    Ok(message)
}

struct Called<'a> {
    call_id: &'a str,
    name: &'a str,
    ok: bool,
    facts: &'a ToolFacts,
}

/// Puts a call that has ended into the audit log: who asked for the turn, which model for the call, who allowed it, what it changed and
/// what the answer cost that it was part of.
async fn note_call(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow, called: &Called<'_>) -> Result<()> {
    let answer = store::ledger::last_answer(tx, row.id).await?;
    let decided = table::decider(tx, row.id, called.call_id).await?;
    let by = |wanted| decided.as_ref().filter(|(decision, ..)| *decision == wanted).map(|(_, id, name)| json!({ "id": id, "name": name }));
    let details = json!({
        "turn": row.id,
        "asked_by": row.user_id,
        "mode": row.mode.0,
        "model": answer.as_ref().map_or(row.model.as_str(), |(model, _)| model.as_str()),
        "answer_cost_micro_usd": answer.as_ref().map(|(_, micros)| micros),
        "ok": called.ok,
        "approved_by": by(Approval::Approve),
        "rejected_by": by(Approval::Reject),
        "bytes_changed": called.facts.bytes_changed.unwrap_or(0),
        "took_ms": called.facts.took_ms,
        "run": called.facts.run_id,
    });
    // Models make names up.
    let name: String = called.name.chars().take(100).collect();
    let facts = Facts::about("tool", called.call_id, name).in_project(row.project_id).with(details);
    audit::record(ctx, tx, AuditAction::ToolCalled, if called.ok { facts } else { facts.refused_if(called.facts.declined) });
    Ok(())
}

/// Adds to what people watch.
pub async fn emit(ctx: &Ctx, id: TurnId, kinds: Vec<EventKind>) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    jobs::check_claim(ctx, &mut tx).await?;
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), kinds).await?;
    ctx.commit(tx).await
}

/// Asks a person about these calls. The turn waits without a job until all are answered.
pub async fn ask_approval(ctx: &Ctx, id: TurnId, calls: &[ToolCall]) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    jobs::check_claim(ctx, &mut tx).await?;
    let row = table::lock_turn(&mut tx, id).await?.ok_or(Error::NotFound("turn"))?;
    let mut kinds = Vec::new();
    for call in calls {
        if table::insert_approval(&mut tx, id, &call.id, &call.name, &call.arguments, ctx.now()).await? {
            kinds.push(EventKind::ApprovalAsked { call_id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() });
        }
    }
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), kinds).await?;
    set_state(ctx, &mut tx, &row, TurnState::Waiting, None).await?;
    let is_unwatched = codegen::is_codegen(&mut tx, id).await?;
    for call in calls.iter().filter(|_| is_unwatched) {
        let reason = Some(codegen::NOBODY_TO_ASK);
        table::answer_approval(&mut tx, id, &call.id, Approval::Reject, reason, row.user_id, ctx.now()).await?;
    }
    if row.stop_requested || is_unwatched {
        // Somebody stopped the turn just before it began to wait; nobody else would take it up again.
        resume(ctx, &mut tx, &row).await?;
    }
    ctx.commit(tx).await
}

pub(super) async fn resume(ctx: &Ctx, tx: &mut Tx, row: &table::TurnRow) -> Result<()> {
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
    let Some(asked) = approvals.iter().find(|approval| approval.call_id == call_id) else {
        return Err(Error::NotFound("question"));
    };
    let reason = request.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if row.state.0 == TurnState::Finished
        || !table::answer_approval(&mut tx, id, call_id, request.decision, reason, user.id, ctx.now()).await?
    {
        return Err(Error::conflict("This question was answered already."));
    }
    if let Some(rule) = &request.remember {
        if request.decision != Approval::Approve {
            return Err(Error::invalid("remember", "Only what is approved can be allowed from now on."));
        }
        let call = ToolCall { id: asked.call_id.clone(), name: asked.name.clone(), arguments: asked.arguments.clone() };
        permissions::remember(ctx, &mut tx, row.project_id, &call, rule).await?;
    }
    if let Some(by) = ctx.user_ref() {
        let event = EventKind::ApprovalAnswered { call_id: call_id.to_owned(), decision: request.decision, by };
        store::events::append(&mut tx, Stream::Turn(id), ctx.now(), vec![event]).await?;
    }
    let decision = json!({ "turn": id, "decision": request.decision, "remembered": request.remember.is_some() });
    let facts = Facts::about("tool", call_id, asked.name.clone()).in_project(row.project_id).with(decision);
    audit::record(ctx, &mut tx, AuditAction::ApprovalDecided, facts);
    let others_wait = approvals.iter().any(|approval| approval.call_id != call_id && approval.decision.is_none());
    if !others_wait && row.state.0 == TurnState::Waiting {
        resume(ctx, &mut tx, &row).await?;
    }
    ctx.commit(tx).await
}

pub async fn add_usage(ctx: &Ctx, id: TurnId, usage: TokenUsage) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    jobs::check_claim(ctx, &mut tx).await?;
    table::add_usage(&mut tx, id, usage).await?;
    let event = EventKind::Usage { input: usage.input, output: usage.output, cached: usage.cached, cost_micros: 0, estimated: false };
    store::events::append(&mut tx, Stream::Turn(id), ctx.now(), vec![event]).await?;
    ctx.commit(tx).await
}
