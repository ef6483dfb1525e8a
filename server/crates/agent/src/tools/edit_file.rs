use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    FILE_MAX, Output, Tool, ToolError, args,
    edit_text::{EditError, edit},
    read_text,
};
use crate::{branch::Branch, text::fence_for};

pub const TOOL: Tool = Tool {
    name: "edit_file",
    description: "Replaces old_text by new_text in a file. old_text must stand in the file exactly once; copy it from read_file without the line \
                  numbers and take enough lines to make it unique, or set replace_all. If only the white space around lines differs, the lines are \
                  still found and the file's indentation is kept. If it is not found, nothing is changed and the closest text is shown.",
    schema,
    mutates: true,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "File relative to the project."},
            "old_text": {"type": "string", "description": "The text to replace, exactly as it stands in the file."},
            "new_text": {"type": "string", "description": "What to put in its place; empty to delete it."},
            "replace_all": {"type": "boolean", "description": "Replace every place where old_text stands."}
        },
        "required": ["path", "old_text", "new_text"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub path: String,
    pub old_text: String,
    pub new_text: String,
    #[serde(default, deserialize_with = "args::switch")]
    pub replace_all: bool,
}

pub async fn execute(branch: &Branch, args: Args) -> Result<Output, ToolError> {
    let Args { path, old_text, new_text, replace_all } = args;
    let (text, mode) = read_text(branch, &path).await?;
    // Finding what comes closest in a large file takes a while.
    let done = tokio::task::spawn_blocking(move || edit(&text, &old_text, &new_text, replace_all))
        .await
        .map_err(|error| domain::Error::Internal(Box::new(error)))?;
    let edited = done.map_err(|error| explain(&path, &error))?;
    if edited.text.len() as u64 > FILE_MAX {
        return Err(ToolError::refused(format!("Not edited: {path} would grow beyond {FILE_MAX} bytes."), "Too large"));
    }
    branch.write(&path, edited.text.into_bytes(), mode).await?;
    let places = if edited.count == 1 { format!("line {}", edited.first_line) } else { format!("{} places", edited.count) };
    let mut content = format!("Edited {path} ({places}).");
    if let Some(found) = edited.matched_loosely {
        let fence = fence_for(&found);
        content.push_str(&format!(
            " The white space, or how letters are composed, differed from old_text; the indentation of the file was kept. Replaced was:\n{fence}\n{}\n{fence}",
            found.trim_end_matches(['\r', '\n'])
        ));
    }
    Ok(Output::new(content, format!("Edited, {places}")))
}

fn explain(path: &str, error: &EditError) -> ToolError {
    match error {
        EditError::EmptyOldText => ToolError::refused(
            "Not edited: old_text is empty. Give the text to replace; to create a file or replace all of it use write_file.",
            "old_text is empty",
        ),
        EditError::NothingChanges => ToolError::refused(
            format!("Not edited: {path} would stay as it is. old_text and new_text come to the same."),
            "Nothing would change",
        ),
        EditError::NotUnique { lines, loosely } => {
            let shown: Vec<String> = lines.iter().take(12).map(ToString::to_string).collect();
            let more = if lines.len() > shown.len() { " and more" } else { "" };
            let how = if *loosely { ", with other white space," } else { "" };
            let advice = if *loosely {
                "Copy the exact text with enough lines around it to be unique."
            } else {
                "Take more lines around it to make it unique, or set replace_all."
            };
            let content =
                format!("Not edited: old_text stands in {path}{how} {} times, at lines {}{more}. {advice}", lines.len(), shown.join(", "));
            ToolError::refused(content, format!("Found {} times", lines.len()))
        }
        EditError::IndentationUnclear { line, found } => {
            let fence = fence_for(found);
            let content = format!(
                "Not edited: these lines stand in {path} at line {line}, but their indentation differs from old_text in a way that does not carry \
                 over to new_text. Make the call again with exactly this old_text, and new_text indented like it:\n{fence}\n{}\n{fence}",
                found.trim_end_matches(['\r', '\n'])
            );
            ToolError::refused(content, "Indentation differs")
        }
        EditError::NotFound { nearest, has_line_numbers } => {
            let mut content = format!("Not edited: old_text was not found in {path}.");
            if *has_line_numbers {
                content.push_str(" Its lines begin with the line numbers that read_file adds; leave them and the tab out.");
            }
            match nearest {
                Some(nearest) => {
                    let fence = fence_for(&nearest.text);
                    content.push_str(&format!(" The closest text begins at line {}:\n{fence}\n{}\n{fence}", nearest.line, nearest.text));
                }
                None => content.push_str(" Nothing in the file is like it; read the file again."),
            }
            ToolError::refused(content, "Text not found")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn change(path: &str, old: &str, new: &str) -> Args {
        Args { path: path.into(), old_text: old.into(), new_text: new.into(), replace_all: false }
    }

    #[tokio::test]
    async fn edits_on_the_branch() {
        let kit = branch(&[("a.py", "def f():\n    return 1\n")]).await;
        let out = execute(&kit.branch, change("a.py", "return 1", "return 2")).await.unwrap();
        assert_eq!(out, Output::new("Edited a.py (line 2).", "Edited, line 2"));
        let out = execute(&kit.branch, change("a.py", "  return 2", "  return 3\n  # end")).await.unwrap();
        assert_eq!(out.summary, "Edited, line 2");
        let out = execute(&kit.branch, change("a.py", "def f():\n  return 9", "x")).await.unwrap_err();
        assert!(out.to_string().starts_with("Not edited"));
    }

    #[tokio::test]
    async fn shows_what_was_matched_loosely() {
        let kit = branch(&[("a.py", "if a:\n\tb()\n\tc()\n")]).await;
        let out = execute(&kit.branch, change("a.py", "    b()\n    c()", "    d()")).await.unwrap();
        assert!(
            out.content.contains("indentation of the file was kept") && out.content.contains("```\n\tb()\n\tc()\n```"),
            "{}",
            out.content
        );
        assert_eq!(kit.text("a.py").await, "if a:\n\td()\n");
    }

    #[tokio::test]
    async fn says_why_nothing_was_edited() {
        let kit = branch(&[("a", "x = 1\ny\nx = 1\n")]).await;
        let said = |old: &str, new: &str| {
            let args = change("a", old, new);
            async { execute(&kit.branch, args).await.unwrap_err().to_string() }
        };
        assert!(said("x = 1", "z").await.contains("2 times, at lines 1, 3."));
        assert!(said("", "z").await.contains("write_file"));
        assert!(said("y", "y").await.contains("come to the same"));
        assert!(said("     2\tyy", "z").await.contains("line numbers"));
        assert!(said("x = 2", "z").await.contains("closest text begins at line 1"));
        assert_eq!(kit.text("a").await, "x = 1\ny\nx = 1\n");
    }
}
