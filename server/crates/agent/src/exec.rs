//! Runs a command of a run row in the sandbox and writes down what it prints and how it ends.

use std::time::Duration;

use bytes::BytesMut;
use domain::{
    Ctx, Error,
    runs::{self, OutputChunk},
};
use sandbox::{Chunk, Finished, Limits, Network, Refused, RunDir, Running, Sandbox, Spec, StopGrace, Workspaces, shell};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::{
    RunId,
    event::OutputChannel,
    files::Origin,
    runs::{Exit, ExitKind, Run, RunChange, RunState, RunUsage},
};

use crate::{sample::Sample, workspace};

const BATCH_BYTES: usize = 64 * 1024;
const BATCH_DELAY: Duration = Duration::from_millis(30);

/// A run whose process has ended but whose row does not say so yet: [`Executed::finish`] writes it.
#[derive(Debug)]
pub struct Executed {
    pub run: RunId,
    pub state: RunState,
    pub exit: Exit,
    pub usage: RunUsage,
    /// Beginning and end of the output.
    pub output: Sample,
}

impl Executed {
    fn ended(run: RunId, kind: ExitKind, state: RunState, sentence: impl Into<String>) -> Self {
        let exit = Exit { kind, code: None, signal: None, sentence: sentence.into(), left_alive: 0 };
        Self { run, state, exit, usage: RunUsage::default(), output: Sample::default() }
    }

    /// Ends the run's row; `changes` are the files that were saved because of it.
    pub async fn finish(&self, ctx: &Ctx, changes: Vec<RunChange>) -> Result<Run, Error> {
        runs::finish(ctx, self.run, self.state, self.exit.clone(), self.usage, changes).await
    }
}

/// Executes a run's command in `dir` and streams its output into the run's log; the process waits while the log is slow. A `cancel`,
/// or `runs::cancel` from anywhere in this process, stops it politely. Dropping the future kills it at once.
///
/// A command that could not be started is an answer (`ExitKind::Refused`), not an error. An error leaves the run unfinished, with
/// nothing of it alive.
pub async fn execute(ctx: &Ctx, sandbox: &Sandbox, run: &Run, dir: RunDir, cancel: &CancellationToken) -> Result<Executed, Error> {
    let known = ctx.services().signals.register(run.id.0);
    if cancel.is_cancelled() {
        return Ok(Executed::ended(run.id, ExitKind::Cancelled, RunState::Cancelled, "Stopped before it started."));
    }
    let env = runs::env(ctx, run.id).await?.into_iter().collect();
    let tier = sandbox.probe_result().tier.to_string();
    match runs::begin(ctx, run.id, &tier).await {
        Ok(_) => {}
        Err(Error::Conflict { .. }) => {
            return Ok(Executed::ended(run.id, ExitKind::Cancelled, RunState::Cancelled, "Stopped before it started."));
        }
        Err(error) => return Err(error),
    }
    let starting = sandbox.start(spec_of(run, dir, env));
    let running = tokio::select! {
        started = starting => match started {
            Ok(running) => running,
            Err(refused) => return Ok(refuse(run.id, &refused)),
        },
        () = either(cancel, &known.token) => {
            return Ok(Executed::ended(run.id, ExitKind::Cancelled, RunState::Cancelled, "Stopped before it started."));
        }
    };
    let (finished, output) = follow(ctx, run.id, running, cancel, &known.token).await?;
    Ok(describe(run.id, &finished, output))
}

/// The whole of a `sandbox_exec` job: checkout, command, saving what it changed as the caller's versions, the end of the run.
pub async fn run_in_checkout(
    ctx: &Ctx,
    sandbox: &Sandbox,
    workspaces: &Workspaces,
    run: RunId,
    cancel: &CancellationToken,
) -> Result<Run, Error> {
    let run = runs::get(ctx, run).await?;
    if run.state.is_finished() {
        return Ok(run);
    }
    if run.state == RunState::Running {
        // An earlier worker began it. A command is never run twice on its own.
        runs::mark_lost(ctx, run.id, Vec::new()).await?;
        return runs::get(ctx, run.id).await;
    }
    let prepared = tokio::select! {
        prepared = workspace::ensure_checkout(ctx, workspaces, run.project_id) => prepared,
        () = cancel.cancelled() => {
            let ended = Executed::ended(run.id, ExitKind::Cancelled, RunState::Cancelled, "Stopped before it started.");
            return ended.finish(ctx, Vec::new()).await;
        }
    };
    let revision = match prepared {
        Ok(revision) => revision,
        Err(error) => {
            tracing::warn!(run.id = %run.id, %error, "a checkout could not be brought up to date");
            let ended = Executed::ended(run.id, ExitKind::Refused, RunState::Failed, format!("It was not started. {}", error.sentence()));
            return ended.finish(ctx, Vec::new()).await;
        }
    };
    let mut executed = execute(ctx, sandbox, &run, RunDir::Checkout(run.project_id.0), cancel).await?;
    let changes = match workspace::commit_run_changes(ctx, workspaces, run.project_id, revision, Origin::Run).await {
        Ok(committed) => {
            if !committed.conflicts.is_empty() {
                executed.exit.sentence.push_str(&conflict_sentence(&committed.conflicts));
            }
            committed.written
        }
        Err(error) => {
            tracing::warn!(run.id = %run.id, %error, "what a run changed could not be saved");
            executed.exit.sentence.push_str(&format!(" What it changed in the project's files could not be saved: {}", error.sentence()));
            Vec::new()
        }
    };
    executed.finish(ctx, changes).await
}

fn conflict_sentence(paths: &[String]) -> String {
    let shown: Vec<&str> = paths.iter().take(5).map(String::as_str).collect();
    let more = if paths.len() > shown.len() { format!(" and {} more", paths.len() - shown.len()) } else { String::new() };
    format!(" Not saved, because somebody else changed them meanwhile or the name is not accepted: {}{more}.", shown.join(", "))
}

fn spec_of(run: &Run, dir: RunDir, env: Vec<(String, String)>) -> Spec {
    let kind = sandbox::Kind::SandboxExec;
    let limits = Limits {
        wall: Duration::from_secs(u64::from(run.limits.wall_s)),
        memory_bytes: u64::try_from(run.limits.memory_bytes).unwrap_or_default(),
        pids: run.limits.pids,
        output_bytes: u64::try_from(run.limits.output_bytes).unwrap_or_default(),
        ..Limits::for_kind(kind)
    };
    let cwd = if run.cwd == "." { String::new() } else { run.cwd.clone() };
    Spec { id: run.id.0, kind, argv: shell(&run.command), dir, cwd, env, limits, network: Network::None, tty: None }
}

async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

/// Reads the output to its end. Stops the run when asked to; on an error it is dropped, which kills it.
async fn follow(
    ctx: &Ctx,
    run: RunId,
    mut running: Running,
    cancel: &CancellationToken,
    other: &CancellationToken,
) -> Result<(Finished, Sample), Error> {
    let mut batch = Batch::default();
    let mut sample = Sample::default();
    let mut stopping = false;
    loop {
        let flush_at = batch.since.map(|since| since + BATCH_DELAY);
        tokio::select! {
            () = either(cancel, other), if !stopping => {
                stopping = true;
                let stopper = running.stopper();
                tokio::spawn(async move { stopper.stop(StopGrace::Polite).await });
            }
            chunk = running.output.recv() => {
                let Some(chunk) = chunk else { break };
                sample.push(&chunk.data);
                batch.push(chunk);
                if batch.bytes >= BATCH_BYTES {
                    batch.flush(ctx, run).await?;
                }
            }
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => batch.flush(ctx, run).await?,
        }
    }
    batch.flush(ctx, run).await?;
    Ok((running.wait().await, sample))
}

/// Output on its way to the log. Pieces of one channel that follow each other become one.
#[derive(Default)]
struct Batch {
    pieces: Vec<(OutputChannel, i64, BytesMut)>,
    bytes: usize,
    since: Option<Instant>,
}

impl Batch {
    fn push(&mut self, chunk: Chunk) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += chunk.data.len();
        let channel = match chunk.channel {
            sandbox::Channel::Stdout => OutputChannel::Stdout,
            sandbox::Channel::Stderr => OutputChannel::Stderr,
            sandbox::Channel::Pty => OutputChannel::Pty,
        };
        let offset = signed(chunk.offset);
        match self.pieces.last_mut() {
            Some((last, start, data)) if *last == channel && *start + signed(data.len() as u64) == offset => {
                data.extend_from_slice(&chunk.data)
            }
            _ => self.pieces.push((channel, offset, BytesMut::from(chunk.data.as_ref()))),
        }
    }

    async fn flush(&mut self, ctx: &Ctx, run: RunId) -> Result<(), Error> {
        let taken = std::mem::take(self);
        if taken.pieces.is_empty() {
            return Ok(());
        }
        let chunks = taken.pieces.into_iter().map(|(channel, offset, data)| OutputChunk { channel, offset, data: data.freeze() }).collect();
        runs::append_output(ctx, run, chunks).await
    }
}

fn refuse(run: RunId, refused: &Refused) -> Executed {
    Executed::ended(run, ExitKind::Refused, RunState::Failed, refused.reason.clone())
}

fn describe(run: RunId, finished: &Finished, output: Sample) -> Executed {
    let exit = &finished.exit;
    let kind = match exit.kind {
        sandbox::ExitKind::Exited => ExitKind::Exited,
        sandbox::ExitKind::Signalled => ExitKind::Signalled,
        sandbox::ExitKind::TimedOut => ExitKind::TimedOut,
        sandbox::ExitKind::OutOfMemory => ExitKind::OutOfMemory,
        sandbox::ExitKind::OutputLimit => ExitKind::OutputLimit,
        sandbox::ExitKind::DiskLimit => ExitKind::DiskLimit,
        sandbox::ExitKind::PidsLimit => ExitKind::PidsLimit,
        sandbox::ExitKind::Cancelled => ExitKind::Cancelled,
        sandbox::ExitKind::Lost => ExitKind::Lost,
    };
    let usage = &finished.usage;
    Executed {
        run,
        state: state_of(kind, exit.code),
        exit: Exit { kind, code: exit.code, signal: exit.signal, sentence: exit.sentence.clone(), left_alive: finished.left_alive },
        usage: RunUsage {
            wall_ms: signed(usage.wall_ms),
            cpu_ms: signed(usage.cpu_ms),
            peak_memory_bytes: (usage.peak_memory_bytes > 0).then(|| signed(usage.peak_memory_bytes)),
            output_bytes: signed(usage.output_bytes),
        },
        output,
    }
}

fn state_of(kind: ExitKind, code: Option<i32>) -> RunState {
    match kind {
        ExitKind::Exited if code == Some(0) => RunState::Succeeded,
        ExitKind::TimedOut => RunState::TimedOut,
        ExitKind::Cancelled => RunState::Cancelled,
        ExitKind::Lost => RunState::Lost,
        _ => RunState::Failed,
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn pieces_of_one_channel_become_one() {
        let mut batch = Batch::default();
        let chunk = |channel, offset, data: &'static str| Chunk { channel, offset, data: Bytes::from_static(data.as_bytes()) };
        batch.push(chunk(sandbox::Channel::Stdout, 0, "ab"));
        batch.push(chunk(sandbox::Channel::Stdout, 2, "cd"));
        batch.push(chunk(sandbox::Channel::Stderr, 4, "!"));
        batch.push(chunk(sandbox::Channel::Stdout, 5, "e"));
        let seen: Vec<_> = batch.pieces.iter().map(|(channel, offset, data)| (*channel, *offset, &data[..])).collect();
        assert_eq!(seen, [(OutputChannel::Stdout, 0, &b"abcd"[..]), (OutputChannel::Stderr, 4, b"!"), (OutputChannel::Stdout, 5, b"e")]);
        assert_eq!(batch.bytes, 6);
    }

    #[test]
    fn only_exit_code_0_is_a_success() {
        assert_eq!(state_of(ExitKind::Exited, Some(0)), RunState::Succeeded);
        assert_eq!(state_of(ExitKind::Exited, Some(1)), RunState::Failed);
        assert_eq!(state_of(ExitKind::OutOfMemory, None), RunState::Failed);
        assert_eq!(state_of(ExitKind::TimedOut, None), RunState::TimedOut);
    }
}
