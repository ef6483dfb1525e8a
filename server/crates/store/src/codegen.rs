use wire::{ChangeSetId, RunId, TurnId};

use crate::{Conn, Result, db::on};

/// Says which turn a run stands for.
pub async fn insert(c: &mut Conn, run: RunId, turn: TurnId) -> Result<()> {
    on!(c, c => { sqlx::query("INSERT INTO codegen_runs (run_id, turn_id) VALUES ($1, $2)").bind(run).bind(turn).execute(c).await?; });
    Ok(())
}

pub async fn run_of(c: &mut Conn, turn: TurnId) -> Result<Option<RunId>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT run_id FROM codegen_runs WHERE turn_id = $1").bind(turn).fetch_optional(c).await?))
}

/// The turn that a run stands for, with its change set if it made one.
pub async fn turn_of(c: &mut Conn, run: RunId) -> Result<Option<(TurnId, Option<ChangeSetId>)>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT t.id, t.change_set_id FROM codegen_runs g JOIN turns t ON t.id = g.turn_id WHERE g.run_id = $1")
            .bind(run).fetch_optional(c).await?
    }))
}
