use async_trait::async_trait;
use domain::{
    Ctx, Error,
    export::{self, ExportJob},
    jobs::JobError,
};
use serde_json::Value;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task, Why},
};

/// Packs a project into an archive.
pub struct Export;

#[async_trait]
impl Job for Export {
    async fn run(&self, _work: &Work, task: &Task) -> Result<Outcome, Error> {
        let job: ExportJob = task.job.payload()?;
        let ended = export::run(&task.ctx, &job, task.progress.clone(), task.stop.token.clone()).await;
        Ok(match ended {
            Ok(()) => Outcome::Done,
            Err(JobError::Cancelled) if task.stop.why() == Some(Why::Asked) => Outcome::Cancelled,
            Err(JobError::Cancelled) => Outcome::Retry("The server was stopped while it packed the project.".to_owned()),
            Err(JobError::Final(sentence)) => Outcome::Failed(sentence),
            Err(JobError::Retry(sentence)) => Outcome::Retry(sentence),
        })
    }

    /// The list says by the job's end what became of it.
    async fn tell_lost(&self, _work: &Work, _system: &Ctx, _payload: &Value) -> Result<(), Error> {
        Ok(())
    }
}
