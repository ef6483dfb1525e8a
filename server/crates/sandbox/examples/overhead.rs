//! Prints what the sandbox costs, each measured against doing without it in one interleaved run: starting a command, eight
//! of them at once, and the way of a key press through a terminal.
#![allow(clippy::print_stdout)]

use sandbox::{Config, Kind, Limits, Network, RunDir, Sandbox, Spec, StopGrace, shell};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

const AT_ONCE: usize = 8;
/// Long enough to be work, short enough that the start still shows.
const WORK: &str = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done";
const ECHO_BACK: &str = "stty raw -echo; echo ready; exec cat";

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
    measure_start(&sandbox, dirs, rounds).await;
    measure_at_once(&sandbox, dirs[0], rounds.div_ceil(6)).await;
    measure_echo(&sandbox, dirs[0], rounds * 5).await;
}

fn spec(dir: RunDir, argv: Vec<String>) -> Spec {
    Spec {
        id: Uuid::now_v7(),
        kind: Kind::SandboxExec,
        argv,
        dir,
        cwd: String::new(),
        env: Vec::new(),
        limits: Limits::default(),
        network: Network::None,
        tty: None,
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    milliseconds(times[times.len() / 2])
}

async fn run(sandbox: &Sandbox, spec: Spec) {
    let running = sandbox.start(spec).await.expect("it starts");
    let finished = running.wait().await;
    assert_eq!(finished.exit.code, Some(0), "{}", finished.exit.sentence);
}

async fn measure_start(sandbox: &Sandbox, dirs: [RunDir; 2], rounds: usize) {
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let start = Instant::now();
        tokio::process::Command::new("/usr/bin/true").status().await.expect("true runs");
        times[0].push(start.elapsed());
        for (i, dir) in dirs.iter().enumerate() {
            let start = Instant::now();
            run(sandbox, spec(*dir, vec!["/usr/bin/true".into()])).await;
            times[i + 1].push(start.elapsed());
        }
    }
    let [bare, checkout, on_branch] = &mut times;
    let bare = median(bare);
    println!("medians of {rounds} interleaved runs, start to end of `true`:");
    println!("bare {bare:.1} ms");
    for (name, times) in [("checkout", checkout), ("branch", on_branch)] {
        let time = median(times);
        println!("{name} {time:.1} ms, adds {:.1} ms", time - bare);
    }
}

/// bubblewrap with the same namespaces and mounts, and nothing of ours.
fn bare_bubblewrap(command: &[String]) -> tokio::process::Command {
    let mut bwrap = tokio::process::Command::new("bwrap");
    bwrap.args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--cap-drop", "ALL"]);
    bwrap.args(["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]);
    bwrap.args(["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--"]);
    bwrap.args(command);
    bwrap
}

async fn measure_at_once(sandbox: &Sandbox, dir: RunDir, rounds: usize) {
    println!("medians of {rounds} interleaved rounds, {AT_ONCE} at once, start of the first to end of the last:");
    for (name, argv) in [("true", vec!["/usr/bin/true".to_owned()]), ("work", shell(WORK))] {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let start = Instant::now();
            let all: Vec<_> = (0..AT_ONCE).map(|_| bare_bubblewrap(&argv).spawn().expect("bubblewrap starts")).collect();
            for mut child in all {
                assert!(child.wait().await.expect("an end").success());
            }
            bare.push(start.elapsed());
            let start = Instant::now();
            let runs = (0..AT_ONCE).map(|_| run(sandbox, spec(dir, argv.clone())));
            // Polled together on this task; the processes themselves run side by side.
            join_all(runs.collect()).await;
            ours.push(start.elapsed());
        }
        let (bare, ours) = (median(&mut bare), median(&mut ours));
        println!("{name}: bare bubblewrap {bare:.1} ms, sandbox {ours:.1} ms, ratio {:.2}", ours / bare);
    }
}

async fn join_all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|f| f.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// One byte in, the same byte back from `cat`, which sits behind the terminal either way.
async fn measure_echo(sandbox: &Sandbox, dir: RunDir, rounds: usize) {
    let mut terminal = spec(dir, shell(ECHO_BACK));
    terminal.tty = Some((80, 24));
    let mut running = sandbox.start(terminal).await.expect("a terminal");
    let keyboard = running.input.clone().expect("a keyboard");
    running.output.recv().await.expect("ready");
    let (mut master, mut child) = bare_terminal();
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        master.write_all(b"x").expect("it takes a key");
        let mut back = [0u8; 1];
        master.read_exact(&mut back).expect("it comes back");
        bare.push(start.elapsed());
        let start = Instant::now();
        keyboard.write(b"x").await.expect("it takes a key");
        running.output.recv().await.expect("it comes back");
        ours.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.stop(StopGrace::Kill).await;
    child.kill().expect("the bare one ends");
    child.wait().expect("the bare one is gone");
    let (bare_median, ours_median) = (median(&mut bare), median(&mut ours));
    let late = |times: &[Duration]| milliseconds(times[times.len() * 99 / 100]);
    println!("medians of {rounds} interleaved key presses, to the echo by `cat`:");
    println!("bare terminal {bare_median:.2} ms, 99 of 100 within {:.2} ms", late(&bare));
    println!("sandbox {ours_median:.2} ms, adds {:.2} ms, 99 of 100 within {:.2} ms", ours_median - bare_median, late(&ours));
}

/// The same command behind a terminal of its own, with no sandbox around it.
fn bare_terminal() -> (File, std::process::Child) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).expect("ours");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let slave = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its end");
    let end = || Stdio::from(slave.try_clone().expect("a copy"));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ECHO_BACK]).stdin(end()).stdout(end()).stderr(end()).process_group(0);
    let child = command.spawn().expect("a shell");
    let mut master = File::from(master);
    let (mut said, mut piece) = (String::new(), [0u8; 64]);
    while !said.contains("ready") {
        let n = master.read(&mut piece).expect("it speaks");
        said.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    // The rest of the line, if it came apart.
    std::thread::sleep(Duration::from_millis(50));
    rustix::io::ioctl_fionbio(&master, true).expect("not waiting");
    while matches!(master.read(&mut piece), Ok(n) if n > 0) {}
    rustix::io::ioctl_fionbio(&master, false).expect("waiting");
    (master, child)
}
