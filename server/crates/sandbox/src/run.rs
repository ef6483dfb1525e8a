//! Starting a run: checks, places, pipes, the handshake with bubblewrap and the helper.

use crate::bwrap::{self, JAIL_HOME, Layout};
use crate::cgroup::{Base, Group};
use crate::disk::DiskRoom;
use crate::egress::{self, EgressDecision, EgressPolicy, Proxy};
use crate::environment::environment;
use crate::jail::{BLOCK_FD, CONTROL_FD, INFO_FD, INFO_KEEP_FD, JailConfig, NET_FD, STATUS_FD};
use crate::launch::{LaunchConfig, Overlay};
use crate::net::JailNet;
use crate::observe::{Observer, UsageSample};
use crate::output::{Meter, pump};
use crate::pipes::{Pipes, PtyInput, read_child_pid, watch_fd};
use crate::probe::{Probe, Tier};
use crate::spec::{Chunk, Finished, Limits, Network, Spec, StopGrace};
use crate::supervise::{Aside, Asked, Live, supervise};
use crate::sweep::Record;
use crate::workspace::{RunPlace, Workspaces, beneath};
use command_fds::{CommandFdExt, FdMapping};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wire::network::HostRule;

const HANDSHAKE: Duration = Duration::from_secs(15);
const CHUNKS_IN_FLIGHT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// No tier of isolation fits this machine.
    NoSandbox,
    LowDisk,
    /// The request itself is wrong, or its directory does not exist.
    Invalid,
    /// The machine could not set the jail up.
    Failed,
}

/// A run that did not start. Nothing was executed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    pub kind: RefusedKind,
    pub reason: String,
}

impl Refused {
    pub(crate) fn new(kind: RefusedKind, reason: impl Into<String>) -> Refused {
        Refused { kind, reason: reason.into() }
    }
}

fn failed(what: &str) -> impl Fn(io::Error) -> Refused + '_ {
    move |e| Refused::new(RefusedKind::Failed, format!("The sandbox could not be set up ({what}: {e}). Nothing was run."))
}

/// The only way to run a process. Cheap to share; made by [`Sandbox::probe`].
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) probe: Probe,
    /// Held for as long as this process may use the work directory.
    pub(crate) _lock: Option<std::fs::File>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.engine.base.remove_if_empty();
    }
}

/// What a start needs to know; separate so that the probe can try a tier by really using it.
#[derive(Clone)]
pub(crate) struct Engine {
    pub tier: Tier,
    pub base: Base,
    pub work_dir: PathBuf,
    pub helper: PathBuf,
    pub bwrap: PathBuf,
    pub bind_fd: bool,
    pub extra: Vec<PathBuf>,
    pub workspaces: Workspaces,
}

impl Sandbox {
    pub fn probe_result(&self) -> &Probe {
        &self.probe
    }

    pub fn workspaces(&self) -> &Workspaces {
        &self.engine.workspaces
    }

    /// Starts a command. Returns once it is set up and about to execute.
    /// On a branch this waits for a [`Workspaces::sync`] of the same project to end, and the other way round.
    pub async fn start(&self, spec: Spec) -> Result<Running, Refused> {
        if self.engine.tier == Tier::S0 {
            let reason = format!("Commands cannot be run on this machine: {}", self.probe.reason);
            return Err(Refused::new(RefusedKind::NoSandbox, reason));
        }
        // Asked here and not by the probe: a disk that is full when the server starts says nothing about the tier.
        if DiskRoom::of(&self.engine.work_dir).ok().flatten().is_some_and(DiskRoom::is_low) {
            let reason = "The server's disk is nearly full, so no new command is started.";
            return Err(Refused::new(RefusedKind::LowDisk, reason));
        }
        self.engine.start(spec).await
    }
}

impl Engine {
    pub(crate) async fn start(&self, spec: Spec) -> Result<Running, Refused> {
        check_spec(&spec)?;
        if self.tier == Tier::S1 && spec.network != Network::None {
            let reason = "In tier S1 commands have no network of their own, so none can be given to them. Nothing was run.";
            return Err(Refused::new(RefusedKind::NoSandbox, reason));
        }
        let place = self.workspaces.place(&spec.dir).await?;
        let started = Instant::now();
        let group = self.base.create(&spec.id.to_string(), &spec.limits).map_err(failed("control group"))?;
        let mut trash = Trash { group, record: self.record_path(&spec), init: None, armed: true };
        Record::new(&spec, trash.group.clone()).write(&trash.record).map_err(failed("run record"))?;
        let mut pipes = Pipes::open(&spec, self.tier != Tier::S1).map_err(failed("pipes"))?;
        let launch = self.launch_config(&spec.limits, &place, spec.tty.is_some());
        let mut outer = self.spawn(&launch, &mut pipes).map_err(failed("launcher"))?;
        let outer_pid = outer.id().unwrap_or(0) as i32;
        let hands = tokio::time::timeout(HANDSHAKE, async {
            tokio::select! {
                biased;
                hands = self.shake_hands(&spec, &mut pipes, outer_pid, &mut trash, &place) => hands,
                _ = outer.wait() => Err(io::Error::other("it ended at once")),
            }
        });
        let Hands { init_pid, init, listener } = match hands.await {
            Ok(Ok(hands)) => hands,
            Ok(Err(e)) => return Err(self.give_up(e, pipes, outer).await),
            Err(_) => {
                return Err(self.give_up(io::Error::other("no answer in time"), pipes, outer).await);
            }
        };
        let meter = Arc::new(Meter::default());
        let (sink, output) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let input = pipes.keyboard();
        let source = pipes.source().map_err(failed("pipes"))?;
        let pump = tokio::spawn(pump(source, sink, meter.clone(), spec.limits.output_bytes));
        let (group, record) = trash.keep();
        let network_bytes = Arc::new(AtomicU64::new(0));
        let mut aside = Aside::default();
        let (egress, rules) = serve_egress(&spec.network, listener, &network_bytes, &mut aside);
        let (ports_tx, ports) = watch::channel(Vec::new());
        let (samples_tx, samples) = watch::channel(UsageSample::default());
        let observer = Observer {
            init_pid,
            group: group.clone(),
            own_network: self.tier != Tier::S1,
            hidden_port: rules.is_some().then_some(egress::PORT),
        };
        aside.0.push(tokio::spawn(observer.watch(ports_tx, samples_tx)).abort_handle());
        let net = pipes.net.take();
        let live = Live {
            tier: self.tier,
            limits: spec.limits,
            started,
            init_pid,
            init,
            control: pipes.control,
            status: pipes.status,
            outer,
            group,
            record,
            place,
            meter,
            pump,
            aside,
            network_bytes,
        };
        let (ask, asked) = watch::channel(Asked::No);
        let (dead_tx, dead) = watch::channel(false);
        let task = tokio::spawn(supervise(live, asked, dead_tx));
        let stopper = Stopper { ask: Arc::new(ask), dead };
        Ok(Running { output, input, ports, samples, egress, rules, net, stopper, task: Some(task) })
    }

    fn record_path(&self, spec: &Spec) -> PathBuf {
        self.work_dir.join("run/records").join(format!("{}.json", spec.id))
    }

    fn launch_config(&self, limits: &Limits, place: &RunPlace, tty: bool) -> LaunchConfig {
        let etc = self.work_dir.join("run/etc");
        let argv = if self.tier == Tier::S1 {
            vec![self.helper.to_string_lossy().into_owned(), crate::JAIL_ARG.into()]
        } else {
            let work = place.project_dir.join(&place.work);
            let layout = Layout { helper: &self.helper, etc: &etc, extra: &self.extra, bind_fd: self.bind_fd, work: &work };
            let mut argv = bwrap::arguments(&layout, limits);
            argv[0] = self.bwrap.to_string_lossy().into_owned();
            argv
        };
        LaunchConfig {
            owner: place.owner,
            project_dir: place.project_dir.to_string_lossy().into_owned(),
            work: place.work.clone(),
            overlay: place.overlay.as_ref().map(|(upper, scratch)| Overlay {
                lower: "tree".into(),
                upper: upper.clone(),
                scratch: scratch.clone(),
            }),
            argv,
            tty,
            net: self.tier != Tier::S1,
        }
    }

    fn spawn(&self, launch: &LaunchConfig, pipes: &mut Pipes) -> io::Result<tokio::process::Child> {
        let json = serde_json::to_string(launch).map_err(io::Error::other)?;
        let mut command = tokio::process::Command::new(&self.helper);
        command.arg(crate::LAUNCH_ARG).arg(json).env_clear().current_dir("/");
        let ends = pipes.theirs.take().ok_or_else(|| io::Error::other("pipes are used up"))?;
        command.stdin(ends.stdin).stdout(ends.stdout).stderr(ends.stderr);
        let mapping = |parent_fd, child_fd| FdMapping { parent_fd, child_fd };
        let mut mappings = vec![
            mapping(ends.control, CONTROL_FD),
            mapping(ends.status, STATUS_FD),
            mapping(ends.info, INFO_FD),
            mapping(ends.info_keep, INFO_KEEP_FD),
            mapping(ends.block, BLOCK_FD),
        ];
        mappings.extend(ends.net.map(|net| mapping(net, NET_FD)));
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        command.spawn()
    }

    /// Learns pid 1 of the jail, puts it into the control group while it is held, lets it go, waits for the helper
    /// and hands it the command. The helper executes nothing before that, and dies if the pipe ends first.
    async fn shake_hands(&self, spec: &Spec, pipes: &mut Pipes, outer_pid: i32, trash: &mut Trash, place: &RunPlace) -> io::Result<Hands> {
        let init_pid = if self.tier == Tier::S1 { outer_pid } else { read_child_pid(&mut pipes.info).await? };
        let pid = rustix::process::Pid::from_raw(init_pid).ok_or_else(|| io::Error::other("no process id"))?;
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        trash.init = Some(pidfd.try_clone()?);
        let init = watch_fd(pidfd)?;
        if let Some(group) = &trash.group {
            group.join(init_pid)?;
        }
        Record::new(spec, trash.group.clone()).with_processes(init_pid, outer_pid).write(&trash.record)?;
        let _ = pipes.block.write_all(b"x").await;
        let mut up = [0u8; 3];
        pipes.status.read_exact(&mut up).await?;
        let config = serde_json::to_vec(&self.jail_config(spec, place)).map_err(io::Error::other)?;
        pipes.control.write_all(&(config.len() as u32).to_le_bytes()).await?;
        pipes.control.write_all(&config).await?;
        let listener = match (&spec.network, &pipes.net) {
            (Network::Proxy(_), Some(net)) => Some(net.take_listener().await?),
            _ => None,
        };
        Ok(Hands { init_pid, init, listener })
    }

    fn jail_config(&self, spec: &Spec, place: &RunPlace) -> JailConfig {
        let bare = self.tier == Tier::S1;
        let work = if bare { place.project_dir.join(&place.work) } else { PathBuf::from("/w") };
        let work = work.to_string_lossy().into_owned();
        let extra = self.extra.iter().map(|p| p.to_string_lossy().into_owned());
        let strings = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let (readable, writable, home) = if bare {
            let scratch = place.project_dir.join("scratch").to_string_lossy().into_owned();
            let mut readable = strings(&[
                "/usr",
                "/bin",
                "/sbin",
                "/lib",
                "/lib64",
                "/etc/alternatives",
                "/etc/ssl/certs",
                "/etc/ld.so.cache",
                "/dev/urandom",
                "/dev/random",
                "/dev/zero",
            ]);
            readable.extend(extra);
            (readable, vec![work.clone(), scratch.clone(), "/dev/null".into(), "/dev/tty".into()], scratch)
        } else {
            let writable = ["/w", "/tmp", "/dev", "/proc", JAIL_HOME];
            (vec!["/".into()], strings(&writable), JAIL_HOME.into())
        };
        let tmp = if bare { home.clone() } else { "/tmp".into() };
        let pids = u64::from(spec.limits.pids);
        JailConfig {
            argv: spec.argv.clone(),
            env: environment(spec, &home, &tmp, &self.extra),
            cwd: if spec.cwd.is_empty() { work } else { format!("{work}/{}", spec.cwd) },
            // With a control group that one should be met first: it counts what it refused.
            pids: if has_no_cgroup(&self.base) { pids } else { pids * 2 + 16 },
            nofile: spec.limits.nofile,
            file_bytes: spec.limits.file_bytes,
            writable,
            readable,
            tty: spec.tty.is_some(),
            pid_namespace: !bare,
            network_namespace: !bare,
            listen: (spec.network != Network::None).then_some(egress::PORT),
        }
    }

    /// Ends whatever the failed start left and says why it failed.
    async fn give_up(&self, error: io::Error, mut pipes: Pipes, mut outer: tokio::process::Child) -> Refused {
        let mut said = Vec::new();
        if let Some(stderr) = &mut pipes.stderr {
            let mut limited = stderr.take(2000);
            let reading = limited.read_to_end(&mut said);
            let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
        }
        // With the pipes closed it ends by itself. Killing it outright could leave bubblewrap's child waiting for it
        // for ever, before there is anything that could tell us that child's number.
        drop(pipes);
        if tokio::time::timeout(Duration::from_secs(2), outer.wait()).await.is_err() {
            let _ = outer.start_kill();
        }
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let detail = if said.is_empty() { error.to_string() } else { said };
        failed("jail")(io::Error::other(detail))
    }
}

/// What the handshake yields.
struct Hands {
    init_pid: i32,
    /// A pidfd of pid 1 of the jail.
    init: AsyncFd<OwnedFd>,
    /// For the proxy, inside the jail's network namespace.
    listener: Option<TcpListener>,
}

/// Starts the proxy if there is to be one. Without one the receiver is at its end from the start.
fn serve_egress(
    network: &Network,
    listener: Option<TcpListener>,
    bytes: &Arc<AtomicU64>,
    aside: &mut Aside,
) -> (mpsc::Receiver<EgressDecision>, Option<watch::Sender<Vec<HostRule>>>) {
    let (decisions, taken) = mpsc::channel(egress::DECISIONS_IN_FLIGHT);
    let (Network::Proxy(EgressPolicy { rules, open_addresses }), Some(listener)) = (network, listener) else {
        return (taken, None);
    };
    let (rules, current) = watch::channel(rules.clone());
    let proxy = Proxy::new(current, open_addresses.clone(), decisions, bytes.clone());
    aside.0.push(tokio::spawn(proxy.serve(listener)).abort_handle());
    (taken, Some(rules))
}

fn has_no_cgroup(base: &Base) -> bool {
    base.backend == crate::probe::CgroupBackend::None
}

/// Removes what a start that fails, or is dropped, half way has made. The launcher is left to end by itself: all the
/// pipes it waits for are closed by then.
struct Trash {
    /// Pid 1 of the jail, once known. It has executed nothing yet.
    init: Option<OwnedFd>,
    group: Option<Group>,
    record: PathBuf,
    armed: bool,
}

impl Trash {
    fn keep(mut self) -> (Option<Group>, PathBuf) {
        self.armed = false;
        (self.group.take(), std::mem::take(&mut self.record))
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if let Some(init) = &self.init {
            let _ = rustix::process::pidfd_send_signal(init, rustix::process::Signal::KILL);
        }
        if let Some(group) = &self.group {
            group.kill_all(Duration::from_millis(500));
            group.remove();
        }
        let _ = std::fs::remove_file(&self.record);
    }
}

fn check_spec(spec: &Spec) -> Result<(), Refused> {
    let invalid = |what: &str| Err(Refused::new(RefusedKind::Invalid, what));
    if spec.argv.first().is_none_or(|a| a.is_empty()) {
        return invalid("There is no command to run.");
    }
    if spec.argv.iter().any(|a| a.contains('\0') || a.len() > 128 * 1024) {
        return invalid("An argument contains a null character or is longer than 128 KiB.");
    }
    if !spec.cwd.is_empty() && beneath::check_path(&spec.cwd).is_err() {
        return invalid("The working directory has to be a path inside the project, without \"..\".");
    }
    let name_ok =
        |n: &str| n.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if spec.env.iter().any(|(n, v)| !name_ok(n) || n.len() > 256 || v.contains('\0') || v.len() > 64 * 1024) {
        return invalid("An environment variable has an unusable name or value.");
    }
    if spec.env.len() > 256 {
        return invalid("More than 256 environment variables.");
    }
    Ok(())
}

/// A run in flight. Dropping it kills the run.
pub struct Running {
    /// Ends when the run has ended and everything was read. Bounded: a reader that stops reading stops the job.
    pub output: mpsc::Receiver<Chunk>,
    /// The keyboard, for runs with a terminal.
    pub input: Option<PtyInput>,
    /// Ports that something in the run listens on, in order. Seen from outside, within about a second; ends with the run.
    pub ports: watch::Receiver<Vec<u16>>,
    /// About once a second; ends with the run.
    pub samples: watch::Receiver<UsageSample>,
    /// What the run tried to reach. At its end from the start for a run without a proxy. Bounded: take them promptly.
    pub egress: mpsc::Receiver<EgressDecision>,
    /// Replaces what a run with a proxy may reach from now on. None without one.
    pub rules: Option<watch::Sender<Vec<HostRule>>>,
    /// None in tier S1, where there is no network namespace to connect into.
    pub net: Option<JailNet>,
    stopper: Stopper,
    task: Option<JoinHandle<Finished>>,
}

impl Running {
    /// A handle that can stop the run from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Stops the run; returns when nothing of it is alive.
    pub async fn stop(&self, grace: StopGrace) {
        self.stopper.stop(grace).await;
    }

    /// Waits for the end. Output nobody has taken by now is dropped.
    pub async fn wait(mut self) -> Finished {
        self.output.close();
        while self.output.try_recv().is_ok() {}
        // Taken only after the end: a caller that gives up waiting drops the run, and that kills it.
        let ended = match self.task.as_mut() {
            Some(task) => task.await,
            None => unreachable!("wait consumes the run"),
        };
        self.task = None;
        ended.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.task.is_some() {
            self.stopper.ask(Asked::Kill);
        }
    }
}

/// Stops a run; cheap to clone. Harmless after the run has ended.
#[derive(Clone)]
pub struct Stopper {
    ask: Arc<watch::Sender<Asked>>,
    dead: watch::Receiver<bool>,
}

impl Stopper {
    fn ask(&self, how: Asked) {
        self.ask.send_if_modified(|now| {
            let firmer = how > *now;
            if firmer {
                *now = how;
            }
            firmer
        });
    }

    /// Returns when nothing of the run is alive.
    pub async fn stop(&self, grace: StopGrace) {
        self.ask(match grace {
            StopGrace::Polite => Asked::Polite,
            StopGrace::Kill => Asked::Kill,
        });
        let _ = self.dead.clone().wait_for(|dead| *dead).await;
    }
}
