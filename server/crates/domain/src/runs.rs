use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::runs as table;
use wire::{
    JobId, ProjectId, RunId, TurnId,
    event::{EventKind, OutputChannel, Stream},
    limits,
    projects::ProjectRole,
    runs::{Exit, ExitKind, Run, RunChange, RunLimits, RunState, RunUsage, StartRun},
};

use crate::{Ctx, Error, Result, jobs, live, projects};

/// How long a stop waits for the end to be written before it answers with what is known.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunJob {
    pub run_id: RunId,
}

/// A piece of what a run printed; `offset` counts bytes of the whole run.
#[derive(Debug, Clone)]
pub struct OutputChunk {
    pub channel: OutputChannel,
    pub offset: i64,
    pub data: Bytes,
}

/// What a run may use; the same for everyone until an administrator says otherwise.
fn limits_for(request: &StartRun) -> RunLimits {
    RunLimits {
        wall_s: request.timeout_s.unwrap_or(limits::RUN_TIMEOUT_DEFAULT_S),
        memory_bytes: 2 << 30,
        pids: 256,
        output_bytes: 64 << 20,
    }
}

/// Queues a command. Running code takes the same right as editing: it may change files.
pub async fn start(ctx: &Ctx, project: ProjectId, request: StartRun) -> Result<Run> {
    insert(ctx, project, request, None).await
}

/// The agent's command: a row like any other run, executed by the turn's own job on the turn's branch.
pub async fn start_in_turn(ctx: &Ctx, turn: TurnId, project: ProjectId, request: StartRun) -> Result<Run> {
    insert(ctx, project, request, Some(turn)).await
}

async fn insert(ctx: &Ctx, project: ProjectId, request: StartRun, turn: Option<TurnId>) -> Result<Run> {
    let user = ctx.require_user()?;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let id: RunId = ctx.new_id();
    let limits = limits_for(&request);
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let job_id = match turn {
        Some(_) => None,
        None => Some(jobs::enqueue(ctx, &mut tx, jobs::JobKind::SandboxExec, Some(project), &RunJob { run_id: id }).await?),
    };
    let cwd = request.cwd.as_deref().filter(|cwd| *cwd != ".").unwrap_or("");
    let new = table::NewRun {
        id,
        project_id: project,
        user_id: user.id,
        turn_id: turn,
        job_id,
        kind: request.kind,
        command: &request.command,
        cwd,
        env: &request.env,
        limits: &limits,
        at: ctx.now(),
    };
    table::insert(&mut tx, &new).await?;
    let changed = EventKind::RunChanged { run_id: id, state: RunState::Queued };
    store::events::append(&mut tx, Stream::Run(id), ctx.now(), vec![EventKind::RunQueued {}]).await?;
    store::events::append(&mut tx, Stream::Project(project), ctx.now(), vec![changed]).await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    ctx.commit(tx).await?;
    Ok(row.into_run())
}

/// The newest first.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Vec<Run>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(table::list(&mut conn, project, 100).await?.into_iter().map(table::RunRow::into_run).collect())
}

pub async fn get(ctx: &Ctx, id: RunId) -> Result<Run> {
    Ok(row(ctx, id, ProjectRole::Viewer).await?.into_run())
}

/// The variables a run was given. Kept out of [`Run`]: they may hold what only its runner should see.
pub async fn env(ctx: &Ctx, id: RunId) -> Result<std::collections::BTreeMap<String, String>> {
    Ok(row(ctx, id, ProjectRole::Editor).await?.env.0)
}

async fn row(ctx: &Ctx, id: RunId, needed: ProjectRole) -> Result<table::RunRow> {
    let mut conn = ctx.services().db.read().await?;
    let row = table::get(&mut conn, id).await?.ok_or(Error::NotFound("run"))?;
    projects::require(ctx, &mut conn, row.project_id, needed).await.map_err(|error| match error {
        Error::NotFound(_) => Error::NotFound("run"),
        other => other,
    })?;
    Ok(row)
}

/// Stops a run. Answers when nothing of it is left alive, or after five seconds with its state then.
pub async fn cancel(ctx: &Ctx, id: RunId) -> Result<Run> {
    let run = row(ctx, id, ProjectRole::Editor).await?;
    if run.state.0.is_finished() {
        return Ok(run.into_run());
    }
    let mut ended = ctx.services().bus.subscribe(&[Stream::Run(id)]).await;
    let signals = &ctx.services().signals;
    if let Some(job) = run.job_id {
        let mut tx = ctx.services().db.begin().await?;
        let state = jobs::request_cancel(ctx, &mut tx, job).await?;
        if state == Some(wire::jobs::JobState::Cancelled) {
            let exit = Exit {
                kind: ExitKind::Cancelled,
                code: None,
                signal: None,
                sentence: "Stopped before it started.".to_owned(),
                left_alive: 0,
            };
            end(ctx, &mut tx, &run, RunState::Cancelled, exit, RunUsage::default(), Vec::new()).await?;
        }
        ctx.commit(tx).await?;
        signals.cancel(job.0);
    }
    signals.cancel(id.0);
    let waiting = async {
        while !get(ctx, id).await?.state.is_finished() {
            ended.next().await;
        }
        Ok::<_, Error>(())
    };
    if let Ok(done) = tokio::time::timeout(STOP_PATIENCE, waiting).await {
        done?;
    }
    get(ctx, id).await
}

/// Marks a run as started in a sandbox tier. `Conflict` when it has ended meanwhile.
pub async fn begin(ctx: &Ctx, id: RunId, tier: &str) -> Result<Run> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    if !table::mark_started(&mut tx, id, tier, ctx.now()).await? {
        return Err(Error::conflict("This run has ended before it started."));
    }
    store::events::append(&mut tx, Stream::Run(id), ctx.now(), vec![EventKind::RunStarted { tier: tier.to_owned() }]).await?;
    let changed = EventKind::RunChanged { run_id: id, state: RunState::Running };
    store::events::append(&mut tx, Stream::Project(row.project_id), ctx.now(), vec![changed]).await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    ctx.commit(tx).await?;
    Ok(row.into_run())
}

/// Writes output to the run's log. The caller waits, and so does the process that prints: that is the back-pressure.
pub async fn append_output(ctx: &Ctx, id: RunId, chunks: Vec<OutputChunk>) -> Result<()> {
    let kinds = chunks
        .into_iter()
        .map(|chunk| EventKind::Output { channel: chunk.channel, offset: chunk.offset, data: STANDARD.encode(&chunk.data) })
        .collect();
    let mut tx = ctx.services().db.begin().await?;
    store::events::append(&mut tx, Stream::Run(id), ctx.now(), kinds).await?;
    ctx.commit(tx).await
}

/// Ends a run, once: whoever comes second changes nothing.
pub async fn finish(ctx: &Ctx, id: RunId, state: RunState, exit: Exit, usage: RunUsage, changes: Vec<RunChange>) -> Result<Run> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    end(ctx, &mut tx, &row, state, exit, usage, changes).await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    ctx.commit(tx).await?;
    Ok(row.into_run())
}

async fn end(
    ctx: &Ctx,
    tx: &mut store::Tx,
    row: &table::RunRow,
    state: RunState,
    exit: Exit,
    usage: RunUsage,
    changes: Vec<RunChange>,
) -> Result<()> {
    if !table::mark_finished(tx, row.id, state, &exit, &usage, &changes, ctx.now()).await? {
        return Ok(());
    }
    store::events::append(tx, Stream::Run(row.id), ctx.now(), vec![EventKind::RunFinished { state, exit, usage }]).await?;
    let changed = EventKind::RunChanged { run_id: row.id, state };
    store::events::append(tx, Stream::Project(row.project_id), ctx.now(), vec![changed]).await?;
    Ok(())
}

fn lost() -> Exit {
    Exit {
        kind: ExitKind::Lost,
        code: None,
        signal: None,
        sentence: "Lost: the server was stopped while this ran. Its output up to then is kept; run it again if it is safe to repeat."
            .to_owned(),
        left_alive: 0,
    }
}

/// Tells the end of a run whose worker is gone. `changes` are the files that it is known to have changed until then.
pub async fn mark_lost(ctx: &Ctx, id: RunId, changes: Vec<RunChange>) -> Result<()> {
    finish(ctx, id, RunState::Lost, lost(), RunUsage::default(), changes).await.map(drop)
}

/// Tells the end of a turn's runs that an earlier worker left unfinished.
pub async fn mark_lost_in_turn(ctx: &Ctx, turn: TurnId) -> Result<()> {
    let rows = table::unfinished_of_turn(&mut ctx.services().db.read().await?, turn).await?;
    for row in rows {
        mark_lost(ctx, row.id, Vec::new()).await?;
    }
    Ok(())
}

/// The run that a job stands for.
pub async fn of_job(ctx: &Ctx, job: JobId) -> Result<Option<Run>> {
    Ok(table::by_job(&mut ctx.services().db.read().await?, job).await?.map(table::RunRow::into_run))
}

/// One page of the stored output, from the event after `after` on; empty at the end. Answers the number to go on from.
pub async fn output_after(ctx: &Ctx, id: RunId, after: i64) -> Result<(i64, Vec<u8>)> {
    row(ctx, id, ProjectRole::Viewer).await?;
    let events = live::replay(ctx, Stream::Run(id), after, 256).await?;
    let last = events.last().map_or(after, |event| event.seq);
    let mut bytes = Vec::new();
    for event in events {
        if let EventKind::Output { data, .. } = event.kind {
            bytes.extend(STANDARD.decode(data).map_err(Error::internal)?);
        }
    }
    Ok((last, bytes))
}
