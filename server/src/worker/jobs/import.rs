use async_trait::async_trait;
use domain::{
    Ctx, Error,
    jobs::JobError,
    projects::{self, ImportJob},
};
use serde_json::Value;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task, Why},
};

/// Fills a project from an uploaded archive, or from files that came one by one.
pub struct Import;

#[async_trait]
impl Job for Import {
    async fn run(&self, _work: &Work, task: &Task) -> Result<Outcome, Error> {
        let job: ImportJob = task.job.payload()?;
        let ended = projects::run_import(&task.ctx, &job, task.progress.clone(), task.stop.token.clone()).await;
        let again = if job.archive.is_some() { "upload the archive again" } else { "import the files again" };
        Ok(outcome_of(ended, task, again))
    }

    async fn tell_lost(&self, _work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let job: ImportJob = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        projects::discard_import(system, job.project_id).await
    }
}

/// `again` is what somebody does who still wants it.
pub(super) fn outcome_of(ended: Result<(), JobError>, task: &Task, again: &str) -> Outcome {
    match ended {
        Ok(()) => Outcome::Done,
        Err(JobError::Cancelled) if task.stop.why() == Some(Why::Asked) => Outcome::Cancelled,
        // A cancelled import has taken its project away, so there is nothing to come back to.
        Err(JobError::Cancelled) => Outcome::Failed(format!("The server was stopped during the import. Nothing was kept; {again}.")),
        Err(JobError::Final(sentence)) => Outcome::Failed(sentence),
        Err(JobError::Retry(sentence)) => Outcome::Retry(sentence),
    }
}
