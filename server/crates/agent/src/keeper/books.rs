//! What a hold is told in the end, and meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sandbox::Collision;
use wire::{files::FileAction, runs::RunChange};

use crate::workspace::Saved;

/// Beyond so many of a kind in one go they are counted.
const NAMED: usize = 5;
/// Sentences that are remembered so as not to be told twice.
const REMEMBERED: usize = 500;

/// What was saved while a hold lived.
#[derive(Default)]
pub(super) struct Account {
    /// None where what was added went again.
    changes: BTreeMap<String, Option<FileAction>>,
    failures: BTreeSet<String>,
    told: HashSet<String>,
}

impl Account {
    pub fn add(&mut self, written: &[RunChange]) {
        for RunChange { path, action } in written {
            let before = self.changes.get(path).copied().flatten();
            let in_all = match (before, *action) {
                (Some(FileAction::Added), FileAction::Deleted) => None,
                (Some(FileAction::Added), _) => Some(FileAction::Added),
                (Some(FileAction::Deleted), FileAction::Added) => Some(FileAction::Modified),
                (_, now) => Some(now),
            };
            self.changes.insert(path.clone(), in_all);
        }
    }

    pub fn changes(&self) -> Vec<RunChange> {
        self.changes.iter().filter_map(|(path, action)| Some(RunChange { path: path.clone(), action: (*action)? })).collect()
    }

    pub fn set_failures<'p>(&mut self, paths: impl Iterator<Item = &'p String>) {
        self.failures = paths.cloned().collect();
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.iter().cloned().collect()
    }

    pub fn is_news(&mut self, sentence: &str) -> bool {
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert(sentence.to_owned())
    }
}

/// For people.
pub(super) fn sentences(saved: &Saved, collisions: &[Collision]) -> Vec<String> {
    let mut all = Vec::new();
    say(&mut all, collisions, |Collision { path, beside }| match beside {
        Some(beside) => {
            format!("{path} was changed by a command and by somebody else. Theirs stays; the command's is kept beside it as {beside}.")
        }
        None => format!("{path} was deleted by a command while somebody else changed it. It is back as they made it."),
    });
    say(&mut all, &saved.refused, |(path, reason)| format!("{path} is not saved: {reason}"));
    say(&mut all, &saved.too_large, |path| format!("{path} is not saved: it is larger than a file of a project may be."));
    all
}

fn say<T>(all: &mut Vec<String>, items: &[T], sentence: impl Fn(&T) -> String) {
    all.extend(items.iter().take(NAMED).map(sentence));
    if items.len() > NAMED {
        all.push(format!("The same goes for {} more files.", items.len() - NAMED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_changes_of_a_path_become_one() {
        let mut account = Account::default();
        let change = |path: &str, action| RunChange { path: path.into(), action };
        use FileAction::{Added, Deleted, Modified};
        for (path, action) in
            [("a", Added), ("a", Modified), ("b", Added), ("b", Deleted), ("c", Deleted), ("c", Added), ("d", Modified), ("d", Deleted)]
        {
            account.add(&[change(path, action)]);
        }
        assert_eq!(account.changes(), [change("a", Added), change("c", Modified), change("d", Deleted)]);
        account.add(&[change("b", Added)]);
        assert_eq!(account.changes()[1], change("b", Added), "added, gone, added again");
        assert!(account.is_news("x") && !account.is_news("x"));
    }

    #[test]
    fn collisions_are_told_and_many_are_counted() {
        let collision = |n: usize| Collision { path: format!("f{n}"), beside: Some(format!("f{n}.conflict-0a1b2c3d")) };
        let many: Vec<_> = (0..8).map(collision).collect();
        let told = sentences(&Saved::default(), &many);
        assert_eq!(told.len(), 6);
        assert!(told[0].contains("f0.conflict-0a1b2c3d") && told[5].contains("3 more"), "{told:?}");
    }
}
