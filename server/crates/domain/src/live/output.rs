//! What one reader gets of what runs print. Everything is stored and can be fetched whole; a reader who comes late, or who is sent less
//! than is printed, gets the last of it, and one event in the place of each range that was left out.

use std::time::Duration;

use store::{
    Conn,
    events::{self, OutputMark},
};
use tokio::time::Instant;
use wire::event::{Event, EventKind, Stream};

use super::PAGE;
use crate::Result;

/// Unread output beyond this is left out, the oldest first.
const BACKLOG: i64 = 1024 * 1024;
/// Output of one page.
const PAGE_OUTPUT: i64 = 512 * 1024;
/// What one reader is sent in the long run, in bytes a second, and at once.
const RATE: i64 = 1_000_000;
const BURST: i64 = 2_000_000 - PAGE_OUTPUT;
/// Pieces up to this size travel on the bus; larger ones are read from the log, so that slow readers hold none of them in memory.
const BUS_PIECE: i64 = 4096;

/// Puts a word about it in the place of output that is too large for the bus.
pub fn thin(mut event: Event) -> Event {
    if let Some(range) = event.kind.output_range()
        && range.end - range.start > BUS_PIECE
    {
        event.kind = EventKind::OutputDropped { bytes: 0 };
    }
    event
}

/// How much output a reader may be sent now. It may be overdrawn by one page, and opens again when that is made up for.
pub struct Allowance {
    bytes: i64,
    counted_at: Instant,
}

impl Allowance {
    pub fn full() -> Self {
        Self { bytes: BURST, counted_at: Instant::now() }
    }

    fn count(&mut self) {
        let now = Instant::now();
        let earned = (now - self.counted_at).as_micros() as i64 * RATE / 1_000_000;
        self.bytes = (self.bytes + earned).min(BURST);
        self.counted_at = now;
    }

    pub fn spend(&mut self, bytes: i64) {
        self.count();
        self.bytes -= bytes;
    }

    pub fn is_open(&mut self) -> bool {
        self.count();
        self.bytes > 0
    }

    /// When more may be sent.
    pub fn open_at(&mut self) -> Instant {
        self.count();
        if self.bytes > 0 { self.counted_at } else { self.counted_at + Duration::from_micros(((1 - self.bytes) * 1_000_000 / RATE) as u64) }
    }
}

/// A range that is being left out, up to and with its last piece.
#[derive(Clone, Copy)]
struct Skip {
    to: OutputMark,
    bytes: i64,
}

/// How far a reader is in the output of a run.
pub struct Reading {
    /// Bytes of the run's output up to which everything was sent or reported as left out.
    pub seen: i64,
    skip: Option<Skip>,
}

impl Reading {
    /// As of the event with number `cursor`.
    pub async fn from(conn: &mut Conn, stream: Stream, cursor: i64) -> Result<Self> {
        let last = events::last_output(conn, stream, cursor, i64::MAX).await?;
        Ok(Self { seen: last.map_or(0, |mark| mark.output_end), skip: None })
    }

    /// What comes next on the stream, and whether that is all there is now.
    pub async fn page(&mut self, conn: &mut Conn, stream: Stream, cursor: i64, allowance: &mut Allowance) -> Result<(Vec<Event>, bool)> {
        if self.skip.is_none() {
            self.skip = self.what_is_too_much(conn, stream).await?;
        }
        if let Some(skip) = self.skip {
            return Ok((self.page_of_skip(conn, stream, cursor, skip).await?, false));
        }
        let beyond = events::first_output_beyond(conn, stream, self.seen + PAGE_OUTPUT).await?;
        let last = beyond.map_or(i64::MAX, |mark| mark.seq);
        let events = events::between(conn, stream, cursor, last, PAGE).await?;
        for range in events.iter().filter_map(|event| event.kind.output_range()) {
            allowance.spend(range.end - range.start);
            self.seen = range.end;
        }
        let is_all = beyond.is_none() && (events.len() as i64) < PAGE;
        Ok((events, is_all))
    }

    async fn what_is_too_much(&self, conn: &mut Conn, stream: Stream) -> Result<Option<Skip>> {
        let Some(last) = events::last_output(conn, stream, i64::MAX, i64::MAX).await? else { return Ok(None) };
        if last.output_end - self.seen <= BACKLOG {
            return Ok(None);
        }
        // The piece across the border goes too.
        let to = events::first_output_beyond(conn, stream, last.output_end - BACKLOG - 1).await?;
        Ok(to.filter(|to| to.output_end > self.seen).map(|to| Skip { to, bytes: to.output_end - self.seen }))
    }

    /// What else happened meanwhile is told all the same, then the range that is missing.
    async fn page_of_skip(&mut self, conn: &mut Conn, stream: Stream, cursor: i64, skip: Skip) -> Result<Vec<Event>> {
        let mut events = events::other_than_output(conn, stream, cursor, skip.to.seq, PAGE).await?;
        if (events.len() as i64) < PAGE {
            if let Some(last) = events::between(conn, stream, skip.to.seq - 1, skip.to.seq, 1).await?.pop() {
                events.push(Event { kind: EventKind::OutputDropped { bytes: skip.bytes }, ..last });
            }
            self.seen = skip.to.output_end;
            self.skip = None;
        }
        Ok(events)
    }
}
