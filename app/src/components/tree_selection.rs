//! Which rows of a tree are chosen, apart from the page.

use std::collections::BTreeSet;

use super::tree_model::is_below;

/// The chosen paths. `anchor` is where a range begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    paths: BTreeSet<String>,
    anchor: Option<String>,
}

impl Selection {
    pub fn contains(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Chooses one row alone.
    pub fn only(&mut self, path: &str) {
        self.paths = BTreeSet::from([path.to_owned()]);
        self.anchor = Some(path.to_owned());
    }

    /// Adds a row, or takes it out.
    pub fn toggle(&mut self, path: &str) {
        if !self.paths.remove(path) {
            self.paths.insert(path.to_owned());
        }
        self.anchor = Some(path.to_owned());
    }

    /// Chooses everything from the anchor to `to` as the rows stand now; with `add` beside what is chosen already. Without an anchor
    /// that is shown, `to` alone.
    pub fn extend<'a>(&mut self, rows: impl Iterator<Item = &'a str> + Clone, to: &str, add: bool) {
        let place = |wanted: &str| rows.clone().position(|path| path == wanted);
        let Some(end) = place(to) else { return };
        let Some(start) = self.anchor.as_deref().and_then(place) else { return self.only(to) };
        if !add {
            self.paths.clear();
        }
        let (first, last) = (start.min(end), start.max(end));
        self.paths.extend(rows.skip(first).take(last - first + 1).map(str::to_owned));
    }

    pub fn all<'a>(&mut self, rows: impl Iterator<Item = &'a str>) {
        self.paths = rows.map(str::to_owned).collect();
    }

    /// Whether every chosen path is among the rows.
    pub fn is_within<'a>(&self, mut rows: impl Iterator<Item = &'a str>) -> bool {
        let mut left = self.paths.len();
        left == 0
            || rows.any(|path| {
                left -= usize::from(self.paths.contains(path));
                left == 0
            })
    }

    /// Drops what is not there any more.
    pub fn retain(&mut self, mut exists: impl FnMut(&str) -> bool) {
        self.paths.retain(|path| exists(path));
        self.anchor = self.anchor.take().filter(|path| exists(path));
    }

    /// The paths that a list for `row` names: all that is chosen when the row is among it, also below a chosen directory, else the row.
    pub fn named(&self, row: &str) -> Vec<String> {
        if self.contains(row) { self.paths.iter().cloned().collect() } else { vec![row.to_owned()] }
    }

    /// What an action on `row` is about: all that is chosen when the row is among it, else the row alone. What lies below a chosen
    /// directory goes with it and is not listed.
    pub fn acted_on(&self, row: Option<&str>) -> Vec<String> {
        match row {
            Some(row) if !self.contains(row) => vec![row.to_owned()],
            _ => topmost(&self.paths),
        }
    }
}

/// The paths that lie below no other one of them.
pub fn topmost(paths: &BTreeSet<String>) -> Vec<String> {
    let is_covered = |path: &String| path.match_indices('/').any(|(at, _)| paths.contains(&path[..at]));
    let kept: Vec<String> = paths.iter().filter(|path| !is_covered(path)).cloned().collect();
    debug_assert!(kept.iter().all(|a| kept.iter().all(|b| a == b || !is_below(a, b))));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [&str; 5] = ["a", "a/x", "a/y", "b", "c"];

    fn rows() -> impl Iterator<Item = &'static str> + Clone {
        ROWS.into_iter()
    }

    fn chosen(selection: &Selection) -> Vec<&str> {
        selection.paths.iter().map(String::as_str).collect()
    }

    #[test]
    fn ranges_begin_at_the_anchor_and_follow_it() {
        let mut selection = Selection::default();
        selection.only("a/x");
        selection.extend(rows(), "b", false);
        assert_eq!(chosen(&selection), ["a/x", "a/y", "b"]);
        selection.extend(rows(), "a", false);
        assert_eq!(chosen(&selection), ["a", "a/x"], "it turns around the anchor");
        selection.toggle("c");
        selection.extend(rows(), "b", true);
        assert_eq!(chosen(&selection), ["a", "a/x", "b", "c"]);
    }

    #[test]
    fn a_range_without_an_anchor_is_one_row() {
        let mut selection = Selection::default();
        selection.extend(rows(), "b", false);
        assert_eq!(chosen(&selection), ["b"]);
        selection.only("gone");
        selection.extend(rows(), "c", false);
        assert_eq!(chosen(&selection), ["c"], "an anchor that is folded away does not count");
        selection.extend(rows(), "nowhere", false);
        assert_eq!(chosen(&selection), ["c"]);
    }

    #[test]
    fn toggling_twice_changes_nothing() {
        let mut selection = Selection::default();
        selection.only("a");
        selection.toggle("b");
        selection.toggle("b");
        assert_eq!(chosen(&selection), ["a"]);
    }

    #[test]
    fn an_action_is_about_the_chosen_rows_or_the_one_it_began_at() {
        let mut selection = Selection::default();
        selection.only("a");
        selection.toggle("a/x");
        selection.toggle("c");
        assert_eq!(selection.acted_on(Some("c")), ["a", "c"], "what lies below goes along");
        assert_eq!(selection.acted_on(Some("b")), ["b"]);
        assert_eq!(selection.acted_on(None), ["a", "c"]);
        selection.retain(|path| path != "a");
        assert_eq!(selection.acted_on(None), ["a/x", "c"]);
    }

    #[test]
    fn a_list_names_what_lies_below_as_well() {
        let mut selection = Selection::default();
        selection.only("a");
        selection.toggle("a/x");
        assert_eq!(selection.named("a/x"), ["a", "a/x"]);
        assert_eq!(selection.named("c"), ["c"]);
    }

    #[test]
    fn what_is_folded_away_is_not_chosen_any_more() {
        let folded = || ROWS.into_iter().filter(|path| !path.starts_with("a/"));
        let mut selection = Selection::default();
        assert!(selection.is_within(folded()), "nothing is chosen");
        selection.only("a/x");
        selection.toggle("c");
        assert!(selection.is_within(rows()) && !selection.is_within(folded()));
        selection.retain(|path| folded().any(|row| row == path));
        assert_eq!(chosen(&selection), ["c"]);
        assert_eq!(selection.acted_on(Some("c")), ["c"]);
        assert!(selection.is_within(folded()));
    }
}
