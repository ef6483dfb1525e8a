//! The doors that checkouts use: what a project holds, what changed, and what a run made of it.

use store::files as table;
use uuid::Uuid;
use wire::{
    ProjectId,
    files::{EntryKind, FileAction, Origin, check_path},
    projects::ProjectRole,
    runs::RunChange,
};

use super::write::{Content, WriteBatch};
use crate::{Ctx, Error, Result, projects};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    pub path: String,
    pub kind: EntryKind,
    pub mode: i32,
    /// Empty for directories.
    pub checksum: String,
    pub size: u64,
}

#[derive(Debug, Clone)]
pub struct Manifest {
    pub revision: i64,
    pub entries: Vec<ManifestEntry>,
}

#[derive(Debug, Clone)]
pub struct ManifestDelta {
    pub from: i64,
    pub to: i64,
    pub upserts: Vec<ManifestEntry>,
    pub deletes: Vec<String>,
    /// Some of what was deleted since is forgotten: only the whole manifest says what is gone.
    pub is_partial: bool,
}

/// A change that a run made in a checkout; `checksum` names bytes that are already stored and is empty for a directory, `None` for a
/// deletion.
#[derive(Debug, Clone)]
pub struct WorkChange {
    pub path: String,
    /// A file, a symbolic link whose target the bytes are, or a directory that is empty. Of a deletion: what is gone.
    pub kind: EntryKind,
    pub checksum: Option<String>,
    pub size: u64,
    pub mode: i32,
}

/// What makes versions, and which run or turn it is.
#[derive(Debug, Clone, Copy)]
pub struct Maker {
    pub origin: Origin,
    pub cause: Option<Uuid>,
}

impl From<Origin> for Maker {
    fn from(origin: Origin) -> Self {
        Self { origin, cause: None }
    }
}

#[derive(Debug, Clone)]
pub struct Committed {
    pub revision: i64,
    pub written: Vec<RunChange>,
    /// Somebody else changed these after the checkout was made; theirs stay.
    pub conflicts: Vec<String>,
    /// Names that a project can't have, each with the reason.
    pub refused: Vec<(String, String)>,
}

fn manifest_entry(row: table::FileRow) -> ManifestEntry {
    ManifestEntry {
        path: row.path,
        kind: row.kind.0,
        mode: row.mode as i32,
        checksum: row.checksum.unwrap_or_default(),
        size: row.size as u64,
    }
}

/// Everything the project holds now, sorted by path.
pub async fn manifest(ctx: &Ctx, project: ProjectId) -> Result<Manifest> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let revision = store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let rows = table::at_revision(&mut conn, project, revision).await?;
    Ok(Manifest { revision, entries: rows.into_iter().map(manifest_entry).collect() })
}

/// Everything the project held at a revision.
pub async fn manifest_at(ctx: &Ctx, project: ProjectId, revision: i64) -> Result<Manifest> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let rows = table::at_revision(&mut conn, project, revision).await?;
    Ok(Manifest { revision, entries: rows.into_iter().map(manifest_entry).collect() })
}

/// What changed after a revision.
pub async fn changes_since(ctx: &Ctx, project: ProjectId, from: i64) -> Result<ManifestDelta> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let to = store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let mut delta = ManifestDelta { from, to, upserts: Vec::new(), deletes: Vec::new(), is_partial: false };
    for row in table::changed_since(&mut conn, project, from).await? {
        // A write that came after the revision was read belongs to the next delta, which repeats nothing of this one.
        delta.to = delta.to.max(row.revision);
        if row.is_deleted() {
            delta.deletes.push(row.path);
        } else {
            delta.upserts.push(manifest_entry(row));
        }
    }
    // Read last: what is forgotten from here on was among the rows.
    delta.is_partial = store::forgotten::revision(&mut conn, project).await? > from;
    Ok(delta)
}

/// Saves what a run changed in a checkout of `base_revision` as the caller's versions. What somebody else changed since then is
/// left as they made it and reported.
pub async fn commit_changes(
    ctx: &Ctx,
    project: ProjectId,
    base_revision: i64,
    maker: Maker,
    mut changes: Vec<WorkChange>,
) -> Result<Committed> {
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, maker.origin).await?.caused_by(maker.cause);
    let (mut written, mut conflicts, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    // Deletions first: what was renamed may differ only in case from what it was.
    changes.sort_by_key(|change| change.checksum.is_some());
    for change in changes {
        if let Err(reason) = check_path(&change.path) {
            refused.push((change.path, reason.to_owned()));
            continue;
        }
        let before = batch.latest(&change.path).await?;
        let existing = before.as_ref().filter(|row| !row.is_deleted());
        let is_directory = change.kind == EntryKind::Directory;
        let is_same = match (&change.checksum, existing) {
            (Some(_), Some(row)) if is_directory => row.kind.0 == change.kind,
            (Some(checksum), Some(row)) => {
                row.kind.0 == change.kind && row.checksum.as_ref() == Some(checksum) && row.mode == i64::from(change.mode)
            }
            (None, None) => true,
            // What is gone from the disk is not what stands there by now.
            (None, Some(row)) => (row.kind.0 == EntryKind::Directory) != is_directory,
            _ => false,
        };
        if is_same {
            continue;
        }
        // One that this batch has just deleted makes room for what took its place.
        let own = batch.revision();
        if before.as_ref().is_some_and(|row| row.revision > base_revision && row.revision != own) {
            conflicts.push(change.path);
            continue;
        }
        let action = match (&change.checksum, existing) {
            (Some(_), Some(_)) => FileAction::Modified,
            (Some(_), None) => FileAction::Added,
            (None, _) => FileAction::Deleted,
        };
        match (change.checksum, existing) {
            (Some(checksum), _) => {
                let content = Content { path: change.path.clone(), kind: change.kind, checksum, size: change.size, mode: change.mode };
                match batch.write(before.as_ref(), &content, action, None).await {
                    Ok(_) => {}
                    // A file where somebody made a directory, or another spelling of a name that is there: theirs stays.
                    Err(Error::Conflict { detail, .. }) => {
                        refused.push((change.path, detail));
                        continue;
                    }
                    Err(other) => return Err(other),
                }
            }
            (None, Some(row)) => batch.delete(row).await?,
            (None, None) => continue,
        }
        written.push(RunChange { path: change.path, action });
    }
    let revision = batch.revision();
    if batch.is_empty() {
        // Dropping the batch gives the revision back.
        return Ok(Committed { revision: revision - 1, written, conflicts, refused });
    }
    batch.commit().await?;
    Ok(Committed { revision, written, conflicts, refused })
}
