//! A search that was asked for, made ready.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use grep_matcher::{Captures, LineTerminator, Matcher};
use grep_regex::{RegexCaptures, RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use wire::search::{CONTEXT_MAX, SearchQuery};

use crate::{Error, Result};

/// Memory of a compiled expression, and of what it makes while it searches.
const EXPRESSION_MAX: usize = 4 << 20;
/// A longer line ends the search of its file.
const LINE_HEAP_MAX: usize = 16 << 20;

pub(super) struct Finder {
    pub matcher: RegexMatcher,
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
    context: usize,
    replacement: Option<Vec<Part>>,
}

/// A piece of what takes the place of a match.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// What a group of the expression has matched; 0 is the whole match.
    Group(usize),
}

impl Finder {
    pub fn new(query: &SearchQuery) -> Result<Self> {
        let matcher = matcher(query)?;
        let replacement = match &query.replacement {
            Some(text) if query.regex => Some(template(&matcher, text)?),
            Some(text) => Some(vec![Part::Text(text.clone().into_bytes())]),
            None => None,
        };
        Ok(Self {
            matcher,
            include: globs("include", &query.include)?,
            exclude: globs("exclude", &query.exclude)?,
            context: query.context.min(CONTEXT_MAX).into(),
            replacement,
        })
    }

    /// Whether a path is in the scope.
    pub fn holds(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.is_match(path)) && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(path))
    }

    pub fn searcher(&self) -> Searcher {
        SearcherBuilder::new()
            .binary_detection(BinaryDetection::quit(0))
            .line_terminator(LineTerminator::crlf())
            .line_number(true)
            .before_context(self.context)
            .after_context(self.context)
            .heap_limit(Some(LINE_HEAP_MAX))
            .build()
    }

    /// Calls for each match of a line (without its end) with where it is and what takes its place, if something shall.
    pub fn each(&self, line: &[u8], mut take: impl FnMut(grep_matcher::Match, Option<&[u8]>)) {
        // The expressions of this engine do not fail while they search.
        let Some(parts) = &self.replacement else {
            let _ = self.matcher.find_iter(line, |found| {
                take(found, None);
                true
            });
            return;
        };
        let mut text = Vec::new();
        let Ok(mut groups) = self.matcher.new_captures() else { return };
        let _ = self.matcher.captures_iter(line, &mut groups, |groups: &RegexCaptures| {
            text.clear();
            for part in parts {
                match part {
                    Part::Text(plain) => text.extend_from_slice(plain),
                    Part::Group(at) => text.extend_from_slice(groups.get(*at).map_or(&[][..], |found| &line[found])),
                }
            }
            if let Some(whole) = groups.get(0) {
                take(whole, Some(&text));
            }
            true
        });
    }

    /// The bytes with every match replaced, and how many there were; `None` without a match. Line ends stay as they are.
    pub fn replace(&self, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8);
        let mut count = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let content = without_end(line);
            let mut at = 0;
            self.each(content, |found, text| {
                out.extend_from_slice(&content[at..found.start()]);
                out.extend_from_slice(text.unwrap_or_default());
                at = found.end();
                count += 1;
            });
            out.extend_from_slice(&line[at..]);
        }
        (count > 0).then_some((out, count))
    }
}

/// A line without `\n` or `\r\n`.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn matcher(query: &SearchQuery) -> Result<RegexMatcher> {
    if query.regex {
        check_expression(&query.q)?;
    }
    let built = RegexMatcherBuilder::new()
        .fixed_strings(!query.regex)
        .case_insensitive(!query.case)
        .word(query.word)
        .multi_line(true)
        .crlf(true)
        .size_limit(EXPRESSION_MAX)
        .dfa_size_limit(EXPRESSION_MAX)
        .build(&query.q);
    built.map_err(|error| {
        let reason = match error.kind() {
            grep_regex::ErrorKind::NotAllowed(_) => "A match lies within one line: leave the line end out.".to_owned(),
            grep_regex::ErrorKind::Regex(text) if text.contains("size limit") => {
                "This expression becomes too large. Use smaller numbers of repetition.".to_owned()
            }
            _ => {
                format!("Not a regular expression: {}.", error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))
            }
        };
        Error::invalid("q", reason)
    })
}

/// Reads `$1`, `${1}` and `${name}` as groups and `$$` as a dollar sign; any other `$` is one as well.
fn template(matcher: &RegexMatcher, text: &str) -> Result<Vec<Part>> {
    let unknown = |name: &str| {
        let message = format!("The expression has no group {name}. Write $$ where a dollar sign is meant.");
        Error::invalid("replacement", message)
    };
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(name, _)| name);
        let (name, used) = match braced {
            Some(name) => (name, name.len() + 2),
            None => (&after[..digits], digits),
        };
        if name.is_empty() && braced.is_none() {
            plain.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        let group = name.parse().ok().or_else(|| matcher.capture_index(name)).filter(|at| *at < matcher.capture_count());
        parts.push(Part::Text(std::mem::take(&mut plain).into_bytes()));
        parts.push(Part::Group(group.ok_or_else(|| unknown(name))?));
        rest = &after[used..];
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain.into_bytes()));
    Ok(parts)
}

/// Says where an expression goes wrong.
fn check_expression(expression: &str) -> Result<()> {
    let parsed = regex_syntax::ParserBuilder::new().utf8(false).multi_line(true).build().parse(expression);
    let (place, reason) = match parsed {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => (error.span().start.column, error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => (error.span().start.column, error.kind().to_string()),
        Err(other) => return Err(Error::invalid("q", format!("Not a regular expression: {other}."))),
    };
    Err(Error::invalid("q", format!("Not a regular expression, at character {place}: {reason}.")))
}

/// Patterns separated by commas; `None` when there are none. One without a slash holds at any depth; a directory means all below it.
fn globs(field: &str, text: &str) -> Result<Option<GlobSet>> {
    let mut set = GlobSetBuilder::new();
    let mut any = false;
    for pattern in split_patterns(text) {
        let rooted = pattern.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
        if rooted.is_empty() {
            continue;
        }
        let is_deep = !pattern.starts_with('/') && !pattern.starts_with("./") && !rooted.contains('/');
        let base = if is_deep { format!("**/{rooted}") } else { rooted.to_owned() };
        for glob in [base.clone(), format!("{base}/**")] {
            let glob = GlobBuilder::new(&glob).literal_separator(true).build();
            set.add(glob.map_err(|error| Error::invalid(field, format!("{pattern} is not a pattern: {}.", error.kind())))?);
            any = true;
        }
    }
    let set = set.build().map_err(|error| Error::invalid(field, format!("These patterns can't be used: {}.", error.kind())))?;
    Ok(any.then_some(set))
}

/// Commas within braces or brackets belong to their pattern.
fn split_patterns(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    let parts = text.split(move |c| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(q: &str) -> SearchQuery {
        SearchQuery { q: q.to_owned(), ..SearchQuery::default() }
    }

    fn refusal(query: &SearchQuery) -> String {
        match Finder::new(query) {
            Err(Error::Invalid(fields)) => format!("{}: {}", fields[0].field, fields[0].message),
            Err(other) => other.to_string(),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn patterns_hold_at_any_depth_unless_they_name_a_way() {
        let finder = |include: &str, exclude: &str| {
            Finder::new(&SearchQuery { include: include.to_owned(), exclude: exclude.to_owned(), ..query("x") }).unwrap()
        };
        let rust = finder("*.{rs,toml}, docs", "target, src/gen/**");
        for path in ["a.rs", "src/deep/b.rs", "Cargo.toml", "docs/a/b.md", "x/docs/c"] {
            assert!(rust.holds(path), "{path}");
        }
        for path in ["a.py", "target/a.rs", "x/target/a.rs", "src/gen/a.rs"] {
            assert!(!rust.holds(path), "{path}");
        }
        let rooted = finder("/src/", "");
        assert!(rooted.holds("src/a") && !rooted.holds("x/src/a"));
        assert!(finder("", "").holds("anything"));
        assert!(refusal(&SearchQuery { include: "a{".into(), ..query("x") }).starts_with("include: a{ is not a pattern"));
    }

    #[test]
    fn a_wrong_expression_is_told_with_its_place() {
        let told = |q: &str| refusal(&SearchQuery { regex: true, ..query(q) });
        assert_eq!(told("fn (a"), "q: Not a regular expression, at character 4: unclosed group.");
        assert!(told(r"é\p{Nope}").contains("at character 2"), "{}", told(r"é\p{Nope}"));
        assert!(told(r"a\nb").contains("leave the line end out"), "{}", told(r"a\nb"));
        assert!(told(r"(\w{1000}){1000}").contains("too large"), "{}", told(r"(\w{1000}){1000}"));
        assert_eq!(told("fn|let"), "");
        assert_eq!(refusal(&query("fn (a")), "", "plain text is not parsed");
    }

    #[test]
    fn replacing_keeps_line_ends_and_fills_in_groups() {
        let replaced = |query: SearchQuery, text: &str| {
            let (bytes, count) = Finder::new(&query).unwrap().replace(text.as_bytes()).unwrap();
            (String::from_utf8(bytes).unwrap(), count)
        };
        let with = |q: &str, to: &str, regex| SearchQuery { regex, replacement: Some(to.to_owned()), ..query(q) };
        assert_eq!(replaced(with("a", "$1b", false), "A\r\nca\n\na"), ("$1b\r\nc$1b\n\n$1b".to_owned(), 3));
        assert_eq!(replaced(with(r"(?P<k>\w+)=(\w+)", "$2=${k}", true), "x=1 y=2\r\n"), ("1=x 2=y\r\n".to_owned(), 2));
        assert_eq!(replaced(with("(o)ne", "$1ther $$1 $0$", true), "one"), ("other $1 one$".to_owned(), 1));
        assert_eq!(
            refusal(&with("(o)ne", "$2", true)),
            "replacement: The expression has no group 2. Write $$ where a dollar sign is meant."
        );
        assert!(refusal(&with("one", "${x}", true)).contains("no group x"));
        assert_eq!(replaced(with("$", ";", true), "a\r\nb"), ("a;\r\nb;".to_owned(), 2));
        let word = SearchQuery { word: true, case: true, ..with("a", "b", false) };
        assert_eq!(replaced(word.clone(), "a aa A.a\n"), ("b aa A.b\n".to_owned(), 2));
        assert!(Finder::new(&word).unwrap().replace(b"aa").is_none());
    }
}
