//! `go test -v`.

use std::collections::{HashMap, HashSet};

use wire::test_reports::{CaseState, TestCase};

use super::{case, milliseconds};
use crate::test_reports::recognise::ID_MARK;

pub fn parse(output: &str) -> Vec<TestCase> {
    let mut cases: Vec<TestCase> = Vec::new();
    let mut logs = HashMap::<String, String>::new();
    let mut running = String::new();
    let mut first = 0;
    for line in output.lines() {
        let text = line.trim_start();
        if let Some(name) = ["=== RUN ", "=== CONT ", "=== NAME "].iter().find_map(|mark| text.strip_prefix(mark)) {
            running = name.trim().to_owned();
        } else if let Some(found) = verdict(text) {
            running = found.name.clone();
            cases.push(found);
        } else if let Some(package) = package_of(line) {
            finish(&mut cases[first..], package, &mut logs);
            first = cases.len();
            running.clear();
        } else if !running.is_empty() && !matches!(text, "PASS" | "FAIL") && !text.starts_with("=== ") {
            let log = logs.entry(running.clone()).or_default();
            if log.len() < 64 * 1024 {
                log.push_str(line);
                log.push('\n');
            }
        }
    }
    finish(&mut cases[first..], "", &mut logs);
    // A test with subtests is their sum.
    let parents: HashSet<String> = cases.iter().filter_map(|case| case.id.rsplit_once('/').map(|(parent, _)| parent.to_owned())).collect();
    cases.retain(|case| !parents.contains(&case.id));
    cases
}

/// `--- FAIL: TestX/sub (0.01s)`
fn verdict(text: &str) -> Option<TestCase> {
    let (word, rest) = text.strip_prefix("--- ")?.split_once(": ")?;
    let state = match word {
        "PASS" => CaseState::Passed,
        "FAIL" => CaseState::Failed,
        "SKIP" => CaseState::Skipped,
        _ => return None,
    };
    let (name, time) = rest.rsplit_once(" (")?;
    let mut found = case(String::new(), Vec::new(), name, state);
    found.duration_ms = milliseconds(time.trim_end_matches("s)"));
    Some(found)
}

/// `ok  <tab>package<tab>0.01s` and `FAIL<tab>package<tab>0.01s`
fn package_of(line: &str) -> Option<&str> {
    let mut parts = line.split('\t');
    matches!(parts.next()?.trim(), "ok" | "FAIL").then(|| parts.next()).flatten().map(str::trim)
}

fn finish(cases: &mut [TestCase], package: &str, logs: &mut HashMap<String, String>) {
    for case in cases {
        if let Some(log) = logs.remove(&case.name).filter(|_| case.state != CaseState::Passed) {
            case.message = log;
        }
        case.id = format!("{package}{ID_MARK}{}", case.name);
        let full = case.name.clone();
        let mut parts: Vec<&str> = full.split('/').collect();
        case.name = parts.pop().unwrap_or_default().to_owned();
        case.path = (!package.is_empty()).then_some(package).into_iter().chain(parts).map(str::to_owned).collect();
    }
    logs.clear();
}
