//! Brings a checkout to a revision, without losing what a command wrote meanwhile.

use super::layout::Layout;
use super::owner::AsOwner;
use super::state::{self, Print, State, Tracked};
use super::walk::{self, Options};
use super::{BytesSource, EntryKind, Result, TreeEntry, WorkspaceError, Workspaces, beneath, mode_of};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, symlinkat, unlinkat};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use uuid::Uuid;

/// How a checkout gets from what it shows to the wanted revision.
#[derive(Clone, Debug)]
pub enum Changes {
    /// The revision's complete list of files. What else lies there and was part of the revision before is removed; so is
    /// everything that is not ignored where nothing is known about the directory's past.
    Full(Vec<TreeEntry>),
    /// The difference to revision `from`.
    Since { from: i64, upserts: Vec<TreeEntry>, deletes: Vec<String> },
}

/// A path that a command changed and that the new revision changed as well. The revision's content stands there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    pub path: String,
    /// Where the command's content is now; None if the command had deleted the file.
    pub beside: Option<String>,
}

/// One file or directory of a revision that came from the checkout itself.
#[derive(Clone, Debug)]
pub struct SavedFile {
    pub path: String,
    /// None: its deletion was saved.
    pub content: Option<TreeEntry>,
}

const LONGEST_LINK: u64 = 4095;

impl Workspaces {
    /// Makes the checkout show `to_revision`; creates it if needed. Waits until no branch of the project is mounted.
    /// Fails with [`WorkspaceError::NeedFull`] if the checkout does not show `from`; nothing is changed then.
    ///
    /// What was written there and not yet saved stays: files the revision does not touch are left alone, and the others are put
    /// aside under a name of their own before the revision's content takes their place.
    pub async fn sync(&self, project: Uuid, to_revision: i64, changes: Changes, source: Arc<dyn BytesSource>) -> Result<Vec<Collision>> {
        self.sync_within(None, project, to_revision, changes, source).await
    }

    /// As [`Workspaces::sync`]; with a `patience`, fails with [`WorkspaceError::Mounted`] rather than wait for longer. Nothing is
    /// changed then.
    pub async fn sync_within(
        &self,
        patience: Option<Duration>,
        project: Uuid,
        to_revision: i64,
        changes: Changes,
        source: Arc<dyn BytesSource>,
    ) -> Result<Vec<Collision>> {
        let in_use = self.in_use(project);
        let locking = self.lock_lower_for_writing(project);
        let unmounted = match patience {
            Some(patience) => tokio::time::timeout(patience, locking).await.map_err(|_| WorkspaceError::Mounted)?,
            None => locking.await,
        };
        let mut cached = self.lock_state(project).await;
        self.ensure_project(project)?;
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        let handle = Handle::current();
        let result = self
            .blocking(move || {
                let (_in_use, _unmounted) = (in_use, unmounted);
                let state = cached.take().unwrap_or_else(|| State::load(&dir));
                if let Changes::Since { from, .. } = &changes
                    && state.revision != Some(*from)
                {
                    let have = state.revision;
                    *cached = Some(state);
                    return Err(WorkspaceError::NeedFull { have });
                }
                state::begin_applying(&dir)?;
                let mut job = Sync {
                    top: beneath::open_top(&dir.join("tree"))?,
                    tmp: beneath::open_top(&dir.join("tmp"))?,
                    owner,
                    state,
                    source,
                    handle,
                    collisions: Vec::new(),
                };
                job.apply(changes)?;
                job.state.revision = Some(to_revision);
                job.state.known = true;
                job.state.interrupted = false;
                job.state.save(&dir)?;
                state::end_applying(&dir)?;
                *cached = Some(job.state);
                Ok(job.collisions)
            })
            .await;
        self.trim_memory(project);
        result
    }

    /// Says that changes found by [`Workspaces::scan`] are part of `revision` now, so that they are not reported again and a sync
    /// knows them. If `revision` is the one after the checkout's, the checkout shows it from here on.
    pub async fn note_saved(&self, project: Uuid, revision: i64, saved: Vec<SavedFile>) -> Result<()> {
        let mut cached = self.lock_state(project).await;
        let dir = self.project_dir(project);
        self.blocking(move || {
            let state = cached.get_or_insert_with(|| State::load(&dir));
            for file in saved {
                let is_directory = file.content.as_ref().is_some_and(|entry| entry.kind == EntryKind::Directory);
                if is_directory {
                    state.laid_out.insert(file.path.clone());
                } else {
                    state.laid_out.remove(&file.path);
                }
                // Of a directory only what its next change is based on.
                let tracked = file.content.as_ref().filter(|_| !is_directory).and_then(Tracked::of);
                state.track(&file.path, tracked, revision);
            }
            if state.revision.is_some_and(|have| have + 1 == revision) {
                state.revision = Some(revision);
            }
            Ok(state.save(&dir)?)
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
    collisions: Vec<Collision>,
}

enum OnDisk {
    Nothing,
    Content { kind: EntryKind, sha: state::Sha, mode: u32 },
    Other,
}

impl Sync {
    fn apply(&mut self, changes: Changes) -> Result<()> {
        let (upserts, deletes) = match changes {
            Changes::Since { upserts, deletes, .. } => (upserts, deletes),
            Changes::Full(entries) => {
                if self.is_empty()? {
                    self.state = State::unknown();
                    let layout = Layout { top: &self.top, owner: self.owner, source: &*self.source, handle: &self.handle };
                    return layout.lay_out(&entries, &mut self.state);
                }
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

    fn is_empty(&self) -> Result<bool> {
        let _as_owner = AsOwner::enter(self.owner)?;
        for entry in rustix::fs::Dir::read_from(&self.top)? {
            let name = entry?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a full list does not name: files of the revision before and, where the past is not known, all the rest.
    fn surplus(&mut self, entries: &[TreeEntry]) -> Result<Vec<String>> {
        let wanted: HashSet<&str> = entries.iter().map(|e| e.path.as_str()).collect();
        let tracked = self.state.paths().filter(|(_, record)| record.tracked.is_some()).map(|(path, _)| path);
        let mut surplus: BTreeSet<String> = tracked.chain(self.state.laid_out.iter().cloned()).collect();
        if !self.state.known {
            let _as_owner = AsOwner::enter(self.owner)?;
            let options = Options { ignores: true, only_upper: false, bare: true };
            walk::walk("", Some(beneath::open_dir(&self.top, "")?), None, options, &mut |seen| {
                surplus.insert(seen.path.to_owned());
                Ok(())
            })?;
        }
        // A command's path may be longer than any that a project has; it must not keep the rest from being laid out.
        surplus.retain(|path| !wanted.contains(path.as_str()) && beneath::check_path(path).is_ok());
        Ok(surplus.into_iter().collect())
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        // Where nothing is known of the past, one that nothing lies in is a rest of it.
        let may_be_directory = self.state.laid_out.remove(path) || !self.state.known;
        let tracked = self.state.tracked(path);
        let _as_owner = AsOwner::enter(self.owner)?;
        let (parent, name) = beneath::split(path);
        let dir = match beneath::open_dir(&self.top, parent) {
            Err(e) if beneath::is_absent(&e) => {
                self.state.forget(path);
                return Ok(());
            }
            other => other?,
        };
        if may_be_directory {
            // Only if nothing lies in it.
            let _ = unlinkat(&dir, name, AtFlags::REMOVEDIR);
        }
        // A file that the revision before did not have is a command's, and a directory is not the file that was deleted.
        let is_ours = tracked.is_some() || !self.state.known;
        let is_content = beneath::stat_name(&dir, name)?.is_some_and(|stat| beneath::kind(&stat) != FileType::Directory);
        if is_ours && is_content {
            let out = Uuid::now_v7().to_string();
            rustix::fs::renameat(&dir, name, &self.tmp, out.as_str())?;
            self.put_aside_if_unknown(path, &dir, &out, None)?;
        }
        if is_ours {
            self.state.forget(path);
        }
        self.remove_empty(parent)
    }

    fn remove_empty(&self, mut dir: &str) -> Result<()> {
        while !dir.is_empty() && !self.state.laid_out.contains(dir) {
            let (above, name) = beneath::split(dir);
            let Ok(parent) = beneath::open_dir(&self.top, above) else {
                break;
            };
            if unlinkat(&parent, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
            dir = above;
        }
        Ok(())
    }

    fn upsert(&mut self, entry: TreeEntry) -> Result<()> {
        if entry.kind == EntryKind::Directory {
            let came_from_here = self.state.laid_out.contains(&entry.path) && self.state.known && !self.state.interrupted;
            if !came_from_here {
                let _as_owner = AsOwner::enter(self.owner)?;
                self.make_dirs(&entry.path)?;
            }
            // A file of the revision before that was there is none any more.
            self.state.forget(&entry.path);
            self.state.laid_out.insert(entry.path);
            return Ok(());
        }
        self.state.laid_out.remove(&entry.path);
        let wanted = Tracked::of(&entry).ok_or_else(|| WorkspaceError::Corrupt { path: entry.path.clone() })?;
        let before = self.state.tracked(&entry.path);
        if before == Some(wanted) && self.state.known && !self.state.interrupted {
            // It came from here. What lies there now is that, or something newer that waits to be saved.
            self.state.track(&entry.path, before, 0);
            return Ok(());
        }
        match self.look(&entry.path)? {
            OnDisk::Content { kind, sha, mode } if kind == wanted.kind && sha == wanted.sha => {
                if mode != wanted.mode {
                    self.set_mode(&entry.path, wanted.mode)?;
                }
            }
            OnDisk::Nothing if before.is_some() && !self.state.interrupted => {
                self.collisions.push(Collision { path: entry.path.clone(), beside: None });
                self.write(&entry, wanted)?;
            }
            _ => self.write(&entry, wanted)?,
        }
        self.state.track(&entry.path, Some(wanted), 0);
        let _as_owner = AsOwner::enter(self.owner)?;
        if let Some(stat) = beneath::stat(&self.top, &entry.path)? {
            // Too fresh to be vouched for: the next scan reads it once more.
            self.state.remember(&entry.path, wanted.sha, Print::of(&stat, state::wall_clock_ns()));
        }
        Ok(())
    }

    fn look(&mut self, path: &str) -> Result<OnDisk> {
        let _as_owner = AsOwner::enter(self.owner)?;
        let Some(stat) = beneath::stat(&self.top, path)? else {
            return Ok(OnDisk::Nothing);
        };
        if !walk::is_content(&stat) {
            return Ok(OnDisk::Other);
        }
        let (parent, name) = beneath::split(path);
        let dir = beneath::open_dir(&self.top, parent)?;
        let kind = super::branch::kind_of(&stat);
        match self.state.content(path, dir.as_fd(), name, &stat) {
            Ok(sha) => Ok(OnDisk::Content { kind, sha, mode: mode_of(kind, &stat) }),
            // Made unreadable, or changed under our hands.
            Err(_) => Ok(OnDisk::Other),
        }
    }

    fn set_mode(&self, path: &str, mode: u32) -> Result<()> {
        let _as_owner = AsOwner::enter(self.owner)?;
        if let Ok(file) = beneath::open_file(&self.top, path) {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }

    /// Written next to the tree, where no job can see it, and checked before it is moved in.
    fn write(&mut self, entry: &TreeEntry, wanted: Tracked) -> Result<()> {
        let name = Uuid::now_v7().to_string();
        let written = match entry.kind {
            EntryKind::Symlink => self.write_link(entry, &name),
            _ => self.write_file(entry, &name, wanted.mode),
        };
        let _as_owner = AsOwner::enter(self.owner)?;
        let (parent, target) = beneath::split(&entry.path);
        let placed = written.and_then(|()| {
            let dir = self.make_dirs(parent)?;
            // What stood there comes out in the same step, so that nothing written until then is lost.
            Ok((beneath::swap_in(&self.tmp, &name, &dir, target)?, dir))
        });
        match placed {
            Ok((Some(out), dir)) => self.put_aside_if_unknown(&entry.path, &dir, &out, Some(wanted.sha)),
            Ok((None, _)) => Ok(()),
            Err(error) => {
                let _ = unlinkat(&self.tmp, name.as_str(), AtFlags::empty());
                Err(error)
            }
        }
    }

    fn write_file(&self, entry: &TreeEntry, name: &str, mode: u32) -> Result<()> {
        let mut file = {
            let _as_owner = AsOwner::enter(self.owner)?;
            new_file(&self.tmp, name)?
        };
        copy_checked(&*self.source, &self.handle, entry, &mut file)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(io::Error::from)?;
        Ok(())
    }

    fn write_link(&self, entry: &TreeEntry, name: &str) -> Result<()> {
        let target = read_link_target(&*self.source, &self.handle, entry)?;
        let _as_owner = AsOwner::enter(self.owner)?;
        symlinkat(target.as_slice(), &self.tmp, name).map_err(io::Error::from)?;
        Ok(())
    }

    /// Opens a directory and makes what is missing on the way. A file in the way is taken out as any other.
    fn make_dirs(&mut self, path: &str) -> Result<OwnedFd> {
        let mut at = beneath::open_dir(&self.top, "")?;
        if path.is_empty() {
            return Ok(at);
        }
        beneath::check_path(path)?;
        let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        for end in ends {
            let (_, name) = beneath::split(&path[..end]);
            let in_the_way = beneath::stat_name(&at, name)?.is_some_and(|stat| beneath::kind(&stat) == FileType::RegularFile);
            if in_the_way {
                let out = Uuid::now_v7().to_string();
                rustix::fs::renameat(&at, name, &self.tmp, out.as_str())?;
                self.put_aside_if_unknown(&path[..end], &at, &out, None)?;
            }
            at = beneath::make_dir(&at, name)?;
        }
        Ok(at)
    }

    /// Decides about something taken out of the tree, now `out` in `tmp`: what the project knows, or nobody wants, goes; what a
    /// command wrote comes back under another name.
    fn put_aside_if_unknown(&mut self, path: &str, dir: &OwnedFd, out: &str, replacement: Option<state::Sha>) -> Result<()> {
        let Some(stat) = beneath::stat_name(&self.tmp, out)? else { return Ok(()) };
        let label = match beneath::kind(&stat) {
            FileType::RegularFile if self.state.known => {
                let sha = state::hash_entry(self.tmp.as_fd(), out, &stat).map(|(sha, _)| sha).ok();
                let tracked = self.state.tracked(path).filter(|t| t.kind == EntryKind::File).map(|t| t.sha);
                let is_known = sha.is_some() && (sha == tracked || sha == replacement);
                (!is_known).then(|| sha.map_or_else(random_label, |sha| hex::encode(&sha[..4])))
            }
            FileType::Directory if self.state.known && !beneath::is_bare(&self.tmp, out)? => Some(random_label()),
            _ => None,
        };
        let Some(label) = label else {
            return Ok(beneath::remove(&self.tmp, out)?);
        };
        let beside = beneath::move_beside(&self.tmp, out, dir, beneath::split(path).1, &label)?;
        let beside = walk::join(beneath::split(path).0, &beside);
        self.collisions.push(Collision { path: path.to_owned(), beside: Some(beside) });
        Ok(())
    }
}

fn random_label() -> String {
    let id = Uuid::now_v7();
    hex::encode(&id.as_bytes()[12..])
}

/// Copies a file from the source, and checks that it is the promised one.
pub(super) fn copy_checked(source: &dyn BytesSource, handle: &Handle, entry: &TreeEntry, file: &mut File) -> Result<()> {
    let mut reader = handle.block_on(source.open(&entry.sha256))?;
    let mut hasher = Sha256::new();
    let mut size = 0u64;
    let mut buffer = vec![0u8; entry.size.clamp(1, 128 * 1024) as usize];
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
    Ok(())
}

pub(super) fn read_link_target(source: &dyn BytesSource, handle: &Handle, entry: &TreeEntry) -> Result<Vec<u8>> {
    let mut target = Vec::new();
    let reader = handle.block_on(source.open(&entry.sha256))?;
    handle.block_on(reader.take(LONGEST_LINK + 1).read_to_end(&mut target))?;
    let right = hex::encode(Sha256::digest(&target)) == entry.sha256;
    if !right || target.is_empty() || target.len() as u64 > LONGEST_LINK || target.contains(&0) {
        return Err(WorkspaceError::Corrupt { path: entry.path.clone() });
    }
    Ok(target)
}

pub(super) fn new_file(dir: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::from_raw_mode(0o600))?))
}
