use std::collections::BTreeSet;

use store::checkpoints as table;
use wire::{
    CheckpointId, ProjectId,
    checkpoints::{CheckpointKind, FileState, RestoreCheckpoint, RestoreOutcome},
    files::{EntryKind, FileAction, Origin, PathConflict},
    projects::ProjectRole,
};

use super::plan::{self, Planned};
use crate::{
    Ctx, Error, Result,
    files::{Content, WriteBatch},
};

/// Brings files back to what they were at a checkpoint, as one revision: all of them or none. The state before it is kept as a
/// checkpoint of its own.
pub async fn restore(ctx: &Ctx, project: ProjectId, id: CheckpointId, request: RestoreCheckpoint) -> Result<RestoreOutcome> {
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, Origin::Restore).await?;
    let (made, paths, left) = match restore_in(ctx, &mut batch, project, id, request, None).await? {
        Written::Done { before, paths, left } => (before, paths, left),
        Written::Conflict(paths) => return Ok(RestoreOutcome::Conflict { paths }),
        Written::Nothing { .. } => {
            return Err(Error::conflict(
                "There is nothing to restore: these files are as they were at this checkpoint. Nothing was changed.",
            ));
        }
    };
    let revision = batch.commit().await?;
    let mut conn = ctx.services().db.read().await?;
    let before = table::get(&mut conn, project, made).await?.ok_or(Error::NotFound("checkpoint"))?.into_checkpoint();
    Ok(RestoreOutcome::Restored { revision, before, paths, left })
}

/// What a restore wrote into a batch.
pub(crate) enum Written {
    Done {
        /// Of the files before it.
        before: CheckpointId,
        paths: Vec<String>,
        left: Vec<String>,
    },
    /// These stand in the way: the batch must not be committed.
    Conflict(Vec<PathConflict>),
    /// The files are as they were: the batch has nothing to commit.
    Nothing { left: Vec<String> },
}

/// As [`restore`], as part of a batch of this project. With `only`, other files are no part of it, whatever became of them.
pub(crate) async fn restore_in(
    ctx: &Ctx,
    batch: &mut WriteBatch<'_>,
    project: ProjectId,
    id: CheckpointId,
    request: RestoreCheckpoint,
    only: Option<&BTreeSet<String>>,
) -> Result<Written> {
    let checkpoint = table::get(&mut batch.tx, project, id).await?.ok_or(Error::NotFound("checkpoint"))?;
    let before = batch.revision() - 1;
    let mut planned = plan::work_out(&mut batch.tx, project, checkpoint.revision, ctx.user_id()).await?;
    planned.retain(|planned| only.is_none_or(|only| only.contains(&planned.file.path)));
    let (chosen, left) = choose(planned, request.paths);
    let mut conflicts = Vec::new();
    for planned in chosen.iter().filter(|planned| request.expected_revision.is_some_and(|expected| planned.revision > expected)) {
        let reason = format!("{} after this plan was made.", who_changed(planned));
        conflicts.push(conflict(batch, &planned.file.path, reason).await?);
    }
    if !conflicts.is_empty() {
        return Ok(Written::Conflict(conflicts));
    }
    if chosen.is_empty() {
        return Ok(Written::Nothing { left });
    }
    if let Some(conflict) = write_all(batch, &chosen).await? {
        return Ok(Written::Conflict(vec![conflict]));
    }
    let made = super::record(ctx, &mut batch.tx, project, CheckpointKind::Restore, before, None).await?;
    let paths = chosen.into_iter().map(|planned| planned.file.path).collect();
    Ok(Written::Done { before: made, paths, left })
}

/// What is to be restored, and what is left as others made it.
fn choose(planned: Vec<Planned>, paths: Option<Vec<String>>) -> (Vec<Planned>, Vec<String>) {
    match paths {
        Some(paths) => {
            let paths: BTreeSet<String> = paths.into_iter().collect();
            (planned.into_iter().filter(|planned| paths.contains(&planned.file.path)).collect(), Vec::new())
        }
        None => {
            let (chosen, left): (Vec<_>, Vec<_>) = planned.into_iter().partition(|planned| planned.file.others.is_empty());
            (chosen, left.into_iter().map(|planned| planned.file.path).collect())
        }
    }
}

fn who_changed(planned: &Planned) -> String {
    let name = planned.file.last.by.as_ref().map_or("Somebody", |by| by.name.as_str());
    match planned.file.last.action {
        FileAction::Deleted => format!("{name} deleted it"),
        _ => format!("{name} changed it"),
    }
}

async fn conflict(batch: &mut WriteBatch<'_>, path: &str, reason: String) -> Result<PathConflict> {
    let current = batch.latest(path).await?.filter(|row| !row.is_deleted()).map(|row| row.into_entry());
    Ok(PathConflict { path: path.to_owned(), reason, current })
}

/// What goes away goes first, so that a name it frees can be taken. Answers what stands in the way.
async fn write_all(batch: &mut WriteBatch<'_>, chosen: &[Planned]) -> Result<Option<PathConflict>> {
    for planned in chosen.iter().rev().filter(|planned| goes_first(planned)) {
        if let Some(row) = batch.latest(&planned.file.path).await?.filter(|row| !row.is_deleted()) {
            batch.delete(&row).await?;
        }
    }
    for planned in chosen {
        let Some(then) = &planned.file.then else { continue };
        match write_one(batch, &planned.file.path, then).await {
            Ok(()) => {}
            Err(Error::Conflict { detail, .. }) => return Ok(Some(conflict(batch, &planned.file.path, detail).await?)),
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// Did not exist then, or was a directory where a file is now, or the other way round.
fn goes_first(planned: &Planned) -> bool {
    let is_directory = |state: &FileState| state.kind == EntryKind::Directory;
    match (&planned.file.then, &planned.file.now) {
        (None, Some(_)) => true,
        (Some(then), Some(now)) => is_directory(then) != is_directory(now),
        (_, None) => false,
    }
}

async fn write_one(batch: &mut WriteBatch<'_>, path: &str, then: &FileState) -> Result<()> {
    let before = batch.latest(path).await?;
    let content =
        Content { path: path.to_owned(), kind: then.kind, checksum: then.checksum.clone(), size: then.size as u64, mode: then.mode };
    batch.write(before.as_ref(), &content, FileAction::Restored, None).await?;
    Ok(())
}
