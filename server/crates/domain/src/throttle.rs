//! Guessing gets slower. Wrong attempts are counted per account and address together, per account, and per address; the next one waits,
//! longer each time. Nobody is locked out: somebody's first attempt on an account from an address that has not guessed is always looked
//! at, whatever others tried from elsewhere, and whoever was right on an account from an address does not wait for what others behind the
//! same address did.
//!
//! The counts are this process's own. With several servers each counts for itself, so that guessing is slowed by their number less.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use sha2::{Digest, Sha256};
use wire::Micros;

use crate::{Ctx, Error, Result};

/// Wrong attempts on one account from one address that cost nothing.
const FREE: u32 = 5;
/// After so many wrong attempts on an account from anywhere, only the first from each address costs nothing.
const GUESSED: u32 = 20;
const FREE_WHEN_GUESSED: u32 = 1;
/// Wrong attempts from one address, on whatever account, that cost nothing.
const FREE_PER_ADDRESS: u32 = 30;
const LONGEST_S: i64 = 300;
const LONGEST_PER_ADDRESS_S: i64 = 60;
/// For so long an address is known as one of the account's.
const AT_HOME_S: i64 = 30 * 86_400;
/// Attempts older than this are forgotten.
const FORGOTTEN_AFTER_S: i64 = 3600;
/// What is remembered at most; each takes less than a hundred bytes.
const REMEMBERED: usize = 20_000;

type Key = [u8; 16];

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Micros,
}

/// Who failed here lately.
#[derive(Default)]
pub struct Throttle {
    tries: Mutex<HashMap<Key, Tries>>,
    /// Accounts with the addresses that somebody was right from, and when.
    homes: Mutex<HashMap<Key, Tries>>,
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

struct Keys {
    pair: Key,
    account: Key,
    address: Key,
}

impl Keys {
    fn new(kind: &str, account: &str, address: Option<&str>) -> Self {
        let address = address.map_or_else(|| "nowhere".to_owned(), network_of);
        Self {
            pair: key(&["pair", kind, account, &address]),
            account: key(&["account", kind, account]),
            address: key(&["address", kind, &address]),
        }
    }
}

fn key(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut short = Key::default();
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

/// An address of IPv6 stands for its network of 64 bits, which one customer has to themselves.
fn network_of(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => format!("{:x}", u128::from(v6) >> 64),
        _ => address.to_owned(),
    }
}

fn delay_s(count: u32, free: u32, longest: i64) -> i64 {
    match count.checked_sub(free) {
        None => 0,
        Some(over) => (1_i64 << over.min(20)).min(longest),
    }
}

impl Throttle {
    /// Seconds until the next attempt may be made; 0 when it may be made now. Asking counts nothing.
    pub fn wait_s(&self, now: Micros, kind: &str, account: &str, address: Option<&str>) -> u32 {
        let keys = Keys::new(kind, account, address);
        let is_home = self.is_home(now, &keys.pair);
        let tries = self.tries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let found = |key: &Key| tries.get(key).copied().filter(|tries| is_fresh(tries, now)).unwrap_or(Tries { count: 0, last: now });
        let (pair, of_address) = (found(&keys.pair), found(&keys.address));
        let free = if found(&keys.account).count >= GUESSED { FREE_WHEN_GUESSED } else { FREE };
        let left = |tries: Tries, delay: i64| tries.last.0 + delay * Micros::SECOND - now.0;
        let for_address = if is_home { 0 } else { delay_s(of_address.count, FREE_PER_ADDRESS, LONGEST_PER_ADDRESS_S) };
        let left = left(pair, delay_s(pair.count, free, LONGEST_S)).max(left(of_address, for_address));
        u32::try_from((left.max(0) + Micros::SECOND - 1) / Micros::SECOND).unwrap_or(u32::MAX)
    }

    pub fn failed(&self, now: Micros, kind: &str, account: &str, address: Option<&str>) {
        let keys = Keys::new(kind, account, address);
        let mut tries = self.tries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for key in [keys.pair, keys.account, keys.address] {
            if tries.len() >= REMEMBERED && !tries.contains_key(&key) {
                make_room(&mut tries, now, FORGOTTEN_AFTER_S);
            }
            let entry = tries.entry(key).or_insert(Tries { count: 0, last: now });
            let before = if is_fresh(entry, now) { entry.count } else { 0 };
            *entry = Tries { count: before.saturating_add(1), last: now };
        }
    }

    /// The account's own person is here: this address starts anew with it. What others guessed stays counted.
    pub fn succeeded(&self, now: Micros, kind: &str, account: &str, address: Option<&str>) {
        let keys = Keys::new(kind, account, address);
        self.tries.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&keys.pair);
        let mut homes = self.homes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if homes.len() >= REMEMBERED && !homes.contains_key(&keys.pair) {
            make_room(&mut homes, now, AT_HOME_S);
        }
        homes.insert(keys.pair, Tries { count: 0, last: now });
    }

    fn is_home(&self, now: Micros, pair: &Key) -> bool {
        let homes = self.homes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        homes.get(pair).is_some_and(|seen| now.0 - seen.last.0 < AT_HOME_S * Micros::SECOND)
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.tries.lock().unwrap().len()
    }
}

fn is_fresh(tries: &Tries, now: Micros) -> bool {
    now.0 - tries.last.0 < FORGOTTEN_AFTER_S * Micros::SECOND
}

/// Forgets what is old, and the eighth that is oldest where nothing is.
fn make_room(tries: &mut HashMap<Key, Tries>, now: Micros, kept_s: i64) {
    tries.retain(|_, tries| now.0 - tries.last.0 < kept_s * Micros::SECOND);
    if tries.len() < REMEMBERED {
        return;
    }
    let mut ages: Vec<i64> = tries.values().map(|tries| tries.last.0).collect();
    let eighth = ages.len() / 8;
    let (_, limit, _) = ages.select_nth_unstable(eighth);
    let limit = *limit;
    let mut spare = eighth.max(1);
    tries.retain(|_, tries| {
        let goes = tries.last.0 <= limit && spare > 0;
        spare -= usize::from(goes);
        !goes
    });
}

/// Refuses an attempt that comes too early. `kind` keeps passwords, codes and links apart; `account` is what was named, whether or not it
/// exists.
pub(crate) fn check(ctx: &Ctx, kind: &str, account: &str) -> Result<()> {
    match ctx.services().throttle.wait_s(ctx.now(), kind, account, ctx.client().address.as_deref()) {
        0 => Ok(()),
        wait => Err(Error::RateLimited { retry_after: wait, detail: wait_words(wait) }),
    }
}

pub(crate) fn failed(ctx: &Ctx, kind: &str, account: &str) {
    ctx.services().throttle.failed(ctx.now(), kind, account, ctx.client().address.as_deref());
}

pub(crate) fn succeeded(ctx: &Ctx, kind: &str, account: &str) {
    ctx.services().throttle.succeeded(ctx.now(), kind, account, ctx.client().address.as_deref());
}

fn wait_words(seconds: u32) -> String {
    let how_long = match seconds {
        1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    };
    format!("There were too many wrong attempts. Wait {how_long}, then try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Micros {
        Micros(1_800_000_000_000_000 + seconds * Micros::SECOND)
    }

    #[test]
    fn waits_grow_and_end() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.wait_s(at(0), "p", "ada", Some("192.0.2.1")), 0);
            throttle.failed(at(0), "p", "ada", Some("192.0.2.1"));
        }
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = throttle.wait_s(at(now), "p", "ada", Some("192.0.2.1"));
            waits.push(wait);
            now += i64::from(wait);
            throttle.failed(at(now), "p", "ada", Some("192.0.2.1"));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(throttle.wait_s(at(now + FORGOTTEN_AFTER_S), "p", "ada", Some("192.0.2.1")), 0);
    }

    #[test]
    fn guesses_from_many_places_leave_a_new_place_its_first_attempt() {
        let throttle = Throttle::default();
        for n in 0..100 {
            throttle.failed(at(0), "p", "ada", Some(&format!("192.0.2.{n}")));
        }
        assert_eq!(throttle.wait_s(at(0), "p", "ada", Some("198.51.100.7")), 0);
        throttle.failed(at(0), "p", "ada", Some("198.51.100.7"));
        assert_eq!(throttle.wait_s(at(0), "p", "ada", Some("198.51.100.7")), 1, "and no other while it is guessed");
        assert_eq!(throttle.wait_s(at(0), "p", "ben", Some("198.51.100.7")), 0);
        throttle.succeeded(at(0), "p", "ada", Some("198.51.100.7"));
        assert_eq!(throttle.wait_s(at(0), "p", "ada", Some("198.51.100.7")), 0);
    }

    #[test]
    fn one_address_that_tries_many_accounts_waits_too() {
        let throttle = Throttle::default();
        for n in 0..FREE_PER_ADDRESS {
            throttle.failed(at(0), "p", &format!("name-{n}"), Some("2001:db8::1"));
        }
        assert_eq!(throttle.wait_s(at(0), "p", "another", Some("2001:db8::ffff")), 1, "the same network");
        assert_eq!(throttle.wait_s(at(0), "p", "another", Some("2001:db8:0:1::1")), 0);
    }

    #[test]
    fn who_was_right_from_an_address_does_not_wait_for_its_others() {
        let throttle = Throttle::default();
        throttle.succeeded(at(0), "p", "ada", Some("192.0.2.1"));
        for n in 0..FREE_PER_ADDRESS + 5 {
            throttle.failed(at(10), "p", &format!("name-{n}"), Some("192.0.2.1"));
        }
        assert_eq!(throttle.wait_s(at(10), "p", "ben", Some("192.0.2.1")), 32);
        assert_eq!(throttle.wait_s(at(10), "p", "ada", Some("192.0.2.1")), 0);
        for _ in 0..FREE {
            throttle.failed(at(10), "p", "ada", Some("192.0.2.1"));
        }
        assert_eq!(throttle.wait_s(at(10), "p", "ada", Some("192.0.2.1")), 1, "guessing the account itself still costs");
        for n in 0..30_000 {
            throttle.succeeded(at(20), "p", &format!("name-{n}"), Some("192.0.2.1"));
        }
        assert!(throttle.homes.lock().unwrap().len() <= REMEMBERED);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..30_000 {
            throttle.failed(at(n / 100), "p", &format!("name-{n}"), Some(&format!("10.{}.{}.1", n / 250, n % 250)));
        }
        assert!(throttle.remembered() <= REMEMBERED, "{}", throttle.remembered());
        assert!(throttle.remembered() > REMEMBERED / 2);
    }
}
