//! Commands in the sandbox: a row says what was asked for, a stream of events what became of it.

mod output;
mod start;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Signal, runs as table};
use wire::{
    JobId, Page, ProjectId, RunId, TurnId,
    audit::AuditAction,
    event::{EventKind, Stream},
    projects::ProjectRole,
    runs::{Exit, ExitKind, Run, RunChange, RunKind, RunState, RunUsage},
};

pub use self::{
    output::{OutputChunk, append_output, noted, output_page, output_start, ports_changed, sampled, stored_output},
    start::{start, start_in_turn},
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    jobs, measure, projects,
};

/// How long a stop waits for the end to be written before it answers with what is known.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often the end is looked for in the database: a worker elsewhere need not share this process's bus.
const STOP_LOOK: Duration = Duration::from_millis(150);
/// Runs of a page, where the caller names no number.
const PAGE: i64 = 50;
const LIST: &str = "runs";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunJob {
    pub run_id: RunId,
}

/// The newest first, as many as a page shows.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Vec<Run>> {
    Ok(page(ctx, project, None, None).await?.items)
}

/// The newest first, after `cursor`: what an earlier page named as its next.
pub async fn page(ctx: &Ctx, project: ProjectId, limit: Option<i64>, cursor: Option<&str>) -> Result<Page<Run>> {
    let limit = crate::page::check_limit(limit, PAGE)?;
    let before = cursor.map(|cursor| crate::page::read_cursor(LIST, cursor)).transpose()?;
    let before = before.map(|(at, id)| table::Position { created_at: wire::Micros(at), id });
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    part(&mut conn, project, limit, before).await
}

/// As [`list`], for who has been found to be allowed to see them.
pub(crate) async fn newest(conn: &mut store::Conn, project: ProjectId) -> Result<Vec<Run>> {
    Ok(part(conn, project, PAGE, None).await?.items)
}

async fn part(conn: &mut store::Conn, project: ProjectId, limit: i64, before: Option<table::Position>) -> Result<Page<Run>> {
    let rows = table::list(conn, project, before, limit + 1).await?;
    let page = crate::page::cut(rows, limit, LIST, |row| (row.created_at.0, row.id));
    let mut page = crate::page::map(page, table::RunRow::into_run);
    tell_turns(conn, project, &mut page.items).await?;
    Ok(page)
}

/// Adds what codegen runs stand for, and what they propose. The newest run comes first.
async fn tell_turns(conn: &mut store::Conn, project: ProjectId, runs: &mut [Run]) -> Result<()> {
    let mut of_people = runs.iter().filter(|run| run.is_prompt());
    let Some(newest) = of_people.next().map(|run| run.created_at) else { return Ok(()) };
    let oldest = of_people.next_back().map_or(newest, |run| run.created_at);
    for (id, turn, change_set) in store::codegen::turns_between(conn, project, oldest, newest).await? {
        if let Some(run) = runs.iter_mut().find(|run| run.id == id) {
            run.codegen_turn = Some(turn);
            run.change_set_id = change_set;
        }
    }
    Ok(())
}

/// One run, with the cases of its tests.
pub async fn get(ctx: &Ctx, id: RunId) -> Result<Run> {
    let mut run = row(ctx, id, ProjectRole::Viewer).await?.into_run();
    if run.tests.is_some() {
        run.tests = table::report(&mut ctx.services().db.read().await?, id).await?;
    }
    if run.is_prompt() {
        let turn = store::codegen::turn_of(&mut ctx.services().db.read().await?, id).await?;
        run.codegen_turn = turn.map(|(turn, _)| turn);
        run.change_set_id = turn.and_then(|(_, change_set)| change_set);
    }
    Ok(run)
}

/// The variables a run was given. Kept out of [`Run`]: they may hold what only its runner should see.
pub async fn env(ctx: &Ctx, id: RunId) -> Result<BTreeMap<String, String>> {
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

fn stopped_before_it_started() -> Exit {
    let sentence = "Stopped before it started.".to_owned();
    Exit { kind: ExitKind::Cancelled, code: None, signal: None, sentence, left_alive: 0 }
}

/// Stops a run. Answers when nothing of it is left alive, or after five seconds with its state then.
pub async fn cancel(ctx: &Ctx, id: RunId) -> Result<Run> {
    let run = row(ctx, id, ProjectRole::Editor).await?;
    if run.kind.0 == RunKind::Terminal {
        crate::terminals::close(ctx, id).await?;
        return get(ctx, id).await;
    }
    if run.state.0.is_finished() {
        return get(ctx, id).await;
    }
    let turn = store::codegen::turn_of(&mut ctx.services().db.read().await?, id).await?;
    if let Some((turn, _)) = turn {
        crate::chat::stop_turn(ctx, turn).await?;
        return get(ctx, id).await;
    }
    let mut events = ctx.services().bus.subscribe(&[Stream::Run(id)]).await;
    let mut tx = ctx.services().db.begin().await?;
    let has_not_begun = match run.job_id {
        Some(job) => jobs::request_cancel(ctx, &mut tx, job).await? == Some(wire::jobs::JobState::Cancelled),
        None => table::state(&mut tx, id).await? == Some(RunState::Queued),
    };
    if has_not_begun {
        end(ctx, &mut tx, &run, RunState::Cancelled, stopped_before_it_started(), RunUsage::default(), Vec::new()).await?;
    }
    ctx.commit(tx).await?;
    let signals = &ctx.services().signals;
    if let Some(job) = run.job_id {
        signals.cancel(job.0);
    }
    signals.cancel(id.0);
    let waiting = async {
        while !table::state(&mut ctx.services().db.read().await?, id).await?.is_none_or(RunState::is_finished) {
            let look_at = tokio::time::sleep(STOP_LOOK);
            tokio::pin!(look_at);
            loop {
                tokio::select! {
                    () = &mut look_at => break,
                    signal = events.next() => match signal {
                        // What it still prints is no reason to ask the database.
                        Some(Signal::Event(event)) if !event.kind.is_terminal() => {}
                        _ => break,
                    },
                }
            }
        }
        Ok::<_, Error>(())
    };
    if let Ok(done) = tokio::time::timeout(STOP_PATIENCE, waiting).await {
        done?;
    }
    get(ctx, id).await
}

/// Takes a finished run away with everything it printed and found. There is no way back.
pub async fn delete(ctx: &Ctx, id: RunId) -> Result<()> {
    let run = row(ctx, id, ProjectRole::Editor).await?;
    let mut tx = ctx.services().db.begin().await?;
    if !table::delete(&mut tx, id).await? {
        return Err(Error::conflict("This run has not ended. Stop it first."));
    }
    let changed = EventKind::RunChanged { run_id: id, state: run.state.0 };
    store::events::append(&mut tx, Stream::Project(run.project_id), ctx.now(), vec![changed]).await?;
    ctx.commit(tx).await
}

/// Marks a run as started in a sandbox tier. `Conflict` when it has ended meanwhile, or somebody asked to stop it.
pub async fn begin(ctx: &Ctx, id: RunId, tier: &str) -> Result<Run> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    // A stop that came after the job was claimed and before it could be signalled shows only here.
    let is_asked_to_stop = match row.job_id {
        Some(job) => store::jobs::get(&mut tx, job).await?.is_some_and(|found| found.job.cancel_requested),
        None => false,
    };
    if is_asked_to_stop || !table::mark_started(&mut tx, id, tier, ctx.now()).await? {
        return Err(Error::conflict("This run was ended before it started."));
    }
    store::events::append(&mut tx, Stream::Run(id), ctx.now(), vec![EventKind::RunStarted { tier: tier.to_owned() }]).await?;
    let changed = EventKind::RunChanged { run_id: id, state: RunState::Running };
    store::events::append(&mut tx, Stream::Project(row.project_id), ctx.now(), vec![changed]).await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("run"))?;
    note_start(ctx, &mut tx, &row, tier);
    ctx.commit(tx).await?;
    Ok(row.into_run())
}

/// Puts a start into the audit log. Not the command: it may hold anything.
pub(crate) fn note_start(ctx: &Ctx, tx: &mut store::Tx, row: &table::RunRow, tier: &str) {
    let limits = &row.limits_json.0;
    let details = json!({
        "turn": row.turn_id,
        "tier": tier,
        "network": row.network.0,
        "wall_s": limits.wall_s,
        "memory_bytes": limits.memory_bytes,
    });
    audit::record(ctx, tx, AuditAction::RunStarted, facts_of(row).with(details));
}

/// And an end that a limit made.
pub(crate) fn note_limit(ctx: &Ctx, tx: &mut store::Tx, row: &table::RunRow, exit: &Exit) {
    if measure::is_limit(exit.kind) {
        audit::record(ctx, tx, AuditAction::RunLimited, facts_of(row).with(json!({ "turn": row.turn_id, "limit": exit.kind })));
    }
}

fn facts_of(row: &table::RunRow) -> Facts {
    Facts::about("run", row.id, measure::word(&row.kind.0)).in_project(row.project_id)
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

/// Ends a run in the transaction of what it stands for.
pub(crate) async fn end_in(ctx: &Ctx, tx: &mut store::Tx, id: RunId, state: RunState, exit: Exit, usage: RunUsage) -> Result<()> {
    let row = table::get(tx, id).await?.ok_or(Error::NotFound("run"))?;
    end(ctx, tx, &row, state, exit, usage, Vec::new()).await
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
    measure::run_ended(row, &exit, &usage);
    note_limit(ctx, tx, row, &exit);
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
