//! Checkouts and branches: a project's rows and blobs as directories.
//!
//! Below the work directory, per project: `tree` (the checkout), `branches/<id>/{upper,work}` or, where overlays are
//! refused, `branches/<id>/copy`, and the server's own `state`, `used`, `tmp`, `scratch` and `mnt`. Everything inside `tree`
//! and the branches may be changed by a hostile job at any moment; see `beneath` and `owner` for how it is touched.

pub(crate) mod beneath;
mod branch;
mod branch_edit;
mod cleanup;
mod codec;
mod crew;
mod ignores;
mod layout;
mod leavings;
mod measure;
mod notes;
mod owner;
mod scan;
mod state;
mod sync;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests;
mod walk;
mod watch;
#[cfg(test)]
mod watch_tests;

pub use branch::{BranchAction, BranchChange, ListEntry};
pub use cleanup::{Cleaned, InUse};
pub(crate) use measure::measure;
pub use scan::{Change, ChangeAction};
pub use sync::{Changes, Collision, SavedFile};
pub use watch::Watch;

use crate::run::{Refused, RefusedKind};
use crate::spec::RunDir;
use async_trait::async_trait;
use owner::AsOwner;
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use state::State;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::AsyncRead;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use uuid::Uuid;
use watch::Watcher;

/// Files of all checkouts together that are kept in memory between scans, at about 250 bytes each.
const RECORDS_IN_MEMORY: usize = 400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    File,
    /// The content is the link's target.
    Symlink,
    /// One that the project holds for itself, or that is empty. Others exist because of their files.
    Directory,
}

/// One versioned file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Relative, '/'-separated, no "." or "..".
    pub path: String,
    pub kind: EntryKind,
    /// 0o644 or 0o755; other values are rounded to one of them.
    pub mode: u32,
    /// Hex; empty for directories.
    pub sha256: String,
    pub size: u64,
}

/// Where the bytes behind a SHA-256 come from.
#[async_trait]
pub trait BytesSource: Send + Sync {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn AsyncRead + Send>>>;
}

#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The checkout shows another revision (or none): send the complete list.
    #[error("the checkout does not show the expected revision")]
    NeedFull { have: Option<i64> },
    /// The source's bytes do not have the promised hash or size. The checkout shows no revision until the next full sync.
    #[error("the stored content of {path} is damaged")]
    Corrupt { path: String },
    #[error("{path} does not exist")]
    NotFound { path: String },
    /// A directory is where a file should be, or the other way round.
    #[error("{path} is in the way")]
    InTheWay { path: String },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("the branch does not exist")]
    NoBranch,
    /// A command on a branch of the project is running, and the checkout below it can't change meanwhile.
    #[error("a command on a branch of the project is running")]
    Mounted,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for WorkspaceError {
    fn from(e: rustix::io::Errno) -> WorkspaceError {
        WorkspaceError::Io(e.into())
    }
}

pub(crate) type Result<T, E = WorkspaceError> = std::result::Result<T, E>;

/// All checkouts and branches below one work directory. Cheap to clone.
#[derive(Clone)]
pub struct Workspaces {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// First uid of the range for projects; None when the server is not root and everything is its own.
    uid_base: Option<u32>,
    overlay: bool,
    owners: Mutex<HashMap<Uuid, u32>>,
    locks: Mutex<HashMap<Uuid, Arc<Locks>>>,
    watcher: Arc<Watcher>,
}

#[derive(Default)]
struct Locks {
    /// Read while the tree is mounted as a lower layer, written while a sync changes it.
    lower: Arc<RwLock<()>>,
    /// What is known about the checkout; None: to be loaded.
    state: Arc<tokio::sync::Mutex<Option<State>>>,
    exchange: Arc<tokio::sync::Mutex<()>>,
    /// How many work with the project's directories right now.
    uses: Arc<Mutex<usize>>,
    /// Per branch: held while it is mounted or written.
    branches: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

/// Where a run works, and the locks it holds meanwhile.
pub(crate) struct RunPlace {
    pub owner: Option<u32>,
    pub project_dir: PathBuf,
    /// Relative to `project_dir`.
    pub work: String,
    /// Upper and work directory relative to `project_dir`; the lower one is `tree`.
    pub overlay: Option<(String, String)>,
    /// What the job's writes fill up.
    pub writable: PathBuf,
    _in_use: InUse,
    _lower: Option<OwnedRwLockReadGuard<()>>,
    _branch: Option<OwnedMutexGuard<()>>,
}

impl Workspaces {
    /// `uid_base` gives each project an owner of its own and needs root. `overlay` false makes branches copies.
    pub fn open(root: &Path, uid_base: Option<u32>, overlay: bool) -> io::Result<Workspaces> {
        owner::make_dir_all(root, 0o711)?;
        owner::make_dir(&root.join("run"), 0o755, None)?;
        Ok(Workspaces::of(root, uid_base, overlay, Watcher::open()))
    }

    fn of(root: &Path, uid_base: Option<u32>, overlay: bool, watcher: Arc<Watcher>) -> Workspaces {
        let inner = Inner { root: root.to_path_buf(), uid_base, overlay, owners: Mutex::default(), locks: Mutex::default(), watcher };
        Workspaces { inner: Arc::new(inner) }
    }

    /// For a server whose work directory cannot be used: every call fails, nothing is created.
    pub(crate) fn unusable(root: &Path) -> Workspaces {
        Workspaces::of(root, None, false, Watcher::blind())
    }

    /// The same directories; new branches are made the given way. Only before anything is in use.
    pub(crate) fn with_overlay(&self, overlay: bool) -> Workspaces {
        Workspaces::of(&self.inner.root, self.inner.uid_base, overlay, self.inner.watcher.clone())
    }

    /// A project with an empty checkout of no revision.
    pub fn make_empty(&self, project: Uuid) -> Result<()> {
        self.ensure_project(project)
    }

    /// The revision the checkout shows; None if there is none or a sync was interrupted.
    pub fn revision(&self, project: Uuid) -> Option<i64> {
        state::read_revision(&self.project_dir(project))
    }

    /// Removes checkout, branches and state, and frees the project's uid. The project must have no run in flight.
    pub async fn drop_project(&self, project: Uuid) -> Result<()> {
        let unmounted = self.lock_lower_for_writing(project).await;
        let mut cached = self.lock_state(project).await;
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        self.blocking(move || {
            let _unmounted = unmounted;
            *cached = None;
            cleanup::remove_project_dir(&dir, owner)
        })
        .await?;
        if self.inner.uid_base.is_some() {
            owner::release(&self.uid_file(), project)?;
            self.inner.owners.lock().unwrap_or_else(|e| e.into_inner()).remove(&project);
        }
        Ok(())
    }

    /// Removes what a server that was killed left half done; no job may be running. Returns how many things.
    pub(crate) fn remove_leftovers(&self) -> io::Result<u32> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.inner.root)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(project) = cleanup::being_removed(&name) {
                cleanup::remove_project_dir(&entry.path(), self.owner(project)?).map_err(io::Error::other)?;
                removed += 1;
                continue;
            }
            let Ok(project) = Uuid::parse_str(&name) else {
                continue;
            };
            let (dir, owner) = (entry.path(), self.owner(project)?);
            for unfinished in fs::read_dir(&dir)?.flatten().filter(|e| e.file_name().to_string_lossy().contains(".new-")) {
                fs::remove_file(unfinished.path())?;
                removed += 1;
            }
            for name in ["tmp", "scratch"] {
                removed += fs::read_dir(dir.join(name)).map_or(0, |d| d.count() as u32);
                empty_as_owner(&dir.join(name), owner)?;
            }
            for branch in fs::read_dir(dir.join("branches")).into_iter().flatten().flatten() {
                let path = branch.path();
                if !path.join("upper").is_dir() && !path.join("copy").is_dir() {
                    branch::empty_branch(&path, owner)?;
                    beneath::remove(beneath::open_top(&dir.join("branches"))?, &branch.file_name().to_string_lossy())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Whether new branches are overlays (true) or copies.
    pub fn uses_overlay(&self) -> bool {
        self.inner.overlay
    }

    pub(crate) async fn place(&self, dir: &RunDir) -> Result<RunPlace, Refused> {
        let failed = |e: WorkspaceError| Refused::new(RefusedKind::Failed, format!("The checkout is not usable: {e}."));
        let project = dir.project();
        let in_use = self.in_use(project);
        let project_dir = self.project_dir(project);
        if !project_dir.join("tree").is_dir() {
            return Err(Refused::new(RefusedKind::Invalid, "The project is not checked out on this worker."));
        }
        self.ensure_project(project).map_err(failed)?;
        let owner = self.owner(project).map_err(|e| failed(e.into()))?;
        let mut place = RunPlace {
            owner,
            writable: project_dir.join("tree"),
            project_dir,
            work: "tree".into(),
            overlay: None,
            _in_use: in_use,
            _lower: None,
            _branch: None,
        };
        let RunDir::Branch { branch, .. } = *dir else {
            return Ok(place);
        };
        place._branch = Some(self.lock_branch(project, branch).await);
        let below = format!("branches/{branch}");
        if place.project_dir.join(&below).join("copy").is_dir() {
            place.work = format!("{below}/copy");
            place.writable = place.project_dir.join(&place.work);
            return Ok(place);
        }
        if !place.project_dir.join(&below).join("upper").is_dir() {
            return Err(Refused::new(RefusedKind::Invalid, "The branch does not exist."));
        }
        place._lower = Some(self.locks(project).lower.clone().read_owned().await);
        place.work = "mnt".into();
        place.overlay = Some((format!("{below}/upper"), format!("{below}/work")));
        place.writable = place.project_dir.join(&below).join("upper");
        Ok(place)
    }

    pub(crate) fn project_dir(&self, project: Uuid) -> PathBuf {
        self.inner.root.join(project.to_string())
    }

    fn uid_file(&self) -> PathBuf {
        self.inner.root.join("run/uids.json")
    }

    pub(crate) fn owner(&self, project: Uuid) -> io::Result<Option<u32>> {
        let Some(base) = self.inner.uid_base else {
            return Ok(None);
        };
        let mut owners = self.inner.owners.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(uid) = owners.get(&project) {
            return Ok(Some(*uid));
        }
        let uid = owner::allocate(&self.uid_file(), base, project)?;
        owners.insert(project, uid);
        Ok(Some(uid))
    }

    /// Makes the directories of a project that are missing. No job can write where they are made.
    fn ensure_project(&self, project: Uuid) -> Result<()> {
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        owner::make_dir(&dir, 0o711, None)?;
        for (name, mode, owner) in
            [("tree", 0o700, owner), ("tmp", 0o700, owner), ("scratch", 0o700, owner), ("branches", 0o711, None), ("mnt", 0o755, None)]
        {
            let path = dir.join(name);
            if !path.is_dir() {
                owner::make_dir(&path, mode, owner)?;
            }
        }
        Ok(())
    }

    fn locks(&self, project: Uuid) -> Arc<Locks> {
        let mut all = self.inner.locks.lock().unwrap_or_else(|e| e.into_inner());
        all.entry(project).or_default().clone()
    }

    /// Whether somebody waits to bring the checkout up to date, which what is mounted over it keeps them from. Something that need not
    /// stay mounted asks now and then.
    pub fn is_wanted(&self, project: Uuid) -> bool {
        // A writer that waits keeps new readers out.
        self.locks(project).lower.try_read().is_err()
    }

    async fn lock_lower_for_writing(&self, project: Uuid) -> OwnedRwLockWriteGuard<()> {
        self.locks(project).lower.clone().write_owned().await
    }

    async fn lock_state(&self, project: Uuid) -> OwnedMutexGuard<Option<State>> {
        let mut state = self.locks(project).state.clone().lock_owned().await;
        if let Some(state) = state.as_mut() {
            state.used_at = Instant::now();
        }
        state
    }

    /// Whoever brings a project's rows and its checkout together holds this meanwhile, so that nobody lays out new content between
    /// another's scan and what that becomes.
    pub async fn lock_exchange(&self, project: Uuid) -> OwnedMutexGuard<()> {
        self.locks(project).exchange.clone().lock_owned().await
    }

    /// Forgets the states that were not used for longest when more is held than is worth the memory. All of them can be loaded
    /// again.
    fn trim_memory(&self, keep: Uuid) {
        let locks = self.inner.locks.lock().unwrap_or_else(|e| e.into_inner());
        let mut held: Vec<_> = locks.iter().filter_map(|(id, locks)| Some((*id, locks.state.clone().try_lock_owned().ok()?))).collect();
        drop(locks);
        held.retain(|(_, state)| state.is_some());
        held.sort_by_key(|(id, state)| (*id != keep, state.as_ref().map(|s| std::cmp::Reverse(s.used_at))));
        let mut records = 0;
        for (id, state) in &mut held {
            records += state.as_ref().map_or(0, State::len);
            if records > RECORDS_IN_MEMORY && *id != keep {
                **state = None;
            }
        }
    }

    async fn lock_branch(&self, project: Uuid, branch: Uuid) -> OwnedMutexGuard<()> {
        let locks = self.locks(project);
        let lock = {
            let mut branches = locks.branches.lock().unwrap_or_else(|e| e.into_inner());
            branches.entry(branch).or_default().clone()
        };
        lock.lock_owned().await
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(WorkspaceError::Io(io::Error::other(e.to_string()))))
    }
}

/// 0o755 if anybody may execute it, else 0o644.
pub(crate) fn normal_mode(mode: u32) -> u32 {
    if mode & 0o111 != 0 { 0o755 } else { 0o644 }
}

fn mode_of(kind: EntryKind, stat: &Stat) -> u32 {
    if kind == EntryKind::Symlink { 0o644 } else { normal_mode(stat.st_mode) }
}

/// Replaces a file of the server's own in one step.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let aside = path.with_extension(format!("new-{}", Uuid::now_v7()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    io::Write::write_all(&mut file, bytes)?;
    fs::rename(aside, path)
}

fn empty_as_owner(dir: &Path, owner: Option<u32>) -> io::Result<()> {
    let top = match beneath::open_top(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let _as_owner = AsOwner::enter(owner)?;
    for entry in rustix::fs::Dir::read_from(&top)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match name.to_str() {
            Ok(name) => beneath::remove(&top, name)?,
            Err(_) => {
                let aside = format!(".removing-{}", Uuid::now_v7());
                rustix::fs::renameat(&top, name, &top, aside.as_str())?;
                beneath::remove(&top, &aside)?;
            }
        }
    }
    Ok(())
}
