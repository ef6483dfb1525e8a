//! The argument list for bubblewrap. Only our own constants, paths of the configuration and numbers go in; the
//! command, its environment and its directory travel through the helper's pipe instead.

use crate::jail::{BLOCK_FD, INFO_FD, WITH_NETWORK};
use crate::launch::WORK_FD;
use crate::spec::Limits;
use std::path::{Path, PathBuf};

/// Ids the job sees.
pub(crate) const JAIL_ID: u32 = 1000;
pub(crate) const JAIL_HOME: &str = "/home/user";
const HELPER_AT: &str = "/run/jail";

pub(crate) struct Layout<'a> {
    pub helper: &'a Path,
    /// Directory with the generated passwd, group, hosts and nsswitch.conf.
    pub etc: &'a Path,
    pub extra: &'a [PathBuf],
    /// Whether this bubblewrap knows `--bind-fd`.
    pub bind_fd: bool,
    /// Absolute path bound at `/w` when it does not.
    pub work: &'a Path,
}

/// Files bound from `Layout::etc` to `/etc`.
pub(crate) const ETC_FILES: [(&str, &str); 4] = [
    ("passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:1000:1000:user:/home/user:/bin/sh\n"),
    ("group", "root:x:0:\nuser:x:1000:\n"),
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

pub(crate) fn arguments(layout: &Layout, limits: &Limits) -> Vec<String> {
    let mut args = Args(vec!["bwrap".into()]);
    for flag in ["user", "pid", "ipc", "uts", "net"] {
        args.add([&format!("--unshare-{flag}")]);
    }
    args.add(["--unshare-cgroup-try", "--disable-userns", "--as-pid-1", "--clearenv"]);
    args.add(["--cap-drop", "ALL", "--hostname", "sandbox"]);
    args.add(["--uid", &JAIL_ID.to_string(), "--gid", &JAIL_ID.to_string()]);
    args.add(["--info-fd", &INFO_FD.to_string(), "--block-fd", &BLOCK_FD.to_string()]);
    system(&mut args, layout);
    args.add(["--proc", "/proc", "--dev", "/dev"]);
    args.add(["--size", &limits.shm_bytes.to_string(), "--perms", "1777", "--tmpfs", "/dev/shm"]);
    args.add(["--remount-ro", "/dev"]);
    args.add(["--size", &limits.tmp_bytes.to_string(), "--perms", "1777", "--tmpfs", "/tmp"]);
    args.add(["--size", &limits.tmp_bytes.to_string(), "--perms", "0700", "--tmpfs", JAIL_HOME]);
    if layout.bind_fd {
        args.add(["--bind-fd", &WORK_FD.to_string(), "/w"]);
    } else {
        args.add(["--bind", &text(layout.work), "/w"]);
    }
    // The root is a small file system in memory; read-only, it cannot be filled.
    args.add(["--remount-ro", "/", "--chdir", "/", "--", HELPER_AT, crate::JAIL_ARG, WITH_NETWORK]);
    args.0
}

fn system(args: &mut Args, layout: &Layout) {
    args.add(["--ro-bind", "/usr", "/usr"]);
    for name in ["bin", "sbin", "lib", "lib32", "lib64"] {
        let path = PathBuf::from("/").join(name);
        match std::fs::read_link(&path) {
            Ok(to) => args.add(["--symlink", &text(&to), &text(&path)]),
            Err(_) if path.is_dir() => args.add(["--ro-bind", &text(&path), &text(&path)]),
            Err(_) => {}
        }
    }
    for path in ["/etc/alternatives", "/etc/ssl/certs", "/etc/ld.so.cache"] {
        args.add(["--ro-bind-try", path, path]);
    }
    for (name, _) in ETC_FILES {
        args.add(["--ro-bind", &text(&layout.etc.join(name)), &format!("/etc/{name}")]);
    }
    for path in layout.extra {
        args.add(["--ro-bind", &text(path), &text(path)]);
    }
    args.add(["--ro-bind", &text(layout.helper), HELPER_AT]);
}

struct Args(Vec<String>);

impl Args {
    fn add<const N: usize>(&mut self, more: [&str; N]) {
        self.0.extend(more.map(String::from));
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
