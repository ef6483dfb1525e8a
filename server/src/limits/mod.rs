//! How many requests are taken from whom. Counted in Redis where there is one, so that all processes count together; in this process
//! while it is away, and where there is none.

mod memory;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::Services;
pub use store::RateVerdict;
use store::RedisRates;
use uuid::Uuid;
use wire::settings::{Rate, RateSettings};

use memory::InMemory;

/// How old the settings may be that requests are judged by.
const FRESH: Duration = Duration::from_secs(3);

/// What a request is, as far as its rate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    SignIn,
    ModelCalls,
    Writes,
    Reads,
    Streams,
    /// Everything from one address.
    Address,
}

impl Class {
    const ALL: [Self; 6] = [Self::SignIn, Self::ModelCalls, Self::Writes, Self::Reads, Self::Streams, Self::Address];

    fn rate(self, settings: &RateSettings) -> Rate {
        match self {
            Self::SignIn => settings.sign_in,
            Self::ModelCalls => settings.model_calls,
            Self::Writes => settings.writes,
            Self::Reads => settings.reads,
            Self::Streams => settings.streams,
            Self::Address => settings.address,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::ModelCalls => "model_calls",
            Self::Writes => "writes",
            Self::Reads => "reads",
            Self::Streams => "streams",
            Self::Address => "address",
        }
    }

    /// What there was too much of, for people.
    pub fn noun(self) -> &'static str {
        match self {
            Self::SignIn => "attempts to sign in or to change an account from this address",
            Self::ModelCalls => "calls of models",
            Self::Writes => "changes",
            Self::Reads => "requests",
            Self::Streams => "streams and sockets that were opened",
            Self::Address => "requests from this address",
        }
    }
}

/// Who a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    User(Uuid),
    Token(Uuid),
    Address(IpAddr),
}

impl Who {
    /// A network of IPv6 is given out as a whole: whoever has one address of it has them all.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Token(id) => write!(f, "token:{id}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

/// The limits of this process.
pub struct Limits {
    redis: Option<Arc<RedisRates>>,
    current: RwLock<Arc<Current>>,
    started: Instant,
    /// Milliseconds after `started` at which the settings were read last.
    read_at: AtomicU64,
    reading: AtomicBool,
}

/// The settings with what they are counted by here.
struct Current {
    settings: RateSettings,
    counted: [InMemory; Class::ALL.len()],
}

impl Current {
    fn of(settings: RateSettings) -> Arc<Self> {
        let counted = Class::ALL.map(|class| InMemory::new(class.rate(&settings)));
        Arc::new(Self { settings, counted })
    }
}

impl Limits {
    /// With the default rates, until [`Self::refresh`] has read others.
    pub fn new(redis: Option<Arc<RedisRates>>) -> Self {
        Self {
            redis,
            current: RwLock::new(Current::of(RateSettings::default())),
            started: Instant::now(),
            read_at: AtomicU64::new(0),
            reading: AtomicBool::new(false),
        }
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these apply. What was counted so far is forgotten where they are others.
    pub fn set(&self, settings: RateSettings) {
        if self.current().settings != settings {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current::of(settings);
        }
    }

    /// Reads the settings in the background when they are a few seconds old. Never waits.
    pub fn refresh(self: &Arc<Self>, services: &Arc<Services>) {
        let now = self.started.elapsed().as_millis() as u64 + 1;
        let read_at = self.read_at.load(Ordering::Relaxed);
        let is_fresh = read_at > 0 && now.saturating_sub(read_at) < FRESH.as_millis() as u64;
        if is_fresh || self.reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (limits, services) = (self.clone(), services.clone());
        tokio::spawn(async move {
            match read(&services).await {
                Ok(settings) => limits.set(settings),
                Err(error) => tracing::warn!(%error, "the rates of requests could not be read; those from before apply"),
            }
            limits.read_at.store(now, Ordering::Relaxed);
            limits.reading.store(false, Ordering::Release);
        });
    }

    /// Counts one request. Also answers how many its rate takes at once.
    pub async fn check(&self, class: Class, who: Who) -> (RateVerdict, u32) {
        let current = self.current();
        let rate = class.rate(&current.settings);
        if let Some(redis) = &self.redis
            && let Some(verdict) = redis.check(&format!("{}:{who}", class.word()), interval(rate), rate.burst).await
        {
            return (verdict, rate.burst);
        }
        (current.counted[class as usize].check(who), rate.burst)
    }
}

async fn read(services: &Services) -> domain::Result<RateSettings> {
    domain::settings::rates_in(&mut services.db.read().await?).await
}

/// The time from one request to the next at an even pace.
fn interval(rate: Rate) -> Duration {
    Duration::from_secs(60) / rate.per_minute.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_ipv6_count_as_one() {
        let who = |text: &str| Who::at(text.parse().unwrap());
        assert_eq!(who("2001:db8:1:2::1"), who("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(who("2001:db8:1:2::1"), who("2001:db8:1:3::1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_eq!(who("2001:db8:1:2::9").to_string(), "address:2001:db8:1:2::");
    }

    #[tokio::test]
    async fn new_settings_apply_and_the_same_ones_forget_nothing() {
        let limits = Limits::new(None);
        let settings = RateSettings { reads: Rate::new(60, 2), ..RateSettings::default() };
        limits.set(settings.clone());
        let who = Who::User(Uuid::nil());
        let allowed = async || limits.check(Class::Reads, who).await.0.allowed;
        assert!(allowed().await && allowed().await && !allowed().await);
        assert!(limits.check(Class::Writes, who).await.0.allowed, "classes are counted apart");
        assert!(limits.check(Class::Reads, Who::Token(Uuid::nil())).await.0.allowed, "a token is not its person");
        limits.set(settings);
        assert!(!allowed().await);
        limits.set(RateSettings::default());
        assert!(allowed().await);
    }
}
