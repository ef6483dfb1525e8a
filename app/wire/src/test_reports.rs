//! What a test run found, whatever framework ran it.

use serde::{Deserialize, Serialize};

/// Cases of one report. A run with more says so in `truncated`; the counts are of all of them.
pub const CASES_MAX: usize = 10_000;
/// Bytes of one case's message, cut in the middle.
pub const MESSAGE_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Framework {
    Cargo,
    Pytest,
    Unittest,
    Node,
    Vitest,
    Jest,
    Go,
    /// A command of the project's own that leaves JUnit XML.
    Junit,
    /// A command of the project's own that prints TAP.
    Tap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    Failed,
    Passed,
    Skipped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TestCase {
    /// What the framework takes to run this case alone; unique within the report.
    pub id: String,
    /// Where it belongs, outermost first: a file or package, then modules or classes.
    pub path: Vec<String>,
    pub name: String,
    pub state: CaseState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// Why it failed or was skipped, as the framework printed it; empty for what passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Relative to the project; known where the framework tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// 1-based: where it failed, or else where it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TestReport {
    pub framework: Framework,
    pub passed: i64,
    pub failed: i64,
    pub skipped: i64,
    /// Empty in lists of runs.
    pub cases: Vec<TestCase>,
    #[serde(default)]
    pub truncated: bool,
}

/// How a project's tests are run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TestSettings {
    /// The project's own command; `None` takes what was recognised.
    #[serde(default)]
    pub command: Option<String>,
    /// Where that command leaves JUnit XML or TAP, relative to where it runs; `None` reads its output.
    #[serde(default)]
    pub report: Option<String>,
    /// What the project's files look like; never written.
    #[serde(default)]
    pub recognised: Option<Recognised>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Recognised {
    pub framework: Framework,
    pub command: String,
}
