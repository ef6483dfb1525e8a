//! What the model can do. Names, arguments and their meaning are part of the contract with models.
//!
//! A tool's failure is an answer to the model: it says what was wrong and what to do. Only what makes the whole turn
//! impossible is an error.

pub(crate) mod args;
pub mod ask_user;
pub mod delete_file;
pub mod edit_file;
pub mod edit_text;
mod foreign;
mod lines;
pub mod list_files;
pub mod move_file;
pub mod propose_plan;
pub mod read_file;
pub mod read_output;
pub mod run_command;
pub mod run_tests;
pub mod search;
#[cfg(test)]
pub(crate) mod testkit;
pub mod web_fetch;
pub mod write_file;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
    time::Instant,
};

use sandbox::WorkspaceError;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wire::{
    RunId,
    chat::{ToolCall, ToolFacts},
};

pub use self::foreign::{Foreign, ForeignTool};
use crate::{
    branch::{Branch, Standing},
    fsm::{ToolResult, ToolRule},
    text::{cut_end, cut_middle},
};

/// The largest file that the file tools read or write whole.
pub const FILE_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of one tool result.
const CONTENT_MAX: usize = 68 * 1024;
const SUMMARY_MAX: usize = 200;

/// One tool as the model sees it. `schema` is the JSON Schema of its arguments.
pub struct Tool {
    pub name: &'static str,
    pub description: &'static str,
    pub schema: fn() -> Value,
    /// It may change something; such tools are not offered in *plan* mode.
    pub mutates: bool,
    /// In *ask* mode it waits for a person.
    pub asks: bool,
}

/// All built-in tools, in the order in which they are offered.
pub const TOOLS: [Tool; 13] = [
    list_files::TOOL,
    read_file::TOOL,
    search::TOOL,
    write_file::TOOL,
    edit_file::TOOL,
    move_file::TOOL,
    delete_file::TOOL,
    run_command::TOOL,
    run_tests::TOOL,
    read_output::TOOL,
    web_fetch::TOOL,
    ask_user::TOOL,
    propose_plan::TOOL,
];

/// The built-in tools with their schemas made once.
static RULES: LazyLock<Vec<ToolRule>> = LazyLock::new(|| {
    let rule = |t: &Tool| ToolRule {
        name: t.name.to_owned(),
        mutates: t.mutates,
        asks: t.asks,
        by_person: t.name == ask_user::TOOL.name,
        schema: Arc::new((t.schema)()),
    };
    TOOLS.iter().map(rule).collect()
});

/// What the machine knows of the tools of a turn. A name that is taken already is left out. `web`: there is a host to fetch from.
pub fn rules(foreign: Option<&dyn Foreign>, web: bool) -> Vec<ToolRule> {
    let mut rules = RULES.clone();
    rules.retain(|rule| web || rule.name != web_fetch::TOOL.name);
    for tool in foreign.map(Foreign::tools).unwrap_or_default() {
        if !TOOLS.iter().any(|own| own.name == tool.name) && !rules.iter().any(|rule| rule.name == tool.name) {
            rules.push(ToolRule {
                name: tool.name.clone(),
                mutates: tool.mutates,
                asks: tool.asks,
                by_person: false,
                schema: tool.schema.clone(),
            });
        }
    }
    rules
}

/// Descriptions of the named tools for a model request.
pub fn specs(names: &[String], foreign: Option<&dyn Foreign>) -> Vec<llm::ToolSpec> {
    let wanted = TOOLS.iter().zip(RULES.iter()).filter(|(t, _)| names.iter().any(|name| name == t.name));
    let built_in =
        wanted.map(|(t, rule)| llm::ToolSpec { name: t.name.into(), description: t.description.into(), schema: rule.schema.clone() });
    let is_wanted = |tool: &&ForeignTool| names.contains(&tool.name) && !TOOLS.iter().any(|t| t.name == tool.name);
    let others = foreign.map(Foreign::tools).unwrap_or_default().iter().filter(is_wanted);
    let others =
        others.map(|t| llm::ToolSpec { name: t.name.clone().into(), description: t.description.clone().into(), schema: t.schema.clone() });
    built_in.chain(others).collect()
}

/// What a tool works on.
#[derive(Clone)]
pub struct ToolCtx {
    pub branch: Branch,
    /// Ends what the tool is doing; it then still reports how far it came.
    pub cancel: CancellationToken,
    /// Where commands run; without it they are refused.
    pub runner: Option<run_command::Runner>,
    /// Tools that are not built in.
    pub foreign: Option<Arc<dyn Foreign>>,
}

/// A tool's answer: `content` for the model, `summary` for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub content: String,
    pub summary: String,
    /// The run that was made for it.
    pub run_id: Option<RunId>,
}

impl Output {
    pub fn new(content: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { content: content.into(), summary: summary.into(), run_id: None }
    }

    pub fn of_run(self, run: RunId) -> Self {
        Self { run_id: Some(run), ..self }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The model can do something about it. `content` must say what.
    #[error("{content}")]
    Refused { content: String, summary: String },
    /// A command was run and ended otherwise than with 0.
    #[error("{}", output.content)]
    RunFailed { output: Output, left_alive: u32 },
    #[error(transparent)]
    Domain(#[from] domain::Error),
}

impl ToolError {
    pub fn refused(content: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::Refused { content: content.into(), summary: summary.into() }
    }
}

impl From<WorkspaceError> for ToolError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::NoBranch => Self::Domain(domain::Error::internal(error)),
            WorkspaceError::InTheWay { path } => {
                Self::refused(format!("Not done: something else is at {path}, a directory or a file."), format!("{path} is in the way"))
            }
            // What a project contains can make any access fail, such as a file without read permission.
            error => Self::refused(format!("Not done: {error}."), format!("Not done: {error}")),
        }
    }
}

/// Runs one call. `Err` only for what the turn cannot go on from.
pub async fn run(ctx: &ToolCtx, call: &ToolCall) -> Result<ToolResult, domain::Error> {
    let began = Instant::now();
    let ctx = &ToolCtx { branch: ctx.branch.counting(), ..ctx.clone() };
    let (ok, output, left_alive) = match dispatch(ctx, call).await {
        Ok(output) => (true, output, 0),
        Err(ToolError::Refused { content, summary }) => (false, Output::new(content, summary), 0),
        Err(ToolError::RunFailed { output, left_alive }) => (false, output, left_alive),
        Err(ToolError::Domain(error)) => return Err(error),
    };
    let took_ms = i64::try_from(began.elapsed().as_millis()).ok();
    let bytes_changed = ctx.branch.changed().and_then(|bytes| i64::try_from(bytes).ok());
    let summary = cut_end(&output.summary, SUMMARY_MAX);
    let facts = ToolFacts { summary, took_ms, run_id: output.run_id, declined: false, bytes_changed };
    let content = shorten(&ctx.branch, &call.id, output.content).await;
    Ok(ToolResult { call_id: call.id.clone(), ok, content, facts, left_alive })
}

/// Cuts what is too long in the middle, and keeps all of it beside the branch.
async fn shorten(branch: &Branch, call_id: &str, content: String) -> String {
    if content.len() <= CONTENT_MAX {
        return content;
    }
    let mut hasher = DefaultHasher::new();
    call_id.hash(&mut hasher);
    let handle = format!("out-{:016x}", hasher.finish());
    let kept = content.get(..content.floor_char_boundary(read_output::KEPT_MAX)).unwrap_or_default();
    let rest = match branch.keep_note(&handle, kept).await {
        Ok(()) => format!("[All of it: read_output with handle {handle:?}]"),
        Err(error) => {
            tracing::warn!(%error, "a long output could not be kept");
            "[The rest could not be kept.]".to_owned()
        }
    };
    format!("{}\n{rest}", cut_middle(&content, CONTENT_MAX - rest.len()))
}

async fn dispatch(ctx: &ToolCtx, call: &ToolCall) -> Result<Output, ToolError> {
    let arguments = call.arguments.as_str();
    match call.name.as_str() {
        "list_files" => list_files::execute(&ctx.branch, args::parse(arguments)?).await,
        "read_file" => read_file::execute(&ctx.branch, args::parse(arguments)?).await,
        "search" => search::execute(ctx, args::parse(arguments)?).await,
        "write_file" => write_file::execute(&ctx.branch, args::parse(arguments)?).await,
        "edit_file" => edit_file::execute(&ctx.branch, args::parse(arguments)?).await,
        "move_file" => move_file::execute(&ctx.branch, args::parse(arguments)?).await,
        "delete_file" => delete_file::execute(&ctx.branch, args::parse(arguments)?).await,
        "run_command" => run_command::execute(ctx, &call.id, args::parse(arguments)?).await,
        "run_tests" => run_tests::execute(ctx, &call.id, args::parse(arguments)?).await,
        "read_output" => read_output::execute(ctx, args::parse(arguments)?).await,
        "web_fetch" => web_fetch::execute(ctx, args::parse(arguments)?).await,
        "propose_plan" => propose_plan::execute(&args::parse(arguments)?),
        other => match &ctx.foreign {
            Some(foreign) if foreign.tools().iter().any(|tool| tool.name == other) => {
                foreign.call(other, args::parse(arguments)?, &ctx.cancel).await
            }
            _ => Err(ToolError::refused(format!("There is no tool named {other:?}."), "No such tool")),
        },
    }
}

/// Reads a text file of the branch, or says why it can't be read as text.
async fn read_text(branch: &Branch, path: &str) -> Result<(String, u32), ToolError> {
    check_path(path)?;
    let file = match branch.read(path, FILE_MAX).await {
        Ok(Some(file)) => file,
        Ok(None) | Err(WorkspaceError::InTheWay { .. }) => return Err(not_there(branch, path).await),
        Err(error) => return Err(error.into()),
    };
    if file.is_link {
        let target = String::from_utf8_lossy(&file.bytes).into_owned();
        let content = format!("Not a file: {path} is a symbolic link to {target:?}. Name the file it leads to.");
        return Err(ToolError::refused(content, "A symbolic link"));
    }
    match String::from_utf8(file.bytes.into()) {
        Ok(text) if !text.contains('\0') => Ok((text, file.mode)),
        Ok(_) => Err(ToolError::refused(format!("No text: {path} is a binary file."), "A binary file")),
        Err(error) => {
            let size = error.as_bytes().len();
            Err(ToolError::refused(format!("No text: {path} holds {size} bytes that are not UTF-8 text."), "Not a text file"))
        }
    }
}

fn check_path(path: &str) -> Result<(), ToolError> {
    wire::files::check_path(path).map_err(|reason| {
        ToolError::refused(format!("Not a usable path: {path:?}. {reason} Paths are relative to the project, such as src/main.rs."), reason)
    })
}

/// Said of what a list leaves out, on a line of its own; nothing where it leaves nothing out.
fn describe_hidden(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "[1 entry is hidden by a rule of this project]\n".to_owned(),
        n => format!("[{n} entries are hidden by a rule of this project]\n"),
    }
}

/// Says that nothing is at `path`, and what is there under a similar name.
async fn not_there(branch: &Branch, path: &str) -> ToolError {
    if matches!(branch.standing(path).await, Ok(Standing::Directory)) {
        let content = format!("Not a file: {path} is a directory. Use list_files to see what is in it.");
        return ToolError::refused(content, "A directory");
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let (files, _) = branch.list_shown("").await.unwrap_or_default();
    let alike: Vec<&str> = files
        .iter()
        .map(|f| f.path.as_str())
        .filter(|p| p.rsplit('/').next().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        .take(5)
        .collect();
    let hint = if alike.is_empty() { String::new() } else { format!(" Files of that name: {}.", alike.join(", ")) };
    ToolError::refused(format!("Not found: there is no file {path}.{hint}"), "Not found")
}

#[cfg(test)]
mod tests {
    use super::{testkit::branch, *};

    #[test]
    fn names_and_required_arguments_are_the_contract() {
        let shown: Vec<String> = TOOLS
            .iter()
            .map(|tool| {
                let schema = (tool.schema)();
                let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let mark = match (tool.mutates, tool.asks) {
                    (true, true) => "!?",
                    (true, false) => "!",
                    (false, true) => "?",
                    (false, false) => "",
                };
                format!("{}{mark}({})", tool.name, required.join(","))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "list_files()",
                "read_file(path)",
                "search(query)",
                "write_file!(path,content)",
                "edit_file!(path,old_text,new_text)",
                "move_file!(from,to)",
                "delete_file!(path)",
                "run_command!?(command)",
                "run_tests!?()",
                "read_output(handle)",
                "web_fetch?(url)",
                "ask_user?(question)",
                "propose_plan(steps)",
            ]
        );
    }

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall { id: "c1".into(), name: name.into(), arguments: arguments.to_string() }
    }

    struct Echo(Vec<ForeignTool>);

    #[async_trait::async_trait]
    impl Foreign for Echo {
        fn tools(&self) -> &[ForeignTool] {
            &self.0
        }

        async fn call(&self, name: &str, arguments: serde_json::Map<String, Value>, _: &CancellationToken) -> Result<Output, ToolError> {
            let text = arguments["text"].as_str().unwrap_or_default();
            Ok(Output::new(format!("{name}: {}", text.repeat(10_000)), "ok"))
        }
    }

    fn foreign(name: &str) -> ForeignTool {
        let schema = serde_json::json!({ "properties": { "text": { "type": "string" } }, "required": ["text"] });
        ForeignTool { name: name.into(), description: "Echoes.".into(), schema: Arc::new(schema), mutates: true, asks: true }
    }

    #[tokio::test]
    async fn long_results_are_cut_with_a_handle_to_the_rest() {
        let kit = branch(&[]).await;
        let echo: Arc<dyn Foreign> = Arc::new(Echo(vec![foreign("echo")]));
        let ctx = ToolCtx { foreign: Some(echo), ..kit.ctx() };
        let short = run(&ctx, &call("echo", serde_json::json!({ "text": "x" }))).await.unwrap();
        assert!(short.ok && short.content.len() == 10_006);
        let long = run(&ctx, &call("echo", serde_json::json!({ "text": "line\n".repeat(20) }))).await.unwrap();
        assert!(long.content.len() <= CONTENT_MAX + 100, "{}", long.content.len());
        // Nothing is cut twice.
        const { assert!(CONTENT_MAX + 100 < domain::context::RESULT_MAX && lines::BYTES_MAX + 4000 < CONTENT_MAX) }
        let (_, handle) = long.content.rsplit_once("handle \"").unwrap();
        let handle = handle.trim_end_matches("\"]");
        let again = run(&ctx, &call("read_output", serde_json::json!({ "handle": handle, "start_line": 199_999 }))).await.unwrap();
        assert!(again.content.starts_with("199999\tline\n200000\tline\n"), "{}", again.content);
    }

    #[tokio::test]
    async fn another_tool_never_takes_a_built_in_name() {
        let echo = Echo(vec![foreign("read_file"), foreign("echo")]);
        let rules = rules(Some(&echo), true);
        assert_eq!(rules.iter().filter(|rule| rule.name == "read_file").count(), 1);
        assert!(rules.iter().any(|rule| rule.name == "echo" && rule.asks));
        let names = ["read_file".to_owned(), "echo".to_owned()];
        assert_eq!(specs(&names, Some(&echo)).len(), 2);
        let kit = branch(&[("a.txt", "real")]).await;
        let ctx = ToolCtx { foreign: Some(Arc::new(echo)), ..kit.ctx() };
        assert!(run(&ctx, &call("read_file", serde_json::json!({ "path": "a.txt" }))).await.unwrap().content.contains("real"));
        assert!(!run(&ctx, &call("ask_user", serde_json::json!({ "question": "?" }))).await.unwrap().ok);
    }
}
