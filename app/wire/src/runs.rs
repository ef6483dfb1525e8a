use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ChangeSetId, FieldError, Micros, ProjectId, RunId, TurnId,
    chat::{Mode, StartTurn, TurnBudget},
    files::FileAction,
    limits,
    previews::RunPort,
    test_reports::TestReport,
    users::UserRef,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    SandboxExec,
    TestRunner,
    /// A command that the agent asked for; started by people, a prompt for the agent whose outcome is a change set.
    Codegen,
    /// Has a keyboard; opened and listed as a terminal.
    Terminal,
}

/// What a run may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunNetwork {
    #[default]
    None,
    /// The hosts of the project's allow-list, through the server's proxy.
    AllowList,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    Lost,
}

impl RunState {
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    Exited,
    Signalled,
    TimedOut,
    OutOfMemory,
    OutputLimit,
    DiskLimit,
    PidsLimit,
    Cancelled,
    /// It could not be started; `sentence` says why.
    Refused,
    Lost,
}

/// How a run ended, with a sentence a person understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Exit {
    pub kind: ExitKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    pub sentence: String,
    /// Processes of the run that were still alive when it was declared over. Counted, not assumed; 0 is the promise.
    #[serde(default)]
    pub left_alive: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunUsage {
    pub wall_ms: i64,
    pub cpu_ms: i64,
    /// `None` where the tier can't measure it.
    pub peak_memory_bytes: Option<i64>,
    pub output_bytes: i64,
}

/// What one run may use. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RunLimits {
    pub wall_s: u32,
    /// 100 is one processor.
    pub cpu_percent: u32,
    /// Memory and in-memory files together.
    pub memory_bytes: i64,
    pub pids: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// The largest single file.
    pub file_bytes: i64,
    /// The project's directory with everything that was installed into it.
    pub project_bytes: i64,
    pub project_files: i64,
    /// `/tmp`.
    pub tmp_bytes: i64,
    pub output_bytes: i64,
}

impl Default for RunLimits {
    fn default() -> Self {
        const MIB: i64 = 1024 * 1024;
        Self {
            wall_s: limits::RUN_TIMEOUT_DEFAULT_S,
            cpu_percent: 100,
            memory_bytes: 2048 * MIB,
            pids: 256,
            open_files: 1024,
            file_bytes: 512 * MIB,
            project_bytes: limits::PROJECT_BYTES_MAX,
            project_files: limits::PROJECT_FILES_MAX,
            tmp_bytes: 256 * MIB,
            output_bytes: 64 * MIB,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunChange {
    pub path: String,
    pub action: FileAction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Run {
    pub id: RunId,
    pub project_id: ProjectId,
    pub kind: RunKind,
    pub command: String,
    pub cwd: String,
    /// Names of the variables it was given; what they hold is not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_names: Vec<String>,
    /// Of a test run: the cases it was limited to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    pub state: RunState,
    pub exit: Option<Exit>,
    /// `S3`, `S3r`, `S2`, `S1`; known once it has started.
    pub tier: Option<String>,
    pub limits: RunLimits,
    #[serde(default)]
    pub network: RunNetwork,
    /// What listens inside it now.
    #[serde(default)]
    pub ports: Vec<RunPort>,
    /// Of a test run that has ended; without its cases in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestReport>,
    pub usage: Option<RunUsage>,
    /// Files of the project that the run changed, and that were saved as versions of the person who ran it.
    pub changes: Vec<RunChange>,
    /// Set when the agent asked for the run.
    pub turn_id: Option<TurnId>,
    /// What a codegen run proposes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set_id: Option<ChangeSetId>,
    /// The turn that a codegen run stands for. Its stream tells how far it is, and its review is that of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codegen_turn: Option<TurnId>,
    pub started_by: UserRef,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
}

impl Run {
    /// A prompt for the agent that a person began without a conversation, and no command.
    pub fn is_prompt(&self) -> bool {
        self.kind == RunKind::Codegen && self.turn_id.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StartRun {
    #[serde(default = "default_kind")]
    pub kind: RunKind,
    /// May be empty for a test run: then it is the project's own test command, or what its files are recognised by.
    #[serde(default)]
    pub command: String,
    #[serde(default)]
    pub cwd: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub timeout_s: Option<u32>,
    /// `None` takes what the project allows.
    #[serde(default)]
    pub network: Option<RunNetwork>,
    /// Of a test run: only these cases, by their ids in an earlier report.
    #[serde(default)]
    pub only: Vec<String>,
    /// Of a codegen run: which model answers; the default model where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of a codegen run: tokens of each answer, at most what the model writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<i64>,
    /// Of a codegen run: 0 to 2; the model's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Of a codegen run: its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<TurnBudget>,
}

fn default_kind() -> RunKind {
    RunKind::SandboxExec
}

impl StartRun {
    pub fn command(command: impl Into<String>) -> Self {
        Self { command: command.into(), ..Self::of_kind(RunKind::SandboxExec) }
    }

    pub fn of_kind(kind: RunKind) -> Self {
        Self {
            kind,
            command: String::new(),
            cwd: None,
            env: BTreeMap::new(),
            timeout_s: None,
            network: None,
            only: Vec::new(),
            model: None,
            max_tokens: None,
            temperature: None,
            budget: None,
        }
    }

    /// A prompt for the agent whose outcome is a change set.
    pub fn prompt(prompt: impl Into<String>) -> Self {
        Self { command: prompt.into(), ..Self::of_kind(RunKind::Codegen) }
    }

    /// What a codegen run asks of the agent.
    pub fn to_turn(&self) -> StartTurn {
        StartTurn {
            prompt: self.command.clone(),
            mode: Mode::Auto,
            model: self.model.clone(),
            budget: self.budget,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            ..StartTurn::default()
        }
    }

    /// What can be said of a codegen run that a person asks for; its prompt is named by the field that it comes in.
    pub fn validate_prompt(&self) -> Vec<FieldError> {
        let name = |field: FieldError| if field.field == "prompt" { FieldError { field: "command".to_owned(), ..field } } else { field };
        self.to_turn().validate().into_iter().map(name).collect()
    }

    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.kind == RunKind::Terminal {
            fields.push(FieldError::new("kind", "Open a terminal through the project's terminals."));
        }
        if self.command.trim().is_empty() && self.kind != RunKind::TestRunner {
            fields.push(FieldError::new("command", "Type a command to run."));
        } else if self.command.len() > limits::COMMAND_MAX {
            fields.push(FieldError::new("command", "The command is longer than 32 KiB; put it into a script file and run that."));
        } else if self.command.contains('\0') {
            fields.push(FieldError::new("command", "The command holds a NUL byte."));
        }
        if let Some(cwd) = self.cwd.as_deref().filter(|c| !c.is_empty() && *c != ".")
            && let Err(reason) = crate::files::check_path(cwd)
        {
            fields.push(FieldError::new("cwd", reason));
        }
        if self.env.len() > limits::ENV_MAX_ENTRIES {
            fields.push(FieldError::new("env", "At most 64 variables can be set."));
        }
        for (name, value) in &self.env {
            let valid = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !valid || value.contains('\0') || value.len() > limits::COMMAND_MAX {
                fields.push(FieldError::new("env", format!("{name:?} is not a variable name, or its value is too long.")));
            }
        }
        if self.timeout_s == Some(0) {
            fields.push(FieldError::new("timeout_s", "Choose at least 1 second."));
        }
        if !self.only.is_empty() && self.kind != RunKind::TestRunner {
            fields.push(FieldError::new("only", "Only a test run can be limited to cases."));
        }
        let of_codegen = [
            ("model", self.model.is_some()),
            ("max_tokens", self.max_tokens.is_some()),
            ("temperature", self.temperature.is_some()),
            ("budget", self.budget.is_some()),
        ];
        for (name, _) in of_codegen.into_iter().filter(|(_, is_given)| *is_given) {
            fields.push(FieldError::new(name, "Only a codegen run asks a model."));
        }
        fields
    }
}
