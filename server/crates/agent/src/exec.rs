//! Runs a command of a run row in the sandbox and writes down what it prints and how it ends.

mod follow;
mod rules;

use std::{sync::Arc, time::Duration};

use domain::{Ctx, Error, files::Maker, network, runs};
use sandbox::{EgressPolicy, Finished, Limits, Network, Refused, RefusedKind, RunDir, Sandbox, Spec, shell};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::{
    RunId,
    files::Origin,
    runs::{Exit, ExitKind, Run, RunChange, RunKind, RunNetwork, RunState, RunUsage},
};

use self::follow::{Follow, either, signed};
pub(crate) use self::{follow::Asked, rules::keep_rules};
use crate::{Keeper, OfferedPorts, PortForward, sample::Sample, test_run, text::cut_end};

/// Characters of a planned command that are told.
const COMMAND_SHOWN: usize = 300;

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

    fn never_started(run: RunId) -> Self {
        Self::ended(run, ExitKind::Cancelled, RunState::Cancelled, "Stopped before it started.")
    }

    pub(crate) fn refused(run: RunId, sentence: impl Into<String>) -> Self {
        Self::ended(run, ExitKind::Refused, RunState::Failed, sentence)
    }

    /// Ends the run's row; `changes` are the files that were saved because of it.
    pub async fn finish(&self, ctx: &Ctx, changes: Vec<RunChange>) -> Result<Run, Error> {
        runs::finish(ctx, self.run, self.state, self.exit.clone(), self.usage, changes).await
    }
}

/// What is executed, and who else is told about it.
pub struct Order<'a> {
    pub run: &'a Run,
    pub dir: RunDir,
    /// Instead of the run's own variables and command line, where a test run was planned.
    pub plan: Option<&'a test_run::Planned>,
    /// Where ports that listen inside are offered; `None` only shows them.
    pub ports: Option<&'a Arc<dyn PortForward>>,
    /// Sentences about the project's files.
    pub notices: Option<&'a mut mpsc::Receiver<String>>,
}

impl<'a> Order<'a> {
    pub fn new(run: &'a Run, dir: RunDir) -> Self {
        Self { run, dir, plan: None, ports: None, notices: None }
    }
}

/// Executes a run's command and streams its output into the run's log; the process waits while the log is slow. A `cancel`, or
/// `runs::cancel` from anywhere, stops it politely. Dropping the future kills it at once.
///
/// A command that could not be started is an answer (`ExitKind::Refused`), not an error. An error leaves the run unfinished, with
/// nothing of it alive.
pub async fn execute(ctx: &Ctx, sandbox: &Sandbox, order: Order<'_>, cancel: &CancellationToken) -> Result<Executed, Error> {
    let run = order.run;
    let known = ctx.services().signals.register(run.id.0);
    if cancel.is_cancelled() {
        return Ok(Executed::never_started(run.id));
    }
    let spec = spec_of(ctx, &order).await?;
    let tier = sandbox.probe_result().tier.to_string();
    match runs::begin(ctx, run.id, &tier).await {
        Ok(_) => {}
        Err(Error::Conflict { .. }) => return Ok(Executed::never_started(run.id)),
        Err(error) => return Err(error),
    }
    if let Some(planned) = order.plan.filter(|planned| planned.plan.command != run.command) {
        runs::noted(ctx, run.id, format!("Runs {}", cut_end(&planned.plan.command, COMMAND_SHOWN))).await?;
    }
    let mut running = tokio::select! {
        started = sandbox.start(spec) => match started {
            Ok(running) => running,
            Err(Refused { kind, reason }) => {
                metrics::counter!("cloudxdevai_sandbox_refusals_total", "reason" => refusal_word(kind)).increment(1);
                return Ok(Executed::refused(run.id, reason));
            }
        },
        () = either(cancel, &known.token) => return Ok(Executed::never_started(run.id)),
    };
    let ports = order.ports.map(|forward| OfferedPorts::new(forward, run.id, run.project_id, running.net.clone()));
    let _rules = keep_rules(ctx, run.project_id, running.rules.take());
    let follow = Follow { ctx, run: run.id, ports, notices: order.notices };
    let (finished, output) = follow.see_through(running, cancel, &known.token).await?;
    Ok(describe(run.id, &finished, output))
}

pub(crate) fn refusal_word(kind: RefusedKind) -> &'static str {
    match kind {
        RefusedKind::NoSandbox => "no_sandbox",
        RefusedKind::LowDisk => "low_disk",
        RefusedKind::Invalid => "invalid",
        RefusedKind::Failed => "failed",
    }
}

/// What runs in a project's checkout need besides the run.
pub struct Bench<'a> {
    pub sandbox: &'a Sandbox,
    pub ports: &'a Arc<dyn PortForward>,
    pub keeper: &'a Keeper,
}

/// The whole of a job for a command: checkout, command, saving what it changed as the caller's versions, the end of the run.
pub async fn run_in_checkout(ctx: &Ctx, bench: &Bench<'_>, run: RunId, cancel: &CancellationToken) -> Result<Run, Error> {
    let run = runs::get(ctx, run).await?;
    if run.state.is_finished() {
        return Ok(run);
    }
    if run.state == RunState::Running {
        // An earlier worker began it. A command is never run twice on its own.
        runs::mark_lost(ctx, run.id, Vec::new()).await?;
        return runs::get(ctx, run.id).await;
    }
    let workspaces = bench.sandbox.workspaces();
    let prepared = tokio::select! {
        prepared = bench.keeper.hold(ctx, run.project_id, Maker { origin: Origin::Run, cause: Some(run.id.0) }) => prepared,
        () = cancel.cancelled() => return Executed::never_started(run.id).finish(ctx, Vec::new()).await,
    };
    let mut hold = match prepared {
        Ok(hold) => hold,
        Err(error) => {
            tracing::warn!(run.id = %run.id, %error, "a checkout could not be brought up to date");
            let refused = Executed::refused(run.id, format!("It was not started. {}", error.sentence()));
            return refused.finish(ctx, Vec::new()).await;
        }
    };
    let plan = match test_run::plan(ctx, &run).await? {
        Ok(plan) => plan,
        Err(sentence) => return Executed::refused(run.id, sentence).finish(ctx, Vec::new()).await,
    };
    let dir = RunDir::Checkout(run.project_id.0);
    let order = Order { plan: plan.as_ref(), ports: Some(bench.ports), notices: Some(&mut hold.notices), ..Order::new(&run, dir) };
    let mut executed = execute(ctx, bench.sandbox, order, cancel).await?;
    if let Some(plan) = &plan {
        test_run::report(ctx, workspaces, &run, dir, plan).await;
    }
    let changes = match hold.finish().await {
        Ok(committed) => {
            if !committed.conflicts.is_empty() {
                executed.exit.sentence.push_str(&conflict_sentence(&committed.conflicts));
            }
            committed.written
        }
        Err(error) => {
            tracing::warn!(run.id = %run.id, %error, "what a run changed could not be saved");
            executed
                .exit
                .sentence
                .push_str(&format!(" What it changed last in the project's files could not be saved: {}", error.sentence()));
            hold.changes()
        }
    };
    while let Ok(text) = hold.notices.try_recv() {
        // A run that was stopped before it started has nobody to tell.
        if runs::noted(ctx, run.id, text).await.is_err() {
            break;
        }
    }
    executed.finish(ctx, changes).await
}

pub(crate) fn conflict_sentence(paths: &[String]) -> String {
    let shown: Vec<&str> = paths.iter().take(5).map(String::as_str).collect();
    let more = if paths.len() > shown.len() { format!(" and {} more", paths.len() - shown.len()) } else { String::new() };
    format!(" Not saved, because somebody else changed them meanwhile or the name is not accepted: {}{more}.", shown.join(", "))
}

async fn spec_of(ctx: &Ctx, order: &Order<'_>) -> Result<Spec, Error> {
    let run = order.run;
    let kind = match run.kind {
        RunKind::SandboxExec => sandbox::Kind::SandboxExec,
        RunKind::TestRunner => sandbox::Kind::TestRunner,
        RunKind::Codegen => sandbox::Kind::Codegen,
        RunKind::Terminal => sandbox::Kind::Terminal,
    };
    let mut env = runs::env(ctx, run.id).await?;
    let command = match order.plan {
        Some(test_run::Planned { plan, .. }) => {
            // What a person asked for goes before what the plan would like.
            for (name, value) in &plan.env {
                env.entry(name.clone()).or_insert_with(|| value.clone());
            }
            plan.command.as_str()
        }
        None => run.command.as_str(),
    };
    let cwd = if run.cwd == "." { String::new() } else { run.cwd.clone() };
    Ok(Spec {
        id: run.id.0,
        kind,
        argv: shell(command),
        dir: order.dir,
        cwd,
        env: env.into_iter().collect(),
        limits: limits_of(run),
        network: network_of(ctx, run).await?,
        tty: None,
    })
}

/// What the row says, for the sandbox.
pub(crate) fn limits_of(run: &Run) -> Limits {
    let unsigned = |n: i64| u64::try_from(n).unwrap_or_default();
    let limits = &run.limits;
    Limits {
        wall: Duration::from_secs(u64::from(limits.wall_s)),
        memory_bytes: unsigned(limits.memory_bytes),
        pids: limits.pids,
        cpus: limits.cpu_percent as f32 / 100.0,
        nofile: u64::from(limits.open_files),
        file_bytes: unsigned(limits.file_bytes),
        disk_bytes: unsigned(limits.project_bytes),
        disk_files: unsigned(limits.project_files),
        tmp_bytes: unsigned(limits.tmp_bytes),
        output_bytes: unsigned(limits.output_bytes),
        ..Limits::default()
    }
}

/// The hosts that are allowed at the moment it starts: what was taken back since it was queued is closed to it.
pub(crate) async fn network_of(ctx: &Ctx, run: &Run) -> Result<Network, Error> {
    if run.network == RunNetwork::None {
        return Ok(Network::None);
    }
    let rules = network::rules(ctx, run.project_id).await?;
    let open = &ctx.services().settings.egress_open_addresses;
    let open_addresses = open.iter().filter_map(|block| block.parse().ok()).collect();
    Ok(Network::Proxy(EgressPolicy { rules, open_addresses }))
}

pub(crate) fn describe(run: RunId, finished: &Finished, output: Sample) -> Executed {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exit_code_0_is_a_success() {
        assert_eq!(state_of(ExitKind::Exited, Some(0)), RunState::Succeeded);
        assert_eq!(state_of(ExitKind::Exited, Some(1)), RunState::Failed);
        assert_eq!(state_of(ExitKind::OutOfMemory, None), RunState::Failed);
        assert_eq!(state_of(ExitKind::TimedOut, None), RunState::TimedOut);
    }
}
