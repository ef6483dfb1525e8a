use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolError, args, read_text};
use crate::{
    branch::Branch,
    text::{count_of, cut_end},
};

const LINES_MAX: usize = 2000;
const BYTES_MAX: usize = 64 * 1024;
const LINE_MAX: usize = 2000;

pub const TOOL: Tool = Tool {
    name: "read_file",
    description: "Shows a text file, or a range of its lines, with line numbers. At most 2000 lines or 64 KiB at a time; the answer says where to \
                  go on. The number and the tab before each line are not part of the file.",
    schema,
    mutates: false,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "File relative to the project."},
            "start_line": {"type": "integer", "minimum": 1, "description": "First line to show, counted from 1."},
            "end_line": {"type": "integer", "minimum": 1, "description": "Last line to show."}
        },
        "required": ["path"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub path: String,
    #[serde(default, deserialize_with = "args::count")]
    pub start_line: Option<u64>,
    #[serde(default, deserialize_with = "args::count")]
    pub end_line: Option<u64>,
}

pub async fn execute(branch: &Branch, args: Args) -> Result<Output, ToolError> {
    let (text, _) = read_text(branch, &args.path).await?;
    let total = text.lines().count();
    if total == 0 {
        return Ok(Output::new(format!("{} is empty.", args.path), "Empty file"));
    }
    let first = usize::try_from(args.start_line.unwrap_or(1)).unwrap_or(usize::MAX).max(1);
    let last = usize::try_from(args.end_line.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(total);
    if first > total || last < first {
        let content =
            format!("No such lines: {} has {total} lines; {first} to {} was asked for.", args.path, args.end_line.unwrap_or(total as u64));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn lines(path: &str, start_line: Option<u64>, end_line: Option<u64>) -> Args {
        Args { path: path.into(), start_line, end_line }
    }

    #[tokio::test]
    async fn numbers_lines_and_takes_ranges() {
        let kit = branch(&[("a.txt", "one\r\ntwo\nthree")]).await;
        let out = execute(&kit.branch, lines("a.txt", None, None)).await.unwrap();
        assert_eq!(out, Output::new("     1\tone\n     2\ttwo\n     3\tthree\n", "3 lines"));
        let out = execute(&kit.branch, lines("a.txt", Some(2), Some(2))).await.unwrap();
        assert_eq!(out.content, "     2\ttwo\n[lines 2 to 2 of 3]\n");
        let out = execute(&kit.branch, lines("a.txt", Some(0), Some(99))).await.unwrap();
        assert_eq!(out.summary, "3 lines");
        assert!(execute(&kit.branch, lines("a.txt", Some(4), None)).await.unwrap_err().to_string().contains("has 3 lines"));
    }

    #[tokio::test]
    async fn stops_at_the_limits_and_says_where_to_go_on() {
        let long: String = (0..5000).map(|n| format!("{n}\n")).collect();
        let wide = "x".repeat(1900) + "\n";
        let kit = branch(&[("long", &long), ("wide", &wide.repeat(100))]).await;
        let out = execute(&kit.branch, lines("long", None, None)).await.unwrap();
        assert!(out.content.ends_with("  2000\t1999\n[lines 1 to 2000 of 5000; go on with start_line 2001]\n"));
        let out = execute(&kit.branch, lines("wide", None, None)).await.unwrap();
        assert!(
            out.content.len() < BYTES_MAX + 200 && out.content.contains("go on with start_line 35"),
            "{}",
            &out.content[out.content.len() - 80..]
        );
    }

    #[tokio::test]
    async fn refuses_what_is_not_text_and_names_files_alike() {
        let kit = branch(&[("src/Main.rs", ""), ("bin", "a\0b")]).await;
        let said = |args| async { execute(&kit.branch, args).await.unwrap_err().to_string() };
        assert!(said(lines("main.rs", None, None)).await.contains("src/Main.rs"));
        assert!(said(lines("bin", None, None)).await.contains("binary"));
        assert!(said(lines("src", None, None)).await.contains("is a directory"));
        assert!(said(lines("/etc/passwd", None, None)).await.contains("starts with a slash"));
        assert_eq!(execute(&kit.branch, lines("src/Main.rs", None, None)).await.unwrap().summary, "Empty file");
    }
}
