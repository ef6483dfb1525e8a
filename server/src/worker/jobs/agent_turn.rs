use agent::{Deps, SyncError};
use async_trait::async_trait;
use domain::{
    Ctx, Error,
    chat::{self, TurnJob},
};
use sandbox::WorkspaceError;
use serde_json::Value;
use wire::chat::TurnReason;

use crate::worker::{
    Work,
    registry::Job,
    task::{Outcome, Task},
};

const LOST: &str = "The server could not finish this turn.";
const AGAIN: &str = "Send the message again to go on.";

/// Drives one turn of the agent until it ends or waits for a person.
pub struct AgentTurn;

#[async_trait]
impl Job for AgentTurn {
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error> {
        let TurnJob { turn_id } = task.job.payload()?;
        let deps = Deps { models: work.models.clone(), sandbox: work.sandbox.clone(), workspaces: work.sandbox.workspaces().clone() };
        let turn = agent::run_turn(task.ctx.as_agent(turn_id), deps, turn_id, task.stop.token.clone());
        tokio::select! {
            biased;
            // Dropped, a turn is not ended: the next job goes on from its transcript.
            () = task.stop.taken_away() => Ok(Outcome::Retry("The server was stopped during this turn.".to_owned())),
            ended = turn => ended.map(|ended| match ended {
                agent::Outcome::Finished { reason: TurnReason::Stopped, .. } => Outcome::Cancelled,
                agent::Outcome::Finished { .. } | agent::Outcome::Waiting | agent::Outcome::NotOurs => Outcome::Done,
            }),
        }
    }

    async fn tell_lost(&self, work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error> {
        let TurnJob { turn_id } = serde_json::from_value(payload.clone()).map_err(Error::internal)?;
        let turn = chat::get_turn(system, turn_id).await?;
        let workspaces = work.sandbox.workspaces();
        let base_revision = chat::base_revision(system, turn_id).await?;
        // What it had done is still worth a look.
        let kept = match agent::branch_to_change_set(system, workspaces, &turn, base_revision).await {
            Ok(collected) if collected.change_set.is_some() => "What it had changed so far is kept for review.",
            Ok(_) => "It had changed no file.",
            Err(SyncError::Workspace(WorkspaceError::NoBranch)) => {
                "What it had changed, if anything, is lost with the worker that held it; the project is as it was before."
            }
            Err(error) => {
                tracing::warn!(turn.id = %turn_id, %error, "a lost turn's changes could not be kept");
                "What it had changed could not be collected; the project is as it was before."
            }
        };
        if let Err(error) = workspaces.drop_branch(turn.project_id.0, turn_id.0).await {
            tracing::warn!(turn.id = %turn_id, %error, "a lost turn's branch could not be removed");
        }
        chat::finish_turn(system, turn_id, TurnReason::Lost, &format!("{LOST} {kept} {AGAIN}")).await.map(drop)
    }
}
