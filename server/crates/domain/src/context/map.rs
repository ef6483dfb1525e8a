//! The map of a project within a number of bytes: its files as a tree, then outlines of those that seem to matter most for a prompt.
//!
//! What matters: files that the prompt names, those near them, those whose names for things others use, and those changed last. For one
//! revision and one prompt the map is always the same.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use blobs::Blobs;
use wire::search::Symbol;

use super::tree;
use crate::{Error, Result, search::outline_of};

/// Files that are looked into.
const LOOKED_AT: usize = 60;
/// Larger files are not looked into.
const SIZE_MAX: i64 = 64 * 1024;
/// Symbols of one file that are listed.
const LISTED: usize = 24;
/// Shorter names stand in too many files to tell anything.
const NAME_MIN: usize = 4;
/// Files that are remembered with what was found in them.
const REMEMBERED: usize = 256;

/// A file of the revision that the map shows.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub path: String,
    pub checksum: String,
    pub size: i64,
    /// When it last changed.
    pub revision: i64,
}

/// What was found in a file.
#[derive(Debug)]
struct Seen {
    symbols: Vec<Symbol>,
    /// Words that could be names, hashed.
    words: HashSet<u64>,
}

static SEEN: LazyLock<Mutex<HashMap<String, Arc<Seen>>>> = LazyLock::new(Mutex::default);

/// The map of `files` in about `max` bytes, for a prompt that names the paths `named`.
pub(super) async fn draw(blobs: &Arc<dyn Blobs>, files: &[Listed], named: &[String], max: usize) -> Result<String> {
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let mut out = format!("Its files when this turn began:\n{}", tree::list_within(&paths, max * 3 / 5));
    let mut looked_at = Vec::new();
    for file in candidates(files, named) {
        if let Some(seen) = look_into(blobs, file).await? {
            looked_at.push((file, seen));
        }
    }
    let outlines = outlines(&looked_at, named, max.saturating_sub(out.len()));
    if !outlines.is_empty() {
        let _ = write!(out, "\nOutlines of files that may matter most, with line numbers:\n{outlines}");
    }
    Ok(out)
}

/// Sources of a size that can be looked into: named ones first, then those beside them, then the others, each by when they last changed.
fn candidates<'a>(files: &'a [Listed], named: &[String]) -> Vec<&'a Listed> {
    let beside: HashSet<&str> = named.iter().map(|path| directory(path)).collect();
    let names: HashSet<&str> = named.iter().map(String::as_str).collect();
    let mut found: Vec<&Listed> = files.iter().filter(|file| file.size <= SIZE_MAX && wire::search::has_outline(&file.path)).collect();
    found.sort_by_key(|file| {
        let far = match () {
            () if names.contains(file.path.as_str()) => 0,
            () if beside.contains(directory(&file.path)) => 1,
            () => 2,
        };
        (far, std::cmp::Reverse(file.revision), &file.path)
    });
    found.truncate(LOOKED_AT);
    found
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

async fn look_into(blobs: &Arc<dyn Blobs>, file: &Listed) -> Result<Option<Arc<Seen>>> {
    let ending = file.path.rsplit('.').next().unwrap_or_default();
    let key = format!("{}.{ending}", file.checksum);
    if let Some(seen) = SEEN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(Some(seen.clone()));
    }
    let bytes = match file.size {
        0 => Vec::new(),
        _ => blobs.read_all(&file.checksum, SIZE_MAX as u64).await?,
    };
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let path = file.path.clone();
    let look = move || Seen { symbols: outline_of(&path, &text).symbols, words: words(&text).map(hash).collect() };
    let seen = Arc::new(tokio::task::spawn_blocking(look).await.map_err(Error::internal)?);
    let mut known = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, seen.clone());
    Ok(Some(seen))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| word.len() >= NAME_MIN)
}

fn hash(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}

/// The outlines of the best files, best first, as far as they fit.
fn outlines(files: &[(&Listed, Arc<Seen>)], named: &[String], max: usize) -> String {
    let mut out = String::new();
    for at in by_weight(files, named) {
        let (file, seen) = &files[at];
        let text = outline_text(&file.path, &seen.symbols);
        if !text.is_empty() && out.len() + text.len() <= max {
            out.push_str(&text);
        }
    }
    out
}

fn by_weight(files: &[(&Listed, Arc<Seen>)], named: &[String]) -> Vec<usize> {
    let mut defined_in: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, (_, seen)) in files.iter().enumerate() {
        for symbol in seen.symbols.iter().filter(|symbol| symbol.name.len() >= NAME_MIN) {
            let files = defined_in.entry(hash(&symbol.name)).or_default();
            if files.last() != Some(&at) {
                files.push(at);
            }
        }
    }
    let mut weight: Vec<usize> = files.iter().map(|(file, _)| if named.contains(&file.path) { 1000 } else { 0 }).collect();
    // A name that many files define tells nothing about any of them.
    for (name, definers) in defined_in.iter().filter(|(_, definers)| definers.len() <= 2) {
        let users = files.iter().enumerate().filter(|(at, (_, seen))| !definers.contains(at) && seen.words.contains(name)).count();
        for at in definers {
            weight[*at] += users.min(8);
        }
    }
    let mut newest: Vec<usize> = (0..files.len()).collect();
    newest.sort_by_key(|at| (std::cmp::Reverse(files[*at].0.revision), &files[*at].0.path));
    for (rank, at) in newest.iter().take(10).enumerate() {
        weight[*at] += 10 - rank;
    }
    newest.sort_by_key(|at| (std::cmp::Reverse(weight[*at]), &files[*at].0.path));
    newest
}

fn outline_text(path: &str, symbols: &[Symbol]) -> String {
    let mut out = String::new();
    for symbol in symbols.iter().filter(|symbol| symbol.level < 2).take(LISTED) {
        let indent = "  ".repeat(symbol.level as usize + 1);
        let _ = writeln!(out, "{indent}{} {} {}", symbol.kind.word(), symbol.name, symbol.line);
    }
    if out.is_empty() { out } else { format!("{path}\n{out}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str, revision: i64) -> Listed {
        Listed { path: path.to_owned(), checksum: String::new(), size: 10, revision }
    }

    fn seen(path: &str, text: &str) -> Arc<Seen> {
        Arc::new(Seen { symbols: outline_of(path, text).symbols, words: words(text).map(hash).collect() })
    }

    #[test]
    fn named_files_and_those_beside_them_are_looked_into_first() {
        let files = [listed("a/old.rs", 1), listed("b/new.rs", 9), listed("a/named.rs", 2), listed("pic.png", 10)];
        let found: Vec<&str> = candidates(&files, &["a/named.rs".to_owned()]).iter().map(|file| file.path.as_str()).collect();
        assert_eq!(found, ["a/named.rs", "a/old.rs", "b/new.rs"]);
    }

    #[test]
    fn what_others_use_weighs_more_than_what_nobody_uses() {
        let core = listed("core.rs", 1);
        let (one, two, lone) = (listed("one.rs", 1), listed("two.rs", 1), listed("alone.rs", 1));
        let files = vec![
            (&lone, seen("alone.rs", "fn nobody_calls() {}\n")),
            (&core, seen("core.rs", "pub fn retry_later() {}\npub struct Backoff;\n")),
            (&one, seen("one.rs", "fn first() { retry_later(Backoff) }\n")),
            (&two, seen("two.rs", "fn other() { retry_later(Backoff) }\n")),
        ];
        let place = |named: &[String]| by_weight(&files, named).iter().map(|at| files[*at].0.path.clone()).collect::<Vec<_>>();
        let by_use = place(&[]);
        assert!(by_use.iter().position(|p| p == "core.rs") < by_use.iter().position(|p| p == "one.rs"), "{by_use:?}");
        assert_eq!(place(&["two.rs".to_owned()])[0], "two.rs");
        let text = outlines(&files, &[], 60);
        assert!(text.contains("core.rs\n  function retry_later 1\n  struct Backoff 2\n") || text.starts_with("alone.rs"), "{text}");
        assert!(text.len() <= 60);
    }
}
