//! What has to be right before a run is queued. A refusal names every field that is wrong and changes nothing.

use store::{Conn, runs as table};
use wire::{
    FieldError, ProjectId, RunId, TurnId,
    event::{EventKind, Stream},
    projects::ProjectRole,
    runs::{Run, RunKind, RunLimits, RunNetwork, RunState, StartRun},
};

use super::RunJob;
use crate::{Ctx, Error, Result, jobs, network, projects, settings, test_reports};

/// Queues a command. Running code takes the same right as editing: it may change files.
pub async fn start(ctx: &Ctx, project: ProjectId, request: StartRun) -> Result<Run> {
    if request.kind == RunKind::Codegen {
        return crate::chat::start_codegen(ctx, project, request).await;
    }
    insert(ctx, project, request, None).await
}

/// The agent's command: a row like any other run, executed by the turn's own job on the turn's branch.
pub async fn start_in_turn(ctx: &Ctx, turn: TurnId, project: ProjectId, request: StartRun) -> Result<Run> {
    insert(ctx, project, request, Some(turn)).await
}

async fn insert(ctx: &Ctx, project: ProjectId, request: StartRun, turn: Option<TurnId>) -> Result<Run> {
    let user = ctx.require_user()?.id;
    let cwd = request.cwd.as_deref().filter(|cwd| *cwd != ".").unwrap_or("");
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let mut fields = request.validate();
    let limits = limits_for(&mut conn, &request, &mut fields).await?;
    // The directory may be one that the agent has just made on its branch; the sandbox looks there.
    if turn.is_none() && !cwd.is_empty() && !fields.iter().any(|field| field.field == "cwd") {
        fields.extend(check_directory(&mut conn, project, cwd).await?);
    }
    drop(conn);
    if request.kind == RunKind::TestRunner && request.command.trim().is_empty() && fields.is_empty() {
        // Nothing to run is told at once, by the name of the field that would help.
        test_reports::plan(ctx, project, "", &request.only).await?;
    }
    let network = network_for(ctx, &request, &mut fields).await?;
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let id: RunId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let job_id = match turn {
        Some(_) => None,
        None => Some(jobs::enqueue(ctx, &mut tx, jobs::JobKind::of_run(request.kind), Some(project), &RunJob { run_id: id }).await?),
    };
    let new = table::NewRun {
        id,
        project_id: project,
        user_id: user,
        turn_id: turn,
        job_id,
        kind: request.kind,
        command: &request.command,
        cwd,
        env: &request.env,
        limits: &limits,
        network,
        only: &request.only,
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

/// What the administrator allows for this kind, with a shorter time where the request asks for one.
async fn limits_for(conn: &mut Conn, request: &StartRun, fields: &mut Vec<FieldError>) -> Result<RunLimits> {
    let mut limits = settings::load(conn).await?.limits(request.kind).clone();
    if let Some(asked) = request.timeout_s {
        if asked > limits.wall_s {
            let what = kind_words(request.kind);
            let text = format!("Choose at most {} seconds: that is the administrator's limit for {what}.", limits.wall_s);
            fields.push(FieldError::new("timeout_s", text));
        }
        limits.wall_s = asked.min(limits.wall_s);
    }
    Ok(limits)
}

fn kind_words(kind: RunKind) -> &'static str {
    match kind {
        RunKind::SandboxExec => "commands",
        RunKind::TestRunner => "test runs",
        RunKind::Codegen => "commands of the agent",
        RunKind::Terminal => "terminals",
    }
}

async fn check_directory(conn: &mut Conn, project: ProjectId, cwd: &str) -> Result<Option<FieldError>> {
    if store::files::is_directory(conn, project, cwd).await? {
        return Ok(None);
    }
    let is_there = store::files::latest(conn, project, cwd).await?.is_some_and(|row| !row.is_deleted());
    let text = if is_there {
        format!("{cwd} is not a directory.")
    } else {
        format!("There is no directory {cwd} in the project. One that is not saved with it can be entered by cd in the command.")
    };
    Ok(Some(FieldError::new("cwd", text)))
}

/// A run gets the proxy wherever an administrator has opened some host, even with an empty list: what it asks for in vain is told, and
/// can be allowed while it goes on.
async fn network_for(ctx: &Ctx, request: &StartRun, fields: &mut Vec<FieldError>) -> Result<RunNetwork> {
    let unavailable = network::why_closed(ctx).await?;
    Ok(match (request.network, unavailable) {
        (Some(RunNetwork::AllowList), Some(reason)) => {
            fields.push(FieldError::new("network", reason));
            RunNetwork::None
        }
        (Some(asked), None) => asked,
        (None, None) => RunNetwork::AllowList,
        (_, Some(_)) => RunNetwork::None,
    })
}
