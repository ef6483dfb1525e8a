use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolError, check_path, not_there};
use crate::branch::{Branch, Standing};

pub const TOOL: Tool = Tool {
    name: "move_file",
    description: "Moves or renames a file, or a directory with everything in it. Nothing may exist at the new path. References to the old path \
                  are not changed.",
    schema,
    mutates: true,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "from": {"type": "string", "description": "What to move, relative to the project."},
            "to": {"type": "string", "description": "Its new path, relative to the project."}
        },
        "required": ["from", "to"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub from: String,
    pub to: String,
}

pub async fn execute(branch: &Branch, Args { from, to }: Args) -> Result<Output, ToolError> {
    check_path(&from)?;
    check_path(&to)?;
    if to == from || to.strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return Err(ToolError::refused(format!("Not moved: {to} is {from} itself or lies in it."), "Cannot be moved into itself"));
    }
    if branch.standing(&from).await? == Standing::Nothing {
        return Err(not_there(branch, &from).await);
    }
    if branch.standing(&to).await? != Standing::Nothing {
        return Err(ToolError::refused(
            format!("Not moved: {to} exists already. Delete it first, or choose another path."),
            "Exists already",
        ));
    }
    branch.rename(&from, &to).await?;
    Ok(Output::new(format!("Moved {from} to {to}."), format!("Moved to {to}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn step(from: &str, to: &str) -> Args {
        Args { from: from.into(), to: to.into() }
    }

    #[tokio::test]
    async fn moves_files_and_directories() {
        let kit = branch(&[("a/b", "x"), ("a/c/d", "y"), ("ab", "z")]).await;
        execute(&kit.branch, step("a", "n/m")).await.unwrap();
        assert_eq!(kit.text("n/m/b").await, "x");
        assert_eq!(kit.text("n/m/c/d").await, "y");
        assert_eq!(kit.text("ab").await, "z");
        assert!(kit.branch.read("a/b", 10).await.unwrap().is_none());
        execute(&kit.branch, step("ab", "a")).await.unwrap();
        assert_eq!(kit.text("a").await, "z");
    }

    #[tokio::test]
    async fn overwrites_nothing() {
        let kit = branch(&[("a/b", "x"), ("c", "y")]).await;
        for (from, to, why) in [
            ("c", "a/b", "exists already"),
            ("c", "a", "exists already"),
            ("a/b", "c/d", "something else is at c"),
            ("a", "a/d", "lies in it"),
            ("no", "d", "no file no"),
            ("c", "../c", "leave"),
        ] {
            let said = execute(&kit.branch, step(from, to)).await.unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
