use async_trait::async_trait;
use domain::{
    Ctx, Error,
    chat::{self, TurnJob},
};
use serde_json::Value;

use super::AgentTurn;
use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

/// Drives a turn that a run stands for. The run ends with the turn, in one transaction.
pub struct Codegen;

#[async_trait]
impl Job for Codegen {
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let TurnJob { turn_id } = task.job.payload()?;
        chat::begin_codegen_run(&task.ctx, turn_id).await?;
        AgentTurn.run(work, task).await
    }

    async fn tell_lost(&self, work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        AgentTurn.tell_lost(work, system, payload).await
    }
}
