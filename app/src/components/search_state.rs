//! A search through the project: what is looked for, what was found so far, and the rows that show it.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use wire::{
    Problem,
    search::{Replace, SearchItem, SearchMatch, SearchQuery, SearchSummary},
};

use super::{ide::Ide, search_stream, side_view};
use crate::{api, ui::format};

/// A search begins when nothing was typed for this long.
const PAUSE: Duration = Duration::from_millis(250);
/// Longer selections are not what somebody looks for.
const SELECTION_MAX_CHARS: usize = 200;

/// The lines of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHits {
    pub path: String,
    pub hits: Vec<SearchMatch>,
}

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// In the order of their paths.
    pub files: Vec<FileHits>,
    pub searched: u64,
    /// Tells one search from the next.
    pub serial: u64,
    /// What was searched for; `None` before the first search.
    pub query: Option<SearchQuery>,
    /// Once the search has ended.
    pub summary: Option<SearchSummary>,
}

impl Results {
    pub fn take(&mut self, item: SearchItem) {
        match item {
            SearchItem::Match(hit) => match self.files.last_mut().filter(|file| file.path == hit.path) {
                Some(file) => file.hits.push(hit),
                None => self.files.push(FileHits { path: hit.path.clone(), hits: vec![hit] }),
            },
            SearchItem::Progress { searched } => self.searched = searched,
            SearchItem::Done(summary) => self.summary = Some(summary),
            SearchItem::Failed { .. } => {}
        }
    }

    /// Matching lines and files, without those that are left out.
    pub fn counts(&self, left_out: &BTreeSet<String>) -> (i64, i64) {
        let kept = self.files.iter().filter(|file| !left_out.contains(&file.path));
        kept.fold((0, 0), |(lines, files), file| (lines + file.hits.len() as i64, files + 1))
    }
}

/// A row of the list, by places in the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    File(usize),
    Hit(usize, usize),
    /// A line of context: before or after a hit, and the how manieth.
    Before(usize, usize, usize),
    After(usize, usize, usize),
}

impl Row {
    pub fn file(self) -> usize {
        match self {
            Self::File(file) | Self::Hit(file, _) | Self::Before(file, ..) | Self::After(file, ..) => file,
        }
    }

    /// Whether the keyboard stops at it.
    pub fn is_stop(self) -> bool {
        matches!(self, Self::File(_) | Self::Hit(..))
    }
}

/// All rows, in order.
pub fn rows(results: &Results, folded: &BTreeSet<String>, left_out: &BTreeSet<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, file) in results.files.iter().enumerate() {
        if left_out.contains(&file.path) {
            continue;
        }
        rows.push(Row::File(at));
        if folded.contains(&file.path) {
            continue;
        }
        for (n, hit) in file.hits.iter().enumerate() {
            rows.extend((0..hit.before.len()).map(|line| Row::Before(at, n, line)));
            rows.push(Row::Hit(at, n));
            rows.extend((0..hit.after.len()).map(|line| Row::After(at, n, line)));
        }
    }
    rows
}

/// State of the search panel; lives as long as the project page.
#[derive(Clone, Copy)]
pub struct Search {
    pub q: RwSignal<String>,
    pub regex: RwSignal<bool>,
    pub case: RwSignal<bool>,
    pub word: RwSignal<bool>,
    pub include: RwSignal<String>,
    pub exclude: RwSignal<String>,
    pub context: RwSignal<u8>,
    /// The field of the replacement is open.
    pub replacing: RwSignal<bool>,
    pub replacement: RwSignal<String>,
    /// The patterns of files are open.
    pub filtering: RwSignal<bool>,
    pub results: RwSignal<Results>,
    pub running: RwSignal<bool>,
    pub failure: RwSignal<Option<Problem>>,
    pub folded: RwSignal<BTreeSet<String>>,
    /// Files that a replacement leaves as they are, and that are not listed.
    pub left_out: RwSignal<BTreeSet<String>>,
    /// The row that Tab reaches.
    pub current: RwSignal<Option<Row>>,
    /// The replacements are being put together for the review.
    pub sending: RwSignal<bool>,
    /// Counts up when the field should take the focus.
    pub focus: RwSignal<u64>,
    timer: StoredValue<Option<TimeoutHandle>>,
    searches: StoredValue<u64>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            q: RwSignal::default(),
            regex: RwSignal::new(false),
            case: RwSignal::new(false),
            word: RwSignal::new(false),
            include: RwSignal::default(),
            exclude: RwSignal::default(),
            context: RwSignal::new(0),
            replacing: RwSignal::new(false),
            replacement: RwSignal::default(),
            filtering: RwSignal::new(false),
            results: RwSignal::default(),
            running: RwSignal::new(false),
            failure: RwSignal::new(None),
            folded: RwSignal::default(),
            left_out: RwSignal::default(),
            current: RwSignal::new(None),
            sending: RwSignal::new(false),
            focus: RwSignal::new(0),
            timer: StoredValue::new(None),
            searches: StoredValue::new(0),
        }
    }
}

/// Opens the panel; a selection of one line becomes what is looked for.
pub fn open(ide: Ide, selection: &str, replacing: bool) {
    let search = ide.search;
    side_view::show(ide, side_view::SideView::Search);
    if !selection.trim().is_empty() && !selection.contains('\n') && selection.chars().count() <= SELECTION_MAX_CHARS {
        search.regex.set(false);
        search.q.set(selection.to_owned());
    }
    if replacing {
        search.replacing.set(true);
    }
    search.focus.update(|count| *count += 1);
}

impl Search {
    /// What the fields ask for. Tracks them.
    pub fn query(self) -> SearchQuery {
        SearchQuery {
            q: self.q.get(),
            regex: self.regex.get(),
            case: self.case.get(),
            word: self.word.get(),
            include: self.include.get(),
            exclude: self.exclude.get(),
            context: self.context.get(),
            replacement: self.replacing.get().then(|| self.replacement.get()),
        }
    }

    /// Searches in a moment, unless something is typed meanwhile.
    pub fn start_soon(self, ide: Ide) {
        self.forget_timer();
        self.timer.set_value(set_timeout_with_handle(move || self.start(ide), PAUSE).ok());
    }

    fn forget_timer(self) {
        if let Some(timer) = self.timer.try_update_value(Option::take).flatten() {
            timer.clear();
        }
    }

    /// Searches now; what went on before is stopped.
    pub fn start(self, ide: Ide) {
        if ide.is_gone() {
            return;
        }
        self.forget_timer();
        let query = untrack(|| self.query());
        self.failure.set(None);
        if query.q.is_empty() {
            search_stream::stop();
            self.running.set(false);
            self.results.set(Results::default());
            return;
        }
        // Only what a replacement would do has changed: what is folded or left out stays.
        let same = self.results.with_untracked(|results| {
            results.query.as_ref().is_some_and(|before| SearchQuery { replacement: query.replacement.clone(), ..before.clone() } == query)
        });
        if !same {
            self.folded.set(BTreeSet::new());
            self.left_out.set(BTreeSet::new());
        }
        self.running.set(true);
        // The old results stay until the first new ones are there, so that nothing flickers while somebody types.
        self.searches.update_value(|count| *count += 1);
        let fresh = Results { query: Some(query.clone()), serial: self.searches.get_value(), ..Results::default() };
        let fresh = RefCell::new(Some(fresh));
        let on_items = move |items: Vec<SearchItem>| {
            if ide.is_gone() {
                return;
            }
            if let Some(fresh) = fresh.take() {
                self.results.set(fresh);
            }
            let failed = items.iter().find_map(|item| match item {
                SearchItem::Failed { problem } => Some(problem.clone()),
                _ => None,
            });
            if failed.is_some() {
                self.failure.set(failed);
            }
            self.results.update(|results| items.into_iter().for_each(|item| results.take(item)));
        };
        let on_end = move |problem: Option<Problem>| {
            if ide.is_gone() {
                return;
            }
            self.running.set(false);
            if problem.is_some() {
                self.results.set(Results::default());
                self.failure.set(problem);
            }
            self.announce(ide);
        };
        search_stream::start(&address(ide, &query), on_items, on_end);
    }

    /// Stops the search that goes on; what it has found stays.
    pub fn stop(self) {
        search_stream::stop();
        self.running.set(false);
    }

    fn announce(self, ide: Ide) {
        let said = self.failure.with_untracked(|problem| problem.as_ref().map(first_reason)).unwrap_or_else(|| {
            let (lines, files) = self.results.with_untracked(|results| results.counts(&BTreeSet::new()));
            found_words(lines, files)
        });
        ide.announcement.set(said);
    }

    /// Puts the replacements together and opens their review.
    pub fn review(self, ide: Ide) {
        if self.sending.get_untracked() {
            return;
        }
        let search = SearchQuery { replacement: Some(self.replacement.get_untracked()), ..untrack(|| self.query()) };
        let leave_out = self.left_out.with_untracked(|paths| paths.iter().cloned().collect());
        self.sending.set(true);
        self.failure.set(None);
        spawn_local(async move {
            let answer = api::search::replace(ide.project_id, Replace { search, leave_out }).await;
            if ide.is_gone() {
                return;
            }
            self.sending.set(false);
            match answer {
                Ok(made) => {
                    let review = made.change_set.review_key();
                    ide.put_changes(made.change_set);
                    if let Some(first) = made.left_out.first() {
                        let others = made.left_out.len() as i64 - 1;
                        let rest = if others > 0 {
                            format!(", and {}", format::counted(others, "other file", "other files"))
                        } else {
                            String::new()
                        };
                        ide.toast(format!("Left out: {} {}{rest}", first.path, first.reason));
                    }
                    ide.open_review(review);
                }
                Err(error) => self.failure.set(Some(error.0)),
            }
        });
    }
}

/// "12 lines in 3 files".
pub fn found_words(lines: i64, files: i64) -> String {
    if lines == 0 {
        "No match".to_owned()
    } else {
        format!("{} in {}", format::counted(lines, "line", "lines"), format::counted(files, "file", "files"))
    }
}

/// The sentence about a field, or about the whole.
pub fn first_reason(problem: &Problem) -> String {
    problem.fields.first().map_or_else(|| problem.to_string(), |field| field.message.clone())
}

fn address(ide: Ide, query: &SearchQuery) -> String {
    let escape = |text: &str| String::from(js_sys::encode_uri_component(text));
    let mut address = format!("/api/projects/{}/search?q={}", ide.project_id, escape(&query.q));
    for (name, on) in [("regex", query.regex), ("case", query.case), ("word", query.word)] {
        if on {
            address.push_str(&format!("&{name}=true"));
        }
    }
    for (name, text) in [("include", &query.include), ("exclude", &query.exclude)] {
        if !text.trim().is_empty() {
            address.push_str(&format!("&{name}={}", escape(text)));
        }
    }
    if query.context > 0 {
        address.push_str(&format!("&context={}", query.context));
    }
    if let Some(text) = &query.replacement {
        address.push_str(&format!("&replacement={}", escape(text)));
    }
    address
}

/// A piece of a line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Plain(String),
    Hit(String),
    /// What stands in place of the hit before it.
    New(String),
}

/// Characters shown before the first match; more are cut, for the panel is narrow.
const LEAD_CHARS: usize = 26;

/// A line in pieces, without the indentation.
pub fn pieces(hit: &SearchMatch) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for (n, (from, to)) in hit.ranges.iter().enumerate() {
        let (Some(before), Some(text)) = (hit.text.get(at..*from as usize), hit.text.get(*from as usize..*to as usize)) else { break };
        let before = if n == 0 { lead(before, hit.cut) } else { before.to_owned() };
        if !before.is_empty() {
            pieces.push(Piece::Plain(before));
        }
        pieces.push(Piece::Hit(text.to_owned()));
        if let Some(new) = hit.replaced.get(n).filter(|new| !new.is_empty()) {
            pieces.push(Piece::New(new.clone()));
        }
        at = *to as usize;
    }
    let rest = hit.text.get(at..).unwrap_or_default();
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest.to_owned()));
    }
    pieces
}

fn lead(before: &str, cut: bool) -> String {
    let text = before.trim_start();
    let count = text.chars().count();
    if count > LEAD_CHARS {
        return format!("…{}", text.chars().skip(count - LEAD_CHARS).collect::<String>());
    }
    if cut && !text.is_empty() { format!("…{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(path: &str, line: u32) -> SearchMatch {
        SearchMatch {
            path: path.to_owned(),
            line,
            column: 3,
            text: "  let a = ab;".to_owned(),
            ranges: vec![(6, 7), (10, 11)],
            cut: false,
            before: vec!["x".to_owned(); usize::from(line == 2)],
            after: Vec::new(),
            replaced: Vec::new(),
        }
    }

    fn sample() -> Results {
        let mut results = Results::default();
        for item in [hit("a", 1), hit("a", 2), hit("b", 1)] {
            results.take(SearchItem::Match(item));
        }
        results
    }

    #[test]
    fn rows_follow_what_is_folded_and_left_out() {
        let results = sample();
        let none = BTreeSet::new();
        let one = |path: &str| BTreeSet::from([path.to_owned()]);
        let all = [Row::File(0), Row::Hit(0, 0), Row::Before(0, 1, 0), Row::Hit(0, 1), Row::File(1), Row::Hit(1, 0)];
        assert_eq!(rows(&results, &none, &none), all);
        assert_eq!(rows(&results, &one("a"), &none), [Row::File(0), Row::File(1), Row::Hit(1, 0)]);
        assert_eq!(rows(&results, &none, &one("a")), [Row::File(1), Row::Hit(1, 0)]);
        assert_eq!((results.counts(&none), results.counts(&one("a"))), ((3, 2), (1, 1)));
    }

    #[test]
    fn lines_are_shown_in_pieces() {
        let mut line = hit("a", 1);
        let plain = |text: &str| Piece::Plain(text.to_owned());
        let found = |text: &str| Piece::Hit(text.to_owned());
        assert_eq!(pieces(&line), [plain("let "), found("a"), plain(" = "), found("a"), plain("b;")]);
        line.replaced = vec!["x".to_owned(), String::new()];
        assert_eq!(pieces(&line), [plain("let "), found("a"), Piece::New("x".to_owned()), plain(" = "), found("a"), plain("b;")]);
        line.text = format!("{}needle", "ä".repeat(40));
        line.ranges = vec![(80, 86)];
        line.replaced.clear();
        assert_eq!(pieces(&line), [plain(&format!("…{}", "ä".repeat(LEAD_CHARS))), found("needle")]);
    }
}
