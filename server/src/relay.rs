//! Terminals of other processes, by letters through Redis. The process that runs a terminal keeps a seat for each distant reader, with
//! the same pace and limits as for its own, and this passes on what is shown and what is typed.

mod letter;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use agent::{Seat, Shown, TerminalHub, TerminalRelay};
use async_trait::async_trait;
use bytes::Bytes;
use store::{LinkStatus, RedisMail, To};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use uuid::Uuid;
use wire::RunId;

use letter::{Letter, Said};

/// Both ends say this often that they are still there.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// An end that is silent for this long is gone, or the letters are lost.
const SILENCE_MOST: Duration = Duration::from_secs(7);
/// A question that nobody answered is asked again.
const ASK_EVERY: Duration = Duration::from_millis(200);

type Letters = mpsc::UnboundedReceiver<(Said, Bytes)>;

/// Letters by the reader they are about. What waits there is bounded by what a reader is sent before it says that it took it in, and by
/// how fast it may type.
#[derive(Default)]
struct Desks {
    readers: Mutex<HashMap<Uuid, mpsc::UnboundedSender<(Said, Bytes)>>>,
    asked: Mutex<HashMap<Uuid, oneshot::Sender<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to terminals wherever they run, for servers and workers that share a Redis.
pub struct RedisRelay(Arc<Office>);

struct Office {
    hub: Arc<TerminalHub>,
    desks: Desks,
    mail: OnceLock<RedisMail>,
}

impl RedisRelay {
    /// Answers other processes from `hub`, and asks them for what is not there. Fails only on an address that is none.
    pub fn start(url: &str, prefix: &str, hub: Arc<TerminalHub>) -> Result<Self, store::RedisError> {
        let office = Arc::new(Office { hub, desks: Desks::default(), mail: OnceLock::new() });
        let receiver = Arc::downgrade(&office);
        let mail = RedisMail::start(url, prefix, move |bytes| receive(&receiver, bytes))?;
        let _ = office.mail.set(mail);
        Ok(Self(office))
    }

    pub fn status(&self) -> LinkStatus {
        self.0.mail.get().map_or(LinkStatus::Up, RedisMail::status)
    }
}

impl Office {
    fn send(&self, to: To, reader: Uuid, said: Said, body: Bytes) -> bool {
        self.mail.get().is_some_and(|mail| mail.send(to, Letter { reader, said, body }.write()))
    }

    fn address(&self) -> String {
        self.mail.get().map(|mail| mail.address().to_owned()).unwrap_or_default()
    }

    /// Somebody elsewhere wants to watch a terminal; whoever has it answers.
    async fn seat_distant(self: Arc<Self>, reader: Uuid, id: RunId, after: Option<u64>, from: String) {
        if lock(&self.desks.readers).contains_key(&reader) {
            return;
        }
        let Some(seat) = self.hub.attach(id, after, Duration::ZERO).await else { return };
        let (sender, letters) = mpsc::unbounded_channel();
        if lock(&self.desks.readers).insert(reader, sender).is_some() {
            return;
        }
        let to = To::One(from);
        self.send(to.clone(), reader, Said::Found { at: self.address() }, Bytes::new());
        self.pass_on(seat, reader, &to, letters).await;
        lock(&self.desks.readers).remove(&reader);
    }

    async fn pass_on(&self, mut seat: Box<dyn Seat>, reader: Uuid, to: &To, mut letters: Letters) {
        let mut number = 0;
        let mut heard_at = Instant::now();
        let mut alive = interval(ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (said, body, is_last) = tokio::select! {
                shown = seat.next() => {
                    number += 1;
                    match shown {
                        Shown::Bytes(data) => (Said::Printed { number }, data, false),
                        Shown::Notice(notice) => (Said::Told { number, notice }, Bytes::new(), false),
                        Shown::Closed(sentence) => (Said::Closed { number, sentence }, Bytes::new(), true),
                        Shown::Away => return,
                    }
                }
                letter = letters.recv() => {
                    heard_at = Instant::now();
                    match letter {
                        Some((Said::Typed, data)) => seat.type_in(data),
                        Some((Said::Resize { cols, rows }, _)) => seat.resize(cols, rows),
                        Some((Said::TakenIn { bytes }, _)) => seat.take_in(bytes),
                        Some((Said::Left, _)) | None => return,
                        Some(_) => {}
                    }
                    continue;
                }
                _ = alive.tick() => {
                    if heard_at.elapsed() > SILENCE_MOST {
                        return;
                    }
                    (Said::Alive { number }, Bytes::new(), false)
                }
            };
            // What can't be sent leaves a gap in the numbers, and the reader comes back by itself.
            if !self.send(to.clone(), reader, said, body) || is_last {
                return;
            }
        }
    }
}

fn receive(office: &Weak<Office>, bytes: Vec<u8>) {
    let Some(office) = office.upgrade() else { return };
    let Some(Letter { reader, said, body }) = Letter::read(bytes) else {
        tracing::debug!("a letter from another process can't be read");
        return;
    };
    match said {
        Said::Seek { id, after, from } => {
            if from != office.address() {
                tokio::spawn(office.seat_distant(reader, id, after, from));
            }
        }
        Said::Found { at } => {
            if let Some(asked) = lock(&office.desks.asked).remove(&reader) {
                let _ = asked.send(at);
            }
        }
        said => {
            if let Some(desk) = lock(&office.desks.readers).get(&reader) {
                let _ = desk.send((said, body));
            }
        }
    }
}

#[async_trait]
impl TerminalRelay for RedisRelay {
    fn refusal(&self) -> Option<&'static str> {
        None
    }

    async fn attach(&self, id: RunId, after: Option<u64>, patience: Duration) -> Option<Box<dyn Seat>> {
        if let Some(seat) = self.0.hub.attach(id, after, Duration::ZERO).await {
            return Some(seat);
        }
        let reader = Uuid::now_v7();
        let (sender, letters) = mpsc::unbounded_channel();
        let (answer, mut answered) = oneshot::channel();
        lock(&self.0.desks.readers).insert(reader, sender);
        lock(&self.0.desks.asked).insert(reader, answer);
        let mut seat = DistantSeat {
            office: self.0.clone(),
            reader,
            at: String::new(),
            letters,
            number: 0,
            heard_at: Instant::now(),
            said_at: Instant::now(),
        };
        let deadline = Instant::now() + patience.max(ASK_EVERY);
        while Instant::now() < deadline {
            let seek = Said::Seek { id, after, from: self.0.address() };
            self.0.send(To::All, reader, seek, Bytes::new());
            let pause = ASK_EVERY.min(deadline.saturating_duration_since(Instant::now()));
            tokio::select! {
                // One that opens here meanwhile needs no letters.
                found = self.0.hub.attach(id, after, pause) => {
                    if found.is_some() {
                        return found;
                    }
                }
                Ok(Ok(at)) = timeout(pause, &mut answered) => {
                    seat.at = at;
                    return Some(Box::new(seat));
                }
            }
        }
        None
    }
}

/// A reader's end here of a seat elsewhere.
struct DistantSeat {
    office: Arc<Office>,
    reader: Uuid,
    /// The process that runs the terminal.
    at: String,
    letters: Letters,
    /// Of the last thing that was shown.
    number: u64,
    heard_at: Instant,
    said_at: Instant,
}

impl DistantSeat {
    fn say(&mut self, said: Said, body: Bytes) {
        self.said_at = Instant::now();
        self.office.send(To::One(self.at.clone()), self.reader, said, body);
    }

    /// `None` for what is not shown.
    fn show(&mut self, said: Said, body: Bytes) -> Option<Shown> {
        let (number, shown) = match said {
            Said::Printed { number } => (number, Shown::Bytes(body)),
            Said::Told { number, notice } => (number, Shown::Notice(notice)),
            Said::Closed { number, sentence } => (number, Shown::Closed(sentence)),
            // It counts what was shown before.
            Said::Alive { number } => return (number != self.number).then_some(Shown::Away),
            _ => return None,
        };
        self.number += 1;
        Some(if number == self.number { shown } else { Shown::Away })
    }
}

#[async_trait]
impl Seat for DistantSeat {
    async fn next(&mut self) -> Shown {
        loop {
            let (silent_at, say_at) = (self.heard_at + SILENCE_MOST, self.said_at + ALIVE_EVERY);
            tokio::select! {
                letter = self.letters.recv() => {
                    self.heard_at = Instant::now();
                    let Some((said, body)) = letter else { return Shown::Away };
                    if let Some(shown) = self.show(said, body) {
                        return shown;
                    }
                }
                () = sleep_until(silent_at) => return Shown::Away,
                () = sleep_until(say_at) => self.say(Said::Alive { number: 0 }, Bytes::new()),
            }
        }
    }

    fn take_in(&mut self, bytes: u64) {
        self.say(Said::TakenIn { bytes }, Bytes::new());
    }

    fn type_in(&mut self, data: Bytes) {
        self.say(Said::Typed, data);
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        self.say(Said::Resize { cols, rows }, Bytes::new());
    }
}

impl Drop for DistantSeat {
    fn drop(&mut self) {
        lock(&self.office.desks.readers).remove(&self.reader);
        lock(&self.office.desks.asked).remove(&self.reader);
        if !self.at.is_empty() {
            let to = To::One(std::mem::take(&mut self.at));
            self.office.send(to, self.reader, Said::Left, Bytes::new());
        }
    }
}
