//! Finding paths by some of their letters, quickly enough for every key in a project of fifty thousand files.
//!
//! Each path is folded to lower case once. A mask of the letters it holds rules most paths out by one comparison; what a longer query
//! can still match is among what the shorter one matched, so each further letter looks at less.

/// What a query that is a whole name has ahead of one whose letters stand apart.
const WHOLE_MAX: i32 = 40;

/// A path that fits, by its place in the index, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub at: u32,
    pub score: i32,
}

struct Item {
    /// Where the folded path is in `folded`.
    from: u32,
    to: u32,
    /// Where its name begins, from there.
    name: u32,
    mask: u64,
}

#[derive(Default)]
pub struct PathIndex {
    paths: Vec<String>,
    folded: Vec<u8>,
    items: Vec<Item>,
    /// What fitted the last query.
    last: Option<(Vec<u8>, Vec<u32>)>,
}

/// Letters and digits have a bit each; everything else shares the rest.
fn bit(byte: u8) -> u64 {
    match byte {
        b'a'..=b'z' => 1 << (byte - b'a'),
        b'0'..=b'9' => 1 << (26 + byte - b'0'),
        other => 1 << (36 + other % 28),
    }
}

fn mask(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |mask, byte| mask | bit(*byte))
}

impl PathIndex {
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut index = Self { paths: paths.into_iter().collect(), ..Self::default() };
        index.items.reserve(index.paths.len());
        for path in &index.paths {
            let from = index.folded.len();
            if path.is_ascii() {
                index.folded.extend(path.bytes().map(|byte| byte.to_ascii_lowercase()));
            } else {
                index.folded.extend(path.to_lowercase().bytes());
            }
            let folded = &index.folded[from..];
            let name = folded.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            index.items.push(Item { from: from as u32, to: index.folded.len() as u32, name: name as u32, mask: mask(folded) });
        }
        index
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub fn path(&self, fit: Fit) -> &str {
        &self.paths[fit.at as usize]
    }

    /// The best fits, best first, at most `most`; `bonus` is added to the score of a path. Spaces in the query are left out.
    pub fn find(&mut self, query: &str, most: usize, bonus: impl Fn(&str) -> i32) -> Vec<Fit> {
        let query: Vec<u8> = query.split_whitespace().flat_map(|word| word.to_lowercase().into_bytes()).collect();
        let wanted = mask(&query);
        let narrowed = self.last.take().filter(|(before, _)| !before.is_empty() && query.starts_with(before));
        let mut fitting = Vec::new();
        let mut fits: Vec<Fit> = Vec::new();
        let mut least = i32::MIN;
        let mut look_at = |at: u32| {
            let item = &self.items[at as usize];
            if item.mask & wanted != wanted {
                return;
            }
            let folded = &self.folded[item.from as usize..item.to as usize];
            let Some(letters) = score_letters(folded, item.name as usize, &query) else { return };
            fitting.push(at);
            let sure = letters + bonus(&self.paths[at as usize]);
            // Most of what fits is not among the best, whatever the rest says.
            if sure.saturating_add(WHOLE_MAX) <= least {
                return;
            }
            let score = sure + score_whole(folded, item.name as usize, &query);
            if score <= least {
                return;
            }
            fits.push(Fit { at, score });
            // Now and then only the best are kept, so that the list stays short.
            if fits.len() >= most * 4 {
                keep_best(&mut fits, most);
                least = fits.last().map_or(least, |fit| fit.score);
            }
        };
        match &narrowed {
            Some((_, before)) => before.iter().copied().for_each(&mut look_at),
            None => (0..self.items.len() as u32).for_each(&mut look_at),
        }
        keep_best(&mut fits, most);
        self.last = Some((query, fitting));
        fits
    }
}

/// Paths come in their own order, which decides between equals.
fn keep_best(fits: &mut Vec<Fit>, most: usize) {
    fits.sort_by_key(|fit| (std::cmp::Reverse(fit.score), fit.at));
    fits.truncate(most);
}

/// How well the letters of a query, in their order, stand in a path; `None` when they do not. Both are folded. Letters are looked for
/// from the end, so that the file's name is preferred over the directories above it.
fn score_letters(path: &[u8], name: usize, query: &[u8]) -> Option<i32> {
    if query.is_empty() {
        return Some(0);
    }
    let mut rest = path;
    let mut score = -i32::try_from(path.len() / 8).unwrap_or(0);
    let mut after = usize::MAX;
    for letter in query.iter().rev() {
        let at = rest.iter().rposition(|byte| byte == letter)?;
        let starts_word = at == 0 || !path[at - 1].is_ascii_alphanumeric();
        score += 1 + i32::from(starts_word) * 4 + i32::from(after == at + 1) * 6 + i32::from(at >= name) * 2;
        after = at;
        rest = &rest[..at];
    }
    Some(score)
}

/// What a query has ahead that stands in the path in one piece, at most [`WHOLE_MAX`].
fn score_whole(path: &[u8], name: usize, query: &[u8]) -> i32 {
    let file = &path[name..];
    if query.is_empty() {
        0
    } else if file == query {
        WHOLE_MAX
    } else if file.starts_with(query) {
        30
    } else if holds(file, query) {
        20
    } else if holds(path, query) {
        10
    } else {
        0
    }
}

/// How well a query fits a name that is no path, such as that of a command.
pub fn score_name(name: &str, query: &str) -> Option<i32> {
    let query: Vec<u8> = query.split_whitespace().flat_map(|word| word.to_lowercase().into_bytes()).collect();
    let name = name.to_lowercase();
    Some(score_letters(name.as_bytes(), 0, &query)? + score_whole(name.as_bytes(), 0, &query))
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    let (Some(first), Some(last), Some(end)) = (part.first(), part.last(), text.len().checked_sub(part.len())) else { return false };
    // Two letters tell nearly all places apart, without a call for each.
    (0..=end).any(|at| text[at] == *first && text[at + part.len() - 1] == *last && text[at..at + part.len()] == *part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(paths: &[&str]) -> PathIndex {
        PathIndex::new(paths.iter().map(|path| (*path).to_owned()))
    }

    fn found(index: &mut PathIndex, query: &str) -> Vec<String> {
        let fits = index.find(query, 10, |_| 0);
        fits.into_iter().map(|fit| index.path(fit).to_owned()).collect()
    }

    #[test]
    fn names_come_before_directories() {
        let mut index = index(&["resources/x/zone.py", "src/core/e.py", "src/Retry.py", "src/ärger.py"]);
        assert_eq!(found(&mut index, "re")[0], "src/Retry.py");
        assert_eq!(found(&mut index, "rtp"), ["src/Retry.py"]);
        assert_eq!(found(&mut index, "ÄRG"), ["src/ärger.py"]);
        assert_eq!(found(&mut index, "src retry"), ["src/Retry.py"]);
        assert!(found(&mut index, "xyz").is_empty());
        assert_eq!(found(&mut index, "").len(), 4);
    }

    #[test]
    fn narrowing_finds_what_a_fresh_search_finds() {
        let paths: Vec<String> = (0..3000).map(|n| format!("src/part{}/module_{n}/file{}.rs", n % 13, n * 7 % 1000)).collect();
        let mut typed = PathIndex::new(paths.clone());
        for query in ["f", "fi", "file", "file7", "file77", "fil", "mod", "module_12", "p1f9"] {
            let mut fresh = PathIndex::new(paths.clone());
            assert_eq!(found(&mut typed, query), found(&mut fresh, query), "{query}");
        }
    }

    #[test]
    fn the_best_are_kept_whatever_their_place() {
        let mut paths: Vec<String> = (0..500).map(|n| format!("deep/in/some/where/{n}/n_e_e_d_l_e.txt")).collect();
        paths.push("needle".to_owned());
        let mut index = PathIndex::new(paths);
        assert_eq!(found(&mut index, "needle")[0], "needle");
        let fits = index.find("needle", 3, |path| if path.contains("/499/") { 1000 } else { 0 });
        assert!(index.path(fits[0]).contains("/499/"));
        assert_eq!(fits.len(), 3);
    }
}
