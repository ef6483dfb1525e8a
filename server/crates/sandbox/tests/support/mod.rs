//! A sandbox with a project or two, on a work directory of its own.
#![allow(dead_code)]

use sandbox::{
    Changes, Channel, Config, EntryKind, Finished, Kind, Limits, Network, RunDir, Sandbox, Spec, Tier, TierChoice, TreeEntry, shell,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub struct Bed {
    pub sandbox: Arc<Sandbox>,
    pub dir: tempfile::TempDir,
    pub project: Uuid,
}

pub struct Blobs(pub HashMap<String, Vec<u8>>);

#[async_trait::async_trait]
impl sandbox::BytesSource for Blobs {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn tokio::io::AsyncRead + Send>>> {
        let bytes = self.0.get(sha256).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::pin(io::Cursor::new(bytes)))
    }
}

/// Set for a test that runs again elsewhere: where the helper is, and that nothing may be skipped.
const HELPER: &str = "SANDBOX_TEST_HELPER";
const MUST_RUN: &str = "SANDBOX_TESTS_MUST_RUN";
/// An ordinary uid that owns nothing.
pub const NOBODY: &str = "65534";

/// This test program and the helper where every user can execute them.
pub struct Copy {
    pub dir: tempfile::TempDir,
}

impl Copy {
    pub fn make() -> Copy {
        let dir = work_dir();
        for (from, name) in [(std::env::current_exe().unwrap(), "tests"), (env!("CARGO_BIN_EXE_jail").into(), "helper")] {
            std::fs::copy(from, dir.path().join(name)).unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Copy { dir }
    }

    /// Runs tests of this program by `launcher` (program and arguments that come before). Panics with their output if one fails.
    pub fn run(&self, launcher: &[&str], tests: &[&str]) -> String {
        let output = std::process::Command::new(launcher[0])
            .args(&launcher[1..])
            .arg(self.dir.path().join("tests"))
            .args(tests)
            .args(["--nocapture", "--test-threads", "2"])
            .env(HELPER, self.dir.path().join("helper"))
            .env(MUST_RUN, "1")
            .current_dir("/")
            .output()
            .unwrap();
        let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{launcher:?} {tests:?}:\n{text}");
        text
    }

    /// As an ordinary user: a server without privileges.
    pub fn run_unprivileged(&self, tests: &[&str]) -> String {
        let ids = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        let launcher: Vec<&str> = std::iter::once("/usr/bin/setpriv").chain(ids).collect();
        self.run(&launcher, tests)
    }
}

pub fn is_root() -> bool {
    unsafe { libc::geteuid() == 0 }
}

pub fn work_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("sandbox-test-").permissions(std::fs::Permissions::from_mode(0o711)).tempdir_in("/tmp").unwrap()
}

pub fn config(work_dir: PathBuf, tier: TierChoice) -> Config {
    let helper = std::env::var_os(HELPER).map_or_else(|| env!("CARGO_BIN_EXE_jail").into(), PathBuf::from);
    let helper = Some(helper);
    Config { tier, helper, allow_weak: true, ..Config::new(work_dir) }
}

/// The tiers this machine must be able to do, strongest first. Says so when it leaves one out.
pub fn tiers() -> Vec<TierChoice> {
    if is_root() { vec![TierChoice::S3r, TierChoice::S2] } else { vec![TierChoice::Auto] }
}

/// None, with the reason printed, if the machine cannot do the tier. In CI, and as root, it has to; S3r is for root alone.
pub async fn bed(tier: TierChoice) -> Option<Bed> {
    let dir = work_dir();
    let sandbox = Sandbox::probe(config(dir.path().to_path_buf(), tier)).await;
    let probe = sandbox.probe_result();
    println!("asked for {tier:?}, got {} (cgroup {:?}, overlay {}): {}", probe.tier, probe.cgroup, probe.overlay, probe.reason);
    if probe.tier == Tier::S0 {
        let is_due = is_root() || (std::env::var_os("CI").is_some() && tier != TierChoice::S3r);
        if std::env::var_os(MUST_RUN).is_some() || (is_due && std::env::var_os("SANDBOX_TESTS_MAY_SKIP").is_none()) {
            panic!("tier {tier:?} does not work here: {}\n{:#?}", probe.reason, probe.findings);
        }
        println!("SKIPPED: tier {tier:?} does not work here: {}", probe.reason);
        return None;
    }
    let bed = Bed { sandbox, dir, project: Uuid::now_v7() };
    bed.checkout(bed.project, &[("readme.md", "hello\n"), ("src/main.py", "print('hi')\n")]).await;
    Some(bed)
}

pub struct Outcome {
    pub finished: Finished,
    pub out: String,
    pub err: String,
}

impl Bed {
    pub async fn checkout(&self, project: Uuid, files: &[(&str, &str)]) {
        let mut blobs = HashMap::new();
        let mut entries = Vec::new();
        for (path, text) in files {
            let sha256 = hex::encode(Sha256::digest(text));
            blobs.insert(sha256.clone(), text.as_bytes().to_vec());
            let size = text.len() as u64;
            entries.push(TreeEntry { path: path.to_string(), kind: EntryKind::File, mode: 0o644, sha256, size });
        }
        self.sandbox.workspaces().sync(project, 1, Changes::Full(entries), Arc::new(Blobs(blobs))).await.unwrap();
    }

    pub fn spec(&self, command: &str) -> Spec {
        Spec {
            id: Uuid::now_v7(),
            kind: Kind::SandboxExec,
            argv: shell(command),
            dir: RunDir::Checkout(self.project),
            cwd: String::new(),
            env: Vec::new(),
            limits: Limits { wall: Duration::from_secs(20), ..Limits::default() },
            network: Network::None,
            tty: None,
        }
    }

    pub fn tree(&self) -> PathBuf {
        self.dir.path().join(self.project.to_string()).join("tree")
    }

    pub async fn run(&self, command: &str) -> Outcome {
        self.run_spec(self.spec(command)).await
    }

    /// A Python program given as text.
    pub async fn python(&self, code: &str) -> Outcome {
        self.run_spec(self.python_spec(code)).await
    }

    pub fn python_spec(&self, code: &str) -> Spec {
        let mut spec = self.spec("");
        spec.argv = vec!["/usr/bin/python3".into(), "-c".into(), code.into()];
        spec
    }

    pub async fn run_spec(&self, spec: Spec) -> Outcome {
        let mut running = self.sandbox.start(spec).await.unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(chunk) = running.output.recv().await {
            match chunk.channel {
                Channel::Stderr => err.extend_from_slice(&chunk.data),
                Channel::Stdout | Channel::Pty => out.extend_from_slice(&chunk.data),
            }
        }
        let finished = running.wait().await;
        assert_eq!(finished.left_alive, 0);
        let text = |v: Vec<u8>| String::from_utf8_lossy(&v).into_owned();
        Outcome { finished, out: text(out), err: text(err) }
    }
}

/// The same Python program outside of any sandbox: the control.
pub fn python_outside(code: &str) -> String {
    let output = std::process::Command::new("/usr/bin/python3").args(["-c", code]).output().unwrap();
    assert!(output.status.success(), "control: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Host processes whose command line contains `marker`, this one aside.
pub fn alive(marker: &str) -> Vec<i32> {
    let own = std::process::id() as i32;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != own && String::from_utf8_lossy(&line).contains(marker) {
            found.push(pid);
        }
    }
    found
}

/// A number no other process has in its arguments, usable as `sleep`'s argument.
pub fn marker() -> String {
    format!("{}.{:06}", 3000 + std::process::id() % 1000, Uuid::now_v7().as_u128() % 1_000_000)
}

pub async fn until_gone(marker: &str, patience: Duration) -> Vec<i32> {
    let start = std::time::Instant::now();
    loop {
        let left = alive(marker);
        if left.is_empty() || start.elapsed() > patience {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
