//! How readers learn at once that something was committed. The log in the database is the truth; the bus only saves asking it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::mpsc;
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
    lagged: Arc<AtomicBool>,
}

type Readers = Arc<Mutex<HashMap<Stream, Vec<Reader>>>>;

/// The bus of a single process.
#[derive(Clone, Default)]
pub struct InProcessBus {
    readers: Readers,
    next_id: Arc<AtomicU64>,
}

/// One reader's end. Dropping it unsubscribes.
pub struct Subscription {
    id: u64,
    streams: Vec<Stream>,
    queue: mpsc::Receiver<Arc<Event>>,
    lagged: Arc<AtomicBool>,
    readers: Readers,
}

impl Subscription {
    /// The next signal; `None` never comes while the bus lives.
    pub async fn next(&mut self) -> Option<Signal> {
        // What is queued came before what was dropped.
        if let Ok(event) = self.queue.try_recv() {
            return Some(Signal::Event(event));
        }
        if self.lagged.swap(false, Ordering::AcqRel) {
            return Some(Signal::Lagged);
        }
        self.queue.recv().await.map(Signal::Event)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in &self.streams {
            if let Some(list) = readers.get_mut(stream) {
                list.retain(|reader| reader.id != self.id);
                if list.is_empty() {
                    readers.remove(stream);
                }
            }
        }
    }
}

impl InProcessBus {
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl LiveBus for InProcessBus {
    async fn publish(&self, events: Vec<Event>) {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let Some(list) = readers.get(&event.stream) else { continue };
            let event = Arc::new(event);
            for reader in list {
                // After a dropped event nothing is queued until the reader was told: it would take the later number for its position
                // and never ask the log for the earlier one.
                if reader.lagged.load(Ordering::Acquire) || reader.queue.try_send(event.clone()).is_err() {
                    reader.lagged.store(true, Ordering::Release);
                }
            }
        }
    }

    async fn subscribe(&self, streams: &[Stream]) -> Subscription {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, queue) = mpsc::channel(QUEUE);
        let lagged = Arc::new(AtomicBool::new(false));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams {
            readers.entry(*stream).or_default().push(Reader { id, queue: sender.clone(), lagged: lagged.clone() });
        }
        Subscription { id, streams: streams.to_vec(), queue, lagged, readers: self.readers.clone() }
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
        assert!(bus.readers.lock().unwrap().is_empty());
    }
}
