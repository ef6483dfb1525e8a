//! Wake-ups and cancels between processes, by Redis's publish and subscribe. What is lost is found in the database a second later.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use redis::{Client, RedisError, RedisResult};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    LinkStatus,
    bus_link::{BackOff, Link, Owned, connect, connect_pubsub, worst},
};

const QUEUE: usize = 256;
const PATIENCE: Duration = Duration::from_secs(3);
const PING_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSignal {
    /// Something was queued, or a place became free.
    Wake,
    /// A job or a run is to stop.
    Cancel(Uuid),
}

impl JobSignal {
    fn write(self, instance: &str) -> String {
        match self {
            Self::Wake => format!("{instance} wake"),
            Self::Cancel(id) => format!("{instance} cancel {id}"),
        }
    }

    /// `None` for what this process sent itself, and for what it does not understand.
    fn read(text: &str, instance: &str) -> Option<Self> {
        let (from, rest) = text.split_once(' ')?;
        if from == instance {
            return None;
        }
        match rest.split_once(' ') {
            Some(("cancel", id)) => id.parse().ok().map(Self::Cancel),
            None if rest == "wake" => Some(Self::Wake),
            _ => None,
        }
    }
}

/// Takes signals to other processes.
pub trait SignalsLink: Send + Sync + 'static {
    /// Never waits, and promises nothing.
    fn send(&self, signal: JobSignal);
}

pub struct RedisSignals {
    queue: mpsc::Sender<JobSignal>,
    shared: Arc<Shared>,
    _tasks: [Owned; 2],
}

struct Shared {
    client: Client,
    channel: String,
    instance: String,
    listening: Link,
    sending: Link,
}

impl RedisSignals {
    /// Connects in the background and for ever. Other processes' signals go to `receive`; so does a wake-up after each connection,
    /// for those that were missed. Fails only on an address that is none.
    pub fn start(url: &str, prefix: &str, receive: impl Fn(JobSignal) + Send + Sync + 'static) -> RedisResult<Self> {
        let shared = Arc::new(Shared {
            client: Client::open(url)?,
            channel: format!("{prefix}:jobs"),
            instance: Uuid::now_v7().simple().to_string(),
            listening: Link::new("signals in"),
            sending: Link::new("signals out"),
        });
        let (queue, signals) = mpsc::channel(QUEUE);
        let tasks = [Owned::spawn(listen(shared.clone(), receive)), Owned::spawn(send(shared.clone(), signals))];
        Ok(Self { queue, shared, _tasks: tasks })
    }

    pub fn status(&self) -> LinkStatus {
        worst(&[&self.shared.listening, &self.shared.sending])
    }
}

impl SignalsLink for RedisSignals {
    fn send(&self, signal: JobSignal) {
        if self.shared.sending.is_up() && self.queue.try_send(signal).is_err() {
            tracing::debug!("a signal to other processes was dropped");
        }
    }
}

async fn send(shared: Arc<Shared>, mut signals: mpsc::Receiver<JobSignal>) {
    let mut back_off = BackOff::new();
    loop {
        let error = match connect(&shared.client, PATIENCE).await {
            Ok(mut connection) => {
                shared.sending.set_up();
                back_off.reset();
                match send_all(&shared, &mut connection, &mut signals).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        shared.sending.set_down(&error);
        back_off.wait().await;
        while signals.try_recv().is_ok() {}
    }
}

async fn send_all(
    shared: &Shared,
    connection: &mut redis::aio::MultiplexedConnection,
    signals: &mut mpsc::Receiver<JobSignal>,
) -> RedisResult<()> {
    let mut batch = Vec::with_capacity(QUEUE);
    loop {
        match tokio::time::timeout(PING_EVERY, signals.recv_many(&mut batch, QUEUE)).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(_) => {
                redis::cmd("PING").exec_async(connection).await?;
                continue;
            }
        }
        // Many wake-ups are one.
        let is_awake = batch.contains(&JobSignal::Wake);
        batch.retain(|signal| *signal != JobSignal::Wake);
        batch.extend(is_awake.then_some(JobSignal::Wake));
        let mut pipe = redis::pipe();
        for signal in batch.drain(..) {
            pipe.cmd("PUBLISH").arg(&shared.channel).arg(signal.write(&shared.instance)).ignore();
        }
        pipe.exec_async(connection).await?;
    }
}

async fn listen(shared: Arc<Shared>, receive: impl Fn(JobSignal) + Send + Sync + 'static) {
    let mut back_off = BackOff::new();
    loop {
        let error = match hear(&shared, &receive, &mut back_off).await {
            Ok(()) => RedisError::from((redis::ErrorKind::Io, "the connection was closed")),
            Err(error) => error,
        };
        shared.listening.set_down(&error);
        back_off.wait().await;
    }
}

/// Ends when the connection does.
async fn hear(shared: &Shared, receive: &(impl Fn(JobSignal) + Send + Sync), back_off: &mut BackOff) -> RedisResult<()> {
    let (mut sink, mut messages) = connect_pubsub(&shared.client).await?.split();
    let no_answer = |_| RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    tokio::time::timeout(PATIENCE, sink.subscribe(&shared.channel)).await.map_err(no_answer)??;
    shared.listening.set_up();
    back_off.reset();
    receive(JobSignal::Wake);
    loop {
        match tokio::time::timeout(PING_EVERY, messages.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(message)) => {
                let text: String = message.get_payload().unwrap_or_default();
                if let Some(signal) = JobSignal::read(&text, &shared.instance) {
                    receive(signal);
                }
            }
            Err(_) => {
                tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await.map_err(no_answer)??;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_survive_the_way_and_one_s_own_are_not_heard() {
        for signal in [JobSignal::Wake, JobSignal::Cancel(Uuid::now_v7())] {
            assert_eq!(JobSignal::read(&signal.write("a"), "b"), Some(signal));
            assert_eq!(JobSignal::read(&signal.write("a"), "a"), None);
        }
        assert_eq!(JobSignal::read("a stop everything", "b"), None);
        assert_eq!(JobSignal::read("a cancel what", "b"), None);
    }
}
