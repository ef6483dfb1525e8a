//! Checkouts that nobody uses go: they can be made again at any time. What is in use, or has a branch, stays.

use super::{Result, Workspaces, beneath, branch, empty_as_owner, measure};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// Touched whenever somebody begins or ends working with a project's directories.
const USED: &str = "used";
const BEING_REMOVED: &str = "removing-";

/// While alive, the project's directories are not cleaned up.
#[must_use]
pub struct InUse {
    uses: Arc<Mutex<usize>>,
    marker: std::path::PathBuf,
}

impl Drop for InUse {
    fn drop(&mut self) {
        touch(&self.marker);
        *lock(&self.uses) -= 1;
    }
}

/// What a cleanup removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub checkouts: u32,
    pub bytes: u64,
}

struct Idle {
    project: Uuid,
    used: SystemTime,
    bytes: u64,
}

impl Workspaces {
    /// Keeps a project's directories from being cleaned up. Take it before the checkout is made.
    pub fn in_use(&self, project: Uuid) -> InUse {
        let uses = self.locks(project).uses.clone();
        *lock(&uses) += 1;
        let marker = self.project_dir(project).join(USED);
        touch(&marker);
        InUse { uses, marker }
    }

    /// Every branch there is, with its project, those left behind included.
    pub fn branches(&self) -> io::Result<Vec<(Uuid, Uuid)>> {
        let mut all = Vec::new();
        for project in self.projects()? {
            all.extend(branches_of(&self.project_dir(project)).into_iter().map(|branch| (project, branch)));
        }
        Ok(all)
    }

    /// Removes checkouts that nothing has used for `max_age` and, as long as all of them together hold more than `keep_bytes`,
    /// others, those unused for longest first. Their dependency caches go with them. Nothing that is in use or has a branch.
    pub async fn idle_cleanup(&self, max_age: Duration, keep_bytes: u64) -> Result<Cleaned> {
        let workspaces = self.clone();
        self.blocking(move || workspaces.clean(max_age, keep_bytes)).await
    }

    fn clean(&self, max_age: Duration, keep_bytes: u64) -> Result<Cleaned> {
        let mut idle = Vec::new();
        let mut total = 0u64;
        for project in self.projects()? {
            let dir = self.project_dir(project);
            let bytes = measure(&dir.join("tree"), self.owner(project)?).0;
            total += bytes;
            if *lock(&self.locks(project).uses) == 0 && branches_of(&dir).is_empty() {
                idle.push(Idle { project, used: last_used(&dir), bytes });
            }
        }
        idle.sort_by_key(|idle| idle.used);
        let mut cleaned = Cleaned::default();
        for Idle { project, used, bytes } in idle {
            let is_old = used.elapsed().is_ok_and(|age| age >= max_age);
            if !is_old && total <= keep_bytes {
                // The others are younger.
                break;
            }
            if self.remove_if_unused(project)? {
                total = total.saturating_sub(bytes);
                cleaned.checkouts += 1;
                cleaned.bytes += bytes;
            }
        }
        Ok(cleaned)
    }

    /// Moves the directory away while nobody can begin to use it; whoever comes then makes a new one.
    fn remove_if_unused(&self, project: Uuid) -> Result<bool> {
        let locks = self.locks(project);
        let Ok(mut cached) = locks.state.clone().try_lock_owned() else { return Ok(false) };
        let dir = self.project_dir(project);
        let away = self.inner.root.join(format!("{BEING_REMOVED}{project}"));
        let owner = self.owner(project)?;
        // Left by a cleanup that failed.
        remove_project_dir(&away, owner)?;
        {
            let uses = lock(&locks.uses);
            if *uses > 0 || !branches_of(&dir).is_empty() {
                return Ok(false);
            }
            fs::rename(&dir, &away)?;
            *cached = None;
        }
        drop(cached);
        // The project keeps its uid: it is the same project when it comes back.
        remove_project_dir(&away, owner)?;
        Ok(true)
    }

    fn projects(&self) -> io::Result<Vec<Uuid>> {
        let entries = fs::read_dir(&self.inner.root)?.flatten();
        Ok(entries.filter_map(|entry| Uuid::parse_str(&entry.file_name().to_string_lossy()).ok()).collect())
    }
}

/// The project of a directory that a cleanup had moved away.
pub(super) fn being_removed(name: &str) -> Option<Uuid> {
    name.strip_prefix(BEING_REMOVED).and_then(|id| Uuid::parse_str(id).ok())
}

/// Removes a project's whole directory: what jobs wrote with the owner's rights, the rest with the server's.
pub(super) fn remove_project_dir(dir: &Path, owner: Option<u32>) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for name in ["tree", "tmp", "scratch"] {
        empty_as_owner(&dir.join(name), owner)?;
    }
    for branch in fs::read_dir(dir.join("branches")).into_iter().flatten().flatten() {
        branch::empty_branch(&branch.path(), owner)?;
    }
    let (parent, name) = (dir.parent().unwrap_or(dir), dir.file_name().unwrap_or_default().to_string_lossy());
    Ok(beneath::remove(beneath::open_top(parent)?, &name)?)
}

fn branches_of(dir: &Path) -> Vec<Uuid> {
    let entries = fs::read_dir(dir.join("branches")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Uuid::parse_str(&entry.file_name().to_string_lossy()).ok()).collect()
}

fn last_used(dir: &Path) -> SystemTime {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    modified(&dir.join(USED)).or_else(|_| modified(dir)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn touch(marker: &Path) {
    // Where there is no directory yet, its own age serves.
    if let Ok(file) = fs::OpenOptions::new().create(true).truncate(false).write(true).open(marker) {
        let _ = file.set_modified(SystemTime::now());
    }
}

fn lock(uses: &Mutex<usize>) -> MutexGuard<'_, usize> {
    uses.lock().unwrap_or_else(PoisonError::into_inner)
}
