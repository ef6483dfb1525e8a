//! Who a project's files belong to. A root server gives each project a uid of its own and touches the project's files
//! with that uid's rights only, so that nothing a job plants there can borrow root's.

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use uuid::Uuid;

/// How many projects one server can have checked out at a time.
const RANGE: u32 = 100_000;

#[derive(Default, Serialize, Deserialize)]
struct Uids {
    by_project: BTreeMap<Uuid, u32>,
}

/// The uid of a project, taken from the range on first use and kept until [`release`].
pub(super) fn allocate(file: &Path, base: u32, project: Uuid) -> io::Result<u32> {
    change(file, |uids| {
        if let Some(uid) = uids.by_project.get(&project) {
            return Ok(*uid);
        }
        let used: std::collections::BTreeSet<u32> = uids.by_project.values().copied().collect();
        let free = (base..base + RANGE).find(|uid| *uid != 0 && !used.contains(uid));
        let uid = free.ok_or_else(|| io::Error::other("every uid of the range is in use"))?;
        uids.by_project.insert(project, uid);
        Ok(uid)
    })
}

/// Gives a project's uid back. Only after its directory is gone.
pub(super) fn release(file: &Path, project: Uuid) -> io::Result<()> {
    change(file, |uids| {
        uids.by_project.remove(&project);
        Ok(())
    })
}

fn change<T>(file: &Path, edit: impl FnOnce(&mut Uids) -> io::Result<T>) -> io::Result<T> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(file.with_extension("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let mut uids: Uids = match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Uids::default(),
        Err(e) => return Err(e),
    };
    let result = edit(&mut uids)?;
    super::write_file(file, &serde_json::to_vec(&uids).map_err(io::Error::other)?)?;
    Ok(result)
}

/// While alive, this thread's file accesses happen with the project's rights. Not for use across an await.
pub(crate) struct AsOwner {
    /// What to go back to: another guard's ids if they are nested.
    before: Option<(u32, u32)>,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl AsOwner {
    pub(crate) fn enter(owner: Option<u32>) -> io::Result<AsOwner> {
        let mut guard = AsOwner { before: None, _not_send: std::marker::PhantomData };
        if let Some(id) = owner {
            // SAFETY: these calls concern this thread only and report nothing but the previous id; asking for an
            // impossible one afterwards tells whether they worked.
            let in_force = unsafe {
                let gid = libc::setfsgid(id) as u32;
                guard.before = Some((libc::setfsuid(id) as u32, gid));
                libc::setfsgid(u32::MAX) == id as i32 && libc::setfsuid(u32::MAX) == id as i32
            };
            if !in_force {
                return Err(io::Error::other("the project's uid could not be taken on"));
            }
        }
        Ok(guard)
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.before {
            // SAFETY: as above; the process's real ids are untouched.
            unsafe {
                libc::setfsuid(uid);
                libc::setfsgid(gid);
            }
        }
    }
}

/// Makes a directory for the owner, below a directory only the server can write.
pub(super) fn make_dir(path: &Path, mode: u32, owner: Option<u32>) -> io::Result<()> {
    use rustix::fs::{Gid, Mode, Uid};
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let fd = super::beneath::open_top(path)?;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))?;
    if let Some(id) = owner {
        rustix::fs::fchown(&fd, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)))?;
    }
    Ok(())
}

/// Makes a directory of the server's own with its parents; an existing one keeps its owner.
pub(super) fn make_dir_all(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    let fd = super::beneath::open_top(path)?;
    Ok(rustix::fs::fchmod(&fd, rustix::fs::Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_uid_per_project_and_none_shared() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("uids.json");
        let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
        let first = allocate(&file, 200_000, a).unwrap();
        assert_eq!(first, allocate(&file, 200_000, a).unwrap());
        assert_ne!(first, allocate(&file, 200_000, b).unwrap());
        release(&file, a).unwrap();
        assert_eq!(first, allocate(&file, 200_000, Uuid::now_v7()).unwrap());
    }
}
