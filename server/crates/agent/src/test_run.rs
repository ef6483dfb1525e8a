//! Test runs: what is executed for one, and what becomes of what it printed.

use domain::{Ctx, Error};
use sandbox::Workspaces;
use wire::runs::{Run, RunKind};

/// What a test run executes.
#[derive(Debug, Clone)]
pub struct Plan {
    pub command: String,
    pub env: Vec<(String, String)>,
}

/// `None` for other kinds of runs. The inner error is a sentence that says why there is nothing to run.
pub async fn plan(_ctx: &Ctx, run: &Run) -> Result<Result<Option<Plan>, String>, Error> {
    if run.kind != RunKind::TestRunner {
        return Ok(Ok(None));
    }
    if run.command.trim().is_empty() {
        return Ok(Err("No tests were found. Type the command that runs them.".to_owned()));
    }
    Ok(Ok(Some(Plan { command: run.command.clone(), env: Vec::new() })))
}

/// Reads what the tests found and stores it with the run.
pub async fn report(_ctx: &Ctx, _workspaces: &Workspaces, _run: &Run, _plan: &Plan) {}
