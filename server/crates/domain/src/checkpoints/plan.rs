//! What a restore would do, worked out from the versions alone: its cost follows what changed since, not the project.

use std::collections::BTreeMap;

use store::{
    Conn,
    checkpoints::{self as table, StepRow},
};
use wire::{
    CheckpointId, ProjectId, UserId,
    checkpoints::{ChangeNote, FileState, PlannedFile, RestoreEffect, RestorePlan},
    files::{EntryKind, FileAction},
    projects::ProjectRole,
};

use crate::{Ctx, Error, Result, projects};

/// What restoring a checkpoint would change now, and where others have changed something since.
pub async fn diff(ctx: &Ctx, project: ProjectId, id: CheckpointId) -> Result<RestorePlan> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let checkpoint = table::get(&mut conn, project, id).await?.ok_or(Error::NotFound("checkpoint"))?.into_checkpoint();
    // The number is read first: what comes after it stands in the way of a restore that names it.
    let revision = store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let items: Vec<PlannedFile> =
        work_out(&mut conn, project, checkpoint.revision, ctx.user_id()).await?.into_iter().map(|planned| planned.file).collect();
    let (files, _) = table::totals_now(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let touched = items.iter().filter(|item| item.now.as_ref().is_some_and(|now| now.kind != EntryKind::Directory)).count();
    Ok(RestorePlan { checkpoint, revision, unchanged: (files - touched as i64).max(0), items })
}

pub(super) struct Planned {
    pub file: PlannedFile,
    /// The revision of the newest change.
    pub revision: i64,
}

/// Paths that differ between `revision` and now, sorted, with who changed them since. `asker`'s own changes are nobody else's.
pub(super) async fn work_out(conn: &mut Conn, project: ProjectId, revision: i64, asker: Option<UserId>) -> Result<Vec<Planned>> {
    let rows = table::steps_since(conn, project, revision).await?;
    let planned = rows.chunk_by(|a, b| a.path == b.path).filter_map(|steps| plan_path(steps, revision, asker)).collect();
    Ok(planned)
}

fn plan_path(steps: &[StepRow], revision: i64, asker: Option<UserId>) -> Option<Planned> {
    let then = steps.iter().find(|row| row.revision <= revision).and_then(state_of);
    let last = steps.iter().rfind(|row| row.superseded.is_none())?;
    let now = state_of(last);
    let effect = effect_of(then.as_ref(), now.as_ref())?;
    let since = steps.iter().filter(|row| row.revision > revision);
    let mut others: BTreeMap<Option<UserId>, ChangeNote> = BTreeMap::new();
    for row in since.filter(|row| row.created_by != asker) {
        others.insert(row.created_by, note_of(row));
    }
    let mut others: Vec<ChangeNote> = others.into_values().collect();
    others.sort_by_key(|note| std::cmp::Reverse(note.at));
    let file = PlannedFile { path: last.path.clone(), effect, then, now, last: note_of(last), others };
    Some(Planned { file, revision: last.revision })
}

fn state_of(row: &StepRow) -> Option<FileState> {
    (row.action.0 != FileAction::Deleted).then(|| FileState {
        version: row.version,
        kind: row.kind.0,
        size: row.size,
        checksum: row.checksum.clone().unwrap_or_default(),
        mode: row.mode as i32,
    })
}

/// `None` where there is nothing to do.
fn effect_of(then: Option<&FileState>, now: Option<&FileState>) -> Option<RestoreEffect> {
    match (then, now) {
        (None, None) => None,
        (Some(_), None) => Some(RestoreEffect::ComesBack),
        (None, Some(_)) => Some(RestoreEffect::ToTrash),
        (Some(then), Some(now)) if then.kind == now.kind && then.checksum == now.checksum => {
            (then.mode != now.mode).then_some(RestoreEffect::Mode)
        }
        (Some(_), Some(_)) => Some(RestoreEffect::GoesBack),
    }
}

fn note_of(row: &StepRow) -> ChangeNote {
    ChangeNote { at: row.created_at, by: row.by(), origin: row.origin.0, action: row.action.0 }
}
