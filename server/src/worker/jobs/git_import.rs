use async_trait::async_trait;
use domain::{
    Ctx, Error,
    projects::{self, GitJob},
};
use serde_json::Value;

use super::import::outcome_of;
use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Fills a project from a git repository, cloned in the sandbox.
pub struct GitImport;

#[async_trait]
impl Job for GitImport {
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let job: GitJob = task.job.payload()?;
        let stop = task.stop.token.clone();
        let ended = agent::clone_repository(&task.ctx, &work.sandbox, &job, task.progress.clone(), stop).await;
        Ok(outcome_of(ended, task, "start it once more"))
    }

    async fn tell_lost(&self, _work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let job: GitJob = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        projects::discard_import(system, job.project_id).await
    }
}
