//! A test report as a tree of rows, and the places that a message names, without touching the page.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wire::test_reports::{CaseState, TestCase, TestReport};

/// A report this small is shown opened.
const OPEN_ALL_MAX: usize = 40;
/// Deeper nesting is shown on one level.
const LEVELS_MAX: usize = 24;
/// Between the parts of a row's key; no framework prints it in a name.
const SEPARATOR: char = '\u{1f}';

/// Words for a state, as badges and assistive software say it.
pub fn state_word(state: CaseState) -> &'static str {
    match state {
        CaseState::Failed => "failed",
        CaseState::Passed => "passed",
        CaseState::Skipped => "skipped",
    }
}

/// One line of the tree as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Stays the same over runs.
    pub key: String,
    pub name: String,
    /// From 1.
    pub level: usize,
    /// Place among its siblings, from 1, and how many there are.
    pub place: (usize, usize),
    /// `None` for a case.
    pub expanded: Option<bool>,
    /// Of a suite the worst that is in it.
    pub state: CaseState,
    /// Counts of a suite; empty for a case.
    pub summary: String,
    pub duration_ms: Option<i64>,
    /// Index among the cases of the report.
    pub case: Option<usize>,
}

#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn add(&mut self, state: CaseState) {
        match state {
            CaseState::Failed => self.failed += 1,
            CaseState::Passed => self.passed += 1,
            CaseState::Skipped => self.skipped += 1,
        }
    }

    fn state(&self) -> CaseState {
        if self.failed > 0 {
            CaseState::Failed
        } else if self.skipped > 0 {
            CaseState::Skipped
        } else {
            CaseState::Passed
        }
    }

    fn words(&self) -> String {
        let parts = [(self.passed, "passed"), (self.failed, "failed"), (self.skipped, "skipped")];
        let words: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        words.join(", ")
    }
}

#[derive(Debug)]
struct Node {
    key: String,
    name: String,
    level: usize,
    counts: Counts,
    duration_ms: Option<i64>,
    children: Vec<usize>,
    case: Option<usize>,
    /// What the filter looks at, in lower case: the names from the top down to here.
    searched: String,
}

/// What the person wants to see of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    pub filter: String,
    pub failed_first: bool,
    /// Suites that were opened (true) or closed (false) by hand, by key.
    pub folds: BTreeMap<String, bool>,
}

/// Suites and cases of a report, in its order.
#[derive(Debug, Default)]
pub struct TestIndex {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    cases: usize,
}

impl TestIndex {
    pub fn new(cases: &[TestCase]) -> Self {
        let mut index = Self { cases: cases.len(), ..Self::default() };
        let mut known: HashMap<String, usize> = HashMap::new();
        for (at, case) in cases.iter().enumerate() {
            let mut above: Option<usize> = None;
            for name in case.path.iter().take(LEVELS_MAX) {
                let key = index.key_below(above, name);
                let node = match known.get(&key) {
                    Some(node) => *node,
                    None => {
                        let node = index.push(above, name, key.clone(), None);
                        known.insert(key, node);
                        node
                    }
                };
                let suite = &mut index.nodes[node];
                suite.counts.add(case.state);
                suite.duration_ms = add_durations(suite.duration_ms, case.duration_ms);
                above = Some(node);
            }
            // The id is what tells two cases of one name apart.
            let key = index.key_below(above, &format!("{SEPARATOR}{}", case.id));
            let leaf = index.push(above, &case.name, key, Some(at));
            index.nodes[leaf].counts.add(case.state);
            index.nodes[leaf].duration_ms = case.duration_ms;
        }
        index
    }

    fn key_below(&self, above: Option<usize>, name: &str) -> String {
        match above {
            Some(above) => format!("{}{SEPARATOR}{name}", self.nodes[above].key),
            None => name.to_owned(),
        }
    }

    fn push(&mut self, above: Option<usize>, name: &str, key: String, case: Option<usize>) -> usize {
        let (level, before) = above.map_or((1, ""), |above| (self.nodes[above].level + 1, self.nodes[above].searched.as_str()));
        let searched = format!("{before} {}", name.to_lowercase());
        let at = self.nodes.len();
        let counts = Counts::default();
        self.nodes.push(Node { key, name: name.to_owned(), level, counts, duration_ms: None, children: Vec::new(), case, searched });
        match above {
            Some(above) => self.nodes[above].children.push(at),
            None => self.roots.push(at),
        }
        at
    }

    /// What is visible now, from top to bottom.
    pub fn rows(&self, wish: &Wish) -> Vec<Row> {
        let wanted = wish.filter.trim().to_lowercase();
        let found: Option<BTreeSet<usize>> = (!wanted.is_empty()).then(|| {
            let mut found = BTreeSet::new();
            for root in &self.roots {
                self.find(*root, &wanted, &mut found);
            }
            found
        });
        let mut rows = Vec::new();
        self.collect(&self.roots, wish, found.as_ref(), &mut rows);
        rows
    }

    /// Marks a node that holds the text, or leads to one that does.
    fn find(&self, at: usize, wanted: &str, found: &mut BTreeSet<usize>) -> bool {
        let node = &self.nodes[at];
        // The names above count too, so everything below a suite of that name is found.
        let mut any = node.case.is_some() && node.searched.contains(wanted);
        for child in &node.children {
            any |= self.find(*child, wanted, found);
        }
        if any {
            found.insert(at);
        }
        any
    }

    fn collect(&self, nodes: &[usize], wish: &Wish, found: Option<&BTreeSet<usize>>, rows: &mut Vec<Row>) {
        let mut shown: Vec<usize> = nodes.iter().copied().filter(|at| found.is_none_or(|found| found.contains(at))).collect();
        if wish.failed_first {
            shown.sort_by_key(|at| self.nodes[*at].counts.failed == 0);
        }
        for (place, at) in shown.iter().enumerate() {
            let node = &self.nodes[*at];
            let is_suite = node.case.is_none();
            let open = is_suite && (found.is_some() || self.is_open(node, wish));
            rows.push(Row {
                key: node.key.clone(),
                name: node.name.clone(),
                level: node.level,
                place: (place + 1, shown.len()),
                expanded: is_suite.then_some(open),
                state: node.counts.state(),
                summary: if is_suite { node.counts.words() } else { String::new() },
                duration_ms: node.duration_ms,
                case: node.case,
            });
            if open {
                self.collect(&node.children, wish, found, rows);
            }
        }
    }

    /// Left alone, the way to what failed is open, and everything is in a small report.
    fn is_open(&self, node: &Node, wish: &Wish) -> bool {
        wish.folds.get(&node.key).copied().unwrap_or(node.counts.failed > 0 || node.level == 1 || self.cases <= OPEN_ALL_MAX)
    }

    /// The key of a case, and of the suites above it.
    pub fn key_of_case(&self, case: usize) -> Option<&str> {
        self.nodes.iter().find(|node| node.case == Some(case)).map(|node| node.key.as_str())
    }
}

/// The key of the suite that a row is in.
pub fn parent_key(key: &str) -> &str {
    let end = key.find("\u{1f}\u{1f}").unwrap_or_else(|| key.rfind(SEPARATOR).unwrap_or(0));
    &key[..end]
}

fn add_durations(sum: Option<i64>, more: Option<i64>) -> Option<i64> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
        (sum, more) => sum.or(more),
    }
}

/// A report as it stands after some of its cases were run again: those take the place of their earlier results.
pub fn merge(base: &TestReport, newer: &TestReport) -> TestReport {
    let again: HashMap<&str, &TestCase> = newer.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut merged = base.clone();
    let mut seen = BTreeSet::new();
    for case in &mut merged.cases {
        if let Some(now) = again.get(case.id.as_str()) {
            seen.insert(now.id.as_str());
            shift(&mut merged.passed, &mut merged.failed, &mut merged.skipped, case.state, -1);
            shift(&mut merged.passed, &mut merged.failed, &mut merged.skipped, now.state, 1);
            *case = (*now).clone();
        }
    }
    for case in newer.cases.iter().filter(|case| !seen.contains(case.id.as_str())) {
        shift(&mut merged.passed, &mut merged.failed, &mut merged.skipped, case.state, 1);
        merged.cases.push(case.clone());
    }
    merged
}

fn shift(passed: &mut i64, failed: &mut i64, skipped: &mut i64, state: CaseState, by: i64) {
    match state {
        CaseState::Failed => *failed += by,
        CaseState::Passed => *passed += by,
        CaseState::Skipped => *skipped += by,
    }
}

/// The cases that failed, by what runs them alone.
pub fn failed_ids(report: &TestReport) -> Vec<String> {
    report.cases.iter().filter(|case| case.state == CaseState::Failed).map(|case| case.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use wire::test_reports::Framework;

    use super::*;

    fn case(id: &str, path: &[&str], name: &str, state: CaseState) -> TestCase {
        TestCase {
            id: id.to_owned(),
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            name: name.to_owned(),
            state,
            duration_ms: Some(2),
            message: String::new(),
            file: None,
            line: None,
        }
    }

    fn report(cases: Vec<TestCase>) -> TestReport {
        let count = |state| cases.iter().filter(|case| case.state == state).count() as i64;
        let (passed, failed, skipped) = (count(CaseState::Passed), count(CaseState::Failed), count(CaseState::Skipped));
        TestReport { framework: Framework::Pytest, passed, failed, skipped, cases, truncated: false }
    }

    fn sample() -> Vec<TestCase> {
        vec![
            case("a::one", &["tests", "a.py"], "one", CaseState::Passed),
            case("a::two", &["tests", "a.py"], "two", CaseState::Passed),
            case("b::one", &["tests", "b.py"], "one", CaseState::Failed),
            case("b::off", &["tests", "b.py"], "off", CaseState::Skipped),
        ]
    }

    fn names(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|row| format!("{}{}", " ".repeat(row.level - 1), row.name)).collect()
    }

    #[test]
    fn suites_count_what_is_in_them() {
        let index = TestIndex::new(&sample());
        let rows = index.rows(&Wish::default());
        assert_eq!(names(&rows), ["tests", " a.py", "  one", "  two", " b.py", "  one", "  off"]);
        assert_eq!(
            (rows[0].summary.as_str(), rows[0].state, rows[0].duration_ms),
            ("2 passed, 1 failed, 1 skipped", CaseState::Failed, Some(8))
        );
        assert_eq!((rows[4].place, rows[5].place, rows[5].case), ((2, 2), (1, 2), Some(2)));
        assert_eq!(parent_key(&rows[5].key), rows[4].key);
        assert_eq!(parent_key(&rows[4].key), rows[0].key);
    }

    #[test]
    fn failed_ones_come_first_and_folds_are_kept() {
        let index = TestIndex::new(&sample());
        let mut wish = Wish { failed_first: true, ..Wish::default() };
        assert_eq!(names(&index.rows(&wish)), ["tests", " b.py", "  one", "  off", " a.py", "  one", "  two"]);
        let a = index.rows(&wish).into_iter().find(|row| row.name == "a.py").unwrap();
        wish.folds.insert(a.key, false);
        assert_eq!(names(&index.rows(&wish)), ["tests", " b.py", "  one", "  off", " a.py"]);
    }

    #[test]
    fn a_filter_keeps_the_way_to_what_it_finds() {
        let index = TestIndex::new(&sample());
        let found = |filter: &str| names(&index.rows(&Wish { filter: filter.to_owned(), ..Wish::default() }));
        assert_eq!(found(" OFF "), ["tests", " b.py", "  off"]);
        assert_eq!(found("a.py"), ["tests", " a.py", "  one", "  two"]);
        assert!(found("nothing").is_empty());
    }

    #[test]
    fn big_reports_open_the_way_to_failures_only() {
        let mut cases: Vec<TestCase> =
            (0..60).map(|i| case(&format!("g{i}"), &["root", "good"], &format!("g{i}"), CaseState::Passed)).collect();
        cases.push(case("bad", &["root", "bad"], "bad", CaseState::Failed));
        assert_eq!(names(&TestIndex::new(&cases).rows(&Wish::default())), ["root", " good", " bad", "  bad"]);
    }

    #[test]
    fn ten_thousand_cases_are_a_matter_of_milliseconds() {
        let cases: Vec<TestCase> = (0..10_000)
            .map(|i| case(&format!("id{i}"), &["tests", &format!("file{}.py", i / 100)], &format!("case{i}"), CaseState::Passed))
            .collect();
        let began = std::time::Instant::now();
        let rows = TestIndex::new(&cases).rows(&Wish { filter: "case".to_owned(), ..Wish::default() });
        assert_eq!(rows.len(), 10_101);
        assert!(began.elapsed().as_millis() < 1500, "{:?}", began.elapsed());
    }

    #[test]
    fn what_ran_again_takes_its_place() {
        let base = report(sample());
        let again = report(vec![case("b::one", &["tests", "b.py"], "one", CaseState::Passed), case("new", &[], "new", CaseState::Failed)]);
        let merged = merge(&base, &again);
        assert_eq!((merged.passed, merged.failed, merged.skipped, merged.cases.len()), (3, 1, 1, 5));
        assert_eq!(failed_ids(&merged), ["new"]);
    }
}
