//! The tree of a project as it travels to the page: a list of fifty thousand files has to be there at once.

use serde::{Deserialize, Serialize};

use crate::{
    Micros,
    files::{Entry, EntryKind, Tree},
    users::UserRef,
};

/// As [`Tree`], with what repeats said once. Checksums stay behind; the page has no use for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedTree {
    revision: i64,
    seq: i64,
    people: Vec<UserRef>,
    types: Vec<String>,
    items: Vec<PackedEntry>,
}

/// Bytes that the path shares with the one before, the rest of it, kind, size, place in `types`, version, mode, microseconds, and place
/// in `people` counted from 1, or 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PackedEntry(usize, String, u8, i64, usize, i64, i32, i64, usize);

impl From<Tree> for PackedTree {
    fn from(tree: Tree) -> Self {
        let (mut people, mut types): (Vec<UserRef>, Vec<String>) = (Vec::new(), Vec::new());
        let mut items = Vec::with_capacity(tree.items.len());
        let mut before = String::new();
        for entry in tree.items {
            let by = entry.updated_by.map_or(0, |user| 1 + place_of(&mut people, user));
            let content_type = place_of(&mut types, entry.content_type);
            let kind = match entry.kind {
                EntryKind::Directory => 0,
                EntryKind::File => 1,
                EntryKind::Symlink => 2,
            };
            let shared = shared_start(&before, &entry.path);
            let rest = entry.path[shared..].to_owned();
            items.push(PackedEntry(shared, rest, kind, entry.size, content_type, entry.version, entry.mode, entry.updated_at.0, by));
            before = entry.path;
        }
        Self { revision: tree.revision, seq: tree.seq, people, types, items }
    }
}

impl PackedTree {
    pub fn unpack(self) -> Tree {
        self.into()
    }
}

impl From<PackedTree> for Tree {
    fn from(packed: PackedTree) -> Self {
        let PackedTree { revision, seq, people, types, items } = packed;
        let mut unpacked: Vec<Entry> = Vec::with_capacity(items.len());
        for PackedEntry(shared, rest, kind, size, content_type, version, mode, at, by) in items {
            // A shared start that the path before does not have would be a broken answer; what is there is taken.
            let start = unpacked.last().and_then(|before| before.path.get(..shared)).unwrap_or_default();
            unpacked.push(Entry {
                path: format!("{start}{rest}"),
                kind: match kind {
                    0 => EntryKind::Directory,
                    1 => EntryKind::File,
                    _ => EntryKind::Symlink,
                },
                size,
                content_type: types.get(content_type).cloned().unwrap_or_default(),
                checksum: String::new(),
                version,
                mode,
                updated_at: Micros(at),
                updated_by: by.checked_sub(1).and_then(|by| people.get(by).cloned()),
            });
        }
        Self { revision, seq, items: unpacked }
    }
}

/// Where a value stands in the list; it is added when it is new. The lists are short, and the last ones are asked for most.
fn place_of<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().rposition(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}

fn shared_start(before: &str, path: &str) -> usize {
    let same = before.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rev().find(|at| path.is_char_boundary(*at) && before.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(path: String, version: i64) -> Entry {
        let by = UserRef { id: uuid::Uuid::from_u128(version as u128 % 3).into(), name: format!("user {}", version % 3) };
        Entry {
            path,
            kind: if version % 5 == 0 { EntryKind::Symlink } else { EntryKind::File },
            size: version * 7,
            content_type: format!("text/{}", version % 4),
            checksum: String::new(),
            version,
            mode: 0o644,
            updated_at: Micros(version * 1000),
            updated_by: (version % 2 == 0).then_some(by),
        }
    }

    proptest! {
        #[test]
        fn a_tree_arrives_as_it_was(paths in proptest::collection::vec("[aäb€/]{1,12}", 0..40)) {
            let items: Vec<Entry> = paths.into_iter().zip(1..).map(|(path, version)| entry(path, version)).collect();
            let tree = Tree { revision: 3, seq: 9, items };
            let json = serde_json::to_string(&PackedTree::from(tree.clone())).unwrap();
            prop_assert_eq!(Tree::from(serde_json::from_str::<PackedTree>(&json).unwrap()), tree);
        }
    }

    #[test]
    fn fifty_thousand_files_are_a_few_megabytes() {
        let items = (0..50_000).map(|i| entry(format!("packages/part-{:03}/src/module_{i:05}.rs", i / 200), i)).collect();
        let packed = serde_json::to_string(&PackedTree::from(Tree { revision: 1, seq: 1, items })).unwrap();
        assert!(packed.len() < 3_500_000, "{} bytes", packed.len());
    }
}
