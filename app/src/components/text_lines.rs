//! Line ends. The editor holds one kind of them per text; here each line gets its own back, so that only what was edited changes.

use similar::{Algorithm, DiffOp, capture_diff_slices};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    Lf,
    CrLf,
    /// A carriage return alone.
    Cr,
}

impl LineEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Lf => "LF",
            Self::CrLf => "CRLF",
            Self::Cr => "CR",
        }
    }

    /// Reads the characters themselves, as `.editorconfig` values are told.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Lf, Self::CrLf, Self::Cr].into_iter().find(|end| end.as_str() == text)
    }
}

/// The line ends that a text uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// Not one line is ended.
    None,
    All(LineEnd),
    Mixed,
}

/// A line and what ends it; nothing ends the last one of many texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line<'a> {
    text: &'a str,
    end: Option<LineEnd>,
}

/// The lines with their ends; a text that ends with a line end has no empty line after it.
fn split(text: &str) -> Vec<Line<'_>> {
    let bytes = text.as_bytes();
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => LineEnd::CrLf,
            b'\r' => LineEnd::Cr,
            b'\n' => LineEnd::Lf,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push(Line { text: &text[start..at], end: Some(end) });
        at += end.as_str().len();
        start = at;
    }
    if start < text.len() {
        lines.push(Line { text: &text[start..], end: None });
    }
    lines
}

/// The pieces of a text, each a line with its end.
pub fn split_inclusive(text: &str) -> Vec<&str> {
    let mut at = 0;
    split(text)
        .into_iter()
        .map(|line| {
            let from = at;
            at += line.text.len() + line.end.map_or(0, |end| end.as_str().len());
            &text[from..at]
        })
        .collect()
}

pub fn ends_of(text: &str) -> LineEnds {
    let mut found = None;
    for end in split(text).into_iter().filter_map(|line| line.end) {
        match found {
            None => found = Some(end),
            Some(known) if known != end => return LineEnds::Mixed,
            Some(_) => {}
        }
    }
    found.map_or(LineEnds::None, LineEnds::All)
}

/// The text with one kind of line end throughout.
pub fn unify(text: &str, end: LineEnd) -> String {
    let mut out = String::with_capacity(text.len());
    for line in split(text) {
        out.push_str(line.text);
        if line.end.is_some() {
            out.push_str(end.as_str());
        }
    }
    out
}

/// Gives the lines of `edited` the line ends they had in `stored`. A line that was edited keeps its own; a new one ends as the line before
/// it does.
pub fn hand_back(stored: &str, edited: &str) -> String {
    let (old, new) = (split(stored), split(edited));
    let usual = usual_end(&old);
    let own = own_ends(&old, &new);
    let mut out = String::with_capacity(edited.len() + new.len());
    let mut before = None;
    for (line, own) in new.iter().zip(own) {
        out.push_str(line.text);
        if line.end.is_some() {
            let end = match own.or(before).unwrap_or(usual) {
                // After a lone carriage return it would read as one line end instead of two.
                LineEnd::Lf if line.text.is_empty() && before == Some(LineEnd::Cr) => LineEnd::Cr,
                end => end,
            };
            out.push_str(end.as_str());
            before = Some(end);
        }
    }
    out
}

/// For each new line, the end of the old line it is or comes from.
fn own_ends(old: &[Line], new: &[Line]) -> Vec<Option<LineEnd>> {
    let texts = |lines: &[Line]| -> Vec<String> { lines.iter().map(|line| line.text.to_owned()).collect() };
    let mut own = vec![None; new.len()];
    for op in capture_diff_slices(Algorithm::Myers, &texts(old), &texts(new)) {
        let (from, to, count) = match op {
            DiffOp::Equal { old_index, new_index, len } => (old_index, new_index, len),
            DiffOp::Replace { old_index, old_len, new_index, new_len } => (old_index, new_index, old_len.min(new_len)),
            DiffOp::Delete { .. } | DiffOp::Insert { .. } => continue,
        };
        for step in 0..count {
            own[to + step] = old[from + step].end;
        }
    }
    own
}

/// What most lines end with.
fn usual_end(lines: &[Line]) -> LineEnd {
    let count = |end| lines.iter().filter(|line| line.end == Some(end)).count();
    let all = [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr];
    all.into_iter().rev().max_by_key(|end| count(*end)).unwrap_or(LineEnd::Lf)
}

/// The text as it goes into the file: `edited` comes from the editor and has one kind of line end, `stored` is what it was made from and
/// has `ends`. `chosen` is the kind the person chose for the whole file, `fresh` the one for a file that has none yet.
pub fn with_ends(stored: &str, ends: LineEnds, chosen: Option<LineEnd>, fresh: Option<LineEnd>, edited: &str) -> String {
    match (chosen, ends) {
        (Some(end), _) | (None, LineEnds::All(end)) => unify(edited, end),
        (None, LineEnds::Mixed) => hand_back(stored, edited),
        (None, LineEnds::None) => unify(edited, fresh.unwrap_or(LineEnd::Lf)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_recognised() {
        assert_eq!(ends_of(""), LineEnds::None);
        assert_eq!(ends_of("one line"), LineEnds::None);
        assert_eq!(ends_of("a\nb\n"), LineEnds::All(LineEnd::Lf));
        assert_eq!(ends_of("a\r\nb"), LineEnds::All(LineEnd::CrLf));
        assert_eq!(ends_of("a\rb\r"), LineEnds::All(LineEnd::Cr));
        assert_eq!(ends_of("a\r\nb\n"), LineEnds::Mixed);
        assert_eq!(ends_of("a\n\rb"), LineEnds::Mixed);
    }

    #[test]
    fn pieces_make_the_text_again() {
        for text in ["", "a", "a\n", "\n\n", "a\r\nb\rc\n\r", "grüße\r\n…"] {
            assert_eq!(split_inclusive(text).concat(), text);
        }
    }

    #[test]
    fn lines_that_were_not_edited_keep_their_own_ends() {
        let stored = "one\r\ntwo\nthree\r\nfour\n\r\nfive";
        assert_eq!(hand_back(stored, "one\ntwo\nthree\nfour\n\nfive"), stored, "nothing edited");
        assert_eq!(hand_back(stored, "one\ntwo\n3\nfour\n\nfive"), "one\r\ntwo\n3\r\nfour\n\r\nfive", "an edited line keeps its own");
        assert_eq!(hand_back(stored, "one\ntwo\nfour\n\nfive"), "one\r\ntwo\nfour\n\r\nfive", "one deleted");
        assert_eq!(hand_back(stored, "one\nnew\ntwo\nthree\nfour\n\nfive"), "one\r\nnew\r\ntwo\nthree\r\nfour\n\r\nfive", "one added");
        assert_eq!(
            hand_back(stored, "zero\none\ntwo\nthree\nfour\n\nfive\nsix\n"),
            "zero\r\none\r\ntwo\nthree\r\nfour\n\r\nfive\r\nsix\r\n"
        );
        assert_eq!(hand_back(stored, ""), "");
    }

    #[test]
    fn lone_carriage_returns_survive() {
        let stored = "a\rb\rc\r";
        assert_eq!(hand_back(stored, "a\r\nB\r\nc\r\n"), "a\rB\rc\r");
        assert_eq!(with_ends(stored, ends_of(stored), None, None, "a\r\nb\r\nnew\r\nc\r\n"), "a\rb\rnew\rc\r");
    }

    #[test]
    fn the_kind_is_as_chosen_or_as_the_file_has_it() {
        let crlf = "a\r\nb\r\n";
        assert_eq!(with_ends(crlf, ends_of(crlf), None, None, "a\nb\nc\n"), "a\r\nb\r\nc\r\n");
        assert_eq!(with_ends(crlf, ends_of(crlf), Some(LineEnd::Lf), None, "a\nb\n"), "a\nb\n");
        assert_eq!(with_ends("", LineEnds::None, None, Some(LineEnd::CrLf), "a\nb"), "a\r\nb");
        let mixed = "a\r\nb\n";
        assert_eq!(with_ends(mixed, ends_of(mixed), Some(LineEnd::CrLf), None, "a\nb\n"), "a\r\nb\r\n");
    }

    /// Over many small texts: nothing edited gives the same bytes, and any edit keeps the words of every line.
    #[test]
    fn handing_back_never_changes_more_than_ends() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..2000 {
            let mut text = |lines: u64| -> String {
                (0..random(lines))
                    .map(|_| format!("{}{}", ["", "a", "b", "cc"][random(4) as usize], ["\n", "\r\n", "\r"][random(3) as usize]))
                    .collect()
            };
            let (stored, other) = (text(8), text(8));
            let flat = unify(&stored, LineEnd::Lf);
            assert_eq!(hand_back(&stored, &flat), stored);
            let edited = unify(&other, LineEnd::Lf);
            let back = hand_back(&stored, &edited);
            assert_eq!(unify(&back, LineEnd::Lf), edited, "{stored:?} {back:?}");
        }
    }
}
