//! `cargo test`, and what nextest prints.

use wire::test_reports::{CaseState, TestCase};

use super::{case, milliseconds, place_in};
use crate::test_reports::recognise::ID_MARK;

pub fn parse(output: &str) -> Vec<TestCase> {
    let mut cases: Vec<TestCase> = Vec::new();
    let mut target = String::new();
    // Cases of the binary whose output is being read begin here: its failures come after them.
    let mut first = 0;
    let mut failing: Option<usize> = None;
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.split(" stdout ----").next().filter(|name| *name != rest)) {
            failing = cases.iter().skip(first).position(|case| case.name_in_full() == name).map(|at| at + first);
            continue;
        }
        if let Some(at) = failing {
            if line == "failures:" || line.starts_with("test result:") {
                failing = None;
            } else {
                note(&mut cases[at], line);
                continue;
            }
        }
        if let Some(rest) = line.trim_start().strip_prefix("Running ") {
            target = rest.split(" (").next().unwrap_or(rest).trim_start_matches("unittests ").to_owned();
        } else if let Some(rest) = line.trim_start().strip_prefix("Doc-tests ") {
            target = format!("{rest} (documentation)");
        } else if line.starts_with("running ") && line.contains(" test") {
            first = cases.len();
        } else if let Some(found) = libtest_line(line, &target).or_else(|| nextest_line(line)) {
            cases.push(found);
        }
    }
    cases
}

fn note(case: &mut TestCase, line: &str) {
    if case.line.is_none()
        && let Some((_, place)) = line.split_once(" panicked at ")
        && let Some((file, number)) = place_in(place)
    {
        case.file = Some(file);
        case.line = Some(number);
    }
    if case.message.len() < 64 * 1024 {
        case.message.push_str(line);
        case.message.push('\n');
    }
}

fn libtest_line(line: &str, target: &str) -> Option<TestCase> {
    let rest = line.strip_prefix("test ")?;
    let (name, verdict) = rest.rsplit_once(" ... ")?;
    let (state, why) = match verdict {
        "ok" => (CaseState::Passed, ""),
        "FAILED" => (CaseState::Failed, ""),
        _ => (CaseState::Skipped, verdict.strip_prefix("ignored")?.trim_start_matches(", ")),
    };
    let name = name.trim_end_matches(" - should panic");
    let mut found = made(target, name, state);
    found.message = why.to_owned();
    Some(found)
}

/// `PASS [   0.005s] (1/6) crate module::name`
fn nextest_line(line: &str) -> Option<TestCase> {
    let (word, rest) = line.trim_start().split_once(" [")?;
    let state = match word {
        "PASS" => CaseState::Passed,
        "FAIL" | "TIMEOUT" | "ABORT" | "SIGABRT" | "SIGSEGV" => CaseState::Failed,
        _ => return None,
    };
    let (time, rest) = rest.split_once("s] ")?;
    let rest = rest.trim_start();
    let rest = if rest.starts_with('(') { rest.split_once(") ")?.1 } else { rest };
    let (target, name) = rest.trim().split_once(' ')?;
    let mut found = made(target, name, state);
    found.duration_ms = milliseconds(time);
    Some(found)
}

fn made(target: &str, name: &str, state: CaseState) -> TestCase {
    let mut path: Vec<String> = (!target.is_empty()).then(|| target.to_owned()).into_iter().collect();
    // Names of documentation tests are places: `src/lib.rs - module::item (line 5)`.
    if let Some((file, rest)) = name.split_once(" - ") {
        let line = rest.rsplit_once("(line ").and_then(|(_, number)| number.split(')').next()?.parse().ok());
        return TestCase { file: Some(file.to_owned()), line, ..case(format!("{target}{ID_MARK}{name}"), path, name, state) };
    }
    let mut parts: Vec<&str> = name.split("::").collect();
    let last = parts.pop().unwrap_or(name);
    path.extend(parts.into_iter().map(str::to_owned));
    case(format!("{target}{ID_MARK}{name}"), path, last, state)
}

trait FullName {
    fn name_in_full(&self) -> &str;
}

impl FullName for TestCase {
    fn name_in_full(&self) -> &str {
        self.id.rsplit(ID_MARK).next().unwrap_or(&self.id)
    }
}
