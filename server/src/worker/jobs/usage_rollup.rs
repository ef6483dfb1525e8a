use async_trait::async_trait;
use domain::{Ctx, Error, usage};
use serde_json::Value;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Sums up what models were used for, every hour.
pub struct UsageRollup;

#[async_trait]
impl Job for UsageRollup {
    async fn run(&self, _work: &Work, task: &Task) -> Result<Outcome, Error> {
        Ok(match usage::roll_up(&task.ctx).await {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(format!("{} The next try comes within the hour.", error.into_problem(&task.ctx).detail)),
        })
    }

    async fn tell_lost(&self, _work: &Work, _system: &Ctx, _payload: &Value) -> Result<(), Error> {
        Ok(())
    }
}
