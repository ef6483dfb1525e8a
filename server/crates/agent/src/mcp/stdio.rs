//! Servers that are commands: started inside the sandbox, over a copy of the project that is thrown away, with no network. One is
//! started to be asked what it offers, and once more for its first call; that one stays for the calls after it. It gives the checkout
//! free as soon as somebody else needs it, and ends with the turn.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::mcp::ToolServer;
use sandbox::{Kind, Limits, Network, PtyInput, RunDir, Running, Spec, StopGrace, Stopper, shell};
use serde_json::Value;
use tokio::{
    sync::{Mutex as Turns, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{
    Place,
    results::Offer,
    session::{McpError, Session, Wire, answer_to, is_answer},
};

/// Printed once the terminal no longer echoes: what is typed before would come back as if the server had said it.
const READY: &str = "mcp-line-is-ready";
const LINE_MAX: usize = 8 << 20;
/// A little more than a turn may work.
const LIFE_MAX: Duration = Duration::from_secs(3700);
/// How often a command that waits for the next call looks whether it is in somebody's way, who waits for a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For a server to take in what it had asked for.
const REPLY_MAX: Duration = Duration::from_secs(5);

const DIED: &str = "it had ended, and what it remembered is gone.";
const MADE_ROOM: &str = "it was ended because the project's files had to change below it, and what it remembered is gone.";

pub struct Program {
    place: Place,
    line: String,
    /// One call at a time.
    held: Turns<Held>,
    /// Of whatever was started last.
    stopper: Mutex<Option<Stopper>>,
}

/// The command that stays.
#[derive(Default)]
struct Held {
    session: Option<Session<StdioWire>>,
    /// Why there is none any more; `None` before the first call.
    end: Option<End>,
    /// It was started again after it had ended by itself. That is done once.
    revived: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// Somebody else needed the checkout.
    MadeRoom,
    /// By itself, or in the middle of a call.
    Died(McpError),
}

impl Program {
    pub fn new(server: &ToolServer, place: &Place) -> Self {
        Self { place: place.clone(), line: server.target.clone(), held: Turns::default(), stopper: Mutex::default() }
    }

    pub async fn list(&self) -> Result<Vec<Offer>, McpError> {
        Session::open(self.start().await?).await?.list().await
    }

    /// `anew` says why, where the command had been started before and is now started again. Dropped in the middle of a call, it takes
    /// the command along: nobody knows what it would answer next.
    pub async fn call(&self, params: Value, anew: &mut Option<&'static str>) -> Result<Value, McpError> {
        let mut held = self.held.lock().await;
        let session = match held.session.take() {
            Some(session) => match session.wire().line.occupy() {
                Ok(()) => session,
                Err(end) => {
                    held.end = Some(end);
                    drop(session);
                    self.start_again(&mut held, anew).await?
                }
            },
            None => self.start_again(&mut held, anew).await?,
        };
        held.end = Some(End::Died(McpError::Stopped));
        let answer = session.call(params).await;
        match &answer {
            Ok(_) | Err(McpError::Refused(_)) => {
                session.wire().line.release();
                held.session = Some(session);
            }
            Err(error) => held.end = Some(End::Died(error.clone())),
        }
        answer
    }

    async fn start_again(&self, held: &mut Held, anew: &mut Option<&'static str>) -> Result<Session<StdioWire>, McpError> {
        match &held.end {
            None => {}
            Some(End::MadeRoom) => *anew = Some(MADE_ROOM),
            Some(End::Died(_)) if held.revived => {
                return Err(McpError::Unreachable("it has ended twice in this turn and is not started again".into()));
            }
            Some(End::Died(_)) => {
                held.revived = true;
                *anew = Some(DIED);
            }
        }
        Session::open(self.start().await?).await
    }

    /// Ends the command. Returns when nothing of it is alive.
    pub async fn close(&self) {
        let stopper = self.last_started().take();
        if let Some(stopper) = stopper {
            stopper.stop(StopGrace::Kill).await;
        }
    }

    fn last_started(&self) -> MutexGuard<'_, Option<Stopper>> {
        self.stopper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self) -> Result<StdioWire, McpError> {
        let scratch = Scratch::make(&self.place).await?;
        // A terminal that passes bytes through is a pipe both ways; what the server says to people is not for us.
        let command = format!("stty raw -echo && printf '{READY}\\n' && exec 2>/dev/null && {}", self.line);
        let spec = Spec {
            id: scratch.id,
            kind: Kind::SandboxExec,
            argv: shell(&command),
            dir: RunDir::Branch { project: self.place.project.0, branch: scratch.id },
            cwd: String::new(),
            env: Vec::new(),
            limits: Limits { wall: LIFE_MAX, memory_bytes: 1 << 30, pids: 128, ..Limits::default() },
            network: Network::None,
            tty: Some((200, 50)),
        };
        let mut running = self.place.sandbox.start(spec).await.map_err(|refused| McpError::Unreachable(refused.reason))?;
        *self.last_started() = Some(running.stopper());
        let input = running.input.take().ok_or_else(|| McpError::Unreachable("it has no input".into()))?;
        let mut lines = Lines { running, buffer: Vec::new(), _scratch: scratch };
        while lines.next().await? != READY {}
        let line = Arc::new(Line::default());
        let reader = Reader { lines, input: input.clone(), line: line.clone(), place: self.place.clone() };
        Ok(StdioWire { input, line, _reader: AbortOnDropHandle::new(tokio::spawn(reader.read())) })
    }
}

/// A copy of the project, thrown away with what was written there.
struct Scratch {
    place: Place,
    id: Uuid,
}

impl Scratch {
    async fn make(place: &Place) -> Result<Self, McpError> {
        let id = Uuid::now_v7();
        let made = place.sandbox.workspaces().create_branch(place.project.0, id).await;
        made.map_err(|error| McpError::Unreachable(format!("no place could be made for it: {error}")))?;
        Ok(Self { place: place.clone(), id })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (place, id) = (self.place.clone(), self.id);
        // Waits until nothing of the command is alive. What this misses, the hourly cleanup finds.
        runtime.spawn(async move {
            if let Err(error) = place.sandbox.workspaces().drop_branch(place.project.0, id).await {
                tracing::warn!(%error, "what a server with tools wrote could not be removed yet");
            }
        });
    }
}

struct Lines {
    /// Dropping it kills the command.
    running: Running,
    buffer: Vec<u8>,
    _scratch: Scratch,
}

impl Lines {
    async fn next(&mut self) -> Result<String, McpError> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(at + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if self.buffer.len() > LINE_MAX {
                return Err(McpError::Malformed("one line of it was far too long".into()));
            }
            let chunk = self.running.output.recv().await.ok_or(McpError::CutOff)?;
            self.buffer.extend_from_slice(&chunk.data);
        }
    }
}

/// What a call and the reader of its answer tell each other.
struct Line {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Somebody is in the middle of something.
    is_busy: bool,
    /// Who waits for which answer.
    waiting: Option<(u64, oneshot::Sender<Value>)>,
    end: Option<End>,
}

impl Default for Line {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { is_busy: true, waiting: None, end: None }) }
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the command is not ended for others.
    fn occupy(&self) -> Result<(), End> {
        let mut inner = self.lock();
        match inner.end.clone() {
            Some(end) => Err(end),
            None => {
                inner.is_busy = true;
                Ok(())
            }
        }
    }

    fn release(&self) {
        self.lock().is_busy = false;
    }

    /// The first reason counts. Whoever waits for an answer learns of it.
    fn end(&self, end: End) {
        let mut inner = self.lock();
        inner.end.get_or_insert(end);
        inner.waiting = None;
    }

    fn end_if_idle(&self) -> bool {
        let mut inner = self.lock();
        if !inner.is_busy {
            inner.end.get_or_insert(End::MadeRoom);
        }
        !inner.is_busy
    }

    fn take_answer(&self, message: Value) {
        let mut inner = self.lock();
        if inner.waiting.as_ref().is_some_and(|(id, _)| is_answer(&message, *id))
            && let Some((_, waiting)) = inner.waiting.take()
        {
            // Who gave up waiting gave the command up too.
            let _ = waiting.send(message);
        }
    }
}

/// Takes what the server says at any time, so that it never stands still with its output full. Dropped, it ends the command.
struct Reader {
    lines: Lines,
    input: PtyInput,
    line: Arc<Line>,
    place: Place,
}

impl Reader {
    async fn read(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                line = self.lines.next() => match line {
                    Ok(line) => self.take(&line).await,
                    Err(error) => self.line.end(End::Died(error)),
                },
                _ = look.tick() => {
                    if self.place.sandbox.workspaces().is_wanted(self.place.project.0) && self.line.end_if_idle() {
                        return;
                    }
                }
            }
            if self.line.lock().end.is_some() {
                return;
            }
        }
    }

    async fn take(&mut self, line: &str) {
        // What is not JSON is something the server prints for people.
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        let Some(reply) = answer_to(&message) else { return self.line.take_answer(message) };
        let written = timeout(REPLY_MAX, self.input.write(format!("{reply}\n").as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            self.line.end(End::Died(McpError::CutOff));
        }
    }
}

struct StdioWire {
    input: PtyInput,
    line: Arc<Line>,
    _reader: AbortOnDropHandle<()>,
}

impl StdioWire {
    fn why_ended(&self) -> McpError {
        match &self.line.lock().end {
            Some(End::Died(error)) => error.clone(),
            Some(End::MadeRoom) | None => McpError::CutOff,
        }
    }
}

#[async_trait]
impl Wire for StdioWire {
    async fn ask(&self, id: u64, request: &Value) -> Result<Value, McpError> {
        let (waiting, answer) = oneshot::channel();
        {
            let mut inner = self.line.lock();
            // Ended already, nobody would answer.
            if inner.end.is_none() {
                inner.waiting = Some((id, waiting));
            }
        }
        self.tell(request).await?;
        answer.await.map_err(|_| self.why_ended())
    }

    async fn tell(&self, message: &Value) -> Result<(), McpError> {
        self.input.write(format!("{message}\n").as_bytes()).await.map_err(|_| self.why_ended())
    }
}
