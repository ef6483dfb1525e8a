//! Attacks that must fail inside, each with its control: the same attack outside, where it works.
//! `isolation` holds the basic promises; what follows are the sharper cases. Runs for every tier of this machine.
#![allow(clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::{Bed, Copy, NOBODY, bed, is_root, python_outside, tiers};

async fn beds() -> Vec<Bed> {
    let mut beds = Vec::new();
    for tier in tiers() {
        beds.extend(bed(tier).await);
    }
    beds
}

/// Lines of `name outcome`.
fn outcomes(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|l| l.split_once(' ')).map(|(n, o)| (n.to_owned(), o.to_owned())).collect()
}

/// A directory of the host with files that everybody there may read.
fn planted(parent: &str) -> Option<tempfile::TempDir> {
    let open = std::fs::Permissions::from_mode(0o755);
    let dir = tempfile::Builder::new().prefix("host-").permissions(open).tempdir_in(parent).ok()?;
    for name in ["server.toml", "app.db", "app.db-wal"] {
        std::fs::write(dir.path().join(name), "secret of the server").unwrap();
        std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    Some(dir)
}

#[tokio::test]
async fn the_servers_files_and_the_hosts_directories_are_out_of_reach() {
    let places: Vec<_> = ["/tmp", "/var/tmp", "/home", "/run", "/srv", "/opt"].iter().filter_map(|p| planted(p)).collect();
    assert!(places.len() >= if is_root() { 5 } else { 2 });
    for bed in beds().await {
        for place in &places {
            let (dir, file) = (place.path().display().to_string(), place.path().join("app.db").display().to_string());
            let attack = format!(
                "cat {file}; cat /w/../../../../..{file}; cat /proc/1/root{file}; cat /proc/self/root{file}; cat /proc/1/cwd{file}; \
                 ln -sf {file} link; cat link; ln -sfn {dir} folder; cat folder/app.db; cp -r {dir} copy; ln {file} hard; cat hard; \
                 exec 9< {file}; cat <&9; ls {dir}; echo x > {dir}/planted"
            );
            let control = Command::new("/bin/sh").args(["-c", &format!("cat {file}; ls {dir}")]).output().unwrap();
            assert!(String::from_utf8_lossy(&control.stdout).contains("secret of the server"), "control");
            let ran = bed.run(&attack).await;
            assert_eq!(ran.out, "", "{dir}");
            assert!(!place.path().join("planted").exists());
            // What the job planted in the project leads nowhere for the server either.
            assert!(bed.sandbox.workspaces().open_file(bed.project, "link").is_err());
            assert!(bed.sandbox.workspaces().open_file(bed.project, "folder/app.db").is_err());
        }
    }
}

#[tokio::test]
async fn a_setuid_program_gives_nothing() {
    if !is_root() {
        println!("SKIPPED: only root can plant a setuid program of root");
        return;
    }
    let control = support::work_dir();
    let plant = |path: &std::path::Path| {
        std::fs::copy("/usr/bin/id", path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o4755)).unwrap();
    };
    plant(&control.path().join("id"));
    let ids = ["--reuid", NOBODY, "--clear-groups"];
    let outside = Command::new("/usr/bin/setpriv").args(ids).arg(control.path().join("id")).arg("-u").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&outside.stdout), "0\n", "control: outside it gives root");
    for bed in beds().await {
        plant(&bed.tree().join("planted"));
        let ran = bed
            .run("./planted -u; su -c id root; find / -xdev -perm -4000 -user root 2>/dev/null | head -1 | xargs -r ls -l >&2; id -u")
            .await;
        assert_eq!(ran.out, "1000\n1000\n", "{}", ran.err);
    }
}

const KERNEL: &str = "
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(512)
def call(name, number, *args):
    child = os.fork()
    if child == 0:
        ctypes.set_errno(0)
        result = libc.syscall(number, *args)
        os._exit(0 if result >= 0 else ctypes.get_errno())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(name, 'ALLOWED' if code == 0 else errno.errorcode.get(code, code), flush=True)
params = ctypes.create_string_buffer(120)
call('keyctl', 250, 0, -3, 1)
call('add_key', 248, b'user', b'name', b'x', 1, -3)
call('request_key', 249, b'user', b'none', 0, 0)
call('io_uring_setup', 425, 8, params)
call('io_uring_enter', 426, 99, 0, 0, 0)
call('bpf', 321, 0, buffer, 9)
call('perf_event_open', 298, buffer, 0, -1, -1, 0)
call('userfaultfd', 323, 1)
call('init_module', 175, buffer, 1, b'')
call('finit_module', 313, 0, b'', 0)
call('delete_module', 176, b'no_such_module', 0)
call('kexec_load', 246, 0, 0, 0, 99)
call('syslog', 103, 10, 0, 0)
call('mount', 165, b'none', b'/no-such-place', b'tmpfs', 0, 0)
call('umount', 166, b'/no-such-place', 0)
call('fsopen', 430, b'tmpfs', 0)
call('open_tree', 428, -100, b'/', 0)
call('chroot', 161, b'/')
call('setns', 308, 0, 0)
call('unshare_user', 272, 0x10000000)
call('unshare_net', 272, 0x40000000)
call('clone_user', 56, 0x10000000 | 17, 0, 0, 0, 0)
call('name_to_handle', 303, -100, b'/', buffer, buffer, 0)
call('open_by_handle', 304, -100, buffer, 0)
call('fanotify', 300, 0, 0)
call('acct', 163, b'/no-such-file')
call('swapoff', 168, b'/no-such-file')
call('settime', 227, 99, 0)
call('sethostname', 170, b'', 0)
call('memfd_secret', 447, 0)
call('quotactl', 179, 0x80000700, b'/no', 0, 0)
call('pivot_root', 155, b'/no', b'/no')
call('clone3', 435, buffer, 8)
";

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn kernel_interfaces_are_closed() {
    let outside = outcomes(&python_outside(KERNEL));
    let open = outside.iter().filter(|(_, o)| !matches!(o.as_str(), "EPERM" | "ENOSYS")).count();
    println!("control, outside: {outside:?}");
    // An ordinary user is refused many of them anyway; root none, but for what the kernel was built without.
    assert!(open >= if is_root() { 24 } else { 10 }, "control: {open} of {}", outside.len());
    for bed in beds().await {
        let inside = outcomes(&bed.python(KERNEL).await.out);
        assert_eq!(inside.len(), outside.len());
        for (name, outcome) in inside {
            let wanted = if name == "clone3" { "ENOSYS" } else { "EPERM" };
            assert_eq!(outcome, wanted, "{name}, outside {}", outside[&name]);
        }
    }
}

const FAMILIES: &str = "
import socket, errno
for name, family, kind, protocol in (('vsock', 40, 1, 0), ('packet', 17, 3, 0), ('alg', 38, 5, 0), ('key', 15, 3, 2), ('bluetooth', 31, 3, 1),
        ('can', 29, 3, 1), ('tipc', 30, 1, 0), ('rds', 21, 5, 0), ('xdp', 44, 3, 0), ('smc', 43, 1, 0), ('qipcrtr', 42, 2, 0), ('nfc', 39, 5, 1),
        ('x25', 9, 5, 0), ('ax25', 3, 5, 0), ('appletalk', 5, 2, 0), ('ib', 27, 3, 0), ('mctp', 45, 2, 0)):
    try: socket.socket(family, kind, protocol); print(name, 'OPENED')
    except OSError as e: print(name, errno.errorcode[e.errno])
try: socket.socket(16, 3, 12); print('netfilter', 'OPENED')
except OSError as e: print('netfilter', errno.errorcode[e.errno])
";

#[tokio::test]
async fn odd_socket_families_are_closed() {
    let outside = outcomes(&python_outside(FAMILIES));
    println!("control, outside: {outside:?}");
    assert!(outside.values().any(|o| o == "OPENED"), "control: {outside:?}");
    for bed in beds().await {
        for (name, outcome) in outcomes(&bed.python(FAMILIES).await.out) {
            assert_eq!(outcome, if name == "netfilter" { "EPERM" } else { "EAFNOSUPPORT" }, "{name}, outside {}", outside[&name]);
        }
    }
}

#[tokio::test]
async fn datagrams_names_and_sockets_of_the_host_are_out_of_reach() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    let port = udp.local_addr().unwrap().port();
    let dir = planted("/tmp").unwrap();
    let path = dir.path().join("socket");
    let _by_path = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    let name = format!("abuse-{}", uuid::Uuid::now_v7());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let attack = format!(
        "
import socket, errno
def attempt(name, act):
    try: act(); print(name, 'REACHED')
    except OSError as e: print(name, errno.errorcode.get(e.errno, 'EAI'))
def unix(address):
    s = socket.socket(socket.AF_UNIX); s.connect(address)
def datagram(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', address)
attempt('udp', lambda: datagram(('127.0.0.1', {port})))
attempt('path', lambda: unix('{}'))
attempt('abstract', lambda: unix('\\0{name}'))
attempt('resolver', lambda: datagram(('192.0.2.53', 53)))
attempt('broadcast', lambda: datagram(('224.0.0.251', 5353)))
",
        path.display()
    );
    let outside = outcomes(&python_outside(&attack));
    assert!(["udp", "path", "abstract"].iter().all(|n| outside[*n] == "REACHED"), "control: {outside:?}");
    let mut got = [0; 8];
    while udp.recv(&mut got).is_ok() {}
    for bed in beds().await {
        let inside = outcomes(&bed.python(&attack).await.out);
        assert!(udp.recv(&mut got).is_err(), "a datagram came out");
        assert_eq!((inside["path"].as_str(), inside["abstract"].as_str()), ("ENOENT", "ECONNREFUSED"));
        assert_eq!((inside["resolver"].as_str(), inside["broadcast"].as_str()), ("ENETUNREACH", "ENETUNREACH"));
        let names =
            bed.python("import socket\ntry: print(socket.getaddrinfo('pypi.org', 443))\nexcept OSError as e: print('no names')").await;
        assert_eq!(names.out, "no names\n");
    }
}

const SETTINGS: &str = "
import os, errno, stat
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sys/vm/overcommit_memory', '/proc/sys/net/ipv4/ip_forward',
        '/proc/sys/kernel/modprobe', '/proc/sysrq-trigger', '/proc/kcore', '/proc/kmsg', '/sys/kernel/uevent_helper', '/sys/power/state',
        '/dev/mem', '/dev/kmsg', '/dev/vda', '/dev/sda', '/dev/kvm', '/dev/fuse', '/dev/userfaultfd'):
    for way, flags in (('read', os.O_RDONLY), ('write', os.O_WRONLY)):
        # Opened and closed again; nothing is written.
        try: os.close(os.open(path, flags | os.O_NONBLOCK)); print(path + ':' + way, 'OPENED')
        except OSError as e: print(path + ':' + way, errno.errorcode[e.errno])
for name, kind in (('character', stat.S_IFCHR), ('block', stat.S_IFBLK)):
    try: os.mknod('made', kind | 0o600, os.makedev(1, 3)); os.unlink('made'); print(name, 'MADE')
    except OSError as e: print(name, errno.errorcode[e.errno])
";

#[tokio::test]
async fn settings_and_devices_of_the_machine_are_closed() {
    let dir = support::work_dir();
    let outside = Command::new("/usr/bin/python3").args(["-c", SETTINGS]).current_dir(dir.path()).output().unwrap();
    let outside = outcomes(&String::from_utf8_lossy(&outside.stdout));
    println!("control, outside: {outside:?}");
    if is_root() {
        for name in ["/proc/sys/kernel/core_pattern:write", "/proc/sys/kernel/hostname:write", "/dev/kmsg:read"] {
            assert_eq!(outside[name], "OPENED", "control: {name}");
        }
        assert_eq!(outside["character"], "MADE", "control");
    }
    assert_eq!(outside["/proc/sys/kernel/core_pattern:read"], "OPENED", "control");
    for bed in beds().await {
        for (name, outcome) in outcomes(&bed.python(SETTINGS).await.out) {
            let harmless = name.starts_with("/proc/sys/") && name.ends_with(":read");
            assert!(harmless || !matches!(outcome.as_str(), "OPENED" | "MADE"), "{name}: {outcome}");
        }
    }
}

/// Everything one process can do to another, tried on `victim`.
fn meddle(victim: &str) -> String {
    format!(
        "
import ctypes, errno, os, signal
libc = ctypes.CDLL(None, use_errno=True)
victim = {victim}
def say(name, ok): print(name, 'WORKED' if ok else errno.errorcode.get(ctypes.get_errno(), '?'), flush=True)
memory = ctypes.create_string_buffer(64)
class Iovec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]
here, there = Iovec(ctypes.addressof(memory), 8), None
try: start = int(open('/proc/%d/maps' % victim).readline().split('-')[0], 16)
except OSError as e: start = 0x400000
there = Iovec(start, 8)
say('read_memory', libc.process_vm_readv(victim, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0)
handle = libc.syscall(434, victim, 0)
say('take_descriptor', handle >= 0 and libc.syscall(438, handle, 0, 0) >= 0)
for name in ('mem', 'environ', 'fd/0', 'exe', 'cwd', 'root'):
    try: (os.readlink if name in ('exe', 'cwd', 'root', 'fd/0') else lambda p: os.close(os.open(p, os.O_RDONLY)))('/proc/%d/%s' % (victim, name)); print(name, 'WORKED')
    except OSError as e: print(name, errno.errorcode[e.errno])
say('attach', libc.ptrace(16, victim, 0, 0) == 0)
for name, number in (('stop', signal.SIGSTOP), ('end', signal.SIGKILL)):
    try: os.kill(victim, number); print(name, 'SENT')
    except OSError as e: print(name, errno.errorcode[e.errno])
"
    )
}

#[tokio::test]
async fn processes_of_others_and_the_helper_cannot_be_meddled_with() {
    let mut sleeper = Command::new("/bin/sleep").arg("60").stdin(std::process::Stdio::null()).spawn().unwrap();
    let outside = outcomes(&python_outside(&meddle(&sleeper.id().to_string())));
    println!("control, outside: {outside:?}");
    let worked = outside.values().filter(|o| matches!(o.as_str(), "WORKED" | "SENT")).count();
    assert_eq!(worked, outside.len(), "control: {outside:?}");
    sleeper.wait().unwrap();
    let mut bystander = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    for bed in beds().await {
        let inside = outcomes(&bed.python(&meddle("1")).await.out);
        assert_eq!(inside.len(), outside.len(), "{inside:?}");
        for (name, outcome) in &inside {
            // A signal to the helper is accepted and has no effect: it is pid 1 of its namespace.
            let fine = matches!(outcome.as_str(), "EPERM" | "EACCES") || (outcome == "SENT" && matches!(name.as_str(), "stop" | "end"));
            assert!(fine, "{name}: {outcome}");
        }
        let inside = outcomes(&bed.python(&meddle(&bystander.id().to_string())).await.out);
        for (name, outcome) in inside {
            assert!(matches!(outcome.as_str(), "ESRCH" | "ENOENT" | "EINVAL" | "EBADF"), "{name}: {outcome}");
        }
        assert!(bystander.try_wait().unwrap().is_none(), "it lives");
    }
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn typing_into_the_terminal_works_outside_only() {
    let attack = "
import errno, fcntl, os, pty, termios
pid, master = pty.fork()
if pid == 0:
    try: fcntl.ioctl(0, termios.TIOCSTI, b'x'); os._exit(0)
    except OSError as e: os._exit(e.errno)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print('typing', 'WORKED' if code == 0 else errno.errorcode[code])
";
    let outside = outcomes(&python_outside(attack));
    println!("control, outside: {outside:?}");
    if is_root() {
        assert_eq!(outside["typing"], "WORKED", "control");
    }
    for bed in beds().await {
        assert_eq!(outcomes(&bed.python(attack).await.out)["typing"], "EPERM");
    }
}

#[test]
fn an_unprivileged_server_keeps_the_same_promises() {
    if !is_root() {
        println!("SKIPPED: this server is unprivileged already");
        return;
    }
    let text = Copy::make().run_unprivileged(&["--skip", "an_unprivileged_server_keeps_the_same_promises"]);
    assert!(text.contains("got S2"), "{text}");
    println!("{text}");
}
