//! From what a framework printed or left to cases. The text comes from inside the sandbox: everything is bounded, nothing is trusted.

mod go;
mod jest;
mod junit;
mod libtest;
mod tap;
mod unittest;

use std::collections::HashMap;

use wire::test_reports::{CASES_MAX, CaseState, Framework, MESSAGE_MAX, TestCase, TestReport};

/// Reads a report. `output` is all that was printed, `report` the file that the plan asked for, where there is one. A framework that
/// could not start gives an empty report; what it printed tells why.
pub fn parse(framework: Framework, output: &[u8], report: Option<&[u8]>) -> TestReport {
    let output = strip_escapes(&String::from_utf8_lossy(output));
    let file = report.map(String::from_utf8_lossy);
    let cases = match (framework, file.as_deref()) {
        (Framework::Cargo, _) => libtest::parse(&output),
        (Framework::Go, _) => go::parse(&output),
        (Framework::Unittest, _) => unittest::parse(&output),
        (Framework::Jest, Some(text)) => jest::parse(text),
        (Framework::Node | Framework::Tap, Some(text)) => tap::parse(text),
        (_, Some(text)) => junit::parse(text, framework),
        (_, None) => guess(&output),
    };
    collect(framework, cases)
}

/// What a command of the project's own printed.
fn guess(output: &str) -> Vec<TestCase> {
    for read in [libtest::parse, unittest::parse, go::parse, tap::parse] {
        let cases = read(output);
        if !cases.is_empty() {
            return cases;
        }
    }
    Vec::new()
}

fn collect(framework: Framework, mut cases: Vec<TestCase>) -> TestReport {
    let count = |cases: &[TestCase], state| cases.iter().filter(|case| case.state == state).count() as i64;
    let (passed, failed) = (count(&cases, CaseState::Passed), count(&cases, CaseState::Failed));
    let skipped = count(&cases, CaseState::Skipped);
    let truncated = cases.len() > CASES_MAX;
    if truncated {
        // What failed is what is looked for.
        cases.sort_by_key(|case| case.state);
        cases.truncate(CASES_MAX);
    }
    let mut seen = HashMap::<String, usize>::new();
    for case in &mut cases {
        let times = seen.entry(case.id.clone()).and_modify(|n| *n += 1).or_insert(1);
        if *times > 1 {
            case.id = format!("{}{}#{times}", case.id, super::recognise::ID_MARK);
        }
        case.message = shorten(std::mem::take(&mut case.message));
        case.name.truncate(floor(&case.name, 500));
        case.path.truncate(32);
        case.path.iter_mut().for_each(|part| part.truncate(floor(part, 500)));
        if case.state == CaseState::Failed && !matches!(framework, Framework::Cargo | Framework::Unittest) {
            // What the report names is where the case begins.
            let begins = case.line.take();
            locate(case, framework == Framework::Pytest);
            case.line = case.line.or(begins);
        }
        case.file = case.file.take().map(|file| relative(&file).to_owned()).filter(|file| wire::files::check_path(file).is_ok());
        case.line = case.line.filter(|_| case.file.is_some());
    }
    TestReport { framework, passed, failed, skipped, cases, truncated }
}

fn floor(text: &str, most: usize) -> usize {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// Cuts out of the middle: the beginning says what, the end says where.
fn shorten(text: String) -> String {
    let text = text.trim_matches('\n');
    if text.len() <= MESSAGE_MAX {
        return text.to_owned();
    }
    let (head, mut tail) = (floor(text, MESSAGE_MAX / 2), text.len() - MESSAGE_MAX / 2 + 32);
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n…\n{}", &text[..head], &text[tail..])
}

/// The project lies at `/w` inside the sandbox.
fn relative(path: &str) -> &str {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let path = path.strip_prefix("/w/").unwrap_or(path);
    path.strip_prefix("./").unwrap_or(path)
}

/// Finds the place in the message: of the known file, or else one that lies in the project. The last one where the innermost frame
/// is printed last.
fn locate(case: &mut TestCase, last: bool) {
    let known = case.file.as_deref().map(relative);
    let fits = |(file, _): &(String, u32)| {
        let own = relative(file);
        known.map_or(!own.starts_with('/') && !own.contains("node_modules/"), |known| own == known)
    };
    let mut places = case.message.lines().take(400).filter_map(place_in).filter(fits);
    let found = if last { places.last() } else { places.next() };
    if let Some((file, line)) = found {
        case.file.get_or_insert(file);
        case.line = Some(line);
    }
}

/// `path:12` or `path:12:3` somewhere in a line.
fn place_in(line: &str) -> Option<(String, u32)> {
    for word in line.split(|c: char| c.is_whitespace() || "()[]'\"<>,`".contains(c)) {
        let word = word.trim_start_matches("file://");
        let mut parts = word.split(':');
        let (Some(path), Some(number)) = (parts.next(), parts.next()) else { continue };
        let looks_like_a_file = path.rsplit('/').next().is_some_and(|name| name.contains('.') && name.len() > 2);
        if let (true, Ok(number)) = (looks_like_a_file, number.parse()) {
            return Some((path.to_owned(), number));
        }
    }
    None
}

/// Removes colours and other control sequences.
fn strip_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    for c in chars.by_ref() {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\r' => {}
            _ => out.push(c),
        }
    }
    out
}

fn case(id: String, path: Vec<String>, name: &str, state: CaseState) -> TestCase {
    TestCase { id, path, name: name.to_owned(), state, duration_ms: None, message: String::new(), file: None, line: None }
}

fn milliseconds(seconds: &str) -> Option<i64> {
    let seconds: f64 = seconds.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests;
