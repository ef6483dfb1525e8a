//! What a run is doing right now, looked at from outside: what it uses, and which ports it listens on.

use crate::cgroup::Group;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

const PORTS_EVERY: Duration = Duration::from_millis(700);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// A table longer than this is read in part; what listens comes first in it.
const MAX_TABLE: u64 = 256 * 1024;
const MAX_PORTS: usize = 64;

/// What a run has used up to now (`cpu_ms`) and holds now (`memory_bytes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSample {
    pub cpu_ms: u64,
    pub memory_bytes: u64,
}

pub(crate) struct Observer {
    /// Pid 1 of the jail.
    pub init_pid: i32,
    pub group: Option<Group>,
    /// Whether the jail has a network of its own; without one its ports are the machine's.
    pub own_network: bool,
    /// The server's own port in there.
    pub hidden_port: Option<u16>,
}

impl Observer {
    /// Looks until it is dropped. The senders end with it, which tells the readers that there is nothing more to come.
    pub async fn watch(self, ports: watch::Sender<Vec<u16>>, samples: watch::Sender<UsageSample>) {
        let mut look = tokio::time::interval(PORTS_EVERY);
        let mut measure = tokio::time::interval(SAMPLE_EVERY);
        for interval in [&mut look, &mut measure] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is at once, when there is nothing to see yet.
            interval.tick().await;
        }
        let observer = std::sync::Arc::new(self);
        loop {
            let this = observer.clone();
            tokio::select! {
                _ = look.tick(), if observer.own_network => {
                    if let Ok(now) = tokio::task::spawn_blocking(move || this.listening()).await {
                        ports.send_if_modified(|before| {
                            let changed = *before != now;
                            *before = now;
                            changed
                        });
                    }
                }
                _ = measure.tick() => {
                    if let Ok(Some(now)) = tokio::task::spawn_blocking(move || this.measure()).await {
                        samples.send_replace(now);
                    }
                }
            }
        }
    }

    /// Ports on which a connection from inside would be taken, in order.
    fn listening(&self) -> Vec<u16> {
        let mut found = BTreeSet::new();
        for table in ["tcp", "tcp6"] {
            let mut text = String::new();
            let opened = File::open(format!("/proc/{}/net/{table}", self.init_pid));
            if opened.and_then(|file| file.take(MAX_TABLE).read_to_string(&mut text)).is_ok() {
                found.extend(parse_table(&text));
            }
        }
        found.into_iter().filter(|port| Some(*port) != self.hidden_port).take(MAX_PORTS).collect()
    }

    fn measure(&self) -> Option<UsageSample> {
        match &self.group {
            Some(group) => {
                let (cpu, memory_bytes) = group.usage_now()?;
                Some(UsageSample { cpu_ms: cpu.as_millis() as u64, memory_bytes })
            }
            None => {
                let tree = tree_use(self.init_pid);
                (tree.processes > 0).then_some(UsageSample { cpu_ms: tree.cpu_ms, memory_bytes: tree.memory_bytes })
            }
        }
    }
}

/// Lines are `sl local_address rem_address st …` with the address in the machine's byte order, in hex.
fn parse_table(text: &str) -> impl Iterator<Item = u16> + '_ {
    text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (local, state) = (words.nth(1)?, words.nth(1)?);
        let (address, port) = local.split_once(':')?;
        if state != "0A" || !is_reachable(address) {
            return None;
        }
        u16::from_str_radix(port, 16).ok().filter(|port| *port > 0)
    })
}

/// Any address, 127.0.0.1, ::1, or 127.0.0.1 written as version 6.
fn is_reachable(hex: &str) -> bool {
    let words: Vec<u32> = (0..hex.len() / 8)
        .filter_map(|i| u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok())
        .map(|word| u32::from_be_bytes(word.to_ne_bytes()))
        .collect();
    const LOCAL: u32 = 0x7f00_0001;
    matches!(words[..], [0 | LOCAL] | [0, 0, 0, 0 | 1] | [0, 0, 0xffff, 0 | LOCAL])
}

/// What a process and everything below it use, for machines without control groups.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TreeUse {
    pub memory_bytes: u64,
    pub processes: u64,
    pub cpu_ms: u64,
}

pub(crate) fn tree_use(pid: i32) -> TreeUse {
    let mut total = TreeUse::default();
    add_tree(pid, 0, &mut total);
    total
}

fn add_tree(pid: i32, depth: u32, total: &mut TreeUse) {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return };
    // The name in parentheses may contain anything, so count from the last one.
    let fields: Vec<u64> =
        stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').map(|f| f.parse().unwrap_or(0)).collect()).unwrap_or_default();
    let field = |n: usize| fields.get(n).copied().unwrap_or(0);
    // utime, stime, and those of children already collected; then the resident pages.
    let ticks: u64 = (11..15).map(field).sum();
    total.processes += 1;
    total.cpu_ms += ticks * 1000 / rustix::param::clock_ticks_per_second();
    total.memory_bytes += field(21) * rustix::param::page_size() as u64;
    if depth > 64 {
        return;
    }
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|c| c.parse().ok()) {
            add_tree(child, depth + 1, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn finds_what_listens_where_it_can_be_reached() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                     1: 00000000:0BB8 00000000:0000 0A 00000000:00000000\n\
                     2: 0200007F:0050 00000000:0000 0A 00000000:00000000\n\
                     3: 0100007F:1F91 0100007F:9999 01 00000000:00000000\n\
                     nonsense\n";
        assert_eq!(parse_table(table).collect::<Vec<_>>(), [8080, 3000]);
        let six = "head\n\
                   0: 00000000000000000000000000000000:0BB9 00000000000000000000000000000000:0000 0A x\n\
                   1: 00000000000000000000000001000000:0BBA 00000000000000000000000000000000:0000 0A x\n\
                   2: 0000000000000000FFFF00000100007F:0BBB 00000000000000000000000000000000:0000 0A x\n\
                   3: 000080FE00000000000000000100007F:0BBC 00000000000000000000000000000000:0000 0A x\n";
        assert_eq!(parse_table(six).collect::<Vec<_>>(), [3001, 3002, 3003]);
    }

    #[test]
    fn adds_up_its_own_process() {
        let own = tree_use(std::process::id() as i32);
        assert!(own.processes >= 1 && own.memory_bytes > 100_000, "{own:?}");
        assert_eq!(tree_use(i32::MAX).processes, 0);
    }
}
