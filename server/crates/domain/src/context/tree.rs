//! The files of a project as an indented list within a number of bytes.

use std::{collections::BTreeMap, fmt::Write as _};

#[derive(Default)]
struct Dir<'a> {
    dirs: BTreeMap<&'a str, Dir<'a>>,
    files: Vec<&'a str>,
    /// Files below, at any depth.
    count: usize,
    open: bool,
}

/// A tree of the files within about `max` bytes: directories near the top are opened first, the others are counted.
pub(super) fn list_within(paths: &[String], max: usize) -> String {
    if paths.is_empty() {
        return "(no files yet)\n".to_owned();
    }
    let mut root = Dir::default();
    for path in paths {
        root.insert(path);
    }
    root.open = true;
    let mut left = max.saturating_sub(root.listing_len(0));
    let mut level = 1;
    while open_level(&mut root, 0, level, &mut left) {
        level += 1;
    }
    let mut out = String::new();
    root.write(&mut out, 0, max);
    out
}

/// Opens the directories at one depth as far as the budget goes; false when there are none.
fn open_level(dir: &mut Dir<'_>, depth: usize, level: usize, left: &mut usize) -> bool {
    let mut any = false;
    for child in dir.dirs.values_mut() {
        if depth + 1 == level {
            any = true;
            let cost = child.listing_len(depth + 1);
            if dir.open && cost <= *left {
                child.open = true;
                *left -= cost;
            }
        } else {
            any |= open_level(child, depth + 1, level, left);
        }
    }
    any
}

impl<'a> Dir<'a> {
    fn insert(&mut self, path: &'a str) {
        self.count += 1;
        match path.split_once('/') {
            Some((name, rest)) => self.dirs.entry(name).or_default().insert(rest),
            None => self.files.push(path),
        }
    }

    fn listing_len(&self, depth: usize) -> usize {
        let line = depth * 2 + 1;
        self.files.iter().map(|f| f.len() + line).sum::<usize>() + self.dirs.keys().map(|d| d.len() + line + 16).sum::<usize>()
    }

    fn write(&self, out: &mut String, depth: usize, max: usize) {
        let indent = "  ".repeat(depth);
        for (name, dir) in &self.dirs {
            if out.len() > max {
                break;
            }
            if dir.open {
                let _ = writeln!(out, "{indent}{name}/");
                dir.write(out, depth + 1, max);
            } else {
                let _ = writeln!(out, "{indent}{name}/ ({} files)", dir.count);
            }
        }
        for (n, name) in self.files.iter().enumerate() {
            if out.len() > max {
                let _ = writeln!(out, "{indent}({} more files)", self.files.len() - n);
                break;
            }
            let _ = writeln!(out, "{indent}{name}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(list: &[&str]) -> Vec<String> {
        list.iter().map(|p| (*p).to_owned()).collect()
    }

    #[test]
    fn a_small_project_is_listed_whole() {
        let map = list_within(&paths(&["b.txt", "src/main.rs", "src/a/deep.rs", "a.txt"]), 1000);
        assert_eq!(map, "src/\n  a/\n    deep.rs\n  main.rs\nb.txt\na.txt\n");
    }

    #[test]
    fn a_large_project_stays_in_the_budget_and_counts_the_rest() {
        let mut list: Vec<String> = (0..50_000).map(|n| format!("big/dir{}/file{n}.rs", n % 100)).collect();
        list.push("README.md".into());
        let map = list_within(&list, 4096);
        assert!(map.len() < 6000, "{}", map.len());
        assert!(map.contains("README.md") && map.contains("dir7/ (500 files)"));
    }

    #[test]
    fn one_flat_directory_is_cut_with_a_count() {
        let list: Vec<String> = (0..5000).map(|n| format!("file{n:05}")).collect();
        let map = list_within(&list, 1000);
        assert!(map.len() < 1200 && map.ends_with("more files)\n"), "{map}");
    }
}
