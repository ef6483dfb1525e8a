//! The tree as rows: from the flat list of the project to what is visible, without touching the page.

use std::collections::{BTreeMap, BTreeSet};

use wire::files::{Entry, EntryKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    Directory,
    File,
    /// A file that only the agent's change set has.
    Proposed,
    /// The place where a new name is typed.
    Input,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    pub path: String,
    pub kind: RowKind,
    /// From 1.
    pub level: usize,
    /// Place among its siblings, from 1, and how many there are.
    pub place: (usize, usize),
}

impl Row {
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub fn parent(&self) -> &str {
        parent(&self.path)
    }
}

/// The directory of a path; the root is the empty text.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Joins a directory (empty for the root) and a name.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Children by directory: directories first, then by name without regard to case.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Index {
    children: BTreeMap<String, Vec<(RowKind, String)>>,
}

impl Index {
    /// `proposed` are paths that the agent wants to add.
    pub fn new(entries: &[Entry], proposed: &BTreeSet<String>) -> Self {
        let mut known = BTreeMap::new();
        for entry in entries {
            let kind = if entry.kind == EntryKind::Directory { RowKind::Directory } else { RowKind::File };
            known.insert(entry.path.as_str(), kind);
        }
        for path in proposed {
            known.entry(path).or_insert(RowKind::Proposed);
        }
        // A directory may exist only through what lies below it.
        let mut implied = BTreeSet::new();
        for path in known.keys() {
            let mut above = parent(path);
            while !above.is_empty() && known.get(above) != Some(&RowKind::Directory) && implied.insert(above) {
                above = parent(above);
            }
        }
        let mut children: BTreeMap<String, Vec<(RowKind, String)>> = BTreeMap::new();
        let directories = implied.iter().map(|path| (*path, RowKind::Directory));
        for (path, kind) in known.iter().map(|(path, kind)| (*path, *kind)).chain(directories) {
            children.entry(parent(path).to_owned()).or_default().push((kind, path.to_owned()));
        }
        for list in children.values_mut() {
            list.sort_by_cached_key(|(kind, path)| (*kind != RowKind::Directory, path.to_lowercase()));
        }
        Self { children }
    }

    /// The rows on show. With a `filter`, everything whose path holds it (without regard to case) and the directories above.
    /// `input` is the directory in which a new name is being typed.
    pub fn rows(&self, expanded: &BTreeSet<String>, filter: &str, input: Option<&str>) -> Vec<Row> {
        let mut rows = Vec::new();
        let filter = filter.trim().to_lowercase();
        let kept = (!filter.is_empty()).then(|| self.matching(&filter));
        self.append("", 1, expanded, kept.as_ref(), input, &mut rows);
        rows
    }

    fn matching(&self, filter: &str) -> BTreeSet<String> {
        let mut kept = BTreeSet::new();
        for (_, path) in self.children.values().flatten().filter(|(_, path)| path.to_lowercase().contains(filter)) {
            let mut path = path.as_str();
            while !path.is_empty() && kept.insert(path.to_owned()) {
                path = parent(path);
            }
        }
        kept
    }

    fn append(
        &self,
        directory: &str,
        level: usize,
        expanded: &BTreeSet<String>,
        kept: Option<&BTreeSet<String>>,
        input: Option<&str>,
        rows: &mut Vec<Row>,
    ) {
        let list = self.children.get(directory).map(Vec::as_slice).unwrap_or_default();
        let shown: Vec<&(RowKind, String)> = list.iter().filter(|(_, path)| kept.is_none_or(|kept| kept.contains(path))).collect();
        let size = shown.len();
        if input == Some(directory) {
            rows.push(Row { path: join(directory, ""), kind: RowKind::Input, level, place: (1, size + 1) });
        }
        for (i, (kind, path)) in shown.into_iter().enumerate() {
            rows.push(Row { path: path.clone(), kind: *kind, level, place: (i + 1, size) });
            if *kind == RowKind::Directory && (kept.is_some() || expanded.contains(path)) {
                self.append(path, level + 1, expanded, kept, input, rows);
            }
        }
    }
}

/// The icon of a file, by its name.
pub fn file_icon(name: &str) -> &'static str {
    let lower = name.to_lowercase();
    let ending = lower.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "lock" => "file-lock",
        "toml" | "yaml" | "yml" | "ini" | "cfg" | "conf" | "env" | "json" => "file-cog",
        "md" | "txt" | "rst" | "log" | "csv" | "gitignore" => "file-text",
        "zip" | "gz" | "tar" | "xz" | "7z" => "file-archive",
        "" => "file-text",
        _ => "file-code",
    }
}

/// How well `query` matches `path` as a subsequence; higher is better, `None` when it does not. Whole words, starts of words, runs
/// and the file name count more than scattered letters.
pub fn fuzzy_score(path: &str, query: &str) -> Option<i64> {
    let query: Vec<char> = query.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    if query.is_empty() {
        return Some(0);
    }
    let name_start = path.rfind('/').map_or(0, |at| at + 1);
    // Matched from the end, so that the file name is preferred over the directories.
    let mut score = 0;
    let mut wanted = query.iter().rev();
    let mut next = wanted.next();
    let mut last_hit = usize::MAX;
    let chars: Vec<(usize, char)> = path.char_indices().collect();
    for (i, (at, c)) in chars.iter().enumerate().rev() {
        let Some(letter) = next else { break };
        if !c.to_lowercase().eq(std::iter::once(*letter)) {
            continue;
        }
        let before = i.checked_sub(1).map(|i| chars[i].1);
        let starts_word = before.is_none_or(|b| !b.is_alphanumeric() || (b.is_lowercase() && c.is_uppercase()));
        score += 1 + i64::from(starts_word) * 4 + i64::from(last_hit == i + 1) * 6 + i64::from(*at >= name_start) * 2;
        last_hit = i;
        next = wanted.next();
    }
    next.is_none().then(|| {
        let name: String = path[name_start..].to_lowercase();
        let query: String = query.iter().collect();
        let whole = if name.starts_with(&query) {
            30
        } else if name.contains(&query) {
            20
        } else {
            0
        };
        score + whole - i64::try_from(chars.len() / 8).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Micros;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry {
            path: path.to_owned(),
            kind,
            size: 0,
            content_type: String::new(),
            checksum: String::new(),
            version: 1,
            mode: 0o644,
            updated_at: Micros(0),
            updated_by: None,
        }
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.path.as_str()).collect()
    }

    fn sample() -> Vec<Entry> {
        ["README.md", "src/app/main.py", "src/zones.py", "a.txt"].map(|path| entry(path, EntryKind::File)).to_vec()
    }

    #[test]
    fn directories_come_first_and_open_on_demand() {
        let index = Index::new(&sample(), &BTreeSet::new());
        assert_eq!(names(&index.rows(&BTreeSet::new(), "", None)), ["src", "a.txt", "README.md"]);
        let open = BTreeSet::from(["src".to_owned()]);
        let rows = index.rows(&open, "", None);
        assert_eq!(names(&rows), ["src", "src/app", "src/zones.py", "a.txt", "README.md"]);
        assert_eq!((rows[2].level, rows[2].place), (2, (2, 2)));
    }

    #[test]
    fn a_filter_keeps_the_directories_above() {
        let index = Index::new(&sample(), &BTreeSet::new());
        assert_eq!(names(&index.rows(&BTreeSet::new(), "MAIN", None)), ["src", "src/app", "src/app/main.py"]);
    }

    #[test]
    fn proposed_files_stand_among_the_others() {
        let proposed = BTreeSet::from(["src/retry.py".to_owned(), "a.txt".to_owned()]);
        let rows = Index::new(&sample(), &proposed).rows(&BTreeSet::from(["src".to_owned()]), "", None);
        let kind = |path: &str| rows.iter().find(|row| row.path == path).map(|row| row.kind);
        assert_eq!(kind("src/retry.py"), Some(RowKind::Proposed));
        assert_eq!(kind("a.txt"), Some(RowKind::File));
    }

    #[test]
    fn the_input_stands_first_in_its_directory() {
        let index = Index::new(&sample(), &BTreeSet::new());
        let rows = index.rows(&BTreeSet::from(["src".to_owned()]), "", Some("src"));
        assert_eq!((rows[1].kind, rows[1].level, rows[1].parent()), (RowKind::Input, 2, "src"));
    }

    #[test]
    fn fuzzy_prefers_the_name() {
        let score = |path| fuzzy_score(path, "re");
        assert!(score("src/retry.py") > score("resources/x/zone.py"));
        assert!(score("src/retry.py") > score("src/core/e.py"));
        assert_eq!(fuzzy_score("src/main.py", "xyz"), None);
    }
}
