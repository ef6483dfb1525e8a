//! Between rows and directories: what the project holds goes into a checkout, what happened there comes back.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    Ctx, Error,
    changes::ProposedFile,
    files::{self, Committed, Maker, ManifestEntry, WorkChange},
    storage::{self, Blobs},
};
use futures::StreamExt;
use sandbox::{BranchAction, BytesSource, Changes, Collision, EntryKind, SavedFile, TreeEntry, WorkspaceError, Workspaces};
use tokio::io::AsyncRead;
use wire::{ProjectId, changes::ChangeSet, chat::Turn, files::FileAction, runs::RunChange};

/// How long a sync waits for commands on branches of the project.
const SYNC_PATIENCE: Duration = Duration::from_secs(1);
/// Between two attempts, for others who want the checkout.
pub(crate) const MOUNTED_PAUSE: Duration = Duration::from_millis(250);

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

struct BlobSource(Arc<dyn Blobs>);

#[async_trait]
impl BytesSource for BlobSource {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        self.0.open(sha256).await.map_err(io::Error::other)
    }
}

fn on_disk(kind: wire::files::EntryKind) -> EntryKind {
    match kind {
        wire::files::EntryKind::File => EntryKind::File,
        wire::files::EntryKind::Symlink => EntryKind::Symlink,
        wire::files::EntryKind::Directory => EntryKind::Directory,
    }
}

fn in_project(kind: EntryKind) -> wire::files::EntryKind {
    match kind {
        EntryKind::File => wire::files::EntryKind::File,
        EntryKind::Symlink => wire::files::EntryKind::Symlink,
        EntryKind::Directory => wire::files::EntryKind::Directory,
    }
}

fn tree_entry(entry: ManifestEntry) -> TreeEntry {
    TreeEntry { path: entry.path, kind: on_disk(entry.kind), mode: entry.mode as u32, sha256: entry.checksum, size: entry.size }
}

/// What a checkout shows after it was brought up to date.
pub(crate) struct Laid {
    pub revision: i64,
    /// What commands had changed there, and somebody else in the project.
    pub collisions: Vec<Collision>,
}

/// All that the project holds now, and its revision.
async fn whole(ctx: &Ctx, project: ProjectId) -> Result<(i64, Changes), SyncError> {
    let manifest = files::manifest(ctx, project).await?;
    Ok((manifest.revision, Changes::Full(manifest.entries.into_iter().map(tree_entry).collect())))
}

/// Brings the project's checkout to the current revision. The caller holds the project's exchange lock. Fails with
/// [`WorkspaceError::Mounted`] if commands on branches are in the way for longer than a moment.
pub(crate) async fn lay_out(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId) -> Result<Laid, SyncError> {
    let source: Arc<dyn BytesSource> = Arc::new(BlobSource(storage::open(ctx, project).await?));
    for _ in 0..5 {
        let (to, changes) = match workspaces.revision(project.0) {
            Some(have) => {
                let delta = files::changes_since(ctx, project, have).await?;
                if delta.to == have {
                    return Ok(Laid { revision: have, collisions: Vec::new() });
                }
                if delta.is_partial {
                    whole(ctx, project).await?
                } else {
                    let upserts = delta.upserts.into_iter().map(tree_entry).collect();
                    (delta.to, Changes::Since { from: have, upserts, deletes: delta.deletes })
                }
            }
            None => whole(ctx, project).await?,
        };
        match workspaces.sync_within(Some(SYNC_PATIENCE), project.0, to, changes, source.clone()).await {
            Ok(collisions) => return Ok(Laid { revision: to, collisions }),
            // What the state promised did not hold when it was loaded.
            Err(WorkspaceError::NeedFull { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::conflict("The project's files change faster than they can be laid out. Nothing was changed; try again in a moment.").into())
}

/// Brings the project's checkout to the current revision and says which that is. Waits for commands on branches of the project.
pub async fn ensure_checkout(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId) -> Result<i64, SyncError> {
    loop {
        let exchange = workspaces.lock_exchange(project.0).await;
        match lay_out(ctx, workspaces, project).await {
            Ok(laid) => {
                for Collision { path, beside } in laid.collisions {
                    tracing::info!(project.id = %project, path, beside, "a command's change met somebody else's");
                }
                return Ok(laid.revision);
            }
            Err(SyncError::Workspace(WorkspaceError::Mounted)) => {}
            Err(error) => return Err(error),
        }
        drop(exchange);
        tokio::time::sleep(MOUNTED_PAUSE).await;
    }
}

/// Why something that commands left is in no version.
const UNNAMEABLE: &str = "a project holds only names in UTF-8, and directories nested no deeper than 64 names.";

/// What [`save_disk`] did.
#[derive(Default)]
pub(crate) struct Saved {
    pub written: Vec<RunChange>,
    /// Not saved: somebody else changed them meanwhile.
    pub conflicts: Vec<String>,
    /// Not saved: why, for people.
    pub refused: Vec<(String, String)>,
    /// Not saved: larger than a file of a project may be.
    pub too_large: Vec<String>,
}

/// Saves what commands did to the checkout as the caller's versions. The caller holds the project's exchange lock.
pub(crate) async fn save_disk(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId, maker: Maker) -> Result<Saved, SyncError> {
    let mut saved = Saved::default();
    // Without a revision there is nothing to compare with; the next sync puts aside what it does not know.
    if workspaces.revision(project.0).is_none() {
        return Ok(saved);
    }
    let largest = ctx.services().settings.file_size_limit;
    let (unnameable, changes): (Vec<_>, Vec<_>) =
        workspaces.scan(project.0).await?.into_iter().partition(|change| change.action == sandbox::ChangeAction::Unnameable);
    saved.refused.extend(unnameable.into_iter().map(|change| (change.path, UNNAMEABLE.to_owned())));
    let (changes, too_large): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.action == sandbox::ChangeAction::Deleted || change.size <= largest);
    saved.too_large.extend(too_large.into_iter().map(|change| change.path));
    let mut storing = futures::stream::iter(changes.into_iter().map(|change| store_change(ctx, workspaces, project, change))).buffered(8);
    let mut by_base: BTreeMap<i64, Vec<WorkChange>> = BTreeMap::new();
    while let Some(stored) = storing.next().await {
        match stored? {
            Stored::Change { base, change } => by_base.entry(base).or_default().push(change),
            Stored::TooLarge(path) => saved.too_large.push(path),
            // Gone or replaced since the scan; the next one sees what became of it.
            Stored::Gone => {}
        }
    }
    drop(storing);
    for (base, changes) in by_base {
        let committed = files::commit_changes(ctx, project, base, maker, changes.clone()).await?;
        if !committed.written.is_empty() {
            let written: HashSet<(&str, bool)> =
                committed.written.iter().map(|change| (change.path.as_str(), change.action == FileAction::Deleted)).collect();
            let is_written = |change: &WorkChange| written.contains(&(change.path.as_str(), change.checksum.is_none()));
            let files = changes.into_iter().filter(is_written).map(saved_file).collect();
            workspaces.note_saved(project.0, committed.revision, files).await?;
        }
        saved.written.extend(committed.written);
        saved.conflicts.extend(committed.conflicts);
        saved.refused.extend(committed.refused);
    }
    Ok(saved)
}

fn saved_file(change: WorkChange) -> SavedFile {
    let WorkChange { path, kind, checksum, size, mode } = change;
    let kind = on_disk(kind);
    let content = checksum.map(|sha256| TreeEntry { path: path.clone(), kind, mode: mode as u32, sha256, size });
    SavedFile { path, content }
}

enum Stored {
    Change { base: i64, change: WorkChange },
    TooLarge(String),
    Gone,
}

async fn store_change(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId, change: sandbox::Change) -> Result<Stored, SyncError> {
    let (mut checksum, mut size) = (None, 0);
    let kind = in_project(change.kind);
    if change.action != sandbox::ChangeAction::Deleted && change.kind == EntryKind::Directory {
        checksum = Some(String::new());
    } else if change.action != sandbox::ChangeAction::Deleted {
        match store_checkout_file(ctx, workspaces, project, &change).await {
            Ok(Some(stored)) => (checksum, size) = (Some(stored.0), stored.1),
            Ok(None) => return Ok(Stored::Gone),
            // One file that is too large must not keep the others from being saved.
            Err(SyncError::Domain(Error::TooLarge(_))) => return Ok(Stored::TooLarge(change.path)),
            Err(error) => return Err(error),
        }
    }
    let change_of = WorkChange { path: change.path, kind, checksum, size, mode: change.mode as i32 };
    Ok(Stored::Change { base: change.base, change: change_of })
}

/// Saves what commands left in the checkout while nobody held it, as the caller's versions, then brings the checkout to the current
/// revision.
pub async fn commit_run_changes(
    ctx: &Ctx,
    workspaces: &Workspaces,
    project: ProjectId,
    base_revision: i64,
    maker: Maker,
) -> Result<Committed, SyncError> {
    let _exchange = workspaces.lock_exchange(project.0).await;
    let Saved { written, mut conflicts, refused, too_large } = save_disk(ctx, workspaces, project, maker).await?;
    conflicts.extend(too_large);
    // What is saved is saved; the next sync makes up for a missed one.
    match lay_out(ctx, workspaces, project).await {
        Ok(_) | Err(SyncError::Workspace(WorkspaceError::Mounted)) => {}
        Err(error) => tracing::warn!(project.id = %project, %error, "a checkout could not be brought up to date after a run"),
    }
    let revision = workspaces.revision(project.0).unwrap_or(base_revision);
    Ok(Committed { revision, written, conflicts, refused })
}

/// What a command left at a path: a file, or where a link leads.
enum Left {
    File(std::fs::File),
    Link(Vec<u8>),
}

async fn store_checkout_file(
    ctx: &Ctx,
    workspaces: &Workspaces,
    project: ProjectId,
    change: &sandbox::Change,
) -> Result<Option<(String, u64)>, SyncError> {
    let (workspaces, path, is_link) = (workspaces.clone(), change.path.clone(), change.kind == EntryKind::Symlink);
    let open = move || match is_link {
        true => workspaces.read_link(project.0, &path).map(Left::Link),
        false => workspaces.open_file(project.0, &path).map(Left::File),
    };
    let opened = tokio::task::spawn_blocking(open).await;
    match opened {
        Ok(Ok(Left::File(file))) => Ok(Some(store_file(ctx, project, file).await?)),
        Ok(Ok(Left::Link(target))) => {
            let blobs = storage::open(ctx, project).await?;
            let stored = blobs.put_bytes(target).await.map_err(Error::from)?;
            Ok(Some((stored.sha256, stored.size)))
        }
        Ok(Err(error)) => {
            tracing::debug!(project.id = %project, %error, "a changed file is gone before it was read");
            Ok(None)
        }
        Err(error) => Err(Error::internal(error).into()),
    }
}

/// What is stored is what is hashed: the bytes are read once, so a command that goes on writing can't split the two.
async fn store_file(ctx: &Ctx, project: ProjectId, file: std::fs::File) -> Result<(String, u64), Error> {
    let blobs = storage::open(ctx, project).await?;
    let stored = blobs.put(Box::pin(tokio::fs::File::from_std(file)), ctx.services().settings.file_size_limit).await?;
    Ok((stored.sha256, stored.size))
}

/// The longest target that a link can have on the systems that projects run on.
const LINK_MAX: u64 = 4095;

/// Why a directory whose path a file takes, or the other way round, is not proposed beside it.
const CHANGED_PLACES: &str = "a directory and a file change places there; do that in two steps";

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
    let mut proposed: Vec<ProposedFile> = Vec::new();
    for change in changes {
        if change.action == BranchAction::Unnameable {
            left_out.push((change.path, "its name is not in UTF-8, or it is nested too deep"));
            continue;
        }
        if wire::files::check_path(&change.path).is_err() {
            left_out.push((change.path, "its name is not accepted in a project"));
            continue;
        }
        if change.kind == EntryKind::Directory {
            let is_there = base.get(&change.path).is_some_and(|e| e.kind == wire::files::EntryKind::Directory);
            // Directories that only held files go with them.
            if is_there != (change.action == BranchAction::Deleted) {
                continue;
            }
            // A path is decided once.
            if proposed.last().is_some_and(|file| file.path == change.path) {
                left_out.push((change.path, CHANGED_PLACES));
                continue;
            }
            proposed.push(ProposedFile::directory(change.path, change.action == BranchAction::Deleted));
            continue;
        }
        // The file is what somebody wrote; of the directory there is nothing to keep.
        if proposed.pop_if(|file| file.path == change.path).is_some() {
            left_out.push((change.path.clone(), CHANGED_PLACES));
        }
        let before = base.get(&change.path).filter(|e| e.kind != wire::files::EntryKind::Directory);
        let old = before.map(|e| (e.checksum.clone(), e.mode));
        let kind = match (change.kind, before) {
            _ if change.action == BranchAction::Deleted => before.map_or(wire::files::EntryKind::File, |e| e.kind),
            (EntryKind::Symlink, _) => wire::files::EntryKind::Symlink,
            _ => wire::files::EntryKind::File,
        };
        let is_retyped = before.is_some_and(|e| e.kind != kind);
        let (new, new_size) = if change.action == BranchAction::Deleted {
            (None, 0)
        } else if kind == wire::files::EntryKind::Symlink {
            let read = workspaces.branch_read(turn.project_id.0, turn.id.0, &change.path, LINK_MAX).await?;
            let target = read.filter(|target| std::str::from_utf8(target).is_ok());
            let Some(target) = target else {
                left_out.push((change.path, "what it leads to is not written in UTF-8"));
                continue;
            };
            let blobs = storage::open(ctx, turn.project_id).await?;
            let stored = blobs.put_bytes(target.to_vec()).await.map_err(Error::from)?;
            (Some((stored.sha256, change.mode as i32)), stored.size)
        } else {
            let file = workspaces.branch_open(turn.project_id.0, turn.id.0, &change.path).await?;
            match store_file(ctx, turn.project_id, file).await {
                Ok((checksum, size)) => (Some((checksum, change.mode as i32)), size),
                Err(Error::TooLarge(_)) => {
                    left_out.push((change.path, "it is larger than a file of a project may be"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        };
        proposed.push(ProposedFile { path: change.path, kind, is_retyped, old, new, new_size });
    }
    let change_set = domain::changes::create(ctx, turn.id, base_revision, proposed).await?;
    Ok(Collected { change_set, left_out })
}
