//! The tree of a project as it travels to the page: a list of fifty thousand files has to be there at once.
//!
//! Two texts hold it, so that reading it is two copies and one walk: the paths without what each shares with the one before, and the
//! numbers. A list of objects would be a hundred bytes and a dozen values for each file.

use serde::{Deserialize, Serialize};

use crate::{
    Micros,
    files::{Entry, EntryKind, Tree},
    users::UserRef,
};

/// As [`Tree`], with what repeats said once. Checksums stay behind; the page has no use for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PackedTree {
    revision: i64,
    seq: i64,
    count: usize,
    people: Vec<UserRef>,
    types: Vec<String>,
    kinds: Vec<Kind>,
    /// The end of each path after what it shares with the one before, without anything between them.
    names: String,
    /// Six numbers for each entry, see [`Digits`]: place in `kinds`, bytes that the path shares with the one before, bytes of its end,
    /// size, version, and microseconds since the entry before.
    numbers: String,
}

/// What many entries have in common: kind, place in `types`, mode, and place in `people` counted from 1, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct Kind(u8, usize, i32, usize);

impl From<Tree> for PackedTree {
    fn from(tree: Tree) -> Self {
        let mut packed = Self {
            revision: tree.revision,
            seq: tree.seq,
            count: tree.items.len(),
            people: Vec::new(),
            types: Vec::new(),
            kinds: Vec::new(),
            names: String::with_capacity(tree.items.len() * 12),
            numbers: String::with_capacity(tree.items.len() * 12),
        };
        let (mut path, mut time) = ("", 0i64);
        for entry in &tree.items {
            let kind = packed.kind_of(entry);
            let shared = shared_start(path, &entry.path);
            let rest = &entry.path[shared..];
            packed.names.push_str(rest);
            let passed = zigzag(entry.updated_at.0.wrapping_sub(time));
            for number in [kind as u64, shared as u64, rest.len() as u64, entry.size as u64, entry.version as u64, passed] {
                write_number(&mut packed.numbers, number);
            }
            (path, time) = (entry.path.as_str(), entry.updated_at.0);
        }
        packed
    }
}

impl PackedTree {
    pub fn unpack(self) -> Tree {
        self.into()
    }

    /// The project revision that the list shows.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Who made what is in the list, each once.
    pub fn people(&self) -> &[UserRef] {
        &self.people
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.names.len() + self.numbers.len() + self.people.len() * 64
    }

    /// The same list as it is told at a later event, by people who may have other names now; `people` stand as they did.
    pub fn told_again(&self, seq: i64, people: Vec<UserRef>) -> Self {
        debug_assert!(people.iter().map(|user| user.id).eq(self.people.iter().map(|user| user.id)));
        Self { seq, people, ..self.clone() }
    }

    fn kind_of(&mut self, entry: &Entry) -> usize {
        let kind = match entry.kind {
            EntryKind::Directory => 0,
            EntryKind::File => 1,
            EntryKind::Symlink => 2,
        };
        let by = entry.updated_by.as_ref().map_or(0, |user| 1 + place_of(&mut self.people, user));
        let content_type = place_of(&mut self.types, &entry.content_type);
        place_of(&mut self.kinds, &Kind(kind, content_type, entry.mode, by))
    }
}

impl From<PackedTree> for Tree {
    fn from(packed: PackedTree) -> Self {
        let PackedTree { revision, seq, count, people, types, kinds, names, numbers } = packed;
        let mut digits = Digits(numbers.as_bytes().iter());
        let mut items: Vec<Entry> = Vec::with_capacity(count.min(numbers.len()));
        let (mut from, mut time) = (0usize, 0i64);
        // A broken answer ends where it is broken; what is there is taken.
        while let Some([kind, shared, length, size, version, passed]) = digits.next_six() {
            let Some(rest) = usize::try_from(length).ok().and_then(|length| names.get(from..from.checked_add(length)?)) else { break };
            from += rest.len();
            time = time.wrapping_add(unzigzag(passed));
            let before = items.last().map_or("", |entry| entry.path.as_str());
            let start = before.get(..shared as usize).unwrap_or_default();
            let mut path = String::with_capacity(start.len() + rest.len());
            path.push_str(start);
            path.push_str(rest);
            let Kind(kind, content_type, mode, by) = kinds.get(kind as usize).copied().unwrap_or(Kind(1, usize::MAX, 0o644, 0));
            items.push(Entry {
                path,
                kind: match kind {
                    0 => EntryKind::Directory,
                    1 => EntryKind::File,
                    _ => EntryKind::Symlink,
                },
                size: size as i64,
                content_type: types.get(content_type).cloned().unwrap_or_default(),
                checksum: String::new(),
                version: version as i64,
                mode,
                updated_at: Micros(time),
                updated_by: by.checked_sub(1).and_then(|by| people.get(by).cloned()),
            });
        }
        Self { revision, seq, items }
    }
}

/// Where a value stands in the list; it is added when it is new. The lists are short, and the last ones are asked for most.
fn place_of<T: PartialEq + Clone>(list: &mut Vec<T>, value: &T) -> usize {
    list.iter().rposition(|known| known == value).unwrap_or_else(|| {
        list.push(value.clone());
        list.len() - 1
    })
}

fn shared_start(before: &str, path: &str) -> usize {
    let same = before.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rev().find(|at| path.is_char_boundary(*at) && before.is_char_boundary(*at)).unwrap_or(0)
}

/// Small for small numbers of either sign.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// None of them is written in another way in JSON or in a page.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut at = 0;
    while at < DIGITS.len() {
        values[DIGITS[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Five bits in each digit, the lowest first; a sixth says that more follow.
fn write_number(out: &mut String, mut number: u64) {
    loop {
        let low = (number & 31) as usize;
        number >>= 5;
        out.push(char::from(DIGITS[if number == 0 { low } else { low | 32 }]));
        if number == 0 {
            return;
        }
    }
}

struct Digits<'a>(std::slice::Iter<'a, u8>);

impl Digits<'_> {
    fn next_number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0u64, 0u32);
        loop {
            let digit = VALUES[usize::from(*self.0.next()?)];
            if digit == u8::MAX {
                return None;
            }
            number |= u64::from(digit & 31).checked_shl(shift)?;
            if digit < 32 {
                return Some(number);
            }
            shift += 5;
        }
    }

    fn next_six(&mut self) -> Option<[u64; 6]> {
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = self.next_number()?;
        }
        Some(numbers)
    }
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
            mode: if version % 7 == 0 { 0o755 } else { 0o644 },
            updated_at: Micros(version % 2 * 1_000_000_000_000 - version),
            updated_by: (version % 2 == 0).then_some(by),
        }
    }

    fn packed(paths: &[&str]) -> PackedTree {
        let items = paths.iter().zip(1..).map(|(path, version)| entry((*path).to_owned(), version)).collect();
        Tree { revision: 1, seq: 1, items }.into()
    }

    proptest! {
        #[test]
        fn a_tree_arrives_as_it_was(paths in proptest::collection::vec("[aäb€/\"]{1,12}", 0..40)) {
            let items: Vec<Entry> = paths.into_iter().zip(1..).map(|(path, version)| entry(path, version)).collect();
            let tree = Tree { revision: 3, seq: 9, items };
            let json = serde_json::to_string(&PackedTree::from(tree.clone())).unwrap();
            prop_assert_eq!(Tree::from(serde_json::from_str::<PackedTree>(&json).unwrap()), tree);
        }

        #[test]
        fn every_number_arrives(number in any::<u64>(), signed in any::<i64>(), small in 0u64..100) {
            let mut text = String::new();
            let all = [number, zigzag(signed), small, 0, u64::MAX, 31];
            all.into_iter().for_each(|number| write_number(&mut text, number));
            let mut digits = Digits(text.as_bytes().iter());
            prop_assert_eq!(digits.next_six(), Some(all));
            prop_assert_eq!(digits.next_number(), None);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn a_broken_answer_is_no_panic(names in ".{0,20}", numbers in "[A-Za-z_é ]{0,60}") {
            let broken = PackedTree { names, numbers, ..packed(&["a/b", "a/c"]) };
            prop_assert!(broken.unpack().items.len() <= 10);
        }
    }

    #[test]
    fn fifty_thousand_files_are_about_a_megabyte() {
        let items = (0..50_000).map(|i| entry(format!("packages/part-{:03}/src/module_{i:05}.rs", i / 200), i)).collect();
        let packed = PackedTree::from(Tree { revision: 1, seq: 1, items });
        let json = serde_json::to_string(&packed).unwrap();
        assert!(json.len() < 1_800_000, "{} bytes", json.len());
        assert_eq!(packed.len(), 50_000);
    }

    #[test]
    fn a_list_is_told_again_with_the_names_of_now() {
        let packed = packed(&["a", "b", "c", "d"]);
        let mut people = packed.people().to_vec();
        assert_eq!(people.len(), 2);
        people.iter_mut().for_each(|user| user.name.push_str(" II"));
        let tree = packed.told_again(7, people).unpack();
        assert_eq!(tree.seq, 7);
        assert!(tree.items.iter().all(|entry| entry.updated_by.as_ref().is_none_or(|by| by.name.ends_with(" II"))));
        assert_eq!(tree.items.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
