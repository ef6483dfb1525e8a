//! Watches one run from its start to the moment nothing of it is alive.

use crate::cgroup::Group;
use crate::disk::DiskRoom;
use crate::jail::{SAY_INTERRUPT, SAY_KILL, SAY_TERMINATE};
use crate::observe::tree_use;
use crate::output::Meter;
use crate::probe::Tier;
use crate::spec::{Finished, Limits, Usage};
use crate::verdict::{Cause, Status, decide};
use crate::workspace::{self, RunPlace};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

const TICK: Duration = Duration::from_millis(100);
const TERMINATE_AFTER: Duration = Duration::from_millis(300);
const KILL_AFTER: Duration = Duration::from_millis(800);
/// How long a job may sit at its process limit before it is taken for a fork bomb.
const AT_PIDS_LIMIT: Duration = Duration::from_secs(2);
const DISK_EVERY: Duration = Duration::from_secs(5);
/// A disk that loses this much between two looks is measured at once.
const DISK_GULP: u64 = 256 << 20;

/// How firmly somebody asked for the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Asked {
    No,
    Polite,
    Kill,
}

/// Everything that belongs to a run in flight.
pub(crate) struct Live {
    pub tier: Tier,
    pub limits: Limits,
    pub started: Instant,
    /// Pid 1 of the jail.
    pub init_pid: i32,
    pub init: AsyncFd<OwnedFd>,
    pub control: pipe::Sender,
    pub status: pipe::Receiver,
    pub outer: tokio::process::Child,
    pub group: Option<Group>,
    pub record: PathBuf,
    pub place: RunPlace,
    pub meter: Arc<Meter>,
    pub pump: JoinHandle<()>,
    /// The proxy and the observer.
    pub aside: Aside,
    /// What the proxy carried.
    pub network_bytes: Arc<AtomicU64>,
}

/// Tasks that serve a run and end with it.
#[derive(Default)]
pub(crate) struct Aside(pub Vec<AbortHandle>);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Sees the run through. `dead` becomes true once nothing is alive and everything is removed.
pub(crate) async fn supervise(mut live: Live, mut asked: watch::Receiver<Asked>, dead: watch::Sender<bool>) -> Finished {
    let cause = live.watch(&mut asked).await;
    // What the proxy holds open would keep the network namespace.
    drop(std::mem::take(&mut live.aside));
    let wall = live.started.elapsed();
    let counters = live.group.as_ref().map(Group::counters);
    let left_alive = live.clear_away().await;
    let status = live.read_status().await;
    live.meter.ended.notify_one();
    let _ = dead.send(true);
    let Live { pump, meter, place, limits, tier, network_bytes, .. } = live;
    // The lock on the branch's lower directory is free from here on, whether or not anyone reads the output.
    drop(place);
    let _ = pump.await;
    let cause = cause.or(meter.is_over.load(Ordering::Relaxed).then_some(Cause::Output));
    let exit = decide(cause, &status, counters.as_ref(), &limits);
    let usage = Usage {
        wall_ms: wall.as_millis() as u64,
        cpu_ms: counters.map(|c| c.cpu.as_millis() as u64).filter(|ms| *ms > 0).unwrap_or(status.cpu_us / 1000),
        peak_memory_bytes: counters.map(|c| c.peak_memory_bytes).unwrap_or(status.peak_kb * 1024),
        output_bytes: meter.total.load(Ordering::Relaxed),
        network_bytes: network_bytes.load(Ordering::Relaxed),
    };
    Finished { exit, usage, tier, left_alive }
}

impl Live {
    /// Waits for pid 1 to be dead; returns why it was killed, if it was.
    async fn watch(&mut self, asked: &mut watch::Receiver<Asked>) -> Option<Cause> {
        let mut cause = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut state = Watchdog::default();
        let mut stop: Option<(Instant, u8)> = None;
        let mut asked_open = true;
        let mut outer_open = true;
        let meter = self.meter.clone();
        loop {
            let kill_because = tokio::select! {
                biased;
                _ = self.init.readable() => return cause,
                changed = asked.changed(), if asked_open => {
                    asked_open = changed.is_ok();
                    match *asked.borrow_and_update() {
                        Asked::Kill => Some(Cause::Cancelled),
                        Asked::Polite if stop.is_none() => {
                            cause.get_or_insert(Cause::Cancelled);
                            self.say(SAY_INTERRUPT);
                            stop = Some((Instant::now(), 0));
                            None
                        }
                        _ => None,
                    }
                }
                _ = self.outer.wait(), if outer_open => {
                    // Its last act is to report an end that we see ourselves; ended by somebody else, it takes the
                    // jail along.
                    outer_open = false;
                    self.kill();
                    None
                }
                _ = meter.over.notified() => Some(Cause::Output),
                _ = tick.tick() => {
                    if self.started.elapsed() >= self.limits.wall {
                        Some(Cause::TimedOut)
                    } else {
                        self.press(&mut stop);
                        self.inspect(&mut state)
                    }
                }
            };
            if let Some(why) = kill_because {
                cause.get_or_insert(why);
                self.kill();
            }
        }
    }

    /// The later steps of a polite stop.
    fn press(&self, stop: &mut Option<(Instant, u8)>) {
        let Some((since, step)) = stop else { return };
        if *step == 0 && since.elapsed() >= TERMINATE_AFTER {
            self.say(SAY_TERMINATE);
            *step = 1;
        }
        if since.elapsed() >= KILL_AFTER {
            self.kill();
        }
    }

    fn say(&self, what: u8) {
        // One byte into an empty pipe; if it is full or closed the kill that follows does the work.
        let _ = self.control.try_write(&[what]);
    }

    fn kill(&self) {
        if self.tier == Tier::S1 {
            // The helper has to sweep what it started; killed itself, it could not.
            self.say(SAY_KILL);
        } else {
            let _ = rustix::process::pidfd_send_signal(self.init.get_ref().as_fd(), rustix::process::Signal::KILL);
        }
    }

    fn inspect(&self, state: &mut Watchdog) -> Option<Cause> {
        let (out_of_memory, refused) = match &self.group {
            Some(group) => {
                let now = group.counters();
                let full = now.pids_now > u64::from(self.limits.pids);
                let refused = full || now.pids_refused > state.pids_refused;
                state.pids_refused = now.pids_refused;
                (now.oom_kills > 0, refused)
            }
            None => {
                let now = tree_use(self.init_pid);
                (now.memory_bytes > self.limits.memory_bytes, now.processes > u64::from(self.limits.pids))
            }
        };
        if out_of_memory {
            return Some(Cause::OutOfMemory);
        }
        if refused {
            state.refused_at = Some(Instant::now());
            if state.refusing_since.get_or_insert(Instant::now()).elapsed() >= AT_PIDS_LIMIT {
                return Some(Cause::Pids);
            }
        } else if state.refused_at.is_some_and(|at| at.elapsed() > AT_PIDS_LIMIT / 2) {
            // A build that once asked for too many and made do with fewer goes on.
            state.refusing_since = None;
        }
        self.inspect_disk(state)
    }

    fn inspect_disk(&self, state: &mut Watchdog) -> Option<Cause> {
        if let Some(task) = &state.measuring {
            if !task.is_finished() {
                return None;
            }
            state.measuring = None;
            state.measured_at = Some(Instant::now());
            let (bytes, files) = *state.measured.lock().unwrap_or_else(|e| e.into_inner());
            if bytes > self.limits.disk_bytes {
                return Some(Cause::ProjectBytes);
            }
            if files > self.limits.disk_files {
                return Some(Cause::ProjectFiles);
            }
        } else if self.is_gulping(state) || state.measured_at.unwrap_or(self.started).elapsed() >= state.measure_every() {
            if DiskRoom::of(&self.place.writable).ok().flatten().is_some_and(DiskRoom::is_exhausted) {
                return Some(Cause::MachineDisk);
            }
            let (dir, owner, result) = (self.place.writable.clone(), self.place.owner, state.measured.clone());
            let took = state.measure_took.clone();
            state.measuring = Some(tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                let size = workspace::measure(&dir, owner);
                *result.lock().unwrap_or_else(|e| e.into_inner()) = size;
                took.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
            }));
        }
        None
    }

    /// Whether the disk shrinks so fast that waiting for the next regular look would be too late.
    fn is_gulping(&self, state: &mut Watchdog) -> bool {
        let Ok(stat) = rustix::fs::statvfs(&self.place.writable) else { return false };
        let free = stat.f_bavail * stat.f_frsize;
        let before = *state.free_at_measure.get_or_insert(free);
        let gulping = before.saturating_sub(free) > DISK_GULP.min(self.limits.disk_bytes);
        if gulping || free > before {
            state.free_at_measure = Some(free);
        }
        gulping
    }

    /// Pid 1 is dead, and with it everything in its namespace. Checks that, and removes what the run had.
    async fn clear_away(&mut self) -> u32 {
        let _ = self.outer.start_kill();
        let _ = tokio::time::timeout(Duration::from_secs(2), self.outer.wait()).await;
        let (group, record) = (self.group.take(), self.record.clone());
        tokio::task::spawn_blocking(move || {
            let left = group.as_ref().map_or(0, |g| g.kill_all(Duration::from_secs(2)));
            if let Some(group) = group {
                group.remove();
            }
            let _ = std::fs::remove_file(record);
            left
        })
        .await
        .unwrap_or(0)
    }

    async fn read_status(&mut self) -> Status {
        let mut text = String::new();
        let read = self.status.read_to_string(&mut text);
        let _ = tokio::time::timeout(Duration::from_millis(500), read).await;
        Status::parse(&text)
    }
}

#[derive(Default)]
struct Watchdog {
    pids_refused: u64,
    refusing_since: Option<Instant>,
    refused_at: Option<Instant>,
    measured_at: Option<Instant>,
    free_at_measure: Option<u64>,
    measuring: Option<JoinHandle<()>>,
    measured: Arc<std::sync::Mutex<(u64, u64)>>,
    /// Milliseconds.
    measure_took: Arc<AtomicU64>,
}

impl Watchdog {
    /// Walking a large project may not keep a processor busy: at most a twentieth of the time.
    fn measure_every(&self) -> Duration {
        DISK_EVERY.max(20 * Duration::from_millis(self.measure_took.load(Ordering::Relaxed)))
    }
}
