//! Test runs: what is executed for one, and what becomes of what it found.

use std::{io::Read, time::SystemTime};

use domain::{
    Ctx, Error, runs,
    test_reports::{self, TestPlan},
};
use sandbox::{RunDir, Workspaces};
use wire::runs::{Run, RunKind};

/// Bytes of output that are read for results, the last ones.
const OUTPUT_MOST: i64 = 32 * 1024 * 1024;
const REPORT_MOST: u64 = 32 * 1024 * 1024;

/// A test run that is about to be executed.
#[derive(Debug)]
pub struct Planned {
    pub plan: TestPlan,
    at: SystemTime,
}

impl Planned {
    /// The run begins now: reports that are older are not its own.
    pub fn now(plan: TestPlan) -> Self {
        Self { plan, at: SystemTime::now() }
    }
}

/// `None` for other kinds of runs. The inner error is a sentence that says why there is nothing to run.
pub async fn plan(ctx: &Ctx, run: &Run) -> Result<Result<Option<Planned>, String>, Error> {
    if run.kind != RunKind::TestRunner {
        return Ok(Ok(None));
    }
    match test_reports::plan(ctx, run.project_id, &run.command, &run.only).await {
        Ok(plan) => Ok(Ok(Some(Planned::now(plan)))),
        Err(Error::Invalid(fields)) => Ok(Err(fields.into_iter().map(|field| field.message).collect::<Vec<_>>().join(" "))),
        Err(error) => Err(error),
    }
}

/// Reads what the tests found where they ran, and stores it with the run. What can't be read leaves the run without a report.
pub async fn report(ctx: &Ctx, workspaces: &Workspaces, run: &Run, dir: RunDir, planned: &Planned) {
    if let Err(error) = try_report(ctx, workspaces, run, dir, planned).await {
        tracing::warn!(run.id = %run.id, %error, "what a test run found could not be stored");
    }
}

async fn try_report(ctx: &Ctx, workspaces: &Workspaces, run: &Run, dir: RunDir, planned: &Planned) -> Result<(), Error> {
    let output = runs::stored_output(ctx, run.id, OUTPUT_MOST).await?;
    let (framework, since) = (planned.plan.framework, planned.at);
    let opened = match &planned.plan.report {
        Some(path) if run.cwd.is_empty() => open(workspaces, dir, path.clone()).await,
        Some(path) => open(workspaces, dir, format!("{}/{path}", run.cwd)).await,
        None => None,
    };
    let reading = tokio::task::spawn_blocking(move || {
        let file = opened.and_then(|file| read_file(file, since));
        test_reports::parse(framework, &output, file.as_deref())
    });
    test_reports::save(ctx, run.id, reading.await.map_err(Error::internal)?).await
}

async fn open(workspaces: &Workspaces, dir: RunDir, path: String) -> Option<std::fs::File> {
    match dir {
        RunDir::Branch { project, branch } => workspaces.branch_open(project, branch, &path).await.ok(),
        RunDir::Checkout(project) => {
            let workspaces = workspaces.clone();
            tokio::task::spawn_blocking(move || workspaces.open_file(project, &path).ok()).await.ok().flatten()
        }
    }
}

/// `None` for a file that is too large or is older than the run.
fn read_file(file: std::fs::File, since: SystemTime) -> Option<Vec<u8>> {
    let about = file.metadata().ok()?;
    // Clocks of file systems tick coarsely.
    let is_new = about.modified().is_ok_and(|at| at + std::time::Duration::from_secs(2) >= since);
    if !is_new || about.len() > REPORT_MOST {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(REPORT_MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
