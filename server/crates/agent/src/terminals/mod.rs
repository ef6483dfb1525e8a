//! Terminals of this process. The job of a terminal keeps its output in a ring; readers come and go, and what they take in has no
//! influence on the program.

mod aside;
mod files;
mod job;
mod pace;
mod ring;
mod session;
#[cfg(test)]
mod tests;
mod viewer;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use wire::{RunId, terminals::TerminalNotice};

pub use job::run_terminal;
pub use pace::Bucket;
use session::{Keyboard, Session};

/// Terminals that have ended whose output is kept for a moment, so that a reload still shows it.
const KEPT_CLOSED: usize = 32;
const KEPT_FOR: Duration = Duration::from_secs(600);

/// What a reader is shown, in this order of things happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Bytes(Bytes),
    Notice(TerminalNotice),
    /// Nothing follows. Holds the sentence that says why; empty when only the terminal's row knows.
    Closed(String),
    /// The way to the terminal is broken, and the reader has to look for it again.
    Away,
}

/// One reader's end of a terminal, here or in another process.
#[async_trait]
pub trait Seat: Send {
    /// What comes next; a `Hello` is the first. Can be dropped and asked again without losing anything.
    async fn next(&mut self) -> Shown;

    /// The reader has taken in so many bytes.
    fn take_in(&mut self, bytes: u64);

    fn type_in(&mut self, data: Bytes);

    fn resize(&mut self, cols: u16, rows: u16);
}

/// The way to terminals, wherever they run.
#[async_trait]
pub trait TerminalRelay: Send + Sync + 'static {
    /// Why no terminal can be reached from this process, if so.
    fn refusal(&self) -> Option<&'static str>;

    /// Takes a seat in front of a terminal. `after` is the offset up to which the reader has everything. `None` when the terminal is
    /// nowhere to be found within `patience`.
    async fn attach(&self, id: RunId, after: Option<u64>, patience: Duration) -> Option<Box<dyn Seat>>;
}

#[derive(Default)]
struct Sessions {
    open: HashMap<RunId, Arc<Session>>,
    closed: VecDeque<(RunId, Arc<Session>)>,
}

impl Sessions {
    fn find(&self, id: RunId) -> Option<&Arc<Session>> {
        self.open.get(&id).or_else(|| self.closed.iter().find(|(closed, _)| *closed == id).map(|(_, session)| session))
    }
}

/// The terminals of one worker process. One per process, shared by its jobs and its readers.
pub struct TerminalHub {
    sessions: Mutex<Sessions>,
    /// Counts openings, for those who wait for one.
    opened: watch::Sender<u64>,
    works: bool,
}

impl TerminalHub {
    /// `works` says whether this process runs terminals at all.
    pub fn new(works: bool) -> Arc<Self> {
        Arc::new(Self { sessions: Mutex::default(), opened: watch::Sender::new(0), works })
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a terminal known. It is closed when the guard goes.
    fn open(self: &Arc<Self>, id: RunId, size: (u16, u16)) -> (OpenSession, Keyboard) {
        let (session, keyboard) = Session::new(size);
        self.lock().open.insert(id, session.clone());
        metrics::gauge!("cloudxdevai_terminals").increment(1.0);
        self.opened.send_modify(|opened| *opened += 1);
        (OpenSession { hub: self.clone(), id, session }, keyboard)
    }

    fn close(self: &Arc<Self>, id: RunId) {
        let mut sessions = self.lock();
        let Some(session) = sessions.open.remove(&id) else { return };
        metrics::gauge!("cloudxdevai_terminals").decrement(1.0);
        sessions.closed.push_back((id, session));
        if sessions.closed.len() > KEPT_CLOSED {
            sessions.closed.pop_front();
        }
        drop(sessions);
        // Without a runtime the process is ending, and nobody will ask.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let hub = Arc::downgrade(self);
            runtime.spawn(async move {
                tokio::time::sleep(KEPT_FOR).await;
                if let Some(hub) = hub.upgrade() {
                    hub.lock().closed.retain(|(closed, _)| *closed != id);
                }
            });
        }
    }

    /// Whether a terminal is open in this process.
    pub fn holds(&self, id: RunId) -> bool {
        self.lock().open.contains_key(&id)
    }
}

#[async_trait]
impl TerminalRelay for TerminalHub {
    fn refusal(&self) -> Option<&'static str> {
        (!self.works).then_some(
            "This server leaves jobs to other processes, and terminals can only be reached in the process that runs them. An \
             administrator can start the server with its worker, or set REDIS_URL on both.",
        )
    }

    async fn attach(&self, id: RunId, after: Option<u64>, patience: Duration) -> Option<Box<dyn Seat>> {
        let mut opened = self.opened.subscribe();
        let looking = async {
            loop {
                opened.borrow_and_update();
                let found = self.lock().find(id).map(|session| session.watch(after));
                if found.is_some() || opened.changed().await.is_err() {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(patience, looking).await.ok().flatten()?;
        Some(Box::new(found))
    }
}

/// A terminal that is known to its hub.
struct OpenSession {
    hub: Arc<TerminalHub>,
    id: RunId,
    session: Arc<Session>,
}

impl std::ops::Deref for OpenSession {
    type Target = Arc<Session>;
    fn deref(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        // When the job went away without a word, the row says why.
        self.session.end("");
        self.hub.close(self.id);
    }
}
