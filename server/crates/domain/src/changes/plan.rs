//! What a file becomes by the decisions on its hunks, worked out against the project as it is now.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use blobs::Blobs;
use store::{changes as table, files::FileRow};
use wire::{
    HunkId, ProjectId,
    changes::{ChangeAction, Gap, HunkState},
    files::{EntryKind, FileAction},
};

use super::{blob_text, text};
use crate::{Ctx, Error, Result, files::Content, storage};

/// Bytes of a gap that is told. Longer ones are fitted in the file itself.
const GAP_MAX: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub enum Choice {
    Accept,
    Reject,
    Edit {
        text: String,
        /// What it replaces, where the hunk's own lines are not there any more.
        seen: Option<String>,
    },
    /// The changed lines that are taken.
    Lines(BTreeSet<u32>),
}

/// What a file becomes.
pub enum Outcome {
    Unchanged,
    Write {
        content: Content,
        action: FileAction,
        moved_from: Option<String>,
    },
    Delete,
    /// Its content goes on at another path.
    MoveAway,
}

pub struct Plan {
    /// The file's place in the set.
    pub file: i64,
    pub path: String,
    /// The version that the plan was made for, 0 when there was none.
    pub seen_version: i64,
    pub outcome: Outcome,
}

/// A hunk with what becomes of it.
pub struct Verdict {
    pub hunk: table::HunkRow,
    pub path: String,
    pub action: ChangeAction,
    pub old_path: Option<String>,
    pub state: HunkState,
    pub edited: Option<String>,
}

#[derive(Default)]
pub struct Planned {
    pub plans: Vec<Plan>,
    pub verdicts: Vec<Verdict>,
}

/// A hunk of which something is taken: the text in place of its new side, `None` for exactly what was proposed.
#[derive(Clone)]
struct Taken<'a> {
    hunk: &'a table::HunkRow,
    text: Option<String>,
    /// What an edit replaces in place of the hunk's own lines.
    seen: Option<String>,
}

impl Taken<'_> {
    fn is_whole(&self, file: &table::ChangeFileRow) -> bool {
        is_whole(file, self.hunk)
    }
}

/// What the project holds at a path: its latest version, also a deletion.
struct Place {
    path: String,
    version: i64,
    current: Option<FileRow>,
}

struct Planner<'a> {
    file: &'a table::ChangeFileRow,
    hunks: &'a [table::HunkRow],
    blobs: &'a dyn Blobs,
    planned: Planned,
}

/// Works out one file. With `is_refused` nothing of it can be written.
pub async fn plan_file(
    ctx: &Ctx,
    project: ProjectId,
    file: &table::ChangeFileRow,
    hunks: &[table::HunkRow],
    choices: &HashMap<HunkId, Choice>,
    is_refused: bool,
) -> Result<Planned> {
    let (places, blobs) = find_places(ctx, project, file).await?;
    let mut planner = Planner { file, hunks, blobs: &*blobs, planned: Planned::default() };
    let mut taken = Vec::new();
    for hunk in hunks {
        match choices.get(&hunk.id).map(|choice| resolve(file, hunk, choice)).transpose()? {
            None => {}
            Some(None) => planner.settle(hunk, HunkState::Rejected, None),
            Some(Some(text)) => {
                let seen = if let Some(Choice::Edit { seen, .. }) = choices.get(&hunk.id) { seen.clone() } else { None };
                taken.push(Taken { hunk, text, seen });
            }
        }
    }
    if taken.is_empty() {
        return Ok(planner.planned);
    }
    if is_refused {
        planner.settle_all(&taken, &vec![false; taken.len()]);
        return Ok(planner.planned);
    }
    match &places[..] {
        [new, old] => planner.plan_move(old, new, &taken).await?,
        _ => planner.plan_in_place(&places[0], &taken).await?,
    }
    Ok(planner.planned)
}

/// What the project holds at the file's path, then at the one that it moves from, and where the bytes are.
async fn find_places(ctx: &Ctx, project: ProjectId, file: &table::ChangeFileRow) -> Result<(Vec<Place>, Arc<dyn Blobs>)> {
    let mut conn = ctx.services().db.read().await?;
    let mut places = Vec::new();
    for path in std::iter::once(&file.path).chain(&file.old_path) {
        let latest = store::files::latest(&mut conn, project, path).await?;
        let version = latest.as_ref().map_or(0, |row| row.version);
        places.push(Place { path: path.clone(), version, current: latest.filter(|row| !row.is_deleted()) });
    }
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    Ok((places, blobs))
}

/// What the project has in place of the hunks of a file that are in conflict. None of what is no text, or too long.
pub async fn find_gaps(
    ctx: &Ctx,
    project: ProjectId,
    file: &table::ChangeFileRow,
    hunks: &[table::HunkRow],
) -> Result<HashMap<HunkId, Gap>> {
    let is_asked = |hunk: &&table::HunkRow| hunk.state.0 == HunkState::Conflict && !hunk.diff.is_empty();
    let asked: Vec<&table::HunkRow> = hunks.iter().filter(is_asked).collect();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let (places, blobs) = find_places(ctx, project, file).await?;
    let place = match &places[..] {
        [new, old] if !has_moved(hunks) && !is_moved_by_others(file, old, new) => old,
        _ => &places[0],
    };
    let Some(current) = text_now(file, &*blobs, place.current.as_ref()).await? else { return Ok(HashMap::new()) };
    let base = base_text(file, &*blobs).await?;
    let olds: Vec<Range<usize>> = asked.iter().map(|hunk| start_of(hunk)..start_of(hunk) + hunk.old_lines as usize).collect();
    let found = text::find_gaps(&base, &current, &olds).into_iter();
    let told = asked.into_iter().zip(found).filter(|(_, (_, text))| text.len() <= GAP_MAX);
    Ok(told.map(|(hunk, (first, text))| (hunk.id, Gap { path: place.path.clone(), first_line: first as i32 + 1, text })).collect())
}

/// `None` where the hunk is rejected, else the text in place of what was proposed, if that is another one.
fn resolve(file: &table::ChangeFileRow, hunk: &table::HunkRow, choice: &Choice) -> Result<Option<Option<String>>> {
    let is_whole = is_whole(file, hunk);
    let refuse = |field: &'static str| Err(Error::invalid(field, format!("{} can only be accepted or rejected as a whole.", file.path)));
    match choice {
        Choice::Accept => Ok(Some(None)),
        Choice::Reject => Ok(None),
        Choice::Edit { .. } if is_whole => refuse("edits"),
        Choice::Edit { text, seen: Some(seen) } if !seen.is_empty() => Ok(Some(Some(text::fit_edit(text, seen)))),
        Choice::Edit { text, .. } => Ok(Some(Some(text::fit_edit(text, &hunk.clone().into_hunk().new_text())))),
        Choice::Lines(_) if is_whole => refuse("lines"),
        Choice::Lines(lines) => {
            let hunk = hunk.clone().into_hunk();
            let changed = hunk.changed_lines();
            if !lines.is_subset(&changed) {
                return Err(Error::invalid("lines", format!("Some of these are no changed lines of their hunk in {}.", file.path)));
            }
            // All of them is what was proposed, none of them nothing.
            Ok(if lines.is_empty() { None } else { Some((*lines != changed).then(|| hunk.text_of_lines(lines))) })
        }
    }
}

impl Planner<'_> {
    fn settle(&mut self, hunk: &table::HunkRow, state: HunkState, edited: Option<String>) {
        self.planned.verdicts.push(Verdict {
            hunk: hunk.clone(),
            path: self.file.path.clone(),
            action: self.file.action.0,
            old_path: self.file.old_path.clone(),
            state,
            edited,
        });
    }

    /// One that does not fit keeps the text that was wanted, to go on from.
    fn settle_all(&mut self, taken: &[Taken<'_>], fits: &[bool]) {
        for (taken, fits) in taken.iter().zip(fits) {
            let state = match (fits, &taken.text) {
                (false, _) => HunkState::Conflict,
                (true, Some(_)) => HunkState::Edited,
                (true, None) => HunkState::Accepted,
            };
            self.settle(taken.hunk, state, taken.text.clone());
        }
    }

    fn plan(&mut self, place: &Place, outcome: Outcome) {
        self.planned.plans.push(Plan { file: self.file.ord, path: place.path.clone(), seen_version: place.version, outcome });
    }

    async fn plan_in_place(&mut self, place: &Place, taken: &[Taken<'_>]) -> Result<()> {
        let current = place.current.as_ref();
        let (whole, by_line): (Vec<&Taken<'_>>, Vec<&Taken<'_>>) = taken.iter().partition(|taken| taken.is_whole(self.file));
        let mut outcome = Outcome::Unchanged;
        for taken in whole {
            let fitted = take_whole(self.file, taken.hunk, current);
            self.settle(taken.hunk, if fitted.is_some() { HunkState::Accepted } else { HunkState::Conflict }, None);
            if let Some(fitted) = fitted {
                outcome = fitted;
            }
        }
        if !by_line.is_empty() {
            let by_line: Vec<Taken<'_>> = by_line.into_iter().cloned().collect();
            // The mode may have been accepted in the same go.
            let mode = if let Outcome::Write { content, .. } = &outcome { Some(content.mode) } else { None };
            let (result, fits) = self.take_lines(&by_line, current, false).await?;
            self.settle_all(&by_line, &fits);
            if let Some(result) = result {
                let stored = self.blobs.put_bytes(result.into_bytes()).await?;
                let own_mode = current.map(|row| row.mode).or(self.file.new_mode).unwrap_or(0o644) as i32;
                let content = Content::file(place.path.clone(), stored.sha256, stored.size, mode.unwrap_or(own_mode));
                outcome = Outcome::Write { content, action: changed_or_added(current), moved_from: None };
            }
        }
        self.plan(place, outcome);
        Ok(())
    }

    /// A renamed file: its text is decided where the file is now, which is the old path until the move is accepted.
    async fn plan_move(&mut self, old: &Place, new: &Place, taken: &[Taken<'_>]) -> Result<()> {
        let has_moved = has_moved(self.hunks);
        let moves = taken.iter().find(|taken| taken.hunk.diff.is_empty());
        let by_line: Vec<Taken<'_>> = taken.iter().filter(|taken| !taken.hunk.diff.is_empty()).cloned().collect();
        let is_there = is_moved_by_others(self.file, old, new);
        let can_move = is_there || (old.current.is_some() && new.current.is_none());
        if let Some(moves) = moves {
            self.settle(moves.hunk, if can_move { HunkState::Accepted } else { HunkState::Conflict }, None);
        }
        let here = if has_moved || is_there { new } else { old };
        let result = if by_line.is_empty() {
            None
        } else {
            let (result, fits) = self.take_lines(&by_line, here.current.as_ref(), is_there && !has_moved).await?;
            self.settle_all(&by_line, &fits);
            result
        };
        let Some(row) = here.current.as_ref() else { return Ok(()) };
        let is_move = moves.is_some() && can_move && !is_there;
        let mode = match self.file.new_mode {
            Some(mode) if is_move && Some(row.mode) == self.file.old_mode => mode,
            _ => row.mode,
        };
        let place = if is_move { new } else { here };
        let content = match result {
            Some(result) => {
                let stored = self.blobs.put_bytes(result.into_bytes()).await?;
                Content::file(place.path.clone(), stored.sha256, stored.size, mode as i32)
            }
            None => Content { mode: mode as i32, ..Content::of_row(row, place.path.clone()) },
        };
        if is_move {
            self.plan(old, Outcome::MoveAway);
            let moved_from = Some(old.path.clone());
            self.plan(new, Outcome::Write { content, action: FileAction::Added, moved_from });
        } else if row.checksum.as_deref() != Some(&content.checksum) {
            self.plan(here, Outcome::Write { content, action: FileAction::Modified, moved_from: None });
        } else {
            self.plan(here, Outcome::Unchanged);
        }
        Ok(())
    }

    /// Puts hunks into the text as it is now. Answers the new text, `None` when nothing is to be written, and what fitted. With
    /// `is_done` somebody has written meanwhile what was proposed.
    async fn take_lines(&self, taken: &[Taken<'_>], current: Option<&FileRow>, is_done: bool) -> Result<(Option<String>, Vec<bool>)> {
        let (by_gap, by_map): (Vec<Taken<'_>>, Vec<Taken<'_>>) = taken.iter().cloned().partition(|taken| taken.seen.is_some());
        let (written, mapped) = if by_map.is_empty() {
            (None, Vec::new())
        } else if is_done {
            (None, by_map.iter().map(|taken| taken.text.is_none()).collect())
        } else {
            self.take_mapped(&by_map, current).await?
        };
        if by_gap.is_empty() {
            return Ok((written, mapped));
        }
        // These come last: what the others write does not touch what was seen, or it is not that any more.
        let (written, filled) = self.take_gaps(&by_gap, current, written).await?;
        let (mut mapped, mut filled) = (mapped.into_iter(), filled.into_iter());
        let next = |taken: &Taken<'_>| if taken.seen.is_some() { filled.next() } else { mapped.next() };
        let fits = taken.iter().map(next).map(|fits| fits.unwrap_or(false)).collect();
        Ok((written, fits))
    }

    /// Puts edits in place of what they have seen, into the text that is written anyway or else that is there. Answers as
    /// [`Self::take_lines`].
    async fn take_gaps(
        &self,
        taken: &[Taken<'_>],
        current: Option<&FileRow>,
        written: Option<String>,
    ) -> Result<(Option<String>, Vec<bool>)> {
        let text = match &written {
            Some(text) => Some(text.clone()),
            None => text_now(self.file, self.blobs, current).await?,
        };
        let Some(text) = text else { return Ok((None, vec![false; taken.len()])) };
        let base = base_text(self.file, self.blobs).await?;
        let patches: Vec<_> = taken.iter().map(new_patch).collect();
        let (result, fits) = text::apply(&base, &text, &patches);
        Ok((if result == text { written } else { Some(result) }, fits))
    }

    /// Puts hunks where their own lines are. Answers as [`Self::take_lines`].
    async fn take_mapped(&self, taken: &[Taken<'_>], current: Option<&FileRow>) -> Result<(Option<String>, Vec<bool>)> {
        let file = self.file;
        let base = base_text(file, self.blobs).await?;
        let before: Vec<_> = self.hunks.iter().filter_map(decided_patch).collect();
        let now: Vec<_> = taken.iter().map(new_patch).collect();
        let is_new = file.action.0 == ChangeAction::Add && before.is_empty();
        let current_text = match current.and_then(|row| row.checksum.as_deref()) {
            Some(checksum) if !is_new || Some(checksum) == file.new_checksum.as_deref() => blob_text(self.blobs, checksum).await?,
            // Somebody made a file of that name meanwhile.
            Some(_) => None,
            None if is_new && current.is_none() => Some(String::new()),
            // Somebody deleted it meanwhile.
            None => None,
        };
        let Some(current_text) = current_text else { return Ok((None, vec![false; taken.len()])) };
        let (expected, _) = text::apply(&base, &base, &before);
        // Where nobody else has written, the answer is exact; else each hunk has to find its lines again.
        let (result, fits) = if current_text == expected && !(is_new && current.is_some()) {
            let all: Vec<_> = before.iter().chain(&now).cloned().collect();
            let (result, fits) = text::apply(&base, &base, &all);
            (result, fits[before.len()..].to_vec())
        } else if is_new {
            // It is there already, as proposed: an edit would change it, plain acceptance does not.
            let is_same = taken.iter().all(|taken| taken.text.is_none());
            (current_text.clone(), vec![is_same; now.len()])
        } else {
            text::apply(&base, &current_text, &now)
        };
        let changes = current.is_none() || result != current_text;
        Ok((changes.then_some(result), fits))
    }
}

/// The text that the hunks were cut from.
async fn base_text(file: &table::ChangeFileRow, blobs: &dyn Blobs) -> Result<String> {
    match &file.old_checksum {
        Some(checksum) => Ok(blob_text(blobs, checksum).await?.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// The text that a file has now, `None` where none of its kind is there.
async fn text_now(file: &table::ChangeFileRow, blobs: &dyn Blobs, current: Option<&FileRow>) -> Result<Option<String>> {
    match current.filter(|row| row.kind.0 == file.kind.0).and_then(|row| row.checksum.as_deref()) {
        Some(checksum) => blob_text(blobs, checksum).await,
        None => Ok(None),
    }
}

/// Whether the move of a renamed file was accepted.
fn has_moved(hunks: &[table::HunkRow]) -> bool {
    hunks.iter().any(|hunk| hunk.diff.is_empty() && hunk.state.0 == HunkState::Accepted)
}

/// Whether somebody did the same meanwhile.
fn is_moved_by_others(file: &table::ChangeFileRow, old: &Place, new: &Place) -> bool {
    old.current.is_none() && new.current.as_ref().is_some_and(|row| row.checksum == file.new_checksum)
}

fn changed_or_added(current: Option<&FileRow>) -> FileAction {
    if current.is_some() { FileAction::Modified } else { FileAction::Added }
}

/// A file that is taken as it is: binary content, a mode, an empty file, a deletion. `None` when it no longer fits.
fn take_whole(file: &table::ChangeFileRow, hunk: &table::HunkRow, current: Option<&FileRow>) -> Option<Outcome> {
    let checksum = current.and_then(|row| row.checksum.as_deref());
    let write = |content, action| Outcome::Write { content, action, moved_from: None };
    if file.kind.0 == EntryKind::Directory {
        let is_deletion = file.action.0 == ChangeAction::Delete;
        return match current {
            None if is_deletion => Some(Outcome::Unchanged),
            None => Some(write(Content::directory(file.path.clone()), FileAction::Added)),
            Some(row) if row.kind.0 != EntryKind::Directory => None,
            Some(_) if is_deletion => Some(Outcome::Delete),
            Some(_) => Some(Outcome::Unchanged),
        };
    }
    let is_mode = hunk.diff.is_empty() && !file.is_binary && matches!(file.action.0, ChangeAction::Mode | ChangeAction::Modify);
    if is_mode {
        let row = current?;
        if Some(row.mode) == file.new_mode {
            return Some(Outcome::Unchanged);
        }
        let content = Content { mode: file.new_mode? as i32, ..Content::of_row(row, file.path.clone()) };
        return (Some(row.mode) == file.old_mode).then(|| write(content, FileAction::Modified));
    }
    if checksum == file.new_checksum.as_deref() {
        return Some(Outcome::Unchanged);
    }
    if checksum != file.old_checksum.as_deref() {
        return None;
    }
    let Some(new) = &file.new_checksum else { return Some(Outcome::Delete) };
    let content = Content {
        path: file.path.clone(),
        kind: file.kind.0,
        checksum: new.clone(),
        size: file.new_size as u64,
        mode: file.new_mode.unwrap_or(0o644) as i32,
    };
    Some(write(content, changed_or_added(current)))
}

fn is_whole(file: &table::ChangeFileRow, hunk: &table::HunkRow) -> bool {
    hunk.diff.is_empty() || file.action.0 == ChangeAction::Delete || file.kind.0 == EntryKind::Symlink
}

/// What an earlier decision put into the file.
fn decided_patch(row: &table::HunkRow) -> Option<text::Patch> {
    let state = row.state.0;
    if row.diff.is_empty() || !matches!(state, HunkState::Accepted | HunkState::Edited) {
        return None;
    }
    let hunk = row.clone().into_hunk();
    let new = hunk.edited_text.clone().unwrap_or_else(|| hunk.new_text());
    Some(text::Patch { start: start_of(row), expected: hunk.old_text(), new, seen: None })
}

fn new_patch(taken: &Taken<'_>) -> text::Patch {
    let hunk = taken.hunk.clone().into_hunk();
    let new = taken.text.clone().unwrap_or_else(|| hunk.new_text());
    text::Patch { start: start_of(taken.hunk), expected: hunk.old_text(), new, seen: taken.seen.clone() }
}

fn start_of(row: &table::HunkRow) -> usize {
    text::first_line(row.old_start as usize, row.old_lines as usize)
}
