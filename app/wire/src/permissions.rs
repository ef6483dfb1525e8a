//! What the agent may do in a project without asking: rules that people set, and the pure judgement over them.
//!
//! The strictest rule that matches wins: deny, then what always asks, then ask, then allow, then the mode. What can't be read with
//! certainty matches no allowing rule but its own exact text.

mod command;
mod paths;
mod reach;
mod subject;
mod suggest;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_reach;

use serde::{Deserialize, Serialize};

use crate::{ConversationId, FieldError, Micros, PermissionRuleId, ProjectId, TurnId, chat::Mode, users::UserRef};

use command::Reading;
pub use paths::{BUILT_IN, BuiltIn, always_asks, guarded_place};
pub use reach::{Hidden, LOOKED_AT_MAX, Reach, UNKNOWN};
pub use subject::{CallSubject, ToolTraits, tool_traits};
pub use suggest::{Suggestion, suggest};

/// Rules of one project.
pub const RULES_MAX: usize = 200;
/// Bytes of a pattern.
pub const PATTERN_MAX: usize = 1000;
/// Turns that a dry run looks at, unless it is told otherwise, and at most.
pub const TRY_TURNS: u32 = 20;
pub const TRY_TURNS_MAX: u32 = 200;
/// The tools that turn to a person: no rule is about them.
pub const QUESTIONS: [&str; 2] = [ASK_USER, "propose_plan"];
const ASK_USER: &str = "ask_user";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PermissionEffect {
    Allow,
    Ask,
    Deny,
}

/// One rule of a project. It matches a call when all that it names matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PermissionRule {
    pub id: PermissionRuleId,
    pub project_id: ProjectId,
    pub effect: PermissionEffect,
    /// A tool's name, or its beginning and `*`.
    pub tool: Option<String>,
    /// Words of a command; a last `*` stands for any further words.
    pub command_pattern: Option<String>,
    /// `*` and `?` within a name, `**` for any folders; with the tool `web_fetch`, hosts.
    pub path_pattern: Option<String>,
    pub created_by: Option<UserRef>,
    pub created_at: Micros,
}

/// A rule that is not written down yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewPermissionRule {
    pub effect: PermissionEffect,
    #[serde(default)]
    pub tool: Option<String>,
    #[serde(default)]
    pub command_pattern: Option<String>,
    #[serde(default)]
    pub path_pattern: Option<String>,
}

/// What to allow from now on, said along with an approval. It is kept for the tool that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RememberRule {
    CommandPattern(String),
    PathPattern(String),
    Tool(String),
}

/// What the judgement needs to know of a call. `asks`: the tool waits for a person in *ask* mode.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    pub tool: &'a str,
    pub command: Option<&'a str>,
    /// What a file tool touches; for a command, the folder it runs in.
    pub paths: &'a [&'a str],
    /// What it reaches below them and a rule is about: see [`Reach::held`].
    pub held: &'a [&'a str],
    pub mutates: bool,
    pub asks: bool,
}

/// `why` is a sentence for people. `rule` is `None` where the mode decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Decision {
    Allow { rule: Option<PermissionRuleId> },
    Ask { why: String },
    Deny { rule: Option<PermissionRuleId>, why: String },
}

/// A project's rules and what holds without any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Permissions {
    /// The newest first.
    pub rules: Vec<PermissionRule>,
    /// Came with the archive that the project is from, and hold nothing: whoever wants one adds it, or revokes it to take it off the list.
    #[serde(default)]
    pub waiting: Vec<PermissionRule>,
    /// Always ask, and can't be removed.
    pub built_in: Vec<BuiltInRule>,
    /// Whether the caller may add and revoke rules.
    pub may_change: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BuiltInRule {
    pub title: String,
    pub patterns: Vec<String>,
}

/// What would the rules have decided over the last turns' calls? Changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TryPermissions {
    /// Judge as if in this mode; `None`: as in the mode that each turn had.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Rules to try in addition.
    #[serde(default)]
    pub add: Vec<NewPermissionRule>,
    #[serde(default)]
    pub turns: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TriedPermissions {
    /// Turns that were looked at.
    pub turns: i64,
    pub allowed: i64,
    pub asked: i64,
    pub denied: i64,
    /// The newest first. The counts are of all calls, this list ends at a few hundred.
    pub calls: Vec<TriedCall>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TriedCall {
    pub turn_id: TurnId,
    pub conversation_id: ConversationId,
    pub mode: Mode,
    pub tool: String,
    /// The command or the paths, shortened.
    pub subject: String,
    pub at: Micros,
    pub happened: CallOutcome,
    pub would: Decision,
}

/// What became of a call when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It ran without a question.
    Ran,
    Approved,
    Declined,
    /// Asked, and nobody has answered.
    Unanswered,
    /// Refused without a question, or the turn ended before.
    NotRun,
}

impl NewPermissionRule {
    /// With patterns in their plain form: no space around them, none that is empty.
    pub fn normalise(mut self) -> Self {
        for field in [&mut self.tool, &mut self.command_pattern, &mut self.path_pattern] {
            *field = field.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        self
    }

    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let given = [("tool", &self.tool), ("command_pattern", &self.command_pattern), ("path_pattern", &self.path_pattern)];
        for (name, text) in given {
            let Some(text) = text else { continue };
            if text.len() > PATTERN_MAX {
                fields.push(FieldError::new(name, "At most 1000 bytes."));
            } else if text.chars().any(char::is_control) {
                fields.push(FieldError::new(name, "Write it on one line, without control characters."));
            }
        }
        if given.iter().all(|(_, text)| text.is_none()) {
            fields.push(FieldError::new("tool", "Name a tool, a command or a path."));
        }
        if let Some(tool) = &self.tool
            && !tool.trim_end_matches('*').chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'))
        {
            fields.push(FieldError::new("tool", "Write a tool's name such as edit_file, or its beginning and *."));
        }
        if self.command_pattern.is_some() && self.path_pattern.is_some() {
            fields.push(FieldError::new("path_pattern", "A rule is about a command or about paths, not both."));
        }
        if self.command_pattern.is_some() && self.tool.as_deref().is_some_and(|tool| tool != subject::RUN_COMMAND) {
            fields.push(FieldError::new("tool", "Only run_command has a command."));
        }
        if let Some(path) = &self.path_pattern
            && (path.starts_with('/') || path.contains('\\') || path.split('/').any(|part| part == ".." || part == "."))
        {
            fields.push(FieldError::new("path_pattern", "Write it relative to the project, such as src/** or docs/*.md."));
        }
        fields
    }

    /// As [`PermissionRule::label`].
    pub fn label(&self) -> String {
        label(self.tool.as_deref(), self.command_pattern.as_deref().or(self.path_pattern.as_deref()))
    }

    /// As it would stand in the list.
    pub fn as_rule(&self, id: PermissionRuleId, project_id: ProjectId, by: Option<UserRef>, at: Micros) -> PermissionRule {
        PermissionRule {
            id,
            project_id,
            effect: self.effect,
            tool: self.tool.clone(),
            command_pattern: self.command_pattern.clone(),
            path_pattern: self.path_pattern.clone(),
            created_by: by,
            created_at: at,
        }
    }
}

impl RememberRule {
    /// The allowing rule that it means for a call of `tool`.
    pub fn for_tool(&self, tool: &str) -> NewPermissionRule {
        let rule =
            NewPermissionRule { effect: PermissionEffect::Allow, tool: Some(tool.to_owned()), command_pattern: None, path_pattern: None };
        match self {
            Self::CommandPattern(pattern) => NewPermissionRule { command_pattern: Some(pattern.clone()), ..rule },
            Self::PathPattern(pattern) => NewPermissionRule { path_pattern: Some(pattern.clone()), ..rule },
            Self::Tool(name) => NewPermissionRule { tool: Some(name.clone()), ..rule },
        }
        .normalise()
    }
}

impl PermissionRule {
    /// In words such as `run_command: cargo test *`.
    pub fn label(&self) -> String {
        label(self.tool.as_deref(), self.command_pattern.as_deref().or(self.path_pattern.as_deref()))
    }

    fn names(&self, tool: &str) -> bool {
        match self.tool.as_deref() {
            None => true,
            Some(name) => match name.strip_suffix('*') {
                Some(start) => tool.starts_with(start),
                None => name == tool,
            },
        }
    }

    /// Whether a rule that narrows applies: when in doubt, it does.
    fn restricts(&self, call: &CallFacts, command: Option<&Reading<'_>>) -> bool {
        if self.is_about_held(call) {
            return true;
        }
        // A list leaves out what is denied; a tool that names one file shows it or does not.
        let shows = self.path_pattern.is_some() && !subject::SHOWS_MANY.contains(&call.tool) && self.shows_or_is(call.tool);
        if !self.names(call.tool) && !shows {
            return false;
        }
        match (&self.command_pattern, &self.path_pattern) {
            (Some(pattern), _) => command.is_some_and(|reading| reading.may_run(pattern)),
            (None, Some(pattern)) => {
                let read_as = call.paths.iter().any(|path| paths::matches(pattern, path) || paths::is_unclear(path));
                read_as || command.is_some_and(|reading| reading.mentions(call.paths, |path| paths::may_match(pattern, path)))
            }
            (None, None) => true,
        }
    }

    /// What is denied to a tool that shows many files is left out of what it shows, and the others are not denied with it.
    fn is_about_held(&self, call: &CallFacts) -> bool {
        let leaves_out = self.effect == PermissionEffect::Deny && subject::SHOWS_MANY.contains(&call.tool);
        let Some(pattern) = self.path_pattern.as_deref().filter(|_| !leaves_out && self.shows_or_is(call.tool)) else { return false };
        call.held.iter().any(|path| paths::is_unclear(path) || paths::matches(pattern, path))
    }

    /// Whether a rule that widens covers the whole call but, for a command, only `part` of it.
    fn permits(&self, call: &CallFacts, part: Option<&[String]>) -> bool {
        if !self.names(call.tool) {
            return false;
        }
        match (&self.command_pattern, &self.path_pattern) {
            (Some(pattern), _) => part.is_some_and(|words| command::allows(pattern, words)),
            (None, Some(pattern)) => {
                // A rule about files never opens a host that happens to be called the same.
                let is_for_hosts = call.tool == subject::WEB_FETCH && self.tool.as_deref() == Some(subject::WEB_FETCH);
                let known = call.command.is_none() && (is_for_hosts || subject::is_file_tool(call.tool)) && !call.paths.is_empty();
                known && call.paths.iter().all(|path| !paths::is_unclear(path) && paths::matches(pattern, path))
            }
            (None, None) => true,
        }
    }
}

fn label(tool: Option<&str>, pattern: Option<&str>) -> String {
    match (tool, pattern) {
        (Some(tool), Some(pattern)) => format!("{tool}: {pattern}"),
        (None, Some(pattern)) => pattern.to_owned(),
        (tool, None) => tool.unwrap_or_default().to_owned(),
    }
}

/// Decides one call. Pure; `rules` in any order.
pub fn decide(rules: &[PermissionRule], mode: Mode, call: &CallFacts) -> Decision {
    if call.tool == ASK_USER {
        return Decision::Ask { why: "The agent asks you something.".to_owned() };
    }
    if mode == Mode::Plan && call.mutates {
        return Decision::Deny { rule: None, why: "In plan mode the agent only reads.".to_owned() };
    }
    let command = call.command.map(Reading::of);
    let restricts = |effect: PermissionEffect| rules.iter().find(|r| r.effect == effect && r.restricts(call, command.as_ref()));
    if let Some(rule) = restricts(PermissionEffect::Deny) {
        return Decision::Deny { rule: Some(rule.id), why: format!("A rule of this project denies {}.", rule.label()) };
    }
    if call.mutates
        && let Some(built_in) = always_asks(call)
    {
        return Decision::Ask { why: built_in.why.to_owned() };
    }
    if call.mutates && call.held.contains(&UNKNOWN) {
        return Decision::Ask { why: "It can't be seen what is in a folder that it would change.".to_owned() };
    }
    if let Some(rule) = restricts(PermissionEffect::Ask) {
        return Decision::Ask { why: format!("A rule of this project asks for {}.", rule.label()) };
    }
    if let Some(rule) = permitting(rules, call, command.as_ref()) {
        return Decision::Allow { rule: Some(rule) };
    }
    let limits = |r: &PermissionRule| r.effect != PermissionEffect::Allow && (r.command_pattern.is_some() || r.path_pattern.is_some());
    if command.as_ref().is_some_and(Reading::is_unsure) && rules.iter().any(|r| limits(r) && r.shows_or_is(call.tool)) {
        return Decision::Ask { why: "The command can't be read with certainty, and rules limit commands or paths here.".to_owned() };
    }
    match mode {
        Mode::Auto => Decision::Allow { rule: None },
        Mode::Ask | Mode::Plan if call.asks => Decision::Ask { why: "No rule allows it, and this mode asks.".to_owned() },
        Mode::Ask | Mode::Plan => Decision::Allow { rule: None },
    }
}

/// The rule that allows the call; of a command made of several, that of the first, when each has one.
fn permitting(rules: &[PermissionRule], call: &CallFacts, command: Option<&Reading<'_>>) -> Option<PermissionRuleId> {
    let allowing = || rules.iter().filter(|rule| rule.effect == PermissionEffect::Allow);
    let Some(reading) = command else { return allowing().find(|rule| rule.permits(call, None)).map(|rule| rule.id) };
    let is_exact = |rule: &&PermissionRule| {
        let same = rule.command_pattern.as_deref().is_some_and(|pattern| reading.is_exactly(pattern));
        rule.names(call.tool) && (same || (rule.command_pattern.is_none() && rule.path_pattern.is_none()))
    };
    if let Some(rule) = allowing().find(is_exact) {
        return Some(rule.id);
    }
    let parts = reading.parts()?;
    let mut found = Vec::new();
    for part in parts {
        found.push(allowing().find(|rule| rule.permits(call, Some(part)))?.id);
    }
    found.first().copied()
}
