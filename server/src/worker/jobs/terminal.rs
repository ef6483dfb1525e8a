use async_trait::async_trait;
use domain::{Ctx, Error, files::Maker, runs::RunJob, terminals};
use serde_json::Value;
use wire::{files::Origin, runs::RunState, terminals::TerminalState};

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Keeps a terminal open until its shell ends or somebody closes it.
pub struct Terminal;

#[async_trait]
impl Job for Terminal {
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let RunJob { run_id } = task.job.payload()?;
        let bench = agent::Bench { sandbox: &work.sandbox, ports: &work.ports, keeper: &work.keeper };
        let open = agent::run_terminal(&task.ctx, &bench, &work.terminals, run_id, &task.stop.token);
        tokio::select! {
            biased;
            // Dropping it kills everything in it; what it left in the files is found when its end is told.
            () = task.stop.taken_away() => Ok(Outcome::Failed(terminals::LOST.to_owned())),
            ended = open => Ok(if ended? == RunState::Cancelled { Outcome::Cancelled } else { Outcome::Done }),
        }
    }

    async fn tell_lost(&self, work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let RunJob { run_id } = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        let terminal = terminals::get(system, run_id).await?;
        if terminal.state == TerminalState::Closed {
            return Ok(());
        }
        let workspaces = work.sandbox.workspaces();
        let changes = match workspaces.revision(terminal.project_id.0) {
            Some(revision) if terminal.state == TerminalState::Open => {
                let maker = Maker { origin: Origin::Terminal, cause: Some(run_id.0) };
                let saved = agent::commit_run_changes(system, workspaces, terminal.project_id, revision, maker).await;
                saved.map(|saved| saved.written)
            }
            _ => Ok(Vec::new()),
        };
        let changes = changes.unwrap_or_else(|error| {
            tracing::warn!(run.id = %run_id, %error, "what a lost terminal had changed could not be saved");
            Vec::new()
        });
        terminals::mark_lost(system, run_id, &changes).await
    }
}
