use wire::{ChangeSetId, Micros, ProjectId, RunId, TurnId};

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

/// The same for all runs of a project that were asked for within these times.
pub async fn turns_between(
    c: &mut Conn,
    project: ProjectId,
    from: Micros,
    upto: Micros,
) -> Result<Vec<(RunId, TurnId, Option<ChangeSetId>)>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT g.run_id, t.id, t.change_set_id FROM codegen_runs g JOIN runs r ON r.id = g.run_id JOIN turns t ON t.id = g.turn_id
             WHERE r.project_id = $1 AND r.created_at >= $2 AND r.created_at <= $3",
        )
        .bind(project).bind(from).bind(upto).fetch_all(c).await?
    }))
}
