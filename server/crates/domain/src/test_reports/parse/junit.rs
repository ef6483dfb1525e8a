//! JUnit XML, as pytest, vitest and many others write it.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use wire::test_reports::{CaseState, Framework, TestCase};

use super::{case, milliseconds};
use crate::test_reports::recognise::ID_MARK;

/// Cases beyond these are not even counted: no framework has so many.
const MOST: usize = 200_000;

pub fn parse(text: &str, framework: Framework) -> Vec<TestCase> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut cases = Vec::new();
    let mut open: Option<TestCase> = None;
    let mut collecting = false;
    while cases.len() < MOST {
        match reader.read_event() {
            Ok(Event::Start(tag)) => start(&tag, framework, &mut open, &mut collecting),
            Ok(Event::Empty(tag)) => {
                start(&tag, framework, &mut open, &mut collecting);
                collecting = false;
                if tag.local_name().as_ref() == b"testcase" {
                    cases.extend(open.take());
                }
            }
            Ok(Event::Text(text)) if collecting => {
                if let Some(case) = &mut open {
                    push(case, &text.decode().unwrap_or_default());
                }
            }
            Ok(Event::CData(text)) if collecting => {
                if let Some(case) = &mut open {
                    push(case, &String::from_utf8_lossy(&text));
                }
            }
            Ok(Event::GeneralRef(name)) if collecting => {
                if let Some(case) = &mut open {
                    push(case, reference(&name));
                }
            }
            Ok(Event::End(tag)) => match tag.local_name().as_ref() {
                b"testcase" => cases.extend(open.take()),
                b"failure" | b"error" | b"skipped" => collecting = false,
                _ => {}
            },
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    cases
}

/// The five that XML itself knows. A document's own definitions are not followed.
fn reference(name: &[u8]) -> &'static str {
    match name {
        b"lt" => "<",
        b"gt" => ">",
        b"amp" => "&",
        b"quot" => "\"",
        b"apos" => "'",
        b"#10" | b"#xA" | b"#xa" => "\n",
        _ => "",
    }
}

fn push(case: &mut TestCase, text: &str) {
    if case.message.len() < 64 * 1024 {
        case.message.push_str(text);
    }
}

fn start(tag: &BytesStart, framework: Framework, open: &mut Option<TestCase>, collecting: &mut bool) {
    let state = match tag.local_name().as_ref() {
        b"testcase" => {
            *open = Some(begin(tag, framework));
            return;
        }
        b"failure" | b"error" => CaseState::Failed,
        b"skipped" => CaseState::Skipped,
        _ => return,
    };
    let Some(case) = open else { return };
    *collecting = true;
    // A teardown can fail what had been skipped or passed, not the other way round.
    if case.state != CaseState::Failed {
        case.state = state;
    }
    if let Some(message) = attribute(tag, "message") {
        push(case, &format!("{message}\n"));
    }
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok()??;
    let text = String::from_utf8_lossy(&attribute.value).into_owned();
    Some(quick_xml::escape::unescape(&text).map(|text| text.into_owned()).unwrap_or(text))
}

fn begin(tag: &BytesStart, framework: Framework) -> TestCase {
    let get = |name| attribute(tag, name).filter(|text| !text.is_empty());
    let name = get("name").unwrap_or_else(|| "(unnamed)".to_owned());
    let class = get("classname").unwrap_or_default();
    let is_path = class.contains('/') || [".ts", ".js", ".tsx", ".jsx", ".mjs"].iter().any(|end| class.ends_with(end));
    let file = get("file").or_else(|| is_path.then(|| class.clone()));
    let (path, last) = if framework == Framework::Vitest || is_path {
        let mut parts: Vec<&str> = name.split(" > ").collect();
        let last = parts.pop().unwrap_or_default().to_owned();
        (std::iter::once(class.as_str()).chain(parts).map(str::to_owned).collect(), last)
    } else {
        (class.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect(), name.clone())
    };
    let id = match (framework, &file) {
        (Framework::Pytest, Some(file)) => pytest_id(file, &class, &name),
        (Framework::Vitest, _) => format!("{class}{ID_MARK}{}", name.replace(" > ", " ")),
        _ => format!("{class}{ID_MARK}{name}"),
    };
    let mut found = case(id, path, &last, CaseState::Passed);
    found.duration_ms = get("time").and_then(|time| milliseconds(&time));
    found.file = file;
    // pytest counts lines from 0.
    found.line = get("line").and_then(|line| line.parse::<u32>().ok()).map(|line| line + u32::from(framework == Framework::Pytest));
    found
}

/// `tests/test_a.py::TestX::test_y` from the file, `tests.test_a.TestX` and the name.
fn pytest_id(file: &str, class: &str, name: &str) -> String {
    let module = file.trim_end_matches(".py").replace('/', ".");
    let inner = class.strip_prefix(&module).map_or("", |rest| rest.trim_start_matches('.'));
    let classes = inner.split('.').filter(|part| !part.is_empty()).map(|part| format!("{part}::")).collect::<String>();
    format!("{file}::{classes}{name}")
}
