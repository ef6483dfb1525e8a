//! Letters between processes, by Redis's publish and subscribe. One that is lost is lost: whoever writes numbers them, if it matters.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use redis::{Client, RedisError, RedisResult};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    LinkStatus,
    bus_link::{BackOff, Link, Owned, connect, connect_pubsub, worst},
};

const QUEUE: usize = 1024;
const BATCH: usize = 64;
const PATIENCE: Duration = Duration::from_secs(3);
const PING_EVERY: Duration = Duration::from_secs(2);

/// Where a letter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Every process but this one.
    All,
    /// The process with this [`RedisMail::address`].
    One(String),
}

/// The post office of this process.
pub struct RedisMail {
    queue: mpsc::Sender<(To, Vec<u8>)>,
    shared: Arc<Shared>,
    _tasks: [Owned; 2],
}

struct Shared {
    client: Client,
    prefix: String,
    address: String,
    listening: Link,
    sending: Link,
}

impl Shared {
    fn channel(&self, to: &To) -> String {
        match to {
            To::All => format!("{}:mail", self.prefix),
            To::One(address) => format!("{}:mail:{address}", self.prefix),
        }
    }
}

impl RedisMail {
    /// Connects in the background and for ever. Letters of other processes go to `receive`, in the order in which each was sent; it
    /// must not block. Fails only on an address that is none.
    pub fn start(url: &str, prefix: &str, receive: impl Fn(Vec<u8>) + Send + Sync + 'static) -> RedisResult<Self> {
        let shared = Arc::new(Shared {
            client: Client::open(url)?,
            prefix: prefix.to_owned(),
            address: Uuid::now_v7().simple().to_string(),
            listening: Link::new("letters in"),
            sending: Link::new("letters out"),
        });
        let (queue, letters) = mpsc::channel(QUEUE);
        let tasks = [Owned::spawn(listen(shared.clone(), receive)), Owned::spawn(send(shared.clone(), letters))];
        Ok(Self { queue, shared, _tasks: tasks })
    }

    /// Where others reach this process.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Never waits. `false` when the letter is lost already.
    pub fn send(&self, to: To, letter: Vec<u8>) -> bool {
        self.shared.sending.is_up() && self.queue.try_send((to, letter)).is_ok()
    }

    pub fn status(&self) -> LinkStatus {
        worst(&[&self.shared.listening, &self.shared.sending])
    }
}

async fn send(shared: Arc<Shared>, mut letters: mpsc::Receiver<(To, Vec<u8>)>) {
    let mut back_off = BackOff::new();
    loop {
        let error = match connect(&shared.client, PATIENCE).await {
            Ok(mut connection) => {
                shared.sending.set_up();
                back_off.reset();
                match send_all(&shared, &mut connection, &mut letters).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        shared.sending.set_down(&error);
        back_off.wait().await;
        while letters.try_recv().is_ok() {}
    }
}

async fn send_all(
    shared: &Shared,
    connection: &mut redis::aio::MultiplexedConnection,
    letters: &mut mpsc::Receiver<(To, Vec<u8>)>,
) -> RedisResult<()> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        match tokio::time::timeout(PING_EVERY, letters.recv_many(&mut batch, BATCH)).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(_) => {
                redis::cmd("PING").exec_async(connection).await?;
                continue;
            }
        }
        let mut pipe = redis::pipe();
        for (to, letter) in batch.drain(..) {
            pipe.cmd("PUBLISH").arg(shared.channel(&to)).arg(letter).ignore();
        }
        pipe.exec_async(connection).await?;
    }
}

async fn listen(shared: Arc<Shared>, receive: impl Fn(Vec<u8>) + Send + Sync + 'static) {
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
async fn hear(shared: &Shared, receive: &(impl Fn(Vec<u8>) + Send + Sync), back_off: &mut BackOff) -> RedisResult<()> {
    let (mut sink, mut messages) = connect_pubsub(&shared.client).await?.split();
    let no_answer = |_| RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    for to in [To::All, To::One(shared.address.clone())] {
        tokio::time::timeout(PATIENCE, sink.subscribe(shared.channel(&to))).await.map_err(no_answer)??;
    }
    shared.listening.set_up();
    back_off.reset();
    loop {
        match tokio::time::timeout(PING_EVERY, messages.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(message)) => receive(message.get_payload_bytes().to_vec()),
            Err(_) => {
                tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await.map_err(no_answer)??;
            }
        }
    }
}
