//! Reading a branch: an upper directory over the checkout, or a copy. None of this needs a mount.

use super::owner::AsOwner;
use super::scan::{self, ChangeAction};
use super::state::{State, Tracked, hash_entry, parse_sha};
use super::walk::{self, Layer, Options};
use super::{EntryKind, Result, WorkspaceError, Workspaces, beneath, mode_of, owner};
use bytes::Bytes;
use rustix::fs::{FileType, Mode, Stat, symlinkat};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchAction {
    Added,
    Modified,
    Deleted,
    ModeChanged,
    /// As [`ChangeAction::Unnameable`].
    Unnameable,
}

/// What a branch does to one file of the checkout, or to a directory that is empty or that the project holds for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchChange {
    pub path: String,
    pub action: BranchAction,
    /// For deletions this and the following describe the lost file.
    pub kind: EntryKind,
    pub mode: u32,
    pub size: u64,
    /// Hex, of the branch's content; None for deletions and directories.
    pub sha256: Option<String>,
}

/// A file or link a branch shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEntry {
    pub path: String,
    pub kind: EntryKind,
    pub mode: u32,
    pub size: u64,
    /// Whether the branch itself holds it, as opposed to the checkout below. Always true in a copy.
    pub own: bool,
}

/// The open directories of a branch.
pub(super) struct Layers {
    pub upper: OwnedFd,
    /// None in a copy.
    pub lower: Option<OwnedFd>,
    pub tmp: OwnedFd,
}

/// The two sides of one directory of the merged view.
pub(super) struct Pair {
    pub upper: Option<OwnedFd>,
    pub lower: Option<OwnedFd>,
}

pub(super) fn kind_of(stat: &Stat) -> EntryKind {
    if beneath::kind(stat) == FileType::Symlink { EntryKind::Symlink } else { EntryKind::File }
}

impl Layers {
    fn open(dir: &Path, branch: Uuid) -> Result<Layers> {
        let below = dir.join("branches").join(branch.to_string());
        let tmp = beneath::open_top(&dir.join("tmp")).map_err(|_| WorkspaceError::NoBranch)?;
        if let Ok(upper) = beneath::open_top(&below.join("copy")) {
            return Ok(Layers { upper, lower: None, tmp });
        }
        let upper = beneath::open_top(&below.join("upper")).map_err(|_| WorkspaceError::NoBranch)?;
        let lower = Some(beneath::open_top(&dir.join("tree"))?);
        Ok(Layers { upper, lower, tmp })
    }

    pub(super) fn top(&self) -> io::Result<Pair> {
        let lower = self.lower.as_ref().map(|l| beneath::open_dir(l, "")).transpose()?;
        Ok(Pair { upper: Some(beneath::open_dir(&self.upper, "")?), lower })
    }

    /// The two sides of a directory; None if the branch does not show it.
    pub(super) fn dir(&self, path: &str) -> io::Result<Option<Pair>> {
        let mut at = self.top()?;
        if path.is_empty() {
            return Ok(Some(at));
        }
        beneath::check_path(path)?;
        for name in path.split('/') {
            match at.enter(name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

impl Pair {
    /// What shows under a name, and on which side.
    pub(super) fn look(&self, name: &str) -> io::Result<Option<(Layer, Stat)>> {
        if let Some(upper) = &self.upper
            && let Some(stat) = beneath::stat_name(upper, name)?
        {
            return Ok((!walk::is_whiteout(&stat)).then_some((Layer::Upper, stat)));
        }
        Ok(self.look_lower(name)?.map(|stat| (Layer::Lower, stat)))
    }

    /// What the lower side has under a name, shown or not.
    pub(super) fn look_lower(&self, name: &str) -> io::Result<Option<Stat>> {
        let Some(lower) = &self.lower else {
            return Ok(None);
        };
        Ok(beneath::stat_name(lower, name)?.filter(|s| !walk::is_whiteout(s)))
    }

    pub(super) fn side(&self, layer: Layer) -> io::Result<&OwnedFd> {
        let side = if layer == Layer::Upper { &self.upper } else { &self.lower };
        side.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn enter(&self, name: &str) -> io::Result<Option<Pair>> {
        let is_dir = |s: &Stat| beneath::kind(s) == FileType::Directory;
        let Some((layer, stat)) = self.look(name)? else {
            return Ok(None);
        };
        if !is_dir(&stat) {
            return Ok(None);
        }
        let upper = match layer {
            Layer::Upper => Some(beneath::open_even_if_closed(self.side(layer)?.as_fd(), name)?),
            Layer::Lower => None,
        };
        let hidden = upper.as_ref().is_some_and(walk::is_opaque);
        let lower = match (&self.lower, self.look_lower(name)?) {
            (Some(lower), Some(below)) if !hidden && is_dir(&below) => Some(beneath::open_even_if_closed(lower.as_fd(), name)?),
            _ => None,
        };
        Ok(Some(Pair { upper, lower }))
    }
}

impl Workspaces {
    /// Starts a branch over the checkout as it is now. An existing one is left as it is.
    pub async fn create_branch(&self, project: Uuid, branch: Uuid) -> Result<()> {
        let in_use = self.in_use(project);
        let _branch = self.lock_branch(project, branch).await;
        let reading = self.locks(project).lower.clone().read_owned().await;
        self.ensure_project(project)?;
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        let overlay = self.uses_overlay();
        let held = if overlay { BTreeSet::new() } else { self.held_directories(project).await? };
        self.blocking(move || {
            let (_in_use, _reading) = (in_use, reading);
            let below = dir.join("branches").join(branch.to_string());
            if below.join("upper").is_dir() || below.join("copy").is_dir() {
                return Ok(());
            }
            owner::make_dir(&below, 0o711, None)?;
            if overlay {
                owner::make_dir(&below.join("work"), 0o700, owner)?;
                owner::make_dir(&below.join("upper"), 0o700, owner)?;
                return Ok(());
            }
            let making = below.join("making");
            owner::make_dir(&making, 0o700, owner)?;
            let mut base = State::unknown();
            copy_tree(&beneath::open_top(&dir.join("tree"))?, &beneath::open_top(&making)?, owner)?;
            let made = beneath::open_top(&making)?;
            for change in scan::compare(&mut base, &made, owner, None)?.0 {
                if change.kind == EntryKind::Directory {
                    base.laid_out.insert(change.path);
                    continue;
                }
                let tracked = parse_sha(&change.sha256).map(|sha| Tracked { sha, mode: change.mode, size: change.size, kind: change.kind });
                base.track(&change.path, tracked, 0);
            }
            let as_owner = AsOwner::enter(owner)?;
            base.laid_out.extend(held.into_iter().filter(|path| beneath::open_dir(&made, path).is_ok()));
            drop(as_owner);
            base.save_base(&below)?;
            std::fs::rename(&making, below.join("copy"))?;
            Ok(())
        })
        .await
    }

    /// Forgets a branch and everything in it. Waits for a command that is running on it.
    pub async fn drop_branch(&self, project: Uuid, branch: Uuid) -> Result<()> {
        let branch_lock = self.lock_branch(project, branch).await;
        let owner = self.owner(project)?;
        let branches = self.project_dir(project).join("branches");
        self.blocking(move || {
            let _branch_lock = branch_lock;
            let below = branches.join(branch.to_string());
            if below.is_dir() {
                empty_branch(&below, owner)?;
                beneath::remove(beneath::open_top(&branches)?, &branch.to_string())?;
            }
            Ok(())
        })
        .await?;
        self.locks(project).branches.lock().unwrap_or_else(|e| e.into_inner()).remove(&branch);
        Ok(())
    }

    /// Opens a file the branch shows, for reading.
    pub async fn branch_open(&self, project: Uuid, branch: Uuid, path: &str) -> Result<File> {
        let path = path.to_owned();
        self.on_branch(project, branch, move |layers| {
            let (parent, name) = beneath::split(&path);
            beneath::check_path(&path)?;
            let missing = || WorkspaceError::NotFound { path: path.clone() };
            let pair = layers.dir(parent)?.ok_or_else(missing)?;
            let (layer, stat) = pair.look(name)?.ok_or_else(missing)?;
            if beneath::kind(&stat) != FileType::RegularFile {
                return Err(WorkspaceError::InTheWay { path });
            }
            Ok(beneath::open_file(pair.side(layer)?, name)?)
        })
        .await
    }

    /// A file's bytes as the branch shows it (a link's target for a link), None if it shows none.
    /// Larger than `limit` is an error.
    pub async fn branch_read(&self, project: Uuid, branch: Uuid, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let path = path.to_owned();
        self.on_branch(project, branch, move |layers| {
            beneath::check_path(&path)?;
            let (parent, name) = beneath::split(&path);
            let Some(pair) = layers.dir(parent)? else {
                return Ok(None);
            };
            let Some((layer, stat)) = pair.look(name)? else {
                return Ok(None);
            };
            match beneath::kind(&stat) {
                FileType::Symlink => Ok(Some(beneath::read_link(pair.side(layer)?, name)?.into())),
                FileType::RegularFile => {
                    let mut bytes = Vec::new();
                    beneath::open_file(pair.side(layer)?, name)?.take(limit + 1).read_to_end(&mut bytes)?;
                    if bytes.len() as u64 > limit {
                        return Err(WorkspaceError::TooLarge { path, limit });
                    }
                    Ok(Some(bytes.into()))
                }
                _ => Err(WorkspaceError::InTheWay { path }),
            }
        })
        .await
    }

    /// Every file and link the branch shows at or below `prefix` ("" for all), in path order, without ignored ones.
    pub async fn branch_list(&self, project: Uuid, branch: Uuid, prefix: &str) -> Result<Vec<ListEntry>> {
        let prefix = prefix.trim_end_matches('/').to_owned();
        self.on_branch(project, branch, move |layers| layers.list(&prefix, true)).await
    }

    /// As [`Workspaces::branch_list`], with ignored ones: all that moving or removing what is at `prefix` takes along.
    pub async fn branch_list_whole(&self, project: Uuid, branch: Uuid, prefix: &str) -> Result<Vec<ListEntry>> {
        let prefix = prefix.trim_end_matches('/').to_owned();
        self.on_branch(project, branch, move |layers| layers.list(&prefix, false)).await
    }

    /// What the branch changes, in path order, without ignored paths. An overlay is compared with the checkout as it
    /// is now, a copy with the checkout as it was when the branch began.
    pub async fn branch_changes(&self, project: Uuid, branch: Uuid) -> Result<Vec<BranchChange>> {
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        let held = self.held_directories(project).await?;
        self.blocking(move || {
            let layers = Layers::open(&dir, branch)?;
            if let Some(lower) = &layers.lower {
                let _as_owner = AsOwner::enter(owner)?;
                return layers.changes(lower, &held);
            }
            // The state a copy began with is the server's own file, out of the project's reach.
            let base_dir = dir.join("branches").join(branch.to_string());
            let mut base = State::load_base(&base_dir);
            let (changes, reads) = scan::compare(&mut base, &layers.upper, owner, None)?;
            if reads > 0 {
                base.save_base(&base_dir)?;
            }
            Ok(changes.into_iter().map(BranchChange::from).collect())
        })
        .await
    }

    /// Runs `work` on a blocking thread with the project's rights and the branch's directories open.
    pub(super) async fn on_branch<T: Send + 'static>(
        &self,
        project: Uuid,
        branch: Uuid,
        work: impl FnOnce(&Layers) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        self.blocking(move || {
            let layers = Layers::open(&dir, branch)?;
            let guard = AsOwner::enter(owner)?;
            let result = work(&layers);
            drop(guard);
            result
        })
        .await
    }
}

impl From<scan::Change> for BranchChange {
    fn from(change: scan::Change) -> BranchChange {
        let action = match change.action {
            ChangeAction::Added => BranchAction::Added,
            ChangeAction::Modified => BranchAction::Modified,
            ChangeAction::Deleted => BranchAction::Deleted,
            ChangeAction::ModeChanged => BranchAction::ModeChanged,
            ChangeAction::Unnameable => BranchAction::Unnameable,
        };
        let has_content = !matches!(action, BranchAction::Deleted | BranchAction::Unnameable) && change.kind != EntryKind::Directory;
        let sha256 = has_content.then_some(change.sha256);
        BranchChange { path: change.path, action, kind: change.kind, mode: change.mode, size: change.size, sha256 }
    }
}

impl Layers {
    pub(super) fn list(&self, prefix: &str, ignores: bool) -> Result<Vec<ListEntry>> {
        let mut found = Vec::new();
        let entry = |path: &str, stat: &Stat, layer: Layer| {
            let kind = kind_of(stat);
            let (mode, size) = (mode_of(kind, stat), stat.st_size as u64);
            ListEntry { path: path.to_owned(), kind, mode, size, own: layer == Layer::Upper }
        };
        let Some(pair) = self.dir(prefix)? else {
            let (parent, name) = beneath::split(prefix);
            if let Some(pair) = self.dir(parent)?
                && let Some((layer, stat)) = pair.look(name)?
                && walk::is_content(&stat)
            {
                found.push(entry(prefix, &stat, layer));
            }
            return Ok(found);
        };
        let options = Options { ignores, only_upper: false, bare: false };
        walk::walk(prefix, pair.upper, pair.lower, options, &mut |seen| {
            found.push(entry(seen.path, &seen.stat, seen.layer));
            Ok(())
        })?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn changes(&self, lower: &OwnedFd, held: &BTreeSet<String>) -> Result<Vec<BranchChange>> {
        let mut directories = self.lost_directories(lower, held)?;
        let mut changes: BTreeMap<String, BranchChange> = BTreeMap::new();
        // A directory made anew over a removed one names a file twice: as lost, and as its own.
        let mut own = BTreeSet::new();
        let pair = self.top()?;
        let options = Options { ignores: true, only_upper: true, bare: true };
        let unnameable = walk::walk("", pair.upper, pair.lower, options, &mut |seen| {
            if beneath::kind(&seen.stat) == FileType::Directory {
                let was_bare = match beneath::open_dir(lower, seen.path) {
                    Ok(below) => walk::shows_nothing(None, Some(&below))?,
                    Err(_) => false,
                };
                if !was_bare && !held.contains(seen.path) {
                    directories.push(directory(seen.path, BranchAction::Added));
                }
                return Ok(());
            }
            let kind = kind_of(&seen.stat);
            let (mode, size) = (mode_of(kind, &seen.stat), seen.stat.st_size as u64);
            let path = seen.path.to_owned();
            if seen.gone {
                if !own.contains(&path) {
                    let action = BranchAction::Deleted;
                    changes.insert(path.clone(), BranchChange { path, action, kind, mode, size, sha256: None });
                }
                return Ok(());
            }
            own.insert(path.clone());
            let sha256 = hex::encode(hash_entry(seen.dir, seen.name, &seen.stat)?.0);
            let action = self.compare_with_lower(seen.path, kind, mode, size, &sha256)?;
            changes.remove(&path);
            if let Some(action) = action {
                changes.insert(path.clone(), BranchChange { path, action, kind, mode, size, sha256: Some(sha256) });
            }
            Ok(())
        })?;
        for path in unnameable {
            let (action, kind) = (BranchAction::Unnameable, EntryKind::File);
            changes.insert(path.clone(), BranchChange { path, action, kind, mode: 0, size: 0, sha256: None });
        }
        // At one path what was lost comes before what stands in its place.
        let order = |change: &BranchChange| change.action != BranchAction::Deleted;
        let mut changes: Vec<BranchChange> = changes.into_values().chain(directories).collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path).then(order(a).cmp(&order(b))));
        Ok(changes)
    }

    /// Directories that the project holds for themselves and the branch does not show.
    fn lost_directories(&self, lower: &OwnedFd, held: &BTreeSet<String>) -> io::Result<Vec<BranchChange>> {
        let mut lost = Vec::new();
        for path in held {
            if beneath::open_dir(lower, path).is_ok() && self.dir(path)?.is_none() {
                lost.push(directory(path, BranchAction::Deleted));
            }
        }
        Ok(lost)
    }

    fn compare_with_lower(&self, path: &str, kind: EntryKind, mode: u32, size: u64, sha256: &str) -> io::Result<Option<BranchAction>> {
        let Some(lower) = &self.lower else {
            return Ok(Some(BranchAction::Added));
        };
        let Some(before) = beneath::stat(lower, path)?.filter(walk::is_content) else {
            return Ok(Some(BranchAction::Added));
        };
        if kind_of(&before) != kind || before.st_size as u64 != size {
            return Ok(Some(BranchAction::Modified));
        }
        let (parent, name) = beneath::split(path);
        let dir = beneath::open_dir(lower, parent)?;
        if hex::encode(hash_entry(dir.as_fd(), name, &before)?.0) != sha256 {
            return Ok(Some(BranchAction::Modified));
        }
        Ok((mode_of(kind, &before) != mode).then_some(BranchAction::ModeChanged))
    }
}

fn directory(path: &str, action: BranchAction) -> BranchChange {
    BranchChange { path: path.to_owned(), action, kind: EntryKind::Directory, mode: 0o755, size: 0, sha256: None }
}

/// Empties what the owner wrote, so that the server can remove the rest.
pub(super) fn empty_branch(below: &Path, owner: Option<u32>) -> io::Result<()> {
    // The kernel leaves a directory without any rights in here, made by the owner's own mount.
    for name in ["upper", "work", "copy", "making"] {
        super::empty_as_owner(&below.join(name), owner)?;
    }
    Ok(())
}

/// Copies everything, ignored files too: the dependencies are what makes a branch usable. Sharing blocks where the
/// file system can, never hard links, which would be written through.
fn copy_tree(from: &OwnedFd, to: &OwnedFd, owner: Option<u32>) -> io::Result<()> {
    let _as_owner = AsOwner::enter(owner)?;
    let options = Options { ignores: false, only_upper: false, bare: true };
    walk::walk("", Some(beneath::open_dir(from, "")?), None, options, &mut |seen| {
        if !walk::is_content(&seen.stat) {
            return beneath::make_dirs(to, seen.path).map(drop);
        }
        let dir = beneath::make_dirs(to, beneath::split(seen.path).0)?;
        if kind_of(&seen.stat) == EntryKind::Symlink {
            let target = beneath::read_link(seen.dir, seen.name)?;
            return Ok(symlinkat(target.as_slice(), &dir, seen.name)?);
        }
        let mut source = beneath::open_file(seen.dir, seen.name)?;
        let mut copy = super::sync::new_file(&dir, seen.name)?;
        if rustix::fs::ioctl_ficlone(&copy, &source).is_err() {
            io::copy(&mut source, &mut copy)?;
        }
        Ok(rustix::fs::fchmod(&copy, Mode::from_raw_mode(seen.stat.st_mode & 0o777))?)
    })?;
    Ok(())
}
