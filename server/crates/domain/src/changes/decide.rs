use std::collections::{BTreeMap, HashMap};

use blobs::Blobs;
use store::{changes as table, files::FileRow};
use wire::{
    ChangeSetId, HunkId, ProjectId,
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, Decide, Decided, HunkDecision, HunkState},
    chat::MessageBody,
    files::{FileAction, Origin},
    projects::ProjectRole,
};

use super::{announce, blob_text, get, require, text};
use crate::{
    Ctx, Error, Result, chat,
    files::{Content, WriteBatch},
    storage,
};

/// How often a decision is worked out again because somebody else wrote meanwhile.
const TRIES: usize = 8;

#[derive(Debug, Clone)]
enum Choice {
    Accept,
    Reject,
    Edit(String),
}

/// What a file becomes.
enum Outcome {
    Unchanged,
    Write { content: Content, action: FileAction },
    Delete,
}

struct Plan {
    path: String,
    /// The version that the plan was made for, 0 when there was none.
    seen_version: i64,
    outcome: Outcome,
}

struct Worked {
    set: table::ChangeSetRow,
    plans: Vec<Plan>,
    /// New state and edited text of each hunk that was decided, in the order of the files.
    states: Vec<(table::HunkRow, String, HunkState, Option<String>)>,
    open_after: i64,
}

/// Applies decisions by compare-and-swap. What no longer fits becomes a conflict and writes nothing; the rest is applied. The
/// transcript gets exactly what was decided, for the next request to the model.
pub async fn decide(ctx: &Ctx, id: ChangeSetId, request: Decide) -> Result<Decided> {
    let user = ctx.require_user()?.id;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let role = if request.edits.is_empty() { ProjectRole::Reviewer } else { ProjectRole::Editor };
    let reason = request.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
    let choices = choices_of(request);
    for _ in 0..TRIES {
        let worked = work_out(ctx, id, role, &choices).await?;
        let origin = match worked.set.origin.0 {
            ChangeOrigin::Agent => Origin::Agent,
            ChangeOrigin::Replace => Origin::Person,
        };
        let mut batch = WriteBatch::begin(ctx, worked.set.project_id, role, origin).await?.caused_by(worked.set.turn_id.map(|turn| turn.0));
        if !write(&mut batch, &worked).await? {
            continue;
        }
        let locked = table::lock_set(&mut batch.tx, id).await?.ok_or(Error::NotFound("change set"))?;
        if locked.version != worked.set.version + 1 {
            continue;
        }
        let mut decisions = Vec::new();
        for (hunk, path, state, edited) in &worked.states {
            let kept_reason = if *state == HunkState::Rejected { reason.as_deref() } else { None };
            table::decide_hunk(&mut batch.tx, hunk.id, *state, edited.as_deref(), kept_reason, user, ctx.now()).await?;
            decisions.push(HunkDecision {
                path: path.clone(),
                old_start: hunk.old_start as i32,
                state: *state,
                diff: hunk.diff.clone(),
                edited_text: edited.clone(),
                reason: kept_reason.map(str::to_owned),
            });
        }
        let state = if worked.open_after == 0 { ChangeSetState::Decided } else { ChangeSetState::Open };
        table::set_state(&mut batch.tx, id, state).await?;
        announce(ctx, &mut batch.tx, &worked.set, state, worked.open_after).await?;
        if let Some(turn) = worked.set.turn_id {
            let turn = store::chat::turn(&mut batch.tx, turn).await?.ok_or(Error::NotFound("turn"))?;
            let body = MessageBody::Decision { change_set_id: id, hunks: decisions };
            chat::insert_message(ctx, &mut batch.tx, turn.conversation_id, Some(turn.id), &body, Vec::new()).await?;
        }
        batch.commit().await?;
        let conflicts = worked.states.iter().filter(|(_, _, state, _)| *state == HunkState::Conflict).map(|(hunk, ..)| hunk.id).collect();
        let written = worked.plans.into_iter().filter(|plan| !matches!(plan.outcome, Outcome::Unchanged)).map(|plan| plan.path).collect();
        return Ok(Decided { change_set: get(ctx, id).await?, written, conflicts });
    }
    Err(Error::conflict("These files are being changed by others at this moment. Nothing was written; apply again."))
}

fn choices_of(request: Decide) -> HashMap<HunkId, Choice> {
    let accepted = request.accept.into_iter().map(|id| (id, Choice::Accept));
    let rejected = request.reject.into_iter().map(|id| (id, Choice::Reject));
    let edited = request.edits.into_iter().map(|(id, text)| (id, Choice::Edit(text)));
    accepted.chain(rejected).chain(edited).collect()
}

/// `false` when a file has changed since the plan was made.
async fn write(batch: &mut WriteBatch<'_>, worked: &Worked) -> Result<bool> {
    for plan in &worked.plans {
        let latest = batch.latest(&plan.path).await?;
        if latest.as_ref().map_or(0, |row| row.version) != plan.seen_version {
            return Ok(false);
        }
        match &plan.outcome {
            Outcome::Unchanged => {}
            Outcome::Write { content, action } => {
                batch.write(latest.as_ref(), content, *action, None).await?;
            }
            Outcome::Delete => {
                if let Some(row) = &latest {
                    batch.delete(row).await?;
                }
            }
        }
    }
    Ok(true)
}

/// Reads everything and works out what each decided file becomes, outside of any transaction.
async fn work_out(ctx: &Ctx, id: ChangeSetId, role: ProjectRole, choices: &HashMap<HunkId, Choice>) -> Result<Worked> {
    let mut conn = ctx.services().db.read().await?;
    let set = table::set(&mut conn, id).await?.ok_or(Error::NotFound("change set"))?;
    require(ctx, &mut conn, set.project_id, role, "change set").await?;
    let files = table::files(&mut conn, id).await?;
    let mut by_file: BTreeMap<i64, Vec<table::HunkRow>> = BTreeMap::new();
    for hunk in table::hunks(&mut conn, id).await? {
        by_file.entry(hunk.file_ord).or_default().push(hunk);
    }
    drop(conn);
    let known: usize = by_file.values().flatten().filter(|hunk| choices.contains_key(&hunk.id)).count();
    if known != choices.len() {
        return Err(Error::NotFound("hunk"));
    }
    if by_file.values().flatten().any(|hunk| choices.contains_key(&hunk.id) && !hunk.state.0.is_open()) {
        let current = serde_json::to_value(get(ctx, id).await?).ok();
        let detail =
            "One of these hunks was decided by someone else meanwhile. Nothing was written; look at the change set again.".to_owned();
        return Err(Error::Conflict { detail, current });
    }
    let open_before = by_file.values().flatten().filter(|hunk| hunk.state.0.is_open()).count() as i64;
    let (mut plans, mut states) = (Vec::new(), Vec::new());
    for file in files {
        let hunks = by_file.remove(&file.ord).unwrap_or_default();
        if hunks.iter().any(|hunk| choices.contains_key(&hunk.id)) {
            let plan = plan_file(ctx, set.project_id, &file, hunks, choices, &mut states).await?;
            plans.extend(plan);
        }
    }
    let settled = states.iter().filter(|(_, _, state, _)| !state.is_open()).count() as i64;
    Ok(Worked { set, plans, states, open_after: open_before - settled })
}

type States = Vec<(table::HunkRow, String, HunkState, Option<String>)>;

async fn plan_file(
    ctx: &Ctx,
    project: ProjectId,
    file: &table::ChangeFileRow,
    hunks: Vec<table::HunkRow>,
    choices: &HashMap<HunkId, Choice>,
    states: &mut States,
) -> Result<Option<Plan>> {
    let (rejected, taken): (Vec<_>, Vec<_>) = hunks
        .iter()
        .filter_map(|hunk| choices.get(&hunk.id).map(|choice| (hunk, choice)))
        .partition(|(_, choice)| matches!(choice, Choice::Reject));
    for (hunk, _) in rejected {
        states.push((hunk.clone(), file.path.clone(), HunkState::Rejected, None));
    }
    if taken.is_empty() {
        return Ok(None);
    }
    let mut conn = ctx.services().db.read().await?;
    let latest = store::files::latest(&mut conn, project, &file.path).await?;
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    drop(conn);
    let seen_version = latest.as_ref().map_or(0, |row| row.version);
    let current = latest.filter(|row| !row.is_deleted());
    let (whole, by_line): (Vec<_>, Vec<_>) =
        taken.into_iter().partition(|(hunk, _)| hunk.diff.is_empty() || file.action.0 == ChangeAction::Delete);
    let mut outcome = Outcome::Unchanged;
    for (hunk, choice) in whole {
        if let Choice::Edit(_) = choice {
            return Err(Error::invalid("edits", format!("{} can only be accepted or rejected as a whole.", file.path)));
        }
        let fitted = take_whole(file, hunk, current.as_ref());
        states.push((hunk.clone(), file.path.clone(), if fitted.is_some() { HunkState::Accepted } else { HunkState::Conflict }, None));
        if let Some(fitted) = fitted {
            outcome = fitted;
        }
    }
    if !by_line.is_empty() {
        let mode = match &outcome {
            // The mode was accepted in the same go.
            Outcome::Write { content, .. } => Some(content.mode),
            _ => None,
        };
        if let Some(lines) = take_lines(&*blobs, file, &hunks, &by_line, current.as_ref(), mode, states).await? {
            outcome = lines;
        }
    }
    Ok(Some(Plan { path: file.path.clone(), seen_version, outcome }))
}

/// A file that is taken as it is: binary content, a mode, an empty file, a deletion. `None` when it no longer fits.
fn take_whole(file: &table::ChangeFileRow, hunk: &table::HunkRow, current: Option<&FileRow>) -> Option<Outcome> {
    let checksum = current.and_then(|row| row.checksum.as_deref());
    let is_mode = hunk.diff.is_empty() && !file.is_binary && matches!(file.action.0, ChangeAction::Mode | ChangeAction::Modify);
    if is_mode {
        let row = current?;
        if Some(row.mode) == file.new_mode {
            return Some(Outcome::Unchanged);
        }
        let content = Content { mode: file.new_mode? as i32, ..Content::of_row(row, file.path.clone()) };
        return (Some(row.mode) == file.old_mode).then_some(Outcome::Write { content, action: FileAction::Modified });
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
    let action = if current.is_some() { FileAction::Modified } else { FileAction::Added };
    Some(Outcome::Write { content, action })
}

/// Accepted and edited hunks, put into the text as it is now. `None` when nothing of them fits.
async fn take_lines(
    blobs: &dyn Blobs,
    file: &table::ChangeFileRow,
    hunks: &[table::HunkRow],
    taken: &[(&table::HunkRow, &Choice)],
    current: Option<&FileRow>,
    mode: Option<i32>,
    states: &mut States,
) -> Result<Option<Outcome>> {
    let base = match &file.old_checksum {
        Some(checksum) => blob_text(blobs, checksum).await?.unwrap_or_default(),
        None => String::new(),
    };
    let before: Vec<_> = hunks.iter().filter_map(decided_patch).collect();
    let now: Vec<_> = taken.iter().map(|(hunk, choice)| new_patch(hunk, choice)).collect();
    let is_new = file.action.0 == ChangeAction::Add && before.is_empty();
    let current_text = match current.and_then(|row| row.checksum.as_deref()) {
        Some(checksum) if !is_new || Some(checksum) == file.new_checksum.as_deref() => blob_text(blobs, checksum).await?,
        // Somebody made a file of that name meanwhile.
        Some(_) => None,
        None if is_new => Some(String::new()),
        // Somebody deleted it meanwhile.
        None => None,
    };
    let worked = current_text.map(|current_text| {
        let (expected, _) = text::apply(&base, &base, &before);
        // Where nobody else has written, the answer is exact; else each hunk has to find its lines again.
        let (result, fits) = if current_text == expected && !(is_new && current.is_some()) {
            let all: Vec<_> = before.iter().chain(&now).cloned().collect();
            let (result, fits) = text::apply(&base, &base, &all);
            (result, fits[before.len()..].to_vec())
        } else if is_new {
            // It is there already, as proposed: an edit would change it, plain acceptance does not.
            let is_same = taken.iter().all(|(_, choice)| matches!(choice, Choice::Accept));
            (current_text.clone(), vec![is_same; now.len()])
        } else {
            text::apply(&base, &current_text, &now)
        };
        (current_text, result, fits)
    });
    let fits = worked.as_ref().map_or(vec![false; taken.len()], |(_, _, fits)| fits.clone());
    for ((hunk, choice), fits) in taken.iter().zip(fits) {
        let (state, edited) = match choice {
            Choice::Edit(text) => (HunkState::Edited, Some(text::fit_edit(text, &(*hunk).clone().into_hunk().new_text()))),
            _ => (HunkState::Accepted, None),
        };
        states.push(((*hunk).clone(), file.path.clone(), if fits { state } else { HunkState::Conflict }, edited));
    }
    let Some((current_text, result, _)) = worked else { return Ok(None) };
    if current.is_some() && result == current_text && mode.is_none() {
        return Ok(None);
    }
    let stored = blobs.put_bytes(result.into_bytes()).await?;
    let own_mode = current.map(|row| row.mode).or(file.new_mode).unwrap_or(0o644) as i32;
    let content = Content::file(file.path.clone(), stored.sha256, stored.size, mode.unwrap_or(own_mode));
    let action = if current.is_some() { FileAction::Modified } else { FileAction::Added };
    Ok(Some(Outcome::Write { content, action }))
}

/// What an earlier decision put into the file.
fn decided_patch(row: &table::HunkRow) -> Option<text::Patch> {
    let state = row.state.0;
    if row.diff.is_empty() || !matches!(state, HunkState::Accepted | HunkState::Edited) {
        return None;
    }
    let hunk = row.clone().into_hunk();
    let new = hunk.edited_text.clone().unwrap_or_else(|| hunk.new_text());
    Some(text::Patch { start: start_of(row), expected: hunk.old_text(), new })
}

fn new_patch(row: &table::HunkRow, choice: &Choice) -> text::Patch {
    let hunk = row.clone().into_hunk();
    let proposed = hunk.new_text();
    let new = match choice {
        Choice::Edit(edited) => text::fit_edit(edited, &proposed),
        _ => proposed,
    };
    text::Patch { start: start_of(row), expected: hunk.old_text(), new }
}

fn start_of(row: &table::HunkRow) -> usize {
    text::first_line(row.old_start as usize, row.old_lines as usize)
}
