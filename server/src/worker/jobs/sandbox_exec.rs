use async_trait::async_trait;
use domain::{
    Ctx, Error,
    files::Maker,
    runs::{self, RunJob},
};
use serde_json::Value;
use wire::{files::Origin, runs::RunState};

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Runs a person's command in the project's checkout.
pub struct SandboxExec;

#[async_trait]
impl Job for SandboxExec {
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let RunJob { run_id } = task.job.payload()?;
        let bench = agent::Bench { sandbox: &work.sandbox, ports: &work.ports, keeper: &work.keeper };
        let running = agent::run_in_checkout(&task.ctx, &bench, run_id, &task.stop.token);
        tokio::select! {
            biased;
            // Dropping the run kills it; what it left is found when its end is told.
            () = task.stop.taken_away() => Ok(Outcome::Failed("The server was stopped while this ran.".to_owned())),
            ended = running => Ok(if ended?.state == RunState::Cancelled { Outcome::Cancelled } else { Outcome::Done }),
        }
    }

    async fn tell_lost(&self, work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let RunJob { run_id } = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        let run = runs::get(system, run_id).await?;
        if run.state.is_finished() {
            return Ok(());
        }
        // What it had done to files is nobody else's: left in the checkout, the next run would save it as its own.
        let workspaces = work.sandbox.workspaces();
        let changes = match workspaces.revision(run.project_id.0) {
            Some(revision) if run.started_at.is_some() => {
                let maker = Maker { origin: Origin::Run, cause: Some(run_id.0) };
                agent::commit_run_changes(system, workspaces, run.project_id, revision, maker).await.map(|saved| saved.written)
            }
            _ => Ok(Vec::new()),
        };
        let changes = changes.unwrap_or_else(|error| {
            tracing::warn!(run.id = %run_id, %error, "what a lost run had changed could not be saved");
            Vec::new()
        });
        runs::mark_lost(system, run_id, changes).await
    }
}
