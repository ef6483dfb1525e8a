//! One open terminal: what its worker writes and its readers read.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sandbox::PtyInput;
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use wire::terminals::{SIZE_MAX, TerminalNotice};

use super::{ring::Ring, viewer::Viewer};

/// What was typed and not yet taken by the terminal. A program that reads nothing must not make the server remember everything.
const INPUT_MOST: usize = 256 * 1024;
const NOTICES: usize = 64;
/// How long what is typed waits for a shell that shows no prompt.
const PROMPT_PATIENCE: Duration = Duration::from_secs(10);
/// From its prompt to when a shell listens. An interrupt in between would be noticed at the next key.
const SETTLE: Duration = Duration::from_millis(50);
/// How a prompt ends; what a shell writes before it, such as how text is to be pasted, ends otherwise.
const PROMPT_ENDS: [&[u8]; 2] = [b"$ ", b"# "];

/// How far the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub end: u64,
    /// The shell has asked for its first command.
    pub prompted: bool,
    /// Nothing comes after it.
    pub closed: bool,
}

/// A notice for all readers but one.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub notice: TerminalNotice,
    pub not_to: Option<u64>,
}

struct Typed {
    size: (u16, u16),
    last_input: Instant,
    /// What is left of an idle terminal's time was announced.
    warned_until: Option<Instant>,
}

/// Shared by the job, which feeds it, and by everyone who watches.
pub struct Session {
    ring: Mutex<Ring>,
    progress: watch::Sender<Progress>,
    notices: broadcast::Sender<Told>,
    typed: Mutex<Typed>,
    input: mpsc::UnboundedSender<Bytes>,
    waiting_input: Arc<AtomicUsize>,
    pty: OnceLock<PtyInput>,
    sentence: OnceLock<String>,
    next_viewer: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is typed, on its way to the terminal.
pub(super) struct Keyboard {
    queue: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    progress: watch::Receiver<Progress>,
}

impl Keyboard {
    /// Types into the terminal until it is gone, from the first prompt on.
    pub async fn type_into(mut self, pty: PtyInput) {
        self.until_prompt().await;
        while let Some(data) = self.queue.recv().await {
            let written = pty.write(&data).await;
            self.waiting.fetch_sub(data.len(), Ordering::AcqRel);
            if written.is_err() {
                return;
            }
        }
    }

    /// Until the prompt a key would be echoed twice, and an interrupt would end the shell or be lost: a shell sets the terminal up, and
    /// says so, before it takes interrupts.
    pub(super) async fn until_prompt(&mut self) {
        let _ = timeout(PROMPT_PATIENCE, self.progress.wait_for(|progress| progress.prompted || progress.closed)).await;
        sleep(SETTLE).await;
    }
}

impl Session {
    pub(super) fn new(size: (u16, u16)) -> (Arc<Self>, Keyboard) {
        let (input, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let session = Self {
            ring: Mutex::default(),
            progress: watch::Sender::new(Progress { end: 0, prompted: false, closed: false }),
            notices: broadcast::Sender::new(NOTICES),
            typed: Mutex::new(Typed { size, last_input: Instant::now(), warned_until: None }),
            input,
            waiting_input: waiting.clone(),
            pty: OnceLock::new(),
            sentence: OnceLock::new(),
            next_viewer: AtomicU64::new(1),
        };
        let progress = session.progress.subscribe();
        (Arc::new(session), Keyboard { queue, waiting, progress })
    }

    // For the job.

    /// The terminal is there: sizes reach it from now on.
    pub(super) fn connect(&self, pty: PtyInput) {
        let (cols, rows) = self.size();
        let _ = pty.resize(cols, rows);
        let _ = self.pty.set(pty);
    }

    pub(super) fn print(&self, data: &[u8]) {
        let (end, is_prompt) = {
            let mut ring = lock(&self.ring);
            ring.push(data);
            let tail = ring.read(ring.end().saturating_sub(2), 2);
            (ring.end(), PROMPT_ENDS.contains(&&tail[..]))
        };
        self.progress.send_modify(|progress| {
            progress.end = end;
            progress.prompted |= is_prompt;
        });
    }

    pub(super) fn tell(&self, notice: TerminalNotice) {
        // Nobody watching is no error.
        let _ = self.notices.send(Told { notice, not_to: None });
    }

    /// Says that nobody typed for long. Those who come later are told too.
    pub(super) fn warn_idle(&self, closes_in: Duration) {
        lock(&self.typed).warned_until = Some(Instant::now() + closes_in);
        self.tell(idle(closes_in));
    }

    /// When somebody typed last.
    pub(super) fn last_input(&self) -> Instant {
        lock(&self.typed).last_input
    }

    /// Everything has been printed. The first sentence counts.
    pub(super) fn end(&self, sentence: &str) {
        let _ = self.sentence.set(sentence.to_owned());
        self.progress.send_modify(|progress| progress.closed = true);
    }

    // For readers.

    pub(super) fn size(&self) -> (u16, u16) {
        lock(&self.typed).size
    }

    pub(super) fn sentence(&self) -> String {
        self.sentence.get().cloned().unwrap_or_default()
    }

    /// The idle warning that holds now.
    pub(super) fn idle_warning(&self) -> Option<TerminalNotice> {
        let until = lock(&self.typed).warned_until?;
        Some(idle(until.saturating_duration_since(Instant::now())))
    }

    /// Takes what somebody typed; `false` when so much waits already that it was dropped.
    pub(super) fn type_in(&self, data: Bytes) -> bool {
        {
            let mut typed = lock(&self.typed);
            typed.last_input = Instant::now();
            typed.warned_until = None;
        }
        let before = self.waiting_input.fetch_add(data.len(), Ordering::AcqRel);
        if before + data.len() > INPUT_MOST {
            self.waiting_input.fetch_sub(data.len(), Ordering::AcqRel);
            return false;
        }
        // A terminal that has ended takes nothing, and its readers are told that it has.
        let _ = self.input.send(data);
        true
    }

    /// The last one who resizes wins, and the others are told.
    pub(super) fn resize(&self, viewer: u64, cols: u16, rows: u16) {
        let size = (cols.clamp(1, SIZE_MAX), rows.clamp(1, SIZE_MAX));
        {
            let mut typed = lock(&self.typed);
            if typed.size == size {
                return;
            }
            typed.size = size;
        }
        if let Some(pty) = self.pty.get() {
            let _ = pty.resize(size.0, size.1);
        }
        let _ = self.notices.send(Told { notice: TerminalNotice::Resized { cols: size.0, rows: size.1 }, not_to: Some(viewer) });
    }

    pub(super) fn with_ring<T>(&self, read: impl FnOnce(&Ring) -> T) -> T {
        read(&lock(&self.ring))
    }

    pub(super) fn watch(self: &Arc<Self>, after: Option<u64>) -> Viewer {
        let id = self.next_viewer.fetch_add(1, Ordering::Relaxed);
        Viewer::new(self.clone(), id, self.progress.subscribe(), self.notices.subscribe(), after)
    }
}

fn idle(closes_in: Duration) -> TerminalNotice {
    TerminalNotice::Idle { closes_in_s: closes_in.as_secs_f64().round() as u32 }
}
