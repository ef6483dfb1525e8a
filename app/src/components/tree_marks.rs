//! What a folded directory says of the files in it. Each marked file counts once for every directory above it, when the marks change; a
//! row then only looks its own count up, whatever the size of the project.

use std::collections::HashMap;

use leptos::prelude::*;
use wire::changes::{ChangeOrigin, ChangeSet};

use super::{
    ide::Ide,
    tree_model::{find, parent},
};

/// How many files lie below each directory, at any depth. Directories without any are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside(HashMap<String, u32>);

impl Inside {
    /// Counts files, each listed once. Those that follow each other in one directory are counted together, so that sorted paths cost
    /// as much as there are directories.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut inside = Self::default();
        let (mut directory, mut count) = ("", 0);
        for path in paths {
            let next = parent(path);
            if next != directory {
                inside.add(directory, count);
                (directory, count) = (next, 0);
            }
            count += 1;
        }
        inside.add(directory, count);
        inside
    }

    fn add(&mut self, directory: &str, count: u32) {
        let mut at = directory;
        while !at.is_empty() {
            match self.0.get_mut(at) {
                Some(known) => *known += count,
                None => {
                    self.0.insert(at.to_owned(), count);
                }
            }
            at = parent(at);
        }
    }

    pub fn below(&self, directory: &str) -> u32 {
        self.0.get(directory).copied().unwrap_or(0)
    }
}

/// What is marked in a directory, in files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    pub conflicts: u32,
    pub unsaved: u32,
    /// Hunks of them wait for review.
    pub waiting: u32,
    /// Those of the waiting ones whose hunks are the agent's.
    pub of_agent: u32,
    /// Since the person at this page looked at them.
    pub changed: u32,
}

impl Marks {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All of it in words, the most pressing first.
    pub fn words(&self) -> String {
        let files = |count: u32| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let all = [
            (self.conflicts, "in conflict"),
            (self.unsaved, "not saved"),
            (self.waiting, "for review"),
            (self.changed, "changed since you looked"),
        ];
        let told: Vec<String> =
            all.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", files(count))).collect();
        format!("Inside: {}", told.join(", "))
    }

    /// The dot of the most pressing mark.
    pub fn class(&self) -> &'static str {
        match self {
            Self { conflicts: 1.., .. } => "dot dot--warn",
            Self { unsaved: 1.., .. } => "dot dot--unsaved",
            Self { of_agent: 1.., .. } => "dot dot--agent",
            Self { waiting: 1.., .. } => "dot dot--waiting",
            _ => "dot dot--changed",
        }
    }
}

/// The marks of the whole project, each kind counted anew only when it changes.
#[derive(Clone, Copy)]
pub struct TreeMarks {
    conflicts: Memo<Inside>,
    unsaved: Memo<Inside>,
    waiting: Memo<Inside>,
    of_agent: Memo<Inside>,
    changed: Memo<Inside>,
}

impl TreeMarks {
    pub fn of(ide: Ide) -> Self {
        let tabs = move |counts: fn(&super::ide::Tab) -> bool| {
            Memo::new(move |_| ide.tabs.with(|tabs| Inside::of(tabs.iter().filter(|tab| counts(tab)).map(|tab| tab.path.as_str()))))
        };
        let hunks = move |counts: fn(&ChangeSet) -> bool| {
            Memo::new(move |_| ide.proposals.with(|all| Inside::of(waiting_in(all.values().filter(|set| counts(set))))))
        };
        Self {
            conflicts: tabs(|tab| tab.conflict.is_some()),
            unsaved: tabs(|tab| tab.dirty && tab.conflict.is_none()),
            waiting: hunks(|_| true),
            of_agent: hunks(|set| set.origin == ChangeOrigin::Agent),
            changed: Memo::new(move |_| changed_in(ide)),
        }
    }

    /// What is marked below a directory. Tracks all of it.
    pub fn below(self, directory: &str) -> Marks {
        let count = |inside: Memo<Inside>| inside.with(|inside| inside.below(directory));
        Marks {
            conflicts: count(self.conflicts),
            unsaved: count(self.unsaved),
            waiting: count(self.waiting),
            of_agent: count(self.of_agent),
            changed: count(self.changed),
        }
    }
}

/// Every path at which open hunks are told: that of the file, and where it moves from. Each once, sorted.
fn waiting_in<'a>(sets: impl Iterator<Item = &'a ChangeSet>) -> Vec<&'a str> {
    let files = sets.flat_map(|set| &set.files).filter(|file| file.hunks.iter().any(|hunk| hunk.state.is_open()));
    let mut paths: Vec<&str> = files.flat_map(|file| [Some(file.path.as_str()), file.old_path.as_deref()]).flatten().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn changed_in(ide: Ide) -> Inside {
    ide.tree.with(|tree| {
        ide.files
            .seen
            .with(|seen| ide.viewer.with_value(|viewer| Inside::of(seen.changed(&tree.items, |path| find(&tree.items, path), viewer.id))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_for_every_directory_above_them() {
        let inside = Inside::of(["README.md", "src/app/a.rs", "src/app/b.rs", "src/zones.py", "src-b/c.rs", "src/app/d.rs"]);
        assert_eq!((inside.below("src"), inside.below("src/app"), inside.below("src-b")), (4, 3, 1));
        assert_eq!((inside.below("sr"), inside.below("docs"), inside.below("src/zones.py")), (0, 0, 0));
        assert_eq!(Inside::of([]), Inside::default());
        assert_eq!(Inside::of(["top"]), Inside::default(), "the root has no row");
    }

    #[test]
    fn many_files_cost_a_place_for_each_directory() {
        let paths: Vec<String> = (0..50_000).map(|i| format!("d{:03}/s{:02}/f{i:05}.rs", i / 500, i / 50 % 10)).collect();
        let inside = Inside::of(paths.iter().map(String::as_str));
        assert_eq!(inside.0.len(), 100 + 1000);
        assert_eq!((inside.below("d007"), inside.below("d007/s03")), (500, 50));
    }

    #[test]
    fn the_most_pressing_mark_gives_the_dot_and_all_are_told() {
        let marks = Marks { unsaved: 2, waiting: 1, of_agent: 1, changed: 3, ..Marks::default() };
        assert_eq!(marks.class(), "dot dot--unsaved");
        assert_eq!(marks.words(), "Inside: 2 files not saved, 1 file for review, 3 files changed since you looked");
        assert_eq!(Marks { conflicts: 1, ..marks }.class(), "dot dot--warn");
        assert_eq!(Marks { unsaved: 0, ..marks }.class(), "dot dot--agent");
        assert_eq!(Marks { waiting: 1, ..Marks::default() }.class(), "dot dot--waiting");
        assert_eq!(Marks { changed: 1, ..Marks::default() }.class(), "dot dot--changed");
        assert!(Marks::default().is_empty() && !marks.is_empty());
    }
}
