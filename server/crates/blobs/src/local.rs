use std::{
    fs::TryLockError,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncSeekExt},
};

use crate::{
    BlobError, Blobs, Hold, Listed, Listing, Reader, Stored, Verified, check_name,
    spool::{self, Spooled},
};

/// Bytes of a blob that are compared when the same bytes are stored again.
const HASHED_MAX: u64 = 8 << 20;

/// Blobs below one directory: `ab/cd/abcd…`, with a spool directory beside them on the same file system.
pub struct LocalBlobs {
    root: PathBuf,
    spool: PathBuf,
}

impl LocalBlobs {
    /// Makes the directories. What an earlier process left in the spool was never named by anyone and is removed.
    pub async fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let spool = root.join("spool");
        spool::open(&spool).await?;
        Ok(Self { root, spool })
    }

    fn path_of(&self, sha256: &str) -> PathBuf {
        self.root.join(&sha256[..2]).join(&sha256[2..4]).join(sha256)
    }

    /// Whether a blob is there and undamaged. Large ones are only measured: reading them again would double what storing costs.
    async fn is_whole(&self, stored: &Stored) -> io::Result<bool> {
        let path = self.path_of(&stored.sha256);
        let size = match fs::metadata(&path).await {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if size != stored.size {
            return Ok(false);
        }
        // What can't be read is no better than what is not there.
        Ok(size > HASHED_MAX || fs::read(&path).await.is_ok_and(|bytes| hex::encode(Sha256::digest(bytes)) == stored.sha256))
    }

    async fn file(&self, sha256: &str) -> Result<File, BlobError> {
        check_name(sha256)?;
        match File::open(self.path_of(sha256)).await {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BlobError::NotFound(sha256.to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, body: Reader, limit: u64) -> Result<Stored, BlobError> {
        let Spooled { file, path, stored } = spool::receive(&self.spool, body, limit).await?;
        let target = self.path_of(&stored.sha256);
        if self.is_whole(&stored).await? {
            return Ok(stored);
        }
        // The bytes must be on the disk before a row names them.
        file.sync_all().await?;
        let parent = target.parent().map(Path::to_owned).unwrap_or_default();
        fs::create_dir_all(&parent).await?;
        path.persist(&target).map_err(|error| error.error)?;
        File::open(&parent).await?.sync_all().await?;
        Ok(stored)
    }

    async fn open(&self, sha256: &str) -> Result<Reader, BlobError> {
        let file = self.file(sha256).await?;
        Ok(Box::pin(Verified::new(file, sha256)))
    }

    async fn open_range(&self, sha256: &str, range: Range<u64>) -> Result<Reader, BlobError> {
        let mut file = self.file(sha256).await?;
        file.seek(io::SeekFrom::Start(range.start)).await?;
        Ok(Box::pin(file.take(range.end.saturating_sub(range.start))))
    }

    async fn exists(&self, sha256: &str) -> Result<bool, BlobError> {
        check_name(sha256)?;
        Ok(fs::try_exists(self.path_of(sha256)).await?)
    }

    async fn check(&self) -> Result<(), BlobError> {
        let spool = self.spool.clone();
        let written = tokio::task::spawn_blocking(move || tempfile::Builder::new().prefix("check-").tempfile_in(spool)?.close());
        Ok(written.await.map_err(io::Error::other)??)
    }

    async fn list(&self) -> Result<Listing, BlobError> {
        let (sender, listed) = tokio::sync::mpsc::channel(256);
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || {
            let sent = walk(&root, &mut |found| sender.blocking_send(Ok(found)).is_ok());
            if let Err(error) = sent {
                let _ = sender.blocking_send(Err(error.into()));
            }
        });
        Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(listed)))
    }

    async fn remove(&self, sha256: &str) -> Result<(), BlobError> {
        check_name(sha256)?;
        match fs::remove_file(self.path_of(sha256)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A lock of the file system: it outlives neither its process nor a pause of it, and servers that share the folder see it.
    async fn hold_removals(&self) -> Result<Option<Hold>, BlobError> {
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(self.root.join("sweep.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Hold::lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn local_path(&self, sha256: &str) -> Option<PathBuf> {
        check_name(sha256).ok()?;
        let path = self.path_of(sha256);
        path.is_file().then_some(path)
    }

    fn scratch(&self) -> Option<PathBuf> {
        Some(self.spool.clone())
    }
}

/// Tells every blob below the root until `tell` answers `false`.
fn walk(root: &Path, tell: &mut impl FnMut(Listed) -> bool) -> io::Result<()> {
    let is_part = |name: &str| name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
    for first in names_in(root)?.into_iter().filter(|name| is_part(name)) {
        for second in names_in(&root.join(&first))?.into_iter().filter(|name| is_part(name)) {
            let folder = root.join(&first).join(&second);
            for sha256 in names_in(&folder)?.into_iter().filter(|name| check_name(name).is_ok()) {
                // One that is gone by now is no news.
                let Ok(meta) = std::fs::symlink_metadata(folder.join(&sha256)) else { continue };
                if !tell(Listed { sha256, size: meta.len(), modified: meta.modified()? }) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}
