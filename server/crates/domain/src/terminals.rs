//! Terminals: runs with a keyboard. What they print is not in the log but in a ring of the process that runs them.

use std::{collections::BTreeMap, time::Duration};

use store::{runs, terminals as table};
use wire::{
    FieldError, ProjectId, RunId,
    event::{EventKind, Stream},
    jobs::JobState,
    projects::ProjectRole,
    runs::{Exit, ExitKind, Run, RunChange, RunKind, RunNetwork, RunState, RunUsage},
    terminals::{OpenTerminal, SIZE_MAX, TITLE_MAX_CHARS, Terminal, TerminalState},
    users::UserState,
};

use crate::{Ctx, Error, Result, auth, jobs, network, projects, runs::RunJob, settings};

/// How long a closed terminal stays in the list, so that a reload can say why it is gone.
const SHOWN_AFTER_CLOSE_S: i64 = 600;
/// How long a close waits for the end to be written before it answers with what is known.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
const COMMAND: &str = "bash";

/// Those that are not closed, and those closed in the last ten minutes; the oldest first.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Vec<Terminal>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let since = ctx.now().plus_seconds(-SHOWN_AFTER_CLOSE_S);
    Ok(table::list(&mut conn, project, since).await?.into_iter().map(table::TerminalRow::into_terminal).collect())
}

/// Queues a terminal. It is there for all editors of the project, and closes with its opener's rights.
pub async fn open(ctx: &Ctx, project: ProjectId, request: OpenTerminal) -> Result<Terminal> {
    let user = ctx.require_user()?.id;
    check_size(&request)?;
    let title = request.title.as_deref().map(check_title).transpose()?;
    let network = network_for(ctx).await?;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let settings = settings::load(&mut tx).await?;
    let most = i64::from(settings.terminals_per_user);
    if table::open_of_user(&mut tx, user).await? >= most {
        return Err(Error::conflict(format!("You have {most} terminals open, and that is the limit. Close one first.")));
    }
    let title = match title {
        Some(title) => title,
        None => free_title(&table::list(&mut tx, project, ctx.now()).await?),
    };
    let id: RunId = ctx.new_id();
    let job = jobs::enqueue(ctx, &mut tx, jobs::JobKind::Terminal, Some(project), &RunJob { run_id: id }).await?;
    let new = runs::NewRun {
        id,
        project_id: project,
        user_id: user,
        turn_id: None,
        job_id: Some(job),
        kind: RunKind::Terminal,
        command: COMMAND,
        cwd: "",
        env: &BTreeMap::new(),
        limits: &settings.terminal,
        network,
        only: &[],
        at: ctx.now(),
    };
    runs::insert(&mut tx, &new).await?;
    table::insert(&mut tx, id, &title, request.cols, request.rows).await?;
    store::events::append(&mut tx, Stream::Run(id), ctx.now(), vec![EventKind::RunQueued {}]).await?;
    announce(ctx, &mut tx, project, id, TerminalState::Starting).await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("terminal"))?;
    ctx.commit(tx).await?;
    Ok(row.into_terminal())
}

/// The project's list, which may be empty and may change meanwhile, where this server has a network for runs at all.
async fn network_for(ctx: &Ctx) -> Result<RunNetwork> {
    Ok(if network::why_closed(ctx).await?.is_none() { RunNetwork::AllowList } else { RunNetwork::None })
}

fn check_size(request: &OpenTerminal) -> Result<()> {
    let fields: Vec<_> = [("cols", request.cols), ("rows", request.rows)]
        .into_iter()
        .filter(|(_, cells)| !(1..=SIZE_MAX).contains(cells))
        .map(|(name, _)| FieldError::new(name, format!("Choose 1 to {SIZE_MAX}.")))
        .collect();
    if fields.is_empty() { Ok(()) } else { Err(Error::Invalid(fields)) }
}

fn check_title(title: &str) -> Result<String> {
    let title = title.trim();
    if title.is_empty() || title.chars().count() > TITLE_MAX_CHARS || title.chars().any(char::is_control) {
        return Err(Error::invalid("title", format!("Choose a title of 1 to {TITLE_MAX_CHARS} characters.")));
    }
    Ok(title.to_owned())
}

/// The lowest number that no open terminal has.
fn free_title(open: &[table::TerminalRow]) -> String {
    (1..).map(|n| format!("Terminal {n}")).find(|title| !open.iter().any(|row| row.title == *title)).unwrap_or_default()
}

async fn announce(ctx: &Ctx, tx: &mut store::Tx, project: ProjectId, id: RunId, state: TerminalState) -> Result<()> {
    let changed = EventKind::TerminalChanged { run_id: id, state };
    Ok(store::events::append(tx, Stream::Project(project), ctx.now(), vec![changed]).await?)
}

async fn row(ctx: &Ctx, id: RunId, needed: ProjectRole) -> Result<(table::TerminalRow, ProjectRole)> {
    let mut conn = ctx.services().db.read().await?;
    let row = table::get(&mut conn, id).await?.ok_or(Error::NotFound("terminal"))?;
    let role = projects::require(ctx, &mut conn, row.project_id, needed).await.map_err(|error| match error {
        Error::NotFound(_) => Error::NotFound("terminal"),
        other => other,
    })?;
    Ok((row, role))
}

pub async fn get(ctx: &Ctx, id: RunId) -> Result<Terminal> {
    Ok(row(ctx, id, ProjectRole::Viewer).await?.0.into_terminal())
}

/// Gives a terminal another title.
pub async fn rename(ctx: &Ctx, id: RunId, title: String) -> Result<Terminal> {
    let (found, _) = row(ctx, id, ProjectRole::Editor).await?;
    let title = check_title(&title)?;
    let mut tx = ctx.services().db.begin().await?;
    table::set_title(&mut tx, id, &title).await?;
    let state = table::get(&mut tx, id).await?.map_or(TerminalState::Closed, |row| row.state());
    announce(ctx, &mut tx, found.project_id, id, state).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

/// Ends a terminal. Answers when nothing of it is left alive, or after five seconds with its state then.
pub async fn close(ctx: &Ctx, id: RunId) -> Result<Terminal> {
    let (found, _) = row(ctx, id, ProjectRole::Editor).await?;
    if found.state() == TerminalState::Closed {
        return Ok(found.into_terminal());
    }
    let mut ended = ctx.services().bus.subscribe(&[Stream::Run(id)]).await;
    let mut tx = ctx.services().db.begin().await?;
    if let Some(job) = found.job_id {
        let state = jobs::request_cancel(ctx, &mut tx, job).await?;
        if state == Some(JobState::Cancelled) {
            let exit = exit(ExitKind::Cancelled, "Closed before it started.");
            end(ctx, &mut tx, id, RunState::Cancelled, exit, RunUsage::default(), &[]).await?;
        }
    }
    ctx.commit(tx).await?;
    if let Some(job) = found.job_id {
        ctx.services().signals.cancel(job.0);
    }
    let waiting = async {
        while get(ctx, id).await?.state != TerminalState::Closed {
            // What another process writes may be told late.
            let _ = tokio::time::timeout(Duration::from_millis(500), ended.next()).await;
        }
        Ok::<_, Error>(())
    };
    if let Ok(done) = tokio::time::timeout(CLOSE_PATIENCE, waiting).await {
        done?;
    }
    get(ctx, id).await
}

fn exit(kind: ExitKind, sentence: &str) -> Exit {
    Exit { kind, code: None, signal: None, sentence: sentence.to_owned(), left_alive: 0 }
}

/// A reader of a terminal, and what they may do there now.
#[derive(Debug, Clone)]
pub struct Attendance {
    pub terminal: Terminal,
    /// Viewers and reviewers only watch.
    pub may_type: bool,
}

/// Lets the caller watch a terminal, and type where they may edit the project.
pub async fn attend(ctx: &Ctx, id: RunId) -> Result<Attendance> {
    ctx.require_user()?;
    let (row, role) = row(ctx, id, ProjectRole::Viewer).await?;
    Ok(Attendance { terminal: row.into_terminal(), may_type: role >= ProjectRole::Editor })
}

/// As [`attend`], for a socket that has been open for a while. `None` when the session has ended or the rights are gone.
pub async fn still_attending(ctx: &Ctx, id: RunId) -> Result<Option<Attendance>> {
    if !auth::still_signed_in(ctx).await? {
        return Ok(None);
    }
    match attend(ctx, id).await {
        Ok(attendance) => Ok(Some(attendance)),
        Err(Error::NotFound(_) | Error::NotSignedIn | Error::Forbidden(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the worker needs to open a terminal.
#[derive(Debug, Clone)]
pub struct Plan {
    pub run: Run,
    pub state: TerminalState,
    /// Columns and rows it was opened with.
    pub size: (u16, u16),
    /// It closes when nobody types for this long.
    pub idle: Duration,
}

pub async fn plan(ctx: &Ctx, id: RunId) -> Result<Plan> {
    let (found, _) = row(ctx, id, ProjectRole::Viewer).await?;
    let mut conn = ctx.services().db.read().await?;
    let settings = settings::load(&mut conn).await?;
    let run = runs::get(&mut conn, id).await?.ok_or(Error::NotFound("terminal"))?.into_run();
    let idle = Duration::from_secs(u64::from(settings.terminal_idle_s));
    Ok(Plan { run, state: found.state(), size: found.size(), idle })
}

/// Whether the person in whose name a terminal runs may still run things in its project.
pub async fn opener_may_go_on(ctx: &Ctx, id: RunId) -> Result<bool> {
    let mut conn = ctx.services().db.read().await?;
    let Some(row) = table::get(&mut conn, id).await? else { return Ok(false) };
    let user = store::users::by_id(&mut conn, row.user_id).await?;
    if !user.is_some_and(|user| user.state.0 == UserState::Active) {
        return Ok(false);
    }
    match projects::require(ctx, &mut conn, row.project_id, ProjectRole::Editor).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound(_) | Error::Forbidden(_) | Error::NotSignedIn) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Marks a terminal as open in a sandbox tier. `Conflict` when it was closed meanwhile.
pub async fn begin(ctx: &Ctx, id: RunId, tier: &str) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("terminal"))?;
    // A close that came after the job was claimed and before it could be signalled shows only here.
    let is_asked_to_close = match row.job_id {
        Some(job) => store::jobs::get(&mut tx, job).await?.is_some_and(|found| found.job.cancel_requested),
        None => false,
    };
    if is_asked_to_close || !runs::mark_started(&mut tx, id, tier, ctx.now()).await? {
        return Err(Error::conflict("This terminal was closed before it was open."));
    }
    store::events::append(&mut tx, Stream::Run(id), ctx.now(), vec![EventKind::RunStarted { tier: tier.to_owned() }]).await?;
    announce(ctx, &mut tx, row.project_id, id, TerminalState::Open).await?;
    if let Some(run) = runs::get(&mut tx, id).await? {
        crate::runs::note_start(ctx, &mut tx, &run, tier);
    }
    ctx.commit(tx).await
}

/// Ends a terminal, once: whoever comes second changes nothing.
pub async fn finish(ctx: &Ctx, id: RunId, state: RunState, exit: Exit, usage: RunUsage, changes: &[RunChange]) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    end(ctx, &mut tx, id, state, exit, usage, changes).await?;
    ctx.commit(tx).await
}

async fn end(ctx: &Ctx, tx: &mut store::Tx, id: RunId, state: RunState, exit: Exit, usage: RunUsage, changes: &[RunChange]) -> Result<()> {
    let Some(row) = table::get(tx, id).await? else { return Ok(()) };
    if !runs::mark_finished(tx, id, state, &exit, &usage, changes, ctx.now()).await? {
        return Ok(());
    }
    if let Some(run) = runs::get(tx, id).await? {
        crate::measure::run_ended(&run, &exit, &usage);
        crate::runs::note_limit(ctx, tx, &run, &exit);
    }
    store::events::append(tx, Stream::Run(id), ctx.now(), vec![EventKind::RunFinished { state, exit, usage }]).await?;
    announce(ctx, tx, row.project_id, id, TerminalState::Closed).await
}

/// What is said about a terminal whose server is gone.
pub const LOST: &str = "This terminal did not survive the restart of the server. What it had written to the project's files is saved; open a new one to go on.";

/// Tells the end of a terminal whose worker is gone. `changes` are the files that it is known to have changed until then.
pub async fn mark_lost(ctx: &Ctx, id: RunId, changes: &[RunChange]) -> Result<()> {
    finish(ctx, id, RunState::Lost, exit(ExitKind::Lost, LOST), RunUsage::default(), changes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_trimmed_and_have_an_end() {
        assert_eq!(check_title("  logs ").unwrap(), "logs");
        for wrong in ["", "  ", "a\u{7}b", &"x".repeat(TITLE_MAX_CHARS + 1)] {
            assert!(check_title(wrong).is_err(), "{wrong:?}");
        }
    }
}
