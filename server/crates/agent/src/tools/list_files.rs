use std::{collections::BTreeMap, fmt::Write as _};

use sandbox::EntryKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolError, check_path, describe_hidden};
use crate::{branch::Branch, text::count_of};

/// Up to so many files are listed one by one.
const FILES_MAX: usize = 400;

pub const TOOL: Tool = Tool {
    name: "list_files",
    description: "Lists the files below a directory with their sizes. In a large directory only its direct entries are listed, with the number \
                  of files below each. Files ignored by version control are not listed.",
    schema,
    mutates: false,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Directory relative to the project; leave it out for the whole project."}
        },
        "additionalProperties": false
    })
}

#[derive(Debug, Default, Deserialize)]
pub struct Args {
    #[serde(default)]
    pub path: Option<String>,
}

pub async fn execute(branch: &Branch, args: Args) -> Result<Output, ToolError> {
    let given = args.path.unwrap_or_default();
    let dir = given.trim_start_matches("./").trim_end_matches('/');
    let dir = if dir == "." { "" } else { dir };
    if !dir.is_empty() {
        check_path(dir)?;
    }
    let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
    let (below, hidden) = branch.list_shown(dir).await?;
    if below.is_empty() {
        return if hidden > 0 {
            Ok(Output::new(describe_hidden(hidden), "Hidden by a rule of the project"))
        } else if dir.is_empty() {
            Ok(Output::new("The project has no files yet.", "No files"))
        } else {
            Err(ToolError::refused(format!("Not found: there are no files at {dir}, or they are ignored by version control."), "Not found"))
        };
    }
    let mut out = String::new();
    if below.len() <= FILES_MAX {
        for file in &below {
            let _ = writeln!(
                out,
                "{} ({} bytes){}",
                file.path,
                file.size,
                if file.kind == EntryKind::Symlink { ", a symbolic link" } else { "" }
            );
        }
    } else {
        let mut entries: BTreeMap<String, Option<usize>> = BTreeMap::new();
        for file in &below {
            match file.path[prefix.len()..].split_once('/') {
                Some((name, _)) => *entries.entry(format!("{prefix}{name}/")).or_default().get_or_insert(0) += 1,
                None => {
                    entries.insert(file.path.clone(), None);
                }
            }
        }
        for (path, count) in &entries {
            let _ = match count {
                Some(count) => writeln!(out, "{path} ({count} files)"),
                None => writeln!(out, "{path}"),
            };
        }
        let _ = writeln!(out, "{} files in all. List a directory to see what is in it.", below.len());
    }
    out.push_str(&describe_hidden(hidden));
    Ok(Output::new(out, count_of(below.len(), "file")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn at(path: &str) -> Args {
        Args { path: Some(path.into()) }
    }

    #[tokio::test]
    async fn lists_below_a_directory() {
        let kit = branch(&[("a.txt", "1"), ("src/b.txt", "22"), ("src/deep/c.txt", "")]).await;
        let all = execute(&kit.branch, Args::default()).await.unwrap();
        assert_eq!(all.content, "a.txt (1 bytes)\nsrc/b.txt (2 bytes)\nsrc/deep/c.txt (0 bytes)\n");
        assert_eq!(execute(&kit.branch, at("src/")).await.unwrap().summary, "2 files");
        assert_eq!(execute(&kit.branch, at(".")).await.unwrap(), all);
        assert_eq!(execute(&kit.branch, at("a.txt")).await.unwrap().summary, "1 file");
    }

    #[tokio::test]
    async fn what_a_rule_denies_is_counted_and_not_named() {
        let kit = branch(&[("a.txt", "1"), ("conf/app.toml", "2"), ("conf/prod/key", "3"), ("conf/prod/pass", "4")]).await;
        let branch = kit.hiding("list_files", "conf/prod/**");
        let all = execute(&branch, Args::default()).await.unwrap();
        assert_eq!(all.content, "a.txt (1 bytes)\nconf/app.toml (1 bytes)\n[2 entries are hidden by a rule of this project]\n");
        assert_eq!(all.summary, "2 files");
        let none = execute(&kit.hiding("list_files", "**"), at("conf/prod")).await.unwrap();
        assert_eq!(none.content, "[2 entries are hidden by a rule of this project]\n");
        assert!(!execute(&branch, at("a.txt")).await.unwrap().content.contains("hidden"));
        let other = kit.hiding("edit_file", "conf/prod/**");
        assert!(execute(&other, Args::default()).await.unwrap().content.contains("conf/prod/key"));
    }

    #[tokio::test]
    async fn refuses_what_is_not_there_or_outside() {
        let kit = branch(&[("a.txt", "1")]).await;
        assert!(execute(&kit.branch, at("nothing")).await.unwrap_err().to_string().starts_with("Not found"));
        assert!(execute(&kit.branch, at("../x")).await.unwrap_err().to_string().contains("leave the project"));
    }

    #[tokio::test]
    async fn counts_in_large_directories() {
        let names: Vec<String> = (0..450).map(|n| format!("many/{}/f{n}", n % 3)).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "")).collect();
        let kit = branch(&files).await;
        let out = execute(&kit.branch, at("many")).await.unwrap();
        assert!(out.content.starts_with("many/0/ (150 files)\nmany/1/ (150 files)\n"), "{}", out.content);
    }
}
