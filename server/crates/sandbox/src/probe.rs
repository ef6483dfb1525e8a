//! Finds out which tier of isolation this machine allows, by really using it.

use crate::bwrap::ETC_FILES;
use crate::cgroup::Base;
use crate::run::{Engine, Refused, Sandbox};
use crate::spec::{ExitKind, Finished, Kind, Limits, Network, RunDir, Spec, shell};
use crate::workspace::Workspaces;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How commands are isolated; see the design for what each is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// Namespaces and delegated control groups, server without privileges.
    S3,
    /// The same under a root server; each project has a uid of its own.
    S3r,
    /// Namespaces without control groups: memory is watched, not enforced.
    S2,
    /// Landlock, seccomp and limits alone.
    S1,
    /// Nothing fits: commands are refused.
    S0,
}

impl Tier {
    /// What holds in it, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Tier::S3 => "own namespaces; memory, processor and process limits are enforced",
            Tier::S3r => "own namespaces and a user of its own for each project; memory, processor and process limits are enforced",
            Tier::S2 => "own namespaces; memory is watched, not enforced, and the processor limit does not hold",
            Tier::S1 => "no namespaces: files, system calls and sizes are limited, but users are not kept apart well",
            Tier::S0 => "commands are refused",
        }
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TierChoice {
    /// The strongest that works.
    #[default]
    Auto,
    S3,
    S3r,
    S2,
    S1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupBackend {
    V2,
    V1,
    None,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Checkouts, branches and run records. Every directory above must be enterable by others (mode o+x) under root.
    pub work_dir: PathBuf,
    #[serde(default)]
    pub tier: TierChoice,
    /// Further directories every job may read, for toolchains outside /usr. Their `bin` goes onto the PATH.
    #[serde(default)]
    pub extra_paths: Vec<PathBuf>,
    /// Allows S1, which does not keep two users apart well.
    #[serde(default)]
    pub allow_weak: bool,
    /// First uid for projects under a root server. 100 000 numbers from here must be nobody else's.
    #[serde(default = "default_uid_base")]
    pub uid_base: u32,
    /// A program that calls [`crate::take_over_if_helper`] first; None is the running one.
    #[serde(default)]
    pub helper: Option<PathBuf>,
    /// bubblewrap's path; None looks in the usual places.
    #[serde(default)]
    pub bwrap: Option<PathBuf>,
}

fn default_uid_base() -> u32 {
    1_000_000
}

impl Config {
    pub fn new(work_dir: impl Into<PathBuf>) -> Config {
        Config {
            work_dir: work_dir.into(),
            tier: TierChoice::Auto,
            extra_paths: Vec::new(),
            allow_weak: false,
            uid_base: default_uid_base(),
            helper: None,
            bwrap: None,
        }
    }
}

const GROUPS_ADVICE: &str = "Start the server with Delegate=yes in its systemd unit, or as root.";
const NAMESPACES_ADVICE: &str = "Allow user namespaces and an unmasked /proc (docs/operations.md, \"What runs need\").";

/// One thing that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub name: String,
    pub ok: bool,
    pub detail: String,
    /// What an administrator can do about it.
    pub advice: Option<String>,
}

/// The outcome, for `doctor`, the health page and each run.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    pub tier: Tier,
    pub reason: String,
    pub cgroup: CgroupBackend,
    /// Whether branches are overlays; if not they are copies.
    pub overlay: bool,
    /// One sentence on how to reach a stronger tier; None at the strongest for this kind of server.
    pub next: Option<String>,
    pub findings: Vec<Finding>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, name: &str, ok: bool, detail: impl Into<String>, advice: &str) -> bool {
        let advice = (!ok && !advice.is_empty()).then(|| advice.to_owned());
        self.0.push(Finding { name: name.into(), ok, detail: detail.into(), advice });
        ok
    }
}

impl Sandbox {
    /// Chooses the tier by running a trivial command in it, and tries an overlay. Never fails: what cannot be used
    /// ends in tier S0 with the reason. Takes the work directory for this process alone.
    pub async fn probe(config: Config) -> Arc<Sandbox> {
        let mut findings = Findings::default();
        let root = rustix::process::geteuid().is_root();
        let (engine, lock, reason) = match prepare(&config, root, &mut findings) {
            Err(e) => {
                findings.add("work directory", false, e.to_string(), "Give the server a directory it can write.");
                let engine = bare_engine(&config, Workspaces::unusable(&config.work_dir));
                (engine, None, format!("the work directory is not usable: {e}"))
            }
            Ok((engine, lock)) => {
                let (engine, reason) = choose(&config, engine, root, &mut findings).await;
                (engine, Some(lock), reason)
            }
        };
        let next = next_step(&config, engine.tier, root, &findings.0);
        let (means, advice) = (format!("{}: {}", engine.tier, engine.tier.meaning()), next.clone().unwrap_or_default());
        findings.add("tier", next.is_none(), means, &advice);
        let probe = Probe {
            tier: engine.tier,
            reason,
            cgroup: engine.base.backend,
            overlay: engine.workspaces.uses_overlay(),
            next,
            findings: findings.0,
        };
        tracing::info!(tier = %probe.tier, cgroup = ?probe.cgroup, overlay = probe.overlay, reason = %probe.reason, "sandbox");
        Arc::new(Sandbox { engine, probe, _lock: lock })
    }

    pub(crate) fn owns_work_dir(&self) -> bool {
        self._lock.is_some()
    }
}

fn bare_engine(config: &Config, workspaces: Workspaces) -> Engine {
    Engine {
        tier: Tier::S0,
        base: Base::none(),
        work_dir: config.work_dir.clone(),
        helper: PathBuf::new(),
        bwrap: PathBuf::new(),
        bind_fd: false,
        extra: Vec::new(),
        workspaces,
    }
}

/// Directories, lock, helper: what every tier needs.
fn prepare(config: &Config, root: bool, findings: &mut Findings) -> io::Result<(Engine, fs::File)> {
    fs::create_dir_all(&config.work_dir)?;
    let work_dir = config.work_dir.canonicalize()?;
    if root && config.uid_base == 0 {
        return Err(io::Error::other("the uid range may not start at 0"));
    }
    let workspaces = Workspaces::open(&work_dir, root.then_some(config.uid_base), true)?;
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(work_dir.join("run/lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| io::Error::other("another process uses it"))?;
    let mut engine = bare_engine(config, workspaces);
    engine.helper = install_helper(config, &work_dir)?;
    if root {
        let closed = closed_ancestor(&work_dir);
        let detail = match &closed {
            Some(dir) => format!("{} cannot be entered by others", dir.display()),
            None => "reachable for the projects' uids".into(),
        };
        findings.add("work directory", closed.is_none(), detail, "Make every directory above it o+x, or choose another.");
    }
    for path in &config.extra_paths {
        match check_extra(path, &work_dir) {
            Ok(path) => engine.extra.push(path),
            Err(why) => {
                let advice = "List existing absolute directories that hold nothing secret.";
                findings.add("extra path", false, format!("{}: {why}", path.display()), advice);
            }
        }
    }
    engine.work_dir = work_dir;
    Ok((engine, lock))
}

/// The helper runs under other uids, which may not be able to reach the server's own binary; a copy also survives an
/// upgrade of that binary while the server runs.
fn install_helper(config: &Config, work_dir: &Path) -> io::Result<PathBuf> {
    let source = match &config.helper {
        Some(path) => path.clone(),
        None => std::env::current_exe()?,
    };
    let run = work_dir.join("run");
    for name in ["etc", "records"] {
        fs::create_dir_all(run.join(name))?;
    }
    fs::set_permissions(run.join("etc"), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(run.join("records"), fs::Permissions::from_mode(0o700))?;
    for (name, text) in ETC_FILES {
        let path = run.join("etc").join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    let (target, aside) = (run.join("helper"), run.join("helper.new"));
    let _ = fs::remove_file(&aside);
    // A second name for the same file is as good as a copy, if everybody may execute it as it is.
    let usable = fs::metadata(&source)?.permissions().mode() & 0o055 == 0o055;
    if !usable || fs::hard_link(&source, &aside).is_err() {
        copy_in_a_process(&source, &aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755))?;
    }
    fs::rename(&aside, &target)?;
    Ok(target)
}

/// A descriptor of ours that writes the copy would live on in whatever another thread starts at that moment, until it has
/// executed something; so long the copy is "text file busy", the probe fails, and the server takes a weaker tier for good.
fn copy_in_a_process(source: &Path, target: &Path) -> io::Result<()> {
    let output = std::process::Command::new("/bin/cp").arg("--").args([source, target]).env_clear().output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("the helper could not be copied: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    Ok(())
}

/// Whether other users can enter a directory and all above it.
pub fn is_open_to_others(dir: &Path) -> bool {
    std::path::absolute(dir).is_ok_and(|dir| closed_ancestor(&dir).is_none())
}

fn closed_ancestor(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|dir| fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 0o001 == 0)).map(Path::to_path_buf)
}

fn check_extra(path: &Path, work_dir: &Path) -> Result<PathBuf, &'static str> {
    let path = path.canonicalize().map_err(|_| "does not exist")?;
    if !path.is_dir() {
        return Err("is not a directory");
    }
    if path.starts_with(work_dir) || work_dir.starts_with(&path) {
        return Err("overlaps the work directory");
    }
    let taken = ["/", "/etc", "/var", "/root", "/home", "/boot"];
    if taken.iter().any(|t| path == Path::new(t)) {
        return Err("is not a directory of tools");
    }
    // The jail has its own of these, which would cover it.
    let covered = ["/proc", "/sys", "/dev", "/tmp", "/run", "/w", crate::bwrap::JAIL_HOME];
    if covered.iter().any(|c| path.starts_with(c)) {
        return Err("lies where every command has a directory of its own");
    }
    Ok(path)
}

async fn choose(config: &Config, mut engine: Engine, root: bool, findings: &mut Findings) -> (Engine, String) {
    let landlock = landlock_version();
    let detail = format!("version {landlock}");
    findings.add("landlock", landlock > 0, detail, "Use a kernel built with Landlock, as a second layer.");
    if matches!(config.tier, TierChoice::Auto | TierChoice::S3 | TierChoice::S3r) {
        let (base, detail) = Base::detect(&group_name(&engine.work_dir));
        findings.add("control groups", base.backend != CgroupBackend::None, detail, GROUPS_ADVICE);
        engine.base = base;
    }
    let with_groups = engine.base.backend != CgroupBackend::None;
    let wanted = match config.tier {
        TierChoice::S1 => Tier::S1,
        TierChoice::S2 => Tier::S2,
        TierChoice::S3 if root => {
            return refuse(engine, "tier S3 is for a server without privileges; under root use S3r");
        }
        TierChoice::S3r if !root => return refuse(engine, "tier S3r needs a root server"),
        TierChoice::S3 | TierChoice::S3r if !with_groups => {
            return refuse(engine, "the chosen tier needs control groups");
        }
        _ if !with_groups => Tier::S2,
        _ if root => Tier::S3r,
        _ => Tier::S3,
    };
    let mut reason = String::new();
    if wanted != Tier::S1 {
        match try_bwrap(config, &mut engine, wanted, findings).await {
            Ok(()) => {
                let reason = format!("{wanted} works here");
                return (engine, reason);
            }
            Err(why) => reason = why,
        }
        let may_do_without = config.tier == TierChoice::Auto && with_groups;
        if may_do_without && try_without_groups(config, &mut engine, &reason, findings).await {
            return (engine, format!("{} works here; {wanted} does not: {reason}", Tier::S2));
        }
    }
    if config.tier != TierChoice::Auto && config.tier != TierChoice::S1 {
        return refuse(engine, &reason);
    }
    if landlock < 1 {
        return refuse(engine, &format!("{reason}; and there is no Landlock to fall back to"));
    }
    if !config.allow_weak {
        return refuse(engine, &format!("{reason}; only the weak tier S1 is left, which SANDBOX_ALLOW_WEAK=true would allow"));
    }
    engine.base = Base::none();
    engine.tier = Tier::S1;
    engine.workspaces = engine.workspaces.with_overlay(false);
    match try_command(&engine).await {
        Ok(()) => (engine, format!("weak tier by the administrator's choice; {reason}")),
        Err(why) => refuse(engine, &format!("{reason}; S1: {why}")),
    }
}

/// Where groups can be made and no command starts in one, namespaces alone may still work: tries once, and then says of the
/// control groups what is wrong with them. Without bubblewrap there is nothing to try.
async fn try_without_groups(config: &Config, engine: &mut Engine, why: &str, findings: &mut Findings) -> bool {
    if !findings.0.iter().any(|f| f.name == "namespaces" && !f.ok) {
        return false;
    }
    engine.base.remove_if_empty();
    engine.base = Base::none();
    let mut second = Findings::default();
    if try_bwrap(config, engine, Tier::S2, &mut second).await.is_err() {
        return false;
    }
    findings.0.retain(|f| f.name != "bubblewrap" && f.name != "namespaces");
    if let Some(groups) = findings.0.iter_mut().find(|f| f.name == "control groups") {
        groups.ok = false;
        groups.detail = format!("{}; but a command did not run in one: {why}", groups.detail);
        groups.advice = Some(GROUPS_ADVICE.to_owned());
    }
    findings.0.append(&mut second.0);
    true
}

/// How to get further than `tier`. The strongest is S3 for an ordinary server and S3r for root.
fn next_step(config: &Config, tier: Tier, root: bool, findings: &[Finding]) -> Option<String> {
    let strongest = if root { Tier::S3r } else { Tier::S3 };
    if tier == strongest {
        return None;
    }
    if !matches!(config.tier, TierChoice::Auto) && tier != Tier::S0 {
        return Some(format!("Set SANDBOX_TIER=auto to let the server reach for {strongest}."));
    }
    let missing = |name: &str| findings.iter().any(|f| f.name == name && !f.ok);
    let step = if missing("work directory") {
        "Give the server a work directory that it can write and that other users can enter."
    } else if missing("bubblewrap") {
        "Install bubblewrap 0.8 or newer to reach S2 and above."
    } else if missing("namespaces") {
        "Allow user namespaces and an unmasked /proc to reach S2 and above."
    } else if missing("control groups") && root {
        "Give the server a writable control group hierarchy (version 2, or memory, pids and cpu of version 1) to reach S3r."
    } else if missing("control groups") {
        "Start the server as a systemd unit with Delegate=yes to reach S3."
    } else {
        "Set SANDBOX_TIER=auto and start the server again."
    };
    Some(step.to_owned())
}

fn refuse(mut engine: Engine, reason: &str) -> (Engine, String) {
    engine.tier = Tier::S0;
    engine.base = Base::none();
    (engine, reason.to_owned())
}

async fn try_bwrap(config: &Config, engine: &mut Engine, tier: Tier, findings: &mut Findings) -> Result<(), String> {
    let advice = "Install bubblewrap 0.8 or newer.";
    let usual = || ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"].map(PathBuf::from).to_vec();
    let places = config.bwrap.clone().map_or_else(usual, |path| vec![path]);
    let Some(path) = places.iter().find(|p| p.exists()) else {
        findings.add("bubblewrap", false, "not found", advice);
        return Err("bubblewrap is not installed".into());
    };
    let help = std::process::Command::new(path).arg("--help").env_clear().output();
    let help = help.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    if !findings.add("bubblewrap", help.contains("--disable-userns"), path.display().to_string(), advice) {
        return Err("bubblewrap is too old".into());
    }
    engine.bwrap = path.to_path_buf();
    engine.bind_fd = help.contains("--bind-fd");
    engine.tier = tier;
    let ran = try_command(engine).await;
    let detail = ran.as_ref().err().cloned().unwrap_or_else(|| "a command ran in it".into());
    findings.add("namespaces", ran.is_ok(), detail, NAMESPACES_ADVICE);
    ran?;
    let overlay = try_overlay(engine).await;
    let detail = overlay.as_ref().err().cloned().unwrap_or_else(|| "mounted and written".into());
    findings.add("overlay", overlay.is_ok(), detail, "Branches are copies instead, which is slower for large projects.");
    engine.workspaces = engine.workspaces.with_overlay(overlay.is_ok());
    Ok(())
}

async fn run(engine: &Engine, dir: RunDir, command: &str) -> Result<Finished, String> {
    let spec = Spec {
        id: Uuid::now_v7(),
        kind: Kind::SandboxExec,
        argv: shell(command),
        dir,
        cwd: String::new(),
        env: Vec::new(),
        limits: Limits { wall: Duration::from_secs(20), ..Limits::default() },
        network: Network::None,
        tty: None,
    };
    let running = engine.start(spec).await.map_err(|Refused { reason, .. }| reason)?;
    let finished = running.wait().await;
    match (finished.exit.kind, finished.exit.code) {
        (ExitKind::Exited, Some(0)) => Ok(finished),
        _ => Err(finished.exit.sentence),
    }
}

async fn try_command(engine: &Engine) -> Result<(), String> {
    let project = Uuid::now_v7();
    engine.workspaces.make_empty(project).map_err(|e| e.to_string())?;
    let ran = run(engine, RunDir::Checkout(project), "echo probe > probe").await;
    let wrote = engine.workspaces.open_file(project, "probe");
    engine.workspaces.drop_project(project).await.map_err(|e| e.to_string())?;
    ran?;
    wrote.map(|_| ()).map_err(|e| format!("a file written in the sandbox is not there: {e}"))
}

async fn try_overlay(engine: &Engine) -> Result<(), String> {
    let (project, branch) = (Uuid::now_v7(), Uuid::now_v7());
    engine.workspaces.make_empty(project).map_err(|e| e.to_string())?;
    let workspaces = &engine.workspaces;
    let attempt = async {
        workspaces.create_branch(project, branch).await.map_err(|e| e.to_string())?;
        run(engine, RunDir::Branch { project, branch }, "echo probe > probe").await?;
        let read = workspaces.branch_read(project, branch, "probe", 100).await.map_err(|e| e.to_string())?;
        if read.is_none() || workspaces.open_file(project, "probe").is_ok() {
            return Err("the overlay did not keep the write to itself".to_owned());
        }
        Ok(())
    };
    let result = attempt.await;
    workspaces.drop_project(project).await.map_err(|e| e.to_string())?;
    result
}

fn group_name(work_dir: &Path) -> String {
    let hash = hex::encode(Sha256::digest(work_dir.as_os_str().as_encoded_bytes()));
    format!("cloudxdevai-{}", &hash[..12])
}

fn landlock_version() -> i64 {
    // SAFETY: asks for the version only; no memory is passed.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, 1u32) };
    version.max(0)
}
