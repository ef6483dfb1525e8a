//! Carries out what the machine decides for one turn: asks the model, runs tools, writes everything down as it happens.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use domain::{
    Ctx, Error,
    chat::{self, TurnWork},
    files, runs,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use llm::{Model, ModelRequest};
use sandbox::{Sandbox, WorkspaceError, Workspaces};
use tokio_util::sync::CancellationToken;
use wire::{
    TurnId,
    chat::{MessageBody, ToolCall, Turn, TurnReason},
    limits,
};

use crate::{
    ask::{ask, estimate_request},
    branch::Branch,
    context,
    fsm::{ApprovalRecord, Effect, Event, History, Machine, ModelCall, Rules, ToolResult},
    prompt,
    tools::{self, ToolCtx, run_command::Runner},
    workspace::{self, SyncError},
};

/// Tokens of one answer.
const ANSWER_MAX: i64 = 8192;
/// An answer with less room than this is not worth asking for.
const ANSWER_MIN: i64 = 256;
/// Where a model does not say how much it can read.
const CONTEXT_TOKENS: i64 = 128_000;
const TEMPERATURE: f32 = 0.2;
const LOST_BRANCH: &str = "The branch of this turn was lost with the worker that held it: whatever earlier tool results of this turn say, none of \
     those edits exist any more. Make them again where they are still needed.";

/// What turns work with; one per worker.
#[derive(Clone)]
pub struct Deps {
    pub models: Arc<llm::Models>,
    pub sandbox: Arc<Sandbox>,
    pub workspaces: Workspaces,
}

/// How the job of a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Finished {
        reason: TurnReason,
        detail: String,
    },
    /// A person is asked; the answer queues another job.
    Waiting,
    /// The turn had ended already; nothing was done.
    AlreadyFinished,
}

/// Takes a turn up, new or where an earlier job left it, and drives it until it ends or waits for a person.
///
/// `ctx` acts as the agent. `cancel` is a stop by a person: everything that runs is ended, what was done so far becomes the change set,
/// and the turn ends as stopped. To give a turn up without ending it (a lost lease, a shutdown) drop the future: processes are killed, and
/// the next job goes on from the transcript. An `Err` leaves the turn unfinished, to be taken up again.
pub async fn run_turn(ctx: Ctx, deps: Deps, turn: TurnId, cancel: CancellationToken) -> Result<Outcome, Error> {
    let Some(work) = chat::take_up_turn(&ctx, turn).await? else { return Ok(Outcome::AlreadyFinished) };
    if work.resumed {
        runs::mark_lost_in_turn(&ctx, turn).await?;
    }
    if work.stop_requested {
        cancel.cancel();
    }
    let model = match deps.models.get(Some(&work.turn.model)) {
        Ok(model) => model,
        Err(error) => return end(&ctx, turn, TurnReason::Failed, error.sentence()).await,
    };
    let branch = Branch::new(deps.workspaces.clone(), work.turn.project_id, turn);
    let prepared = tokio::select! {
        prepared = prepare_branch(&ctx, &deps, &branch, &work) => prepared,
        () = cancel.cancelled() => Ok(Prepared { base_revision: work.base_revision, was_lost: false }),
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(SyncError::Domain(error)) => return Err(error),
        Err(error) => {
            tracing::error!(turn.id = %turn, %error, "a turn's branch could not be made");
            return end(&ctx, turn, TurnReason::Failed, error.sentence()).await;
        }
    };
    let system = system_prompt(&ctx, &work, prepared.base_revision).await?;
    let mut driver = Driver::new(ctx, deps, branch, model, work, &prepared, system, cancel);
    if prepared.was_lost {
        driver.append(MessageBody::Note { text: LOST_BRANCH.to_owned() }).await?;
    }
    driver.drive().await
}

async fn end(ctx: &Ctx, turn: TurnId, reason: TurnReason, detail: String) -> Result<Outcome, Error> {
    chat::finish_turn(ctx, turn, reason, &detail).await?;
    Ok(Outcome::Finished { reason, detail })
}

struct Prepared {
    /// What the branch is compared with.
    base_revision: i64,
    /// Edits of this turn are gone.
    was_lost: bool,
}

/// A branch that exists is left as it is: bringing the checkout below it further would mix other people's changes into it.
async fn prepare_branch(ctx: &Ctx, deps: &Deps, branch: &Branch, work: &TurnWork) -> Result<Prepared, SyncError> {
    if work.resumed && branch.exists().await? {
        return Ok(Prepared { base_revision: work.base_revision, was_lost: false });
    }
    let project = work.turn.project_id;
    let revision = workspace::ensure_checkout(ctx, &deps.workspaces, project).await?;
    chat::set_base_revision(ctx, work.turn.id, revision).await?;
    deps.workspaces.create_branch(project.0, work.turn.id.0).await?;
    let was_lost =
        work.messages.iter().filter(|m| m.turn_id == Some(work.turn.id)).any(
            |m| matches!(&m.body, MessageBody::Tool { name, ok: true, .. } if tools::TOOLS.iter().any(|t| t.name == name && t.mutates)),
        );
    Ok(Prepared { base_revision: revision, was_lost })
}

async fn system_prompt(ctx: &Ctx, work: &TurnWork, revision: i64) -> Result<String, Error> {
    let project = domain::projects::get(ctx, work.turn.project_id).await?;
    let manifest = files::manifest_at(ctx, project.id, revision).await?;
    let is_file = |kind| kind != wire::files::EntryKind::Directory;
    let paths: Vec<String> = manifest.entries.into_iter().filter(|e| is_file(e.kind)).map(|e| e.path).collect();
    Ok(prompt::system(&project.name, work.turn.mode, &paths))
}

fn build_machine(work: &TurnWork) -> Machine {
    let own = work.messages.iter().filter(|m| m.turn_id == Some(work.turn.id));
    let approvals = work.approvals.iter().map(|a| (a.call_id.clone(), ApprovalRecord { decision: a.decision, reason: a.reason.clone() }));
    let history = History {
        messages: own.map(|m| &m.body).collect(),
        approvals: approvals.collect(),
        started: work.started_calls.iter().cloned().collect::<HashSet<_>>(),
        steps: 0,
    };
    let rules = Rules {
        mode: work.turn.mode,
        tools: tools::rules(),
        max_steps: work.budget.steps.unwrap_or(limits::TURN_STEPS_DEFAULT),
        max_tokens: work.budget.tokens,
    };
    Machine::resume(rules, history)
}

struct Driver {
    ctx: Ctx,
    deps: Deps,
    turn: Turn,
    base_revision: i64,
    branch: Branch,
    model: Arc<dyn Model>,
    system: String,
    /// The whole conversation, as the model will be told it.
    transcript: Vec<MessageBody>,
    machine: Machine,
    /// A person stops the turn.
    cancel: CancellationToken,
    /// Ends the answer and the tools that are going on.
    work: CancellationToken,
    events: VecDeque<Event>,
    answer: Option<BoxFuture<'static, Result<Event, Error>>>,
    tools: FuturesUnordered<BoxFuture<'static, Result<ToolResult, Error>>>,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "called once, with what was prepared for this turn")]
    fn new(
        ctx: Ctx,
        deps: Deps,
        branch: Branch,
        model: Arc<dyn Model>,
        work: TurnWork,
        prepared: &Prepared,
        system: String,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            machine: build_machine(&work),
            transcript: work.messages.into_iter().map(|m| m.body).collect(),
            turn: work.turn,
            base_revision: prepared.base_revision,
            ctx,
            deps,
            branch,
            model,
            system,
            cancel,
            work: CancellationToken::new(),
            events: VecDeque::new(),
            answer: None,
            tools: FuturesUnordered::new(),
        }
    }

    async fn drive(mut self) -> Result<Outcome, Error> {
        let mut stopping = self.cancel.is_cancelled();
        self.events.push_back(if stopping { Event::StopRequested } else { Event::Begin });
        loop {
            while let Some(event) = self.events.pop_front() {
                for effect in self.machine.handle(event) {
                    if let Some(outcome) = self.carry_out(effect).await? {
                        return Ok(outcome);
                    }
                }
            }
            if self.answer.is_none() && self.tools.is_empty() {
                return Err(Error::internal(format!("turn {} has nothing to wait for in state {:?}", self.turn.id, self.machine.state())));
            }
            let has_tools = !self.tools.is_empty();
            tokio::select! {
                () = self.cancel.cancelled(), if !stopping => {
                    stopping = true;
                    self.events.push_back(Event::StopRequested);
                }
                Some(event) = OptionFuture::from(self.answer.as_mut()) => {
                    self.answer = None;
                    self.events.push_back(event?);
                }
                Some(result) = self.tools.next(), if has_tools => self.events.push_back(Event::ToolFinished(result?)),
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<Option<Outcome>, Error> {
        match effect {
            Effect::CallModel(call) => self.call_model(&call),
            Effect::RunTool(call) => self.run_tool(call),
            Effect::AskApproval(calls) => {
                chat::ask_approval(&self.ctx, self.turn.id, &calls).await?;
                return Ok(Some(Outcome::Waiting));
            }
            Effect::AppendMessage(body) => self.append(body).await?,
            Effect::BookUsage(usage) => chat::add_usage(&self.ctx, self.turn.id, usage).await?,
            Effect::Emit(kinds) => chat::emit(&self.ctx, self.turn.id, kinds).await?,
            Effect::CancelAll => self.work.cancel(),
            Effect::Finish { reason, detail } => return self.finish(reason, detail).await.map(Some),
        }
        Ok(None)
    }

    async fn append(&mut self, body: MessageBody) -> Result<(), Error> {
        chat::append_message(&self.ctx, self.turn.id, body.clone()).await?;
        self.transcript.push(body);
        Ok(())
    }

    fn call_model(&mut self, call: &ModelCall) {
        let window = self.model.describe().context_tokens.map_or(CONTEXT_TOKENS, i64::from);
        let answer = ANSWER_MAX.min(window / 4);
        // Three bytes a token, as everywhere here.
        let room = usize::try_from((window - answer).max(0) * 3).unwrap_or(usize::MAX);
        let bodies: Vec<&MessageBody> = self.transcript.iter().collect();
        let mut request = ModelRequest {
            model: String::new(),
            system: self.system.clone(),
            messages: context::to_model(&bodies, room.saturating_sub(self.system.len())),
            tools: tools::specs(&call.tools),
            max_tokens: 0,
            temperature: TEMPERATURE,
        };
        // The worst case must fit before anything is sent.
        let most = match call.tokens_left {
            Some(left) => answer.min(left - estimate_request(&request)),
            None => answer,
        };
        if most < ANSWER_MIN {
            self.events.push_back(Event::BudgetTooSmall);
            return;
        }
        request.max_tokens = u32::try_from(most).unwrap_or(u32::MAX);
        let asked = ask(self.ctx.clone(), self.turn.id, self.model.clone(), request, self.work.clone());
        self.answer = Some(asked.boxed());
    }

    fn run_tool(&mut self, call: ToolCall) {
        let runner =
            Runner { ctx: self.ctx.clone(), sandbox: self.deps.sandbox.clone(), turn: self.turn.id, project: self.turn.project_id };
        let ctx = ToolCtx { branch: self.branch.clone(), cancel: self.work.clone(), runner: Some(runner) };
        self.tools.push(async move { tools::run(&ctx, &call).await }.boxed());
    }

    /// Nothing of the turn is running any more: keeps what it made, forgets the branch, ends.
    async fn finish(&mut self, reason: TurnReason, mut detail: String) -> Result<Outcome, Error> {
        let (project, turn) = (self.turn.project_id, self.turn.id);
        let mut note = None;
        match workspace::branch_to_change_set(&self.ctx, &self.deps.workspaces, &self.turn, self.base_revision).await {
            Ok(collected) => {
                if !collected.left_out.is_empty() {
                    let text = describe_left_out(&collected.left_out);
                    detail = format!("{detail} {text}");
                    note = Some(MessageBody::Note { text });
                }
            }
            // Stopped before there was one.
            Err(SyncError::Workspace(WorkspaceError::NoBranch)) => {}
            Err(SyncError::Domain(error)) => return Err(error),
            Err(SyncError::Workspace(error)) => {
                tracing::error!(turn.id = %turn, %error, "a turn's changes could not be collected");
                detail = format!("{detail} Its changes could not be collected ({error}); the project is as it was before.");
            }
        }
        if let Err(error) = self.deps.workspaces.drop_branch(project.0, turn.0).await {
            tracing::warn!(turn.id = %turn, %error, "a branch that is no longer needed could not be removed");
        }
        let outcome = end(&self.ctx, turn, reason, detail).await?;
        // Behind the end: a note before it would tell a rebuilt machine that the turn is to go on.
        if let Some(note) = note {
            self.append(note).await?;
        }
        Ok(outcome)
    }
}

fn describe_left_out(left_out: &[(String, &'static str)]) -> String {
    let shown: Vec<String> = left_out.iter().take(5).map(|(path, why)| format!("{path} ({why})")).collect();
    let more = if left_out.len() > shown.len() { format!(" and {} more", left_out.len() - shown.len()) } else { String::new() };
    format!("Not part of the proposal: {}{more}.", shown.join(", "))
}
