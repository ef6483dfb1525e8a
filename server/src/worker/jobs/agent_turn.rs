use agent::Deps;
use async_trait::async_trait;
use domain::{
    Ctx, Error,
    chat::{self, TurnJob},
    jobs::JobKind,
};
use serde_json::Value;
use wire::chat::TurnReason;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

const LOST: &str = "The server could not finish this turn. The conversation and your files are as you see them; send the message again.";

/// Drives one turn of the agent until it ends or waits for a person.
pub struct AgentTurn;

#[async_trait]
impl Job for AgentTurn {
    fn kind(&self) -> JobKind {
        JobKind::AgentTurn
    }

    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let TurnJob { turn_id } = task.job.payload()?;
        let deps = Deps {
            models: work.models.clone(),
            sandbox: work.sandbox.clone(),
            workspaces: work.sandbox.workspaces().clone(),
        };
        let turn = agent::run_turn(task.ctx.as_agent(turn_id), deps, turn_id, task.stop.token.clone());
        tokio::select! {
            biased;
            // Dropped, a turn is not ended: the next job goes on from its transcript.
            () = task.stop.taken_away() => Ok(Outcome::Retry("The server was stopped during this turn.".to_owned())),
            ended = turn => ended.map(|ended| match ended {
                agent::Outcome::Finished { reason: TurnReason::Stopped, .. } => Outcome::Cancelled,
                agent::Outcome::Finished { .. } | agent::Outcome::Waiting | agent::Outcome::AlreadyFinished => Outcome::Done,
            }),
        }
    }

    async fn tell_lost(&self, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let job: TurnJob = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        chat::finish_turn(system, job.turn_id, TurnReason::Lost, LOST).await.map(drop)
    }
}
