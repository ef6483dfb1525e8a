use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolError, check_path, not_there};
use crate::branch::{Branch, Standing};

pub const TOOL: Tool = Tool { name: "delete_file", description: "Deletes one file.", schema, mutates: true, asks: false };

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"path": {"type": "string", "description": "File relative to the project."}},
        "required": ["path"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub path: String,
}

pub async fn execute(branch: &Branch, Args { path }: Args) -> Result<Output, ToolError> {
    check_path(&path)?;
    if branch.standing(&path).await? != Standing::File {
        return Err(not_there(branch, &path).await);
    }
    branch.remove(&path).await?;
    Ok(Output::new(format!("Deleted {path}."), "Deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    #[tokio::test]
    async fn deletes_files_only() {
        let kit = branch(&[("a/b", "x"), ("a/c", "y")]).await;
        let delete = |path: &str| execute(&kit.branch, Args { path: path.into() });
        delete("a/b").await.unwrap();
        assert!(kit.branch.read("a/b", 10).await.unwrap().is_none());
        assert!(delete("a/b").await.unwrap_err().to_string().starts_with("Not found"));
        assert!(delete("a").await.unwrap_err().to_string().contains("is a directory"));
        assert_eq!(kit.text("a/c").await, "y");
    }
}
