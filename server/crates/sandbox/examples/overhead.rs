//! Prints what the sandbox adds to starting a command, measured against a bare process in one interleaved run.
#![allow(clippy::print_stdout)]

use sandbox::{Config, Kind, Limits, Network, RunDir, Sandbox, Spec};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use uuid::Uuid;

struct Nothing;

#[async_trait::async_trait]
impl sandbox::BytesSource for Nothing {
    async fn open(&self, _: &str) -> std::io::Result<std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn main() {
    sandbox::take_over_if_helper();
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(60);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(rounds));
}

async fn measure(rounds: usize) {
    let open = std::fs::Permissions::from_mode(0o711);
    let dir = tempfile::Builder::new().permissions(open).tempdir_in("/tmp").expect("a directory");
    let sandbox = Sandbox::probe(Config::new(dir.path())).await;
    println!("tier {}: {}", sandbox.probe_result().tier, sandbox.probe_result().reason);
    let (project, branch) = (Uuid::now_v7(), Uuid::now_v7());
    let source = std::sync::Arc::new(Nothing);
    let workspaces = sandbox.workspaces();
    workspaces.sync(project, 1, sandbox::Changes::Full(Vec::new()), source).await.expect("a checkout");
    workspaces.create_branch(project, branch).await.expect("a branch");
    let dirs = [RunDir::Checkout(project), RunDir::Branch { project, branch }];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let start = Instant::now();
        tokio::process::Command::new("/usr/bin/true").status().await.expect("true runs");
        times[0].push(start.elapsed());
        for (i, dir) in dirs.iter().enumerate() {
            let spec = Spec {
                id: Uuid::now_v7(),
                kind: Kind::SandboxExec,
                argv: vec!["/usr/bin/true".into()],
                dir: *dir,
                cwd: String::new(),
                env: Vec::new(),
                limits: Limits::default(),
                network: Network::None,
                tty: None,
            };
            let start = Instant::now();
            let running = sandbox.start(spec).await.expect("it starts");
            let finished = running.wait().await;
            assert_eq!(finished.exit.code, Some(0), "{}", finished.exit.sentence);
            times[i + 1].push(start.elapsed());
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1000.0
    };
    let [bare, checkout, on_branch] = &mut times;
    let bare = median(bare);
    println!("medians of {rounds} interleaved runs, start to end of `true`:");
    println!("bare {bare:.1} ms");
    for (name, times) in [("checkout", checkout), ("branch", on_branch)] {
        let time = median(times);
        println!("{name} {time:.1} ms, adds {:.1} ms", time - bare);
    }
}
