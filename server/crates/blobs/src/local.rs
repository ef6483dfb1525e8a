use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, ReadBuf},
};

use crate::{BlobError, Blobs, Reader, Stored, check_name};

const CHUNK: usize = 128 * 1024;

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
        fs::create_dir_all(&spool).await?;
        let mut left = fs::read_dir(&spool).await?;
        while let Some(entry) = left.next_entry().await? {
            let age = entry.metadata().await?.modified()?.elapsed().unwrap_or_default();
            // Another server may share the directory; only what nobody can still be writing is removed.
            if age > std::time::Duration::from_secs(24 * 3600) {
                let _ = fs::remove_file(entry.path()).await;
            }
        }
        Ok(Self { root, spool })
    }

    fn path_of(&self, sha256: &str) -> PathBuf {
        self.root.join(&sha256[..2]).join(&sha256[2..4]).join(sha256)
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
    async fn put(&self, mut body: Reader, limit: u64) -> Result<Stored, BlobError> {
        let spooled = tempfile::Builder::new().prefix("in-").tempfile_in(&self.spool)?;
        let (file, spooled) = spooled.into_parts();
        let mut file = File::from_std(file);
        let mut hash = Sha256::new();
        let mut size = 0u64;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = body.read(&mut buffer).await.map_err(BlobError::Source)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > limit {
                return Err(BlobError::TooLarge { limit });
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read]).await?;
        }
        file.flush().await?;
        let sha256 = hex::encode(hash.finalize());
        let target = self.path_of(&sha256);
        if fs::try_exists(&target).await? {
            return Ok(Stored { sha256, size });
        }
        // The bytes must be on the disk before a row names them.
        file.sync_all().await?;
        let parent = target.parent().map(Path::to_owned).unwrap_or_default();
        fs::create_dir_all(&parent).await?;
        spooled.persist(&target).map_err(|error| error.error)?;
        File::open(&parent).await?.sync_all().await?;
        Ok(Stored { sha256, size })
    }

    async fn open(&self, sha256: &str) -> Result<Reader, BlobError> {
        let file = self.file(sha256).await?;
        Ok(Box::pin(Verified { file, hash: Sha256::new(), name: sha256.to_owned() }))
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
        let probe = tempfile::Builder::new().prefix("check-").tempfile_in(&self.spool)?;
        probe.close()?;
        Ok(())
    }
}

/// Hashes what passes and refuses the end of the file if the bytes are not the ones that were stored.
struct Verified {
    file: File,
    hash: Sha256,
    name: String,
}

impl AsyncRead for Verified {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.file).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            let found = hex::encode(std::mem::take(&mut self.hash).finalize());
            if found != self.name {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the stored bytes are damaged")));
            }
            // A reader may be asked again after its end.
            self.name = hex::encode(Sha256::new().finalize());
        } else {
            self.hash.update(read);
        }
        Poll::Ready(Ok(()))
    }
}
