//! What calls are judged by, as it is right before they begin: the project's rules, and what their folders hold.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use domain::{Error, permissions};
use sandbox::{ListEntry, WorkspaceError};
use wire::{
    chat::ToolCall,
    permissions::{LOOKED_AT_MAX, PermissionRule, Reach, UNKNOWN},
};

use super::Driver;
use crate::{
    branch::Branch,
    fsm::{Event, Held},
};

impl Driver {
    /// To be called before the machine takes the event in. A rule that somebody adds or takes back holds from the next call on.
    pub(super) async fn renew_grounds(&mut self, event: &Event) -> Result<(), Error> {
        let calls: Vec<ToolCall> = self.machine.calls_before(event).into_iter().cloned().collect();
        if calls.is_empty() {
            return Ok(());
        }
        let rules = permissions::rules(&self.ctx, self.turn.project_id).await?;
        let mut held = Vec::new();
        let mut lists = Lists::default();
        for ToolCall { name, arguments, .. } in calls {
            let reaches = Reach::read(&name, &arguments);
            let paths = look(&self.branch, &mut lists, &rules, &name, &reaches).await;
            if !paths.is_empty() {
                held.push(Held { tool: name, arguments, paths: paths.into_iter().collect() });
            }
        }
        self.machine.renew(rules, held);
        Ok(())
    }
}

/// What was listed already: calls of one step often reach into the same folders.
#[derive(Default)]
struct Lists {
    /// By the folder, and whether ignored ones are in it.
    known: HashMap<(String, bool), Arc<Vec<ListEntry>>>,
}

impl Lists {
    async fn get(&mut self, branch: &Branch, folder: &str, ignored: bool) -> Result<Arc<Vec<ListEntry>>, WorkspaceError> {
        let key = (folder.to_owned(), ignored);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let listed = Arc::new(if ignored { branch.list_whole(folder).await? } else { branch.list(folder).await? });
        self.known.insert(key, listed.clone());
        Ok(listed)
    }
}

/// The paths below what a call names that a rule is about.
async fn look(branch: &Branch, lists: &mut Lists, rules: &[PermissionRule], tool: &str, reaches: &[Reach]) -> BTreeSet<String> {
    let reaches: Vec<&Reach> = reaches.iter().filter(|reach| reach.is_place()).collect();
    look_into(branch, lists, rules, tool, &reaches).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what a call would reach could not be looked at");
        BTreeSet::from([UNKNOWN.to_owned()])
    })
}

async fn look_into(
    branch: &Branch,
    lists: &mut Lists,
    rules: &[PermissionRule],
    tool: &str,
    reaches: &[&Reach],
) -> Result<BTreeSet<String>, WorkspaceError> {
    let mut found = BTreeSet::new();
    let mut looked_at = 0;
    if reaches.iter().any(|reach| reach.changes) {
        // What version control ignores becomes no part of a project, and only its own rules are about that. Seen from the top: an ignored folder
        // does not know that it is one.
        let versioned = lists.get(branch, "", false).await?;
        for reach in reaches.iter().filter(|reach| reach.changes) {
            let below: Vec<&str> = versioned.iter().map(|entry| entry.path.as_str()).filter(|path| reach.is_above(path)).collect();
            looked_at += below.len();
            if looked_at > LOOKED_AT_MAX {
                return Ok(BTreeSet::from([UNKNOWN.to_owned()]));
            }
            found.extend(reach.held_built_in(below));
            tokio::task::yield_now().await;
        }
    }
    if Reach::is_limited(rules, tool) {
        for reach in reaches {
            let listed = lists.get(branch, &reach.folder, reach.ignored).await?;
            looked_at += listed.len();
            if looked_at > LOOKED_AT_MAX {
                return Ok(BTreeSet::from([UNKNOWN.to_owned()]));
            }
            found.extend(reach.held(rules, tool, listed.iter().map(|entry| entry.path.as_str())));
            tokio::task::yield_now().await;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;
    use serde_json::{Value, json};
    use wire::{
        Micros,
        permissions::{NewPermissionRule, PermissionEffect},
    };

    fn rule(effect: PermissionEffect, pattern: &str) -> PermissionRule {
        let new = NewPermissionRule { effect, tool: None, command_pattern: None, path_pattern: Some(pattern.to_owned()) };
        let nobody = uuid::Uuid::nil();
        new.as_rule(nobody.into(), nobody.into(), None, Micros(0))
    }

    #[tokio::test]
    async fn a_call_is_looked_after_as_far_as_it_reaches() {
        let kit = branch(&[
            (".gitignore", "*.env\n"),
            ("conf/app.toml", ""),
            ("conf/prod/key.env", ""),
            ("docs/AGENTS.md", ""),
            ("node_modules/x/AGENTS.md", ""),
            ("src/main.rs", ""),
        ])
        .await;
        let rules = [rule(PermissionEffect::Deny, "conf/prod/**"), rule(PermissionEffect::Ask, "src/*")];
        let found = async |rules: &[PermissionRule], tool: &str, arguments: Value| {
            let paths = look(&kit.branch, &mut Lists::default(), rules, tool, &Reach::read(tool, &arguments.to_string())).await;
            paths.into_iter().collect::<Vec<_>>().join(" ")
        };
        let step = |from: &str| json!({ "from": from, "to": "other" });
        assert_eq!(found(&rules, "move_file", step("conf")).await, "conf/prod/key.env", "what is ignored is moved as well");
        assert_eq!(found(&rules, "move_file", step("src")).await, "src/main.rs");
        assert_eq!(found(&rules, "move_file", step("docs")).await, "docs/AGENTS.md other/AGENTS.md");
        assert_eq!(found(&[], "move_file", step("docs")).await, "docs/AGENTS.md other/AGENTS.md");
        assert_eq!(found(&[], "move_file", step("conf")).await, "");
        assert_eq!(found(&rules, "move_file", step("../conf")).await, "", "the tool refuses that itself");
        assert_eq!(found(&rules, "search", json!({ "query": "x" })).await, "src/main.rs", "what is ignored is not shown");
        assert_eq!(found(&rules, "list_files", json!({ "path": "docs" })).await, "");
        assert_eq!(found(&[], "run_command", json!({ "command": "rm -rf node_modules" })).await, "", "no part of the project");
        assert_eq!(found(&rules, "run_command", json!({ "command": "rm -rf *" })).await, "conf/prod/key.env docs/AGENTS.md src/main.rs");
        assert_eq!(found(&rules, "run_command", json!({ "command": "grep -r x .", "cwd": "conf" })).await, "conf/prod/key.env");
        assert_eq!(found(&[], "run_command", json!({ "command": "grep -r x ." })).await, "");
        assert_eq!(found(&rules, "read_file", json!({ "path": "src/main.rs" })).await, "");
    }

    #[tokio::test]
    async fn what_can_not_be_looked_into_is_said_to_be_unknown() {
        let kit = branch(&[("src/main.rs", "")]).await;
        let gone = Branch::new(
            sandbox::Workspaces::open(tempfile::tempdir().unwrap().path(), None, true).unwrap(),
            uuid::Uuid::nil().into(),
            uuid::Uuid::nil().into(),
        );
        let reaches = Reach::read("move_file", r#"{"from":"src","to":"lib"}"#);
        assert!(look(&kit.branch, &mut Lists::default(), &[], "move_file", &reaches).await.is_empty());
        assert_eq!(look(&gone, &mut Lists::default(), &[], "move_file", &reaches).await.into_iter().collect::<Vec<_>>(), [UNKNOWN]);
    }
}
