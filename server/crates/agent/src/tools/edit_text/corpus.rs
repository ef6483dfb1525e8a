//! Edits as models write them, with what has to come of each: the one right text, or a refusal where there is none.
//!
//! A case names its kind, the file, the old and the new text, and the result. Line ends and the like are written out, so that a case is
//! what it looks like.

use std::collections::HashSet;

use super::{EditError, edit};

enum Wanted {
    /// The one right answer.
    Text(&'static str),
    /// There is no one right answer: nothing may be changed.
    Refused,
}

use Wanted::{Refused as R, Text as T};

type Case = (&'static str, &'static str, &'static str, &'static str, Wanted);

mod blanks;
mod letters;
mod places;

/// Cases, each of them once.
const ENOUGH: usize = 200;
/// Of them those that have one right answer, and those that have none.
const ANSWERABLE: usize = 150;
const REFUSED: usize = 50;
/// Of those with one right answer, how many must be applied, in a hundred.
const APPLIED: usize = 99;

#[test]
fn every_edit_is_right_or_refused() {
    let cases: Vec<&Case> = [blanks::CASES, letters::CASES, places::CASES].into_iter().flatten().collect();
    let distinct: HashSet<_> = cases.iter().map(|(_, file, old, new, _)| (file, old, new)).collect();
    assert!(distinct.len() == cases.len() && cases.len() >= ENOUGH, "{} cases, {} of them distinct", cases.len(), distinct.len());
    let (mut answerable, mut applied, mut refused) = (0, 0, 0);
    let mut wrong = Vec::new();
    let mut missed = Vec::new();
    for (kind, file, old, new, wanted) in &cases {
        let done = edit(file, old, new, false);
        match (wanted, &done) {
            (T(text), Ok(edited)) if edited.text == *text => {
                (answerable, applied) = (answerable + 1, applied + 1);
                let is_exact = file.contains(old) || file.replace("\r\n", "\n").contains(&old.replace("\r\n", "\n"));
                assert_eq!(
                    edited.matched_loosely.is_none(),
                    is_exact,
                    "{kind}: what was matched is shown just where it differs: {old:?} in {file:?}"
                );
            }
            (T(_), Err(error)) => {
                answerable += 1;
                missed.push(format!("{kind}: {old:?} in {file:?} was refused: {error:?}"));
            }
            (R, Err(error)) => {
                refused += 1;
                assert!(says_why(error), "{kind}: {error:?}");
            }
            (T(text), Ok(edited)) => wrong.push(format!("{kind}: {old:?} in {file:?}\n  became {:?}\n  not    {text:?}", edited.text)),
            (R, Ok(edited)) => wrong.push(format!("{kind}: {old:?} in {file:?}\n  became {:?}, and there is no right answer", edited.text)),
        }
    }
    assert!(wrong.is_empty(), "applied wrongly:\n{}", wrong.join("\n"));
    assert!(applied * 100 >= answerable * APPLIED, "{applied} of {answerable} applied; refused:\n{}", missed.join("\n"));
    assert!(answerable >= ANSWERABLE && refused >= REFUSED, "{answerable} with an answer, {refused} without");
    eprintln!("{} edits: {applied} of {answerable} applied, {refused} refused, none wrong", cases.len());
}

/// A refusal leaves the model something to go on with.
fn says_why(error: &EditError) -> bool {
    match error {
        EditError::NotUnique { lines, .. } => lines.len() > 1,
        EditError::IndentationUnclear { found, .. } => !found.is_empty(),
        EditError::NotFound { .. } | EditError::EmptyOldText | EditError::NothingChanges => true,
    }
}

/// The same edit in files that differ only in how they are written comes to the same, written so.
#[test]
fn an_edit_does_not_depend_on_how_the_file_is_written() {
    let mut count = 0;
    for (kind, file, old, new, wanted) in places::CASES {
        let T(text) = wanted else { continue };
        if [*file, *old, *new].iter().any(|text| text.contains('\r')) {
            continue;
        }
        let windows = |text: &str| text.replace('\n', "\r\n");
        for (file, old, new, text) in [
            (windows(file), (*old).to_owned(), (*new).to_owned(), windows(text)),
            ((*file).to_owned(), windows(old), windows(new), (*text).to_owned()),
            (format!("\u{feff}{file}"), (*old).to_owned(), (*new).to_owned(), format!("\u{feff}{text}")),
            (format!("§§§\n{file}"), (*old).to_owned(), (*new).to_owned(), format!("§§§\n{text}")),
        ] {
            let done = edit(&file, &old, &new, false).unwrap_or_else(|error| panic!("{kind}: {old:?} in {file:?}: {error:?}"));
            assert_eq!(done.text, text, "{kind}: {old:?} in {file:?}");
            count += 1;
        }
    }
    assert!(count >= 200, "{count} edits");
}
