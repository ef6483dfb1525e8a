//! The life of one terminal, from its job to its last word.

use std::{sync::Arc, time::Duration};

use domain::{Ctx, Error, terminals};
use sandbox::{Chunk, Finished, Kind, Network, RunDir, Running, Spec, StopGrace};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use wire::{
    RunId,
    runs::{Exit, ExitKind, Run, RunChange, RunState, RunUsage},
    terminals::{TerminalNotice, TerminalState},
};

use super::{OpenSession, TerminalHub, aside::Aside, files::Held, session::Keyboard};
use crate::{Bench, OfferedPorts, exec, sample::Sample};

/// Output is read all the time, whoever watches, but an endless one must not cost the server a processor.
const WINDOW: Duration = Duration::from_millis(10);
const WINDOW_BYTES: usize = 256 * 1024;
const TICK: Duration = Duration::from_millis(500);
/// How long before an idle terminal closes its readers are warned; half of the idle time where that is less.
const WARN_BEFORE: Duration = Duration::from_secs(60);

const PROMPT: &str = r"\[\e[1;34m\]\w\[\e[0m\] \$ ";

/// How a terminal ended, before its row says so.
struct Ended {
    state: RunState,
    exit: Exit,
    usage: RunUsage,
    changes: Vec<RunChange>,
}

impl Ended {
    fn early(kind: ExitKind, state: RunState, sentence: impl Into<String>) -> Self {
        let exit = Exit { kind, code: None, signal: None, sentence: sentence.into(), left_alive: 0 };
        Self { state, exit, usage: RunUsage::default(), changes: Vec::new() }
    }

    fn closed_early() -> Self {
        Self::early(ExitKind::Cancelled, RunState::Cancelled, "Closed before it was open.")
    }
}

/// The whole of a terminal's job. `cancel` closes it; dropping the future kills it at once and leaves its row to whoever tells its end.
pub async fn run_terminal(
    ctx: &Ctx,
    bench: &Bench<'_>,
    hub: &Arc<TerminalHub>,
    id: RunId,
    cancel: &CancellationToken,
) -> Result<RunState, Error> {
    let plan = terminals::plan(ctx, id).await?;
    match plan.state {
        TerminalState::Starting => {}
        TerminalState::Closed => return Ok(RunState::Cancelled),
        TerminalState::Open => {
            // An earlier worker had it. What was typed there is gone, and a shell is never begun twice.
            terminals::mark_lost(ctx, id, &[]).await?;
            return Ok(RunState::Lost);
        }
    }
    let (session, keyboard) = hub.open(id, plan.size);
    let mut ended = live(ctx, bench, &session, keyboard, id, &plan, cancel).await?;
    let state = ended.state;
    let sentence = std::mem::take(&mut ended.exit.sentence);
    let exit = Exit { sentence: sentence.clone(), ..ended.exit };
    terminals::finish(ctx, id, state, exit, ended.usage, &ended.changes).await?;
    session.end(&sentence);
    Ok(state)
}

async fn live(
    ctx: &Ctx,
    bench: &Bench<'_>,
    session: &OpenSession,
    keyboard: Keyboard,
    id: RunId,
    plan: &terminals::Plan,
    cancel: &CancellationToken,
) -> Result<Ended, Error> {
    let sandbox = bench.sandbox;
    let taken = tokio::select! {
        taken = Held::take(ctx, bench.keeper, plan.run.project_id, plan.run.id) => taken,
        () = cancel.cancelled() => return Ok(Ended::closed_early()),
    };
    let mut files = match taken {
        Ok(files) => files,
        Err(error) => {
            tracing::warn!(run.id = %id, %error, "a terminal's checkout could not be brought up to date");
            return Ok(Ended::early(ExitKind::Refused, RunState::Failed, format!("It was not opened. {}", error.sentence())));
        }
    };
    let network = exec::network_of(ctx, &plan.run).await?;
    match terminals::begin(ctx, id, &sandbox.probe_result().tier.to_string()).await {
        Ok(()) => {}
        Err(Error::Conflict { .. }) => return Ok(Ended::closed_early()),
        Err(error) => return Err(error),
    }
    let started = tokio::select! {
        started = sandbox.start(spec_of(&plan.run, network, session.size())) => started,
        () = cancel.cancelled() => return Ok(Ended::closed_early()),
    };
    let mut running = match started {
        Ok(running) => running,
        Err(refused) => {
            metrics::counter!("cloudxdevai_sandbox_refusals_total", "reason" => exec::refusal_word(refused.kind)).increment(1);
            return Ok(Ended::early(ExitKind::Refused, RunState::Failed, refused.reason));
        }
    };
    let offered = OfferedPorts::new(bench.ports, id, plan.run.project_id, running.net.clone());
    let _rules = exec::keep_rules(ctx, plan.run.project_id, running.rules.take());
    let mut aside = Aside::new(ctx, id, offered, &mut running);
    let (finished, why) = follow(session, keyboard, running, &mut files, &mut aside, plan.idle, cancel).await;
    aside.finish().await;
    let mut ended = describe(id, &finished, why, plan.idle);
    match files.finish().await {
        Ok(committed) => {
            if !committed.conflicts.is_empty() {
                ended.exit.sentence.push_str(&exec::conflict_sentence(&committed.conflicts));
            }
            ended.changes = committed.written;
        }
        Err(error) => {
            tracing::warn!(run.id = %id, %error, "what a terminal changed could not be saved");
            ended.exit.sentence.push_str(&format!(" What it changed last in the project's files could not be saved: {}", error.sentence()));
            ended.changes = files.changes();
        }
    }
    for text in files.last_notices() {
        session.tell(TerminalNotice::Notice { text });
    }
    Ok(ended)
}

fn spec_of(run: &Run, network: Network, size: (u16, u16)) -> Spec {
    let argv = match std::path::Path::new("/usr/bin/bash").exists() {
        true => ["/usr/bin/bash", "--noprofile", "--norc", "-i"].map(String::from).to_vec(),
        false => ["/bin/sh", "-i"].map(String::from).to_vec(),
    };
    let env = [("PS1", PROMPT), ("HISTFILE", ""), ("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")];
    Spec {
        id: run.id.0,
        kind: Kind::Terminal,
        argv,
        dir: RunDir::Checkout(run.project_id.0),
        cwd: String::new(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        limits: exec::limits_of(run),
        network,
        tty: Some(size),
    }
}

/// Why the server ends a terminal whose shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Asked,
    Idle,
    Rights,
}

async fn follow(
    session: &OpenSession,
    keyboard: Keyboard,
    mut running: Running,
    files: &mut Held,
    aside: &mut Aside<'_>,
    idle: Duration,
    cancel: &CancellationToken,
) -> (Finished, Option<Why>) {
    let typing = running.input.clone().map(|pty| {
        session.connect(pty.clone());
        AbortOnDropHandle::new(tokio::spawn(keyboard.type_into(pty)))
    });
    let mut why: Option<Why> = None;
    let mut watch = IdleWatch { idle, warned: false };
    let mut pace = Pace::default();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rights = aside.until_rights_are_gone();
    tokio::pin!(rights);
    loop {
        let stop = tokio::select! {
            chunk = running.output.recv() => {
                let Some(Chunk { data, .. }) = chunk else { break };
                session.print(&data);
                pace.spend(data.len()).await;
                None
            }
            text = files.notice() => {
                session.tell(TerminalNotice::Notice { text });
                None
            }
            () = cancel.cancelled(), if why.is_none() => Some(Why::Asked),
            () = &mut rights, if why.is_none() => Some(Why::Rights),
            _ = tick.tick(), if why.is_none() => watch.is_over(session).then_some(Why::Idle),
        };
        if stop.is_some() {
            why = stop;
            let stopper = running.stopper();
            tokio::spawn(async move { stopper.stop(StopGrace::Polite).await });
        }
    }
    drop(typing);
    (running.wait().await, why)
}

fn describe(id: RunId, finished: &Finished, why: Option<Why>, idle: Duration) -> Ended {
    let executed = exec::describe(id, finished, Sample::default());
    let (mut state, mut exit) = (executed.state, executed.exit);
    // A shell that ended by itself a moment before it was stopped still ended by itself.
    match why.filter(|_| exit.kind == ExitKind::Cancelled) {
        Some(Why::Asked) => exit.sentence = "Closed.".to_owned(),
        Some(Why::Idle) => {
            (state, exit.kind) = (RunState::TimedOut, ExitKind::TimedOut);
            exit.sentence = format!("Closed, because nobody typed for {}.", duration_words(idle));
        }
        Some(Why::Rights) => {
            exit.sentence = "Closed, because whoever opened it may no longer run commands in this project.".to_owned();
        }
        None if exit.kind == ExitKind::Exited => {
            // The code is that of the last command, and `exit` after a failed one is no failure of the terminal.
            state = RunState::Succeeded;
            exit.sentence = "The shell ended.".to_owned();
        }
        None => {}
    }
    Ended { state, exit, usage: executed.usage, changes: Vec::new() }
}

fn duration_words(duration: Duration) -> String {
    let plural = |n: u64, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    match duration.as_secs() {
        seconds if seconds >= 3600 && seconds % 3600 == 0 => plural(seconds / 3600, "hour"),
        seconds if seconds >= 60 && seconds % 60 == 0 => plural(seconds / 60, "minute"),
        seconds => plural(seconds, "second"),
    }
}

struct IdleWatch {
    idle: Duration,
    warned: bool,
}

impl IdleWatch {
    /// Warns in time, and says when the time is over.
    fn is_over(&mut self, session: &OpenSession) -> bool {
        let silent = session.last_input().elapsed();
        let left = self.idle.saturating_sub(silent);
        if left.is_zero() {
            return true;
        }
        let near = left <= WARN_BEFORE.min(self.idle / 2);
        if near && !self.warned {
            session.warn_idle(left);
        }
        self.warned = near;
        false
    }
}

/// Lets through so much in each short window, and waits for the next one then.
struct Pace {
    ends: Instant,
    bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { ends: Instant::now() + WINDOW, bytes: 0 }
    }
}

impl Pace {
    async fn spend(&mut self, bytes: usize) {
        if Instant::now() >= self.ends {
            *self = Self::default();
        }
        self.bytes += bytes;
        if self.bytes >= WINDOW_BYTES {
            sleep_until(self.ends).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_times_are_told_in_the_largest_unit_that_fits() {
        let words = |s| duration_words(Duration::from_secs(s));
        assert_eq!(
            [words(1), words(90), words(60), words(1800), words(7200)],
            ["1 second", "90 seconds", "1 minute", "30 minutes", "2 hours"]
        );
    }
}
