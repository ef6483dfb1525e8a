//! How much room a file system has, and how little of it is too little.

use rustix::fs::statvfs;
use std::io;
use std::path::Path;

const GIB: u64 = 1 << 30;

/// Each mark is a share of the disk or a number of bytes, whichever is less: a share alone would make a large disk
/// useless while it has room for thousands of runs, bytes alone would never let a small one start any.
const SHORT: Mark = Mark { percent: 10, bytes: 5 * GIB };
const LOW: Mark = Mark { percent: 5, bytes: 2 * GIB };
const EXHAUSTED: Mark = Mark { percent: 2, bytes: GIB / 2 };

struct Mark {
    percent: u64,
    bytes: u64,
}

/// Bytes on one file system, as an unprivileged user sees them.
#[derive(Clone, Copy, Debug)]
pub struct DiskRoom {
    pub free: u64,
    pub total: u64,
}

impl DiskRoom {
    /// Of the file system that holds `path`; `None` where it does not tell its size.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let stat = statvfs(path)?;
        let (free, total) = (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
        Ok((total > 0).then_some(Self { free, total }))
    }

    /// Worth a warning to the operator.
    pub fn is_short(self) -> bool {
        self.is_below(&SHORT)
    }

    /// No new command is started.
    pub fn is_low(self) -> bool {
        self.is_below(&LOW)
    }

    /// What runs is stopped.
    pub fn is_exhausted(self) -> bool {
        self.is_below(&EXHAUSTED)
    }

    fn is_below(self, mark: &Mark) -> bool {
        self.free < (self.total / 100).saturating_mul(mark.percent).min(mark.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_disk_is_judged_by_bytes_and_a_small_one_by_its_share() {
        let room = |free, total| DiskRoom { free, total };
        assert!(!room(6 * GIB, 250 * GIB).is_short(), "six GiB are room enough, though only 2.4 %");
        assert!(room(3 * GIB, 250 * GIB).is_short() && !room(3 * GIB, 250 * GIB).is_low());
        assert!(room(GIB, 250 * GIB).is_low() && !room(GIB, 250 * GIB).is_exhausted());
        assert!(room(GIB / 4, 250 * GIB).is_exhausted());
        assert!(!room(GIB, 8 * GIB).is_short(), "an eighth of a small disk is free");
        assert!(room(GIB / 4, 8 * GIB).is_low() && !room(GIB / 4, 8 * GIB).is_exhausted());
    }

    #[test]
    fn a_real_file_system_tells_its_room() {
        let room = DiskRoom::of(Path::new("/")).unwrap().unwrap();
        assert!(room.free <= room.total && room.total > 0);
        assert!(DiskRoom::of(Path::new("/nowhere/at/all")).is_err());
    }
}
