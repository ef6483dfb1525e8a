//! What a job must not see, reach or do. Each attack is checked to work outside where that is cheap.
#![allow(clippy::print_stdout)]

mod support;

use std::os::fd::AsRawFd;
use std::process::Command;
use support::{Bed, bed, tiers};
use uuid::Uuid;

async fn beds() -> Vec<Bed> {
    let mut beds = Vec::new();
    for tier in tiers() {
        beds.extend(bed(tier).await);
    }
    beds
}

#[tokio::test]
async fn files_of_the_host_and_of_other_projects_are_not_there() {
    for bed in beds().await {
        let other = Uuid::now_v7();
        bed.checkout(other, &[("secret.txt", "of somebody else")]).await;
        let secret = bed.dir.path().join(other.to_string()).join("tree/secret.txt");
        assert!(std::fs::read(&secret).is_ok(), "control: the file exists");
        assert!(std::fs::read("/etc/passwd").is_ok());
        let s = secret.display();
        let ran = bed
            .run(&format!(
                "cat /etc/shadow; cat {s}; cat /w/../{s}; cat /proc/1/root/etc/shadow; cat /proc/1/cwd/x; \
                 ln -s {s} link; cat link; ls -A /root /var /srv /boot; cat /etc/hostname; \
                 touch /usr/x /etc/x /x /dev/x /run/x; echo x > /proc/sys/kernel/core_pattern; \
                 echo x > /proc/sysrq-trigger; ls /tmp /home; ls -A /home/user; true"
            ))
            .await;
        assert_eq!(ran.out, "/home:\nuser\n\n/tmp:\n", "{}", ran.err);
        assert!(!ran.err.contains("somebody"), "{}", ran.err);
        let inside = bed.run("ls; cat readme.md; pwd; id -u; echo made > made.txt; mount | grep -c ' /w '").await;
        assert_eq!(inside.out, "link\nreadme.md\nsrc\nhello\n/w\n1000\n1\n", "{}", inside.err);
        assert_eq!(std::fs::read_to_string(bed.tree().join("made.txt")).unwrap(), "made\n");
    }
}

#[tokio::test]
async fn the_network_is_not_reachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "control");
    let name = format!("sandbox-test-{port}");
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    assert!(std::os::unix::net::UnixStream::connect_addr(&address).is_ok(), "control");
    for bed in beds().await {
        let ran = bed
            .python(&format!(
                "
import socket, errno
def attempt(name, family, kind, address):
    try:
        s = socket.socket(family, kind); s.settimeout(2)
        s.sendto(b'x', address) if kind == socket.SOCK_DGRAM else s.connect(address)
        print(name, 'REACHED')
    except OSError as e:
        print(name, errno.errorcode.get(e.errno, e))
attempt('loopback', socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port}))
attempt('internet', socket.AF_INET, socket.SOCK_STREAM, ('192.0.2.1', 80))
attempt('udp', socket.AF_INET, socket.SOCK_DGRAM, ('192.0.2.1', 53))
attempt('six', socket.AF_INET6, socket.SOCK_STREAM, ('2001:db8::1', 80))
attempt('abstract', socket.AF_UNIX, socket.SOCK_STREAM, '\\0{name}')
for family in (40, 17, 38, 44, 21):
    attempt('family %d' % family, family, socket.SOCK_STREAM, (2, 2))
try:
    socket.socket(16, socket.SOCK_RAW, 12); print('netfilter REACHED')
except OSError as e:
    print('netfilter', errno.errorcode[e.errno])
s = socket.socket(16, socket.SOCK_RAW, 0); print('route ok')
"
            ))
            .await;
        let expected = "loopback ECONNREFUSED\ninternet ENETUNREACH\nudp ENETUNREACH\nsix ENETUNREACH\n\
                        abstract ECONNREFUSED\nfamily 40 EAFNOSUPPORT\nfamily 17 EAFNOSUPPORT\n\
                        family 38 EAFNOSUPPORT\nfamily 44 EAFNOSUPPORT\nfamily 21 EAFNOSUPPORT\n\
                        netfilter EPERM\nroute ok\n";
        assert_eq!(ran.out, expected, "{}", ran.err);
    }
}

#[tokio::test]
async fn environment_and_descriptors_are_clean() {
    // SAFETY: single-threaded so far.
    unsafe { std::env::set_var("SERVER_SECRET", "do not tell") };
    let file = std::fs::File::open("/etc/passwd").unwrap();
    let leaked = unsafe { libc::dup(file.as_raw_fd()) };
    let control = Command::new("/bin/sh").args(["-c", "env; ls /proc/self/fd"]).output().unwrap();
    let control = String::from_utf8(control.stdout).unwrap();
    assert!(control.contains("SERVER_SECRET") && control.lines().any(|l| l == leaked.to_string()), "control");
    for bed in beds().await {
        let mut spec = bed.spec("env | sort; cat /proc/1/environ; ls /proc/1/fd");
        spec.env = vec![("GIVEN".into(), "yes".into())];
        let ran = bed.run_spec(spec).await;
        let names: Vec<_> = ran.out.lines().filter_map(|l| l.split_once('=')).map(|(n, _)| n).collect();
        assert_eq!(names, ["GIVEN", "HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHLVL", "TERM", "TMPDIR", "USER", "_"]);
        assert!(ran.err.matches("Permission denied").count() >= 2, "pid 1 is closed: {}", ran.err);
        let fds = bed.python("import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd')))").await;
        assert_eq!(fds.out, "[0, 1, 2, 3]\n", "3 is the listing itself");
        let bad = [("A=B", "x"), ("", "x"), ("1A", "x"), ("A", "nul\0")];
        for (name, value) in bad {
            let mut spec = bed.spec("true");
            spec.env = vec![(name.into(), value.into())];
            assert!(bed.sandbox.start(spec).await.is_err(), "{name:?}");
        }
        for cwd in ["..", "/", "src/../..", "a\0"] {
            let mut spec = bed.spec("true");
            spec.cwd = cwd.into();
            assert!(bed.sandbox.start(spec).await.is_err(), "{cwd:?}");
        }
    }
}

#[tokio::test]
async fn other_processes_are_out_of_reach() {
    let host = std::process::id();
    for bed in beds().await {
        let ran = bed.run(&format!("ls /proc | grep -c '^[0-9]'; kill -0 {host} && echo REACHED; kill -9 1; kill -STOP 1; echo on")).await;
        let (count, rest) = ran.out.split_once('\n').unwrap();
        assert!(count.parse::<u32>().unwrap() < 8, "{}", ran.out);
        assert_eq!(rest, "on\n", "{}", ran.err);
    }
}

#[tokio::test]
async fn privileges_cannot_be_gained() {
    let control = Command::new("/usr/bin/unshare").args(["-Ur", "true"]).status();
    println!("control, unshare outside: {control:?}");
    for bed in beds().await {
        let ran = bed.run("grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status").await;
        let words: Vec<_> = ran.out.split_whitespace().collect();
        let zero = "0000000000000000";
        assert_eq!(words, ["CapEff:", zero, "CapBnd:", zero, "NoNewPrivs:", "1", "Seccomp:", "2"]);
        let ran = bed
            .run(
                "unshare -Ur true && echo A; unshare -m true && echo B; mount -t tmpfs x /tmp && echo C; \
                  mknod c c 1 3 && echo D; mknod w c 0 0 && echo E; cp /usr/bin/id . && chmod u+s id && ./id -u; \
                  su -c true && echo F; mkfifo pipe && echo fifo",
            )
            .await;
        assert_eq!(ran.out, "1000\nfifo\n", "{}", ran.err);
        let ran = bed
            .python(
                "
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *args)
    print(name, 'ALLOWED' if result >= 0 else errno.errorcode[ctypes.get_errno()])
buffer = ctypes.create_string_buffer(256)
call('clone3', 435, buffer, 88)
call('clone', 56, 0x10000000, 0, 0, 0, 0)
call('keyctl', 250, 0, -3, 0)
call('io_uring', 425, 8, buffer)
call('bpf', 321, 0, buffer, 64)
call('perf', 298, buffer, 0, -1, -1, 0)
call('userfaultfd', 323, 0)
call('module', 313, 0, buffer, 0)
call('handle', 304, 0, buffer, 0)
call('fsopen', 430, b'tmpfs', 0)
call('chroot', 161, b'/')
child = os.fork()
if child == 0:
    libc.syscall(0x40000000 + 39); os._exit(0)
print('x32 ended by', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
",
            )
            .await;
        let expected = "clone3 ENOSYS\nclone EPERM\nkeyctl EPERM\nio_uring EPERM\nbpf EPERM\nperf EPERM\n\
                        userfaultfd EPERM\nmodule EPERM\nhandle EPERM\nfsopen EPERM\nchroot EPERM\nx32 ended by -31\n";
        if cfg!(target_arch = "x86_64") {
            assert_eq!(ran.out, expected, "{}", ran.err);
        }
    }
}

#[tokio::test]
async fn a_terminal_works_and_cannot_be_typed_into() {
    for bed in beds().await {
        let code = "
import fcntl, termios, errno, os
print('tty', os.isatty(0), os.get_terminal_size())
for name, request in (('TIOCSTI', termios.TIOCSTI), ('TIOCLINUX', 0x541C), ('high bits', termios.TIOCSTI | 1 << 32)):
    try:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        r = libc.ioctl(0, ctypes.c_ulong(request), b'x')
        print(name, 'ALLOWED' if r >= 0 else errno.errorcode[ctypes.get_errno()])
    except OSError as e:
        print(name, errno.errorcode[e.errno])
print('said', input())
";
        let mut spec = bed.spec("");
        spec.argv = vec!["/usr/bin/python3".into(), "-c".into(), code.into()];
        spec.tty = Some((100, 30));
        let mut running = bed.sandbox.start(spec).await.unwrap();
        let input = running.input.clone().unwrap();
        input.write(b"hello\n").await.unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = running.output.recv().await {
            assert_eq!(chunk.offset, text.len() as u64);
            text.extend_from_slice(&chunk.data);
        }
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        for line in ["columns=100, lines=30", "TIOCSTI EPERM", "TIOCLINUX EPERM", "high bits EPERM", "said hello"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(running.wait().await.exit.code, Some(0));
    }
}

#[tokio::test]
async fn a_shell_in_a_terminal_has_job_control() {
    for bed in beds().await {
        let mut spec = bed.spec("");
        spec.argv = ["/usr/bin/bash", "--norc", "--noprofile", "-i"].map(String::from).to_vec();
        spec.tty = Some((80, 24));
        let mut running = bed.sandbox.start(spec).await.unwrap();
        let input = running.input.clone().unwrap();
        let mut text = String::new();
        let mut sent = 0;
        let steps = [("$ ", "echo $((40+2)); sleep 97\n"), ("42", "\u{3}"), ("^C", "jobs; exit 7\n")];
        let all = async {
            while let Some(chunk) = running.output.recv().await {
                text.push_str(&String::from_utf8_lossy(&chunk.data));
                if let Some((seen, typed)) = steps.get(sent)
                    && text.contains(seen)
                {
                    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
                    input.write(typed.as_bytes()).await.unwrap();
                    sent += 1;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), all).await.expect("the shell answers");
        assert!(!text.contains("no job control"), "{text}");
        input.resize(100, 40).unwrap_or(());
        assert_eq!(running.wait().await.exit.code, Some(7), "{text}");
    }
}

#[test]
fn an_unprivileged_server_keeps_the_same_promises() {
    if !support::is_root() {
        println!("SKIPPED: this server is unprivileged already");
        return;
    }
    let text = support::Copy::make().run_unprivileged(&["--skip", "an_unprivileged_server_keeps_the_same_promises"]);
    assert!(text.contains("got S2"), "{text}");
}
