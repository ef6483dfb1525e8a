//! The jail helper: pid 1 of a run. It starts the command, reaps, passes on stop signals and goes away when the
//! server does; with it goes the pid namespace. Without bubblewrap it is the only layer, and sweeps what it started.
//!
//! Wire format: the control pipe carries a 4-byte length and a JSON [`JailConfig`], then one byte per signal; its end
//! means "die". The status pipe carries lines: `up`, then `exit CODE SIGNAL CPU_US PEAK_KB` or `failed STAGE ERRNO`.

pub(crate) mod child;
pub(crate) mod net;
pub(crate) mod seccomp;

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Fixed descriptor numbers inside launcher and helper.
pub(crate) const CONTROL_FD: i32 = 3;
pub(crate) const STATUS_FD: i32 = 4;
pub(crate) const INFO_FD: i32 = 5;
pub(crate) const BLOCK_FD: i32 = 6;
/// The reading end of INFO_FD, held by bubblewrap itself: if the server is gone when it writes there, the write must not
/// fail, because its child would then wait for ever to be let go.
pub(crate) const INFO_KEEP_FD: i32 = 7;
/// The network channel; open only where the jail has a network namespace.
pub(crate) const NET_FD: i32 = 8;
/// Argument that tells the helper that NET_FD is open.
pub(crate) const WITH_NETWORK: &str = "network";

/// Bytes of the control pipe after the configuration.
pub(crate) const SAY_INTERRUPT: u8 = b'i';
pub(crate) const SAY_TERMINATE: u8 = b't';
pub(crate) const SAY_KILL: u8 = b'k';

const MAX_CONFIG: usize = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JailConfig {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Absolute, inside the jail.
    pub cwd: String,
    pub pids: u64,
    pub nofile: u64,
    pub file_bytes: u64,
    pub writable: Vec<String>,
    pub readable: Vec<String>,
    pub tty: bool,
    /// Whether this process is pid 1 of a pid namespace; if not it becomes a subreaper and kills by hand.
    pub pid_namespace: bool,
    /// Whether a network namespace makes internet sockets harmless.
    pub network_namespace: bool,
    /// Port of the listener to make for the server before the command exists.
    pub listen: Option<u16>,
}

/// Entry of `<helper> __jail`. Runs before any thread exists and never returns.
pub fn jail_main(args: Vec<OsString>) -> ! {
    let with_network = args.first().is_some_and(|a| a == WITH_NETWORK);
    // SAFETY: the launcher put exactly these two descriptors here; nothing else in this process knows them.
    let (mut control, mut status) = unsafe { (File::from_raw_fd(CONTROL_FD), File::from_raw_fd(STATUS_FD)) };
    unsafe {
        // Not readable and not traceable for the job, which has the same uid.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::close_range(STATUS_FD as u32 + 1, NET_FD as u32 - 1, 0);
        libc::close_range(if with_network { NET_FD as u32 + 1 } else { NET_FD as u32 }, u32::MAX, 0);
        libc::fcntl(NET_FD, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(CONTROL_FD, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(STATUS_FD, libc::F_SETFD, libc::FD_CLOEXEC);
    }
    if status.write_all(b"up\n").is_err() {
        exit(125);
    }
    let Some(config) = read_config(&mut control) else { exit(125) };
    // SAFETY: see above.
    let net = with_network.then(|| unsafe { OwnedFd::from_raw_fd(NET_FD) });
    if let (Some(net), Some(port)) = (&net, config.listen)
        && !net::send_listener(net.as_fd(), port)
    {
        exit(125);
    }
    if !config.pid_namespace {
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    }
    let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
    let signal_fd = unsafe {
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
        libc::signalfd(-1, &signals, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child::exec(&config, &mut status);
    }
    if pid < 0 || signal_fd < 0 {
        let _ = writeln!(status, "failed fork {}", last_errno());
        exit(125);
    }
    // The terminal and the output belong to the command: with our copies open, readers would never see its end.
    unsafe {
        libc::close(0);
        libc::close(1);
        libc::close(2);
    }
    let init = Init { control, status, net, signal_fd, main: pid, config };
    init.watch()
}

fn read_config(control: &mut File) -> Option<JailConfig> {
    let mut length = [0u8; 4];
    control.read_exact(&mut length).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_CONFIG {
        return None;
    }
    let mut text = vec![0u8; length];
    control.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

struct Init {
    control: File,
    status: File,
    net: Option<OwnedFd>,
    signal_fd: i32,
    main: i32,
    config: JailConfig,
}

impl Init {
    fn watch(mut self) -> ! {
        loop {
            let mut fds = [
                libc::pollfd { fd: self.control.as_raw_fd(), events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: self.signal_fd, events: libc::POLLIN, revents: 0 },
                // A number below 0 is passed over.
                libc::pollfd { fd: self.net.as_ref().map_or(-1, AsRawFd::as_raw_fd), events: libc::POLLIN, revents: 0 },
            ];
            unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) };
            if fds[1].revents != 0 {
                self.reap();
            }
            if fds[0].revents != 0 {
                self.obey();
            }
            if fds[2].revents != 0 && self.net.as_ref().is_some_and(|net| !net::serve_one(net.as_fd())) {
                self.net = None;
            }
        }
    }

    fn reap(&mut self) {
        let mut drained = [0u8; 1024];
        unsafe { libc::read(self.signal_fd, drained.as_mut_ptr().cast(), drained.len()) };
        loop {
            let mut how = 0;
            let pid = unsafe { libc::waitpid(-1, &mut how, libc::WNOHANG) };
            if pid <= 0 {
                return;
            }
            if pid == self.main {
                self.finish(how);
            }
        }
    }

    fn obey(&mut self) {
        let mut said = [0u8; 1];
        match self.control.read(&mut said) {
            Ok(1) => match said[0] {
                SAY_INTERRUPT => self.signal_all(libc::SIGINT),
                SAY_TERMINATE => self.signal_all(libc::SIGTERM),
                SAY_KILL => self.end(137),
                _ => {}
            },
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            _ => self.end(137),
        }
    }

    fn signal_all(&self, signal: i32) {
        if self.config.pid_namespace {
            unsafe { libc::kill(-1, signal) };
        } else {
            for pid in own_children() {
                unsafe { libc::kill(pid, signal) };
            }
        }
    }

    fn finish(&mut self, how: i32) -> ! {
        let (code, signal) = if libc::WIFSIGNALED(how) { (-1, libc::WTERMSIG(how)) } else { (libc::WEXITSTATUS(how), 0) };
        if !self.config.pid_namespace {
            sweep_children();
        }
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut used) };
        let micros = |t: libc::timeval| t.tv_sec * 1_000_000 + t.tv_usec;
        let cpu = micros(used.ru_utime) + micros(used.ru_stime);
        let _ = writeln!(self.status, "exit {code} {signal} {cpu} {}", used.ru_maxrss);
        exit(0)
    }

    fn end(&mut self, code: i32) -> ! {
        if !self.config.pid_namespace {
            sweep_children();
        }
        exit(code)
    }
}

/// Kills children, then the orphans that come up to this subreaper, until there is nobody left.
fn sweep_children() {
    loop {
        for pid in own_children() {
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let mut how = 0;
        let pid = unsafe { libc::waitpid(-1, &mut how, 0) };
        if pid < 0 && last_errno() == libc::ECHILD {
            return;
        }
    }
}

fn own_children() -> Vec<i32> {
    std::fs::read_to_string("/proc/thread-self/children")
        .map(|text| text.split_whitespace().filter_map(|p| p.parse().ok()).collect())
        .unwrap_or_default()
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn exit(code: i32) -> ! {
    unsafe { libc::_exit(code) }
}
