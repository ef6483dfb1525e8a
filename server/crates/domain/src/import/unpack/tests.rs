use std::{
    io::{Cursor, Write},
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use blobs::{LocalBlobs, MemoryBlobs, Stored};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// The name goes in as it is, whatever the tar crate would say to it.
    fn entry(mut self, name: &str, kind: EntryType, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("elsewhere").unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, EntryType::Regular, 0o644, content)
    }

    fn gz(self) -> Vec<u8> {
        gzip(&self.0.into_inner().unwrap())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in files {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Puts other bytes of the same length wherever `from` stands, in both headers of an entry.
fn patch(mut archive: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let found: Vec<usize> = (0..archive.len() - from.len()).filter(|at| archive[*at..].starts_with(from)).collect();
    assert!(found.len() >= 2);
    for at in found {
        archive[at..at + to.len()].copy_from_slice(to);
    }
    archive
}

async fn unpack_from(
    blobs: Arc<dyn Blobs>,
    archive: Vec<u8>,
    limits: UnpackLimits,
    stop: CancellationToken,
) -> Result<Contents, UnpackError> {
    let stored = blobs.put_bytes(archive).await.unwrap();
    let (progress, seen) = watch::channel((0, 0));
    let result = unpack(blobs, &stored.sha256, stored.size, "upload.zip", limits, progress, stop).await;
    if result.is_ok() {
        assert_eq!(*seen.borrow(), (stored.size, stored.size));
    }
    result
}

async fn unpack_bytes(archive: Vec<u8>, limits: UnpackLimits) -> Result<Contents, UnpackError> {
    unpack_from(Arc::new(MemoryBlobs::new()), archive, limits, CancellationToken::new()).await
}

async fn paths(archive: Vec<u8>) -> Vec<String> {
    unpack_bytes(archive, UnpackLimits::default()).await.unwrap().files.into_iter().map(|file| file.path).collect()
}

async fn refusal_within(archive: Vec<u8>, limits: UnpackLimits) -> String {
    match unpack_bytes(archive, limits).await {
        Err(UnpackError::Refused(sentence)) => {
            assert!(sentence.contains("Nothing was kept; ") && sentence.ends_with('.'), "{sentence}");
            sentence
        }
        other => panic!("not refused: {other:?}"),
    }
}

async fn refusal(archive: Vec<u8>) -> String {
    refusal_within(archive, UnpackLimits::default()).await
}

#[track_caller]
fn names(sentence: &str, part: &str) {
    assert!(sentence.contains(part), "{sentence:?} does not name {part:?}");
}

#[tokio::test]
async fn a_zip_becomes_blobs_with_their_modes() {
    let blobs = Arc::new(MemoryBlobs::new());
    let large = vec![7; 3 * CHUNK + 5];
    let archive =
        zip_of(&[("b/run.sh", 0o755, b"#!/bin/sh\n"), ("a.txt", 0o600, b"text"), ("b/large", 0o644, &large), ("empty", 0o644, b"")]);
    let files = unpack_from(blobs.clone(), archive, UnpackLimits::default(), CancellationToken::new()).await.unwrap().files;
    let listed: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.size, f.mode)).collect();
    assert_eq!(listed, [("a.txt", 4, 0o644), ("b/large", large.len() as u64, 0o644), ("b/run.sh", 10, 0o755), ("empty", 0, 0o644)]);
    assert_eq!(blobs.read_all(&files[0].checksum, 100).await.unwrap(), b"text");
    assert_eq!(blobs.read_all(&files[1].checksum, 1 << 20).await.unwrap(), large);
}

#[tokio::test]
async fn a_tarball_becomes_blobs_with_their_modes() {
    let blobs = Arc::new(MemoryBlobs::new());
    let archive = Tar::new()
        .entry("./", EntryType::Directory, 0o755, b"")
        .entry("./bin/", EntryType::Directory, 0o755, b"")
        .entry("./bin/run", EntryType::Regular, 0o775, b"run")
        .file("./README", b"read me")
        .entry("./empty/", EntryType::Directory, 0o755, b"")
        .gz();
    let files = unpack_from(blobs.clone(), archive, UnpackLimits::default(), CancellationToken::new()).await.unwrap().files;
    let listed: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.size, f.mode)).collect();
    assert_eq!(listed, [("README", 7, 0o644), ("bin/run", 3, 0o755)]);
    assert_eq!(blobs.read_all(&files[1].checksum, 100).await.unwrap(), b"run");
}

#[tokio::test]
async fn long_names_and_several_gzip_members_are_read() {
    let long = format!("top/{}/{}", "d".repeat(120), "f".repeat(120));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"long"[..]).unwrap();
    let bytes = Tar::new().file("other", b"x").0.into_inner().unwrap();
    let plain = builder.into_inner().unwrap();
    let (head, tail) = plain.split_at(1000);
    assert_eq!(paths([gzip(head), gzip(tail)].concat()).await, [long.strip_prefix("top/").unwrap()]);
    assert_eq!(paths(gzip(&bytes)).await, ["other"]);
}

#[tokio::test]
async fn paths_that_lead_out_are_refused() {
    for (bad, harmless) in
        [("../x", "aa/x"), ("/etc", "aetc"), ("a/../b", "a/xx/b"), ("a\\..\\b", "a/xx/b"), ("a//b", "a/xb"), ("a\nb", "axb")]
    {
        let bad_zip = patch(zip_of(&[("fine", 0o644, b""), (harmless, 0o644, b"x")]), harmless.as_bytes(), bad.as_bytes());
        names(&refusal(bad_zip).await, "a path that a project can't have");
        names(&refusal(Tar::new().file("fine", b"").file(bad, b"x").gz()).await, "a path that a project can't have");
    }
    names(&refusal(Tar::new().file(".git/../../x", b"x").gz()).await, "a path that a project can't have");
}

#[tokio::test]
async fn hard_links_and_devices_are_refused_by_name() {
    for (kind, what) in
        [(EntryType::Link, "a hard link"), (EntryType::Char, "a device"), (EntryType::Block, "a device"), (EntryType::Fifo, "a named pipe")]
    {
        let sentence = refusal(Tar::new().file("a", b"a").entry("odd", kind, 0o777, b"").gz()).await;
        names(&sentence, what);
        names(&sentence, "\"odd\"");
    }
}

/// Where they lead does not matter: nobody outside of the sandbox ever follows them.
#[tokio::test]
async fn symbolic_links_are_kept_as_what_they_are() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a", SimpleFileOptions::default()).unwrap();
    writer.add_symlink("odd", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    writer.add_symlink("up", "../../elsewhere", SimpleFileOptions::default()).unwrap();
    let zipped = writer.finish().unwrap().into_inner();
    let mut builder = tar::Builder::new(Vec::new());
    for (name, target) in [("odd", "/etc/passwd"), ("up", "../../elsewhere")] {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    let tarred = gzip(&Tar(builder).file("a", b"").0.into_inner().unwrap());
    for archive in [zipped, tarred] {
        let blobs = Arc::new(MemoryBlobs::new());
        let files = unpack_from(blobs.clone(), archive, UnpackLimits::default(), CancellationToken::new()).await.unwrap().files;
        let kinds: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.kind)).collect();
        assert_eq!(kinds, [("a", EntryKind::File), ("odd", EntryKind::Symlink), ("up", EntryKind::Symlink)]);
        assert_eq!(blobs.read_all(&files[1].checksum, 100).await.unwrap(), b"/etc/passwd");
        assert_eq!(blobs.read_all(&files[2].checksum, 100).await.unwrap(), b"../../elsewhere");
    }
}

#[tokio::test]
async fn nothing_is_put_through_a_link_and_its_target_has_bounds() {
    let through = Tar::new().entry("out", EntryType::Symlink, 0o777, b"").file("out/evil", b"x");
    names(&refusal(through.gz()).await, "twice");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("long", "x".repeat(5000), SimpleFileOptions::default()).unwrap();
    names(&refusal(writer.finish().unwrap().into_inner()).await, "\"long\" in the archive leads to no name");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("none", "", SimpleFileOptions::default()).unwrap();
    names(&refusal(writer.finish().unwrap().into_inner()).await, "leads to no name");
}

#[tokio::test]
async fn names_that_some_systems_take_for_one_are_refused() {
    names(&refusal(zip_of(&[("README", 0o644, b""), ("readme", 0o644, b"")])).await, "upper and lower case");
    names(&refusal(zip_of(&[("src/a", 0o644, b""), ("SRC/b", 0o644, b"")])).await, "upper and lower case");
}

#[tokio::test]
async fn bombs_are_refused_early_and_leave_nothing() {
    let zeros = vec![0; 25_000_000];
    let directory = tempfile::tempdir().unwrap();
    for archive in [zip_of(&[("a", 0o644, b"kept?"), ("zeros", 0o644, &zeros)]), Tar::new().file("zeros", &zeros).gz()] {
        let blobs = Arc::new(LocalBlobs::open(directory.path()).await.unwrap());
        let refused = unpack_from(blobs, archive, UnpackLimits::default(), CancellationToken::new()).await;
        assert!(matches!(&refused, Err(UnpackError::Refused(why)) if why.contains("200 times its own size")), "{refused:?}");
    }
    // Whoever was writing when the bomb was found ends on a thread of its own.
    let left = || std::fs::read_dir(directory.path().join("spool")).unwrap().count();
    let emptied = async {
        while left() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), emptied).await.expect("nothing is left in the spool");

    // One megabyte that a hundred entries share is a hundred megabytes.
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("f", SimpleFileOptions::default()).unwrap();
    writer.write_all(&zeros[..1_000_000]).unwrap();
    for n in 0..100 {
        writer.shallow_copy_file("f", &format!("f{n}")).unwrap();
    }
    names(&refusal(writer.finish().unwrap().into_inner()).await, "200 times its own size");

    // A name that is larger than memory should be.
    let bomb = Tar::new().entry("././@LongLink", EntryType::GNULongName, 0o644, &zeros[..5_000_000]).file("a", b"a").gz();
    names(&refusal(bomb).await, "data that belongs to no file");
    let padded = [Tar::new().file("a", b"a").0.into_inner().unwrap(), zeros[..5_000_000].to_vec()].concat();
    names(&refusal(gzip(&padded)).await, "data that belongs to no file");
}

#[tokio::test]
async fn caps_hold_for_both_formats() {
    let limits =
        UnpackLimits { files: 3, bytes: 100, past_bytes: 0, file_bytes: 60, depth: 4, ratio: 200, dense_bytes: 0, strip: true, past: true };
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Files<'_>, &str); 4] = [
        (&[("a", b""), ("b", b""), ("c", b""), ("d", b"")], "more than 3 files"),
        (&[("a/b/c/d/e", b"x")], "nested deeper than 4"),
        (&[("a", &[1; 61])], "larger than the limit of 60 bytes"),
        (&[("a", &[1; 60]), ("b", &[2; 41])], "unpacks to more than 100 bytes"),
    ];
    for (files, part) in cases {
        let zipped: Vec<(&str, u32, &[u8])> = files.iter().map(|(name, content)| (*name, 0o644, *content)).collect();
        names(&refusal_within(zip_of(&zipped), limits).await, part);
        names(&refusal_within(files.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, content)).gz(), limits).await, part);
    }
    let fits = zip_of(&[("a/b/c/d", 0o644, &[1; 60]), ("b", 0o644, &[2; 40]), ("c", 0o644, b"")]);
    assert_eq!(unpack_bytes(fits, limits).await.unwrap().files.len(), 3);
    let fits = Tar::new().file(".git/pack", &[1; 90]).file("a", &[1; 60]).file("b", &[2; 40]).file("c", b"");
    let fits = fits.entry("d/", EntryType::Directory, 0o755, b"").gz();
    assert_eq!(unpack_bytes(fits, limits).await.unwrap().files.len(), 3, "what is left out is not held against the project");
    let directories = (0..13).fold(Tar::new(), |tar, n| tar.entry(&format!("d{n}/"), EntryType::Directory, 0o755, b""));
    names(&refusal_within(directories.gz(), limits).await, "more than 3 files");
}

#[tokio::test]
async fn a_past_comes_on_top_of_what_a_project_may_hold() {
    let limits = UnpackLimits {
        files: 3,
        bytes: 100,
        past_bytes: 10_000,
        file_bytes: 100,
        depth: 4,
        ratio: 200,
        dense_bytes: 0,
        strip: true,
        past: true,
    };
    let old: Vec<(String, Vec<u8>)> = (0..40).map(|n| (format!("history/blobs/{n:064x}"), vec![n; 100])).collect();
    let mut entries: Vec<(&str, u32, &[u8])> = vec![("cloudxdevai.json", 0o644, &b"{}"[..])];
    entries.extend(old.iter().map(|(name, content)| (name.as_str(), 0o644, &content[..])));
    let found = unpack_bytes(zip_of(&entries), limits).await.unwrap();
    assert_eq!(found.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["cloudxdevai.json"]);
    assert_eq!(found.old.len(), old.len(), "content is known by its bytes, whatever it was called");
    for (_, content) in &old {
        assert_eq!(found.old_size(&hex::encode(Sha256::digest(content))), Some(100));
    }
    assert_eq!((found.old_size(&old[0].0), found.old_size(&"0".repeat(64))), (None, None));
    let less = UnpackLimits { past_bytes: 3000, ..limits };
    names(&refusal_within(zip_of(&entries), less).await, "unpacks to more than 3100 bytes");
    names(&refusal_within(zip_of(&entries[1..]), limits).await, "unpacks to more than 100 bytes");
    let plain = UnpackLimits { past: false, files: 50, bytes: 10_000, ..limits };
    let found = unpack_bytes(zip_of(&entries), plain).await.unwrap();
    assert_eq!((found.files.len(), found.old.len()), (entries.len(), 0), "where no past is wanted, all of it is files");
}

#[test]
fn caps_follow_what_an_administrator_allows() {
    let none = QuotaOverride::default();
    let everybody = StorageSettings {
        project_bytes: 100 << 30,
        project_files: 1_000_000,
        project_history_bytes: 50 << 30,
        user_bytes: 1 << 40,
        ..StorageSettings::default()
    };
    let limits = UnpackLimits::of(&everybody, none, none, 7);
    assert_eq!((limits.files, limits.bytes, limits.file_bytes), (1_000_000, 100 << 30, 7));
    assert!(limits.past_bytes >= 100 << 30, "{limits:?}");
    assert!(limits.packed() >= limits.bytes + limits.past_bytes, "what can't be packed comes too");
    assert!(limits.name_bytes() > UnpackLimits::default().name_bytes());
    let own = QuotaOverride { bytes: Some(1 << 20), files: Some(50), ..none };
    let narrow = UnpackLimits::of(&everybody, own, none, 7);
    assert_eq!((narrow.files, narrow.bytes), (50, 1 << 20));
    assert_eq!(UnpackLimits::of(&everybody, none, own, 7).bytes, 1 << 20);
}

#[tokio::test]
async fn a_path_stands_for_one_thing() {
    names(&refusal(patch(zip_of(&[("a1", 0o644, b"1"), ("a2", 0o644, b"2")]), b"a2", b"a1")).await, "twice");
    for conflict in [
        Tar::new().file("a", b"1").file("a", b"2"),
        Tar::new().file("a", b"1").file("./a", b"2"),
        Tar::new().file("a", b"1").file("a-b", b"").file("a/b", b"2"),
        Tar::new().file("a/b/c", b"1").file("a/b", b"2"),
        Tar::new().file("a", b"1").entry("a/", EntryType::Directory, 0o755, b""),
        Tar::new().entry("a/", EntryType::Directory, 0o755, b"").file("a", b"1"),
    ] {
        names(&refusal(conflict.gz()).await, "twice");
    }
    let same_directory_twice = Tar::new()
        .entry("a/", EntryType::Directory, 0o755, b"")
        .entry("a/", EntryType::Directory, 0o755, b"")
        .file("a/b", b"")
        .file("c", b"");
    assert_eq!(paths(same_directory_twice.gz()).await, ["a/b", "c"]);
}

#[tokio::test]
async fn damage_is_told_wherever_it_is() {
    let content: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let zipped = zip_of(&[("a", 0o644, &content), ("b", 0o644, b"b")]);
    let tarred = Tar::new().file("a", &content).file("b", b"b").gz();
    for archive in [&zipped, &tarred] {
        for cut in [20, 600, archive.len() / 2, archive.len() - 40, archive.len() - 1] {
            names(&refusal(archive[..cut].to_vec()).await, "damaged");
        }
        let mut flipped = archive.clone();
        flipped[archive.len() / 2] ^= 0x55;
        names(&refusal(flipped).await, "damaged");
    }
    // Cut before it was packed.
    let plain = Tar::new().file("a", &content).0.into_inner().unwrap();
    names(&refusal(gzip(&plain[..plain.len() / 2])).await, "damaged");
}

#[tokio::test]
async fn what_is_no_archive_is_told_what_would_be() {
    for (bytes, part) in [
        (b"".to_vec(), "is empty"),
        (b"just text".to_vec(), "not an archive"),
        (b"7z\xbc\xaf\x27\x1c....".to_vec(), "7z"),
        (Tar::new().file("a", b"a").0.into_inner().unwrap(), "without compression"),
        (gzip(b"just text"), "holds no tar archive"),
        (gzip(&[b'x'; 5000]), "holds no tar archive"),
    ] {
        let sentence = refusal(bytes).await;
        names(&sentence, part);
        names(&sentence, ".tar.gz or .tgz");
    }
}

#[tokio::test]
async fn an_archive_without_files_is_refused() {
    for archive in [
        zip_of(&[]),
        Tar::new().gz(),
        gzip(b""),
        Tar::new().entry("a/", EntryType::Directory, 0o755, b"").gz(),
        Tar::new().file(".git/HEAD", b"x").gz(),
    ] {
        names(&refusal(archive).await, "holds no files");
    }
}

#[tokio::test]
async fn encrypted_and_undecodable_entries_are_refused() {
    let mut archive = zip_of(&[("secret", 0o644, b"content")]);
    for (signature, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = (0..archive.len()).find(|at| archive[*at..].starts_with(signature)).unwrap();
        archive[at + flags] |= 1;
    }
    names(&refusal(archive).await, "encrypted");
    names(&refusal(patch(zip_of(&[("name", 0o644, b"")]), b"name", b"na\xff\xfe")).await, "not UTF-8");
}

#[tokio::test]
async fn version_control_is_left_out() {
    let archive = Tar::new()
        .entry(".git/", EntryType::Directory, 0o755, b"")
        .file(".git/HEAD", b"ref: refs/heads/main")
        .entry(".git/hooks", EntryType::Symlink, 0o777, b"")
        .file(".gitignore", b"target")
        .file("vendor/.git", b"gitdir: elsewhere")
        .file("vendor/code", b"x");
    assert_eq!(paths(archive.gz()).await, [".gitignore", "vendor/code"]);
    assert_eq!(paths(Tar::new().file(".git/HEAD", b"").file("src/main.rs", b"").gz()).await, ["src/main.rs"]);
    assert_eq!(paths(zip_of(&[(".git/HEAD", 0o644, b""), ("a", 0o644, b"")])).await, ["a"]);
}

#[tokio::test]
async fn a_single_top_directory_is_left_out() {
    assert_eq!(paths(zip_of(&[("p-1.0/a", 0o644, b""), ("p-1.0/src/b", 0o644, b"")])).await, ["a", "src/b"]);
    let github = Tar::new()
        .entry("pax_global_header", EntryType::XGlobalHeader, 0o644, b"52 comment=0123456789012345678901234567890123456789\n")
        .entry("p-main/", EntryType::Directory, 0o755, b"")
        .file("p-main/.git/x", b"")
        .file("p-main/a", b"");
    assert_eq!(paths(github.gz()).await, ["a"]);
    assert_eq!(paths(zip_of(&[("p/a", 0o644, b""), ("q", 0o644, b"")])).await, ["p/a", "q"]);
    assert_eq!(paths(zip_of(&[("p/a", 0o644, b""), ("pq/a", 0o644, b"")])).await, ["p/a", "pq/a"]);
    assert_eq!(paths(zip_of(&[("alone", 0o644, b"")])).await, ["alone"]);
    assert_eq!(paths(Tar::new().entry("empty/", EntryType::Directory, 0o755, b"").file("p/a", b"").gz()).await, ["p/a"]);
}

/// Storage that cancels, or fails, with the nth file.
struct Troubled {
    inner: MemoryBlobs,
    puts: AtomicU64,
    nth: u64,
    cancel: Option<CancellationToken>,
}

#[async_trait]
impl Blobs for Troubled {
    async fn put(&self, body: Reader, limit: u64) -> Result<Stored, BlobError> {
        if self.puts.fetch_add(1, Ordering::Relaxed) == self.nth {
            match &self.cancel {
                Some(token) => token.cancel(),
                None => return Err(BlobError::Io(io::ErrorKind::StorageFull.into())),
            }
        }
        self.inner.put(body, limit).await
    }

    async fn open(&self, sha256: &str) -> Result<Reader, BlobError> {
        self.inner.open(sha256).await
    }

    async fn open_range(&self, sha256: &str, range: Range<u64>) -> Result<Reader, BlobError> {
        self.inner.open_range(sha256, range).await
    }

    async fn exists(&self, sha256: &str) -> Result<bool, BlobError> {
        self.inner.exists(sha256).await
    }

    async fn check(&self) -> Result<(), BlobError> {
        self.inner.check().await
    }

    async fn list(&self) -> Result<blobs::Listing, BlobError> {
        self.inner.list().await
    }

    async fn remove(&self, sha256: &str) -> Result<(), BlobError> {
        self.inner.remove(sha256).await
    }
}

fn two_of_fifty_files() -> [Vec<u8>; 2] {
    let content: Vec<u8> = (0..30_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let listed: Vec<String> = (0..50).map(|n| format!("f{n}")).collect();
    let zipped: Vec<(&str, u32, &[u8])> = listed.iter().map(|name| (name.as_str(), 0o644, &content[..])).collect();
    [zip_of(&zipped), listed.iter().fold(Tar::new(), |tar, name| tar.file(name, &content)).gz()]
}

#[tokio::test]
async fn cancelling_ends_it_midway() {
    for archive in two_of_fifty_files() {
        let token = CancellationToken::new();
        let blobs = Arc::new(Troubled { inner: MemoryBlobs::new(), puts: AtomicU64::new(0), nth: 3, cancel: Some(token.clone()) });
        let result = unpack_from(blobs.clone(), archive, UnpackLimits::default(), token).await;
        assert!(matches!(result, Err(UnpackError::Cancelled)), "{result:?}");
        assert!(blobs.puts.load(Ordering::Relaxed) < 40);
    }
}

#[tokio::test]
async fn storage_that_fails_is_not_blamed_on_the_archive() {
    for archive in two_of_fifty_files() {
        let blobs = Arc::new(Troubled { inner: MemoryBlobs::new(), puts: AtomicU64::new(0), nth: 3, cancel: None });
        let result = unpack_from(blobs, archive, UnpackLimits::default(), CancellationToken::new()).await;
        assert!(matches!(result, Err(UnpackError::Blob(BlobError::Io(_)))), "{result:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is done to an archive, it is refused or gives files that a project can have.
    #[test]
    fn altered_archives_never_get_past_the_rules(is_zip in any::<bool>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let plain = Tar::new().file("top/a", b"some text").entry("top/b/", EntryType::Directory, 0o755, b"").file("top/b/c", b"more");
        let mut archive = if is_zip { zip_of(&[("top/a", 0o644, b"some text"), ("top/b/c", 0o755, b"more")]) } else { plain.0.into_inner().unwrap() };
        for (at, byte) in changes {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        let archive = if is_zip { archive } else { gzip(&archive) };
        let result = tokio::runtime::Runtime::new().unwrap().block_on(unpack_bytes(archive, UnpackLimits::default()));
        match result {
            Ok(contents) => for file in contents.files {
                prop_assert!(wire::files::check_path(&file.path).is_ok());
                prop_assert!(matches!(file.mode, 0o644 | 0o755));
            },
            Err(UnpackError::Refused(_)) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
