//! Two texts that came from one are put together: what only one side changed is taken, what both changed differently is a conflict.

use serde::Serialize;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::text_lines::split_inclusive;

/// A stretch of the merged text, whole lines with their ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Piece {
    /// Nobody changed it, or both did the same.
    Same {
        text: String,
    },
    /// Changed on one side only; empty where that side deleted it.
    Mine {
        text: String,
    },
    Theirs {
        text: String,
    },
    Conflict {
        base: String,
        mine: String,
        theirs: String,
    },
}

impl Piece {
    /// Every line that the piece may put into the merged text.
    pub fn lines(&self) -> String {
        match self {
            Self::Same { text } | Self::Mine { text } | Self::Theirs { text } => text.clone(),
            Self::Conflict { mine, theirs, .. } => format!("{mine}{theirs}"),
        }
    }
}

/// A stretch of the base's lines that one side replaced by `len` of its own, from `at`.
#[derive(Debug, Clone, Copy)]
struct Change {
    from: usize,
    to: usize,
    at: usize,
    len: usize,
}

/// Puts `mine` and `theirs` together. Without a `base` nobody knows who changed what, so every difference is a conflict.
pub fn merge(base: Option<&str>, mine: &str, theirs: &str) -> Vec<Piece> {
    let mine = split_inclusive(mine);
    let theirs = split_inclusive(theirs);
    match base {
        Some(base) => merge_lines(&split_inclusive(base), &mine, &theirs),
        None => compare_lines(&mine, &theirs),
    }
}

fn changes(base: &[&str], side: &[&str]) -> Vec<Change> {
    let ops = capture_diff_slices(Algorithm::Myers, base, side);
    let changed = ops.into_iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    changed
        .map(|op| {
            let (old, new) = (op.old_range(), op.new_range());
            Change { from: old.start, to: old.end, at: new.start, len: new.len() }
        })
        .collect()
}

/// One side while the base is walked through: what it changed, and how far its lines have moved against the base's.
struct Walk<'a> {
    lines: &'a [&'a str],
    changes: std::iter::Peekable<std::vec::IntoIter<Change>>,
    shift: isize,
}

impl<'a> Walk<'a> {
    fn new(base: &[&str], lines: &'a [&'a str]) -> Self {
        Self { lines, changes: changes(base, lines).into_iter().peekable(), shift: 0 }
    }

    fn next_from(&mut self) -> usize {
        self.changes.peek().map_or(usize::MAX, |change| change.from)
    }

    /// Takes what begins at or before `to`; answers where that ends in the base, and whether there was any.
    fn take(&mut self, to: usize) -> Option<usize> {
        let change = self.changes.next_if(|change| change.from <= to)?;
        self.shift += change.len as isize - (change.to - change.from) as isize;
        debug_assert!(change.at <= self.lines.len());
        Some(change.to)
    }

    /// This side's lines for a stretch of the base, given how far they had moved before it.
    fn text(&self, from: usize, to: usize, shift_before: isize) -> String {
        let at = |line: usize, shift: isize| line.saturating_add_signed(shift).min(self.lines.len());
        self.lines[at(from, shift_before)..at(to, self.shift)].concat()
    }
}

fn merge_lines(base: &[&str], mine: &[&str], theirs: &[&str]) -> Vec<Piece> {
    let (mut mine, mut theirs) = (Walk::new(base, mine), Walk::new(base, theirs));
    let mut pieces = Vec::new();
    let mut at = 0;
    loop {
        let from = mine.next_from().min(theirs.next_from());
        if from == usize::MAX {
            break;
        }
        push(&mut pieces, Piece::Same { text: base[at..from].concat() });
        let (mine_before, theirs_before) = (mine.shift, theirs.shift);
        let (mut to, mut by_mine, mut by_theirs) = (from, false, false);
        // Changes that touch belong together: between them is no line that both sides left alone.
        loop {
            if let Some(end) = mine.take(to) {
                (to, by_mine) = (to.max(end), true);
            } else if let Some(end) = theirs.take(to) {
                (to, by_theirs) = (to.max(end), true);
            } else {
                break;
            }
        }
        let (m, t) = (mine.text(from, to, mine_before), theirs.text(from, to, theirs_before));
        push(
            &mut pieces,
            match (by_mine, by_theirs) {
                (true, false) => Piece::Mine { text: m },
                (false, _) => Piece::Theirs { text: t },
                (true, true) if m == t => Piece::Same { text: m },
                (true, true) => Piece::Conflict { base: base[from..to].concat(), mine: m, theirs: t },
            },
        );
        at = to;
    }
    push(&mut pieces, Piece::Same { text: base[at..].concat() });
    pieces
}

fn compare_lines(mine: &[&str], theirs: &[&str]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, mine, theirs) {
        let (m, t) = (mine[op.old_range()].concat(), theirs[op.new_range()].concat());
        let same = matches!(op, DiffOp::Equal { .. });
        push(&mut pieces, if same { Piece::Same { text: m } } else { Piece::Conflict { base: String::new(), mine: m, theirs: t } });
    }
    pieces
}

/// Leaves out unchanged stretches of no length.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    if !matches!(&piece, Piece::Same { text } if text.is_empty()) {
        pieces.push(piece);
    }
}

/// The merged text, where there is no conflict.
#[cfg(test)]
fn merged(pieces: &[Piece]) -> Option<String> {
    let clean = pieces.iter().all(|piece| !matches!(piece, Piece::Conflict { .. }));
    clean.then(|| pieces.iter().map(Piece::lines).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(base: &str, mine: &str, theirs: &str) -> Option<String> {
        merged(&merge(Some(base), mine, theirs))
    }

    #[test]
    fn changes_in_different_places_are_put_together() {
        let base = "a\nb\nc\nd\ne\n";
        assert_eq!(clean(base, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n").as_deref(), Some("A\nb\nc\nd\nE\n"));
        assert_eq!(clean(base, "b\nc\nd\ne\n", "a\nb\nc\nd\ne\nf\n").as_deref(), Some("b\nc\nd\ne\nf\n"));
        assert_eq!(clean(base, base, "").as_deref(), Some(""), "only they changed it");
        assert_eq!(clean(base, "x\n", base).as_deref(), Some("x\n"), "only I did");
    }

    #[test]
    fn the_same_change_on_both_sides_is_no_conflict() {
        assert_eq!(clean("a\nb\n", "a\nB\n", "a\nB\n").as_deref(), Some("a\nB\n"));
        assert_eq!(clean("", "new\n", "new\n").as_deref(), Some("new\n"));
    }

    #[test]
    fn what_both_changed_is_a_conflict_with_all_three_sides() {
        let pieces = merge(Some("a\nb\nc\n"), "a\nmine\nc\n", "a\ntheirs\nc\n");
        let conflict = Piece::Conflict { base: "b\n".into(), mine: "mine\n".into(), theirs: "theirs\n".into() };
        assert_eq!(pieces, [Piece::Same { text: "a\n".into() }, conflict, Piece::Same { text: "c\n".into() }]);
        assert!(clean("a\nb\n", "x\na\nb\n", "y\na\nb\n").is_none(), "both put something at one place");
        assert!(clean("a\nb\nc\n", "a\nc\n", "a\nb2\nc\n").is_none(), "deleted here, changed there");
    }

    #[test]
    fn a_conflict_takes_in_all_changes_that_touch_it() {
        let pieces = merge(Some("1\n2\n3\n4\n5\n"), "1\nM2\nM3\n4\n5\n", "1\n2\nT3\nT4\n5\n");
        let conflict = Piece::Conflict { base: "2\n3\n4\n".into(), mine: "M2\nM3\n4\n".into(), theirs: "2\nT3\nT4\n".into() };
        assert_eq!(pieces[1], conflict);
        assert_eq!(pieces.len(), 3);
    }

    #[test]
    fn without_a_base_every_difference_is_a_conflict() {
        let pieces = merge(None, "a\nmine\nc\n", "a\nc\ntheirs\n");
        assert_eq!(pieces.iter().filter(|piece| matches!(piece, Piece::Conflict { .. })).count(), 2);
    }

    #[test]
    fn line_ends_and_a_missing_last_one_are_part_of_the_lines() {
        assert_eq!(clean("a\r\nb\nc", "a\r\nb\nc\nd", "A\r\nb\nc").as_deref(), Some("A\r\nb\nc\nd"));
        assert!(clean("a\nb", "a\nb\n", "a\nb2").is_none());
    }

    /// Choosing one side everywhere gives that side where nothing was merged by itself, and the pieces of each side are complete.
    #[test]
    fn the_pieces_hold_both_sides_completely() {
        let mut seed = 11_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..3000 {
            let mut text = || -> String { (0..random(7)).map(|_| ["a\n", "b\n", "c\n"][random(3) as usize]).collect() };
            let (base, mine, theirs) = (text(), text(), text());
            let pieces = merge(Some(&base), &mine, &theirs);
            // Walking the base again: what a side did not change is as in the base, so each side can be read back from its own changes.
            let only_mine: String = merge(Some(&base), &mine, &base).iter().map(Piece::lines).collect();
            assert_eq!(only_mine, mine);
            let only_theirs: String = merge(Some(&base), &base, &theirs).iter().map(Piece::lines).collect();
            assert_eq!(only_theirs, theirs);
            if mine == theirs {
                assert_eq!(merged(&pieces).as_deref(), Some(mine.as_str()));
            }
            let mirrored = merge(Some(&base), &theirs, &mine);
            assert_eq!(merged(&pieces).is_some(), merged(&mirrored).is_some(), "the same from either side: {base:?} {mine:?} {theirs:?}");
        }
    }
}
