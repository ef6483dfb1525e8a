use domain::{Error, runs};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::RunId;

use super::{Output, Tool, ToolCtx, ToolError, args, lines, run_command::Runner};

/// Bytes of one output that can be read again, the last ones.
pub const KEPT_MAX: usize = 8 * 1024 * 1024;
/// A handle that names a run begins with this; its output is kept with the run.
const RUN: &str = "run-";

pub const TOOL: Tool = Tool {
    name: "read_output",
    description: "Shows more of an output of this turn that was cut in the middle, by the handle that stands where it was cut. At most 2000 lines or \
                  64 KiB at a time, numbered from the output's beginning.",
    schema,
    mutates: false,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "handle": {"type": "string", "description": "The handle as it was given."},
            "start_line": {"type": "integer", "minimum": 1, "description": "First line to show, counted from 1."},
            "end_line": {"type": "integer", "minimum": 1, "description": "Last line to show."}
        },
        "required": ["handle"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub handle: String,
    #[serde(default, deserialize_with = "args::count")]
    pub start_line: Option<u64>,
    #[serde(default, deserialize_with = "args::count")]
    pub end_line: Option<u64>,
}

/// Where a run's output can be read again.
pub fn handle_of_run(run: RunId) -> String {
    format!("{RUN}{run}")
}

pub async fn execute(ctx: &ToolCtx, args: Args) -> Result<Output, ToolError> {
    let handle = args.handle.trim();
    let text = match (handle.strip_prefix(RUN).and_then(|id| id.parse().ok()), &ctx.runner) {
        (Some(run), Some(runner)) => output_of_run(runner, run).await?,
        _ => ctx.branch.note(handle, KEPT_MAX as u64).await?,
    };
    match text {
        Some(text) => lines::show("The output", &text, args.start_line, args.end_line),
        None => {
            let content = format!(
                "Not found: no output of this turn has the handle {handle:?}, or it was lost with the worker that kept it. Make the call again \
                 whose output it was, if it still matters."
            );
            Err(ToolError::refused(content, "No such output"))
        }
    }
}

/// `None` for a run that this turn did not start.
async fn output_of_run(runner: &Runner, id: RunId) -> Result<Option<String>, Error> {
    let run = match runs::get(&runner.ctx, id).await {
        Ok(run) => run,
        Err(Error::NotFound(_) | Error::Forbidden(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if run.turn_id != Some(runner.turn) {
        return Ok(None);
    }
    let bytes = runs::stored_output(&runner.ctx, id, KEPT_MAX as i64).await?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn of(handle: &str, start_line: Option<u64>, end_line: Option<u64>) -> Args {
        Args { handle: handle.into(), start_line, end_line }
    }

    #[tokio::test]
    async fn what_was_kept_is_read_by_lines() {
        let kit = branch(&[]).await;
        let text: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        kit.branch.keep_note("out-1", &text).await.unwrap();
        let out = execute(&kit.ctx(), of("out-1", Some(29), None)).await.unwrap();
        assert_eq!(out.content, "    29\tline 29\n    30\tline 30\n[lines 29 to 30 of 30]\n");
        assert!(execute(&kit.ctx(), of("out-1", Some(31), None)).await.unwrap_err().to_string().contains("has 30 lines"));
    }

    #[tokio::test]
    async fn a_handle_of_nothing_is_said_and_leads_nowhere() {
        let kit = branch(&[("a.txt", "secret")]).await;
        for handle in ["out-9", "", "../../upper/a.txt", "run-x", "run-0192d3c4-0000-7000-8000-000000000000"] {
            let said = execute(&kit.ctx(), of(handle, None, None)).await.unwrap_err().to_string();
            assert!(said.starts_with("Not found"), "{handle}: {said}");
        }
    }
}
