//! Readers of this process learn what other processes wrote even when nothing tells them: the log is looked at now and then.

use std::{collections::HashMap, time::Duration};

use wire::event::Stream;

use crate::{Db, InProcessBus, events};

const EVERY: Duration = Duration::from_secs(1);

/// Once a second, where `is_needed` says so, one query asks how far the streams are that somebody reads here; readers of those that
/// went on without being told are sent to the log. Ends only by being dropped.
pub async fn watch_log(db: Db, bus: InProcessBus, mut is_needed: impl FnMut() -> bool + Send) {
    let mut seen: HashMap<Stream, i64> = HashMap::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !is_needed() {
            continue;
        }
        let published: HashMap<Stream, i64> = bus.streams().into_iter().collect();
        seen.retain(|stream, _| published.contains_key(stream));
        let streams: Vec<Stream> = published.keys().copied().collect();
        if streams.is_empty() {
            continue;
        }
        let read = async { events::last_seqs(&mut db.read().await?, &streams).await };
        match read.await {
            Ok(found) => {
                for (stream, last) in found {
                    let known = seen.insert(stream, last).unwrap_or(0).max(published.get(&stream).copied().unwrap_or(0));
                    if last > known {
                        bus.lag(stream);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the event log could not be looked at"),
        }
    }
}
