//! Every blob store keeps the same promises.

use std::{collections::BTreeSet, io};

use blobs::{BlobError, Blobs, LocalBlobs, MemoryBlobs};
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;

async fn keeps_the_contract(blobs: &dyn Blobs) {
    let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let stored = blobs.put(Box::pin(io::Cursor::new(bytes.clone())), 1 << 20).await.unwrap();
    assert_eq!(stored.size, 300_000);
    let again = blobs.put_bytes(bytes.clone()).await.unwrap();
    assert_eq!(again, stored, "the same bytes are the same blob");
    assert_eq!(blobs.read_all(&stored.sha256, 1 << 20).await.unwrap(), bytes);
    assert!(blobs.exists(&stored.sha256).await.unwrap());

    let mut part = Vec::new();
    blobs.open_range(&stored.sha256, 1000..1010).await.unwrap().read_to_end(&mut part).await.unwrap();
    assert_eq!(part, &bytes[1000..1010]);

    let refused = blobs.put(Box::pin(io::Cursor::new(vec![7; 11])), 10).await;
    assert!(matches!(refused, Err(BlobError::TooLarge { limit: 10 })));
    assert!(matches!(blobs.read_all(&stored.sha256, 10).await, Err(BlobError::TooLarge { .. })));

    let empty = blobs.put_bytes(Vec::new()).await.unwrap();
    assert_eq!(blobs.read_all(&empty.sha256, 10).await.unwrap(), Vec::<u8>::new());

    for name in ["", "../../etc/passwd", &"0".repeat(64), &"A".repeat(64)] {
        assert!(matches!(blobs.open(name).await, Err(BlobError::NotFound(_))), "{name}");
    }
    blobs.check().await.unwrap();

    let names = || async {
        let listed: Vec<_> = blobs.list().await.unwrap().try_collect().await.unwrap();
        assert!(listed.iter().all(|blob| blob.modified.elapsed().unwrap_or_default().as_secs() < 60));
        listed.into_iter().map(|blob| (blob.sha256, blob.size)).collect::<BTreeSet<_>>()
    };
    let both = [(stored.sha256.clone(), stored.size), (empty.sha256.clone(), 0)];
    assert_eq!(names().await, BTreeSet::from(both.clone()));
    for _ in 0..2 {
        blobs.remove(&stored.sha256).await.unwrap();
        assert_eq!(names().await, BTreeSet::from_iter(both[1..].to_vec()));
    }
    assert!(!blobs.exists(&stored.sha256).await.unwrap() && blobs.local_path(&stored.sha256).is_none());
    assert!(matches!(blobs.remove("../spool").await, Err(BlobError::NotFound(_))));
}

#[tokio::test]
async fn local_is_swept_by_one_at_a_time_and_read_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (LocalBlobs::open(dir.path()).await.unwrap(), LocalBlobs::open(dir.path()).await.unwrap());
    let hold = one.hold_removals().await.unwrap();
    assert!(hold.is_some() && other.hold_removals().await.unwrap().is_none());
    drop(hold);
    assert!(other.hold_removals().await.unwrap().is_some());
    let stored = one.put_bytes(b"by path".to_vec()).await.unwrap();
    assert_eq!(std::fs::read(other.local_path(&stored.sha256).unwrap()).unwrap(), b"by path");
}

#[tokio::test]
async fn memory() {
    keeps_the_contract(&MemoryBlobs::new()).await;
}

#[tokio::test]
async fn local() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(dir.path()).await.unwrap();
    keeps_the_contract(&blobs).await;
    let left = std::fs::read_dir(dir.path().join("spool")).unwrap().count();
    assert_eq!(left, 0, "nothing stays in the spool");
}

#[tokio::test]
async fn local_notices_damage() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(dir.path()).await.unwrap();
    let stored = blobs.put_bytes(b"whole".to_vec()).await.unwrap();
    let path = dir.path().join(&stored.sha256[..2]).join(&stored.sha256[2..4]).join(&stored.sha256);
    for damaged in [&b"wrong"[..], b"who", b""] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(blobs.read_all(&stored.sha256, 100).await, Err(BlobError::Corrupt(_))));
        assert_eq!(blobs.put_bytes(b"whole".to_vec()).await.unwrap(), stored);
        assert_eq!(blobs.read_all(&stored.sha256, 100).await.unwrap(), b"whole", "storing the same bytes mends them");
    }
}

#[tokio::test]
async fn a_source_that_breaks_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(dir.path()).await.unwrap();
    let broken = tokio_util::io::StreamReader::new(futures::stream::iter([
        Ok(bytes::Bytes::from_static(b"half")),
        Err(io::Error::other("the connection ended")),
    ]));
    assert!(matches!(blobs.put(Box::pin(broken), 100).await, Err(BlobError::Source(_))));
    assert_eq!(std::fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
