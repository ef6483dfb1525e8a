//! What a run is asked to do and what it reports. Plain data.

use crate::egress::EgressPolicy;
use crate::probe::Tier;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// What a run is for; decides its default limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Codegen,
    TestRunner,
    SandboxExec,
    Terminal,
    Git,
}

/// The directory bound read-write at `/w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunDir {
    /// The project's checkout itself.
    Checkout(Uuid),
    /// A branch over the checkout: what the command writes lands in the branch only.
    Branch { project: Uuid, branch: Uuid },
}

impl RunDir {
    pub fn project(&self) -> Uuid {
        match *self {
            RunDir::Checkout(project) | RunDir::Branch { project, .. } => project,
        }
    }
}

/// What a run may reach on the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A network namespace of its own with nothing in it but its own loopback.
    #[default]
    None,
    /// The same, with the server's proxy on its loopback. Refused where there is no network namespace.
    Proxy(EgressPolicy),
}

/// Hard limits of one run. Sizes in bytes. Reaching `wall`, `memory_bytes`, `pids`, `file_bytes`, `disk_*` or `output_bytes`
/// ends the run with an exit kind of its own; `cpus` slows it down; `nofile`, `tmp_bytes` and `shm_bytes` are errors that the
/// command itself sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub wall: Duration,
    /// Anonymous memory, page cache and tmpfs together. Exact with a memory cgroup, best effort without.
    pub memory_bytes: u64,
    pub pids: u32,
    pub cpus: f32,
    pub nofile: u64,
    /// The largest single file.
    pub file_bytes: u64,
    /// What the directory at `/w` may hold in all; checked every few seconds.
    pub disk_bytes: u64,
    pub disk_files: u64,
    pub tmp_bytes: u64,
    pub shm_bytes: u64,
    /// The run ends when it has written this much to stdout and stderr together.
    pub output_bytes: u64,
}

const MIB: u64 = 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            wall: Duration::from_secs(600),
            memory_bytes: 2048 * MIB,
            pids: 256,
            cpus: 1.0,
            nofile: 1024,
            file_bytes: 512 * MIB,
            disk_bytes: 2048 * MIB,
            disk_files: 200_000,
            tmp_bytes: 256 * MIB,
            shm_bytes: 64 * MIB,
            output_bytes: 64 * MIB,
        }
    }
}

impl Limits {
    /// The defaults for one kind of run. A terminal's idle time is watched by its owner; this is its longest life.
    pub fn for_kind(kind: Kind) -> Limits {
        let base = Limits::default();
        match kind {
            Kind::Terminal => Limits { wall: Duration::from_secs(12 * 3600), output_bytes: 1024 * MIB, ..base },
            Kind::Git => Limits { wall: Duration::from_secs(120), ..base },
            Kind::Codegen | Kind::TestRunner | Kind::SandboxExec => base,
        }
    }

    /// The limits somebody set. Values too small for a command to start at all are raised; `/dev/shm`, which nobody sets,
    /// gets a quarter of what `/tmp` has.
    pub fn from_settings(set: &wire::runs::RunLimits) -> Limits {
        let size = |bytes: i64, least: u64| u64::try_from(bytes).unwrap_or(0).max(least);
        let tmp_bytes = size(set.tmp_bytes, MIB);
        Limits {
            wall: Duration::from_secs(u64::from(set.wall_s.max(1))),
            memory_bytes: size(set.memory_bytes, 16 * MIB),
            pids: set.pids.max(4),
            cpus: set.cpu_percent.max(5) as f32 / 100.0,
            nofile: u64::from(set.open_files.max(16)),
            file_bytes: size(set.file_bytes, 4096),
            disk_bytes: size(set.project_bytes, MIB),
            disk_files: size(set.project_files, 100),
            tmp_bytes,
            shm_bytes: (tmp_bytes / 4).max(MIB),
            output_bytes: size(set.output_bytes, 4096),
        }
    }
}

/// One command to run.
#[derive(Clone, Debug)]
pub struct Spec {
    pub id: Uuid,
    pub kind: Kind,
    /// Program and arguments. For a command line use [`shell`].
    pub argv: Vec<String>,
    pub dir: RunDir,
    /// Relative to the project, "" for its top.
    pub cwd: String,
    /// Added to a small fixed environment (PATH, HOME, LANG, TERM, USER, TMPDIR). Nothing of the server's is passed on.
    pub env: Vec<(String, String)>,
    pub limits: Limits,
    pub network: Network,
    /// Columns and rows of a terminal; None runs on pipes.
    pub tty: Option<(u16, u16)>,
}

/// The argument vector that runs `command` in a shell without reading anyone's start-up files.
pub fn shell(command: &str) -> Vec<String> {
    if std::path::Path::new("/usr/bin/bash").exists() {
        return ["/usr/bin/bash", "--noprofile", "--norc", "-c", command].map(String::from).to_vec();
    }
    ["/bin/sh", "-c", command].map(String::from).to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Stdout,
    Stderr,
    Pty,
}

/// A piece of output. `offset` counts bytes over all channels of the run, in the order they were read.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub channel: Channel,
    pub offset: u64,
    pub data: Bytes,
}

/// How firmly a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopGrace {
    /// Interrupt, then terminate after 0.3 s, then kill after 0.8 s.
    Polite,
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    Exited,
    Signalled,
    TimedOut,
    OutOfMemory,
    OutputLimit,
    DiskLimit,
    PidsLimit,
    Cancelled,
    /// The jail vanished without saying how the command ended.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub kind: ExitKind,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// For people: what happened.
    pub sentence: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub wall_ms: u64,
    pub cpu_ms: u64,
    /// 0 when it could not be measured.
    pub peak_memory_bytes: u64,
    pub output_bytes: u64,
    /// Carried by the proxy, both ways.
    #[serde(default)]
    pub network_bytes: u64,
}

/// The end of a run. Nothing of it is alive any more.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    pub exit: Exit,
    pub usage: Usage,
    pub tier: Tier,
    /// Processes found alive after the end: 0, checked against the kernel.
    pub left_alive: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_becomes_a_limit() {
        let set = wire::runs::RunLimits {
            wall_s: 7,
            cpu_percent: 150,
            memory_bytes: 1 << 30,
            pids: 33,
            open_files: 512,
            file_bytes: 5 << 20,
            project_bytes: 6 << 20,
            project_files: 777,
            tmp_bytes: 8 << 20,
            output_bytes: 9 << 20,
        };
        let wanted = Limits {
            wall: Duration::from_secs(7),
            memory_bytes: 1 << 30,
            pids: 33,
            cpus: 1.5,
            nofile: 512,
            file_bytes: 5 << 20,
            disk_bytes: 6 << 20,
            disk_files: 777,
            tmp_bytes: 8 << 20,
            shm_bytes: 2 << 20,
            output_bytes: 9 << 20,
        };
        assert_eq!(Limits::from_settings(&set), wanted);
        let defaults = Limits::from_settings(&wire::runs::RunLimits::default());
        let own = Limits::default();
        assert_eq!((defaults.memory_bytes, defaults.pids, defaults.nofile), (own.memory_bytes, own.pids, own.nofile));
        assert_eq!((defaults.tmp_bytes, defaults.shm_bytes, defaults.output_bytes), (own.tmp_bytes, own.shm_bytes, own.output_bytes));
        let zero = wire::runs::RunLimits { wall_s: 0, memory_bytes: -1, pids: 0, ..set };
        assert!(Limits::from_settings(&zero).memory_bytes >= 16 << 20 && Limits::from_settings(&zero).pids > 0);
    }
}
