//! Replaces a piece of a text by its content, never by a guess. Pure.
//!
//! In this order: the exact text; the same text with other line ends; the same with its letters composed otherwise; the same lines with
//! other white space, if they stand in one place only and the indentation of the new lines can be derived. Lines that stay as they are
//! keep their bytes then. Otherwise the caller is told what comes closest.

mod composed;
#[cfg(test)]
mod corpus;
mod indent;
mod nearest;
#[cfg(test)]
mod tests;

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    pub text: String,
    pub count: usize,
    /// Line of the first replacement in the new text, counted from 1.
    pub first_line: usize,
    /// Set where white space, or how letters are composed, differed: what stood there.
    pub matched_loosely: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    EmptyOldText,
    NothingChanges,
    /// Lines where it begins.
    NotUnique {
        lines: Vec<usize>,
        loosely: bool,
    },
    /// The lines are there, but not with one consistent indentation; `found` is what stands there.
    IndentationUnclear {
        line: usize,
        found: String,
    },
    NotFound {
        nearest: Option<Nearest>,
        has_line_numbers: bool,
    },
}

/// What comes closest to a text that was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    pub line: usize,
    pub text: String,
}

/// Replaces `old` by `new` in `text`. Without `all`, `old` must stand there exactly once.
pub fn edit(text: &str, old: &str, new: &str, all: bool) -> Result<Edited, EditError> {
    if old.is_empty() {
        return Err(EditError::EmptyOldText);
    }
    if old == new {
        return Err(EditError::NothingChanges);
    }
    // Whoever writes carriage returns means them.
    let verbatim = old.contains('\r');
    // Otherwise a line end is taken whole, also where the text begins with it.
    let start = |at: usize| if !verbatim && old.starts_with('\n') && text[..at].ends_with('\r') { at - 1 } else { at };
    let exact: Vec<Range<usize>> = text.match_indices(old).map(|(at, m)| start(at)..at + m.len()).collect();
    if !exact.is_empty() {
        return replace_all_of(text, &exact, all, |range| if verbatim { new.to_owned() } else { with_line_ends_of(text, range, new) });
    }
    let other_ends = find_with_any_line_ends(text, old);
    if !other_ends.is_empty() {
        return replace_all_of(text, &other_ends, all, |range| with_line_ends_of(text, range, new));
    }
    let composed = composed::find(text, old);
    if !composed.is_empty() {
        let mut done = replace_all_of(text, &composed, all, |range| with_line_ends_of(text, range, new))?;
        done.matched_loosely = composed.first().map(|range| text[range.clone()].to_owned());
        return Ok(done);
    }
    // A byte order mark is no part of the first line.
    let mark = if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
    let mut done = edit_loosely(&text[mark..], without_mark(old), without_mark(new))?;
    done.text.insert_str(0, &text[..mark]);
    Ok(done)
}

const MARK: char = '\u{feff}';

fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

fn replace_all_of(text: &str, ranges: &[Range<usize>], all: bool, new: impl Fn(&Range<usize>) -> String) -> Result<Edited, EditError> {
    if ranges.len() > 1 && !all {
        let lines = ranges.iter().map(|r| line_of(text, r.start)).collect();
        return Err(EditError::NotUnique { lines, loosely: false });
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in ranges {
        out.push_str(&text[done..range.start]);
        out.push_str(&new(range));
        done = range.end;
    }
    out.push_str(&text[done..]);
    if out == text {
        return Err(EditError::NothingChanges);
    }
    let first_line = ranges.first().map_or(1, |r| line_of(text, r.start));
    Ok(Edited { text: out, count: ranges.len(), first_line, matched_loosely: None })
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
}

/// Matches `old` where the file has `\r\n` for `\n` or the other way round.
fn find_with_any_line_ends(text: &str, old: &str) -> Vec<Range<usize>> {
    if !text.contains('\r') && !old.contains('\r') {
        return Vec::new();
    }
    let wanted = old.replace("\r\n", "\n");
    let mut flat = String::with_capacity(text.len());
    // Where in `flat` a carriage return was left out.
    let mut dropped: Vec<usize> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\r\n") {
        flat.push_str(&rest[..at]);
        dropped.push(flat.len());
        rest = &rest[at + 1..];
    }
    flat.push_str(rest);
    // A match that begins at a line end takes the carriage return with it; one that ends before it leaves it.
    let to_text = |at: usize| at + dropped.partition_point(|d| *d < at);
    flat.match_indices(&wanted).map(|(at, m)| to_text(at)..to_text(at + m.len())).collect()
}

/// `new` with the line end that is in use around `range`.
fn with_line_ends_of(text: &str, range: &Range<usize>, new: &str) -> String {
    if !new.contains('\n') {
        return new.to_owned();
    }
    let flat = new.replace("\r\n", "\n");
    if uses_crlf(text, range.start) { flat.replace('\n', "\r\n") } else { flat }
}

/// Whether the line at `at` ends in `\r\n`; without a line end, whether the line before it does.
fn uses_crlf(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let end = bytes[at..].iter().position(|b| *b == b'\n').map(|n| at + n).or_else(|| bytes[..at].iter().rposition(|b| *b == b'\n'));
    end.is_some_and(|end| end > 0 && bytes[end - 1] == b'\r')
}

/// One line of a text without its end, and where it stands.
struct Line<'a> {
    text: &'a str,
    range: Range<usize>,
}

fn lines_of(text: &str) -> Vec<Line<'_>> {
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|whole| {
            let range = at..at + whole.len();
            at = range.end;
            Line { text: whole.trim_end_matches('\n').trim_end_matches('\r'), range }
        })
        .collect()
}

/// Lines with the blank ones at the beginning and at the end counted apart.
struct Trimmed<'a> {
    lines: Vec<&'a str>,
    before: usize,
    after: usize,
}

fn trim_blank_lines(text: &str) -> Trimmed<'_> {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|l| !l.trim().is_empty());
    let last = lines.iter().rposition(|l| !l.trim().is_empty());
    match (first, last) {
        (Some(first), Some(last)) => Trimmed { lines: lines[first..=last].to_vec(), before: first, after: lines.len() - 1 - last },
        _ => Trimmed { lines: Vec::new(), before: lines.len(), after: 0 },
    }
}

/// The lines of `new`, without blank ones around them as far as `old` has such too: those did not have to match.
fn lines_like<'a>(new: &'a str, old: &Trimmed<'_>) -> Vec<&'a str> {
    let all: Vec<&str> = new.lines().collect();
    let trimmed = trim_blank_lines(new);
    if trimmed.lines.is_empty() {
        return Vec::new();
    }
    let (before, after) = (trimmed.before.min(old.before), trimmed.after.min(old.after));
    all[before..all.len() - after].to_vec()
}

/// A line with its white space and letters in one form.
fn plain(line: &str) -> String {
    composed::compose(&line.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn edit_loosely(text: &str, old: &str, new: &str) -> Result<Edited, EditError> {
    let old_lines = trim_blank_lines(old);
    let wanted = &old_lines.lines;
    let lines = lines_of(text);
    let not_found = || EditError::NotFound { nearest: nearest::find(&lines, wanted), has_line_numbers: nearest::looks_numbered(old) };
    if wanted.is_empty() || wanted.len() > lines.len() {
        return Err(not_found());
    }
    let fits = |window: &[Line<'_>]| window.iter().zip(wanted).all(|(line, want)| line.text.trim() == want.trim());
    let mut places: Vec<usize> = lines.windows(wanted.len()).enumerate().filter(|(_, w)| fits(w)).map(|(n, _)| n).collect();
    if places.is_empty() {
        let want: Vec<String> = wanted.iter().map(|line| plain(line)).collect();
        let have: Vec<String> = lines.iter().map(|line| plain(line.text)).collect();
        places = have.windows(want.len()).enumerate().filter(|(_, window)| *window == want).map(|(n, _)| n).collect();
    }
    let [place] = places[..] else {
        if places.is_empty() {
            return Err(not_found());
        }
        return Err(EditError::NotUnique { lines: places.iter().map(|n| n + 1).collect(), loosely: true });
    };
    let matched = &lines[place..place + wanted.len()];
    let range = matched[0].range.start..matched[matched.len() - 1].range.end;
    let found = text[range.clone()].to_owned();
    let Some(replacement) = rewrite(text, matched, wanted, &lines_like(new, &old_lines)) else {
        return Err(EditError::IndentationUnclear { line: place + 1, found });
    };
    let edited = format!("{}{replacement}{}", &text[..range.start], &text[range.end..]);
    if edited == text {
        return Err(EditError::NothingChanges);
    }
    Ok(Edited { text: edited, count: 1, first_line: place + 1, matched_loosely: Some(found) })
}

/// What `matched` becomes when the lines that were written of it turn into `new`: lines that stay keep their bytes, the others get the
/// indentation of the file. `None` when that can't be derived.
fn rewrite(text: &str, matched: &[Line<'_>], wanted: &[&str], new: &[&str]) -> Option<String> {
    let pairs: Vec<(&str, &str)> = wanted.iter().zip(matched).filter(|(w, _)| !w.trim().is_empty()).map(|(w, l)| (*w, l.text)).collect();
    let (before, after): (Vec<&str>, Vec<&str>) =
        (wanted.iter().map(|l| l.trim_end()).collect(), new.iter().map(|l| l.trim_end()).collect());
    // For each new line the old one that it is, if it stays.
    let mut stays = vec![None; new.len()];
    for op in capture_diff_slices(Algorithm::Myers, &before, &after) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            (0..len).for_each(|n| stays[new_index + n] = Some(old_index + n));
        }
    }
    let fresh: Vec<&str> = new.iter().zip(&stays).filter(|(_, stays)| stays.is_none()).map(|(line, _)| *line).collect();
    let mut fresh = indent::carry(&pairs, &fresh)?.into_iter();
    let first = matched.first()?.range.start;
    let end = if uses_crlf(text, first) { "\r\n" } else { "\n" };
    let is_ended = matched.last()?.range.end > first && text[..matched.last()?.range.end].ends_with('\n');
    let mut out = String::new();
    for (at, stays) in stays.iter().enumerate() {
        let is_last = at + 1 == new.len();
        match stays {
            Some(old) => out.push_str(&text[matched[*old].range.clone()]),
            None => out.push_str(&(fresh.next()? + end)),
        }
        match (is_last, out.ends_with('\n')) {
            (false, false) => out.push_str(end),
            (true, false) if is_ended => out.push_str(end),
            (true, true) if !is_ended => {
                let line = out.strip_suffix("\r\n").or(out.strip_suffix('\n')).map_or(0, str::len);
                out.truncate(line);
            }
            _ => {}
        }
    }
    Some(out)
}
