use std::{fmt::Write as _, sync::Arc};

use domain::{Ctx, Error, chat, runs};
use sandbox::{RunDir, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{
    ProjectId, TurnId,
    event::EventKind,
    runs::{ExitKind, Run, RunKind, RunState, StartRun},
};

use super::{Output, Tool, ToolCtx, ToolError, args, read_output};
use crate::{
    exec::{self, Executed, Order},
    text::cut_end,
};

pub const TOOL: Tool = Tool {
    name: "run_command",
    description: "Runs a shell command in a sandbox, in the project's directory on your branch, with no network but the hosts that the project allows, and without input. Files it \
                  changes become part of your proposal, except those ignored by version control. Shows how it ended and what it printed, cut in \
                  the middle if long. Default time limit 600 seconds.",
    schema,
    mutates: true,
    asks: true,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "Command line for bash."},
            "cwd": {"type": "string", "description": "Directory relative to the project; leave it out for its top."},
            "timeout_s": {"type": "integer", "minimum": 1, "maximum": 3600, "description": "Seconds after which it is ended."}
        },
        "required": ["command"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub command: String,
    #[serde(default)]
    pub cwd: Option<String>,
    #[serde(default, deserialize_with = "args::count")]
    pub timeout_s: Option<u64>,
}

/// Where the turn's commands run.
#[derive(Clone)]
pub struct Runner {
    pub ctx: Ctx,
    pub sandbox: Arc<Sandbox>,
    pub turn: TurnId,
    pub project: ProjectId,
}

fn request(args: Args) -> Result<StartRun, ToolError> {
    let cwd = args.cwd.map(|cwd| cwd.trim_start_matches("./").trim_end_matches('/').to_owned()).filter(|cwd| !cwd.is_empty() && cwd != ".");
    let timeout_s = args.timeout_s.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    let request = StartRun { command: args.command, cwd, timeout_s, ..StartRun::of_kind(RunKind::Codegen) };
    let wrong: Vec<String> = request.validate().into_iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
    if wrong.is_empty() { Ok(request) } else { Err(ToolError::refused(format!("Not run. {}", wrong.join(" ")), "Not run")) }
}

pub async fn execute(ctx: &ToolCtx, call_id: &str, args: Args) -> Result<Output, ToolError> {
    let request = request(args)?;
    let Some(runner) = &ctx.runner else {
        return Err(ToolError::refused("Not run: commands can't be run here.", "Not run"));
    };
    let run = runner.start(call_id, request).await?;
    let executed = exec::execute(&runner.ctx, &runner.sandbox, Order::new(&run, runner.dir()), &ctx.cancel).await?;
    executed.finish(&runner.ctx, Vec::new()).await?;
    report(&executed)
}

impl Runner {
    pub(super) fn dir(&self) -> RunDir {
        RunDir::Branch { project: self.project.0, branch: self.turn.0 }
    }

    /// Makes the run's row, and tells the page which run belongs to the call, so that it can follow the output there.
    pub(super) async fn start(&self, call_id: &str, request: StartRun) -> Result<Run, ToolError> {
        let run = match runs::start_in_turn(&self.ctx, self.turn, self.project, request).await {
            Ok(run) => run,
            Err(Error::Forbidden(reason)) => return Err(ToolError::refused(format!("Not run: {reason}"), "Not allowed")),
            Err(Error::Invalid(fields)) => {
                let wrong: Vec<String> = fields.into_iter().map(|field| format!("{}: {}", field.field, field.message)).collect();
                return Err(ToolError::refused(format!("Not run. {}", wrong.join(" ")), "Not run"));
            }
            Err(error) => return Err(error.into()),
        };
        let told = EventKind::ToolOutput { call_id: call_id.to_owned(), run_id: Some(run.id), text: String::new() };
        chat::emit(&self.ctx, self.turn, vec![told]).await?;
        Ok(run)
    }
}

/// How it ended, in a sentence.
pub(super) fn describe_end(executed: &Executed) -> String {
    let exit = &executed.exit;
    let seconds = executed.usage.wall_ms as f64 / 1000.0;
    match (exit.kind, exit.code) {
        (ExitKind::Exited, Some(code)) => format!("Exit code {code} after {seconds:.1} s."),
        (ExitKind::Refused, _) => format!("Not run: {}", exit.sentence),
        _ => format!("{} ({seconds:.1} s)", exit.sentence),
    }
}

/// What it printed, with where the rest of it is.
pub(super) fn describe_output(executed: &Executed) -> String {
    if executed.output.is_empty() {
        let is_silent = executed.exit.kind != ExitKind::Refused;
        return if is_silent { " It printed nothing.".to_owned() } else { String::new() };
    }
    let mut text = format!(" It printed:\n{}", executed.output.to_text());
    if executed.output.is_cut() {
        let _ = write!(text, "\n[All of it: read_output with handle {:?}]", read_output::handle_of_run(executed.run));
    }
    text
}

fn report(executed: &Executed) -> Result<Output, ToolError> {
    let ended = describe_end(executed);
    let content = format!("{ended}{}", describe_output(executed));
    let summary = cut_end(&ended, 160);
    let output = Output::new(content, summary).of_run(executed.run);
    if executed.state == RunState::Succeeded {
        Ok(output)
    } else {
        Err(ToolError::RunFailed { output, left_alive: executed.exit.left_alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sample::Sample, tools::testkit::branch};
    use wire::{
        RunId,
        runs::{Exit, RunUsage},
    };

    fn args(command: &str, cwd: Option<&str>, timeout_s: Option<u64>) -> Args {
        Args { command: command.into(), cwd: cwd.map(Into::into), timeout_s }
    }

    #[test]
    fn checks_what_is_asked_for() {
        assert_eq!(request(args("ls", Some("./"), None)).unwrap().cwd, None);
        assert_eq!(request(args("ls", Some("src/"), Some(5))).unwrap().cwd.as_deref(), Some("src"));
        for wrong in [args(" ", None, None), args("ls", Some("../x"), None), args("ls", None, Some(0))] {
            assert!(request(wrong).unwrap_err().to_string().starts_with("Not run. "));
        }
    }

    #[test]
    fn reports_the_end_and_the_output() {
        let ended = |state, kind, code, printed: &str| {
            let mut output = Sample::default();
            output.push(printed.as_bytes());
            let exit = Exit { kind, code, signal: None, sentence: "It took too long.".into(), left_alive: 0 };
            let usage = RunUsage { wall_ms: 1234, ..RunUsage::default() };
            report(&Executed { run: RunId(uuid::Uuid::nil()), state, exit, usage, output })
        };
        let good = ended(RunState::Succeeded, ExitKind::Exited, Some(0), "hi\n").unwrap();
        let told = Output::new("Exit code 0 after 1.2 s. It printed:\nhi\n", "Exit code 0 after 1.2 s.");
        assert_eq!(good, told.of_run(RunId(uuid::Uuid::nil())));
        let bad = ended(RunState::Failed, ExitKind::Exited, Some(2), "").unwrap_err();
        assert_eq!(bad.to_string(), "Exit code 2 after 1.2 s. It printed nothing.");
        let late = ended(RunState::TimedOut, ExitKind::TimedOut, None, "").unwrap_err();
        assert_eq!(late.to_string(), "It took too long. (1.2 s) It printed nothing.");
        let long = ended(RunState::Succeeded, ExitKind::Exited, Some(0), &"x\n".repeat(20_000)).unwrap();
        assert!(long.content.contains("read_output with handle \"run-00000000-"), "{}", &long.content[long.content.len() - 200..]);
        let refused = ended(RunState::Failed, ExitKind::Refused, None, "").unwrap_err();
        assert_eq!(refused.to_string(), "Not run: It took too long.");
    }

    #[tokio::test]
    async fn without_a_runner_nothing_is_run() {
        let kit = branch(&[]).await;
        let said = execute(&kit.ctx(), "c", args("ls", None, None)).await.unwrap_err().to_string();
        assert!(said.starts_with("Not run"));
    }
}
