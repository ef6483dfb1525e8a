//! The lines of a hunk, ready to be drawn.

use similar::{Algorithm, DiffOp, capture_diff_slices};
use wire::changes::Hunk;

/// Longer lines get no word marks.
const WORD_MARKS_MAX: usize = 600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Both,
    Old,
    New,
}

/// One line of a hunk. `parts` are pieces of its text, true where they differ from the line that it replaces or is replaced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Counts the lines of the hunk from 0.
    pub index: u32,
    pub side: Side,
    pub old: Option<i32>,
    pub new: Option<i32>,
    pub parts: Vec<(bool, String)>,
    /// The file ends here without a line end.
    pub no_newline: bool,
}

impl DiffLine {
    pub fn text(&self) -> String {
        self.parts.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Reads the lines of a hunk with their numbers and word marks.
pub fn read_lines(hunk: &Hunk) -> Vec<DiffLine> {
    let (mut old, mut new) = (hunk.old_start.max(1), hunk.new_start.max(1));
    let mut lines: Vec<DiffLine> = Vec::new();
    for raw in hunk.diff.lines() {
        let text = raw.get(1..).unwrap_or_default().to_owned();
        let line = |side| DiffLine {
            index: lines.len() as u32,
            side,
            old: None,
            new: None,
            parts: vec![(false, text.clone())],
            no_newline: false,
        };
        let line = match raw.as_bytes().first() {
            Some(b'\\') => {
                if let Some(last) = lines.last_mut() {
                    last.no_newline = true;
                }
                continue;
            }
            Some(b'-') => DiffLine { old: Some(old), ..line(Side::Old) },
            Some(b'+') => DiffLine { new: Some(new), ..line(Side::New) },
            _ => DiffLine { old: Some(old), new: Some(new), ..line(Side::Both) },
        };
        old += i32::from(line.old.is_some());
        new += i32::from(line.new.is_some());
        lines.push(line);
    }
    mark_words(&mut lines);
    lines
}

/// Marks the words that differ, line by line, in each run of removed lines followed by as many added ones or more.
fn mark_words(lines: &mut [DiffLine]) {
    let mut at = 0;
    while at < lines.len() {
        let end_of = |from: usize, side: Side| from + lines[from..].iter().take_while(|line| line.side == side).count();
        let removed = end_of(at, Side::Old);
        let added = end_of(removed, Side::New);
        if removed > at {
            for pair in 0..(removed - at).min(added - removed) {
                let (old, new) = (at + pair, removed + pair);
                if let Some((old_parts, new_parts)) = differ(&lines[old].text(), &lines[new].text()) {
                    lines[old].parts = old_parts;
                    lines[new].parts = new_parts;
                }
            }
        }
        at = added.max(at + 1);
    }
}

type Parts = Vec<(bool, String)>;

/// The two texts in pieces; `None` where they have too little in common for marks to help.
fn differ(old: &str, new: &str) -> Option<(Parts, Parts)> {
    if old.len() > WORD_MARKS_MAX || new.len() > WORD_MARKS_MAX {
        return None;
    }
    let (a, b) = (words(old), words(new));
    let (mut old_parts, mut new_parts) = (Vec::new(), Vec::new());
    let mut same = 0;
    for op in capture_diff_slices(Algorithm::Myers, &a, &b) {
        let changed = !matches!(op, DiffOp::Equal { .. });
        let (left, right) = (a[op.old_range()].concat(), b[op.new_range()].concat());
        if !changed {
            same += left.trim().len();
        }
        push_part(&mut old_parts, changed, left);
        push_part(&mut new_parts, changed, right);
    }
    (same * 4 >= old.trim().len().max(new.trim().len())).then_some((old_parts, new_parts))
}

fn push_part(parts: &mut Parts, changed: bool, text: String) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some((last, before)) if *last == changed => before.push_str(&text),
        _ => parts.push((changed, text)),
    }
}

/// Runs of letters and digits, runs of blanks, and single other characters.
fn words(text: &str) -> Vec<&str> {
    let kind = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            1
        } else if c.is_whitespace() {
            2
        } else {
            0
        }
    };
    let mut out = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (i, c) in text.char_indices() {
        let now = kind(c);
        if i > start && (now == 0 || before != Some(now)) {
            out.push(&text[start..i]);
            start = i;
        }
        before = Some(now);
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

/// Bytes of indentation that every line with content begins with. Blanks are one byte each.
pub fn common_indent(lines: &[DiffLine]) -> usize {
    let mut common: Option<String> = None;
    for text in lines.iter().map(DiffLine::text).filter(|text| !text.trim().is_empty()) {
        let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
        common = Some(match common {
            None => indent.to_owned(),
            Some(known) => known.bytes().zip(indent.bytes()).take_while(|(a, b)| a == b).map(|(a, _)| char::from(a)).collect(),
        });
    }
    common.map_or(0, |common| common.len())
}

#[cfg(test)]
mod tests {
    use wire::changes::HunkState;

    use super::*;

    fn hunk(diff: &str) -> Hunk {
        Hunk {
            id: "00000000000000000000000000000001".parse().unwrap(),
            old_start: 35,
            old_lines: 0,
            new_start: 40,
            new_lines: 0,
            diff: diff.to_owned(),
            state: HunkState::Open,
            edited_text: None,
            reason: None,
            decided_by: None,
            now: None,
        }
    }

    const DIFF: &str = "     for x in y:\n-        a = 2 ** n\n-        b()\n+        a = wait(n)\n+        c()\n         d\n";

    #[test]
    fn lines_are_numbered_on_both_sides() {
        let lines = read_lines(&hunk(DIFF));
        let numbers: Vec<_> = lines.iter().map(|line| (line.old, line.new)).collect();
        assert_eq!(
            numbers,
            [(Some(35), Some(40)), (Some(36), None), (Some(37), None), (None, Some(41)), (None, Some(42)), (Some(38), Some(43))]
        );
        assert_eq!(common_indent(&lines), 4);
    }

    #[test]
    fn words_that_differ_are_marked() {
        let lines = read_lines(&hunk("-let a = one(x);\n+let a = two(x);\n"));
        assert_eq!(lines[0].parts, [(false, "let a = ".into()), (true, "one".into()), (false, "(x);".into())]);
        assert_eq!(lines[1].parts[1], (true, "two".into()));
        let unlike = read_lines(&hunk("-completely other\n+fn main() {}\n"));
        assert_eq!(unlike[0].parts.len(), 1);
    }

    #[test]
    fn lines_are_counted_as_choices_are() {
        let h = hunk("-a\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n");
        let lines = read_lines(&h);
        assert!(lines[0].no_newline);
        assert_eq!(lines.iter().map(|line| line.index).collect::<std::collections::BTreeSet<_>>(), h.changed_lines());
    }

    #[test]
    fn odd_text_does_not_break_words() {
        for text in ["", "ä", "a  b", "日本 語", "\t\tx"] {
            assert_eq!(words(text).concat(), text);
        }
    }
}
