//! Between rows and directories: what the project holds goes into a checkout, what happened there comes back.

use std::{collections::HashMap, io, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Ctx, Error, Services,
    changes::ProposedFile,
    files::{self, Committed, ManifestEntry, WorkChange},
};
use sandbox::{BranchAction, BytesSource, Changes, EntryKind, TreeEntry, WorkspaceError, Workspaces};
use tokio::io::AsyncRead;
use wire::{ProjectId, changes::ChangeSet, chat::Turn, files::Origin};

/// How long the end of a run waits for its checkout to be brought up to date.
const SYNC_PATIENCE: Duration = Duration::from_secs(1);

/// Why rows and directories could not be brought together.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Domain(#[from] Error),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl SyncError {
    /// For people: what happened, what is safe, what to do.
    pub fn sentence(&self) -> String {
        match self {
            Self::Domain(error) => error.to_string(),
            Self::Workspace(error) => {
                format!(
                    "The project's working directory could not be used ({error}). The saved files are unchanged. Try again; if it stays, an administrator should look at the worker's disk."
                )
            }
        }
    }

    /// For callers that have only the one kind of error.
    pub fn into_domain(self) -> Error {
        match self {
            Self::Domain(error) => error,
            Self::Workspace(error) => Error::internal(error),
        }
    }
}

struct BlobSource(Arc<Services>);

#[async_trait]
impl BytesSource for BlobSource {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        self.0.blobs.open(sha256).await.map_err(io::Error::other)
    }
}

fn tree_entry(entry: ManifestEntry) -> Option<TreeEntry> {
    let kind = match entry.kind {
        wire::files::EntryKind::File => EntryKind::File,
        wire::files::EntryKind::Symlink => EntryKind::Symlink,
        // A directory of its own is for the eyes; a checkout makes directories where files need them.
        wire::files::EntryKind::Directory => return None,
    };
    Some(TreeEntry { path: entry.path, kind, mode: entry.mode as u32, sha256: entry.checksum, size: entry.size })
}

/// Brings the project's checkout to the current revision and says which that is.
pub async fn ensure_checkout(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId) -> Result<i64, SyncError> {
    let source: Arc<dyn BytesSource> = Arc::new(BlobSource(ctx.services().clone()));
    // Somebody else may bring it further between the look and the sync; then the look is taken again.
    for _ in 0..5 {
        let (to, changes) = match workspaces.revision(project.0) {
            Some(have) => {
                let delta = files::changes_since(ctx, project, have).await?;
                if delta.to == have {
                    return Ok(have);
                }
                let upserts = delta.upserts.into_iter().filter_map(tree_entry).collect();
                (delta.to, Changes::Since { from: have, upserts, deletes: delta.deletes })
            }
            None => {
                let manifest = files::manifest(ctx, project).await?;
                (manifest.revision, Changes::Full(manifest.entries.into_iter().filter_map(tree_entry).collect()))
            }
        };
        match workspaces.sync(project.0, to, changes, source.clone()).await {
            Ok(()) => return Ok(to),
            Err(WorkspaceError::NeedFull { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::conflict("The project's files change faster than they can be laid out. Nothing was changed; try again in a moment.").into())
}

/// Saves what commands did to the checkout as the caller's versions, then brings the checkout to the current revision, so that what
/// somebody else changed meanwhile stands there as they made it. Symbolic links are not versioned and stay out.
pub async fn commit_run_changes(
    ctx: &Ctx,
    workspaces: &Workspaces,
    project: ProjectId,
    base_revision: i64,
    origin: Origin,
) -> Result<Committed, SyncError> {
    // Another run of the same checkout may have brought it further than the revision that this run began with.
    let base = workspaces.revision(project.0).unwrap_or(base_revision).max(base_revision);
    let (mut changes, mut left_out) = (Vec::new(), Vec::new());
    for change in workspaces.scan(project.0).await? {
        if change.kind == EntryKind::Symlink {
            continue;
        }
        let stored = if change.action == sandbox::ChangeAction::Deleted {
            None
        } else {
            match store_checkout_file(ctx, workspaces, project, &change.path).await {
                Ok(Some(stored)) => Some(stored),
                // Gone or replaced since the scan; the next one sees what became of it.
                Ok(None) => continue,
                // One file that is too large must not keep the others from being saved.
                Err(SyncError::Domain(Error::TooLarge(_))) => {
                    left_out.push(change.path);
                    continue;
                }
                Err(error) => return Err(error),
            }
        };
        let (checksum, size) = stored.map_or((None, 0), |(checksum, size)| (Some(checksum), size));
        changes.push(WorkChange { path: change.path, checksum, size, mode: change.mode as i32 });
    }
    if changes.is_empty() {
        return Ok(Committed { revision: base, written: Vec::new(), conflicts: left_out });
    }
    let mut committed = files::commit_changes(ctx, project, base, origin, changes).await?;
    committed.conflicts.extend(left_out);
    // A sync waits for commands on branches of this project. What is saved is saved; the next sync makes up for a missed one.
    match tokio::time::timeout(SYNC_PATIENCE, ensure_checkout(ctx, workspaces, project)).await {
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => tracing::warn!(project.id = %project, %error, "a checkout could not be brought up to date after a run"),
    }
    Ok(committed)
}

async fn store_checkout_file(
    ctx: &Ctx,
    workspaces: &Workspaces,
    project: ProjectId,
    path: &str,
) -> Result<Option<(String, u64)>, SyncError> {
    let (workspaces, path) = (workspaces.clone(), path.to_owned());
    let opened = tokio::task::spawn_blocking(move || workspaces.open_file(project.0, &path)).await;
    match opened {
        Ok(Ok(file)) => Ok(Some(store_file(ctx, file).await?)),
        Ok(Err(error)) => {
            tracing::debug!(project.id = %project, %error, "a changed file is gone before it was read");
            Ok(None)
        }
        Err(error) => Err(Error::internal(error).into()),
    }
}

/// What is stored is what is hashed: the bytes are read once, so a command that goes on writing can't split the two.
async fn store_file(ctx: &Ctx, file: std::fs::File) -> Result<(String, u64), Error> {
    let services = ctx.services();
    let stored = services.blobs.put(Box::pin(tokio::fs::File::from_std(file)), services.settings.file_size_limit).await?;
    Ok((stored.sha256, stored.size))
}

/// What a turn's branch became.
pub struct Collected {
    pub change_set: Option<ChangeSet>,
    /// Paths that can't be proposed, each with a reason.
    pub left_out: Vec<(String, &'static str)>,
}

/// Stores what the branch of a turn changed as its change set, against the project as it was at `base_revision`. Nothing changed: no
/// change set. Does nothing when the turn has one already.
pub async fn branch_to_change_set(ctx: &Ctx, workspaces: &Workspaces, turn: &Turn, base_revision: i64) -> Result<Collected, SyncError> {
    let mut left_out = Vec::new();
    if let Some(change_set) = domain::changes::of_turn(ctx, turn.id).await? {
        return Ok(Collected { change_set: Some(change_set), left_out });
    }
    let changes = workspaces.branch_changes(turn.project_id.0, turn.id.0).await?;
    if changes.is_empty() {
        return Ok(Collected { change_set: None, left_out });
    }
    // The checkout below the branch may have moved on since; what the agent started from is this revision.
    let manifest = files::manifest_at(ctx, turn.project_id, base_revision).await?;
    let base: HashMap<String, ManifestEntry> = manifest.entries.into_iter().map(|e| (e.path.clone(), e)).collect();
    let mut proposed = Vec::new();
    for change in changes {
        let before = base.get(&change.path).filter(|e| e.kind != wire::files::EntryKind::Directory);
        if change.kind == EntryKind::Symlink || before.is_some_and(|e| e.kind == wire::files::EntryKind::Symlink) {
            left_out.push((change.path, "symbolic links can't be proposed"));
            continue;
        }
        if wire::files::check_path(&change.path).is_err() {
            left_out.push((change.path, "its name is not accepted in a project"));
            continue;
        }
        let old = before.map(|e| (e.checksum.clone(), e.mode));
        let (new, new_size) = if change.action == BranchAction::Deleted {
            (None, 0)
        } else {
            let file = workspaces.branch_open(turn.project_id.0, turn.id.0, &change.path).await?;
            match store_file(ctx, file).await {
                Ok((checksum, size)) => (Some((checksum, change.mode as i32)), size),
                Err(Error::TooLarge(_)) => {
                    left_out.push((change.path, "it is larger than a file of a project may be"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        };
        proposed.push(ProposedFile { path: change.path, kind: wire::files::EntryKind::File, old, new, new_size });
    }
    let change_set = domain::changes::create(ctx, turn.id, base_revision, proposed).await?;
    Ok(Collected { change_set, left_out })
}
