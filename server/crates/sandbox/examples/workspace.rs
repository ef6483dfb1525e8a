//! Prints how long it takes to check out a project of 50 000 files, and to find the one file that a run changed.
#![allow(clippy::print_stdout)]

use sandbox::{BytesSource, Changes, EntryKind, SavedFile, TreeEntry, Workspaces};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncRead;
use uuid::Uuid;

const CHECKOUT_BAR: Duration = Duration::from_secs(5);
const SCAN_BAR: Duration = Duration::from_millis(150);

struct Memory(HashMap<String, Vec<u8>>);

#[async_trait::async_trait]
impl BytesSource for Memory {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        let bytes = self.0.get(sha256).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::pin(io::Cursor::new(bytes)))
    }
}

fn main() {
    let files = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(files));
}

/// Sources of a few KiB in folders of twenty, three levels deep, with ignore rules as projects have them.
fn project(files: usize) -> (Vec<TreeEntry>, Memory) {
    let (mut entries, mut blobs) = (Vec::new(), HashMap::new());
    let mut add = |path: String, bytes: Vec<u8>| {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        entries.push(TreeEntry { path, kind: EntryKind::File, mode: 0o644, sha256: sha256.clone(), size: bytes.len() as u64 });
        blobs.insert(sha256, bytes);
    };
    add(".gitignore".into(), b"*.log\n*.tmp\n/build/\n/dist/\n.DS_Store\n*.py[co]\n!keep.log\nlogs/**\n".to_vec());
    for i in 1..files {
        let path = format!("packages/p{}/src/d{}/module_{i}.rs", i / 500, i / 20);
        add(path, format!("// {i}\n").repeat(20 + i % 400).into_bytes());
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    (entries, Memory(blobs))
}

fn report(what: &str, took: Duration, bar: Option<Duration>) {
    let verdict = match bar {
        Some(bar) if took <= bar => format!("bar {bar:?}: held"),
        Some(bar) => format!("bar {bar:?}: MISSED"),
        None => String::new(),
    };
    println!("{what:<52} {:>9.1} ms  {verdict}", took.as_secs_f64() * 1000.0);
}

async fn measure(files: usize) {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o711);
    let dir = tempfile::Builder::new().permissions(open).tempdir_in("/tmp").expect("a directory");
    let uid_base = rustix::process::geteuid().is_root().then_some(1_600_000);
    let workspaces = Workspaces::open(dir.path(), uid_base, true).expect("a work directory");
    let (entries, source) = project(files);
    let (project, source) = (Uuid::now_v7(), Arc::new(source));
    println!("{} files, {} processors", entries.len(), std::thread::available_parallelism().map_or(1, |n| n.get()));

    let start = Instant::now();
    workspaces.sync(project, 1, Changes::Full(entries.clone()), source.clone()).await.expect("a checkout");
    report("checkout", start.elapsed(), Some(CHECKOUT_BAR));

    let start = Instant::now();
    assert!(workspaces.scan(project).await.expect("a scan").is_empty());
    report("first scan", start.elapsed(), Some(SCAN_BAR));

    let changed = &entries[entries.len() / 2];
    let path = dir.path().join(project.to_string()).join("tree").join(&changed.path);
    let plain = scan_after_changing(&workspaces, project, &path).await;
    report("scan after one file changed, median of 9", plain, Some(SCAN_BAR));

    let watch = workspaces.watch(project);
    let start = Instant::now();
    workspaces.scan(project).await.expect("a scan");
    report("scan that begins to watch every directory", start.elapsed(), None);
    let watched = scan_after_changing(&workspaces, project, &path).await;
    report("scan of a watched project, median of 9", watched, Some(SCAN_BAR));
    println!("{:<52} {}", "watched by the kernel", !watch.is_polling());

    let changes = workspaces.scan(project).await.expect("a scan");
    let content = TreeEntry { sha256: changes[0].sha256.clone(), size: changes[0].size, ..changed.clone() };
    let start = Instant::now();
    let saved = SavedFile { path: changed.path.clone(), content: Some(content) };
    workspaces.note_saved(project, 2, vec![saved]).await.expect("a note");
    report("noting that it was saved", start.elapsed(), None);

    let start = Instant::now();
    let delta = Changes::Since { from: 2, upserts: vec![changed.clone()], deletes: Vec::new() };
    workspaces.sync(project, 3, delta, source).await.expect("a sync");
    report("sync of one file", start.elapsed(), None);
    drop((watch, workspaces));

    let again = Workspaces::open(dir.path(), uid_base, true).expect("a work directory");
    let start = Instant::now();
    assert!(again.scan(project).await.expect("a scan").is_empty());
    report("first scan after a restart", start.elapsed(), None);
}

async fn scan_after_changing(workspaces: &Workspaces, project: Uuid, path: &Path) -> Duration {
    let mut times = Vec::new();
    for round in 0..9 {
        std::fs::write(path, format!("changed {round}")).expect("a written file");
        let start = Instant::now();
        let changes = workspaces.scan(project).await.expect("a scan");
        times.push(start.elapsed());
        assert_eq!(changes.len(), 1);
    }
    times.sort_unstable();
    times[times.len() / 2]
}
