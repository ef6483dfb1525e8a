//! The first layout of a checkout, into a directory that is empty and that no job has seen: several threads, one open
//! directory after the other, every file written where it belongs.

use super::crew::processors;
use super::owner::AsOwner;
use super::state::{Print, State, Tracked, wait_until_settled};
use super::sync::{copy_checked, new_file, read_link_target};
use super::{BytesSource, EntryKind, Result, TreeEntry, WorkspaceError, beneath};
use rustix::fs::{Mode, Stat, symlinkat};
use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;

const FILES_AT_A_TIME: usize = 128;
/// The source may make them wait, so there are more than processors.
const THREADS_PER_PROCESSOR: usize = 2;

pub(super) struct Layout<'a> {
    pub top: &'a OwnedFd,
    pub owner: Option<u32>,
    pub source: &'a dyn BytesSource,
    pub handle: &'a Handle,
}

/// Files of one directory.
struct Portion<'e> {
    dir: &'e str,
    entries: Vec<&'e TreeEntry>,
}

impl Layout<'_> {
    pub fn lay_out(&self, entries: &[TreeEntry], state: &mut State) -> Result<()> {
        self.make_directories(entries, state)?;
        let portions = portions(entries);
        let next = AtomicUsize::new(0);
        let turn = || {
            let mut made = Vec::new();
            while let Some(portion) = portions.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.portion(portion, &mut made) {
                    // The others stop as well.
                    next.store(portions.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(made)
        };
        let threads = (processors() * THREADS_PER_PROCESSOR).min(portions.len());
        let parts: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(turn)).collect();
            let panicked = |_| Err(WorkspaceError::Io(std::io::Error::other("a thread panicked")));
            all.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        let made: Vec<_> = parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        // Nobody else writes here, so what was just written can be vouched for once the clock has moved on.
        let at = wait_until_settled(made.iter().map(|(_, _, stat)| Print::of(stat, 0).ctime).max().unwrap_or_default());
        for (entry, tracked, stat) in made {
            state.track(&entry.path, Some(tracked), 0);
            state.remember(&entry.path, tracked.sha, Print::of(&stat, at));
        }
        Ok(())
    }

    fn make_directories(&self, entries: &[TreeEntry], state: &mut State) -> Result<()> {
        let mut all = BTreeSet::new();
        for entry in entries {
            beneath::check_path(&entry.path)?;
            if entry.kind == EntryKind::Directory {
                all.insert(entry.path.as_str());
                state.laid_out.insert(entry.path.clone());
            } else {
                all.insert(beneath::split(&entry.path).0);
            }
        }
        let _as_owner = AsOwner::enter(self.owner)?;
        for dir in all {
            beneath::make_dirs(self.top, dir)?;
        }
        Ok(())
    }

    fn portion<'e>(&self, portion: &Portion<'e>, made: &mut Vec<(&'e TreeEntry, Tracked, Stat)>) -> Result<()> {
        let dir = {
            let _as_owner = AsOwner::enter(self.owner)?;
            beneath::open_dir(self.top, portion.dir)?
        };
        for entry in &portion.entries {
            let tracked = Tracked::of(entry).ok_or_else(|| WorkspaceError::Corrupt { path: entry.path.clone() })?;
            let stat = if entry.kind == EntryKind::Symlink { self.link(&dir, entry)? } else { self.file(&dir, entry, tracked.mode)? };
            made.push((entry, tracked, stat));
        }
        Ok(())
    }

    fn file(&self, dir: &OwnedFd, entry: &TreeEntry, mode: u32) -> Result<Stat> {
        let mut file = {
            let _as_owner = AsOwner::enter(self.owner)?;
            new_file(dir, beneath::split(&entry.path).1)?
        };
        copy_checked(self.source, self.handle, entry, &mut file)?;
        let _as_owner = AsOwner::enter(self.owner)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(rustix::fs::fstat(&file)?)
    }

    fn link(&self, dir: &OwnedFd, entry: &TreeEntry) -> Result<Stat> {
        let target = read_link_target(self.source, self.handle, entry)?;
        let name = beneath::split(&entry.path).1;
        let _as_owner = AsOwner::enter(self.owner)?;
        symlinkat(target.as_slice(), dir, name)?;
        beneath::stat_name(dir, name)?.ok_or_else(|| WorkspaceError::NotFound { path: entry.path.clone() })
    }
}

fn portions(entries: &[TreeEntry]) -> Vec<Portion<'_>> {
    let mut by_dir: HashMap<&str, Vec<&TreeEntry>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.kind != EntryKind::Directory) {
        by_dir.entry(beneath::split(&entry.path).0).or_default().push(entry);
    }
    let chunks = by_dir.iter().flat_map(|(dir, files)| files.chunks(FILES_AT_A_TIME).map(|files| Portion { dir, entries: files.to_vec() }));
    chunks.collect()
}
