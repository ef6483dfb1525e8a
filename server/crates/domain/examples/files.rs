//! How long a tree of 50 000 files takes: to read, to pack, to move as a folder. Prints one line for each; `files [count]`.

#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the tests")]
mod support;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use domain::{Ctx, files};
use support::Home;
use wire::{
    ProjectId,
    files::{Base, ChangeFiles, FileStep},
    packed_tree::PackedTree,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let count = std::env::args().nth(1).map_or(Ok(50_000), |count| count.parse())?;
    let home = match std::env::var("TEST_DATABASE_URL") {
        Ok(_) => Home::postgres().await.ok_or("no PostgreSQL")?,
        Err(_) => Home::sqlite().await,
    };
    let ctx = home.person("bench").await;
    let project = home.project(&ctx).await.id;
    fill(&ctx, project, count).await;
    measure(&ctx, project).await?;
    Ok(())
}

/// Files of a made-up source tree, twenty in a directory.
async fn fill(ctx: &Ctx, project: ProjectId, count: usize) {
    let began = Instant::now();
    let files = (0..count).map(|n| {
        let path = format!("packages/package-{:03}/src/module_{:04}/component_{n:05}.ts", n / 400, n / 20);
        (path, format!("{:064x}", (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)), 1000)
    });
    support::insert_files(ctx, project, files).await;
    println!("{count} files inserted in {}", ms(began.elapsed()));
}

async fn measure(ctx: &Ctx, project: ProjectId) -> Outcome<()> {
    for _ in 0..3 {
        let began = Instant::now();
        let tree = files::tree(ctx, project).await?;
        let read = began.elapsed();
        let plain = serde_json::to_string(&tree)?.len();
        let began = Instant::now();
        let json = serde_json::to_string(&PackedTree::from(tree))?;
        let packed = began.elapsed();
        let began = Instant::now();
        let back = serde_json::from_str::<PackedTree>(&json)?.unpack();
        let unpacked = began.elapsed();
        println!(
            "tree of {} entries: read {}, packed {}, unpacked {}; {} KB, {} KB as objects",
            back.items.len(),
            ms(read),
            ms(packed),
            ms(unpacked),
            json.len() / 1000,
            plain / 1000
        );
        let began = Instant::now();
        let list = files::packed_tree(ctx, project).await?;
        println!("told to a page in {}, {} entries", ms(began.elapsed()), list.len());
    }
    for (from, to) in [("packages", "moved"), ("moved", "packages")] {
        let base = Base::Revision(files::tree(ctx, project).await?.revision);
        let began = Instant::now();
        let steps = vec![FileStep::Move { from: from.into(), to: to.into(), base }];
        files::change(ctx, project, ChangeFiles { steps }).await?;
        println!("folder of all files moved in {}", ms(began.elapsed()));
    }
    let began = Instant::now();
    files::tree_below(ctx, project, Some("packages/package-001"), Some(1)).await?;
    println!("one directory read in {}", ms(began.elapsed()));
    Ok(())
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
