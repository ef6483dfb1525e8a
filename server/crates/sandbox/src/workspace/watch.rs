//! Says when something changed in a checkout. One inotify instance for all projects, opened before any job can take the
//! machine's last one. It says no more than that: what changed is found by a scan, which also extends the watch.

use super::Workspaces;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Directories watched per project; the kernel's own limit is shared by all.
const MOST_DIRECTORIES: usize = 16_384;
/// How often a project that can't be watched is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A busy job makes thousands of events; reading them is put off for so long.
const GATHER: Duration = Duration::from_millis(20);
const EVENTS_AT_A_TIME: usize = 20_000;

fn wanted() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK
}

/// Tells that a checkout changed. Watching ends with the last one of a project.
pub struct Watch {
    watcher: Arc<Watcher>,
    project: Uuid,
    signal: watch::Receiver<u64>,
}

impl Workspaces {
    /// Watches a project's checkout. Its directories are added by the next [`Workspaces::scan`], and new ones by every further
    /// one: scan once after this, and after each signal. Ignored directories are not watched. Needs a tokio runtime.
    pub fn watch(&self, project: Uuid) -> Watch {
        self.inner.watcher.clone().watch(project)
    }
}

impl Watch {
    /// Returns once something changed since the last call: any number of changes is one signal. Where the kernel watches
    /// nothing more for us, it returns every few seconds instead.
    pub async fn changed(&mut self) {
        loop {
            tokio::select! {
                changed = self.signal.changed() => {
                    if changed.is_ok() {
                        return;
                    }
                    std::future::pending::<()>().await;
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if self.is_polling() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether changes are not noticed but looked for.
    pub fn is_polling(&self) -> bool {
        self.watcher.fd.is_none() || self.watcher.lock().projects.get(&self.project).is_none_or(|p| p.polling)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watcher.leave(self.project);
    }
}

/// The one inotify instance.
pub(super) struct Watcher {
    fd: Option<OwnedFd>,
    table: Mutex<Table>,
    reader: Mutex<Option<JoinHandle<()>>>,
    said: AtomicBool,
}

#[derive(Default)]
struct Table {
    by_wd: HashMap<i32, Uuid>,
    projects: HashMap<Uuid, Watched>,
}

struct Watched {
    signal: watch::Sender<u64>,
    watches: usize,
    /// By descriptor: the scan that saw the directory last.
    directories: HashMap<i32, u64>,
    scans: u64,
    polling: bool,
}

/// Extends the watch of one project while a scan walks it.
pub(super) struct Watching {
    watcher: Arc<Watcher>,
    project: Uuid,
    scan: u64,
    full: AtomicBool,
}

impl Watcher {
    pub fn open() -> Arc<Watcher> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .inspect_err(|error| tracing::warn!(%error, "changes in checkouts can't be watched; they are looked for every few seconds"))
            .ok();
        Arc::new(Watcher { fd, table: Mutex::default(), reader: Mutex::default(), said: AtomicBool::new(false) })
    }

    /// For a server without a work directory.
    pub fn blind() -> Arc<Watcher> {
        Arc::new(Watcher { fd: None, table: Mutex::default(), reader: Mutex::default(), said: AtomicBool::new(true) })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(self: Arc<Watcher>, project: Uuid) -> Watch {
        self.start_reading();
        let mut table = self.lock();
        let watched = table.projects.entry(project).or_insert_with(|| Watched {
            signal: watch::Sender::new(0),
            watches: 0,
            directories: HashMap::new(),
            scans: 0,
            polling: false,
        });
        watched.watches += 1;
        let signal = watched.signal.subscribe();
        drop(table);
        Watch { watcher: self, project, signal }
    }

    fn leave(&self, project: Uuid) {
        let mut table = self.lock();
        let Some(watched) = table.projects.get_mut(&project) else { return };
        watched.watches -= 1;
        if watched.watches > 0 {
            return;
        }
        if let Some(gone) = table.projects.remove(&project) {
            for wd in gone.directories.into_keys() {
                self.remove(&mut table, wd);
            }
        }
    }

    fn remove(&self, table: &mut Table, wd: i32) {
        table.by_wd.remove(&wd);
        if let Some(fd) = &self.fd {
            // It may be gone already, with its directory.
            let _ = inotify::remove_watch(fd, wd);
        }
    }

    /// To be called when a scan begins; None where nobody watches.
    pub fn begin(self: &Arc<Watcher>, project: Uuid) -> Option<Watching> {
        self.fd.as_ref()?;
        let mut table = self.lock();
        let watched = table.projects.get_mut(&project)?;
        watched.scans += 1;
        watched.polling = false;
        let scan = watched.scans;
        drop(table);
        Some(Watching { watcher: self.clone(), project, scan, full: AtomicBool::new(false) })
    }

    fn start_reading(self: &Arc<Watcher>) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let Some(fd) = self.fd.as_ref().and_then(|fd| fd.try_clone().ok()) else { return };
        let Ok(fd) = crate::pipes::watch_fd(fd) else { return };
        let watcher = Arc::downgrade(self);
        *reader = Some(tokio::spawn(async move {
            while let Ok(mut ready) = fd.readable().await {
                let Some(watcher) = watcher.upgrade() else { return };
                if watcher.drain(fd.get_ref()) {
                    ready.clear_ready();
                }
                drop(watcher);
                tokio::time::sleep(GATHER).await;
            }
        }));
    }

    /// True when nothing is left to read for now.
    fn drain(&self, fd: &OwnedFd) -> bool {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 32 * 1024];
        let mut events = inotify::Reader::new(fd, &mut buffer);
        let mut table = self.lock();
        let mut changed = HashSet::new();
        let mut is_empty = false;
        for _ in 0..EVENTS_AT_A_TIME {
            // An error is "no more for now", or one that the next round meets again.
            let Ok(event) = events.next() else {
                is_empty = true;
                break;
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changed.extend(table.projects.keys().copied());
            } else if event.events().contains(ReadFlags::IGNORED) {
                if let Some(project) = table.by_wd.remove(&event.wd())
                    && let Some(watched) = table.projects.get_mut(&project)
                {
                    watched.directories.remove(&event.wd());
                }
            } else if let Some(project) = table.by_wd.get(&event.wd()) {
                changed.insert(*project);
            }
        }
        for project in changed {
            if let Some(watched) = table.projects.get(&project) {
                watched.signal.send_modify(|n| *n += 1);
            }
        }
        is_empty
    }

    fn say_once(&self, error: Errno) {
        if !self.said.swap(true, Ordering::Relaxed) {
            let error = io::Error::from(error);
            tracing::warn!(%error, "the limit of watched directories is reached; changes there are looked for every few seconds");
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl Watching {
    /// Watches an open directory. Its path is not walked again, so no link can lead elsewhere.
    pub fn add(&self, dir: &OwnedFd) {
        let Some(fd) = self.watcher.fd.as_ref().filter(|_| !self.full.load(Ordering::Relaxed)) else { return };
        let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
        let added = inotify::add_watch(fd, path.as_str(), wanted());
        let mut table = self.watcher.lock();
        let Table { by_wd, projects } = &mut *table;
        let Some(watched) = projects.get_mut(&self.project) else {
            // Nobody watches any more: what was just added would be nobody's.
            if let Ok(wd) = added {
                self.watcher.remove(&mut table, wd);
            }
            return;
        };
        match added {
            Ok(wd) => {
                by_wd.insert(wd, self.project);
                watched.directories.insert(wd, self.scan);
                if watched.directories.len() > MOST_DIRECTORIES {
                    self.full.store(true, Ordering::Relaxed);
                    watched.polling = true;
                    self.watcher.say_once(Errno::NOSPC);
                }
            }
            Err(error @ (Errno::NOSPC | Errno::NOMEM)) => {
                self.full.store(true, Ordering::Relaxed);
                watched.polling = true;
                self.watcher.say_once(error);
            }
            // Gone meanwhile, or made unreadable by its owner; the next scan tries again.
            Err(_) => {}
        }
    }

    /// The scan saw all there is: what it did not see is not watched any more.
    pub fn end(self) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        let mut table = self.watcher.lock();
        let Table { by_wd, projects } = &mut *table;
        let Some(watched) = projects.get_mut(&self.project) else { return };
        let unseen: Vec<i32> = watched.directories.iter().filter(|(_, scan)| **scan != self.scan).map(|(wd, _)| *wd).collect();
        for wd in unseen {
            watched.directories.remove(&wd);
            by_wd.remove(&wd);
            if let Some(fd) = &self.watcher.fd {
                let _ = inotify::remove_watch(fd, wd);
            }
        }
    }
}
