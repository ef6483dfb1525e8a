//! What the model can do. Names, arguments and their meaning are part of the contract with models.
//!
//! A tool's failure is an answer to the model: it says what was wrong and what to do. Only what makes the whole turn
//! impossible is an error.

mod args;
pub mod delete_file;
pub mod edit_file;
pub mod edit_text;
pub mod list_files;
pub mod move_file;
pub mod read_file;
pub mod run_command;
pub mod search;
#[cfg(test)]
pub(crate) mod testkit;
pub mod write_file;

use sandbox::WorkspaceError;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wire::chat::ToolCall;

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

/// All tools, in the order in which they are offered.
pub const TOOLS: [Tool; 8] = [
    list_files::TOOL,
    read_file::TOOL,
    search::TOOL,
    write_file::TOOL,
    edit_file::TOOL,
    move_file::TOOL,
    delete_file::TOOL,
    run_command::TOOL,
];

pub fn rules() -> Vec<ToolRule> {
    TOOLS.iter().map(|t| ToolRule { name: t.name, mutates: t.mutates, asks: t.asks }).collect()
}

/// Descriptions of the named tools for a model request.
pub fn specs(names: &[&str]) -> Vec<llm::ToolSpec> {
    let offered = TOOLS.iter().filter(|t| names.contains(&t.name));
    offered.map(|t| llm::ToolSpec { name: t.name.to_owned(), description: t.description.to_owned(), schema: (t.schema)() }).collect()
}

/// What a tool works on.
#[derive(Clone)]
pub struct ToolCtx {
    pub branch: Branch,
    /// Ends what the tool is doing; it then still reports how far it came.
    pub cancel: CancellationToken,
    /// Where commands run; without it they are refused.
    pub runner: Option<run_command::Runner>,
}

/// A tool's answer: `content` for the model, `summary` for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub content: String,
    pub summary: String,
}

impl Output {
    pub fn new(content: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { content: content.into(), summary: summary.into() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The model can do something about it. `content` must say what.
    #[error("{content}")]
    Refused { content: String, summary: String },
    /// A command was run and ended otherwise than with 0.
    #[error("{content}")]
    RunFailed { content: String, summary: String, left_alive: u32 },
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
    let (ok, content, summary, left_alive) = match dispatch(ctx, call).await {
        Ok(output) => (true, output.content, output.summary, 0),
        Err(ToolError::Refused { content, summary }) => (false, content, summary, 0),
        Err(ToolError::RunFailed { content, summary, left_alive }) => (false, content, summary, left_alive),
        Err(ToolError::Domain(error)) => return Err(error),
    };
    Ok(ToolResult {
        call_id: call.id.clone(),
        ok,
        content: cut_middle(&content, CONTENT_MAX),
        summary: cut_end(&summary, SUMMARY_MAX),
        left_alive,
    })
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
        other => Err(ToolError::refused(format!("There is no tool named {other:?}."), "No such tool")),
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

/// Says that nothing is at `path`, and what is there under a similar name.
async fn not_there(branch: &Branch, path: &str) -> ToolError {
    if matches!(branch.standing(path).await, Ok(Standing::Directory)) {
        let content = format!("Not a file: {path} is a directory. Use list_files to see what is in it.");
        return ToolError::refused(content, "A directory");
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let files = branch.list("").await.unwrap_or_default();
    let alike: Vec<&str> = files
        .iter()
        .map(|f| f.path.as_str())
        .filter(|p| p.rsplit('/').next().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        .take(5)
        .collect();
    let hint = if alike.is_empty() { String::new() } else { format!(" Files of that name: {}.", alike.join(", ")) };
    ToolError::refused(format!("Not found: there is no file {path}.{hint}"), "Not found")
}
