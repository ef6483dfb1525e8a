//! File bytes by their SHA-256. Content is immutable: the same bytes are the same blob, and a blob is never changed or half there.
//!
//! Blobs are written before the row that names them, so a crash between the two leaves an orphan and nothing worse.

mod cache;
mod local;
mod memory;
mod s3;
mod spool;
mod storage;
mod verified;

use std::{any::Any, io, ops::Range, path::PathBuf, pin::Pin, time::SystemTime};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncReadExt};

pub use local::LocalBlobs;
pub use memory::MemoryBlobs;
pub use s3::{S3Blobs, S3Config};
pub use storage::{Backend, Storage};
use verified::Verified;

/// The bytes of one blob, in order.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// A blob as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub sha256: String,
    pub size: u64,
    pub modified: SystemTime,
}

/// Every blob there is, in no order.
pub type Listing = BoxStream<'static, Result<Listed, BlobError>>;

/// What a sweep has while it removes.
pub struct Hold {
    /// While this lives, nobody else removes blobs, however long this process is held up.
    pub is_lock: bool,
    _lock: Option<Box<dyn Any + Send>>,
}

impl Hold {
    fn lock(lock: impl Any + Send) -> Self {
        Self { is_lock: true, _lock: Some(Box::new(lock)) }
    }
}

/// What was stored: `sha256` in lower-case hex, `size` in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub sha256: String,
    pub size: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("no blob {0}")]
    NotFound(String),
    #[error("larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// The bytes on disk are not the ones that were stored.
    #[error("blob {0} is damaged")]
    Corrupt(String),
    #[error("the bytes could not be received: {0}")]
    Source(#[source] io::Error),
    /// The storage does not answer, or refuses; a sentence without its full stop.
    #[error("{0}")]
    Unavailable(String),
    #[error("blob storage: {0}")]
    Io(#[from] io::Error),
}

#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Stores what `body` yields, streaming. More than `limit` bytes is `TooLarge`, and nothing is left behind.
    async fn put(&self, body: Reader, limit: u64) -> Result<Stored, BlobError>;

    /// A reader that fails with `InvalidData` at the end if the bytes do not match the name.
    async fn open(&self, sha256: &str) -> Result<Reader, BlobError>;

    /// Part of a blob; parts are not verified.
    async fn open_range(&self, sha256: &str, range: Range<u64>) -> Result<Reader, BlobError>;

    async fn exists(&self, sha256: &str) -> Result<bool, BlobError>;

    /// Whether blobs can be written now.
    async fn check(&self) -> Result<(), BlobError>;

    /// Every blob that is stored. What is put or removed meanwhile may be in it or not.
    async fn list(&self) -> Result<Listing, BlobError>;

    /// Deletes a blob; one that is not there is fine. Only for a sweep that knows that nothing names it.
    async fn remove(&self, sha256: &str) -> Result<(), BlobError>;

    /// What a sweep holds while it removes. `None` while another sweep does. Backends that know no locks leave it to the sweep's clock.
    async fn hold_removals(&self) -> Result<Option<Hold>, BlobError> {
        Ok(Some(Hold { is_lock: false, _lock: None }))
    }

    /// Where a blob lies as a file of this machine, for readers of many files; `None` where it does not. Its bytes are not verified, and
    /// it may be gone by the time it is opened.
    fn local_path(&self, sha256: &str) -> Option<PathBuf> {
        let _ = sha256;
        None
    }

    /// A folder of this machine for what is held for a moment, with room for large files; `None` where there is none.
    fn scratch(&self) -> Option<PathBuf> {
        None
    }

    async fn put_bytes(&self, bytes: Vec<u8>) -> Result<Stored, BlobError> {
        self.put(Box::pin(io::Cursor::new(bytes)), u64::MAX).await
    }

    /// A whole blob in memory; `TooLarge` beyond `limit` bytes.
    async fn read_all(&self, sha256: &str, limit: u64) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        let mut reader = self.open(sha256).await?.take(limit.saturating_add(1));
        reader.read_to_end(&mut bytes).await.map_err(|error| damaged(sha256, error))?;
        if bytes.len() as u64 > limit {
            return Err(BlobError::TooLarge { limit });
        }
        Ok(bytes)
    }
}

fn damaged(sha256: &str, error: io::Error) -> BlobError {
    if error.kind() == io::ErrorKind::InvalidData { BlobError::Corrupt(sha256.to_owned()) } else { BlobError::Io(error) }
}

/// For people, without what only an operator may see, such as paths.
pub fn explain_io(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "its disk is full",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "this server may not write to its folder",
        io::ErrorKind::NotFound => "its folder is gone",
        io::ErrorKind::TimedOut => "it does not answer in time",
        _ => "it does not answer",
    }
}

/// Blob names come from rows, but a name that is not a hash must never become a path.
fn check_name(sha256: &str) -> Result<(), BlobError> {
    let valid = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if valid { Ok(()) } else { Err(BlobError::NotFound("with that name".to_owned())) }
}
