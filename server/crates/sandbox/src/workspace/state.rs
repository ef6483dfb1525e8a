//! What a checkout holds, kept outside the directory so that no job can touch it: the revision it shows, the files of
//! that revision, and the stats under which their contents were last read.

use super::beneath;
use super::{EntryKind, write_file};
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::Path;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub revision: Option<i64>,
    /// The files of `revision`.
    pub files: BTreeMap<String, Tracked>,
    /// Contents already read of files that differ from the revision.
    pub other: BTreeMap<String, ReadBefore>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tracked {
    pub sha256: String,
    pub mode: u32,
    pub size: u64,
    pub kind: EntryKind,
    /// The stat under which the file on disk had exactly this content.
    pub read: Option<Print>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ReadBefore {
    pub sha256: String,
    pub read: Print,
}

/// The stat fields that change whenever the content can have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    mtime: i64,
    ctime: i64,
    size: i64,
    ino: u64,
    /// When the content was read, in the same clock as `ctime`.
    at: i64,
}

/// Coarsest clock step of the file systems in use: a change within it after reading would not show in the stat.
const CLOCK_STEP_NS: i64 = 20_000_000;

impl Print {
    fn of(stat: &Stat, at: i64) -> Print {
        let ns = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
        Print {
            mtime: ns(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime: ns(stat.st_ctime, stat.st_ctime_nsec as i64),
            size: stat.st_size,
            ino: stat.st_ino,
            at,
        }
    }

    /// Whether the file is certainly unchanged since this was taken.
    fn vouches_for(&self, stat: &Stat) -> bool {
        let now = Print::of(stat, self.at);
        *self == now && self.ctime < self.at - CLOCK_STEP_NS
    }
}

fn wall_clock_ns() -> i64 {
    // The clock file systems stamp with, not the product's injected one: the two are compared.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) };
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

impl State {
    /// A missing or unreadable state is an empty one: the next sync has to be a full one.
    pub fn load(dir: &Path, file: &str) -> State {
        let mut state: State = fs::read(dir.join(file)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        if dir.join("applying").exists() {
            state.revision = None;
        }
        state
    }

    pub fn save(&self, dir: &Path, file: &str) -> io::Result<()> {
        write_file(&dir.join(file), &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// The content of a file on disk, read only when its stat says it must be. Also counts what was read.
    pub fn content(&mut self, path: &str, dir: BorrowedFd, name: &str, stat: &Stat, reads: &mut u64) -> io::Result<String> {
        if let Some(t) = self.files.get(path)
            && t.read.is_some_and(|p| p.vouches_for(stat))
        {
            return Ok(t.sha256.clone());
        }
        if let Some(o) = self.other.get(path)
            && o.read.vouches_for(stat)
        {
            return Ok(o.sha256.clone());
        }
        let at = wall_clock_ns();
        let (sha256, stat) = hash_entry(dir, name, stat)?;
        *reads += 1;
        self.remember(path, &sha256, Print::of(&stat, at));
        Ok(sha256)
    }

    /// Notes that the file on disk has this content now.
    pub fn note(&mut self, path: &str, sha256: &str, stat: &Stat) {
        self.remember(path, sha256, Print::of(stat, wall_clock_ns()));
    }

    fn remember(&mut self, path: &str, sha256: &str, print: Print) {
        match self.files.get_mut(path) {
            Some(t) if t.sha256 == sha256 => {
                t.read = Some(print);
                self.other.remove(path);
            }
            _ => {
                self.other.insert(path.to_owned(), ReadBefore { sha256: sha256.to_owned(), read: print });
            }
        }
    }
}

/// SHA-256 of a file's bytes or a link's target, with the stat it had when opened.
pub(super) fn hash_entry(dir: BorrowedFd, name: &str, stat: &Stat) -> io::Result<(String, Stat)> {
    if beneath::kind(stat) == rustix::fs::FileType::Symlink {
        return Ok((hex::encode(Sha256::digest(beneath::read_link(dir, name)?)), *stat));
    }
    let file = beneath::open_file(dir, name)?;
    let stat = rustix::fs::fstat(&file)?;
    Ok((hash_file(file)?, stat))
}

fn hash_file(mut file: File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}
