//! Removes what an earlier server left behind: processes, control groups, half-written files.

use crate::cgroup::Group;
use crate::run::Sandbox;
use crate::spec::Spec;
use crate::workspace;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What [`Sandbox::sweep`] found and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    pub runs: u32,
    pub processes_killed: u32,
    pub groups_removed: u32,
    pub leftovers_removed: u32,
}

/// A process that cannot be confused with a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: i32,
    start: u64,
}

impl Process {
    fn of(pid: i32) -> Option<Process> {
        Some(Process { pid, start: start_time(pid)? })
    }

    fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    /// Kills it if it is still the same; true once it is dead by our hand.
    fn kill(&self) -> bool {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let Some(pid) = Pid::from_raw(self.pid) else {
            return false;
        };
        let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else {
            return false;
        };
        // Checked with the descriptor in hand: from here on the number cannot pass to somebody else.
        if !self.is_alive() || pidfd_send_signal(&fd, Signal::KILL).is_err() {
            return false;
        }
        let mut poll = libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&fd), events: libc::POLLIN, revents: 0 };
        unsafe { libc::poll(&mut poll, 1, 2000) };
        true
    }
}

/// Field 22 of /proc/<pid>/stat, in clock ticks since boot. None for a process that is dead but not yet collected.
fn start_time(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything, so count from the last one.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Written before a run's command can execute, removed after its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    id: uuid::Uuid,
    boot: String,
    server: Option<Process>,
    processes: Vec<Process>,
    group: Option<Group>,
}

impl Record {
    pub(crate) fn new(spec: &Spec, group: Option<Group>) -> Record {
        let server = Process::of(std::process::id() as i32);
        Record { id: spec.id, boot: boot_id(), server, processes: Vec::new(), group }
    }

    pub(crate) fn with_processes(mut self, init: i32, outer: i32) -> Record {
        self.processes = [init, outer].into_iter().filter_map(Process::of).collect();
        self
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let aside = path.with_extension("new");
        fs::write(&aside, text)?;
        fs::rename(aside, path)
    }

    fn is_ours(&self) -> bool {
        self.boot == boot_id() && self.server.is_some() && self.server == Process::of(std::process::id() as i32)
    }
}

impl Sandbox {
    /// To be called once at start, before the first run. Leaves this server's own runs alone.
    pub async fn sweep(&self) -> SweepReport {
        let (work_dir, base) = (self.engine.work_dir.clone(), self.engine.base.clone());
        let workspaces = self.engine.workspaces.clone();
        if self.engine.tier == crate::Tier::S0 && !self.owns_work_dir() {
            return SweepReport::default();
        }
        tokio::task::spawn_blocking(move || {
            let mut report = SweepReport::default();
            let mut ours = Vec::new();
            for entry in fs::read_dir(work_dir.join("run/records")).into_iter().flatten().flatten() {
                sweep_record(&entry.path(), &mut report, &mut ours);
            }
            for (id, group) in base.existing() {
                if !ours.contains(&id) {
                    remove_group(&group, &mut report);
                }
            }
            report.leftovers_removed = workspaces.sweep();
            report
        })
        .await
        .unwrap_or_default()
    }
}

fn sweep_record(path: &Path, report: &mut SweepReport, ours: &mut Vec<String>) {
    let record = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
    if let Some(record) = record {
        if record.is_ours() {
            ours.push(record.id.to_string());
            return;
        }
        report.runs += 1;
        if record.boot == boot_id() {
            report.processes_killed += record.processes.iter().filter(|p| p.kill()).count() as u32;
            if let Some(group) = &record.group {
                remove_group(group, report);
            }
        }
    }
    let _ = fs::remove_file(path);
}

fn remove_group(group: &Group, report: &mut SweepReport) {
    if !group.exists() {
        return;
    }
    let before = group.members().len() as u32;
    let left = group.kill_all(Duration::from_secs(2));
    group.remove();
    report.processes_killed += before - left.min(before);
    report.groups_removed += 1;
}

impl workspace::Workspaces {
    /// Half-written files and half-made branches. Returns how many there were.
    pub(crate) fn sweep(&self) -> u32 {
        self.remove_leftovers().unwrap_or_else(|e| {
            tracing::warn!(error = %e, "leftovers could not be removed");
            0
        })
    }
}
