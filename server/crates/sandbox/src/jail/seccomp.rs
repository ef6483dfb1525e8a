//! The system calls a job may not make. One table, one reason per line; everything else is left to the namespaces.

use std::io;

/// What happens to a listed call.
#[derive(Clone, Copy)]
enum When {
    /// Always refused with EPERM.
    Always,
    /// Refused with EPERM if any of these bits is set in argument `arg`.
    Bits { arg: u32, mask: u32 },
    /// Refused with EPERM if `argument & mask == value`.
    Masked { arg: u32, mask: u32, value: u32 },
    /// Refused with ENOSYS, so that the caller falls back to something that can be inspected.
    Missing,
}
use When::{Always, Bits, Masked, Missing};

const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32
    | 0x80; // CLONE_NEWTIME

const DENIED: &[(libc::c_long, When)] = &[
    // New namespaces are where most local privilege bugs begin.
    (libc::SYS_unshare, Bits { arg: 0, mask: NAMESPACE_FLAGS }),
    (libc::SYS_clone, Bits { arg: 0, mask: NAMESPACE_FLAGS }),
    (libc::SYS_clone3, Missing), // its flags sit behind a pointer; libc falls back to clone
    (libc::SYS_setns, Always),   // entering namespaces of others
    // Mounts: nothing in a job needs them, old and new interface.
    (libc::SYS_mount, Always),
    (libc::SYS_umount2, Always),
    (libc::SYS_pivot_root, Always),
    (libc::SYS_chroot, Always),
    (libc::SYS_fsopen, Always),
    (libc::SYS_fsconfig, Always),
    (libc::SYS_fsmount, Always),
    (libc::SYS_fspick, Always),
    (libc::SYS_move_mount, Always),
    (libc::SYS_open_tree, Always),
    (libc::SYS_mount_setattr, Always),
    (libc::SYS_quotactl, Always),
    (libc::SYS_quotactl_fd, Always),
    (libc::SYS_swapon, Always),
    (libc::SYS_swapoff, Always),
    // Large kernel interfaces with a history of bugs, useless to ordinary programs.
    (libc::SYS_bpf, Always),
    (libc::SYS_perf_event_open, Always),
    (libc::SYS_userfaultfd, Always),    // widens race windows in the kernel
    (libc::SYS_io_uring_setup, Always), // also bypasses this very filter
    (libc::SYS_io_uring_enter, Always),
    (libc::SYS_io_uring_register, Always),
    (libc::SYS_fanotify_init, Always),
    (libc::SYS_memfd_secret, Always), // memory nobody can account for or look into
    // Keyrings are not namespaced: jobs of one uid could pass things to each other.
    (libc::SYS_keyctl, Always),
    (libc::SYS_add_key, Always),
    (libc::SYS_request_key, Always),
    // File handles open files without walking a path.
    (libc::SYS_open_by_handle_at, Always),
    (libc::SYS_name_to_handle_at, Always),
    // The machine itself.
    (libc::SYS_init_module, Always),
    (libc::SYS_finit_module, Always),
    (libc::SYS_delete_module, Always),
    (libc::SYS_kexec_load, Always),
    (libc::SYS_kexec_file_load, Always),
    (libc::SYS_reboot, Always),
    (libc::SYS_acct, Always),
    (libc::SYS_syslog, Always), // the kernel log shows addresses and other tenants
    (libc::SYS_settimeofday, Always),
    (libc::SYS_clock_settime, Always),
    (libc::SYS_adjtimex, Always),
    (libc::SYS_clock_adjtime, Always),
    (libc::SYS_sethostname, Always),
    (libc::SYS_setdomainname, Always),
    (libc::SYS_vhangup, Always),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_ioperm, Always),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_iopl, Always),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_modify_ldt, Always), // 16-bit segments, several old holes
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, Masked { arg: 1, mask: libc::S_IFMT, value: libc::S_IFCHR }),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, Masked { arg: 1, mask: libc::S_IFMT, value: libc::S_IFBLK }),
    // Device nodes; a 0/0 one would also read as an overlay's deletion mark.
    (libc::SYS_mknodat, Masked { arg: 2, mask: libc::S_IFMT, value: libc::S_IFCHR }),
    (libc::SYS_mknodat, Masked { arg: 2, mask: libc::S_IFMT, value: libc::S_IFBLK }),
    // Typing into, or pasting into, somebody's terminal.
    (libc::SYS_ioctl, Masked { arg: 1, mask: u32::MAX, value: libc::TIOCSTI as u32 }),
    (libc::SYS_ioctl, Masked { arg: 1, mask: u32::MAX, value: libc::TIOCLINUX as u32 }),
];

/// Socket families a job may use. Others are refused with EAFNOSUPPORT: AF_VSOCK leaves a network namespace, the odd
/// ones are large and old. Netlink is limited to routing questions, which name resolution asks.
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
    for (number, when) in DENIED {
        let number = *number as u32;
        let body = match *when {
            Always => vec![give(errno(libc::EPERM))],
            Missing => vec![give(errno(libc::ENOSYS))],
            Bits { arg, mask } => {
                vec![load(argument(arg)), branch(set, mask, 0, 1), give(errno(libc::EPERM)), load(0)]
            }
            Masked { arg, mask, value } => vec![
                load(argument(arg)),
                statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask),
                branch(eq, value, 0, 1),
                give(errno(libc::EPERM)),
                load(0),
            ],
        };
        code.push(branch(eq, number, 0, body.len() as u8));
        code.extend(body);
    }
    for number in [libc::SYS_socket, libc::SYS_socketpair] {
        let body = socket_rules(internet);
        code.push(branch(eq, number as u32, 0, body.len() as u8));
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
