use std::{collections::HashMap, fmt::Write as _};

use domain::{Error, test_reports};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{
    runs::{ExitKind, RunKind, RunState, StartRun},
    test_reports::{CaseState, TestCase, TestReport},
};

use super::{
    Output, Tool, ToolCtx, ToolError, args,
    run_command::{describe_end, describe_output},
};
use crate::{
    branch::Branch,
    exec::{self, Order},
    test_run::{self, Planned},
    text::{cut_end, cut_middle},
};

/// Files that tell the framework are short; more than this is not read.
const TELLING_MAX: u64 = 256 * 1024;
/// Failed cases that are told, and bytes of each one's message.
const FAILED_MAX: usize = 20;
const MESSAGE_MAX: usize = 1500;

pub const TOOL: Tool = Tool {
    name: "run_tests",
    description: "Runs the project's tests on your branch in the sandbox and tells which cases failed and why. It knows how they are run here: by the \
                  project's own command, or cargo, pytest, unittest, node, vitest, jest or go. filter runs only cases whose name contains it.",
    schema,
    mutates: true,
    asks: true,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "filter": {"type": "string", "description": "A part of the names of the cases to run; for pytest also a file."},
            "timeout_s": {"type": "integer", "minimum": 1, "maximum": 3600, "description": "Seconds after which they are ended."}
        },
        "additionalProperties": false
    })
}

#[derive(Debug, Default, Deserialize)]
pub struct Args {
    #[serde(default)]
    pub filter: Option<String>,
    #[serde(default, deserialize_with = "args::count")]
    pub timeout_s: Option<u64>,
}

pub async fn execute(ctx: &ToolCtx, call_id: &str, args: Args) -> Result<Output, ToolError> {
    let Some(runner) = &ctx.runner else {
        return Err(ToolError::refused("Not run: commands can't be run here.", "Not run"));
    };
    let filter = args.filter.as_deref().map(str::trim).filter(|filter| !filter.is_empty());
    let texts = telling_texts(&ctx.branch).await?;
    let files = ctx.branch.list("").await?;
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let plan = match test_reports::plan_for_tree(&runner.ctx, runner.project, &paths, &texts, filter).await {
        Ok(plan) => plan,
        Err(Error::Invalid(fields)) => {
            let why: Vec<String> = fields.into_iter().map(|field| field.message).collect();
            return Err(ToolError::refused(format!("Not run. {}", why.join(" ")), "Not run"));
        }
        Err(error) => return Err(error.into()),
    };
    let timeout_s = args.timeout_s.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    let request = StartRun { command: plan.command.clone(), timeout_s, ..StartRun::of_kind(RunKind::TestRunner) };
    let run = runner.start(call_id, request).await?;
    let (planned, dir) = (Planned::now(plan), runner.dir());
    let order = Order { plan: Some(&planned), ..Order::new(&run, dir) };
    let executed = exec::execute(&runner.ctx, &runner.sandbox, order, &ctx.cancel).await?;
    test_run::report(&runner.ctx, runner.sandbox.workspaces(), &run, dir, &planned).await;
    executed.finish(&runner.ctx, Vec::new()).await?;
    let found = test_reports::of_run(&runner.ctx, run.id).await?.filter(|report| report.passed + report.failed + report.skipped > 0);

    let ended = describe_end(&executed);
    let counts = found.as_ref().map(describe_counts);
    let mut content = format!("Ran {}\n{ended}", planned.plan.command);
    if let (Some(report), Some(counts)) = (&found, &counts) {
        let _ = write!(content, " {counts}\n{}", describe_failures(report));
    }
    // Where every failed case is told, the output says nothing more.
    let is_told = found.as_ref().is_some_and(|report| report.failed as usize <= FAILED_MAX) && executed.exit.kind == ExitKind::Exited;
    if !is_told || (executed.state != RunState::Succeeded && found.as_ref().is_none_or(|report| report.failed == 0)) {
        content.push_str(&describe_output(&executed));
    }
    let summary = cut_end(counts.as_deref().unwrap_or(&ended), 160);
    let output = Output::new(content, summary).of_run(run.id);
    if executed.state == RunState::Succeeded {
        Ok(output)
    } else {
        Err(ToolError::RunFailed { output, left_alive: executed.exit.left_alive })
    }
}

async fn telling_texts(branch: &Branch) -> Result<HashMap<&'static str, String>, ToolError> {
    let mut texts = HashMap::new();
    for name in test_reports::TELLING {
        // A file that can't be read tells nothing.
        if let Ok(Some(bytes)) = branch.bytes(name, TELLING_MAX).await {
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(texts)
}

fn describe_counts(report: &TestReport) -> String {
    let TestReport { passed, failed, skipped, .. } = report;
    let skipped = if *skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    format!("{passed} passed, {failed} failed{skipped}.")
}

fn describe_failures(report: &TestReport) -> String {
    let failed = || report.cases.iter().filter(|case| case.state == CaseState::Failed);
    let mut out: String = failed().take(FAILED_MAX).map(describe_case).collect();
    let more = usize::try_from(report.failed).unwrap_or(0).saturating_sub(FAILED_MAX);
    if more > 0 {
        let _ = writeln!(out, "\n({more} more cases failed.)");
    }
    out
}

fn describe_case(case: &TestCase) -> String {
    let place = match (&case.file, case.line) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        (Some(file), None) => format!(" in {file}"),
        (None, _) => String::new(),
    };
    let name: Vec<&str> = case.path.iter().map(String::as_str).chain([case.name.as_str()]).collect();
    format!("\nFailed: {}{place}\n{}\n", name.join(" › "), cut_middle(case.message.trim_end(), MESSAGE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;
    use wire::test_reports::Framework;

    #[test]
    fn failures_are_told_with_their_places_and_bounded() {
        let case = |n: usize, state| TestCase {
            id: n.to_string(),
            path: vec!["mod".into()],
            name: format!("case_{n}"),
            state,
            duration_ms: None,
            message: "left: 1\nright: 2\n".into(),
            file: Some("src/a.rs".into()),
            line: Some(7),
        };
        let mut cases: Vec<TestCase> = (0..25).map(|n| case(n, CaseState::Failed)).collect();
        cases.push(case(99, CaseState::Passed));
        let report = TestReport { framework: Framework::Cargo, passed: 1, failed: 25, skipped: 0, cases, truncated: false };
        assert_eq!(describe_counts(&report), "1 passed, 25 failed.");
        let told = describe_failures(&report);
        assert!(told.starts_with("\nFailed: mod › case_0 at src/a.rs:7\nleft: 1\nright: 2\n"), "{told}");
        assert!(told.ends_with("(5 more cases failed.)\n") && !told.contains("case_99"), "{told}");
    }

    #[tokio::test]
    async fn without_a_runner_nothing_is_run() {
        let kit = branch(&[("Cargo.toml", "")]).await;
        let said = execute(&kit.ctx(), "c", Args::default()).await.unwrap_err().to_string();
        assert!(said.starts_with("Not run"));
    }
}
