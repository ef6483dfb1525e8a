//! Prints how long a search through 50 000 files takes until its first line and until its end, beside ripgrep over the same files in the
//! same run; where `rg` is missing it says so and compares with nothing else. With a directory as second argument the files stay there,
//! for other measurements.
#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the tests")]
mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use domain::{Ctx, search};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use support::Home;
use wire::{
    ProjectId,
    search::{SearchItem, SearchQuery},
};

const FIRST_BAR_MS: f64 = 200.0;
/// Of the time that ripgrep takes.
const WHOLE_BAR: f64 = 2.0;
const ROUNDS: usize = 5;

fn main() {
    let files = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let kept = std::env::args().nth(2).map(PathBuf::from);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(files, kept));
}

/// Sources of a few KiB in folders of forty. One word in a thousand lines, and one that is only in the last file.
fn sources(count: usize) -> impl Iterator<Item = (String, String)> {
    let endings = ["rs", "py", "ts", "go", "md"];
    (0..count).map(move |n| {
        let path = format!("src/area{:02}/part{:03}/module_{n:05}.{}", n % 50, n / 40 % 625, endings[n % endings.len()]);
        let mut text = String::with_capacity(4096);
        for line in 0..40 + n % 60 {
            let word = if (n * 100 + line) % 1000 == 7 { "transmogrify" } else { "compute" };
            text.push_str(&format!("    let value_{line} = {word}(input_{}, {}) + offset; // of {n}\n", line % 7, n * 31 + line));
        }
        if n + 1 == count {
            text.push_str("the only quixotic line\n");
        }
        (path, text)
    })
}

/// Lays the files out twice: as blobs with their rows, and as plain files. Without waiting for the disk, since nothing has to outlive
/// the run.
async fn lay_out(ctx: &Ctx, project: ProjectId, blobs: &Path, plain: &Path, count: usize) {
    let files = sources(count).map(|(path, text)| {
        let checksum = hex::encode(Sha256::digest(text.as_bytes()));
        write(&blobs.join(&checksum[..2]).join(&checksum[2..4]).join(&checksum), &text);
        write(&plain.join(&path), &text);
        (path, checksum, text.len() as i64)
    });
    support::insert_files(ctx, project, files).await;
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
}

/// Until the first line, until the end, and how many lines there were.
async fn search_once(ctx: &Ctx, project: ProjectId, query: &SearchQuery) -> (Duration, Duration, u64) {
    let began = Instant::now();
    let mut items = std::pin::pin!(search::search(ctx, project, query.clone()).await.expect("a search"));
    let (mut first, mut lines) = (None, 0);
    while let Some(item) = items.next().await {
        match item {
            SearchItem::Match(_) => first = first.or(Some(began.elapsed())),
            SearchItem::Done(done) => lines = done.lines,
            SearchItem::Progress { .. } => {}
            SearchItem::Failed { problem } => panic!("{problem}"),
        }
    }
    (first.unwrap_or_default(), began.elapsed(), lines)
}

/// The whole time of ripgrep, and its lines.
fn ripgrep_once(plain: &Path, query: &SearchQuery) -> (Duration, u64) {
    let began = Instant::now();
    let mut command = Command::new("rg");
    command.args(["--no-config", "--no-ignore", "--hidden", "-n", "-i"]);
    if !query.regex {
        command.arg("-F");
    }
    let output = command.arg("-e").arg(&query.q).arg(plain).stderr(Stdio::null()).output().expect("ripgrep");
    (began.elapsed(), output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// A figure beside its bar.
fn verdict(value: f64, bar: f64, unit: &str) -> String {
    let word = if value <= bar { "met" } else { "MISSED" };
    format!("bar {bar} {unit}, {word}")
}

async fn measure(count: usize, kept: Option<PathBuf>) {
    let passing = tempfile::tempdir().expect("a directory");
    let data = kept.unwrap_or_else(|| passing.path().to_owned());
    std::fs::create_dir_all(&data).expect("a directory");
    let home = Home::on_disk(&data).await;
    let ctx = home.person("bench").await;
    let project = home.project(&ctx).await.id;
    let plain = data.join("plain");
    let began = Instant::now();
    lay_out(&ctx, project, &data.join("blobs"), &plain, count).await;
    println!("{count} files laid out in {:.1} s", began.elapsed().as_secs_f64());
    let has_ripgrep = Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if has_ripgrep {
        println!("beside ripgrep, the median of {ROUNDS} rounds each");
    } else {
        println!("rg is missing, not compared; the median of {ROUNDS} rounds");
    }
    for (name, q, regex) in
        [("a common word", "transmogrify", false), ("a word in one file", "quixotic", false), ("an expression", r"quix\w+ic", true)]
    {
        let query = SearchQuery { q: q.to_owned(), regex, ..SearchQuery::default() };
        let (mut first, mut whole, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let theirs = has_ripgrep.then(|| ripgrep_once(&plain, &query));
            let (to_first, to_end, lines) = search_once(&ctx, project, &query).await;
            if let Some((time, their_lines)) = theirs {
                assert_eq!(lines, their_lines, "both find the same");
                other.push(time);
            }
            first.push(to_first);
            whole.push(to_end);
        }
        let (first, whole) = (median(first), median(whole));
        // Those of a word in the last file have no bar: there is nothing before the end.
        let first_bar = if name == "a common word" { format!(" ({})", verdict(first, FIRST_BAR_MS, "ms")) } else { String::new() };
        println!("{name}: first line {first:.1} ms{first_bar}");
        if other.is_empty() {
            println!("{name}: whole {whole:.1} ms");
        } else {
            let other = median(other);
            let ratio = whole / other;
            println!("{name}: whole {whole:.1} ms, rg {other:.1} ms, {ratio:.2}x ({})", verdict(ratio, WHOLE_BAR, "x"));
        }
    }
}
