//! What a wish about files becomes: the steps that are sent, and the same steps on the list that the page holds.

use wire::files::{Base, Entry, EntryKind, FileStep, Tree, check_path};

use super::tree_model::{find, is_below, is_taken, join, name_of, parent};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    Move,
    Copy,
}

/// What to do with a name that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// What is there goes to the trash.
    Replace,
    KeepBoth,
    Skip,
}

/// One thing on its way to another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    pub from: String,
    pub to: String,
}

/// Things to be moved or copied into a directory, looked at before anything is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    pub free: Vec<Trip>,
    /// Those whose name is taken where they go.
    pub clashing: Vec<Trip>,
    /// What can't go there, in sentences.
    pub refused: Vec<String>,
}

/// What a step on a path is based on: the version that this page has seen. A directory is based on the revision of the whole list.
pub fn base_of(tree: &Tree, path: &str) -> Base {
    match find(&tree.items, path) {
        Some(entry) if entry.kind != EntryKind::Directory && entry.version > 0 => Base::Version(entry.version),
        _ => Base::Revision(tree.revision),
    }
}

/// Sorts out where each path would go. Moving to where it is already is left out; copying there gets a new name.
pub fn place(tree: &Tree, paths: &[String], directory: &str, transfer: Transfer) -> Placement {
    let mut placement = Placement::default();
    for from in paths {
        let to = join(directory, name_of(from));
        if directory == from || is_below(directory, from) && !from.is_empty() {
            placement.refused.push(format!("{} can't go into itself.", name_of(from)));
        } else if to == *from {
            if transfer == Transfer::Copy {
                let to = free_name(&to, " copy", |path| is_reserved(tree, &placement, path));
                placement.free.push(Trip { from: from.clone(), to });
            }
        } else if let Err(reason) = check_path(&to) {
            placement.refused.push(format!("{}: {reason}", name_of(from)));
        } else if is_reserved(tree, &placement, &to) {
            placement.clashing.push(Trip { from: from.clone(), to });
        } else {
            placement.free.push(Trip { from: from.clone(), to });
        }
    }
    placement
}

fn is_reserved(tree: &Tree, placement: &Placement, path: &str) -> bool {
    is_taken(&tree.items, path) || placement.free.iter().any(|trip| trip.to == path)
}

/// The steps of a placement, with the same answer for every name that is taken.
pub fn steps_of(tree: &Tree, placement: &Placement, transfer: Transfer, clash: Clash) -> Vec<FileStep> {
    let go = |from: &str, to: String| {
        let (from, base) = (from.to_owned(), base_of(tree, from));
        match transfer {
            Transfer::Move => FileStep::Move { from, to, base },
            Transfer::Copy => FileStep::Copy { from, to, base },
        }
    };
    let mut steps = Vec::new();
    let mut taken: Vec<String> = placement.free.iter().map(|trip| trip.to.clone()).collect();
    for trip in &placement.clashing {
        match clash {
            Clash::Skip => {}
            Clash::Replace => {
                steps.push(FileStep::Delete { path: trip.to.clone(), base: base_of(tree, &trip.to) });
                steps.push(go(&trip.from, trip.to.clone()));
            }
            Clash::KeepBoth => {
                let to = free_name(&trip.to, "", |path| is_taken(&tree.items, path) || taken.iter().any(|other| other == path));
                taken.push(to.clone());
                steps.push(go(&trip.from, to));
            }
        }
    }
    steps.extend(placement.free.iter().map(|trip| go(&trip.from, trip.to.clone())));
    steps
}

/// A name beside `path` that is free: `report (2).txt`, or with the word ` copy` first `report copy.txt`, then `report copy 2.txt`.
pub fn free_name(path: &str, word: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let (directory, name) = (parent(path), name_of(path));
    // The first dot that is not the beginning, so that `.tar.gz` stays together.
    let end = name.char_indices().skip(1).find(|(_, c)| *c == '.').map_or(name.len(), |(at, _)| at);
    let (stem, ending) = name.split_at(end);
    let numbered = |n: u32| match (word, n) {
        ("", n) => format!("{stem} ({n}){ending}"),
        (word, 1) => format!("{stem}{word}{ending}"),
        (word, n) => format!("{stem}{word} {n}{ending}"),
    };
    let first = if word.is_empty() { 2 } else { 1 };
    (first..).map(|n| join(directory, &numbered(n))).find(|path| !is_taken(path)).unwrap_or_else(|| path.to_owned())
}

/// Does to the page's list what the server has done, so that nothing waits for the news of it. Versions that are not known yet are 0
/// until the news comes; what is restored comes with the news alone.
pub fn apply(tree: &mut Tree, steps: &[FileStep], revision: i64) {
    for step in steps {
        match step {
            FileStep::Move { from, to, .. } => {
                let mut moved = take(&mut tree.items, from);
                rename(&mut moved, from, to);
                insert(&mut tree.items, moved);
            }
            FileStep::Copy { from, to, .. } => {
                let mut copied: Vec<Entry> =
                    tree.items.iter().filter(|entry| entry.path == *from || is_below(&entry.path, from)).cloned().collect();
                rename(&mut copied, from, to);
                insert(&mut tree.items, copied);
            }
            FileStep::Delete { path, .. } => drop(take(&mut tree.items, path)),
            FileStep::CreateDirectory { path } => insert(&mut tree.items, vec![new_directory(path)]),
            FileStep::Restore { .. } => {}
        }
    }
    tree.revision = tree.revision.max(revision);
}

/// Takes a path out with all below it, and the directories above that existed only through it.
fn take(items: &mut Vec<Entry>, path: &str) -> Vec<Entry> {
    let (taken, kept) = std::mem::take(items).into_iter().partition(|entry| entry.path == path || is_below(&entry.path, path));
    *items = kept;
    super::project_feed::remove(items, path);
    taken
}

fn new_directory(path: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        kind: EntryKind::Directory,
        size: 0,
        content_type: "inode/directory".to_owned(),
        checksum: String::new(),
        version: 0,
        mode: 0o755,
        updated_at: Default::default(),
        updated_by: None,
    }
}

fn rename(entries: &mut [Entry], from: &str, to: &str) {
    for entry in entries {
        entry.path = format!("{to}{}", &entry.path[from.len()..]);
        entry.version = 0;
    }
}

fn insert(items: &mut Vec<Entry>, more: Vec<Entry>) {
    items.extend(more);
    items.sort_by(|a, b| a.path.cmp(&b.path));
    items.dedup_by(|later, earlier| later.path == earlier.path);
}

/// `Moved 3 items to src`, with the name where it is one.
pub fn describe(verb: &str, paths: &[String], rest: &str) -> String {
    match paths {
        [one] => format!("{verb} {}{rest}", name_of(one)),
        many => format!("{verb} {} items{rest}", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tree_model::tests::{entry, files};

    fn tree(paths: &[&str]) -> Tree {
        Tree { revision: 7, seq: 1, items: files(paths) }
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.items.iter().map(|entry| entry.path.as_str()).collect()
    }

    fn strings(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn free_names_keep_the_ending() {
        let taken = ["a.tar.gz", "a (2).tar.gz", ".env", "x/y"];
        let is_taken = |path: &str| taken.contains(&path);
        assert_eq!(free_name("a.tar.gz", "", is_taken), "a (3).tar.gz");
        assert_eq!(free_name(".env", "", is_taken), ".env (2)");
        assert_eq!(free_name("x/y", " copy", is_taken), "x/y copy");
        assert_eq!(free_name("b.txt", " copy", |path| path == "b copy.txt"), "b copy 2.txt");
    }

    #[test]
    fn nothing_goes_into_itself_and_what_is_there_stays() {
        let tree = tree(&["src/a", "src/sub/b", "dst/a", "top"]);
        let placed = place(&tree, &strings(&["src", "src/a", "top"]), "src/sub", Transfer::Move);
        assert_eq!(placed.refused, ["src can't go into itself."]);
        assert_eq!(placed.free.len(), 2);
        let placed = place(&tree, &strings(&["src/a"]), "dst", Transfer::Move);
        assert_eq!(placed.clashing, [Trip { from: "src/a".into(), to: "dst/a".into() }]);
        assert_eq!(place(&tree, &strings(&["top"]), "", Transfer::Move), Placement::default(), "it is there already");
    }

    #[test]
    fn a_copy_beside_itself_gets_a_name() {
        let tree = tree(&["a.txt", "a copy.txt"]);
        let placed = place(&tree, &strings(&["a.txt"]), "", Transfer::Copy);
        assert_eq!(placed.free, [Trip { from: "a.txt".into(), to: "a copy 2.txt".into() }]);
    }

    #[test]
    fn two_of_the_same_name_clash_with_each_other() {
        let tree = tree(&["x/a", "y/a", "z/q"]);
        let placed = place(&tree, &strings(&["x/a", "y/a"]), "z", Transfer::Move);
        assert_eq!((placed.free.len(), placed.clashing.len()), (1, 1));
        let steps = steps_of(&tree, &placed, Transfer::Move, Clash::KeepBoth);
        assert!(steps.iter().any(|step| matches!(step, FileStep::Move { to, .. } if to == "z/a (2)")), "{steps:?}");
    }

    #[test]
    fn replacing_sends_what_is_there_to_the_trash_first() {
        let tree = tree(&["a", "d/a"]);
        let placed = place(&tree, &strings(&["a"]), "d", Transfer::Move);
        let steps = steps_of(&tree, &placed, Transfer::Move, Clash::Replace);
        assert_eq!(
            steps,
            [
                FileStep::Delete { path: "d/a".into(), base: Base::Version(1) },
                FileStep::Move { from: "a".into(), to: "d/a".into(), base: Base::Version(1) }
            ]
        );
        assert!(steps_of(&tree, &placed, Transfer::Move, Clash::Skip).is_empty());
    }

    #[test]
    fn directories_are_based_on_the_revision() {
        let mut tree = tree(&["d/a"]);
        tree.items.insert(0, entry("d", EntryKind::Directory));
        assert_eq!(base_of(&tree, "d"), Base::Revision(7));
        assert_eq!(base_of(&tree, "d/a"), Base::Version(1));
        assert_eq!(base_of(&tree, "gone"), Base::Revision(7));
    }

    #[test]
    fn the_list_follows_the_steps() {
        let mut tree = tree(&["a/one", "a/two", "ab", "b/x"]);
        let base = Base::Revision(7);
        let steps = [
            FileStep::Move { from: "a".into(), to: "c/a".into(), base },
            FileStep::Copy { from: "b/x".into(), to: "y".into(), base },
            FileStep::Delete { path: "ab".into(), base },
        ];
        apply(&mut tree, &steps, 8);
        assert_eq!(paths(&tree), ["b/x", "c/a/one", "c/a/two", "y"]);
        assert_eq!(tree.revision, 8);
        assert_eq!(base_of(&tree, "c/a/one"), Base::Revision(8), "its version is not known yet");
    }
}
