//! Prints what checkpoints of a project of 50 000 files cost, in time and in bytes on the disk, beside their bars.
#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the tests")]
mod support;

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use domain::{
    Ctx, Services, checkpoints,
    files::{self, Precondition},
};
use store::Db;
use support::Home;
use wire::{
    ProjectId,
    checkpoints::{CreateCheckpoint, ForkProject, RestoreCheckpoint},
};

const UNCHANGED_BAR: Duration = Duration::from_millis(100);
const CHANGED_BAR: Duration = Duration::from_millis(150);
const BYTES_BAR: f64 = 1.2;
const ROUNDS: usize = 20;
const CHANGED_BYTES: usize = 1 << 20;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let dir = tempfile::tempdir()?;
    let home = Home::on_disk(dir.path()).await;
    let ctx = home.person("bench").await;
    let project = home.project(&ctx).await.id;
    fill(&ctx, project, count).await?;

    keep(&ctx, project, "first").await?;
    let mut unchanged = Vec::new();
    for n in 0..ROUNDS {
        unchanged.push(timed(keep(&ctx, project, &format!("unchanged {n}"))).await?);
    }
    say("second checkpoint of an unchanged project", median(unchanged), UNCHANGED_BAR);

    settle(&home.services).await?;
    let before = bytes_on_disk(dir.path())?;
    let (mut saved, mut kept) = (Vec::new(), Vec::new());
    for n in 0..ROUNDS {
        saved.push(timed(change(&ctx, project, n)).await?);
        kept.push(timed(keep(&ctx, project, &format!("changed {n}"))).await?);
    }
    settle(&home.services).await?;
    let grown = bytes_on_disk(dir.path())? - before;
    let both = saved.iter().zip(&kept).map(|(saved, kept)| *saved + *kept).collect();
    say("checkpoint of one changed file", median(kept), CHANGED_BAR);
    say("with the save of that file, of 1 MiB", median(both), CHANGED_BAR);
    let ratio = grown as f64 / (ROUNDS * CHANGED_BYTES) as f64;
    println!("{:<48} {ratio:>9.3} ×    bar {BYTES_BAR} ×{}", "bytes on the disk per changed byte", verdict(ratio <= BYTES_BAR));

    let begun = Instant::now();
    let timeline = checkpoints::list(&ctx, project).await?;
    println!("{:<48} {:>9.1} ms", "timeline", begun.elapsed().as_secs_f64() * 1e3);
    let first = timeline.items.last().ok_or("no checkpoint")?.id;
    let begun = Instant::now();
    let plan = checkpoints::diff(&ctx, project, first).await?;
    println!("{:<48} {:>9.1} ms", "plan of a restore of one file", begun.elapsed().as_secs_f64() * 1e3);
    let begun = Instant::now();
    checkpoints::restore(&ctx, project, first, RestoreCheckpoint { paths: None, expected_revision: Some(plan.revision) }).await?;
    println!("{:<48} {:>9.1} ms", "restore of one file", begun.elapsed().as_secs_f64() * 1e3);
    let begun = Instant::now();
    checkpoints::fork(&ctx, project, ForkProject { name: "Fork".to_owned(), checkpoint_id: None }).await?;
    println!("{:<48} {:>9.1} ms", "fork of the whole project", begun.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn say(what: &str, took: Duration, bar: Duration) {
    println!("{what:<48} {:>9.1} ms   bar {} ms{}", took.as_secs_f64() * 1e3, bar.as_millis(), verdict(took <= bar));
}

fn verdict(held: bool) -> &'static str {
    if held { "" } else { "   MISSED" }
}

async fn timed(work: impl Future<Output = Result<(), Failure>>) -> Result<Duration, Failure> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

async fn keep(ctx: &Ctx, project: ProjectId, name: &str) -> Result<(), Failure> {
    checkpoints::create(ctx, project, CreateCheckpoint { name: name.to_owned() }).await?;
    Ok(())
}

/// Writes a file of bytes that nothing holds yet.
async fn change(ctx: &Ctx, project: ProjectId, n: usize) -> Result<(), Failure> {
    let path = "folder 0/file 0.txt";
    let version = files::entry(ctx, project, path).await?.version;
    let mut state = n as u64 + 1;
    let bytes: Vec<u8> = (0..CHANGED_BYTES)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    files::put(ctx, project, path, Precondition::Version(version), Box::pin(io::Cursor::new(bytes)), None).await?;
    Ok(())
}

/// Rows as an import leaves them, over a thousand contents.
async fn fill(ctx: &Ctx, project: ProjectId, count: usize) -> Result<(), Failure> {
    let blobs = domain::storage::open(ctx, project).await?;
    let mut contents = Vec::new();
    for n in 0..count.min(1000) {
        contents.push(blobs.put_bytes(format!("{n}\n").repeat(500).into_bytes()).await?);
    }
    let files = (0..count).map(|n| {
        let stored = &contents[n % contents.len()];
        (format!("folder {}/file {}.txt", n / 50, n % 50), stored.sha256.clone(), stored.size as i64)
    });
    support::insert_files(ctx, project, files).await;
    Ok(())
}

/// Brings the write-ahead log into the database file, so that its size counts.
async fn settle(services: &Services) -> Result<(), Failure> {
    if let Db::Sqlite { write, .. } = &services.db {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(write).await?;
    }
    Ok(())
}

fn bytes_on_disk(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_on_disk(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
