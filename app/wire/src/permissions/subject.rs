//! What a call is about, read from its arguments.

use serde_json::Value;

use super::CallFacts;
use crate::network::read_host;

pub(super) const RUN_COMMAND: &str = "run_command";
/// Changes nothing here, and asks because its address leaves the server. Path patterns of its rules are about the host.
pub(super) const WEB_FETCH: &str = "web_fetch";
const FILE_TOOLS: [&str; 8] = ["list_files", "read_file", "search", "write_file", "edit_file", "move_file", "delete_file", "read_output"];
const READS: [&str; 7] = ["list_files", "read_file", "search", "read_output", "ask_user", "propose_plan", "outline"];
const WRITES: [&str; 4] = ["write_file", "edit_file", "move_file", "delete_file"];
/// What they show of a folder is what no rule hides.
pub(super) const SHOWS_MANY: [&str; 2] = ["list_files", SEARCH];
pub(super) const SEARCH: &str = "search";
/// What keeps a file from being read binds them too: `edit_file` shows the lines that come closest to what it did not find, a moved file
/// can be read where it is then, and a command can do anything.
pub(super) const SHOWS_LINES: [&str; 4] = [SEARCH, "edit_file", MOVE_FILE, RUN_COMMAND];
pub(super) const READ_FILE: &str = "read_file";
pub(super) const MOVE_FILE: &str = "move_file";
/// Fields of arguments that name a place in the project.
const PATH_FIELDS: [&str; 7] = ["path", "from", "to", "cwd", "file", "file_path", "directory"];

/// Whether a tool changes something and whether *ask* mode asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolTraits {
    pub mutates: bool,
    pub asks: bool,
}

/// What is known of a tool by its name alone. One that is unknown, such as a server's, changes things and asks.
pub fn tool_traits(tool: &str) -> ToolTraits {
    if READS.contains(&tool) {
        ToolTraits { mutates: false, asks: tool == super::ASK_USER }
    } else if WRITES.contains(&tool) {
        ToolTraits { mutates: true, asks: false }
    } else if tool == WEB_FETCH {
        ToolTraits { mutates: false, asks: true }
    } else {
        ToolTraits { mutates: true, asks: true }
    }
}

/// What can't be read for sure becomes a path that no allowing pattern matches and every limiting one does.
fn host_or_unclear(address: &str) -> String {
    read_host(address).map_or_else(|| format!("//{address}"), |(host, _)| host)
}

/// As the tools that show what is in a folder read its path.
pub(super) fn plain_folder(path: &str) -> &str {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    if path == "." { "" } else { path }
}

pub(super) fn is_file_tool(tool: &str) -> bool {
    FILE_TOOLS.contains(&tool)
}

/// The command and the paths of a call; for a page of the web, its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallSubject {
    pub command: Option<String>,
    pub paths: Vec<String>,
}

impl CallSubject {
    /// `arguments` as the model wrote them. Text that is no JSON object is about nothing.
    pub fn read(tool: &str, arguments: &str) -> Self {
        let fields: Value = serde_json::from_str(arguments).unwrap_or_default();
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        if tool == WEB_FETCH {
            return Self { command: None, paths: vec![host_or_unclear(&text("url").unwrap_or_default())] };
        }
        let plain = |path: String| if SHOWS_MANY.contains(&tool) { plain_folder(&path).to_owned() } else { path };
        let paths = PATH_FIELDS.iter().filter_map(|key| text(key)).map(plain);
        let paths = paths.filter(|path| !matches!(path.as_str(), "" | ".")).collect();
        Self { command: if tool == RUN_COMMAND { Some(text("command").unwrap_or_default()) } else { None }, paths }
    }

    /// Hands the facts to `judge`, which borrows them.
    pub fn with_facts<T>(&self, tool: &str, traits: ToolTraits, judge: impl FnOnce(&CallFacts) -> T) -> T {
        let paths: Vec<&str> = self.paths.iter().map(String::as_str).collect();
        let command = self.command.as_deref();
        judge(&CallFacts { tool, command, paths: &paths, held: &[], mutates: traits.mutates, asks: traits.asks })
    }

    /// The command, or the paths, in one line.
    pub fn label(&self) -> String {
        match &self.command {
            Some(command) => command.lines().collect::<Vec<_>>().join(" "),
            None => self.paths.join(" → "),
        }
    }
}
