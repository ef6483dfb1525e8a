//! Brings a checkout to a revision.

use super::owner::AsOwner;
use super::state::{State, Tracked};
use super::walk::{self, Options};
use super::{BytesSource, EntryKind, Result, TreeEntry, WorkspaceError, Workspaces, beneath, normal_mode};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, symlinkat, unlinkat};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use uuid::Uuid;

/// How a checkout gets from what it shows to the wanted revision.
#[derive(Clone, Debug)]
pub enum Changes {
    /// The revision's complete list of files. Unversioned files that are not ignored are removed.
    Full(Vec<TreeEntry>),
    /// The difference to revision `from`.
    Since { from: i64, upserts: Vec<TreeEntry>, deletes: Vec<String> },
}

const LONGEST_LINK: u64 = 4095;

impl Workspaces {
    /// Makes the checkout show `to_revision`; creates it if needed. Waits until no branch of the project is mounted.
    /// Fails with [`WorkspaceError::NeedFull`] if the checkout does not show `from`; nothing is changed then.
    pub async fn sync(&self, project: Uuid, to_revision: i64, changes: Changes, source: Arc<dyn BytesSource>) -> Result<()> {
        let unmounted = self.lock_lower_for_writing(project).await;
        let state_lock = self.lock_state(project).await;
        self.ensure_project(project)?;
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        let handle = Handle::current();
        self.blocking(move || {
            let _locks = (unmounted, state_lock);
            let state = State::load(&dir, "state.json");
            if let Changes::Since { from, .. } = &changes
                && state.revision != Some(*from)
            {
                return Err(WorkspaceError::NeedFull { have: state.revision });
            }
            // While this marker exists the directory shows no revision: a crash half way leads to a full sync.
            super::write_file(&dir.join("applying"), b"")?;
            let mut job = Sync {
                top: beneath::open_top(&dir.join("tree"))?,
                tmp: beneath::open_top(&dir.join("tmp"))?,
                owner,
                state,
                source,
                handle,
            };
            job.apply(changes)?;
            job.state.revision = Some(to_revision);
            job.state.save(&dir, "state.json")?;
            std::fs::remove_file(dir.join("applying"))?;
            Ok(())
        })
        .await
    }
}

struct Sync {
    top: OwnedFd,
    tmp: OwnedFd,
    owner: Option<u32>,
    state: State,
    source: Arc<dyn BytesSource>,
    handle: Handle,
}

impl Sync {
    fn apply(&mut self, changes: Changes) -> Result<()> {
        let (upserts, deletes) = match changes {
            Changes::Since { upserts, deletes, .. } => (upserts, deletes),
            Changes::Full(entries) => {
                let surplus = self.surplus(&entries)?;
                (entries, surplus)
            }
        };
        for path in deletes.iter().chain(upserts.iter().map(|e| &e.path)) {
            beneath::check_path(path)?;
        }
        for path in &deletes {
            self.delete(path)?;
        }
        for entry in upserts {
            self.upsert(entry)?;
        }
        Ok(())
    }

    /// Everything versioned or versionable on disk that a full list does not name.
    fn surplus(&self, entries: &[TreeEntry]) -> Result<Vec<String>> {
        let wanted: BTreeSet<&str> = entries.iter().map(|e| e.path.as_str()).collect();
        let mut surplus: BTreeSet<String> = self.state.files.keys().filter(|p| !wanted.contains(p.as_str())).cloned().collect();
        let _as_owner = AsOwner::enter(self.owner)?;
        let options = Options { ignores: true, only_upper: false };
        walk::walk("", Some(beneath::open_dir(&self.top, "")?), None, options, &mut |seen| {
            if !wanted.contains(seen.path) {
                surplus.insert(seen.path.to_owned());
            }
            Ok(())
        })?;
        Ok(surplus.into_iter().collect())
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        self.state.files.remove(path);
        self.state.other.remove(path);
        let _as_owner = AsOwner::enter(self.owner)?;
        let (mut parent, name) = beneath::split(path);
        let dir = match beneath::open_dir(&self.top, parent) {
            Err(e) if beneath::is_absent(&e) => return Ok(()),
            other => other?,
        };
        // A directory standing there is not the file that was deleted.
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(_) => return Ok(()),
        }
        while !parent.is_empty() {
            let (above, name) = beneath::split(parent);
            let Ok(dir) = beneath::open_dir(&self.top, above) else {
                break;
            };
            if unlinkat(&dir, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
            parent = above;
        }
        Ok(())
    }

    fn upsert(&mut self, entry: TreeEntry) -> Result<()> {
        let mode = if entry.kind == EntryKind::Symlink { 0o644 } else { normal_mode(entry.mode) };
        if !self.shows(&entry)? {
            self.write(&entry, mode)?;
        }
        let previous = self.state.files.get(&entry.path).filter(|t| t.sha256 == entry.sha256).and_then(|t| t.read);
        let tracked = Tracked { sha256: entry.sha256.clone(), mode, size: entry.size, kind: entry.kind, read: previous };
        self.state.files.insert(entry.path.clone(), tracked);
        let _as_owner = AsOwner::enter(self.owner)?;
        if entry.kind == EntryKind::File
            && let Ok(file) = beneath::open_file(&self.top, &entry.path)
        {
            let stat = rustix::fs::fstat(&file)?;
            if stat.st_mode & 0o777 != mode {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            }
        }
        if let Some(stat) = beneath::stat(&self.top, &entry.path)? {
            self.state.note(&entry.path, &entry.sha256, &stat);
        }
        Ok(())
    }

    /// Whether the disk already has this content at this path.
    fn shows(&mut self, entry: &TreeEntry) -> Result<bool> {
        let _as_owner = AsOwner::enter(self.owner)?;
        let wanted = match entry.kind {
            EntryKind::File => FileType::RegularFile,
            EntryKind::Symlink => FileType::Symlink,
        };
        let (parent, name) = beneath::split(&entry.path);
        let Some(stat) = beneath::stat(&self.top, &entry.path)? else {
            return Ok(false);
        };
        if beneath::kind(&stat) != wanted || stat.st_size as u64 != entry.size {
            return Ok(false);
        }
        let dir = beneath::open_dir(&self.top, parent)?;
        let mut reads = 0;
        let now = self.state.content(&entry.path, dir.as_fd(), name, &stat, &mut reads);
        Ok(now.is_ok_and(|sha256| sha256 == entry.sha256))
    }

    fn write(&mut self, entry: &TreeEntry, mode: u32) -> Result<()> {
        let name = Uuid::now_v7().to_string();
        let written = match entry.kind {
            EntryKind::File => self.write_file(entry, &name, mode),
            EntryKind::Symlink => self.write_link(entry, &name),
        };
        let _as_owner = AsOwner::enter(self.owner)?;
        let moved = written.and_then(|()| {
            let (parent, target) = beneath::split(&entry.path);
            let dir = beneath::make_dirs(&self.top, parent)?;
            Ok(beneath::move_in(&self.tmp, &name, &dir, target)?)
        });
        if moved.is_err() {
            let _ = unlinkat(&self.tmp, name.as_str(), AtFlags::empty());
        }
        moved
    }

    /// Written next to the tree, where no job can see it, and checked before it is moved in.
    fn write_file(&self, entry: &TreeEntry, name: &str, mode: u32) -> Result<()> {
        let mut file = {
            let _as_owner = AsOwner::enter(self.owner)?;
            new_file(&self.tmp, name)?
        };
        let (source, handle) = (self.source.clone(), self.handle.clone());
        let mut reader = handle.block_on(source.open(&entry.sha256))?;
        let mut hasher = Sha256::new();
        let mut size = 0u64;
        let mut buffer = vec![0u8; 128 * 1024];
        loop {
            let n = handle.block_on(reader.read(&mut buffer))?;
            if n == 0 {
                break;
            }
            size += n as u64;
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n])?;
        }
        if size != entry.size || hex::encode(hasher.finalize()) != entry.sha256 {
            return Err(WorkspaceError::Corrupt { path: entry.path.clone() });
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(io::Error::from)?;
        Ok(())
    }

    fn write_link(&self, entry: &TreeEntry, name: &str) -> Result<()> {
        let mut target = Vec::new();
        let mut reader = self.handle.block_on(self.source.open(&entry.sha256))?;
        self.handle.block_on((&mut reader).take(LONGEST_LINK + 1).read_to_end(&mut target))?;
        let right = hex::encode(Sha256::digest(&target)) == entry.sha256;
        if !right || target.is_empty() || target.len() as u64 > LONGEST_LINK || target.contains(&0) {
            return Err(WorkspaceError::Corrupt { path: entry.path.clone() });
        }
        let _as_owner = AsOwner::enter(self.owner)?;
        symlinkat(target.as_slice(), &self.tmp, name).map_err(io::Error::from)?;
        Ok(())
    }
}

pub(super) fn new_file(dir: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::from_raw_mode(0o600))?))
}
