//! What is not versioned: a default list of directories plus every `.gitignore` met on the way down.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::sync::Arc;
use wire::checkpoints::EXCLUDED_DIRECTORIES;

/// Larger ignore files are not rules, they are an attack on the matcher.
pub(super) const MAX_IGNORE_FILE: u64 = 256 * 1024;

/// The rules in force for one directory and its ancestors, outermost first. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Ignores {
    levels: Vec<(usize, Arc<Gitignore>)>,
}

impl Ignores {
    /// Adds the `.gitignore` text of directory `dir` ("" for the top).
    pub fn push(&mut self, dir: &str, text: &str) {
        let depth = depth(dir);
        let mut builder = GitignoreBuilder::new(format!("/{dir}"));
        for line in text.lines() {
            // A line git would not understand is skipped there as well.
            let _ = builder.add_line(None, line);
        }
        if let Ok(rules) = builder.build() {
            self.levels.push((depth, Arc::new(rules)));
        }
    }

    /// Forgets the rules of directories that are not above or equal to depth `depth`.
    pub fn truncate(&mut self, depth: usize) {
        self.levels.retain(|(d, _)| *d < depth);
    }

    /// Whether an entry of a directory that is itself not ignored is ignored.
    pub fn matches(&self, path: &str, is_dir: bool) -> bool {
        let name = super::beneath::split(path).1;
        if is_dir && EXCLUDED_DIRECTORIES.contains(&name) {
            return true;
        }
        let full = format!("/{path}");
        for (_, rules) in self.levels.iter().rev() {
            match rules.matched(&full, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}

/// 0 for the top, 1 for its directories.
pub(super) fn depth(dir: &str) -> usize {
    if dir.is_empty() { 0 } else { dir.split('/').count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_rules_win_over_outer_ones() {
        let mut ignores = Ignores::default();
        ignores.push("", "*.log\n/only-top\n");
        ignores.push("a", "!keep.log\n");
        assert!(ignores.matches("x.log", false));
        assert!(ignores.matches("a/x.log", false));
        assert!(!ignores.matches("a/keep.log", false));
        assert!(ignores.matches("only-top", false));
        assert!(!ignores.matches("a/only-top", false));
        assert!(ignores.matches("a/node_modules", true));
        assert!(!ignores.matches("a/node_modules", false));
        ignores.truncate(1);
        assert!(ignores.matches("a/keep.log", false));
    }
}
