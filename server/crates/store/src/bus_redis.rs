//! Live events between processes: one Redis stream that every process writes to and reads from. It only saves asking the log;
//! whatever it drops is made up for by sending readers there.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use redis::{
    Client, RedisError, RedisResult,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamRangeReply, StreamReadReply},
};
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::event::{Event, Stream};

use crate::{
    InProcessBus, LinkStatus, LiveBus, Subscription,
    bus_link::{BackOff, Link, Owned, connect, worst},
};

/// Events on their way to Redis. When more wait, they are dropped and readers elsewhere are told to ask the log.
const QUEUE: usize = 1024;
const BATCH: usize = 128;
/// A larger event travels as its stream and number.
const LARGEST: usize = 16 * 1024;
/// Messages that Redis keeps, about.
const KEPT: usize = 10_000;
const READ_COUNT: usize = 512;
/// How long a read waits for a message, and how long for any answer at all.
const BLOCK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);
/// A writer that has nothing to say asks this often whether Redis is still there.
const PING_EVERY: Duration = Duration::from_secs(2);

/// The bus of processes that share a Redis. Readers of the same process are told directly.
pub struct RedisBus {
    local: InProcessBus,
    queue: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    _tasks: [Owned; 2],
}

struct Shared {
    client: Client,
    key: String,
    /// This process among those that write.
    instance: String,
    /// Something was not sent.
    missed: AtomicBool,
    reading: Link,
    writing: Link,
}

#[derive(Debug, Clone, PartialEq)]
enum Message {
    /// An event as JSON.
    Event(String),
    /// Something happened on a stream.
    Hint(Stream, i64),
    /// Something happened anywhere.
    CatchUp,
}

impl RedisBus {
    /// Connects in the background and for ever. `prefix` keeps installations that share a Redis apart. Fails only on an address
    /// that is none.
    pub fn start(url: &str, prefix: &str) -> RedisResult<Self> {
        let shared = Arc::new(Shared {
            client: Client::open(url)?,
            key: format!("{prefix}:events"),
            instance: Uuid::now_v7().simple().to_string(),
            missed: AtomicBool::new(false),
            reading: Link::new("events in"),
            writing: Link::new("events out"),
        });
        let local = InProcessBus::new();
        let (queue, messages) = mpsc::channel(QUEUE);
        let reader = Reader { shared: shared.clone(), local: local.clone(), position: None, counts: HashMap::new() };
        let tasks = [Owned::spawn(reader.run()), Owned::spawn(write(shared.clone(), messages))];
        Ok(Self { local, queue, shared, _tasks: tasks })
    }

    /// The half that reaches readers of this process.
    pub fn local(&self) -> &InProcessBus {
        &self.local
    }

    pub fn status(&self) -> LinkStatus {
        worst(&[&self.shared.reading, &self.shared.writing])
    }
}

#[async_trait]
impl LiveBus for RedisBus {
    async fn publish(&self, events: Vec<Event>) {
        let messages: Vec<Message> = events.iter().map(Message::of).collect();
        self.local.tell(events);
        for message in messages {
            if self.queue.try_send(message).is_err() {
                self.shared.missed.store(true, Ordering::Release);
            }
        }
    }

    async fn subscribe(&self, streams: &[Stream]) -> Subscription {
        self.local.subscribe(streams).await
    }
}

impl Message {
    fn of(event: &Event) -> Self {
        match serde_json::to_string(event) {
            Ok(text) if text.len() <= LARGEST => Self::Event(text),
            _ => Self::Hint(event.stream, event.seq),
        }
    }

    fn add_to(&self, pipe: &mut redis::Pipeline, shared: &Shared, count: u64) {
        let command = pipe.cmd("XADD").arg(&shared.key).arg("MAXLEN").arg("~").arg(KEPT).arg("*");
        let command = command.arg("from").arg(&shared.instance).arg("n").arg(count);
        match self {
            Self::Event(text) => command.arg("event").arg(text),
            Self::Hint(stream, seq) => command.arg("hint").arg(format!("{stream}@{seq}")),
            Self::CatchUp => command.arg("all").arg(1),
        };
        pipe.ignore();
    }
}

/// Sends what is queued as long as the bus lives. While Redis is away everything is dropped, and remembered as missed.
async fn write(shared: Arc<Shared>, mut messages: mpsc::Receiver<Message>) {
    let mut back_off = BackOff::new();
    // Counts every message that was tried: a reader that finds a number left out knows that it missed something.
    let mut count = 0;
    loop {
        let error = match connect(&shared.client, PATIENCE).await {
            Ok(mut connection) => {
                shared.writing.set_up();
                back_off.reset();
                match send_all(&shared, &mut connection, &mut messages, &mut count).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        shared.missed.store(true, Ordering::Release);
        shared.writing.set_down(&error);
        back_off.wait().await;
        while messages.try_recv().is_ok() {}
    }
}

/// Ends well only when the bus is gone.
async fn send_all(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    messages: &mut mpsc::Receiver<Message>,
    count: &mut u64,
) -> RedisResult<()> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if shared.missed.swap(false, Ordering::AcqRel) {
            batch.push(Message::CatchUp);
        }
        if batch.is_empty() {
            match tokio::time::timeout(PING_EVERY, messages.recv_many(&mut batch, BATCH)).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) => {
                    redis::cmd("PING").exec_async(connection).await?;
                    continue;
                }
            }
        }
        let mut pipe = redis::pipe();
        for message in batch.drain(..) {
            *count += 1;
            message.add_to(&mut pipe, shared, *count);
        }
        pipe.exec_async(connection).await?;
    }
}

struct Reader {
    shared: Arc<Shared>,
    local: InProcessBus,
    /// The last message that was read.
    position: Option<String>,
    /// How far each writer was.
    counts: HashMap<String, u64>,
}

impl Reader {
    async fn run(mut self) {
        let mut back_off = BackOff::new();
        loop {
            let Err(error) = self.follow(&mut back_off).await;
            self.shared.reading.set_down(&error);
            // Until it is back, the log says what happens.
            self.local.lag_all();
            back_off.wait().await;
        }
    }

    async fn follow(&mut self, back_off: &mut BackOff) -> Result<Infallible, RedisError> {
        let mut connection = connect(&self.shared.client, BLOCK + PATIENCE).await?;
        let newest = self.newest(&mut connection).await?;
        // A position after the newest message is one in a stream that is gone.
        let mut position = match self.position.take() {
            Some(position) if parse_id(&position) <= parse_id(&newest) => position,
            _ => newest,
        };
        self.shared.reading.set_up();
        back_off.reset();
        // What was written before the position was known is in the log.
        self.local.lag_all();
        loop {
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(READ_COUNT).arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
            let reply: RedisResult<Option<StreamReadReply>> = read.arg(&self.shared.key).arg(&position).query_async(&mut connection).await;
            self.position = Some(position.clone());
            for message in reply?.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                self.take(&message);
                position = message.id;
            }
        }
    }

    async fn newest(&self, connection: &mut MultiplexedConnection) -> RedisResult<String> {
        let mut command = redis::cmd("XREVRANGE");
        let reply: StreamRangeReply = command.arg(&self.shared.key).arg("+").arg("-").arg("COUNT").arg(1).query_async(connection).await?;
        Ok(reply.ids.into_iter().next().map_or_else(|| "0-0".to_owned(), |message| message.id))
    }

    fn take(&mut self, message: &StreamId) {
        let (Some(from), Some(count)) = (message.get::<String>("from"), message.get::<u64>("n")) else { return };
        if from == self.shared.instance {
            return;
        }
        if self.counts.len() > 1024 {
            // Of processes that are long gone, most likely.
            self.counts.clear();
        }
        if self.counts.insert(from, count).unwrap_or(0) + 1 != count {
            self.local.lag_all();
        }
        if let Some(text) = message.get::<String>("event") {
            match serde_json::from_str(&text) {
                Ok(event) => self.local.tell([event]),
                // A newer version's, most likely. Whoever reads the log will say so.
                Err(error) => {
                    tracing::warn!(%error, "an event from another process can't be read");
                    self.local.lag_all();
                }
            }
        } else if let Some(hint) = message.get::<String>("hint") {
            match hint.split_once('@').and_then(|(stream, _)| stream.parse().ok()) {
                Some(stream) => self.local.lag(stream),
                None => self.local.lag_all(),
            }
        } else {
            self.local.lag_all();
        }
    }
}

/// Milliseconds and a number within them.
fn parse_id(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use wire::{Micros, RunId, event::EventKind, event::OutputChannel};

    use super::*;

    #[test]
    fn large_events_travel_as_a_hint() {
        let stream = Stream::Run(RunId::from(Uuid::nil()));
        let event = |bytes: usize| Event {
            stream,
            seq: 4,
            at: Micros(0),
            kind: EventKind::Output { channel: OutputChannel::Stdout, offset: 0, data: "A".repeat(bytes) },
        };
        assert!(matches!(Message::of(&event(100)), Message::Event(_)));
        assert_eq!(Message::of(&event(LARGEST)), Message::Hint(stream, 4));
    }

    #[test]
    fn positions_compare_as_numbers() {
        assert!(parse_id("999-11") < parse_id("1000-2"));
        assert!(parse_id("1000-2") < parse_id("1000-11"));
        assert_eq!(parse_id("0-0"), (0, 0));
    }
}
