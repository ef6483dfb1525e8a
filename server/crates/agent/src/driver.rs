//! Carries out what the machine decides for one turn: asks the model, runs tools, writes everything down as it happens.

mod call;
mod ending;
mod grounds;
mod journal;
mod past;
mod prepare;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use domain::{
    Ctx, Error, budgets, chat,
    context::Situation,
    models::{self, ResolvedModel},
    permissions, runs,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use llm::Model;
use sandbox::{Sandbox, Workspaces};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::{
    TurnId, UserId,
    chat::{Message, MessageBody, ToolCall, Turn, TurnReason},
    permissions::Hidden,
};

use self::{journal::Journal, prepare::Prepared};
use crate::{
    branch::Branch,
    fsm::{Effect, Event, Machine, ToolResult},
    models::Pool,
    tools::{self, Foreign, ToolCtx, run_command::Runner, web_fetch},
    workspace::SyncError,
};

/// How long a turn may work, waiting for people not counted.
const WORK_MAX: Duration = Duration::from_secs(3600);

/// What turns work with; one per worker.
#[derive(Clone)]
pub struct Deps {
    pub models: Arc<Pool>,
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
    /// The turn had ended already, waits for people or is another job's; nothing was done.
    NotOurs,
}

/// Takes a turn up, new or where an earlier job left it, and drives it until it ends or waits for a person.
///
/// `ctx` acts as the agent. `cancel` is a stop by a person: everything that runs is ended, what was done so far becomes the change set,
/// and the turn ends as stopped. To give a turn up without ending it (a lost lease, a shutdown) drop the future: processes are killed, and
/// the next job goes on from the transcript. An `Err` leaves the turn unfinished, to be taken up again.
pub async fn run_turn(ctx: Ctx, deps: Deps, turn: TurnId, cancel: CancellationToken) -> Result<Outcome, Error> {
    // A task is as large as the largest thing it ever waits for. What takes much room and little time is boxed, here and where it is done,
    // so that a turn costs little while its model writes.
    match Box::pin(begin(ctx, deps, turn, cancel)).await? {
        Begun::Driving(driver) => driver.drive().await,
        Begun::Over(outcome) => Ok(outcome),
    }
}

enum Begun {
    Driving(Box<Driver>),
    Over(Outcome),
}

async fn begin(ctx: Ctx, deps: Deps, turn: TurnId, cancel: CancellationToken) -> Result<Begun, Error> {
    let user = ctx.require_user()?.id;
    let Some(mut work) = chat::take_up_turn(&ctx, turn).await? else { return Ok(Begun::Over(Outcome::NotOurs)) };
    let mut worked = Duration::ZERO;
    if work.resumed {
        runs::mark_lost_in_turn(&ctx, turn).await?;
        budgets::settle_lost(&ctx, turn).await?;
        worked = past::worked(&ctx, turn).await?;
    }
    if work.stop_requested {
        cancel.cancel();
    }
    let project = work.turn.project_id;
    let branch = Branch::new(deps.workspaces.clone(), project, turn);
    let place = async {
        let prepared = tokio::select! {
            prepared = prepare::prepare_branch(&ctx, &deps, &branch, &work) => prepared?,
            () = cancel.cancelled() => Prepared { base_revision: work.base_revision, journal: None, lost: None },
        };
        // After the branch: servers that are commands look at the project as it is below it.
        let servers = prepare::connect_servers(&ctx, &deps, &work, &cancel).await.map_err(SyncError::Domain)?;
        Ok((prepared, servers))
    };
    // None of these waits for another, and a person waits for all of them.
    let (place, rules, web, model) = tokio::join!(
        place,
        permissions::rules(&ctx, project),
        web_fetch::is_open(&ctx, project),
        models::resolve(&ctx, Some(call::answering(&work.turn, &work.messages))),
    );
    let (prepared, (foreign, unreachable)) = match place {
        Ok(place) => place,
        Err(SyncError::Domain(error)) => return Err(error),
        Err(error) => {
            tracing::error!(turn.id = %turn, %error, "a turn's branch could not be made");
            return ending::end(&ctx, turn, TurnReason::Failed, error.sentence()).await.map(Begun::Over);
        }
    };
    // The machine has to know of it too: a turn that had just ended goes on where what it made is gone.
    work.messages.extend(prepared.lost);
    let machine = prepare::build_machine(&work, rules?, foreign.as_ref(), web?);
    let mut driver = Driver {
        machine,
        transcript: work.messages,
        turn: work.turn,
        user,
        base_revision: prepared.base_revision,
        answer_max: work.max_tokens,
        temperature: work.temperature,
        journal: prepared.journal,
        started_calls: work.started_calls,
        ctx,
        deps,
        branch,
        foreign,
        resolved: Some(model),
        model: None,
        unusable: None,
        compacts: true,
        told_no_summary: false,
        cancel,
        work: CancellationToken::new(),
        deadline: Instant::now() + WORK_MAX.saturating_sub(worked),
        events: VecDeque::new(),
        answer: None,
        tools: FuturesUnordered::new(),
    };
    if let Some(text) = unreachable {
        driver.append(MessageBody::Note { text }).await?;
    }
    Ok(Begun::Driving(Box::new(driver)))
}

/// The model that answers now, with the connection to it and what all requests to it have in common.
struct Chosen {
    model: ResolvedModel,
    client: Arc<dyn Model>,
    situation: Situation,
}

struct Driver {
    ctx: Ctx,
    deps: Deps,
    turn: Turn,
    /// Who pays.
    user: UserId,
    base_revision: i64,
    /// Tokens that the message allows each answer.
    answer_max: Option<i64>,
    /// In place of the model's own.
    temperature: Option<f32>,
    branch: Branch,
    /// `None` where there is no branch.
    journal: Option<Journal>,
    /// Calls that had begun when the turn was taken up.
    started_calls: Vec<String>,
    foreign: Option<Arc<dyn Foreign>>,
    /// What was found for the first answer; `None` once that was asked for.
    resolved: Option<Result<ResolvedModel, Error>>,
    /// `None` until the first answer is asked for.
    model: Option<Chosen>,
    /// What was found and can't be asked at all.
    unusable: Option<ResolvedModel>,
    /// The conversation may still be summed up; no longer once that has failed.
    compacts: bool,
    /// The person was told why there is no summary although they asked for one.
    told_no_summary: bool,
    /// The whole conversation, with all that this turn has added.
    transcript: Vec<Message>,
    machine: Machine,
    /// A person stops the turn.
    cancel: CancellationToken,
    /// Ends the answer and the tools that are going on.
    work: CancellationToken,
    /// The turn has then worked as long as a turn may.
    deadline: Instant,
    events: VecDeque<Event>,
    answer: Option<BoxFuture<'static, Result<Event, Error>>>,
    tools: FuturesUnordered<BoxFuture<'static, Result<ToolResult, Error>>>,
}

impl Driver {
    async fn drive(mut self: Box<Self>) -> Result<Outcome, Error> {
        let mut stopping = self.cancel.is_cancelled();
        let mut is_late = false;
        self.events.push_back(if stopping { Event::StopRequested } else { Event::Begin });
        loop {
            while let Some(event) = self.events.pop_front() {
                Box::pin(self.renew_grounds(&event)).await?;
                for effect in self.machine.handle(event) {
                    if let Some(outcome) = Box::pin(self.carry_out(effect)).await? {
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
                () = sleep_until(self.deadline), if !is_late => {
                    is_late = true;
                    self.events.push_back(Event::TimeUp);
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
            Effect::CallModel(call) => self.call_model(&call).await?,
            Effect::SwitchModel { .. } => self.switch_model().await?,
            Effect::RunTool(call) => self.run_tool(call),
            Effect::AskApproval(questions) => {
                let calls: Vec<ToolCall> = questions.into_iter().map(|question| question.call).collect();
                self.close_servers().await;
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
        if let Some(journal) = &mut self.journal
            && journal.note(&body)
            && let Err(error) = journal.keep(&self.branch).await
        {
            // Only a turn that is taken up again here would find its branch unknown, and begin anew on another.
            tracing::warn!(turn.id = %self.turn.id, %error, "a branch's journal could not be kept");
        }
        self.transcript.push(chat::append_message(&self.ctx, self.turn.id, body).await?);
        Ok(())
    }

    /// Nothing of a server that is a command outlives the time that somebody drives the turn.
    async fn close_servers(&mut self) {
        if let Some(foreign) = &self.foreign {
            foreign.close().await;
        }
    }

    /// Takes the backup for the model that failed.
    async fn switch_model(&mut self) -> Result<(), Error> {
        let Some(failed) = self.model.take().map(|chosen| chosen.model).or_else(|| self.unusable.take()) else {
            self.events.push_back(Event::NoOtherModel);
            return Ok(());
        };
        let other = match self.deps.models.backup(&self.ctx, &failed).await? {
            Some((model, client)) => Some(self.situate(model, client).await?),
            None => None,
        };
        self.events.push_back(match &other {
            Some(other) => {
                tracing::info!(turn.id = %self.turn.id, from = failed.name, to = other.model.name, "a turn goes on with the backup model");
                Event::ModelSwitched { from: failed.name.clone(), to: other.model.name.clone() }
            }
            None => Event::NoOtherModel,
        });
        self.model = other;
        Ok(())
    }

    fn run_tool(&mut self, call: ToolCall) {
        let runner =
            Runner { ctx: self.ctx.clone(), sandbox: self.deps.sandbox.clone(), turn: self.turn.id, project: self.turn.project_id };
        // Who looks for a file in vain is told names as a list tells them.
        let shown_by = if call.name == "search" { "search" } else { "list_files" };
        let branch = self.branch.hiding(Hidden::of(self.machine.permissions(), &[call.name.as_str(), shown_by]));
        let ctx = ToolCtx { branch, cancel: self.work.clone(), runner: Some(runner), foreign: self.foreign.clone() };
        self.tools.push(async move { tools::run(&ctx, &call).await }.boxed());
    }
}
