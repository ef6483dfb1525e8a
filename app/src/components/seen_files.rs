//! What has changed since the person at this page looked at it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{
    Micros,
    files::{Entry, EntryKind},
};

use super::tree_model::is_below;

/// More looked-at files than this are not remembered; the ones looked at longest ago go first.
const KEPT: usize = 1000;

/// Remembered by the browser, per project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What others changed before this is taken as known.
    since: Micros,
    /// Version and time of each file when it was last on screen.
    files: BTreeMap<String, (i64, Micros)>,
}

impl Seen {
    /// Everything as it is now is known.
    pub fn all(now: Micros) -> Self {
        Self { since: now, files: BTreeMap::new() }
    }

    /// The file is on screen at this version. True when that is news.
    pub fn look(&mut self, path: &str, version: i64, now: Micros) -> bool {
        if self.files.get(path).is_some_and(|(seen, _)| *seen >= version) {
            return false;
        }
        self.files.insert(path.to_owned(), (version, now));
        if self.files.len() > KEPT {
            let oldest = self.files.iter().min_by_key(|(_, (_, at))| *at).map(|(path, _)| path.clone());
            if let Some(oldest) = oldest {
                self.files.remove(&oldest);
            }
        }
        true
    }

    /// What the person at this page did themselves to a path, or to what lies below it, is no news.
    pub fn forget(&mut self, path: &str) {
        self.files.retain(|known, _| known != path && !is_below(known, path));
    }

    /// Whether a file moved on since it was last on screen, or, when it never was, whether somebody else changed it since the first
    /// visit. `me` is the name of the person at this page.
    pub fn is_changed(&self, entry: &Entry, me: &str) -> bool {
        if entry.kind == EntryKind::Directory || entry.version == 0 {
            return false;
        }
        match self.files.get(&entry.path) {
            Some((seen, _)) => entry.version > *seen,
            None => self.since.0 > 0 && entry.updated_at > self.since && entry.updated_by.as_ref().is_some_and(|by| by.name != me),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tree_model::tests::entry;
    use wire::users::UserRef;

    fn changed(version: i64, at: i64, by: &str) -> Entry {
        let by = UserRef { id: "00000000000000000000000000000001".parse().unwrap(), name: by.to_owned() };
        Entry { version, updated_at: Micros(at), updated_by: Some(by), ..entry("a", EntryKind::File) }
    }

    #[test]
    fn what_others_change_is_marked_until_it_is_looked_at() {
        let mut seen = Seen::all(Micros(100));
        assert!(!seen.is_changed(&changed(1, 50, "Bea"), "Ada"));
        assert!(!seen.is_changed(&changed(2, 150, "Ada"), "Ada"));
        assert!(seen.is_changed(&changed(2, 150, "Bea"), "Ada"));
        assert!(seen.look("a", 2, Micros(160)));
        assert!(!seen.look("a", 2, Micros(161)));
        assert!(!seen.is_changed(&changed(2, 150, "Bea"), "Ada"));
        assert!(seen.is_changed(&changed(3, 170, "Ada"), "Ada"), "a run of one's own changes what was looked at, too");
        seen.forget("a");
        assert!(!seen.is_changed(&changed(3, 170, "Ada"), "Ada") && seen.is_changed(&changed(3, 170, "Bea"), "Ada"));
    }

    #[test]
    fn only_so_much_is_remembered() {
        let mut seen = Seen::all(Micros(1));
        for i in 0..1100 {
            seen.look(&format!("f{i}"), 1, Micros(i));
        }
        assert_eq!(seen.files.len(), KEPT);
        assert!(seen.files.contains_key("f1099") && !seen.files.contains_key("f0"));
    }
}
