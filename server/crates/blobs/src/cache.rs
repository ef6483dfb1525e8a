use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use tempfile::TempPath;
use tokio::fs::{self, File};

use crate::{check_name, spool};

/// How exactly it is known when a file was last used.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Copies of blobs on this machine's disk: `ab/abcd…` below a folder. Those used longest ago go first; servers may share the folder.
/// Nothing in it is needed, so whatever fails here only costs time.
pub(crate) struct DiskCache {
    root: PathBuf,
    spool: PathBuf,
    /// Bytes.
    most: u64,
    /// What was there when it was last counted, and what this process has added since.
    used: AtomicU64,
    trimming: tokio::sync::Mutex<()>,
}

impl DiskCache {
    pub async fn open(root: PathBuf, most: u64) -> io::Result<Self> {
        let spool = root.join("spool");
        spool::open(&spool).await?;
        let cache = Self { root, spool, most, used: AtomicU64::new(0), trimming: Default::default() };
        cache.trim().await;
        Ok(cache)
    }

    pub fn spool(&self) -> &Path {
        &self.spool
    }

    /// Whether a blob of this size is worth the room of many others.
    pub fn takes(&self, size: u64) -> bool {
        size <= self.most / 4
    }

    fn path_of(&self, sha256: &str) -> PathBuf {
        self.root.join(&sha256[..2]).join(sha256)
    }

    pub fn find(&self, sha256: &str) -> Option<PathBuf> {
        check_name(sha256).ok()?;
        let path = self.path_of(sha256);
        path.is_file().then_some(path)
    }

    /// A file that is there, noted as used.
    pub async fn get(&self, sha256: &str) -> Option<File> {
        let file = File::open(self.path_of(sha256)).await.ok()?.into_std().await;
        let is_noted = file.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age < TOUCH_EVERY));
        if !is_noted {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(File::from_std(file))
    }

    /// Keeps a whole file that lies in the spool folder.
    pub async fn keep(&self, sha256: &str, file: TempPath, size: u64) {
        if !self.takes(size) {
            return;
        }
        let path = self.path_of(sha256);
        let kept = async {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).await?;
            }
            file.persist(&path).map_err(|error| error.error)
        };
        match kept.await {
            Ok(()) => drop(self.used.fetch_add(size, Ordering::Relaxed)),
            Err(error) => tracing::warn!(%error, "a blob could not be kept on this machine's disk"),
        }
        if self.used.load(Ordering::Relaxed) > self.most {
            self.trim().await;
        }
    }

    pub fn forget(&self, sha256: &str) {
        let _ = std::fs::remove_file(self.path_of(sha256));
    }

    /// Counts what is there and makes room if it is too much. One at a time; others go on.
    async fn trim(&self) {
        let Ok(_alone) = self.trimming.try_lock() else { return };
        let (root, most) = (self.root.clone(), self.most);
        match tokio::task::spawn_blocking(move || trim(&root, most)).await {
            Ok(Ok(left)) => self.used.store(left, Ordering::Relaxed),
            Ok(Err(error)) => tracing::warn!(%error, "the blobs kept on this machine's disk could not be counted"),
            Err(error) => tracing::error!(%error, "counting the blobs kept on this machine's disk failed"),
        }
    }
}

/// Answers the bytes that are left. Room is made for a while, so that it is not counted at every blob.
fn trim(root: &Path, most: u64) -> io::Result<u64> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(root)? {
        let folder = folder?;
        if folder.file_name().len() != 2 {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let file = file?;
            // Another server may have removed it just now.
            if let Ok(meta) = file.metadata() {
                files.push((meta.modified()?, meta.len(), file.path()));
            }
        }
    }
    let mut used: u64 = files.iter().map(|(_, size, _)| size).sum();
    if used <= most {
        return Ok(used);
    }
    files.sort_unstable();
    for (_, size, path) in files {
        if used <= most / 5 * 4 {
            break;
        }
        if std::fs::remove_file(path).is_ok() {
            used -= size;
        }
    }
    Ok(used)
}
