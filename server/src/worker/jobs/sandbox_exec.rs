use async_trait::async_trait;
use domain::{
    Ctx, Error,
    jobs::JobKind,
    runs::{self, RunJob},
};
use serde_json::Value;
use wire::runs::RunState;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Runs a person's command in the project's checkout.
pub struct SandboxExec;

#[async_trait]
impl Job for SandboxExec {
    fn kind(&self) -> JobKind {
        JobKind::SandboxExec
    }

    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let RunJob { run_id } = task.job.payload()?;
        let running = agent::run_in_checkout(&task.ctx, &work.sandbox, work.sandbox.workspaces(), run_id, &task.stop.token);
        tokio::select! {
            biased;
            // Dropping the run kills it; what it left half done is not saved as anybody's.
            () = task.stop.taken_away() => Ok(Outcome::Failed("The server was stopped while this ran.".to_owned())),
            ended = running => Ok(if ended?.state == RunState::Cancelled { Outcome::Cancelled } else { Outcome::Done }),
        }
    }

    async fn tell_lost(&self, _work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let job: RunJob = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        runs::mark_lost(system, job.run_id).await
    }
}
