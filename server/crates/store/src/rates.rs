//! Rates of requests that all processes share, kept by a Redis. Nothing waits for one that is away: the caller then decides alone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Client, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::sync::Notify;

use crate::{
    LinkStatus,
    bus_link::{BackOff, Link, Owned, connect},
};

/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_millis(200);
const PING_EVERY: Duration = Duration::from_secs(5);

/// The generic cell rate algorithm: one number for each key, the time at which the next request would be due at an even pace. Times are
/// microseconds of the clock of Redis.
const SCRIPT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = tonumber(redis.call('GET', KEYS[1]) or now)
if due < now then due = now end
local next_due = due + interval
if next_due - tolerance > now then
  return {0, 0, next_due - tolerance - now, due - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', next_due), 'PX', math.ceil((next_due - now) / 1000))
return {1, math.floor((tolerance - (next_due - now)) / interval), 0, next_due - now}
";

/// What a request is told about its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateVerdict {
    pub allowed: bool,
    /// Requests that would be taken right now.
    pub remaining: u32,
    /// Until the next one is taken; zero where this one was.
    pub wait: Duration,
    /// Until as many are taken at once as after a long silence.
    pub reset: Duration,
}

/// A rate limiter behind a Redis.
pub struct RedisRates {
    shared: Arc<Shared>,
    prefix: String,
    _task: Owned,
}

struct Shared {
    client: Client,
    connection: Mutex<Option<Arc<Opened>>>,
    link: Link,
}

struct Opened {
    connection: MultiplexedConnection,
    /// Under which Redis knows it.
    script: String,
    /// Told by whoever finds that it does not answer.
    broken: Notify,
}

impl Shared {
    fn current(&self) -> Option<Arc<Opened>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, connection: Option<Arc<Opened>>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// Gives up a connection, unless another one has taken its place by now.
    fn drop_connection(&self, failed: &Arc<Opened>, error: &RedisError) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
            *connection = None;
            self.link.set_down(error);
            failed.broken.notify_one();
        }
    }
}

impl RedisRates {
    /// Connects in the background and for ever. Fails only on an address that is none.
    pub fn start(url: &str, prefix: &str) -> RedisResult<Self> {
        let shared = Arc::new(Shared { client: Client::open(url)?, connection: Mutex::new(None), link: Link::new("rates") });
        let task = Owned::spawn(keep_connected(shared.clone()));
        Ok(Self { shared, prefix: format!("{prefix}:rate"), _task: task })
    }

    pub fn status(&self) -> LinkStatus {
        self.shared.link.status()
    }

    /// Counts one request of `key`: one each `interval`, and `burst` at once after a silence. `None` while Redis is away.
    pub async fn check(&self, key: &str, interval: Duration, burst: u32) -> Option<RateVerdict> {
        let opened = self.shared.current()?;
        let mut connection = opened.connection.clone();
        let interval = interval.as_micros() as u64;
        let mut command = redis::cmd("EVALSHA");
        let tolerance = interval.saturating_mul(u64::from(burst));
        command.arg(&opened.script).arg(1).arg(format!("{}:{key}", self.prefix)).arg(interval).arg(tolerance);
        let answer: RedisResult<(i64, i64, i64, i64)> = command.query_async(&mut connection).await;
        match answer {
            Ok((allowed, remaining, wait, reset)) => {
                let micros = |number: i64| Duration::from_micros(number.max(0) as u64);
                let remaining = u32::try_from(remaining).unwrap_or(0);
                Some(RateVerdict { allowed: allowed == 1, remaining, wait: micros(wait), reset: micros(reset) })
            }
            Err(error) => {
                self.shared.drop_connection(&opened, &error);
                None
            }
        }
    }
}

async fn keep_connected(shared: Arc<Shared>) {
    let mut back_off = BackOff::new();
    loop {
        match open(&shared.client).await {
            Ok(opened) => {
                shared.link.set_up();
                back_off.reset();
                let opened = Arc::new(opened);
                shared.set(Some(opened.clone()));
                watch(&shared, &opened).await;
            }
            Err(error) => shared.link.set_down(&error),
        }
        shared.set(None);
        back_off.wait().await;
    }
}

async fn open(client: &Client) -> RedisResult<Opened> {
    let mut connection = connect(client, PATIENCE).await?;
    let script = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
    Ok(Opened { connection, script, broken: Notify::new() })
}

/// Until the connection is lost, or Redis has forgotten the script.
async fn watch(shared: &Shared, opened: &Opened) {
    let mut connection = opened.connection.clone();
    loop {
        tokio::select! {
            () = opened.broken.notified() => return,
            () = tokio::time::sleep(PING_EVERY) => {
                if let Err(error) = redis::cmd("PING").exec_async(&mut connection).await {
                    shared.link.set_down(&error);
                    return;
                }
            }
        }
    }
}
