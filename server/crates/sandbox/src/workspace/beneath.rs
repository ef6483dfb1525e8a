//! File access below a directory that somebody hostile is changing at the same moment. Paths are resolved by the
//! kernel, never leave the directory and never pass through a symbolic link.

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, mkdirat, openat, openat2, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Deeper trees are flattened while they are removed, so that no tree is too deep to remove.
const DEEP: usize = 64;

/// Accepts "a/b/c": relative, no empty part, no "." or "..", no null character.
pub(crate) fn check_path(path: &str) -> io::Result<()> {
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.len() > 255;
    if path.is_empty() || path.len() > 4000 || path.contains('\0') || path.split('/').any(bad) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a usable path: {path:?}")));
    }
    Ok(())
}

/// ("a/b", "c") of "a/b/c"; the parent is "" at the top.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

pub(crate) fn open_top(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | DIRECTORY, Mode::empty())?)
}

/// Opens a directory; "" is the top itself.
pub(crate) fn open_dir(top: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    if path != "." {
        check_path(path)?;
    }
    Ok(openat2(top, path, OFlags::RDONLY | DIRECTORY, Mode::empty(), INSIDE)?)
}

/// Opens a regular file for reading. Does not block on a FIFO, refuses everything that is not a file.
pub(crate) fn open_file(top: impl AsFd, path: &str) -> io::Result<File> {
    check_path(path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = openat2(top, path, flags, Mode::empty(), INSIDE)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is not a regular file")));
    }
    Ok(File::from(fd))
}

/// What is at `path`, not following it. None if there is nothing, or something else than a directory in between.
pub(crate) fn stat(top: impl AsFd, path: &str) -> io::Result<Option<Stat>> {
    let (parent, name) = split(path);
    check_path(path)?;
    let dir = match open_dir(top, parent) {
        Err(e) if is_absent(&e) => return Ok(None),
        other => other?,
    };
    stat_name(&dir, name)
}

pub(crate) fn stat_name(dir: impl AsFd, name: &str) -> io::Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

pub(crate) fn is_absent(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(crate) fn read_link(dir: impl AsFd, name: &str) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes())
}

/// Opens a directory and makes what is missing on the way. Something else standing in the way is removed.
pub(crate) fn make_dirs(top: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let mut dir = open_dir(top, "")?;
    if path.is_empty() {
        return Ok(dir);
    }
    check_path(path)?;
    for name in path.split('/') {
        dir = make_dir(&dir, name)?;
    }
    Ok(dir)
}

pub(crate) fn make_dir(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    for _ in 0..8 {
        match openat(parent, name, OFlags::RDONLY | DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            },
            Err(Errno::NOTDIR | Errno::LOOP) => remove(parent, name)?,
            Err(e) => return Err(e.into()),
            Ok(fd) => return Ok(fd),
        }
    }
    Err(io::Error::other(format!("{name:?} keeps changing")))
}

/// Moves a finished file into place. What stood there is afterwards in `from`, under the name that is returned: both change places
/// in one step, so nobody ever finds the path empty, and nothing that was written to it until then is missed.
pub(crate) fn swap_in(from: impl AsFd, from_name: &str, to: &OwnedFd, name: &str) -> io::Result<Option<String>> {
    for _ in 0..8 {
        match renameat_with(&from, from_name, to, name, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other.map(|()| None).map_err(io::Error::from),
        }
        match renameat_with(&from, from_name, to, name, RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => {}
            // A directory that its owner may not write can't be moved. See `open_even_if_closed`.
            Err(Errno::ACCESS) => rustix::fs::chmodat(to, name, Mode::from_raw_mode(0o755), AtFlags::empty())?,
            Err(Errno::INVAL) => {
                // Not every file system can exchange; then the path is empty for a moment.
                let out = uuid::Uuid::now_v7().to_string();
                match renameat_with(to, name, &from, out.as_str(), RenameFlags::NOREPLACE) {
                    Err(Errno::NOENT) => continue,
                    other => other?,
                }
                renameat_with(&from, from_name, to, name, RenameFlags::empty())?;
                return Ok(Some(out));
            }
            other => return other.map(|()| Some(from_name.to_owned())).map_err(io::Error::from),
        }
    }
    Err(io::Error::other(format!("{name:?} keeps changing")))
}

/// Puts something beside `name`, under a name made of it: "main.py" becomes "main.conflict-<label>.py". Returns that name.
/// The same content under the same name is kept once.
pub(crate) fn move_beside(from: impl AsFd, from_name: &str, dir: &OwnedFd, name: &str, label: &str) -> io::Result<String> {
    for attempt in 0..100 {
        let beside = name_beside(name, &if attempt == 0 { label.to_owned() } else { format!("{label}-{attempt}") });
        match renameat_with(&from, from_name, dir, beside.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) if same_content(from.as_fd(), from_name, dir.as_fd(), &beside) => {
                remove(&from, from_name)?;
                return Ok(beside);
            }
            Err(Errno::EXIST) => {}
            other => return other.map(|()| beside).map_err(io::Error::from),
        }
    }
    Err(io::Error::other(format!("there is no free name beside {name:?}")))
}

fn name_beside(name: &str, label: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 20 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let room = 255 - ".conflict-".len() - label.len() - extension.len();
    let end = (0..=room.min(stem.len())).rev().find(|end| stem.is_char_boundary(*end)).unwrap_or(0);
    format!("{}.conflict-{label}{extension}", &stem[..end])
}

fn same_content(a: BorrowedFd, a_name: &str, b: BorrowedFd, b_name: &str) -> bool {
    let sha = |dir: BorrowedFd, name: &str| {
        let stat = stat_name(dir, name).ok()??;
        super::state::hash_entry(dir, name, &stat).ok().map(|(sha, _)| sha)
    };
    sha(a, a_name).is_some_and(|first| sha(b, b_name) == Some(first))
}

/// Whether a directory holds nothing but directories.
pub(crate) fn is_bare(parent: impl AsFd, name: &str) -> io::Result<bool> {
    fn look(dir: &OwnedFd, depth: usize) -> io::Result<bool> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let is_dir = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| kind(&stat) == FileType::Directory);
            if !is_dir || depth > DEEP || !look(&open_even_if_closed(dir.as_fd(), name)?, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    look(&open_even_if_closed(parent.as_fd(), name)?, 0)
}

/// Removes a file, link or whole directory. Nothing there is fine.
pub(crate) fn remove(parent: impl AsFd, name: &str) -> io::Result<()> {
    let parent = parent.as_fd();
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e.into()),
    }
    let mut deep = Vec::new();
    empty(parent, name, parent, 0, &mut deep)?;
    while let Some(moved) = deep.pop() {
        empty(parent, &moved, parent, 0, &mut deep)?;
    }
    Ok(())
}

fn empty(parent: BorrowedFd, name: &str, top: BorrowedFd, depth: usize, deep: &mut Vec<String>) -> io::Result<()> {
    let dir = match open_even_if_closed(parent, name) {
        Err(e) if is_absent(&e) => return Ok(()),
        other => other?,
    };
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let raw = entry.file_name();
        if raw.to_bytes() == b"." || raw.to_bytes() == b".." {
            continue;
        }
        match unlinkat(&dir, raw, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
        match raw.to_str() {
            Ok(inner) if depth < DEEP => empty(dir.as_fd(), inner, top, depth + 1, deep)?,
            _ => {
                let aside = format!(".removing-{}", uuid::Uuid::now_v7());
                // Moving a directory needs the right to change it: its ".." is rewritten.
                let _ = rustix::fs::chmodat(&dir, raw, Mode::from_raw_mode(0o700), AtFlags::empty());
                renameat_with(&dir, raw, top, aside.as_str(), RenameFlags::empty())?;
                deep.push(aside);
            }
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A job can take away its own right to a directory; as the owner we give it back. The mode change may follow a link
/// that was put there meanwhile: it is made with the job's own rights, so it can do nothing the job could not.
pub(crate) fn open_even_if_closed<P: rustix::path::Arg + Copy>(parent: BorrowedFd, name: P) -> io::Result<OwnedFd> {
    let open = || openat(parent, name, OFlags::RDONLY | DIRECTORY, Mode::empty());
    let writable = |fd: &OwnedFd| rustix::fs::fstat(fd).is_ok_and(|s| s.st_mode & 0o700 == 0o700);
    match open() {
        Ok(fd) if writable(&fd) => Ok(fd),
        Ok(fd) => {
            let _ = rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755));
            Ok(fd)
        }
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
            Ok(open()?)
        }
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for good in ["a", "a/b", "..a/b..", "ä ö/…"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_beside_stay_clear_and_short() {
        assert_eq!(name_beside("main.py", "0a1b"), "main.conflict-0a1b.py");
        assert_eq!(name_beside("Makefile", "0a1b"), "Makefile.conflict-0a1b");
        assert_eq!(name_beside(".env", "0a1b"), ".env.conflict-0a1b");
        let long = format!("{}.txt", "ü".repeat(125));
        assert!(name_beside(&long, "0a1b2c3d").len() <= 255);
    }

    #[test]
    fn links_and_fifos_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let top = open_top(dir.path()).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("file")).unwrap();
        rustix::fs::mkfifoat(&top, "fifo", Mode::from_raw_mode(0o600)).unwrap();
        assert!(open_file(&top, "out/hostname").is_err());
        assert!(open_file(&top, "file").is_err());
        assert!(open_file(&top, "fifo").is_err());
        assert!(open_dir(&top, "out").is_err());
    }

    #[test]
    fn very_deep_trees_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = open_top(dir.path()).unwrap();
        mkdirat(&top, "d", Mode::from_raw_mode(0o755)).unwrap();
        let mut at = open_dir(&top, "d").unwrap();
        for _ in 0..700 {
            at = make_dir(&at, "dddddddddd").unwrap();
        }
        remove(&top, "d").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
