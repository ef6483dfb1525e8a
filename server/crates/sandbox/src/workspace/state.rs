//! What a checkout holds, kept outside the directory so that no job can touch it: the revision it shows, the files of
//! that revision, and the stats under which contents were last read. In memory between calls, with a file as backup.

use super::beneath;
use super::{EntryKind, TreeEntry, codec, normal_mode};
use rustix::fs::Stat;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) type Sha = [u8; 32];

/// The checkout's state; a branch that is a copy has one of its own, [`BASE_FILE`].
pub(super) const STATE_FILE: &str = "state";
pub(super) const BASE_FILE: &str = "base";
/// While this marker exists the directory shows no revision: a crash half way leads to a full sync.
const APPLYING: &str = "applying";

#[derive(Debug)]
pub(super) struct State {
    pub revision: Option<i64>,
    /// False where nothing is known about what lies on the disk: then a sync just replaces it.
    pub known: bool,
    /// A sync did not come to its end.
    pub interrupted: bool,
    pub(super) dirs: HashMap<String, Files>,
    /// Directories that the project holds for themselves.
    pub laid_out: BTreeSet<String>,
    pub used_at: Instant,
}

/// The files of one directory by name.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub records: HashMap<Box<str>, Record>,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    /// What the project holds here; None: nothing, as far as this checkout knows.
    pub tracked: Option<Tracked>,
    /// The revision that `tracked` belongs to where that is later than the state's.
    pub base: i64,
    pub read: Option<ReadBefore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    pub sha: Sha,
    pub size: u64,
    pub mode: u32,
    pub kind: EntryKind,
}

/// The last content that was read from the disk, and the stat it had.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadBefore {
    pub sha: Sha,
    pub print: Print,
}

/// The stat fields that change whenever the content can have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub mtime: i64,
    pub ctime: i64,
    pub size: i64,
    pub ino: u64,
    /// When the content was read, in the same clock as `ctime`.
    pub at: i64,
}

/// Coarsest clock step of the file systems in use: a change within it after reading would not show in the stat.
const CLOCK_STEP_NS: i64 = 20_000_000;
/// How long is waited for a clock that does not move on, since somebody set it back: then the files are read once more.
const SETTLING_MAX: Duration = Duration::from_millis(500);

impl Print {
    pub fn of(stat: &Stat, at: i64) -> Print {
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

pub(super) fn wall_clock_ns() -> i64 {
    // The clock file systems stamp with, not the product's injected one: the two are compared.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) };
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// Returns the time once what changed at `ctime` can be vouched for. The clock moves in steps, and late on a busy machine, so that a
/// sleep of any length proves nothing.
pub(super) fn wait_until_settled(ctime: i64) -> i64 {
    let began = Instant::now();
    loop {
        let at = wall_clock_ns();
        if ctime < at - CLOCK_STEP_NS || began.elapsed() > SETTLING_MAX {
            return at;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Tracked {
    /// None if the entry's hash is no hash.
    pub fn of(entry: &TreeEntry) -> Option<Tracked> {
        let mode = if entry.kind == EntryKind::Symlink { 0o644 } else { normal_mode(entry.mode) };
        Some(Tracked { sha: parse_sha(&entry.sha256)?, size: entry.size, mode, kind: entry.kind })
    }
}

pub(super) fn parse_sha(hex: &str) -> Option<Sha> {
    let mut sha = [0; 32];
    hex::decode_to_slice(hex, &mut sha).ok()?;
    Some(sha)
}

impl Record {
    /// The content on disk if its stat proves it unchanged since it was read.
    pub fn vouched(&self, stat: &Stat) -> Option<Sha> {
        self.read.filter(|read| read.print.vouches_for(stat)).map(|read| read.sha)
    }
}

impl State {
    /// Nothing is known: the next sync has to be a full one.
    pub fn unknown() -> State {
        State { revision: None, known: false, interrupted: false, dirs: HashMap::new(), laid_out: BTreeSet::new(), used_at: Instant::now() }
    }

    /// The state of a checkout. After a crash of the machine what the files hold is anybody's guess, so it counts as unknown.
    pub fn load(dir: &Path) -> State {
        let path = dir.join(STATE_FILE);
        let mut state = match codec::read(&path, Some(&boot_id())) {
            Ok(state) => state,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the state of a checkout was not usable and is made again");
                    // Else its header would go on promising a revision.
                    let _ = fs::remove_file(&path);
                }
                State::unknown()
            }
        };
        if dir.join(APPLYING).exists() {
            state.revision = None;
            state.interrupted = true;
        }
        state
    }

    pub fn save(&self, dir: &Path) -> io::Result<()> {
        codec::write(self, &dir.join(STATE_FILE), &boot_id())
    }

    /// What a copied branch began with.
    pub fn load_base(dir: &Path) -> State {
        codec::read(&dir.join(BASE_FILE), None).unwrap_or_else(|_| State::unknown())
    }

    pub fn save_base(&self, dir: &Path) -> io::Result<()> {
        codec::write(self, &dir.join(BASE_FILE), &boot_id())
    }

    pub fn get(&self, path: &str) -> Option<&Record> {
        let (dir, name) = beneath::split(path);
        self.dirs.get(dir)?.records.get(name)
    }

    pub fn tracked(&self, path: &str) -> Option<Tracked> {
        self.get(path)?.tracked
    }

    fn record(&mut self, path: &str) -> &mut Record {
        let (dir, name) = beneath::split(path);
        if !self.dirs.contains_key(dir) {
            self.dirs.insert(dir.to_owned(), Files::default());
        }
        let records = &mut self.dirs.entry(dir.to_owned()).or_default().records;
        records.entry(name.into()).or_default()
    }

    /// Says what the project holds at a path, as of revision `base`.
    pub fn track(&mut self, path: &str, tracked: Option<Tracked>, base: i64) {
        let record = self.record(path);
        record.tracked = tracked;
        record.base = base;
    }

    pub fn remember(&mut self, path: &str, sha: Sha, print: Print) {
        self.record(path).read = Some(ReadBefore { sha, print });
    }

    /// Drops what is known about a path that neither the project nor the disk has.
    pub fn forget(&mut self, path: &str) {
        let (dir, name) = beneath::split(path);
        if let Some(files) = self.dirs.get_mut(dir) {
            files.records.remove(name);
            if files.records.is_empty() {
                self.dirs.remove(dir);
            }
        }
    }

    pub fn paths(&self) -> impl Iterator<Item = (String, &Record)> {
        self.dirs.iter().flat_map(|(dir, files)| files.records.iter().map(move |(name, record)| (super::walk::join(dir, name), record)))
    }

    /// Records held, for the budget of what is kept in memory.
    pub fn len(&self) -> usize {
        self.dirs.values().map(|files| files.records.len()).sum()
    }

    /// The content of a file on disk, read only when its stat says it must be.
    pub fn content(&mut self, path: &str, dir: BorrowedFd, name: &str, stat: &Stat) -> io::Result<Sha> {
        if let Some(sha) = self.get(path).and_then(|record| record.vouched(stat)) {
            return Ok(sha);
        }
        let (sha, print) = read_content(dir, name, stat)?;
        self.remember(path, sha, print);
        Ok(sha)
    }
}

/// The revision that a checkout shows, without loading its files.
pub(super) fn read_revision(dir: &Path) -> Option<i64> {
    if dir.join(APPLYING).exists() {
        return None;
    }
    codec::read_revision(&dir.join(STATE_FILE), &boot_id())
}

pub(super) fn begin_applying(dir: &Path) -> io::Result<()> {
    File::create(dir.join(APPLYING)).map(drop)
}

pub(super) fn end_applying(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(APPLYING))
}

fn boot_id() -> String {
    use std::sync::OnceLock;
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()).clone()
}

/// Reads a file or link, and says under which stat it had that content.
pub(super) fn read_content(dir: BorrowedFd, name: &str, stat: &Stat) -> io::Result<(Sha, Print)> {
    let at = wall_clock_ns();
    let (sha, stat) = hash_entry(dir, name, stat)?;
    Ok((sha, Print::of(&stat, at)))
}

/// SHA-256 of a file's bytes or a link's target, with the stat it had when opened.
pub(super) fn hash_entry(dir: BorrowedFd, name: &str, stat: &Stat) -> io::Result<(Sha, Stat)> {
    if beneath::kind(stat) == rustix::fs::FileType::Symlink {
        return Ok((Sha256::digest(beneath::read_link(dir, name)?).into(), *stat));
    }
    let file = beneath::open_file(dir, name)?;
    let stat = rustix::fs::fstat(&file)?;
    Ok((hash_file(file, stat.st_size)?, stat))
}

fn hash_file(mut file: File, size: i64) -> io::Result<Sha> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; size.clamp(0, 128 * 1024) as usize + 1];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..n]);
    }
}
