//! How many connections there may be: in all, and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    config::{Cidr, EdgeConfig, HttpConfig},
    limits::Who,
};

const HEAD_TIME: Duration = Duration::from_secs(30);

/// What the listener holds to.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub in_all: usize,
    pub per_address: usize,
    /// Proxies, which come with the connections of many people.
    pub uncounted: Vec<Cidr>,
    /// Requests in flight have this long to end once the server stops.
    pub drain: Duration,
    /// A client has this long to send a request's head, also on a connection that is kept open.
    pub head: Duration,
}

impl Bounds {
    pub fn of(config: &HttpConfig) -> Self {
        Self { uncounted: config.trusted_proxies.clone(), ..Self::from(&config.edge) }
    }
}

impl From<&EdgeConfig> for Bounds {
    fn from(edge: &EdgeConfig) -> Self {
        let (in_all, per_address) = (edge.connections, edge.connections_per_address);
        Self { in_all, per_address, uncounted: Vec::new(), drain: edge.drain, head: HEAD_TIME }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::from(&EdgeConfig::default())
    }
}

/// The connections that are open.
#[derive(Clone)]
pub struct Seats {
    bounds: Arc<Bounds>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<Who, usize>,
}

/// The right to one connection, until it is dropped.
pub struct Seat {
    taken: Arc<Mutex<Taken>>,
    who: Who,
}

impl Seats {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds: Arc::new(bounds), taken: Arc::default() }
    }

    /// `None` when there are too many already.
    pub fn take(&self, address: IpAddr) -> Option<Seat> {
        let (address, who) = (address.to_canonical(), Who::at(address));
        let mut taken = lock(&self.taken);
        let of_address = taken.by_address.get(&who).copied().unwrap_or(0);
        let is_counted = !self.bounds.uncounted.iter().any(|net| net.contains(address));
        if taken.in_all >= self.bounds.in_all || (is_counted && of_address >= self.bounds.per_address) {
            return None;
        }
        taken.in_all += 1;
        taken.by_address.insert(who, of_address + 1);
        Some(Seat { taken: self.taken.clone(), who })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.in_all -= 1;
        match taken.by_address.get_mut(&self.who) {
            Some(1) | None => drop(taken.by_address.remove(&self.who)),
            Some(count) => *count -= 1,
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_by_address_and_in_all() {
        let uncounted = vec!["10.0.0.0/8".parse().unwrap()];
        let seats = Seats::new(Bounds { in_all: 5, per_address: 2, uncounted, ..Bounds::default() });
        let take = |address: &str| seats.take(address.parse().unwrap());
        let (first, second) = (take("192.0.2.1"), take("192.0.2.1"));
        assert!(first.is_some() && second.is_some() && take("192.0.2.1").is_none());
        let proxied: Vec<_> = (0..3).map(|_| take("10.1.2.3")).collect();
        assert!(proxied.iter().all(Option::is_some), "a proxy comes for many");
        assert!(take("192.0.2.2").is_none() && take("10.1.2.3").is_none(), "there are as many as there may be");
        drop(first);
        assert!(take("192.0.2.1").is_some());
        drop((second, proxied));
        assert!(lock(&seats.taken).by_address.is_empty() && lock(&seats.taken).in_all == 0);
        assert!(take("2001:db8::1").is_some());
    }
}
