//! What the connections to Redis have in common: how they are made, how long they wait, and how they are.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::{task::JoinHandle, time::Instant};

const CONNECT_TIME: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    Up,
    /// For how long, and why.
    Down {
        seconds: u64,
        reason: String,
    },
}

/// What one connection's task says about it.
pub(crate) struct Link {
    name: &'static str,
    down: Mutex<Option<(Instant, String)>>,
}

impl Link {
    pub fn new(name: &'static str) -> Self {
        Self { name, down: Mutex::new(Some((Instant::now(), "not connected yet".to_owned()))) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_up(&self) {
        if let Some((since, _)) = self.lock().take() {
            tracing::info!(link = self.name, after_ms = since.elapsed().as_millis() as u64, "connected to Redis");
        }
    }

    pub fn set_down(&self, reason: &impl fmt::Display) {
        let mut down = self.lock();
        if down.is_none() {
            tracing::warn!(link = self.name, %reason, "the connection to Redis is lost; trying again until it is back");
        }
        let since = down.take().map_or_else(Instant::now, |(since, _)| since);
        *down = Some((since, reason.to_string()));
    }

    pub fn is_up(&self) -> bool {
        self.lock().is_none()
    }

    pub fn status(&self) -> LinkStatus {
        match &*self.lock() {
            None => LinkStatus::Up,
            Some((since, reason)) => LinkStatus::Down { seconds: since.elapsed().as_secs(), reason: reason.clone() },
        }
    }
}

/// The first that is down.
pub(crate) fn worst(links: &[&Link]) -> LinkStatus {
    links.iter().map(|link| link.status()).find(|status| *status != LinkStatus::Up).unwrap_or(LinkStatus::Up)
}

/// Longer and longer pauses between attempts.
pub(crate) struct BackOff(Duration);

impl BackOff {
    pub fn new() -> Self {
        Self(FIRST_WAIT)
    }

    pub fn reset(&mut self) {
        self.0 = FIRST_WAIT;
    }

    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
    }
}

/// A connection whose answers may take `patience`; without a limit of our own the library's half second would cut blocking reads off.
pub(crate) async fn connect(client: &Client, patience: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIME)).set_response_timeout(Some(patience));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// As [`connect`], for listening.
pub(crate) async fn connect_pubsub(client: &Client) -> RedisResult<redis::aio::PubSub> {
    match tokio::time::timeout(CONNECT_TIME, client.get_async_pubsub()).await {
        Ok(connected) => connected,
        Err(_) => Err(RedisError::from((redis::ErrorKind::Io, "no answer in time"))),
    }
}

/// A task that ends with its owner.
pub(crate) struct Owned(JoinHandle<()>);

impl Owned {
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}
