//! Finds what changed in a checkout since the revision it was synced to.

use super::owner::AsOwner;
use super::state::State;
use super::walk::{self, Options};
use super::{EntryKind, Result, Workspaces, beneath, mode_of};
use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    Added,
    Modified,
    Deleted,
    /// Same content, other mode.
    ModeChanged,
}

/// A difference between the checkout and its revision. For deletions the other fields are those of the lost file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub action: ChangeAction,
    pub kind: EntryKind,
    /// SHA-256 in hex of the bytes, or of a link's target.
    pub sha256: String,
    pub size: u64,
    /// 0o644 or 0o755.
    pub mode: u32,
}

impl Workspaces {
    /// What differs from the revision of the last sync, in path order. Ignored paths are left out unless versioned.
    /// Reports the same changes again until a sync says they are part of a revision.
    pub async fn scan(&self, project: Uuid) -> Result<Vec<Change>> {
        Ok(self.scan_counting(project).await?.0)
    }

    /// The second value counts the files that had to be read.
    pub(super) async fn scan_counting(&self, project: Uuid) -> Result<(Vec<Change>, u64)> {
        let state_lock = self.lock_state(project).await;
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        self.blocking(move || {
            let _state_lock = state_lock;
            let mut state = State::load(&dir, "state.json");
            let top = beneath::open_top(&dir.join("tree"))?;
            let result = compare(&mut state, &top, owner)?;
            if result.1 > 0 {
                state.save(&dir, "state.json")?;
            }
            Ok(result)
        })
        .await
    }
}

/// Also used for branches that are copies, against the state taken when they were made.
pub(super) fn compare(state: &mut State, top: &OwnedFd, owner: Option<u32>) -> Result<(Vec<Change>, u64)> {
    let _as_owner = AsOwner::enter(owner)?;
    let mut on_disk: Vec<(String, Change)> = Vec::new();
    let mut met = BTreeSet::new();
    let mut reads = 0;
    let options = Options { ignores: true, only_upper: false };
    walk::walk("", Some(beneath::open_dir(top, "")?), None, options, &mut |seen| {
        met.insert(seen.path.to_owned());
        if let Some(change) = look(state, seen.path, seen.dir, seen.name, &seen.stat, &mut reads) {
            on_disk.push((seen.path.to_owned(), change));
        }
        Ok(())
    })?;
    let unmet: Vec<String> = state.files.keys().filter(|p| !met.contains(*p)).cloned().collect();
    for path in unmet {
        // Versioned although ignored, or really gone.
        let stat = beneath::stat(top, &path)?.filter(walk::is_content);
        let (parent, name) = beneath::split(&path);
        let change = match stat {
            Some(stat) => {
                let dir = beneath::open_dir(top, parent)?;
                look(state, &path, dir.as_fd(), name, &stat, &mut reads)
            }
            None => state.files.get(&path).map(|t| Change {
                path: path.clone(),
                action: ChangeAction::Deleted,
                kind: t.kind,
                sha256: t.sha256.clone(),
                size: t.size,
                mode: t.mode,
            }),
        };
        on_disk.extend(change.map(|c| (path, c)));
    }
    on_disk.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((on_disk.into_iter().map(|(_, c)| c).collect(), reads))
}

fn look(state: &mut State, path: &str, dir: std::os::fd::BorrowedFd, name: &str, stat: &Stat, reads: &mut u64) -> Option<Change> {
    let sha256 = match state.content(path, dir, name, stat, reads) {
        Ok(sha256) => sha256,
        Err(e) => {
            // Changed under our hands or made unreadable by its owner; the next scan sees it again.
            tracing::debug!(path, error = %e, "not readable in a checkout");
            return None;
        }
    };
    let kind = if beneath::kind(stat) == FileType::Symlink { EntryKind::Symlink } else { EntryKind::File };
    let mode = mode_of(kind, stat);
    let action = match state.files.get(path) {
        None => ChangeAction::Added,
        Some(t) if t.sha256 != sha256 || t.kind != kind => ChangeAction::Modified,
        Some(t) if t.mode != mode => ChangeAction::ModeChanged,
        Some(_) => return None,
    };
    Some(Change { path: path.to_owned(), action, kind, sha256, size: stat.st_size as u64, mode })
}

/// Bytes and number of everything below `dir`, for the disk limit.
pub(crate) fn measure(dir: &Path, owner: Option<u32>) -> (u64, u64) {
    fn add(dir: OwnedFd, depth: usize, total: &mut (u64, u64)) -> std::io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            total.0 += stat.st_blocks as u64 * 512;
            total.1 += 1;
            if beneath::kind(&stat) == FileType::Directory
                && depth < 256
                && let Ok(name) = name.to_str()
                && let Ok(below) = beneath::open_dir(&dir, name)
            {
                add(below, depth + 1, total)?;
            }
        }
        Ok(())
    }
    let mut total = (0, 0);
    if let (Ok(_guard), Ok(top)) = (AsOwner::enter(owner), beneath::open_top(dir)) {
        let _ = add(top, 0, &mut total);
    }
    total
}
