//! TAP 13 and 14 with subtests, as node's runner and many others write it.

use wire::test_reports::{CaseState, TestCase};

use super::{case, place_in};
use crate::test_reports::recognise::ID_MARK;

#[derive(Default)]
struct Level {
    indent: usize,
    name: String,
    /// Results directly below; a point that has some is their sum.
    children: usize,
}

pub fn parse(text: &str) -> Vec<TestCase> {
    let mut cases: Vec<TestCase> = Vec::new();
    let mut levels: Vec<Level> = Vec::new();
    // Indentation of the diagnostics being read, and the case they belong to.
    let mut block: Option<(usize, Option<usize>)> = None;
    let mut last: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let body = line.trim_start();
        if let Some((at, owner)) = block {
            if body == "..." && indent <= at {
                block = None;
            } else if let Some(owner) = owner {
                diagnose(&mut cases[owner], &line[at.min(indent)..]);
            }
            continue;
        }
        if body == "---" {
            block = Some((indent, last));
        } else if let Some(name) = body.strip_prefix("# Subtest: ") {
            levels.truncate(levels.iter().position(|level| level.indent >= indent).unwrap_or(levels.len()));
            levels.push(Level { indent, name: unescape(name), children: 0 });
        } else if let Some((state, name, why)) = point(body) {
            let own = levels.iter().position(|level| level.indent >= indent).map(|at| levels.split_off(at));
            let children = own.and_then(|own| own.into_iter().next()).map_or(0, |level| level.children);
            let path: Vec<String> = levels.iter().filter(|level| level.indent < indent).map(|level| level.name.clone()).collect();
            if let Some(parent) = levels.last_mut() {
                parent.children += 1;
            }
            last = None;
            if children == 0 && cases.len() < 200_000 {
                let mut found = case(format!("{}{ID_MARK}{name}", path.join(" ")), path, &name, state);
                found.message = why;
                cases.push(found);
                last = Some(cases.len() - 1);
            }
        }
    }
    cases
}

/// `not ok 3 - name # SKIP reason`
fn point(body: &str) -> Option<(CaseState, String, String)> {
    let (passed, rest) = match body.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, body.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (name, directive) = match rest.rfind(" # ") {
        Some(at) => (&rest[..at], rest[at + 3..].trim()),
        None => (rest, ""),
    };
    let word = directive.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
    let state = match word.as_str() {
        "SKIP" | "TODO" => CaseState::Skipped,
        _ if passed => CaseState::Passed,
        _ => CaseState::Failed,
    };
    let why = if state == CaseState::Skipped { directive.get(word.len()..).unwrap_or_default().trim().to_owned() } else { String::new() };
    let name = unescape(name.trim());
    Some((state, if name.is_empty() { "(unnamed)".to_owned() } else { name }, why))
}

fn unescape(name: &str) -> String {
    name.replace("\\#", "#").replace("\\\\", "\\")
}

/// One line of a YAML block: the few keys that are of use, and the text for a person.
fn diagnose(case: &mut TestCase, line: &str) {
    let text = line.trim();
    if let Some(value) = text.strip_prefix("duration_ms: ") {
        case.duration_ms = value.parse::<f64>().ok().filter(|ms| ms.is_finite()).map(|ms| ms.round() as i64);
    } else if let Some(value) = text.strip_prefix("location: ") {
        if let Some((file, number)) = place_in(value) {
            case.file = Some(file);
            case.line = Some(number);
        }
    } else if case.state == CaseState::Failed
        && !text.starts_with("failureType:")
        && !text.starts_with("type:")
        && case.message.len() < 64 * 1024
    {
        case.message.push_str(line);
        case.message.push('\n');
    }
}
