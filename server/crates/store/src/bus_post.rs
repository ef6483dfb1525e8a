//! Publish and subscribe through Redis, connected in the background and for ever. A letter that is lost is lost: whoever writes numbers
//! them, or has another way to find out.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use redis::{Client, RedisError, RedisResult};
use tokio::sync::mpsc;

use crate::{
    LinkStatus,
    bus_link::{BackOff, Link, Owned, connect, connect_pubsub, worst},
};

const QUEUE: usize = 1024;
const BATCH: usize = 64;
const PATIENCE: Duration = Duration::from_secs(3);
const PING_EVERY: Duration = Duration::from_secs(2);

/// What a listener is told.
pub(crate) enum Heard {
    /// It hears from here on; what was said before is lost.
    Connected,
    Letter(Vec<u8>),
}

struct Letter {
    channel: String,
    text: Vec<u8>,
}

pub(crate) struct Post {
    queue: mpsc::Sender<Letter>,
    lines: Arc<Lines>,
    _tasks: [Owned; 2],
}

struct Lines {
    client: Client,
    listening: Link,
    sending: Link,
}

impl Post {
    /// Hears `channels` and gives what comes to `receive`, in the order in which each process sent it; it must not block. `names` are
    /// those of the two connections in the log. Fails only on an address that is none.
    pub fn start(
        url: &str,
        names: [&'static str; 2],
        channels: Vec<String>,
        receive: impl Fn(Heard) + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let lines = Arc::new(Lines { client: Client::open(url)?, listening: Link::new(names[0]), sending: Link::new(names[1]) });
        let (queue, letters) = mpsc::channel(QUEUE);
        let tasks = [Owned::spawn(listen(lines.clone(), channels, receive)), Owned::spawn(send(lines.clone(), letters))];
        Ok(Self { queue, lines, _tasks: tasks })
    }

    /// Never waits. `false` when the letter is lost already.
    pub fn send(&self, channel: String, text: Vec<u8>) -> bool {
        self.lines.sending.is_up() && self.queue.try_send(Letter { channel, text }).is_ok()
    }

    pub fn status(&self) -> LinkStatus {
        worst(&[&self.lines.listening, &self.lines.sending])
    }
}

async fn send(lines: Arc<Lines>, mut letters: mpsc::Receiver<Letter>) {
    let mut back_off = BackOff::new();
    loop {
        let error = match connect(&lines.client, PATIENCE).await {
            Ok(mut connection) => {
                lines.sending.set_up();
                back_off.reset();
                match send_all(&mut connection, &mut letters).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        lines.sending.set_down(&error);
        back_off.wait().await;
        while letters.try_recv().is_ok() {}
    }
}

async fn send_all(connection: &mut redis::aio::MultiplexedConnection, letters: &mut mpsc::Receiver<Letter>) -> RedisResult<()> {
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
        for letter in batch.drain(..) {
            pipe.cmd("PUBLISH").arg(letter.channel).arg(letter.text).ignore();
        }
        pipe.exec_async(connection).await?;
    }
}

async fn listen(lines: Arc<Lines>, channels: Vec<String>, receive: impl Fn(Heard) + Send + Sync + 'static) {
    let mut back_off = BackOff::new();
    loop {
        let error = match hear(&lines, &channels, &receive, &mut back_off).await {
            Ok(()) => RedisError::from((redis::ErrorKind::Io, "the connection was closed")),
            Err(error) => error,
        };
        lines.listening.set_down(&error);
        back_off.wait().await;
    }
}

/// Ends when the connection does.
async fn hear(lines: &Lines, channels: &[String], receive: &(impl Fn(Heard) + Send + Sync), back_off: &mut BackOff) -> RedisResult<()> {
    let (mut sink, mut messages) = connect_pubsub(&lines.client).await?.split();
    let no_answer = |_| RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    for channel in channels {
        tokio::time::timeout(PATIENCE, sink.subscribe(channel)).await.map_err(no_answer)??;
    }
    lines.listening.set_up();
    back_off.reset();
    receive(Heard::Connected);
    loop {
        match tokio::time::timeout(PING_EVERY, messages.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(message)) => receive(Heard::Letter(message.get_payload_bytes().to_vec())),
            Err(_) => {
                tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await.map_err(no_answer)??;
            }
        }
    }
}
