//! Writing a branch without a mount, in the representation the kernel's overlay itself uses.

use super::branch::{Layers, Pair, kind_of};
use super::state::State;
use super::walk::{self, Layer};
use super::{EntryKind, Result, WorkspaceError, Workspaces, beneath, normal_mode};
use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, Mode, mkdirat, mknodat, symlinkat, unlinkat};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use uuid::Uuid;

impl Workspaces {
    /// Writes a whole file on the branch, making directories as needed. Waits while a command runs on the branch.
    pub async fn branch_write(&self, project: Uuid, branch: Uuid, path: &str, bytes: Bytes, mode: u32) -> Result<()> {
        let lock = self.lock_branch(project, branch).await;
        let path = path.to_owned();
        self.on_branch(project, branch, move |layers| {
            let _lock = lock;
            layers.put(&path, &mut bytes.as_ref(), normal_mode(mode))
        })
        .await
    }

    /// Removes a file, link or directory from what the branch shows, and the directories that it leaves empty unless the project holds
    /// them for themselves.
    pub async fn branch_remove(&self, project: Uuid, branch: Uuid, path: &str) -> Result<()> {
        let held = self.held_directories(project).await?;
        let lock = self.lock_branch(project, branch).await;
        let path = path.to_owned();
        self.on_branch(project, branch, move |layers| {
            let _lock = lock;
            layers.remove(&path)?;
            layers.remove_bare(beneath::split(&path).0, &held)
        })
        .await
    }

    /// Moves a file, link or directory. The new path must not exist.
    pub async fn branch_rename(&self, project: Uuid, branch: Uuid, from: &str, to: &str) -> Result<()> {
        let held = self.held_directories(project).await?;
        let lock = self.lock_branch(project, branch).await;
        let (from, to) = (from.to_owned(), to.to_owned());
        self.on_branch(project, branch, move |layers| {
            let _lock = lock;
            layers.rename(&from, &to)?;
            layers.remove_bare(beneath::split(&from).0, &held)
        })
        .await
    }

    /// Directories that the project holds for themselves, as far as the checkout knows.
    pub(super) async fn held_directories(&self, project: Uuid) -> Result<BTreeSet<String>> {
        let mut cached = self.lock_state(project).await;
        let dir = self.project_dir(project);
        self.blocking(move || Ok(cached.get_or_insert_with(|| State::load(&dir)).laid_out.clone())).await
    }
}

impl Layers {
    fn put(&self, path: &str, bytes: &mut dyn Read, mode: u32) -> Result<()> {
        let name = Uuid::now_v7().to_string();
        let written = self.new_tmp(&name, bytes, mode);
        self.move_into_upper(written, &name, path)
    }

    fn put_link(&self, path: &str, target: &[u8]) -> Result<()> {
        let name = Uuid::now_v7().to_string();
        let written = symlinkat(target, &self.tmp, name.as_str()).map_err(io::Error::from);
        self.move_into_upper(written, &name, path)
    }

    fn new_tmp(&self, name: &str, bytes: &mut dyn Read, mode: u32) -> io::Result<()> {
        let mut file = super::sync::new_file(&self.tmp, name)?;
        io::copy(bytes, &mut file)?;
        file.flush()?;
        Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
    }

    fn move_into_upper(&self, written: io::Result<()>, name: &str, path: &str) -> Result<()> {
        let place = || -> Result<()> {
            written?;
            beneath::check_path(path)?;
            let (parent, target) = beneath::split(path);
            let (dir, pair) = self.make_upper_dir(parent)?;
            if let Some((_, stat)) = pair.look(target)?
                && !walk::is_content(&stat)
            {
                return Err(WorkspaceError::InTheWay { path: path.to_owned() });
            }
            Ok(rustix::fs::renameat(&self.tmp, name, &dir, target).map_err(io::Error::from)?)
        };
        let placed = place();
        if placed.is_err() {
            let _ = unlinkat(&self.tmp, name, AtFlags::empty());
        }
        placed
    }

    /// The upper side of a directory, made where missing: merged with a lower directory that shows, else hiding what
    /// is below.
    fn make_upper_dir(&self, path: &str) -> Result<(OwnedFd, Pair)> {
        let mut at = self.top()?;
        let mut so_far = String::new();
        for name in path.split('/').filter(|n| !n.is_empty()) {
            so_far = walk::join(&so_far, name);
            let upper = at.side(Layer::Upper)?;
            let shown = at.look(name)?;
            match &shown {
                Some((_, stat)) if beneath::kind(stat) != FileType::Directory => {
                    return Err(WorkspaceError::InTheWay { path: so_far });
                }
                Some((Layer::Upper, _)) => {}
                Some((Layer::Lower, stat)) => {
                    mkdirat(upper, name, Mode::from_raw_mode(stat.st_mode & 0o777)).map_err(io::Error::from)?;
                }
                None => {
                    let was_deleted = beneath::stat_name(upper, name)?.is_some();
                    if was_deleted {
                        unlinkat(upper, name, AtFlags::empty()).map_err(io::Error::from)?;
                    }
                    mkdirat(upper, name, Mode::from_raw_mode(0o755)).map_err(io::Error::from)?;
                    if was_deleted {
                        walk::set_opaque(beneath::open_dir(upper, name)?)?;
                    }
                }
            }
            at = self.dir(&so_far)?.filter(|p| p.upper.is_some()).ok_or_else(|| WorkspaceError::InTheWay { path: so_far.clone() })?;
        }
        Ok((beneath::open_dir(at.side(Layer::Upper)?, "")?, at))
    }

    fn remove(&self, path: &str) -> Result<()> {
        beneath::check_path(path)?;
        let (parent, name) = beneath::split(path);
        let missing = || WorkspaceError::NotFound { path: path.to_owned() };
        let pair = self.dir(parent)?.ok_or_else(missing)?;
        let (layer, _) = pair.look(name)?.ok_or_else(missing)?;
        if layer == Layer::Upper {
            beneath::remove(pair.side(Layer::Upper)?, name)?;
        }
        if pair.look_lower(name)?.is_some() {
            let (dir, _) = self.make_upper_dir(parent)?;
            // The one device node an ordinary user may make: the overlay's deletion mark.
            mknodat(&dir, name, FileType::CharacterDevice, Mode::empty(), 0).map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// Removes a directory that shows nothing, and those above it that only held it.
    fn remove_bare(&self, mut dir: &str, held: &BTreeSet<String>) -> Result<()> {
        while !dir.is_empty() && !held.contains(dir) {
            let Some(pair) = self.dir(dir)? else { break };
            if !walk::shows_nothing(pair.upper.as_ref(), pair.lower.as_ref())? {
                break;
            }
            self.remove(dir)?;
            dir = beneath::split(dir).0;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        beneath::check_path(from)?;
        beneath::check_path(to)?;
        let (parent, name) = beneath::split(to);
        if to == from || to.starts_with(&format!("{from}/")) {
            return Err(WorkspaceError::InTheWay { path: to.to_owned() });
        }
        if let Some(pair) = self.dir(parent)?
            && pair.look(name)?.is_some()
        {
            return Err(WorkspaceError::InTheWay { path: to.to_owned() });
        }
        let moving = self.list(from, false)?;
        if moving.is_empty() {
            return Err(WorkspaceError::NotFound { path: from.to_owned() });
        }
        for entry in moving {
            let target = format!("{to}{}", &entry.path[from.len()..]);
            let (parent, name) = beneath::split(&entry.path);
            let pair = self.dir(parent)?.ok_or_else(|| WorkspaceError::NotFound { path: entry.path.clone() })?;
            let found = pair.look(name)?;
            let (layer, stat) = found.ok_or_else(|| WorkspaceError::NotFound { path: entry.path.clone() })?;
            let side = pair.side(layer)?;
            match kind_of(&stat) {
                EntryKind::Symlink => self.put_link(&target, &beneath::read_link(side.as_fd(), name)?)?,
                _ => self.put(&target, &mut beneath::open_file(side, name)?, entry.mode)?,
            }
        }
        self.remove(from)
    }
}
