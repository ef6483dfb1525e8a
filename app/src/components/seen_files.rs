//! What has changed since the person at this page looked at it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{
    Micros, UserId,
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

    /// The paths of `entries` that [`Self::is_changed`] tells. Two comparisons for each entry but those that count: few of them changed
    /// since the first visit, and those that were looked at are looked up by `find`.
    pub fn changed<'a>(
        &'a self,
        entries: &'a [Entry],
        find: impl Fn(&str) -> Option<&'a Entry> + 'a,
        me: UserId,
    ) -> impl Iterator<Item = &'a str> + 'a {
        let others = entries.iter().filter(move |entry| entry.updated_at > self.since && !self.files.contains_key(&entry.path));
        let looked_at = self.files.keys().filter_map(move |path| find(path));
        looked_at.chain(others).filter(move |entry| self.is_changed(entry, me)).map(|entry| entry.path.as_str())
    }

    /// Whether a file moved on since it was last on screen, or, when it never was, whether somebody else changed it since the first
    /// visit. `me` is the person at this page.
    pub fn is_changed(&self, entry: &Entry, me: UserId) -> bool {
        if entry.kind == EntryKind::Directory || entry.version == 0 {
            return false;
        }
        match self.files.get(&entry.path) {
            Some((seen, _)) => entry.version > *seen,
            None => self.since.0 > 0 && entry.updated_at > self.since && entry.updated_by.as_ref().is_some_and(|by| by.id != me),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tree_model::tests::entry;
    use wire::users::UserRef;

    /// Two people may be called the same; it is the id that tells them apart.
    fn id(of: &str) -> UserId {
        let digit = if of == "Ada" { 1 } else { 2 };
        format!("0000000000000000000000000000000{digit}").parse().unwrap()
    }

    fn changed(version: i64, at: i64, by: &str) -> Entry {
        let by = UserRef { id: id(by), name: "Ada".to_owned() };
        Entry { version, updated_at: Micros(at), updated_by: Some(by), ..entry("a", EntryKind::File) }
    }

    #[test]
    fn what_others_change_is_marked_until_it_is_looked_at() {
        let mut seen = Seen::all(Micros(100));
        assert!(!seen.is_changed(&changed(1, 50, "Bea"), id("Ada")));
        assert!(!seen.is_changed(&changed(2, 150, "Ada"), id("Ada")));
        assert!(seen.is_changed(&changed(2, 150, "Bea"), id("Ada")));
        assert!(seen.look("a", 2, Micros(160)));
        assert!(!seen.look("a", 2, Micros(161)));
        assert!(!seen.is_changed(&changed(2, 150, "Bea"), id("Ada")));
        assert!(seen.is_changed(&changed(3, 170, "Ada"), id("Ada")), "a run of one's own changes what was looked at, too");
        seen.forget("a");
        assert!(!seen.is_changed(&changed(3, 170, "Ada"), id("Ada")) && seen.is_changed(&changed(3, 170, "Bea"), id("Ada")));
    }

    #[test]
    fn what_is_listed_as_changed_is_what_is_changed_one_by_one() {
        let mut seen = Seen::all(Micros(100));
        let at = |path: &str, version: i64, at: i64, by: &str| Entry { path: path.to_owned(), ..changed(version, at, by) };
        let entries =
            [at("a", 1, 50, "Bea"), at("b", 2, 150, "Bea"), at("c", 2, 150, "Ada"), at("d", 3, 170, "Ada"), at("e", 1, 170, "Bea")];
        seen.look("d", 2, Micros(160));
        seen.look("e", 1, Micros(180));
        seen.look("gone", 1, Micros(180));
        let find = |path: &str| entries.iter().find(|entry| entry.path == path);
        let mut listed: Vec<&str> = seen.changed(&entries, find, id("Ada")).collect();
        listed.sort_unstable();
        let one_by_one: Vec<&str> =
            entries.iter().filter(|entry| seen.is_changed(entry, id("Ada"))).map(|entry| entry.path.as_str()).collect();
        assert_eq!(listed, one_by_one);
        assert_eq!(listed, ["b", "d"]);
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
