//! Blobs in a bucket, against a server that speaks S3.

#[path = "support/s3_server.rs"]
mod s3_server;

use std::{collections::BTreeSet, io, pin::Pin, task::Poll};

use blobs::{BlobError, Blobs, S3Blobs, S3Config};
use futures::TryStreamExt;
use s3_server::S3Server;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

const MB: u64 = 1 << 20;

/// Bytes that differ along the way, made as they are read.
struct Generated {
    left: u64,
    state: u64,
}

impl Generated {
    fn new(size: u64, seed: u64) -> Self {
        Self { left: size, state: seed | 1 }
    }
}

impl AsyncRead for Generated {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while buf.remaining() >= 8 && self.left > 0 {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = self.state.to_le_bytes();
            let taken = self.left.min(8) as usize;
            buf.put_slice(&bytes[..taken]);
            self.left -= taken as u64;
        }
        Poll::Ready(Ok(()))
    }
}

async fn read(blobs: &dyn Blobs, sha256: &str) -> Vec<u8> {
    blobs.read_all(sha256, 1 << 30).await.unwrap()
}

#[tokio::test]
async fn small_and_large_blobs_come_back_whole_and_are_listed() {
    let (server, cache) = (S3Server::start().await, tempfile::tempdir().unwrap());
    // Nothing is worth keeping here, so every byte comes from the server.
    let blobs = server.blobs(cache.path(), 0).await;
    blobs.check().await.unwrap();
    let mut names = BTreeSet::new();
    for (seed, size) in [(1, 0), (2, 10), (3, 8 * MB), (4, 8 * MB + 1), (5, 21 * MB)] {
        let stored = blobs.put(Box::pin(Generated::new(size, seed)), 100 * MB).await.unwrap();
        assert_eq!(stored.size, size);
        let bytes = read(&blobs, &stored.sha256).await;
        assert_eq!(bytes.len() as u64, size);
        assert!(blobs.exists(&stored.sha256).await.unwrap());
        let again = blobs.put(Box::pin(Generated::new(size, seed)), 100 * MB).await.unwrap();
        assert_eq!(again, stored);
        if size > 10 {
            let mut part = Vec::new();
            blobs.open_range(&stored.sha256, size - 5..size + 5).await.unwrap().read_to_end(&mut part).await.unwrap();
            assert_eq!(part, bytes[bytes.len() - 5..]);
        }
        let mut behind = Vec::new();
        blobs.open_range(&stored.sha256, size..size + 5).await.unwrap().read_to_end(&mut behind).await.unwrap();
        assert!(behind.is_empty());
        names.insert((stored.sha256, size));
    }
    let listed: Vec<_> = blobs.list().await.unwrap().try_collect().await.unwrap();
    assert!(listed.iter().all(|blob| blob.modified.elapsed().unwrap_or_default().as_secs() < 60));
    assert_eq!(listed.into_iter().map(|blob| (blob.sha256, blob.size)).collect::<BTreeSet<_>>(), names);

    let refused = blobs.put(Box::pin(Generated::new(11, 9)), 10).await;
    assert!(matches!(refused, Err(BlobError::TooLarge { limit: 10 })));
    let (gone, _) = names.pop_first().unwrap();
    blobs.remove(&gone).await.unwrap();
    blobs.remove(&gone).await.unwrap();
    assert!(!blobs.exists(&gone).await.unwrap());
    assert!(matches!(blobs.open(&gone).await, Err(BlobError::NotFound(_))));
    assert!(matches!(blobs.open("../etc").await, Err(BlobError::NotFound(_))));
    let spool: Vec<_> = std::fs::read_dir(cache.path().join("spool")).unwrap().collect();
    assert!(spool.is_empty(), "what was on its way is gone: {spool:?}");
}

#[tokio::test]
async fn what_was_read_is_not_asked_for_again_until_its_room_is_needed() {
    let (server, writer, reader) = (S3Server::start().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let elsewhere = server.blobs(writer.path(), 0).await;
    let blobs = server.blobs(reader.path(), 10 * MB).await;
    let mut names = Vec::new();
    for seed in 0..8 {
        names.push(elsewhere.put(Box::pin(Generated::new(2 * MB, seed * 2 + 1)), 100 * MB).await.unwrap().sha256);
    }
    let first = &names[0];
    assert!(blobs.local_path(first).is_none());
    let bytes = read(&blobs, first).await;
    wait_for(|| blobs.local_path(first).is_some()).await;
    assert_eq!(std::fs::read(blobs.local_path(first).unwrap()).unwrap(), bytes);
    let asked = server.requests();
    assert_eq!(read(&blobs, first).await, bytes);
    let mut part = Vec::new();
    blobs.open_range(first, 100..200).await.unwrap().read_to_end(&mut part).await.unwrap();
    assert_eq!(part, bytes[100..200]);
    assert_eq!(server.requests(), asked, "both came from the disk");

    for name in &names {
        read(&blobs, name).await;
        // It is kept after the last byte was handed on.
        wait_for(|| blobs.local_path(name).is_some()).await;
    }
    wait_for(|| kept_bytes(reader.path()) <= 10 * MB).await;
    assert!(blobs.local_path(names.last().unwrap()).is_some(), "the last one used stays");

    // What is written here need not be fetched either, unless it is too large to be worth it.
    let small = blobs.put(Box::pin(Generated::new(1000, 77)), MB).await.unwrap().sha256;
    assert!(blobs.local_path(&small).is_some());
    let large = blobs.put(Box::pin(Generated::new(3 * MB, 78)), 100 * MB).await.unwrap().sha256;
    assert!(blobs.local_path(&large).is_none());
}

fn kept_bytes(folder: &std::path::Path) -> u64 {
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.file_name().len() == 2);
    folders
        .flat_map(|entry| std::fs::read_dir(entry.path()).unwrap())
        .map(|file| file.unwrap().metadata().map_or(0, |meta| meta.len()))
        .sum()
}

async fn wait_for(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it did not come true within five seconds");
}

#[tokio::test]
async fn damage_is_found_in_the_bucket_and_on_the_disk() {
    let (server, cache) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let blobs = server.blobs(cache.path(), 10 * MB).await;
    let name = blobs.put_bytes(b"whole".to_vec()).await.unwrap().sha256;
    std::fs::write(blobs.local_path(&name).unwrap(), b"whale").unwrap();
    assert!(matches!(blobs.read_all(&name, 100).await, Err(BlobError::Corrupt(_))));
    assert_eq!(read(&blobs, &name).await, b"whole", "the copy is forgotten, and the bucket's bytes are right");

    std::fs::write(server.object(&name), b"whale").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let blobs = server.blobs(elsewhere.path(), 10 * MB).await;
    assert!(matches!(blobs.read_all(&name, 100).await, Err(BlobError::Corrupt(_))));
    assert!(blobs.local_path(&name).is_none(), "damaged bytes are not kept");
}

#[tokio::test]
async fn an_outage_is_told_with_its_reason_and_leaves_nothing() {
    let (server, cache) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let blobs = server.blobs(cache.path(), 10 * MB).await;
    let kept = blobs.put_bytes(b"before".to_vec()).await.unwrap().sha256;
    server.switch(false);
    for size in [5, 20 * MB] {
        let failed = blobs.put(Box::pin(Generated::new(size, 5)), 100 * MB).await;
        assert!(matches!(&failed, Err(BlobError::Unavailable(reason)) if reason.contains("does not answer")), "{failed:?}");
    }
    assert!(matches!(blobs.check().await, Err(BlobError::Unavailable(_))));
    assert!(matches!(blobs.exists(&kept).await, Err(BlobError::Unavailable(_))));
    assert_eq!(read(&blobs, &kept).await, b"before", "what is on this machine's disk can still be read");
    server.switch(true);
    blobs.check().await.unwrap();
    let listed: Vec<_> = blobs.list().await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");

    let config = server.config(cache.path(), 10 * MB);
    let stranger = S3Blobs::open(S3Config { key: Some(("test-key".into(), "wrong".into())), ..config.clone() }).await.unwrap();
    let refused = stranger.check().await;
    assert!(matches!(&refused, Err(BlobError::Unavailable(reason)) if reason.contains("refuses")), "{refused:?}");
    let nowhere = S3Blobs::open(S3Config { bucket: "none".into(), ..config }).await.unwrap();
    let missing = nowhere.list().await.unwrap().try_collect::<Vec<_>>().await;
    assert!(matches!(&missing, Err(BlobError::Unavailable(reason)) if reason.contains("no bucket named none")), "{missing:?}");
}
