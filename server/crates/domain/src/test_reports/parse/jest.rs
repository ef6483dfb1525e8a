//! What `jest --json` leaves.

use serde::Deserialize;
use wire::test_reports::{CaseState, TestCase};

use super::{case, relative};
use crate::test_reports::recognise::ID_MARK;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(default)]
    test_results: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    assertion_results: Vec<Assertion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    #[serde(default)]
    ancestor_titles: Vec<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    full_name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    duration: Option<f64>,
    #[serde(default)]
    failure_messages: Vec<String>,
}

pub fn parse(text: &str) -> Vec<TestCase> {
    let Ok(report) = serde_json::from_str::<Report>(text) else { return Vec::new() };
    let mut cases = Vec::new();
    for file in report.test_results {
        let name = relative(&file.name).to_owned();
        if file.assertion_results.is_empty() && file.status == "failed" {
            // The file itself could not be loaded.
            let mut found = case(name.clone(), vec![name.clone()], "(the file did not load)", CaseState::Failed);
            found.message = super::strip_escapes(&file.message);
            found.file = Some(name);
            cases.push(found);
            continue;
        }
        for one in file.assertion_results {
            let state = match one.status.as_str() {
                "passed" => CaseState::Passed,
                "failed" => CaseState::Failed,
                _ => CaseState::Skipped,
            };
            let path = std::iter::once(name.clone()).chain(one.ancestor_titles).collect();
            let mut found = case(format!("{name}{ID_MARK}{}", one.full_name), path, &one.title, state);
            found.duration_ms = one.duration.map(|ms| ms.round() as i64);
            found.message = super::strip_escapes(&one.failure_messages.join("\n"));
            found.file = Some(name.clone());
            cases.push(found);
        }
    }
    cases
}
