use async_trait::async_trait;
use domain::{
    Ctx, Error,
    jobs::JobError,
    storage::{self, MoveJob},
};
use serde_json::Value;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task, Why},
};

/// Moves a project's bytes to another storage.
pub struct MoveStorage;

#[async_trait]
impl Job for MoveStorage {
    async fn run(&self, _work: &Work, task: &Task) -> Result<Outcome, Error> {
        let job: MoveJob = task.job.payload()?;
        let ended = storage::run_move(&task.ctx, &job, task.progress.clone(), task.stop.token.clone()).await;
        Ok(match ended {
            Ok(()) => Outcome::Done,
            Err(JobError::Cancelled) if task.stop.why() == Some(Why::Shutdown) => {
                Outcome::Retry("The server was stopped during the move. It goes on by itself.".to_owned())
            }
            Err(JobError::Cancelled) => {
                storage::end_move(&task.ctx, &job).await?;
                Outcome::Cancelled
            }
            Err(JobError::Final(sentence)) => Outcome::Failed(sentence),
            Err(JobError::Retry(sentence)) => Outcome::Retry(sentence),
        })
    }

    async fn tell_lost(&self, _work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let job: MoveJob = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        storage::end_move(system, &job).await
    }
}
