use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use store::RateVerdict;
use wire::settings::Rate;

use super::{Who, interval};

/// Callers that are remembered.
const KEYS: usize = 20_000;

/// One rate, counted for each caller in this process.
pub struct InMemory {
    limiter: RateLimiter<Who, Bounded, MonotonicClock, StateInformationMiddleware>,
    interval: Duration,
    burst: u32,
}

impl InMemory {
    pub fn new(rate: Rate) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let interval = interval(rate).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(burst)).allow_burst(burst);
        Self { limiter: RateLimiter::new(quota, Bounded::default(), MonotonicClock), interval, burst: burst.get() }
    }

    pub fn check(&self, who: Who) -> RateVerdict {
        match self.limiter.check_key(&who) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let reset = self.interval * self.burst.saturating_sub(remaining);
                RateVerdict { allowed: true, remaining, wait: Duration::ZERO, reset }
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                RateVerdict { allowed: false, remaining: 0, wait, reset: self.interval * self.burst }
            }
        }
    }
}

/// When the next request of each caller would be due at an even pace.
#[derive(Default)]
struct Bounded(Mutex<HashMap<Who, Nanos>>);

impl StateStore for Bounded {
    type Key = Who;

    fn measure_and_replace<T, F, E>(&self, who: &Who, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, next) = decide(due.get(who).copied())?;
        if due.len() >= KEYS && !due.contains_key(who) {
            make_room(&mut due);
        }
        due.insert(*who, next);
        Ok(answer)
    }
}

/// Forgets the half of them that sent least lately: for most of those the rate is full again anyway.
fn make_room(due: &mut HashMap<Who, Nanos>) {
    let mut times: Vec<u64> = due.values().map(|nanos| nanos.as_u64()).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    due.retain(|_, nanos| nanos.as_u64() > median);
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        time::Instant,
    };

    use super::*;

    fn who(number: u32) -> Who {
        Who::at(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_burst_is_taken_and_then_one_at_a_time() {
        let rate = InMemory::new(Rate::new(600, 3));
        let left: Vec<u32> = (0..3).map(|_| rate.check(who(1)).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = rate.check(who(1));
        assert!(!refused.allowed && refused.wait <= Duration::from_millis(100) && !refused.wait.is_zero(), "{refused:?}");
        assert!(rate.check(who(2)).allowed, "others are not held up");
        let begun = Instant::now();
        while !rate.check(who(1)).allowed {
            assert!(begun.elapsed() < Duration::from_secs(5), "it is refused for good");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn however_many_come_few_are_remembered() {
        let rate = InMemory::new(Rate::new(6, 2));
        for number in 0..200_000 {
            assert!(rate.check(who(number)).allowed);
        }
        let (first, second) = (rate.check(who(1_000_000)), rate.check(who(1_000_000)));
        assert!(first.allowed && second.allowed && !rate.check(who(1_000_000)).allowed);
        for number in 0..(KEYS as u32 / 4) {
            rate.check(who(2_000_000 + number));
        }
        assert!(!rate.check(who(1_000_000)).allowed, "who sends most is forgotten last");
        assert!(rate.limiter.into_state_store().0.lock().unwrap().len() <= KEYS);
    }
}
