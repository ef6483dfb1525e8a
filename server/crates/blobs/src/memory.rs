use std::{
    collections::HashMap,
    io::Cursor,
    ops::Range,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::{BlobError, Blobs, Listed, Listing, Reader, Stored, check_name};

/// Blobs in memory, for tests that are not about storage.
#[derive(Default)]
pub struct MemoryBlobs {
    blobs: Mutex<HashMap<String, (Bytes, SystemTime)>>,
}

impl MemoryBlobs {
    pub fn new() -> Self {
        Self::default()
    }

    fn get(&self, sha256: &str) -> Result<Bytes, BlobError> {
        check_name(sha256)?;
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.get(sha256).map(|(bytes, _)| bytes.clone()).ok_or_else(|| BlobError::NotFound(sha256.to_owned()))
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, body: Reader, limit: u64) -> Result<Stored, BlobError> {
        let mut bytes = Vec::new();
        body.take(limit.saturating_add(1)).read_to_end(&mut bytes).await.map_err(BlobError::Source)?;
        if bytes.len() as u64 > limit {
            return Err(BlobError::TooLarge { limit });
        }
        let stored = Stored { sha256: hex::encode(Sha256::digest(&bytes)), size: bytes.len() as u64 };
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.entry(stored.sha256.clone()).or_insert_with(|| (bytes.into(), SystemTime::now()));
        Ok(stored)
    }

    async fn open(&self, sha256: &str) -> Result<Reader, BlobError> {
        Ok(Box::pin(Cursor::new(self.get(sha256)?)))
    }

    async fn open_range(&self, sha256: &str, range: Range<u64>) -> Result<Reader, BlobError> {
        let bytes = self.get(sha256)?;
        let end = (range.end as usize).min(bytes.len());
        let start = (range.start as usize).min(end);
        Ok(Box::pin(Cursor::new(bytes.slice(start..end))))
    }

    async fn exists(&self, sha256: &str) -> Result<bool, BlobError> {
        Ok(self.get(sha256).is_ok())
    }

    async fn check(&self) -> Result<(), BlobError> {
        Ok(())
    }

    async fn list(&self) -> Result<Listing, BlobError> {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = blobs
            .iter()
            .map(|(sha256, (bytes, modified))| Ok(Listed { sha256: sha256.clone(), size: bytes.len() as u64, modified: *modified }));
        Ok(Box::pin(futures::stream::iter(listed.collect::<Vec<_>>())))
    }

    async fn remove(&self, sha256: &str) -> Result<(), BlobError> {
        check_name(sha256)?;
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).remove(sha256);
        Ok(())
    }
}
