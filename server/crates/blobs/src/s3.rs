use std::{
    fmt, io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as Key,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

use crate::{
    BlobError, Blobs, Listed, Listing, Reader, Stored, Verified,
    cache::DiskCache,
    check_name,
    spool::{self, Spooled},
};

/// Before the names of blobs, so that a bucket can hold other things.
const PREFIX: &str = "blobs";
/// Larger blobs go in parts of this size, two at a time: what an upload takes of memory whatever its size.
const PART: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 2;
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Without a byte for so long a request has failed.
const SILENCE: Duration = Duration::from_secs(20);
/// A storage that could be written to is believed for so long.
const BELIEVED: Duration = Duration::from_secs(30);

/// How to reach a bucket.
#[derive(Clone)]
pub struct S3Config {
    pub bucket: String,
    pub region: String,
    /// Key id and secret. `None`: the role of the machine that this runs on.
    pub key: Option<(String, String)>,
    /// `http://…` or `https://…` of a server other than Amazon's.
    pub endpoint: Option<String>,
    /// For copies of blobs that are read, and bytes on their way.
    pub cache_dir: PathBuf,
    /// Bytes of copies.
    pub cache_size: u64,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config").field("bucket", &self.bucket).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Blobs in a bucket, with a cache of those that were read or written here on this machine's disk.
pub struct S3Blobs {
    store: Arc<AmazonS3>,
    cache: Arc<DiskCache>,
    bucket: String,
    written: Mutex<Option<Instant>>,
}

impl S3Blobs {
    /// Asks nobody: a storage that does not answer is found out when it is used, or by `check`.
    pub async fn open(config: S3Config) -> Result<Self, BlobError> {
        install_crypto();
        let options = ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT_TIME).with_read_timeout(SILENCE);
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(1), base: 2. };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_client_options(options)
            .with_retry(RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(10) })
            .with_disable_bulk_delete(true);
        if let Some((id, secret)) = &config.key {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(|error| BlobError::Unavailable(format!("S3 storage is not set up right ({error})")))?;
        let cache = DiskCache::open(config.cache_dir, config.cache_size).await?;
        Ok(Self { store: Arc::new(store), cache: Arc::new(cache), bucket: config.bucket, written: Mutex::default() })
    }

    /// Also ends the belief that the storage can be written to.
    fn explain(&self, sha256: &str, error: object_store::Error) -> BlobError {
        let explained = explain(&self.bucket, sha256, &error);
        if matches!(explained, BlobError::Unavailable(_)) {
            *self.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        explained
    }

    /// The bytes as they come, kept on the disk on their way if they turn out right.
    fn read_through(&self, sha256: &str, size: u64, mut body: BoxStream<'static, object_store::Result<Bytes>>) -> Reader {
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
        let (cache, sha256) = (self.cache.clone(), sha256.to_owned());
        tokio::spawn(async move {
            // A disk that is full must not keep anybody from reading.
            let mut copy = spool::new_file(cache.spool()).ok();
            let mut hash = Sha256::new();
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(io::Error::other);
                if let Ok(bytes) = &chunk {
                    hash.update(bytes);
                    if let Some((file, _)) = &mut copy
                        && file.write_all(bytes).await.is_err()
                    {
                        copy = None;
                    }
                }
                let is_over = chunk.is_err();
                if sender.send(chunk).await.is_err() || is_over {
                    return;
                }
            }
            if hex::encode(hash.finalize()) != sha256 {
                let damaged = io::Error::new(io::ErrorKind::InvalidData, "the stored bytes are damaged");
                let _ = sender.send(Err(damaged)).await;
            } else if let Some((mut file, path)) = copy
                && file.flush().await.is_ok()
            {
                cache.keep(&sha256, path, size).await;
            }
        });
        Box::pin(StreamReader::new(ReceiverStream::new(receiver)))
    }
}

fn key_of(sha256: &str) -> Key {
    Key::from_iter([PREFIX, sha256])
}

/// object_store asks for a process-wide TLS implementation.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race against another installer is as good as winning it.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// In words for people; what the storage said itself goes to the log.
fn explain(bucket: &str, sha256: &str, error: &object_store::Error) -> BlobError {
    let said = error.to_string();
    let reason = match error {
        object_store::Error::NotFound { .. } if !said.contains("NoSuchBucket") => return BlobError::NotFound(sha256.to_owned()),
        object_store::Error::NotFound { .. } => format!("S3 storage has no bucket named {bucket}"),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            "S3 storage refuses this server's access key".to_owned()
        }
        _ if said.contains("NoSuchBucket") => format!("S3 storage has no bucket named {bucket}"),
        _ => "S3 storage does not answer".to_owned(),
    };
    tracing::warn!(error = said, "S3 storage failed");
    BlobError::Unavailable(reason)
}

/// Sends a spooled file and answers it. An upload in parts that fails is taken back.
async fn send(store: &AmazonS3, mut spooled: Spooled) -> Result<Spooled, SendError> {
    let key = key_of(&spooled.stored.sha256);
    spooled.file.rewind().await?;
    if spooled.stored.size <= PART as u64 {
        let bytes = read_part(&mut spooled.file).await?;
        store.put(&key, PutPayload::from_bytes(bytes)).await?;
        return Ok(spooled);
    }
    let mut upload = store.put_multipart(&key).await?;
    match send_parts(&mut *upload, &mut spooled.file).await {
        Ok(()) => Ok(spooled),
        Err(error) => {
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "an upload that failed could not be taken back; a rule of the bucket should end it");
            }
            Err(error)
        }
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, file: &mut tokio::fs::File) -> Result<(), SendError> {
    let mut sending = futures::stream::FuturesUnordered::new();
    loop {
        let part = read_part(file).await?;
        if part.is_empty() {
            break;
        }
        sending.push(upload.put_part(PutPayload::from_bytes(part)));
        if sending.len() >= PARTS_AT_ONCE {
            sending.next().await.transpose()?;
        }
    }
    while let Some(sent) = sending.next().await {
        sent?;
    }
    drop(sending);
    upload.complete().await?;
    Ok(())
}

async fn read_part(file: &mut tokio::fs::File) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

enum SendError {
    Io(io::Error),
    Store(object_store::Error),
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<object_store::Error> for SendError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    /// The name is only known at the end, and objects can't be renamed: the bytes wait on the disk until then.
    async fn put(&self, body: Reader, limit: u64) -> Result<Stored, BlobError> {
        let spooled = spool::receive(self.cache.spool(), body, limit).await?;
        let stored = spooled.stored.clone();
        // Sending what is small costs no more than asking whether it is there.
        if stored.size > PART as u64 && self.exists(&stored.sha256).await? {
            return Ok(stored);
        }
        let (store, cache) = (self.store.clone(), self.cache.clone());
        // Goes on when whoever asked goes away, so that no upload stays half done.
        let sent = tokio::spawn(async move {
            let spooled = send(&store, spooled).await?;
            cache.keep(&spooled.stored.sha256, spooled.path, spooled.stored.size).await;
            Ok(())
        });
        match sent.await.map_err(io::Error::other)? {
            Ok(()) => Ok(stored),
            Err(SendError::Io(error)) => Err(error.into()),
            Err(SendError::Store(error)) => Err(match self.explain(&stored.sha256, error) {
                BlobError::NotFound(_) => BlobError::Unavailable("S3 storage lost an upload".to_owned()),
                other => other,
            }),
        }
    }

    async fn open(&self, sha256: &str) -> Result<Reader, BlobError> {
        check_name(sha256)?;
        if let Some(file) = self.cache.get(sha256).await {
            let (cache, name) = (self.cache.clone(), sha256.to_owned());
            // The bucket's own bytes may be fine.
            return Ok(Box::pin(Verified::new(file, sha256).if_damaged(move || cache.forget(&name))));
        }
        let found = self.store.get(&key_of(sha256)).await.map_err(|error| self.explain(sha256, error))?;
        let size = found.meta.size;
        if self.cache.takes(size) {
            return Ok(self.read_through(sha256, size, found.into_stream()));
        }
        Ok(Box::pin(Verified::new(StreamReader::new(found.into_stream().map_err(io::Error::other)), sha256)))
    }

    async fn open_range(&self, sha256: &str, range: Range<u64>) -> Result<Reader, BlobError> {
        check_name(sha256)?;
        if let Some(mut file) = self.cache.get(sha256).await {
            file.seek(io::SeekFrom::Start(range.start)).await?;
            return Ok(Box::pin(file.take(range.end.saturating_sub(range.start))));
        }
        if range.is_empty() {
            return Ok(Box::pin(tokio::io::empty()));
        }
        let options = GetOptions::new().with_range(Some(range));
        match self.store.get_opts(&key_of(sha256), options).await {
            Ok(found) => Ok(Box::pin(StreamReader::new(found.into_stream().map_err(io::Error::other)))),
            // As a file, an object has nothing behind its end.
            Err(error) if is_behind_the_end(&error) => Ok(Box::pin(tokio::io::empty())),
            Err(error) => Err(self.explain(sha256, error)),
        }
    }

    /// Asks the bucket: a copy here says nothing about what is there.
    async fn exists(&self, sha256: &str) -> Result<bool, BlobError> {
        check_name(sha256)?;
        match self.store.head(&key_of(sha256)).await.map_err(|error| self.explain(sha256, error)) {
            Ok(_) => Ok(true),
            Err(BlobError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn check(&self) -> Result<(), BlobError> {
        let is_recent = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() < BELIEVED);
        if is_recent(&self.written.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        self.store.put(&Key::from("check"), PutPayload::from_static(b"ok")).await.map_err(|error| self.explain("check", error))?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    async fn list(&self) -> Result<Listing, BlobError> {
        let bucket = self.bucket.clone();
        let found = self.store.list(Some(&Key::from(PREFIX))).map_err(move |error| explain(&bucket, PREFIX, &error));
        let listed = found.try_filter_map(async |object| {
            let name = object.location.filename().filter(|name| check_name(name).is_ok());
            Ok(name.map(|name| Listed { sha256: name.to_owned(), size: object.size, modified: object.last_modified.into() }))
        });
        Ok(Box::pin(listed))
    }

    async fn remove(&self, sha256: &str) -> Result<(), BlobError> {
        check_name(sha256)?;
        self.cache.forget(sha256);
        match self.store.delete(&key_of(sha256)).await.map_err(|error| self.explain(sha256, error)) {
            Ok(()) | Err(BlobError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn local_path(&self, sha256: &str) -> Option<PathBuf> {
        self.cache.find(sha256)
    }

    fn scratch(&self) -> Option<PathBuf> {
        Some(self.cache.spool().to_owned())
    }
}

fn is_behind_the_end(error: &object_store::Error) -> bool {
    let said = error.to_string();
    said.contains("InvalidRange") || said.contains("416")
}
