//! Which files are open where: one group of tabs, or two beside each other.

use serde::{Deserialize, Serialize};

/// Tabs in their order, and the one on top.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub paths: Vec<String>,
    #[serde(default)]
    pub active: Option<String>,
}

impl Group {
    fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known == path)
    }

    fn put(&mut self, path: &str, before: Option<&str>) {
        self.paths.retain(|known| known != path);
        let at = before.and_then(|before| self.paths.iter().position(|known| known == before)).unwrap_or(self.paths.len());
        self.paths.insert(at, path.to_owned());
        self.active = Some(path.to_owned());
    }

    /// Takes a tab out; its neighbour comes on top.
    fn take(&mut self, path: &str) {
        let Some(at) = self.paths.iter().position(|known| known == path) else { return };
        self.paths.remove(at);
        if self.active.as_deref() == Some(path) {
            self.active = self.paths.get(at).or(at.checked_sub(1).and_then(|before| self.paths.get(before))).cloned();
        }
    }
}

/// The groups of the main area, as the browser remembers them. There is no second one without tabs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    #[serde(flatten)]
    first: Group,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second: Option<Group>,
    /// 1 while the second group has the keyboard.
    #[serde(default)]
    focused: usize,
}

impl Groups {
    pub fn is_split(&self) -> bool {
        self.second.is_some()
    }

    /// 0 or 1.
    pub fn focused(&self) -> usize {
        if self.is_split() { self.focused.min(1) } else { 0 }
    }

    pub fn group(&self, at: usize) -> Option<&Group> {
        if at == 0 { Some(&self.first) } else { self.second.as_ref() }
    }

    fn group_mut(&mut self, at: usize) -> &mut Group {
        match &mut self.second {
            Some(second) if at == 1 => second,
            _ => &mut self.first,
        }
    }

    /// The path on top of the focused group.
    pub fn active(&self) -> Option<&str> {
        self.group(self.focused())?.active.as_deref()
    }

    pub fn focus(&mut self, at: usize) {
        self.focused = at;
        self.focused = self.focused();
    }

    pub fn is_open(&self, path: &str) -> bool {
        self.first.has(path) || self.second.as_ref().is_some_and(|second| second.has(path))
    }

    /// Every open path once, those of the first group first.
    pub fn paths(&self) -> Vec<String> {
        let mut all = self.first.paths.clone();
        if let Some(second) = &self.second {
            all.extend(second.paths.iter().filter(|path| !self.first.has(path)).cloned());
        }
        all
    }

    /// Brings a file on top: where it is open, in the focused group if it is open in neither or in both.
    pub fn open(&mut self, path: &str) {
        let here = self.focused();
        let there = 1 - here;
        let elsewhere = |groups: &Self| groups.group(there).is_some_and(|group| group.has(path));
        if !self.group(here).is_some_and(|group| group.has(path)) && elsewhere(self) {
            self.focus(there);
        }
        self.activate(self.focused(), path);
    }

    /// Brings a file on top of one group, as a new tab if it has none there.
    pub fn activate(&mut self, at: usize, path: &str) {
        self.focus(at);
        let group = self.group_mut(at);
        if !group.has(path) {
            group.paths.push(path.to_owned());
        }
        group.active = Some(path.to_owned());
    }

    /// Closes a tab of one group. False when the file is not open any more.
    pub fn close(&mut self, at: usize, path: &str) -> bool {
        self.group_mut(at).take(path);
        self.settle();
        self.is_open(path)
    }

    /// Closes a file wherever it is open.
    pub fn close_all(&mut self, path: &str) {
        self.first.take(path);
        if let Some(second) = &mut self.second {
            second.take(path);
        }
        self.settle();
    }

    /// An empty group goes; the one that stays is the first.
    fn settle(&mut self) {
        if self.second.as_ref().is_some_and(|second| second.paths.is_empty()) {
            self.second = None;
        }
        if self.first.paths.is_empty()
            && let Some(second) = self.second.take()
        {
            self.first = second;
        }
        self.focused = self.focused();
    }

    /// Opens the second group with the file on top in it; with two of them goes to the other one.
    pub fn split(&mut self) {
        if self.is_split() {
            self.focus(1 - self.focused());
        } else if let Some(path) = self.first.active.clone() {
            self.second = Some(Group { paths: vec![path.clone()], active: Some(path) });
            self.focused = 1;
        }
    }

    /// Opens a file in the group that has not the keyboard, which is made if there is none.
    pub fn open_beside(&mut self, path: &str) {
        if self.is_split() {
            return self.activate(1 - self.focused(), path);
        }
        if self.first.paths.is_empty() {
            // Beside nothing would leave an empty group.
            return self.open(path);
        }
        self.second = Some(Group { paths: vec![path.to_owned()], active: Some(path.to_owned()) });
        self.focused = 1;
    }

    /// Takes all tabs into one group; what was on top stays on top.
    pub fn join(&mut self) {
        let active = self.active().map(str::to_owned);
        if let Some(second) = self.second.take() {
            for path in second.paths {
                if !self.first.has(&path) {
                    self.first.paths.push(path);
                }
            }
        }
        self.first.active = active;
        self.focused = 0;
    }

    /// Moves a tab: within its group, or to the other one, which is made if there is none. `before` is the tab it is put in front of.
    pub fn move_tab(&mut self, path: &str, from: usize, to: usize, before: Option<&str>) {
        if before == Some(path) || !self.group(from).is_some_and(|group| group.has(path)) {
            return;
        }
        if to == 1 && !self.is_split() {
            if self.first.paths.len() < 2 {
                // The only tab stays as well: an empty group shows nothing.
                return self.split();
            }
            self.second = Some(Group::default());
        }
        if from != to {
            self.group_mut(from).take(path);
        }
        self.group_mut(to).put(path, before);
        self.focused = to;
        self.settle();
        if !self.is_split() {
            self.first.active = Some(path.to_owned());
        }
    }

    /// A file got another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        for at in 0..2 {
            if self.group(at).is_none() {
                continue;
            }
            let group = self.group_mut(at);
            if group.has(from) {
                group.paths.retain(|path| path != to);
                for path in group.paths.iter_mut().filter(|path| *path == from) {
                    *path = to.to_owned();
                }
            }
            if group.active.as_deref() == Some(from) {
                group.active = Some(to.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(paths: &[&str]) -> Groups {
        let mut groups = Groups::default();
        for path in paths {
            groups.open(path);
        }
        groups
    }

    fn tabs(groups: &Groups, at: usize) -> Vec<&str> {
        groups.group(at).map(|group| group.paths.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    #[test]
    fn what_was_remembered_before_there_were_groups_is_understood() {
        let groups: Groups = serde_json::from_str(r#"{"paths":["six.py"],"active":"six.py"}"#).unwrap();
        assert_eq!(groups.active(), Some("six.py"));
        assert!(!groups.is_split());
        let mut split = with(&["a", "b"]);
        split.split();
        let again: Groups = serde_json::from_str(&serde_json::to_string(&split).unwrap()).unwrap();
        assert_eq!(again, split);
    }

    #[test]
    fn closing_brings_the_neighbour_on_top() {
        let mut groups = with(&["a", "b", "c"]);
        groups.open("b");
        assert!(!groups.close(0, "b"));
        assert_eq!(groups.active(), Some("c"));
        groups.close(0, "c");
        assert_eq!(groups.active(), Some("a"));
        groups.close(0, "a");
        assert_eq!(groups.active(), None);
    }

    #[test]
    fn both_groups_may_show_one_file() {
        let mut groups = with(&["a", "b"]);
        groups.split();
        assert_eq!((tabs(&groups, 0), tabs(&groups, 1), groups.focused()), (vec!["a", "b"], vec!["b"], 1));
        groups.open("a");
        assert_eq!((groups.focused(), groups.active()), (0, Some("a")), "where it is open");
        assert!(groups.close(0, "b"), "still open in the other group");
        assert!(!groups.close(1, "b"));
        assert!(!groups.is_split(), "an empty group goes");
    }

    #[test]
    fn a_file_opens_beside_the_others() {
        let mut groups = with(&[]);
        groups.open_beside("a");
        assert_eq!((groups.is_split(), groups.active()), (false, Some("a")), "there is nothing to be beside of");
        groups.open_beside("b");
        assert_eq!((tabs(&groups, 0), tabs(&groups, 1), groups.focused()), (vec!["a"], vec!["b"], 1));
        groups.open_beside("b");
        assert_eq!((tabs(&groups, 0), groups.focused(), groups.active()), (vec!["a", "b"], 0, Some("b")));
    }

    #[test]
    fn the_first_group_may_empty_first() {
        let mut groups = with(&["a", "b"]);
        groups.move_tab("b", 0, 1, None);
        groups.close(0, "a");
        assert!(!groups.is_split());
        assert_eq!((tabs(&groups, 0), groups.active(), groups.focused()), (vec!["b"], Some("b"), 0));
    }

    #[test]
    fn tabs_are_moved_within_and_between_groups() {
        let mut groups = with(&["a", "b", "c"]);
        groups.move_tab("c", 0, 0, Some("a"));
        assert_eq!(tabs(&groups, 0), ["c", "a", "b"]);
        groups.move_tab("a", 0, 1, None);
        assert_eq!((tabs(&groups, 0), tabs(&groups, 1), groups.active()), (vec!["c", "b"], vec!["a"], Some("a")));
        groups.move_tab("a", 1, 0, Some("b"));
        assert_eq!((tabs(&groups, 0), groups.is_split(), groups.active()), (vec!["c", "a", "b"], false, Some("a")));
        let mut one = with(&["a"]);
        one.move_tab("a", 0, 1, None);
        assert_eq!((tabs(&one, 0), tabs(&one, 1)), (vec!["a"], vec!["a"]), "the only tab is in both");
    }

    #[test]
    fn joining_keeps_every_tab_and_the_one_on_top() {
        let mut groups = with(&["a", "b"]);
        groups.split();
        groups.activate(1, "c");
        groups.join();
        assert_eq!((tabs(&groups, 0), groups.active()), (vec!["a", "b", "c"], Some("c")));
        assert!(!groups.is_split());
    }

    #[test]
    fn a_new_name_keeps_the_place() {
        let mut groups = with(&["a", "b"]);
        groups.split();
        groups.rename("b", "z");
        assert_eq!((tabs(&groups, 0), tabs(&groups, 1), groups.active()), (vec!["a", "z"], vec!["z"], Some("z")));
        assert_eq!(groups.paths(), ["a", "z"]);
        groups.close_all("z");
        assert_eq!((tabs(&groups, 0), groups.is_split()), (vec!["a"], false));
    }
}
