//! A range of the lines of a text, numbered.

use std::fmt::Write as _;

use super::{Output, ToolError};
use crate::text::{count_of, cut_end};

pub(super) const LINES_MAX: usize = 2000;
pub(super) const BYTES_MAX: usize = 64 * 1024;
const LINE_MAX: usize = 2000;

/// Lines `start` to `end`, counted from 1, as far as the limits go; the answer says where to go on. `name` is what the text is called.
pub(super) fn show(name: &str, text: &str, start: Option<u64>, end: Option<u64>) -> Result<Output, ToolError> {
    let total = text.lines().count();
    if total == 0 {
        return Ok(Output::new(format!("{name} is empty."), "Empty"));
    }
    let first = usize::try_from(start.unwrap_or(1)).unwrap_or(usize::MAX).max(1);
    let last = usize::try_from(end.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(total);
    if first > total || last < first {
        let content = format!("No such lines: {name} has {total} lines; {first} to {} was asked for.", end.unwrap_or(total as u64));
        return Err(ToolError::refused(content, "No such lines"));
    }
    let mut out = String::new();
    let mut shown = first;
    for (n, line) in text.lines().enumerate().skip(first - 1).take(last - first + 1) {
        if n + 1 - first == LINES_MAX || out.len() + line.len().min(LINE_MAX) > BYTES_MAX {
            break;
        }
        let _ = writeln!(out, "{:>6}\t{}", n + 1, cut_end(line, LINE_MAX));
        shown = n + 1;
    }
    if shown < last {
        let _ = writeln!(out, "[lines {first} to {shown} of {total}; go on with start_line {}]", shown + 1);
    } else if shown < total || first > 1 {
        let _ = writeln!(out, "[lines {first} to {shown} of {total}]");
    }
    let summary = if first == 1 && shown == total { count_of(total, "line") } else { format!("Lines {first} to {shown} of {total}") };
    Ok(Output::new(out, summary))
}
