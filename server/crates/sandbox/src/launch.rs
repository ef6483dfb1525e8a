//! The launcher: a short-lived process that gives up root, mounts a branch's overlay and becomes bubblewrap.
//! Single-threaded, so namespaces and ids can be changed safely. Its configuration holds no text of users or models.

use crate::jail::{BLOCK_FD, CONTROL_FD, INFO_FD, INFO_KEEP_FD, NET_FD, STATUS_FD};
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Descriptor on which bubblewrap finds the directory to bind at `/w`.
pub(crate) const WORK_FD: i32 = 9;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaunchConfig {
    /// The uid and gid to become; None keeps those of a server that is not root.
    pub owner: Option<u32>,
    /// `<work_dir>/<project>`.
    pub project_dir: String,
    /// Relative to `project_dir`; what is bound at `/w`, or the mount point of the overlay.
    pub work: String,
    pub overlay: Option<Overlay>,
    /// Program and arguments, none of them from outside. WORK_FD is open.
    pub argv: Vec<String>,
    pub tty: bool,
    /// Whether NET_FD is open and meant for the helper.
    pub net: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Overlay {
    pub lower: String,
    pub upper: String,
    pub scratch: String,
}

/// Entry of `<helper> __launch`. Runs before any thread exists and never returns.
pub fn launch_main(args: Vec<OsString>) -> ! {
    let (stage, error) = match launch(args) {
        Ok(never) => match never {},
        Err(failed) => failed,
    };
    eprintln!("sandbox launcher: {stage}: {error}");
    std::process::exit(125)
}

type Stage = (&'static str, io::Error);

fn launch(args: Vec<OsString>) -> Result<std::convert::Infallible, Stage> {
    let at = |stage: &'static str| move |e: io::Error| (stage, e);
    let text = args.first().and_then(|a| a.to_str()).unwrap_or_default();
    let config: LaunchConfig = serde_json::from_str(text).map_err(|e| ("configuration", io::Error::other(e)))?;
    unsafe {
        libc::close_range(if config.net { NET_FD } else { INFO_KEEP_FD } as u32 + 1, u32::MAX, 0);
        libc::umask(0o022);
        libc::setsid();
    }
    if config.tty {
        check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map_err(at("terminal"))?;
    }
    // Entered before the privileges go: a data folder below a private home can't be reached by path any more after that, and
    // need not be. A job can't replace this directory, whose parent belongs to the server.
    std::env::set_current_dir(&config.project_dir).map_err(at("project directory"))?;
    become_owner(config.owner).map_err(at("giving up privileges"))?;
    if let Some(overlay) = &config.overlay {
        enter_namespaces().map_err(at("overlay namespace"))?;
        mount_overlay(overlay, &config.work).map_err(at("overlay"))?;
    }
    hand_over_work(&config.work).map_err(at("work directory"))?;
    for fd in [CONTROL_FD, STATUS_FD, INFO_FD, BLOCK_FD, INFO_KEEP_FD] {
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    }
    if config.net {
        unsafe { libc::fcntl(NET_FD, libc::F_SETFD, 0) };
    }
    exec(&config.argv).map_err(at("bubblewrap"))
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// bubblewrap started by real root is no sandbox, so uid 0 ends here.
fn become_owner(owner: Option<u32>) -> io::Result<()> {
    unsafe {
        if let Some(id) = owner {
            if id == 0 {
                return Err(io::Error::other("refused to run as root"));
            }
            // A pipe belongs to who made it; the job must be able to open /dev/stdout again.
            libc::fchown(1, id, id);
            libc::fchown(2, id, id);
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setresgid(id, id, id))?;
            check(libc::setresuid(id, id, id))?;
            // Changing ids hides /proc/self from us, and the uid map has to be written there.
            libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        }
        if libc::geteuid() == 0 || libc::getuid() == 0 || libc::setuid(0) == 0 {
            return Err(io::Error::other("refused to run as root"));
        }
    }
    Ok(())
}

/// A user and mount namespace of our own in which the owner keeps its number: the lower files' owner must be mapped.
fn enter_namespaces() -> io::Result<()> {
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Paths are relative to the project directory: short, and free of the characters the option syntax reserves.
fn mount_overlay(overlay: &Overlay, at: &str) -> io::Result<()> {
    let options = format!("lowerdir={},upperdir={},workdir={},userxattr", overlay.lower, overlay.upper, overlay.scratch);
    let c = |s: &str| CString::new(s).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let (kind, at, options) = (c("overlay")?, c(at)?, c(&options)?);
    // SAFETY: all four strings live through the call.
    check(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), libc::MS_NOSUID | libc::MS_NODEV, options.as_ptr().cast()) })
}

fn hand_over_work(path: &str) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd: OwnedFd = open(path, flags, Mode::empty())?;
    if unsafe { libc::dup2(fd.as_raw_fd(), WORK_FD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if fd.as_raw_fd() == WORK_FD {
        // Already in place: only the close-on-exec mark is in the way.
        unsafe { libc::fcntl(WORK_FD, libc::F_SETFD, 0) };
        std::mem::forget(fd);
    }
    Ok(())
}

fn exec(argv: &[String]) -> io::Result<std::convert::Infallible> {
    use std::os::unix::process::CommandExt;
    let Some((program, rest)) = argv.split_first() else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    Err(std::process::Command::new(program).args(rest).env_clear().exec())
}
