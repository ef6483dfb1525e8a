//! Control groups: version 2 when controllers are delegated to us, version 1, or none. Synchronous; every call is a
//! handful of writes to kernel files.

use crate::probe::CgroupBackend;
use crate::spec::Limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const V1_CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "cpuacct"];

/// Where run groups are made: one directory per hierarchy, below the group the server itself is in, so that a limit
/// somebody put on the server holds for its jobs as well.
#[derive(Clone, Debug)]
pub struct Base {
    pub backend: CgroupBackend,
    dirs: BTreeMap<String, PathBuf>,
}

/// The control group of one run. Serialised into the run's record so that a later server can end what is left.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Group {
    dirs: BTreeMap<String, PathBuf>,
}

/// What the kernel counted for a group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub oom_kills: u64,
    pub pids_refused: u64,
    pub pids_now: u64,
    pub cpu: Duration,
    pub peak_memory_bytes: u64,
}

impl Base {
    pub fn none() -> Base {
        Base { backend: CgroupBackend::None, dirs: BTreeMap::new() }
    }

    /// Tries version 2, then version 1, by really making a group and limiting it. `name` tells two servers apart.
    pub fn detect(name: &str) -> (Base, String) {
        let own = own_groups(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
        let v2 = prepare_v2(&own, &mounts, name);
        match &v2 {
            Ok(base) => return (base.clone(), "version 2, delegated".into()),
            Err(e) => tracing::debug!(error = %e, "no delegated cgroup v2"),
        }
        match prepare_v1(&own, &mounts, name) {
            Ok(base) => (base, "version 1: memory, pids, cpu, cpuacct".into()),
            Err(e) => {
                let v2 = v2.err().map(|e| e.to_string()).unwrap_or_default();
                (Base::none(), format!("version 2: {v2}; version 1: {e}"))
            }
        }
    }

    /// Makes the group of one run with its limits set. None when there is no cgroup backend.
    pub fn create(&self, id: &str, limits: &Limits) -> io::Result<Option<Group>> {
        if self.backend == CgroupBackend::None {
            return Ok(None);
        }
        let group = Group { dirs: self.dirs.iter().map(|(k, dir)| (k.clone(), dir.join(id))).collect() };
        let made = group.make(limits);
        if let Err(e) = made {
            group.remove();
            return Err(e);
        }
        Ok(Some(group))
    }

    /// Run groups that exist now, by run id.
    pub fn existing(&self) -> BTreeMap<String, Group> {
        let mut found: BTreeMap<String, Group> = BTreeMap::new();
        for (controller, dir) in &self.dirs {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                    continue;
                }
                let name = entry.file_name().to_string_lossy().into_owned();
                if uuid::Uuid::parse_str(&name).is_ok() {
                    found.entry(name).or_default().dirs.insert(controller.clone(), entry.path());
                }
            }
        }
        found
    }

    /// Removes the (empty) parent directories; a server that ends calls it, and it is harmless while runs exist.
    pub fn remove_if_empty(&self) {
        for dir in self.dirs.values() {
            let _ = fs::remove_dir(dir);
        }
    }
}

impl Group {
    fn make(&self, limits: &Limits) -> io::Result<()> {
        for dir in self.dirs.values() {
            fs::create_dir(dir)?;
        }
        let memory = limits.memory_bytes.to_string();
        let period = 100_000u64;
        let quota = ((limits.cpus.max(0.05) as f64) * period as f64) as u64;
        // The helper itself is one process of the group.
        let pids = (u64::from(limits.pids) + 1).to_string();
        if let Some(dir) = self.dirs.get("v2") {
            put(dir, "memory.max", &memory)?;
            put(dir, "pids.max", &pids)?;
            put(dir, "cpu.max", &format!("{quota} {period}"))?;
            // Absent without swap accounting; killing the whole group at once is a nicety, the watchdog does it too.
            let _ = put(dir, "memory.swap.max", "0");
            let _ = put(dir, "memory.oom.group", "1");
            return Ok(());
        }
        put(self.dir("memory")?, "memory.limit_in_bytes", &memory)?;
        let _ = put(self.dir("memory")?, "memory.memsw.limit_in_bytes", &memory);
        put(self.dir("pids")?, "pids.max", &pids)?;
        put(self.dir("cpu")?, "cpu.cfs_period_us", &period.to_string())?;
        put(self.dir("cpu")?, "cpu.cfs_quota_us", &quota.to_string())
    }

    fn dir(&self, controller: &str) -> io::Result<&Path> {
        self.dirs.get(controller).map(PathBuf::as_path).ok_or_else(|| io::Error::other(format!("no {controller} group")))
    }

    pub fn exists(&self) -> bool {
        self.dirs.values().any(|dir| dir.is_dir())
    }

    /// Moves a process into the group, in every hierarchy.
    pub fn join(&self, pid: i32) -> io::Result<()> {
        for dir in self.dirs.values() {
            put(dir, "cgroup.procs", &pid.to_string())?;
        }
        Ok(())
    }

    pub fn counters(&self) -> Counters {
        if let Some(dir) = self.dirs.get("v2") {
            let cpu = field(dir, "cpu.stat", "usage_usec").map(Duration::from_micros);
            return Counters {
                oom_kills: field(dir, "memory.events", "oom_kill").unwrap_or(0),
                pids_refused: field(dir, "pids.events", "max").unwrap_or(0),
                pids_now: number(dir, "pids.current").unwrap_or(0),
                cpu: cpu.unwrap_or_default(),
                peak_memory_bytes: number(dir, "memory.peak").unwrap_or(0),
            };
        }
        let at = |c: &str| self.dirs.get(c).cloned().unwrap_or_default();
        Counters {
            oom_kills: field(&at("memory"), "memory.oom_control", "oom_kill").unwrap_or(0),
            pids_refused: field(&at("pids"), "pids.events", "max").unwrap_or(0),
            pids_now: number(&at("pids"), "pids.current").unwrap_or(0),
            cpu: Duration::from_nanos(number(&at("cpuacct"), "cpuacct.usage").unwrap_or(0)),
            peak_memory_bytes: number(&at("memory"), "memory.max_usage_in_bytes").unwrap_or(0),
        }
    }

    /// Processor time up to now and memory held now, without file pages the kernel would give back at once.
    pub fn usage_now(&self) -> Option<(Duration, u64)> {
        if let Some(dir) = self.dirs.get("v2") {
            let memory = number(dir, "memory.current")?.saturating_sub(field(dir, "memory.stat", "inactive_file").unwrap_or(0));
            return Some((Duration::from_micros(field(dir, "cpu.stat", "usage_usec")?), memory));
        }
        let memory = self.dirs.get("memory")?;
        let inactive = field(memory, "memory.stat", "total_inactive_file").unwrap_or(0);
        let held = number(memory, "memory.usage_in_bytes")?.saturating_sub(inactive);
        Some((Duration::from_nanos(number(self.dirs.get("cpuacct")?, "cpuacct.usage")?), held))
    }

    /// Every process in the group, in whichever hierarchy it is found.
    pub fn members(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self
            .dirs
            .values()
            .filter_map(|dir| fs::read_to_string(dir.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|l| l.parse().ok()).collect::<Vec<_>>())
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills until the group is empty or `patience` is over. Returns how many were left.
    pub fn kill_all(&self, patience: Duration) -> u32 {
        let until = Instant::now() + patience;
        loop {
            if let Some(dir) = self.dirs.get("v2") {
                let _ = put(dir, "cgroup.kill", "1");
            }
            let members = self.members();
            if members.is_empty() {
                return 0;
            }
            for pid in &members {
                // A pid read from the group and gone a moment later can only have been reused by a process that
                // started in that moment; the group is dying, so the window is a few microseconds.
                unsafe { libc::kill(*pid, libc::SIGKILL) };
            }
            if Instant::now() >= until {
                return members.len() as u32;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Removes the directories. Dying processes keep a group busy for a moment, hence the few tries.
    pub fn remove(&self) {
        for dir in self.dirs.values() {
            for _ in 0..50 {
                match fs::remove_dir(dir) {
                    Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(4));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn put(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::write(dir.join(file), value).map_err(|e| io::Error::new(e.kind(), format!("{file} in {}: {e}", dir.display())))
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

fn field(dir: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(dir.join(file)).ok()?;
    text.lines().find_map(|line| {
        let (k, v) = line.split_once(' ')?;
        (k == key).then(|| v.trim().parse().ok())?
    })
}

/// Controller name ("" for version 2) → our own group.
fn own_groups(text: &str) -> BTreeMap<String, String> {
    let mut groups = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        if let (Some(controllers), Some(path)) = (parts.next(), parts.next()) {
            for c in controllers.split(',') {
                groups.insert(c.to_owned(), path.to_owned());
            }
        }
    }
    groups
}

/// Controller name ("" for version 2) → (root of the mount inside the hierarchy, mount point).
fn mounts(text: &str) -> BTreeMap<String, (String, PathBuf)> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        if left.len() < 5 || right.len() < 3 {
            continue;
        }
        let at = (left[3].to_owned(), PathBuf::from(left[4]));
        match right[0] {
            "cgroup2" => {
                found.insert(String::new(), at);
            }
            "cgroup" => {
                for option in right[2].split(',') {
                    found.insert(option.to_owned(), at.clone());
                }
            }
            _ => {}
        }
    }
    found
}

/// The directory of our own group: the mount may show only a part of the hierarchy.
fn own_dir(own: &BTreeMap<String, String>, mounts: &BTreeMap<String, (String, PathBuf)>, controller: &str) -> io::Result<PathBuf> {
    let (root, point) = mounts.get(controller).ok_or_else(|| io::Error::other(format!("{controller} is not mounted")))?;
    let group = own.get(controller).map(String::as_str).unwrap_or("/");
    let below = group.strip_prefix(root.trim_end_matches('/')).unwrap_or(group);
    let dir = point.join(below.trim_start_matches('/'));
    // Inside a container the path may be the host's while the mount shows only ours.
    Ok(if dir.is_dir() { dir } else { point.clone() })
}

fn prepare_v1(own: &BTreeMap<String, String>, mounts: &BTreeMap<String, (String, PathBuf)>, name: &str) -> io::Result<Base> {
    let mut dirs = BTreeMap::new();
    for controller in V1_CONTROLLERS {
        let dir = own_dir(own, mounts, controller)?.join(name);
        match fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        dirs.insert(controller.to_owned(), dir);
    }
    let base = Base { backend: CgroupBackend::V1, dirs };
    try_out(&base)?;
    Ok(base)
}

/// Version 2 forbids processes in a group that hands controllers on, so the server moves itself into a leaf first.
fn prepare_v2(own: &BTreeMap<String, String>, mounts: &BTreeMap<String, (String, PathBuf)>, name: &str) -> io::Result<Base> {
    let dir = own_dir(own, mounts, "")?;
    let parent = if dir.file_name().is_some_and(|n| n == "server") { dir.parent().map(Path::to_path_buf).unwrap_or(dir) } else { dir };
    let available = fs::read_to_string(parent.join("cgroup.controllers"))?;
    for needed in ["memory", "pids", "cpu"] {
        if !available.split_whitespace().any(|c| c == needed) {
            return Err(io::Error::other(format!("controller {needed} is not delegated")));
        }
    }
    let leaf = parent.join("server");
    if !leaf.is_dir() {
        fs::create_dir(&leaf)?;
    }
    // Only ourselves: if somebody else lives in this group it was not delegated to us, and the next step says so.
    put(&leaf, "cgroup.procs", &std::process::id().to_string())?;
    put(&parent, "cgroup.subtree_control", "+memory +pids +cpu")?;
    let jobs = parent.join(name);
    if !jobs.is_dir() {
        fs::create_dir(&jobs)?;
    }
    put(&jobs, "cgroup.subtree_control", "+memory +pids +cpu")?;
    let base = Base { backend: CgroupBackend::V2, dirs: [("v2".to_owned(), jobs)].into() };
    try_out(&base)?;
    Ok(base)
}

fn try_out(base: &Base) -> io::Result<()> {
    let group = base.create(&uuid::Uuid::now_v7().to_string(), &Limits::default())?;
    if let Some(group) = group {
        group.remove();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_own_directories_in_a_mixed_hierarchy() {
        let own = own_groups("4:memory:/a/b\n3:cpu,cpuacct:/\n0::/x\n");
        let mounts = mounts(
            "30 20 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             31 20 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             32 20 0:3 /x /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(own["cpuacct"], "/");
        assert_eq!(mounts["cpuacct"].1, PathBuf::from("/sys/fs/cgroup/cpu"));
        assert_eq!(mounts[""].0, "/x");
        assert!(own_dir(&own, &mounts, "pids").is_err());
    }

    #[test]
    fn a_version_2_tree_without_controllers_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpuset\n").unwrap();
        let mounts = BTreeMap::from([(String::new(), ("/".to_owned(), root.path().to_path_buf()))]);
        let own = BTreeMap::from([(String::new(), "/".to_owned())]);
        let refused = prepare_v2(&own, &mounts, "jobs").unwrap_err();
        assert!(refused.to_string().contains("memory is not delegated"), "{refused}");
    }
}
