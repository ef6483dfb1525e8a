//! The file behind a [`State`]: fast to load for many thousands of paths. A file of another form, another boot or with
//! a wrong checksum is no state at all.

use super::EntryKind;
use super::state::{Files, Print, ReadBefore, Record, Sha, State, Tracked};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

const MAGIC: &[u8; 8] = b"checkout";
const FORM: u8 = 1;
const BOOT: usize = 36;
/// Magic, form, boot, whether there is a revision, the revision.
const HEADER: usize = 8 + 1 + BOOT + 1 + 8;
const CHECKSUM: usize = 8;

const HAS_TRACKED: u8 = 1;
const IS_LINK: u8 = 2;
const IS_EXECUTABLE: u8 = 4;
const HAS_READ: u8 = 8;
/// What was read is what is tracked, and is written once.
const READ_IS_TRACKED: u8 = 16;
const HAS_BASE: u8 = 32;

pub(super) fn write(state: &State, path: &Path, boot: &str) -> io::Result<()> {
    let mut out = Vec::with_capacity(HEADER + CHECKSUM + state.len() * 128);
    out.extend_from_slice(&header(state.revision, boot));
    out.extend_from_slice(&[0; CHECKSUM]);
    put_number(&mut out, state.laid_out.len() as u64);
    for dir in &state.laid_out {
        put_text(&mut out, dir);
    }
    put_number(&mut out, state.dirs.len() as u64);
    for (dir, files) in &state.dirs {
        put_text(&mut out, dir);
        put_number(&mut out, files.records.len() as u64);
        for (name, record) in &files.records {
            put_text(&mut out, name);
            put_record(&mut out, record);
        }
    }
    let sum = checksum(&out);
    out[HEADER..HEADER + CHECKSUM].copy_from_slice(&sum);
    super::write_file(path, &out)
}

/// `boot`: refuse what was written before the machine last started.
pub(super) fn read(path: &Path, boot: Option<&str>) -> io::Result<State> {
    let mut bytes = fs::read(path)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not a state of this form");
    let head = bytes.get(..HEADER).and_then(|head| parse_header(head, boot)).ok_or_else(damaged)?;
    let sum: [u8; CHECKSUM] = bytes.get(HEADER..HEADER + CHECKSUM).and_then(|s| s.try_into().ok()).ok_or_else(damaged)?;
    bytes[HEADER..HEADER + CHECKSUM].fill(0);
    if checksum(&bytes) != sum {
        return Err(damaged());
    }
    parse_body(&bytes[HEADER + CHECKSUM..], head).ok_or_else(damaged)
}

pub(super) fn read_revision(path: &Path, boot: &str) -> Option<i64> {
    let mut head = [0; HEADER];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    parse_header(&head, Some(boot))?
}

fn header(revision: Option<i64>, boot: &str) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..8].copy_from_slice(MAGIC);
    head[8] = FORM;
    head[9..9 + BOOT].copy_from_slice(&padded(boot));
    head[9 + BOOT] = u8::from(revision.is_some());
    head[10 + BOOT..].copy_from_slice(&revision.unwrap_or(0).to_le_bytes());
    head
}

fn parse_header(head: &[u8], boot: Option<&str>) -> Option<Option<i64>> {
    let is_ours = head[..8] == *MAGIC && head[8] == FORM && boot.is_none_or(|boot| head[9..9 + BOOT] == padded(boot));
    if !is_ours {
        return None;
    }
    let revision = i64::from_le_bytes(head[10 + BOOT..HEADER].try_into().ok()?);
    Some((head[9 + BOOT] == 1).then_some(revision))
}

fn padded(boot: &str) -> [u8; BOOT] {
    let mut padded = [0; BOOT];
    let n = boot.len().min(BOOT);
    padded[..n].copy_from_slice(&boot.as_bytes()[..n]);
    padded
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&Sha256::digest(bytes)[..CHECKSUM]);
    sum
}

fn parse_body(bytes: &[u8], revision: Option<i64>) -> Option<State> {
    let mut input = Input { bytes };
    let mut state = State { revision, known: true, ..State::unknown() };
    for _ in 0..input.number()? {
        state.laid_out.insert(input.text()?.to_owned());
    }
    for _ in 0..input.number()? {
        let dir = input.text()?.to_owned();
        let mut files = Files::default();
        for _ in 0..input.number()? {
            let name = input.text()?;
            files.records.insert(name.into(), input.record()?);
        }
        state.dirs.insert(dir, files);
    }
    input.bytes.is_empty().then_some(state)
}

fn put_number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // A path's length fits: longer ones are refused before they get here.
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let same = match (&record.tracked, &record.read) {
        (Some(tracked), Some(read)) => tracked.sha == read.sha,
        _ => false,
    };
    let flags = flag(record.tracked.is_some(), HAS_TRACKED)
        | flag(record.tracked.is_some_and(|t| t.kind == EntryKind::Symlink), IS_LINK)
        | flag(record.tracked.is_some_and(|t| t.mode == 0o755), IS_EXECUTABLE)
        | flag(record.read.is_some(), HAS_READ)
        | flag(same, READ_IS_TRACKED)
        | flag(record.base != 0, HAS_BASE);
    out.push(flags);
    if record.base != 0 {
        put_number(out, record.base as u64);
    }
    if let Some(tracked) = &record.tracked {
        out.extend_from_slice(&tracked.sha);
        put_number(out, tracked.size);
    }
    if let Some(ReadBefore { sha, print }) = &record.read {
        if !same {
            out.extend_from_slice(sha);
        }
        for n in [print.mtime, print.ctime, print.size, print.ino as i64, print.at] {
            put_number(out, n as u64);
        }
    }
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn signed(&mut self) -> Option<i64> {
        Some(self.number()? as i64)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn sha(&mut self) -> Option<Sha> {
        self.take(32)?.try_into().ok()
    }

    fn record(&mut self) -> Option<Record> {
        let flags = self.take(1)?[0];
        let has = |bit: u8| flags & bit != 0;
        let base = if has(HAS_BASE) { self.signed()? } else { 0 };
        let mut tracked = None;
        if has(HAS_TRACKED) {
            let (sha, size) = (self.sha()?, self.number()?);
            let kind = if has(IS_LINK) { EntryKind::Symlink } else { EntryKind::File };
            tracked = Some(Tracked { sha, size, mode: if has(IS_EXECUTABLE) { 0o755 } else { 0o644 }, kind });
        }
        let mut read = None;
        if has(HAS_READ) {
            let sha = match tracked {
                Some(tracked) if has(READ_IS_TRACKED) => tracked.sha,
                _ => self.sha()?,
            };
            let (mtime, ctime, size, ino, at) = (self.signed()?, self.signed()?, self.signed()?, self.number()?, self.signed()?);
            read = Some(ReadBefore { sha, print: Print { mtime, ctime, size, ino, at } });
        }
        Some(Record { tracked, base, read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let mut state = State { revision: Some(7), known: true, ..State::unknown() };
        let print = Print { mtime: 1, ctime: -2, size: 3, ino: u64::MAX, at: 5 };
        let file = Tracked { sha: [1; 32], size: 9, mode: 0o755, kind: EntryKind::File };
        state.track("a/b/ü.txt", Some(file), 8);
        state.remember("a/b/ü.txt", [1; 32], print);
        state.track("link", Some(Tracked { kind: EntryKind::Symlink, mode: 0o644, ..file }), 0);
        state.remember("link", [3; 32], print);
        state.track("gone", None, 9);
        state.laid_out.insert("empty".into());
        state
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write(&sample(), &path, "boot").unwrap();
        let read_back = read(&path, Some("boot")).unwrap();
        assert_eq!(read_revision(&path, "boot"), Some(7));
        for (path, record) in sample().paths() {
            let again = read_back.get(&path).unwrap();
            assert_eq!((again.tracked, again.base), (record.tracked, record.base), "{path}");
            assert_eq!(again.read.map(|r| (r.sha, r.print)), record.read.map(|r| (r.sha, r.print)), "{path}");
        }
        assert_eq!((read_back.laid_out, read_back.revision, read_back.known), (sample().laid_out, Some(7), true));
        assert!(read(&path, Some("another boot")).is_err());
        assert_eq!(read_revision(&path, "another boot"), None);
        let whole = fs::read(&path).unwrap();
        for damaged in [whole[..whole.len() - 1].to_vec(), [&whole[..60], &[9], &whole[61..]].concat(), Vec::new(), b"{}".to_vec()] {
            fs::write(&path, damaged).unwrap();
            assert!(read(&path, Some("boot")).is_err());
        }
    }
}
