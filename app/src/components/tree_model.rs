//! The tree as rows: from the flat, sorted list of the project to what is visible, without touching the page.

use std::collections::BTreeSet;

use wire::files::{Entry, EntryKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    Directory,
    File,
    Symlink,
    /// A file that only the agent's change set has.
    Proposed,
    /// The place where a new name is typed.
    Input,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub path: String,
    pub kind: RowKind,
    /// From 1.
    pub level: usize,
    /// Place among its siblings, from 1, and how many there are.
    pub place: (usize, usize),
    /// `None` for what has no children.
    pub expanded: Option<bool>,
}

impl Row {
    pub fn name(&self) -> &str {
        name_of(&self.path)
    }

    pub fn parent(&self) -> &str {
        parent(&self.path)
    }

    /// Whether it is in the project, rather than proposed or being typed.
    pub fn exists(&self) -> bool {
        !matches!(self.kind, RowKind::Proposed | RowKind::Input)
    }
}

/// The directory of a path; the root is the empty text.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last part of a path.
pub fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Joins a directory (empty for the root) and a name.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Whether `path` lies below `directory`; everything but the root lies below the root.
pub fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// What the tree is asked to show.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Sorted by path in byte order.
    pub entries: &'a [Entry],
    /// Paths that the agent wants to add.
    pub proposed: &'a BTreeSet<String>,
    pub expanded: &'a BTreeSet<String>,
    /// Keeps everything whose path holds it, without regard to case, and the directories above.
    pub filter: &'a str,
    /// The directory in which a new name is being typed.
    pub input: Option<&'a str>,
}

type Named<'a> = (&'a str, RowKind);

impl View<'_> {
    /// The rows on show. What is folded away costs next to nothing: the list is searched, not walked.
    pub fn rows(&self) -> Vec<Row> {
        let filter = self.filter.trim().to_lowercase();
        let list = self.list(&filter);
        let mut rows = Vec::new();
        self.append(&list, "", 1, !filter.is_empty(), &mut rows);
        rows
    }

    /// Everything that the filter keeps, sorted by path.
    fn list(&self, filter: &str) -> Vec<Named<'_>> {
        let kind = |entry: &Entry| match entry.kind {
            EntryKind::Directory => RowKind::Directory,
            EntryKind::File => RowKind::File,
            EntryKind::Symlink => RowKind::Symlink,
        };
        let kept = |path: &str| filter.is_empty() || holds(path, filter);
        let mut list: Vec<Named<'_>> =
            self.entries.iter().filter(|entry| kept(&entry.path)).map(|entry| (entry.path.as_str(), kind(entry))).collect();
        for path in self.proposed.iter().filter(|path| kept(path)) {
            if let Err(at) = list.binary_search_by(|(known, _)| known.cmp(&path.as_str())) {
                list.insert(at, (path, RowKind::Proposed));
            }
        }
        list
    }

    fn append(&self, list: &[Named<'_>], directory: &str, level: usize, all: bool, rows: &mut Vec<Row>) {
        let shown = children(list, directory);
        let typing = usize::from(self.input == Some(directory));
        let size = shown.len() + typing;
        if typing == 1 {
            rows.push(Row { path: join(directory, ""), kind: RowKind::Input, level, place: (1, size), expanded: None });
        }
        for (i, (path, kind)) in shown.into_iter().enumerate() {
            let expanded = (kind == RowKind::Directory).then(|| all || self.expanded.contains(path));
            rows.push(Row { path: path.to_owned(), kind, level, place: (i + 1 + typing, size), expanded });
            if expanded == Some(true) {
                self.append(list, path, level + 1, all, rows);
            }
        }
    }
}

/// What lies directly in a directory: directories first, then by name without regard to case. Directories may exist only through what
/// lies below them.
fn children<'a>(list: &[Named<'a>], directory: &str) -> Vec<Named<'a>> {
    let inside = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let start = list.partition_point(|(path, _)| *path < inside.as_str());
    let rest = &list[start..];
    let rest = &rest[..rest.partition_point(|(path, _)| path.starts_with(&inside))];
    let mut found: Vec<Named<'a>> = Vec::new();
    let mut at = 0;
    while let Some((path, kind)) = rest.get(at) {
        match path[inside.len()..].find('/') {
            None => {
                found.push((path, *kind));
                at += 1;
            }
            Some(end) => {
                found.push((&path[..inside.len() + end], RowKind::Directory));
                let below = &path[..=inside.len() + end];
                at += rest[at..].partition_point(|(path, _)| path.starts_with(below));
            }
        }
    }
    // `a` and `a/b` are not neighbours: `a-b` stands between them.
    found.sort_unstable();
    found.dedup_by(|later, earlier| later.0 == earlier.0);
    found.sort_by_cached_key(|(path, kind)| (*kind != RowKind::Directory, path.to_lowercase()));
    found
}

/// Whether `path` holds `wanted`, which is in lower case.
fn holds(path: &str, wanted: &str) -> bool {
    if path.is_ascii() && wanted.is_ascii() {
        return path.as_bytes().windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted.as_bytes()));
    }
    path.to_lowercase().contains(wanted)
}

/// The entry of a path in a list sorted by path.
pub fn find<'a>(entries: &'a [Entry], path: &str) -> Option<&'a Entry> {
    entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok().map(|at| &entries[at])
}

/// Whether anything is at the path or below it, in a list sorted by path.
pub fn is_taken(entries: &[Entry], path: &str) -> bool {
    let below = format!("{path}/");
    let at = entries.partition_point(|entry| entry.path.as_str() < below.as_str());
    entries.get(at).is_some_and(|entry| entry.path.starts_with(&below)) || find(entries, path).is_some()
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
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "bmp" | "ico" | "svg" => "image",
        "" => "file-text",
        _ => "file-code",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wire::Micros;

    pub(crate) fn entry(path: &str, kind: EntryKind) -> Entry {
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

    pub(crate) fn files(paths: &[&str]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = paths.iter().map(|path| entry(path, EntryKind::File)).collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    fn sample() -> Vec<Entry> {
        files(&["README.md", "src/app/main.py", "src/zones.py", "a.txt"])
    }

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    fn rows(entries: &[Entry], expanded: &[&str], filter: &str, input: Option<&str>) -> Vec<Row> {
        View { entries, proposed: &BTreeSet::new(), expanded: &set(expanded), filter, input }.rows()
    }

    #[test]
    fn directories_come_first_and_open_on_demand() {
        assert_eq!(names(&rows(&sample(), &[], "", None)), ["src", "a.txt", "README.md"]);
        let rows = rows(&sample(), &["src"], "", None);
        assert_eq!(names(&rows), ["src", "src/app", "src/zones.py", "a.txt", "README.md"]);
        assert_eq!((rows[2].level, rows[2].place), (2, (2, 2)));
        assert_eq!((rows[0].expanded, rows[1].expanded, rows[2].expanded), (Some(true), Some(false), None));
    }

    #[test]
    fn names_that_sort_between_a_directory_and_its_content_do_not_split_it() {
        let mut entries = files(&["a-b/x", "a.txt", "a/one", "a/two", "a0"]);
        entries.insert(0, entry("a", EntryKind::Directory));
        let rows = rows(&entries, &["a"], "", None);
        assert_eq!(names(&rows), ["a", "a/one", "a/two", "a-b", "a.txt", "a0"]);
        assert_eq!(rows[0].place, (1, 4));
    }

    #[test]
    fn a_filter_keeps_the_directories_above() {
        assert_eq!(names(&rows(&sample(), &[], "MAIN", None)), ["src", "src/app", "src/app/main.py"]);
        assert_eq!(names(&rows(&files(&["Größe/ÄB.txt", "x"]), &[], "äb", None)), ["Größe", "Größe/ÄB.txt"]);
        assert!(rows(&sample(), &[], "nowhere", None).is_empty());
    }

    #[test]
    fn proposed_files_stand_among_the_others() {
        let (entries, proposed) = (sample(), set(&["src/retry.py", "a.txt", "new/deep/x.py"]));
        let rows = View { entries: &entries, proposed: &proposed, expanded: &set(&["src"]), filter: "", input: None }.rows();
        let kind = |path: &str| rows.iter().find(|row| row.path == path).map(|row| row.kind);
        assert_eq!(kind("src/retry.py"), Some(RowKind::Proposed));
        assert_eq!(kind("a.txt"), Some(RowKind::File));
        assert_eq!(kind("new"), Some(RowKind::Directory));
    }

    #[test]
    fn the_input_stands_first_in_its_directory() {
        let rows = rows(&sample(), &["src"], "", Some("src"));
        assert_eq!((rows[1].kind, rows[1].level, rows[1].parent()), (RowKind::Input, 2, "src"));
        assert_eq!((rows[1].place, rows[2].place), ((1, 3), (2, 3)));
    }

    #[test]
    fn a_name_is_taken_by_what_is_there_or_below() {
        let entries = sample();
        assert!(is_taken(&entries, "src") && is_taken(&entries, "src/app") && is_taken(&entries, "a.txt"));
        assert!(!is_taken(&entries, "sr") && !is_taken(&entries, "src/app/main") && !is_taken(&entries, "b"));
        assert!(is_below("a/b", "a") && is_below("a", "") && !is_below("ab", "a") && !is_below("a", "a"));
    }

    #[test]
    fn many_files_make_rows_in_their_order() {
        let paths: Vec<String> = (0..50_000).map(|i| format!("d{:03}/s{:02}/f{i:05}.rs", i / 500, i / 50 % 10)).collect();
        let entries = files(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(rows(&entries, &[], "", None).len(), 100);
        let all = rows(&entries, &[], ".rs", None);
        assert_eq!(all.len(), 50_000 + 100 + 1000);
        assert_eq!(all[2].path, "d000/s00/f00000.rs");
    }
}
