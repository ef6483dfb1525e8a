//! `python -m unittest -v`.

use wire::test_reports::{CaseState, TestCase};

use super::{case, relative};

pub fn parse(output: &str) -> Vec<TestCase> {
    let mut cases: Vec<TestCase> = Vec::new();
    // A test whose verdict has not come yet: what it prints itself may stand in between.
    let mut open: Option<(String, String)> = None;
    let mut lines = output.lines().peekable();
    while let Some(line) = lines.next() {
        if line.len() > 60 && line.bytes().all(|b| b == b'=') {
            let Some(head) = lines.next() else { break };
            let mut message = String::new();
            while let Some(line) = lines.peek() {
                if (line.len() > 60 && line.bytes().all(|b| b == b'=')) || line.starts_with("Ran ") {
                    break;
                }
                let line = lines.next().unwrap_or_default();
                if message.len() < 64 * 1024 && !(line.len() > 60 && line.bytes().all(|b| b == b'-')) {
                    message.push_str(line);
                    message.push('\n');
                }
            }
            add_failure(&mut cases, head, &message);
            continue;
        }
        if let Some((name, id)) = head_of(line.trim_start()) {
            open = Some((name, id));
        }
        let Some((name, id)) = &open else { continue };
        let verdict = line.rsplit_once(" ... ").map_or(line, |(_, verdict)| verdict);
        if let Some((state, why)) = verdict_of(verdict) {
            // Each failing subtest has a line of its own.
            if cases.last().is_none_or(|last| last.id != *id) {
                let mut found = made(name, id, state);
                found.message = why;
                cases.push(found);
            }
            open = None;
        }
    }
    cases
}

/// `test_x (module.Class.test_x)`, or without the last part before Python 3.11.
fn head_of(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(" (")?;
    let (id, _) = rest.split_once(')')?;
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    if !is_name(name) || !is_name(id) || !id.contains('.') {
        return None;
    }
    let id = if id.rsplit('.').next() == Some(name) { id.to_owned() } else { format!("{id}.{name}") };
    Some((name.to_owned(), id))
}

fn verdict_of(text: &str) -> Option<(CaseState, String)> {
    Some(match text {
        "ok" | "expected failure" => (CaseState::Passed, String::new()),
        "FAIL" | "ERROR" | "unexpected success" => (CaseState::Failed, String::new()),
        _ => (CaseState::Skipped, text.strip_prefix("skipped ")?.trim_matches(['\'', '"']).to_owned()),
    })
}

fn made(name: &str, id: &str, state: CaseState) -> TestCase {
    let mut path: Vec<String> = id.split('.').map(str::to_owned).collect();
    path.pop();
    case(id.to_owned(), path, name, state)
}

/// A block of the summary: what failed, and how. Subtests are only told of here.
fn add_failure(cases: &mut Vec<TestCase>, head: &str, message: &str) {
    let Some(text) = head.strip_prefix("FAIL: ").or_else(|| head.strip_prefix("ERROR: ")) else { return };
    let Some((name, id)) = head_of(text) else { return };
    let at = cases.iter().position(|case| case.id == id).unwrap_or_else(|| {
        cases.push(made(&name, &id, CaseState::Failed));
        cases.len() - 1
    });
    let case = &mut cases[at];
    case.state = CaseState::Failed;
    if !case.message.is_empty() {
        case.message.push('\n');
    }
    if let Some((_, subtest)) = text.split_once(") ") {
        case.message.push_str(&format!("{subtest}\n"));
    }
    case.message.push_str(message);
    if case.line.is_none()
        && let Some((file, line)) = last_frame(message)
    {
        case.file = Some(file);
        case.line = Some(line);
    }
}

/// The innermost line of a traceback that lies in the project.
fn last_frame(message: &str) -> Option<(String, u32)> {
    message.lines().rev().find_map(|line| {
        let rest = line.trim_start().strip_prefix("File \"")?;
        let (file, rest) = rest.split_once("\", line ")?;
        let number = rest.split(',').next()?.trim().parse().ok()?;
        (!relative(file).starts_with('/') && !file.starts_with('<')).then(|| (file.to_owned(), number))
    })
}
