//! Several files at once, as one revision.

use blobs::{BlobError, Reader, Stored};
use wire::{
    ProjectId,
    files::{Base, BatchOutcome, EntryKind, FileAction, check_path},
    projects::ProjectRole,
};

use super::{
    put::{Precondition, check, check_target, origin_of},
    write::{Content, WriteBatch},
};
use crate::{Ctx, Error, Result, projects, storage};

/// Files that one request brings at most.
pub const BATCH_MAX: usize = 2000;

/// A file whose bytes have been received.
pub struct BatchFile {
    pub path: String,
    pub base: Base,
    pub bytes: Received,
}

pub enum Received {
    Stored(Stored),
    /// Not taken, with the reason.
    Refused(String),
}

/// Refuses whoever may not change files of a project, before anything travels.
pub async fn require_writer(ctx: &Ctx, project: ProjectId) -> Result<()> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await.map(|_| ())
}

/// Stores the bytes of one file that [`save_batch`] will name.
pub async fn receive(ctx: &Ctx, project: ProjectId, body: Reader) -> Result<Received> {
    let limit = ctx.services().settings.file_size_limit;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    drop(conn);
    match blobs.put(body, limit).await {
        Ok(stored) => Ok(Received::Stored(stored)),
        Err(BlobError::TooLarge { limit }) => Ok(Received::Refused(format!("A file has at most {limit} bytes here."))),
        Err(other) => Err(other.into()),
    }
}

/// Saves files as one revision, each by compare-and-swap: what conflicts or is refused is told and left out, the others are saved.
/// The answers are in the order of the files.
pub async fn save_batch(ctx: &Ctx, project: ProjectId, files: Vec<BatchFile>) -> Result<Vec<BatchOutcome>> {
    if files.len() > BATCH_MAX {
        return Err(Error::invalid("manifest", format!("At most {BATCH_MAX} files go together.")));
    }
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    let mut outcomes = Vec::with_capacity(files.len());
    for file in files {
        outcomes.push(save_one(ctx, &mut batch, project, file).await?);
    }
    if !batch.is_empty() {
        batch.commit().await?;
    }
    Ok(outcomes)
}

async fn save_one(ctx: &Ctx, batch: &mut WriteBatch<'_>, project: ProjectId, file: BatchFile) -> Result<BatchOutcome> {
    let BatchFile { path, base, bytes } = file;
    let stored = match (check_path(&path), bytes) {
        (Err(reason), _) => return Ok(BatchOutcome::Refused { path, reason: reason.to_owned() }),
        (_, Received::Refused(reason)) => return Ok(BatchOutcome::Refused { path, reason }),
        (Ok(()), Received::Stored(stored)) => stored,
    };
    let before = batch.latest(&path).await?;
    let existing = before.as_ref().filter(|row| !row.is_deleted());
    if check(before.as_ref(), &Precondition::try_from(base)?, &path).is_err() {
        return Ok(BatchOutcome::Conflict { path, current: existing.cloned().map(|row| row.into_entry()) });
    }
    let action = if existing.is_some() { FileAction::Modified } else { FileAction::Added };
    let mut content = Content::file(path.clone(), stored.sha256, stored.size, existing.map_or(0o644, |row| row.mode as i32));
    if existing.is_some_and(|row| row.kind.0 == EntryKind::Symlink) {
        match check_target(ctx, batch, project, &content).await {
            Ok(()) => content.kind = EntryKind::Symlink,
            Err(Error::Conflict { detail, .. }) => return Ok(BatchOutcome::Refused { path, reason: detail }),
            Err(other) => return Err(other),
        }
    }
    match batch.write(before.as_ref(), &content, action, None).await {
        Ok(entry) => Ok(BatchOutcome::Saved { entry }),
        Err(Error::Conflict { detail, .. }) => Ok(BatchOutcome::Refused { path, reason: detail }),
        Err(other) => Err(other),
    }
}
