//! How readers learn at once that something was committed. The log in the database is the truth; the bus only saves asking it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use wire::event::{Event, Stream};

/// Waiting events per reader. A reader that is slower than this reads the log instead.
const QUEUE: usize = 256;

#[async_trait]
pub trait LiveBus: Send + Sync + 'static {
    /// Tells all readers. Never waits for one.
    async fn publish(&self, events: Vec<Event>);

    /// From the moment this returns, nothing that is published on these streams is missed without a [`Signal::Lagged`].
    async fn subscribe(&self, streams: &[Stream]) -> Subscription;
}

#[derive(Debug, Clone)]
pub enum Signal {
    Event(Arc<Event>),
    /// Something was dropped: read the log from your last sequence number on.
    Lagged,
}

struct Reader {
    id: u64,
    queue: mpsc::Sender<Arc<Event>>,
    lagged: Arc<Lag>,
}

/// Whether a reader must ask the log, and what wakes it when nothing else does.
#[derive(Default)]
struct Lag {
    is_set: AtomicBool,
    wake: Notify,
}

impl Lag {
    fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// A stream that somebody reads.
#[derive(Default)]
struct Topic {
    readers: Vec<Reader>,
    /// The highest number that was published here while somebody read.
    published: i64,
}

type Topics = Arc<Mutex<HashMap<Stream, Topic>>>;

/// The bus of a single process.
#[derive(Clone, Default)]
pub struct InProcessBus {
    topics: Topics,
    next_id: Arc<AtomicU64>,
}

/// One reader's end. Dropping it unsubscribes.
pub struct Subscription {
    id: u64,
    streams: Vec<Stream>,
    queue: mpsc::Receiver<Arc<Event>>,
    lagged: Arc<Lag>,
    topics: Topics,
}

impl Subscription {
    /// The next signal; `None` never comes while the bus lives.
    pub async fn next(&mut self) -> Option<Signal> {
        loop {
            // What is queued came before what was dropped.
            if let Ok(event) = self.queue.try_recv() {
                return Some(Signal::Event(event));
            }
            if self.lagged.is_set.swap(false, Ordering::AcqRel) {
                return Some(Signal::Lagged);
            }
            tokio::select! {
                event = self.queue.recv() => return event.map(Signal::Event),
                () = self.lagged.wake.notified() => {}
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in &self.streams {
            if let Some(topic) = topics.get_mut(stream) {
                topic.readers.retain(|reader| reader.id != self.id);
                if topic.readers.is_empty() {
                    topics.remove(stream);
                }
            }
        }
    }
}

impl InProcessBus {
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Stream, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all readers of this process.
    pub fn tell(&self, events: impl IntoIterator<Item = Event>) {
        let mut topics = self.lock();
        for event in events {
            let Some(topic) = topics.get_mut(&event.stream) else { continue };
            topic.published = topic.published.max(event.seq);
            let event = Arc::new(event);
            for reader in &topic.readers {
                // After a dropped event nothing is queued until the reader was told: it would take the later number for its position
                // and never ask the log for the earlier one.
                if reader.lagged.is_set.load(Ordering::Acquire) || reader.queue.try_send(event.clone()).is_err() {
                    reader.lagged.set();
                }
            }
        }
    }

    /// Sends the readers of one stream to the log.
    pub fn lag(&self, stream: Stream) {
        if let Some(topic) = self.lock().get(&stream) {
            topic.readers.iter().for_each(|reader| reader.lagged.set());
        }
    }

    /// Sends every reader to the log.
    pub fn lag_all(&self) {
        self.lock().values().flat_map(|topic| &topic.readers).for_each(|reader| reader.lagged.set());
    }

    /// Each stream that somebody reads, with the highest number that was published on it meanwhile.
    pub fn streams(&self) -> Vec<(Stream, i64)> {
        self.lock().iter().map(|(stream, topic)| (*stream, topic.published)).collect()
    }
}

#[async_trait]
impl LiveBus for InProcessBus {
    async fn publish(&self, events: Vec<Event>) {
        self.tell(events);
    }

    async fn subscribe(&self, streams: &[Stream]) -> Subscription {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, queue) = mpsc::channel(QUEUE);
        let lagged = Arc::<Lag>::default();
        let mut topics = self.lock();
        for stream in streams {
            topics.entry(*stream).or_default().readers.push(Reader { id, queue: sender.clone(), lagged: lagged.clone() });
        }
        Subscription { id, streams: streams.to_vec(), queue, lagged, topics: self.topics.clone() }
    }
}

#[cfg(test)]
mod tests {
    use wire::{Micros, event::EventKind};

    use super::*;

    fn event(seq: i64) -> Event {
        Event { stream: Stream::Admin, seq, at: Micros(0), kind: EventKind::ProjectChanged {} }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_and_does_not_grow() {
        let bus = InProcessBus::new();
        let mut reader = bus.subscribe(&[Stream::Admin]).await;
        bus.publish((1..=1000).map(event).collect()).await;
        for seq in 1..=QUEUE as i64 {
            assert!(matches!(reader.next().await, Some(Signal::Event(e)) if e.seq == seq));
        }
        assert!(matches!(reader.next().await, Some(Signal::Lagged)));
        bus.publish(vec![event(1001)]).await;
        assert!(matches!(reader.next().await, Some(Signal::Event(e)) if e.seq == 1001));
    }

    #[tokio::test]
    async fn nothing_overtakes_what_was_dropped() {
        let bus = InProcessBus::new();
        let mut reader = bus.subscribe(&[Stream::Admin]).await;
        let dropped = QUEUE as i64 + 1;
        bus.publish((1..=dropped).map(event).collect()).await;
        assert!(matches!(reader.next().await, Some(Signal::Event(e)) if e.seq == 1));
        bus.publish(vec![event(dropped + 1)]).await;
        for seq in 2..dropped {
            assert!(matches!(reader.next().await, Some(Signal::Event(e)) if e.seq == seq));
        }
        assert!(matches!(reader.next().await, Some(Signal::Lagged)));
    }

    #[tokio::test]
    async fn dropping_unsubscribes() {
        let bus = InProcessBus::new();
        drop(bus.subscribe(&[Stream::Admin]).await);
        assert!(bus.topics.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_waiting_reader_is_sent_to_the_log() {
        let bus = InProcessBus::new();
        let mut reader = bus.subscribe(&[Stream::Admin]).await;
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        bus.lag(Stream::Admin);
        assert!(matches!(waiting.await.unwrap(), Some(Signal::Lagged)));
        let mut reader = bus.subscribe(&[Stream::Admin]).await;
        bus.tell([event(7)]);
        bus.lag_all();
        assert_eq!(bus.streams(), [(Stream::Admin, 7)]);
        assert!(matches!(reader.next().await, Some(Signal::Event(e)) if e.seq == 7));
        assert!(matches!(reader.next().await, Some(Signal::Lagged)));
    }
}
