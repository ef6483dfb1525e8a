//! A turn without a conversation to look at: a prompt and a project in, a change set out. A run stands for it, so that it is listed,
//! followed and stopped as any other. Its conversation is in no list.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use store::{Tx, chat as table, codegen as links};
use wire::{
    ConversationId, FieldError, ProjectId, RunId, TurnId,
    chat::{MessageBody, TurnReason},
    event::{EventKind, OutputChannel, Stream},
    projects::ProjectRole,
    runs::{Exit, ExitKind, Run, RunNetwork, RunState, RunUsage, StartRun},
};

use super::{lock_conversation, turns};
use crate::{Ctx, Error, Result, projects, runs, settings};

/// Nobody is there to be asked.
pub(super) const NOBODY_TO_ASK: &str = "Nobody can be asked in a codegen run.";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CodegenJob {
    pub run_id: RunId,
    pub turn_id: TurnId,
}

/// Queues a prompt for the agent. Errors: as a turn's.
pub async fn start(ctx: &Ctx, project: ProjectId, request: StartRun) -> Result<Run> {
    let user = ctx.require_user()?.id;
    if ctx.agent_turn().is_some() {
        return Err(Error::Forbidden("Only people begin turns of the agent.".to_owned()));
    }
    let turn = request.to_turn();
    let fields = check(&request);
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let limits = settings::load(&mut conn).await?.limits(request.kind).clone();
    drop(conn);
    let (run_id, conversation): (RunId, ConversationId) = (ctx.new_id(), ctx.new_id());
    let prepared = turns::prepare(ctx, project, &turn).await?.of_run(run_id);
    let mut tx = ctx.services().db.begin().await?;
    table::insert_conversation(&mut tx, conversation, project, user, "", ctx.now()).await?;
    let row = lock_conversation(ctx, &mut tx, conversation, ProjectRole::Editor).await?;
    let turn_id = turns::begin(ctx, &mut tx, &row, user, &turn, prepared, Vec::new()).await?;
    let job_id = table::turn(&mut tx, turn_id).await?.and_then(|row| row.job_id);
    let new = store::runs::NewRun {
        id: run_id,
        project_id: project,
        user_id: user,
        turn_id: None,
        job_id,
        kind: request.kind,
        command: &request.command,
        cwd: "",
        env: &request.env,
        limits: &limits,
        network: RunNetwork::None,
        only: &[],
        at: ctx.now(),
    };
    store::runs::insert(&mut tx, &new).await?;
    links::insert(&mut tx, run_id, turn_id).await?;
    store::events::append(&mut tx, Stream::Run(run_id), ctx.now(), vec![EventKind::RunQueued {}]).await?;
    let changed = EventKind::RunChanged { run_id, state: RunState::Queued };
    store::events::append(&mut tx, Stream::Project(project), ctx.now(), vec![changed]).await?;
    ctx.commit(tx).await?;
    runs::get(ctx, run_id).await
}

fn check(request: &StartRun) -> Vec<FieldError> {
    let mut fields = request.validate_prompt();
    let mut refuse = |is_given: bool, name: &str| {
        if is_given {
            fields.push(FieldError::new(name, "A codegen run has no such thing: its command is a prompt."));
        }
    };
    refuse(request.cwd.is_some(), "cwd");
    refuse(!request.env.is_empty(), "env");
    refuse(!request.only.is_empty(), "only");
    refuse(request.network == Some(RunNetwork::AllowList), "network");
    refuse(request.timeout_s.is_some(), "timeout_s");
    fields
}

/// Marks the run of a turn as started; nothing for turns of conversations, and for those that were taken up before.
pub async fn begin_run(ctx: &Ctx, turn: TurnId) -> Result<()> {
    let Some(run) = links::run_of(&mut ctx.services().db.read().await?, turn).await? else { return Ok(()) };
    match runs::begin(ctx, run, "agent").await {
        Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends the run that stands for a turn, in the transaction that ends the turn: its output is what the agent said last.
pub(super) async fn turn_ended(ctx: &Ctx, tx: &mut Tx, turn: &table::TurnRow, reason: TurnReason, detail: &str) -> Result<()> {
    let Some(run) = links::run_of(tx, turn.id).await? else { return Ok(()) };
    let (state, kind) = match reason {
        TurnReason::Done => (RunState::Succeeded, ExitKind::Exited),
        TurnReason::Stopped => (RunState::Cancelled, ExitKind::Cancelled),
        TurnReason::Lost => (RunState::Lost, ExitKind::Lost),
        TurnReason::Failed | TurnReason::Budget | TurnReason::Limit => (RunState::Failed, ExitKind::Refused),
    };
    let said = table::messages(tx, turn.conversation_id).await?.into_iter().rev().find_map(|message| match message.body {
        MessageBody::Assistant { text, .. } if !text.is_empty() => Some(text),
        _ => None,
    });
    let text = said.unwrap_or_default();
    if !text.is_empty() {
        let data = STANDARD.encode(&text);
        let output = EventKind::Output { channel: OutputChannel::Stdout, offset: 0, data };
        store::events::append(tx, Stream::Run(run), ctx.now(), vec![output]).await?;
    }
    let code = (reason == TurnReason::Done).then_some(0);
    let exit = Exit { kind, code, signal: None, sentence: detail.to_owned(), left_alive: 0 };
    let wall_ms = ctx.now().millis_since(turn.started_at.unwrap_or(turn.created_at));
    let usage = RunUsage { wall_ms, output_bytes: text.len() as i64, ..RunUsage::default() };
    runs::end_in(ctx, tx, run, state, exit, usage).await
}

/// Whether nobody watches this turn who could answer.
pub(super) async fn is_codegen(tx: &mut Tx, turn: TurnId) -> Result<bool> {
    Ok(links::run_of(tx, turn).await?.is_some())
}
