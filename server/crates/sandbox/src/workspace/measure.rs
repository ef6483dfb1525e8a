//! How much a directory holds, for the disk limits.

use super::beneath;
use super::owner::AsOwner;
use rustix::fs::{AtFlags, Dir, FileType};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// No project nests deeper on purpose. What does is taken for more than any limit allows, since it can't be counted.
const DEEPEST: usize = 400;

/// Bytes and number of everything below `dir`, ignored files and dependency caches included.
pub(crate) fn measure(dir: &Path, owner: Option<u32>) -> (u64, u64) {
    let mut total = (0, 0);
    if let (Ok(_as_owner), Ok(top)) = (AsOwner::enter(owner), beneath::open_top(dir)) {
        let _ = add(&top, 0, &mut total);
    }
    total
}

fn add(dir: &OwnedFd, depth: usize, total: &mut (u64, u64)) -> io::Result<()> {
    if depth > DEEPEST {
        *total = (u64::MAX / 2, u64::MAX / 2);
        return Ok(());
    }
    let mut below: Vec<CString> = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        total.0 = total.0.saturating_add(stat.st_blocks as u64 * 512);
        total.1 = total.1.saturating_add(1);
        if beneath::kind(&stat) == FileType::Directory {
            below.push(name.to_owned());
        }
    }
    for name in below {
        // A directory that its owner may write but not list would otherwise hide what is in it.
        if let Ok(dir) = beneath::open_even_if_closed(dir.as_fd(), name.as_c_str()) {
            add(&dir, depth + 1, total)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nothing_hides_from_the_measure() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
        let closed = dir.path().join("closed");
        for at in [&odd, &closed] {
            std::fs::create_dir(at).unwrap();
            std::fs::write(at.join("big"), vec![1; 100_000]).unwrap();
        }
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o300)).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        let (bytes, files) = measure(dir.path(), None);
        assert!(bytes >= 200_000, "{bytes}");
        assert_eq!(files, 5);
        let mut deep = dir.path().to_path_buf();
        for _ in 0..DEEPEST + 2 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        assert!(measure(dir.path(), None).0 > 1 << 60);
    }
}
