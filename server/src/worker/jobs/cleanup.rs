use async_trait::async_trait;
use domain::{Ctx, Error, storage};
use serde_json::Value;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Removes what nobody needs any more, every hour.
pub struct Cleanup;

#[async_trait]
impl Job for Cleanup {
    async fn run(&self, _work: &Work, task: &Task) -> Result<Outcome, Error> {
        let cleaned = storage::clean(&task.ctx, task.progress.clone(), task.stop.token.clone()).await;
        Ok(match cleaned {
            Ok(()) if task.stop.why().is_some() => Outcome::Cancelled,
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(format!("{} The next cleanup comes within the hour.", error.into_problem(&task.ctx).detail)),
        })
    }

    async fn tell_lost(&self, _work: &Work, _system: &Ctx, _payload: &Value) -> Result<(), Error> {
        Ok(())
    }
}
