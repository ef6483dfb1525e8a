use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolError, args, lines, read_text};
use crate::branch::Branch;

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
    lines::show(&args.path, &text, args.start_line, args.end_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn range(path: &str, start_line: Option<u64>, end_line: Option<u64>) -> Args {
        Args { path: path.into(), start_line, end_line }
    }

    #[tokio::test]
    async fn numbers_lines_and_takes_ranges() {
        let kit = branch(&[("a.txt", "one\r\ntwo\nthree")]).await;
        let out = execute(&kit.branch, range("a.txt", None, None)).await.unwrap();
        assert_eq!(out, Output::new("     1\tone\n     2\ttwo\n     3\tthree\n", "3 lines"));
        let out = execute(&kit.branch, range("a.txt", Some(2), Some(2))).await.unwrap();
        assert_eq!(out.content, "     2\ttwo\n[lines 2 to 2 of 3]\n");
        let out = execute(&kit.branch, range("a.txt", Some(0), Some(99))).await.unwrap();
        assert_eq!(out.summary, "3 lines");
        assert!(execute(&kit.branch, range("a.txt", Some(4), None)).await.unwrap_err().to_string().contains("has 3 lines"));
    }

    #[tokio::test]
    async fn stops_at_the_limits_and_says_where_to_go_on() {
        let long: String = (0..5000).map(|n| format!("{n}\n")).collect();
        let wide = "x".repeat(1900) + "\n";
        let kit = branch(&[("long", &long), ("wide", &wide.repeat(100))]).await;
        let out = execute(&kit.branch, range("long", None, None)).await.unwrap();
        assert!(out.content.ends_with("  2000\t1999\n[lines 1 to 2000 of 5000; go on with start_line 2001]\n"));
        let out = execute(&kit.branch, range("wide", None, None)).await.unwrap();
        assert!(
            out.content.len() < lines::BYTES_MAX + 200 && out.content.contains("go on with start_line 35"),
            "{}",
            &out.content[out.content.len() - 80..]
        );
    }

    #[tokio::test]
    async fn refuses_what_is_not_text_and_names_files_alike() {
        let kit = branch(&[("src/Main.rs", ""), ("bin", "a\0b")]).await;
        let said = |args| async { execute(&kit.branch, args).await.unwrap_err().to_string() };
        assert!(said(range("main.rs", None, None)).await.contains("src/Main.rs"));
        assert!(said(range("bin", None, None)).await.contains("binary"));
        let hidden = kit.hiding("read_file", "src/**");
        let told = execute(&hidden, range("main.rs", None, None)).await.unwrap_err().to_string();
        assert!(told.starts_with("Not found") && !told.contains("src/Main.rs"), "{told}");
        assert!(said(range("src", None, None)).await.contains("is a directory"));
        assert!(said(range("/etc/passwd", None, None)).await.contains("starts with a slash"));
        assert_eq!(execute(&kit.branch, range("src/Main.rs", None, None)).await.unwrap().summary, "Empty");
    }
}
