//! The last steps before the command: limits, then Landlock, then seccomp, then exec. Single-threaded.

use super::{JailConfig, NET_FD, exit, seccomp};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};

/// Becomes the command or says on the status pipe which step failed.
pub(super) fn exec(config: &JailConfig, status: &mut File) -> ! {
    let stage = match become_command(config) {
        Ok(never) => match never {},
        Err(stage) => stage,
    };
    let code = stage.1.raw_os_error().unwrap_or(0);
    let _ = writeln!(status, "failed {} {code}", stage.0);
    exit(if stage.0 == "exec" && code == libc::ENOENT { 127 } else { 126 })
}

type Stage = (&'static str, io::Error);

fn become_command(config: &JailConfig) -> Result<std::convert::Infallible, Stage> {
    let at = |stage: &'static str| move |e: io::Error| (stage, e);
    // Marked to close at exec as well; gone already now, nothing that follows can pass it on.
    if config.network_namespace {
        unsafe { libc::close(NET_FD) };
    }
    reset_signals();
    if config.tty {
        take_foreground();
    }
    set_limits(config).map_err(at("limits"))?;
    // Raising one's own score needs no right: the kernel should pick the job, not the helper.
    let _ = std::fs::write("/proc/self/oom_score_adj", "700");
    let c_string = |s: &str| CString::new(s).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let cwd = c_string(&config.cwd).map_err(at("cwd"))?;
    check(unsafe { libc::chdir(cwd.as_ptr()) }).map_err(at("cwd"))?;
    let argv = config.argv.iter().map(|s| c_string(s)).collect::<Result<Vec<_>, _>>().map_err(at("argv"))?;
    let env = config.env.iter().map(|(k, v)| c_string(&format!("{k}={v}"))).collect::<Result<Vec<_>, _>>().map_err(at("env"))?;
    let candidates = program_candidates(config).iter().map(|s| c_string(s)).collect::<Result<Vec<_>, _>>();
    let candidates = candidates.map_err(at("argv"))?;
    restrict_files(config).map_err(at("landlock"))?;
    seccomp::install(config.network_namespace).map_err(at("seccomp"))?;
    let pointers = |v: &[CString]| v.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect::<Vec<_>>();
    let (argv, env) = (pointers(&argv), pointers(&env));
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for program in &candidates {
        // SAFETY: both vectors end with a null pointer and live until exec replaces this process.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        let e = io::Error::last_os_error();
        if !matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
            error = e;
        }
    }
    Err(("exec", error))
}

fn program_candidates(config: &JailConfig) -> Vec<String> {
    let name = config.argv.first().map(String::as_str).unwrap_or_default();
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = config.env.iter().rev().find(|(k, _)| k == "PATH").map(|(_, v)| v.as_str());
    path.unwrap_or("/usr/bin:/bin").split(':').filter(|dir| dir.starts_with('/')).map(|dir| format!("{dir}/{name}")).collect()
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn reset_signals() {
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

fn take_foreground() {
    unsafe {
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        libc::setpgid(0, 0);
        libc::tcsetpgrp(0, libc::getpid());
        libc::signal(libc::SIGTTOU, libc::SIG_DFL);
    }
}

/// Set here, inside the namespace: RLIMIT_NPROC set outside would be shared by all jobs of the uid.
fn set_limits(config: &JailConfig) -> io::Result<()> {
    let set = |what, value: u64| {
        let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        check(unsafe { libc::setrlimit(what, &limit) })
    };
    if config.pid_namespace {
        set(libc::RLIMIT_NPROC, config.pids + 1)?;
    }
    set(libc::RLIMIT_NOFILE, config.nofile)?;
    set(libc::RLIMIT_FSIZE, config.file_bytes)?;
    set(libc::RLIMIT_CORE, 0)?;
    set(libc::RLIMIT_MEMLOCK, 64 * 1024)?;
    set(libc::RLIMIT_MSGQUEUE, 64 * 1024)?;
    set(libc::RLIMIT_SIGPENDING, 1024)
}

/// Second layer below the mount namespace. A kernel without Landlock is tolerated there; the tier that has nothing
/// else is only chosen when the probe found it.
fn restrict_files(config: &JailConfig) -> io::Result<()> {
    let abi = ABI::V5;
    let apply = || -> Result<(), landlock::RulesetError> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            // Signals and abstract sockets stay among what the job started itself.
            .scope(Scope::from_all(ABI::V6))?
            .create()?;
        let lists = [(&config.readable, AccessFs::from_read(abi)), (&config.writable, AccessFs::from_all(abi))];
        for (paths, access) in lists {
            for path in paths {
                if let Ok(fd) = PathFd::new(path) {
                    let is_dir = std::fs::metadata(path).is_ok_and(|m| m.is_dir());
                    let access = if is_dir { access } else { access & AccessFs::from_file(abi) };
                    rules = rules.add_rule(PathBeneath::new(fd, access))?;
                }
            }
        }
        rules.restrict_self().map(|_| ())
    };
    apply().map_err(|_| io::Error::from_raw_os_error(libc::ENOTSUP))
}
