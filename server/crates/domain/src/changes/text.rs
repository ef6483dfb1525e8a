//! Hunks of text: cutting a change into pieces a person can judge one by one, and putting the accepted ones into a file that may
//! have changed meanwhile. Pure.
//!
//! A line includes its line end, whatever it is, so bytes are never altered by splitting and joining.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

/// Lines of context around a change. Changes closer than twice this are one hunk.
const CONTEXT: usize = 3;

/// A piece of a change, numbered from 1 as in a unified diff; context included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunkDraft {
    pub old_start: usize,
    pub old_lines: usize,
    pub new_start: usize,
    pub new_lines: usize,
    pub diff: String,
}

/// Replaces the lines `old` (from 0) of the base by `new`; `expected` is what stands there in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    pub start: usize,
    pub expected: String,
    pub new: String,
    /// What was seen in the current text in place of these lines: then `new` replaces that, and only that.
    pub seen: Option<String>,
}

pub fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Cuts the way from `old` to `new` into hunks, in order. Empty when they are the same.
pub fn diff_hunks(old: &str, new: &str) -> Vec<HunkDraft> {
    let (old, new) = (lines(old), lines(new));
    let ops = capture_diff_slices(Algorithm::Myers, &old, &new);
    group_diff_ops(ops, CONTEXT).into_iter().filter_map(|group| draft(&old, &new, &group)).collect()
}

fn draft(old: &[&str], new: &[&str], group: &[DiffOp]) -> Option<HunkDraft> {
    let (first, last) = (group.first()?, group.last()?);
    let old_range = first.old_range().start..last.old_range().end;
    let new_range = first.new_range().start..last.new_range().end;
    let mut diff = String::new();
    for op in group {
        let (before, after) = (op.old_range(), op.new_range());
        if matches!(op, DiffOp::Equal { .. }) {
            push_lines(&mut diff, ' ', &old[before]);
        } else {
            push_lines(&mut diff, '-', &old[before]);
            push_lines(&mut diff, '+', &new[after]);
        }
    }
    // As diff does: an empty side is numbered by the line before it.
    let start = |range: &Range<usize>| if range.is_empty() { range.start } else { range.start + 1 };
    Some(HunkDraft {
        old_start: start(&old_range),
        old_lines: old_range.len(),
        new_start: start(&new_range),
        new_lines: new_range.len(),
        diff,
    })
}

fn push_lines(diff: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        diff.push(sign);
        diff.push_str(line);
        if !line.ends_with('\n') {
            diff.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// Counts added and removed lines of a hunk's diff.
pub fn count(diff: &str) -> (usize, usize) {
    let starts = |sign| lines(diff).iter().filter(|line| line.starts_with(sign)).count();
    (starts('+'), starts('-'))
}

/// Line number of the base, from 0, where a hunk's old side begins.
pub fn first_line(old_start: usize, old_lines: usize) -> usize {
    if old_lines == 0 { old_start } else { old_start - 1 }
}

/// Makes an edited text fit where the proposed one stood: with a line end if lines follow it, and with the file's kind of line end.
pub fn fit_edit(edited: &str, proposed: &str) -> String {
    let mut text = edited.to_owned();
    if proposed.contains("\r\n") && !text.contains('\r') {
        text = text.replace('\n', "\r\n");
    }
    if !text.is_empty() && !text.ends_with('\n') && proposed.ends_with('\n') {
        text.push_str(if proposed.contains("\r\n") { "\r\n" } else { "\n" });
    }
    text
}

/// Puts patches of `base` into `current`. Answers the new text and, for each patch, whether it fitted; one that does not fit leaves no
/// trace. A patch fits when the lines it replaces, and its place between its neighbours, are still there unchanged; one that has seen
/// what stands there instead fits when it is still that.
pub fn apply(base: &str, current: &str, patches: &[Patch]) -> (String, Vec<bool>) {
    let (base_lines, current_lines) = (lines(base), lines(current));
    let map = map_lines(&base_lines, &current_lines);
    let mut fits = Vec::with_capacity(patches.len());
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for patch in patches {
        let edit = match &patch.seen {
            Some(seen) => locate_gap(&current_lines, &map, patch, seen),
            None => locate(&base_lines, &current_lines, &map, patch),
        };
        let edit = edit.filter(|(range, _)| edits.iter().all(|(taken, _)| !overlap(range, taken)));
        fits.push(edit.is_some());
        edits.extend(edit);
    }
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = String::with_capacity(current.len());
    let mut at = 0;
    for (range, new) in edits {
        text.extend(current_lines[at..range.start].iter().copied());
        text.push_str(&new);
        at = range.end;
    }
    text.extend(current_lines[at..].iter().copied());
    (text, fits)
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    (a.start < b.end && b.start < a.end) || (a.is_empty() && b.is_empty() && a.start == b.start)
}

/// What the current text has in place of each of these ranges of lines of the base, and the line, from 0, where that begins.
pub fn find_gaps(base: &str, current: &str, olds: &[Range<usize>]) -> Vec<(usize, String)> {
    let (base_lines, current_lines) = (lines(base), lines(current));
    let map = map_lines(&base_lines, &current_lines);
    let read = |old: &Range<usize>| {
        let gap = gap_of(&map, current_lines.len(), old);
        (gap.start, current_lines[gap].concat())
    };
    olds.iter().map(read).collect()
}

/// The lines of the current text, `count` in all, between the nearest lines around `old` that are still there. Where the first or the
/// last of `old` itself is still there, it is the end, so that what others put around a hunk is none of it.
fn gap_of(map: &[Option<usize>], count: usize, old: &Range<usize>) -> Range<usize> {
    let end = old.end.min(map.len());
    let start = old.start.min(end);
    let own = &map[start..end];
    let above = || map[..start].iter().rev().flatten().next().map_or(0, |line| line + 1);
    let below = || map[end..].iter().flatten().next().copied().unwrap_or(count);
    let first = own.first().copied().flatten().unwrap_or_else(above);
    let last = own.last().copied().flatten().map_or_else(below, |line| line + 1);
    first..last
}

/// For each line of the base, where it stands in the current text, if it is still there.
fn map_lines(base: &[&str], current: &[&str]) -> Vec<Option<usize>> {
    let mut map = vec![None; base.len()];
    for op in capture_diff_slices(Algorithm::Myers, base, current) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            for offset in 0..len {
                map[old_index + offset] = Some(new_index + offset);
            }
        }
    }
    map
}

/// Where in the current text a patch goes, and what it puts there: only the lines that it really changes.
fn locate(base: &[&str], current: &[&str], map: &[Option<usize>], patch: &Patch) -> Option<(Range<usize>, String)> {
    let (old, new) = (lines(&patch.expected), lines(&patch.new));
    let end = patch.start.checked_add(old.len())?;
    if base.get(patch.start..end)? != old.as_slice() {
        return None;
    }
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let core = patch.start + before..end - after;
    let text = new[before..new.len() - after].concat();
    if core.is_empty() {
        let above = core.start.checked_sub(1).map_or(Some(None), |line| map[line].map(Some));
        let below = map.get(core.start).map_or(Some(current.len()), |found| *found);
        let at = above?.map_or(0, |line| line + 1);
        return (Some(at) == below).then_some((at..at, text));
    }
    let first = map[core.start]?;
    let stays = core.clone().enumerate().all(|(offset, line)| map[line] == Some(first + offset));
    stays.then_some((first..first + core.len(), text))
}

/// Where in the current text a patch goes that replaces what was seen there.
fn locate_gap(current: &[&str], map: &[Option<usize>], patch: &Patch, seen: &str) -> Option<(Range<usize>, String)> {
    let end = patch.start.checked_add(lines(&patch.expected).len())?;
    let gap = gap_of(map, current.len(), &(patch.start..end));
    if current[gap.clone()].concat() != seen {
        return None;
    }
    let mut text = patch.new.clone();
    // A hunk that was last in the base may have lines below it by now.
    if gap.end < current.len() && !text.is_empty() && !text.ends_with('\n') {
        text.push_str(if current[gap.end].ends_with("\r\n") { "\r\n" } else { "\n" });
    }
    Some((gap, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::{
        HunkId,
        changes::{Hunk, HunkState},
    };

    use super::*;

    fn hunk(draft: &HunkDraft) -> Hunk {
        Hunk {
            id: HunkId(uuid::Uuid::nil()),
            old_start: draft.old_start as i32,
            old_lines: draft.old_lines as i32,
            new_start: draft.new_start as i32,
            new_lines: draft.new_lines as i32,
            diff: draft.diff.clone(),
            state: HunkState::Open,
            edited_text: None,
            reason: None,
            decided_by: None,
            now: None,
        }
    }

    fn patch(draft: &HunkDraft) -> Patch {
        let hunk = hunk(draft);
        Patch { start: first_line(draft.old_start, draft.old_lines), expected: hunk.old_text(), new: hunk.new_text(), seen: None }
    }

    #[test]
    fn one_of_two_hunks() {
        let old: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 3\n", "line three\n").replace("line 25\n", "");
        let drafts = diff_hunks(&old, &new);
        assert_eq!(drafts.len(), 2);
        assert_eq!((drafts[0].old_start, drafts[0].old_lines, drafts[0].new_lines), (1, 6, 6));
        let (text, fits) = apply(&old, &old, &[patch(&drafts[1])]);
        assert_eq!(fits, [true]);
        assert_eq!(text, old.replace("line 25\n", ""));
    }

    #[test]
    fn what_others_changed_elsewhere_stays() {
        let old: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 20\n", "line twenty\n");
        let current = format!("a new first line\n{old}").replace("line 5\n", "");
        let (text, fits) = apply(&old, &current, &[patch(&diff_hunks(&old, &new)[0])]);
        assert_eq!(fits, [true]);
        assert_eq!(text, current.replace("line 20\n", "line twenty\n"));
    }

    #[test]
    fn what_no_longer_fits_leaves_no_trace() {
        let old = "a\nb\nc\n";
        let drafts = diff_hunks(old, "a\nB\nc\n");
        let current = "a\nbee\nc\n";
        assert_eq!(apply(old, current, &[patch(&drafts[0])]), (current.to_owned(), vec![false]));
        let inserts = diff_hunks(old, "a\nb\nnew\nc\n");
        let current = "a\nb\ntheirs\nc\n";
        assert_eq!(apply(old, current, &[patch(&inserts[0])]), (current.to_owned(), vec![false]));
    }

    #[test]
    fn what_was_seen_is_replaced() {
        let old: String = (1..=12).map(|n| format!("line {n}\n")).collect();
        let draft = &diff_hunks(&old, &old.replace("line 6\n", "six\n"))[0];
        assert_eq!((draft.old_start, draft.old_lines), (3, 7));
        // Lines come above and right before the hunk, its core and its last line change, and so does the line below it.
        let current = format!("new\n{old}").replace("line 3\n", "above\nline 3\n").replace("line 6\n", "theirs\n");
        let current = current.replace("line 9\nline 10\n", "nine\nten\n");
        let seen = "line 3\nline 4\nline 5\ntheirs\nline 7\nline 8\nnine\nten\n";
        let gap = |base: &str, current: &str, old: Range<usize>| find_gaps(base, current, std::slice::from_ref(&old)).remove(0);
        assert_eq!(gap(&old, &current, 2..9), (4, seen.to_owned()));
        let fit = Patch { new: "both".to_owned(), seen: Some(seen.to_owned()), ..patch(draft) };
        let (text, fits) = apply(&old, &current, std::slice::from_ref(&fit));
        assert_eq!((text.as_str(), fits), ("new\nline 1\nline 2\nabove\nboth\nline 11\nline 12\n", vec![true]));
        let later = current.replace("theirs\n", "theirs, later\n");
        assert_eq!(apply(&old, &later, &[fit]), (later, vec![false]));
        // Nothing is left between the lines around, or of the whole text.
        assert_eq!(gap("a\nb\nc\n", "a\nc\n", 1..2), (1, String::new()));
        assert_eq!(gap("a\nb\n", "", 0..2), (0, String::new()));
        assert_eq!(gap("", "theirs\n", 0..0), (0, "theirs\n".to_owned()));
    }

    #[test]
    fn line_ends_are_kept() {
        let old = "a\r\nb\r\nc";
        let new = "a\r\nB\r\nc";
        let drafts = diff_hunks(old, new);
        assert!(drafts[0].diff.ends_with("c\n\\ No newline at end of file\n"));
        assert_eq!(apply(old, old, &[patch(&drafts[0])]).0, new);
        assert_eq!(fit_edit("x\ny", "a\r\nb\r\n"), "x\r\ny\r\n");
        assert_eq!(fit_edit("x", "last line"), "x");
        assert_eq!(fit_edit("", "a\n"), "");
    }

    #[test]
    fn empty_files() {
        let drafts = diff_hunks("", "a\nb");
        assert_eq!((drafts[0].old_start, drafts[0].old_lines, drafts[0].new_start, drafts[0].new_lines), (0, 0, 1, 2));
        assert_eq!(apply("", "", &[patch(&drafts[0])]).0, "a\nb");
        assert!(diff_hunks("same", "same").is_empty());
    }

    fn text() -> impl Strategy<Value = String> {
        let line = prop_oneof![Just("a"), Just("b"), Just("c"), Just(""), Just("ü"), Just("x\r")];
        (proptest::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, ended)| {
            let text = lines.join("\n");
            if ended && !text.is_empty() { text + "\n" } else { text }
        })
    }

    proptest! {
        /// All hunks accepted is the new text, none is the old one, to the byte.
        #[test]
        fn all_or_nothing(old in text(), new in text()) {
            let drafts = diff_hunks(&old, &new);
            let patches: Vec<_> = drafts.iter().map(patch).collect();
            let (all, fits) = apply(&old, &old, &patches);
            prop_assert!(fits.iter().all(|fit| *fit));
            prop_assert_eq!(&all, &new);
            prop_assert_eq!(apply(&old, &old, &[]).0, old);
        }

        /// Any choice of hunks gives the old text with exactly those replaced.
        #[test]
        fn chosen_hunks_exactly(old in text(), new in text(), chosen in any::<u64>()) {
            let drafts = diff_hunks(&old, &new);
            let picked: Vec<_> = drafts.iter().enumerate().filter(|(n, _)| chosen >> (n % 64) & 1 == 1).map(|(_, draft)| patch(draft)).collect();
            let (at_once, fits) = apply(&old, &old, &picked);
            prop_assert!(fits.iter().all(|fit| *fit));
            // The expected text is built without the code under test: old lines, with the chosen hunks' lines replaced.
            let mut expected = lines(&old).into_iter().map(str::to_owned).collect::<Vec<_>>();
            for (n, draft) in drafts.iter().enumerate().rev() {
                if chosen >> (n % 64) & 1 == 1 {
                    let start = first_line(draft.old_start, draft.old_lines);
                    let new_start = first_line(draft.new_start, draft.new_lines);
                    let replacement: Vec<String> = lines(&new)[new_start..new_start + draft.new_lines].iter().map(|l| (*l).to_owned()).collect();
                    expected.splice(start..start + draft.old_lines, replacement);
                }
            }
            prop_assert_eq!(&at_once, &expected.concat());
        }

        /// Whatever the file has become, applying never loses a line that somebody else wrote outside of an accepted hunk's own lines.
        #[test]
        fn foreign_lines_survive(old in text(), new in text(), at in any::<prop::sample::Index>()) {
            let mut current: Vec<String> = lines(&old).into_iter().map(str::to_owned).collect();
            let place = at.index(current.len() + 1);
            current.insert(place, "somebody else's line\n".to_owned());
            let current = current.concat();
            let patches: Vec<_> = diff_hunks(&old, &new).iter().map(patch).collect();
            let (text, _) = apply(&old, &current, &patches);
            prop_assert_eq!(text.matches("somebody else's line\n").count(), 1);
        }
    }
}
