use serde::Deserialize;
use serde_json::{Value, json};

use super::{FILE_MAX, Output, Tool, ToolError, check_path};
use crate::{branch::Branch, text::count_of};

const NEW_MODE: u32 = 0o644;

pub const TOOL: Tool = Tool {
    name: "write_file",
    description: "Creates a file or replaces its whole content. Missing directories are made. To change part of a file use edit_file.",
    schema,
    mutates: true,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "File relative to the project."},
            "content": {"type": "string", "description": "The whole new content."}
        },
        "required": ["path", "content"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub path: String,
    pub content: String,
}

pub async fn execute(branch: &Branch, args: Args) -> Result<Output, ToolError> {
    let Args { path, content } = args;
    check_path(&path)?;
    if content.len() as u64 > FILE_MAX {
        let said = format!("Not written: {} bytes are more than the {FILE_MAX} that one file may have here.", content.len());
        return Err(ToolError::refused(said, "Too large"));
    }
    let before = branch.read(&path, FILE_MAX).await?;
    if before.as_ref().is_some_and(|f| f.is_link) {
        return Err(ToolError::refused(
            format!("Not written: {path} is a symbolic link. Write the file it leads to, or delete the link first."),
            "A symbolic link",
        ));
    }
    let lines = count_of(content.lines().count(), "line");
    let mode = before.as_ref().map_or(NEW_MODE, |f| f.mode);
    if before.as_ref().is_some_and(|f| f.bytes == content.as_bytes()) {
        return Ok(Output::new(format!("{path} already has exactly this content."), "Unchanged"));
    }
    branch.write(&path, content.into_bytes(), mode).await?;
    Ok(match before {
        None => Output::new(format!("Created {path} ({lines})."), format!("Created, {lines}")),
        Some(_) => Output::new(format!("Replaced the content of {path} ({lines})."), format!("Replaced, {lines}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn write(path: &str, content: &str) -> Args {
        Args { path: path.into(), content: content.into() }
    }

    #[tokio::test]
    async fn creates_and_replaces() {
        let kit = branch(&[("run.sh", "old\n")]).await;
        assert_eq!(execute(&kit.branch, write("a/b/c.txt", "x\ny\n")).await.unwrap().summary, "Created, 2 lines");
        assert_eq!(kit.text("a/b/c.txt").await, "x\ny\n");
        assert_eq!(execute(&kit.branch, write("run.sh", "new\n")).await.unwrap().summary, "Replaced, 1 line");
        assert_eq!(execute(&kit.branch, write("run.sh", "new\n")).await.unwrap().summary, "Unchanged");
    }

    #[tokio::test]
    async fn directories_and_files_do_not_overwrite_each_other() {
        let kit = branch(&[("a/b", "x")]).await;
        assert!(execute(&kit.branch, write("a", "y")).await.unwrap_err().to_string().contains("something else is at a,"));
        assert!(execute(&kit.branch, write("a/b/c", "y")).await.unwrap_err().to_string().contains("something else is at a/b,"));
        assert!(execute(&kit.branch, write("a/../../c", "y")).await.is_err());
        assert!(execute(&kit.branch, write(".git/config", "y")).await.is_err());
    }
}
