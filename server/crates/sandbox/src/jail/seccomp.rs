//! The system calls a job may not make. One table, one reason per line; everything else is left to the namespaces.

use std::io;

/// What happens to a listed call.
#[derive(Clone, Copy)]
enum When {
    /// Always refused with EPERM.
    Always,
    /// Refused with EPERM if any of these bits is set in argument `arg`.
    Bits { arg: u32, mask: u32 },
    /// Refused with EPERM if `argument & mask` is one of `values`.
    OneOf { arg: u32, mask: u32, values: &'static [u32] },
    /// Refused with ENOSYS, so that the caller falls back to something that can be inspected.
    Missing,
    /// Refused with EAFNOSUPPORT but for the families below.
    Families,
}
use When::{Always, Bits, Families, Missing, OneOf};

/// One line of the table.
struct Denial {
    call: libc::c_long,
    when: When,
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the table, and the test that nobody leaves it out"))]
    reason: &'static str,
}

const fn deny(call: libc::c_long, when: When, reason: &'static str) -> Denial {
    Denial { call, when, reason }
}

const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32
    | 0x80; // CLONE_NEWTIME

const NEW_NAMESPACES: When = Bits { arg: 0, mask: NAMESPACE_FLAGS };
const DEVICES: &[u32] = &[libc::S_IFCHR, libc::S_IFBLK];
const TYPING: &[u32] = &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
/// Newer than the libc crate's tables; the number is the same everywhere.
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

const DENIED: &[Denial] = &[
    // Namespaces.
    deny(libc::SYS_unshare, NEW_NAMESPACES, "most local privilege bugs begin in a namespace of one's own"),
    deny(libc::SYS_clone, NEW_NAMESPACES, "the same by another call"),
    deny(libc::SYS_clone3, Missing, "its flags sit behind a pointer no filter can follow; libc falls back to clone"),
    deny(libc::SYS_setns, Always, "enters namespaces of others"),
    // Mounts, by the old and the new interface.
    deny(libc::SYS_mount, Always, "changes what the paths of the jail mean"),
    deny(libc::SYS_umount2, Always, "uncovers what a mount hides"),
    deny(libc::SYS_pivot_root, Always, "replaces the root the jail is made of"),
    deny(libc::SYS_chroot, Always, "a root of its own confuses programs that trust paths"),
    deny(libc::SYS_fsopen, Always, "begins a mount by the new interface"),
    deny(libc::SYS_fsconfig, Always, "gives a new mount its options, a parser with a history of bugs"),
    deny(libc::SYS_fsmount, Always, "completes a mount by the new interface"),
    deny(libc::SYS_fspick, Always, "changes the options of an existing mount"),
    deny(libc::SYS_move_mount, Always, "puts a mount in place by the new interface"),
    deny(libc::SYS_open_tree, Always, "copies a part of the mount tree"),
    deny(SYS_OPEN_TREE_ATTR, Always, "the same with other attributes"),
    deny(libc::SYS_mount_setattr, Always, "could make a read-only mount writable"),
    deny(libc::SYS_quotactl, Always, "changes disk quotas"),
    deny(libc::SYS_quotactl_fd, Always, "the same by descriptor"),
    deny(libc::SYS_swapon, Always, "belongs to the machine"),
    deny(libc::SYS_swapoff, Always, "belongs to the machine"),
    // Large kernel interfaces with a history of bugs, useless to ordinary programs.
    deny(libc::SYS_bpf, Always, "runs programs inside the kernel"),
    deny(libc::SYS_perf_event_open, Always, "measures other programs, and a frequent source of bugs"),
    deny(libc::SYS_userfaultfd, Always, "widens race windows inside the kernel at will"),
    deny(libc::SYS_io_uring_setup, Always, "does system calls past this very filter"),
    deny(libc::SYS_io_uring_enter, Always, "the same, on a ring from elsewhere"),
    deny(libc::SYS_io_uring_register, Always, "the same, on a ring from elsewhere"),
    deny(libc::SYS_fanotify_init, Always, "watches what others do with files"),
    deny(libc::SYS_memfd_secret, Always, "memory that nobody can look into"),
    // Keyrings are not namespaced.
    deny(libc::SYS_keyctl, Always, "jobs of one uid could pass things to each other"),
    deny(libc::SYS_add_key, Always, "fills keyrings that outlive the job"),
    deny(libc::SYS_request_key, Always, "starts a helper program of the host"),
    // Handles open files without walking a path.
    deny(libc::SYS_open_by_handle_at, Always, "opens files the jail has no path to"),
    deny(libc::SYS_name_to_handle_at, Always, "makes the handles for it, and tells about inode numbers"),
    // The machine itself.
    deny(libc::SYS_init_module, Always, "loads code into the kernel"),
    deny(libc::SYS_finit_module, Always, "loads code into the kernel from a file"),
    deny(libc::SYS_delete_module, Always, "takes code out of the kernel"),
    deny(libc::SYS_kexec_load, Always, "replaces the kernel"),
    deny(libc::SYS_kexec_file_load, Always, "replaces the kernel from a file"),
    deny(libc::SYS_reboot, Always, "stops the machine"),
    deny(libc::SYS_acct, Always, "writes a record of every process to a file"),
    deny(libc::SYS_syslog, Always, "the kernel's log shows addresses and other tenants"),
    deny(libc::SYS_settimeofday, Always, "the clock is everybody's"),
    deny(libc::SYS_clock_settime, Always, "the clock is everybody's"),
    deny(libc::SYS_adjtimex, Always, "the clock is everybody's"),
    deny(libc::SYS_clock_adjtime, Always, "the clock is everybody's"),
    deny(libc::SYS_sethostname, Always, "a job has no business naming the jail"),
    deny(libc::SYS_setdomainname, Always, "a job has no business naming the jail"),
    deny(libc::SYS_vhangup, Always, "takes a terminal away from others"),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_ioperm, Always, "reaches hardware ports"),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_iopl, Always, "reaches all hardware ports"),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_modify_ldt, Always, "16-bit segments, the door of several old holes"),
    // Files that are more than files.
    #[cfg(target_arch = "x86_64")]
    deny(
        libc::SYS_mknod,
        OneOf { arg: 1, mask: libc::S_IFMT, values: DEVICES },
        "device nodes reach drivers; a 0/0 one is an overlay's deletion",
    ),
    deny(libc::SYS_mknodat, OneOf { arg: 2, mask: libc::S_IFMT, values: DEVICES }, "the same by another call"),
    // Terminals and sockets.
    deny(libc::SYS_ioctl, OneOf { arg: 1, mask: u32::MAX, values: TYPING }, "types into, or pastes into, somebody's terminal"),
    deny(libc::SYS_socket, Families, "AF_VSOCK leaves a network namespace, and the odd families are large and old"),
    deny(libc::SYS_socketpair, Families, "the same families in pairs"),
];

/// Socket families a job may use. Netlink is limited to routing questions, which name resolution asks.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
const FAMILIES_WITHOUT_INTERNET: &[i32] = &[libc::AF_UNIX];

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;
const X32_BIT: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

fn errno(code: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | code as u32
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | code | libc::BPF_K) as u16, jt, jf, k }
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn give(verdict: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, verdict)
}

/// Offset of the low half of an argument in `seccomp_data`; all values tested fit 32 bits on the kernel's side too.
fn argument(n: u32) -> u32 {
    16 + n * 8
}

/// Builds the filter. `internet` false also refuses internet sockets, for the tier without a network namespace.
pub fn program(internet: bool) -> Vec<libc::sock_filter> {
    let (eq, set, ge) = (libc::BPF_JEQ, libc::BPF_JSET, libc::BPF_JGE);
    let mut code = vec![load(4), branch(eq, AUDIT_ARCH, 1, 0), give(KILL), load(0)];
    if cfg!(target_arch = "x86_64") {
        code.extend([branch(ge, X32_BIT, 0, 1), give(KILL)]);
    }
    for Denial { call, when, .. } in DENIED {
        let body = match *when {
            Always => vec![give(errno(libc::EPERM))],
            Missing => vec![give(errno(libc::ENOSYS))],
            Bits { arg, mask } => {
                vec![load(argument(arg)), branch(set, mask, 0, 1), give(errno(libc::EPERM)), load(0)]
            }
            OneOf { arg, mask, values } => {
                let mut body = vec![load(argument(arg)), statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask)];
                for value in values {
                    body.extend([branch(eq, *value, 0, 1), give(errno(libc::EPERM))]);
                }
                body.push(load(0));
                body
            }
            Families => socket_rules(internet),
        };
        code.push(branch(eq, *call as u32, 0, body.len() as u8));
        code.extend(body);
    }
    code.push(give(ALLOW));
    code
}

fn socket_rules(internet: bool) -> Vec<libc::sock_filter> {
    let eq = libc::BPF_JEQ;
    let mut rules = vec![load(argument(0))];
    for family in if internet { FAMILIES } else { FAMILIES_WITHOUT_INTERNET } {
        if *family == libc::AF_NETLINK {
            rules.extend([
                branch(eq, *family as u32, 0, 4),
                load(argument(2)),
                branch(eq, libc::NETLINK_ROUTE as u32, 0, 1),
                give(ALLOW),
                give(errno(libc::EPERM)),
            ]);
        } else {
            rules.extend([branch(eq, *family as u32, 0, 1), give(ALLOW)]);
        }
    }
    rules.push(give(errno(libc::EAFNOSUPPORT)));
    rules
}

/// Installs the filter on the calling thread and everything it starts. Needs no privilege.
pub fn install(internet: bool) -> io::Result<()> {
    let mut code = program(internet);
    let filter = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // SAFETY: the program outlives the call and the kernel copies it.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter as *const _, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_has_a_reason_and_no_call_has_two_lines() {
        let mut calls = BTreeSet::new();
        for Denial { call, reason, .. } in DENIED {
            assert!(calls.insert(*call), "{call} is there twice");
            assert!(reason.len() > 10 && !reason.ends_with('.'), "{call}: {reason:?}");
        }
        assert!(calls.len() > 50);
    }

    /// Runs the filter as the kernel would: what it says to a call with these arguments.
    fn verdict(program: &[libc::sock_filter], arch: u32, call: libc::c_long, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            0 => call as u32,
            4 => arch,
            o => args[((o - 16) / 8) as usize] as u32,
        };
        let (mut at, mut held) = (0, 0u32);
        loop {
            let step = program[at];
            let code = u32::from(step.code);
            let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
            at += 1;
            match code & 0x07 {
                libc::BPF_LD => held = word(step.k),
                libc::BPF_ALU => held &= step.k,
                libc::BPF_RET => return step.k,
                _ if code & 0xf0 == libc::BPF_JEQ => at += jump(held == step.k),
                _ if code & 0xf0 == libc::BPF_JGE => at += jump(held >= step.k),
                _ => at += jump(held & step.k != 0),
            }
        }
    }

    #[test]
    fn the_program_does_what_the_table_says() {
        let (inside, bare) = (program(true), program(false));
        assert!(inside.len() < 4096, "{}", inside.len());
        let say = |call, args: [u64; 6]| verdict(&inside, AUDIT_ARCH, call, args);
        let eperm = errno(libc::EPERM);
        for Denial { call, when, .. } in DENIED {
            let wanted = match when {
                Always => eperm,
                Missing => errno(libc::ENOSYS),
                _ => continue,
            };
            assert_eq!(say(*call, [0; 6]), wanted, "{call}");
        }
        assert_eq!(say(libc::SYS_read, [0; 6]), ALLOW);
        assert_eq!(say(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(say(libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), eperm);
        let node = |mode: u32| say(libc::SYS_mknodat, [0, 0, u64::from(mode), 0, 0, 0]);
        assert_eq!((node(libc::S_IFCHR | 0o600), node(libc::S_IFBLK), node(libc::S_IFIFO | 0o600)), (eperm, eperm, ALLOW));
        let ioctl = |request: u64| say(libc::SYS_ioctl, [0, request, 0, 0, 0, 0]);
        assert_eq!((ioctl(libc::TIOCSTI), ioctl(1 << 40 | libc::TIOCSTI), ioctl(libc::TIOCGWINSZ)), (eperm, eperm, ALLOW));
        assert_eq!(ioctl(libc::TIOCLINUX), eperm);
        let socket = |program: &[libc::sock_filter], family: i32, protocol: u64| {
            verdict(program, AUDIT_ARCH, libc::SYS_socket, [family as u64, 1, protocol, 0, 0, 0])
        };
        let odd = errno(libc::EAFNOSUPPORT);
        assert_eq!((socket(&inside, libc::AF_INET, 0), socket(&bare, libc::AF_INET, 0)), (ALLOW, odd));
        assert_eq!((socket(&inside, libc::AF_VSOCK, 0), socket(&inside, libc::AF_UNIX, 0)), (odd, ALLOW));
        assert_eq!((socket(&inside, libc::AF_NETLINK, 0), socket(&inside, libc::AF_NETLINK, 12)), (ALLOW, eperm));
        assert_eq!(verdict(&inside, 0x4000_0003, libc::SYS_read, [0; 6]), KILL, "another architecture");
        if cfg!(target_arch = "x86_64") {
            assert_eq!(say(libc::c_long::from(X32_BIT as i32) | libc::SYS_read, [0; 6]), KILL, "x32");
        }
    }
}
