//! Following what happens: replay from the log, then the bus, without a gap and without a repeat. Only of a run's output a reader gets
//! no more than it is worth: see [`output`].

mod output;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures::Stream as Futures;
use store::{Signal, Subscription, events};
use tokio::time::{Instant, sleep_until};
use wire::{
    Micros,
    event::{Event, EventKind, Stream},
    projects::ProjectRole,
};

use crate::{Ctx, Error, Result, auth, projects};
use output::{Allowance, Reading};

pub(crate) use output::thin;

/// Events read from the log at a time.
const PAGE: i64 = 256;
/// How often a stream that is open asks whether its reader is still signed in.
const RECHECK: Duration = Duration::from_secs(4);

/// Whether the caller may read a stream.
pub async fn authorise(ctx: &Ctx, stream: Stream) -> Result<()> {
    let user = ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    let project = match stream {
        Stream::Admin => return ctx.require_admin().map(drop),
        Stream::User(id) => return if id == user.id { Ok(()) } else { Err(Error::NotFound("stream")) },
        Stream::Job(id) => {
            drop(conn);
            return crate::jobs::get(ctx, id).await.map(drop);
        }
        Stream::Project(id) => Some(id),
        Stream::Run(id) => store::runs::get(&mut conn, id).await?.map(|run| run.project_id),
        Stream::Turn(id) => store::chat::turn(&mut conn, id).await?.map(|turn| turn.project_id),
        Stream::Conversation(id) => store::chat::conversation(&mut conn, id).await?.map(|conversation| conversation.project_id),
    };
    let project = project.ok_or(Error::NotFound("stream"))?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await.map_err(|_| Error::NotFound("stream"))?;
    Ok(())
}

/// Events after `after`, at most `limit`. The caller has been authorised.
pub(crate) async fn replay(ctx: &Ctx, stream: Stream, after: i64, limit: i64) -> Result<Vec<Event>> {
    Ok(events::after(&mut ctx.services().db.read().await?, stream, after, limit).await?)
}

struct Follower {
    ctx: Ctx,
    subscription: Subscription,
    cursors: HashMap<Stream, i64>,
    /// Streams whose log may hold more than was read.
    behind: VecDeque<Stream>,
    /// Of runs: how far their output was read.
    readings: HashMap<Stream, Reading>,
    allowance: Allowance,
    ready: VecDeque<Event>,
    recheck_at: Instant,
    ended: bool,
}

/// Follows streams from their cursors on. A single stream ends with its terminal event. When the reader's session ends, a
/// `session_ended` event is the last.
pub async fn follow(ctx: &Ctx, streams: Vec<(Stream, i64)>) -> Result<impl Futures<Item = Result<Event>> + Send + use<>> {
    for (stream, _) in &streams {
        authorise(ctx, *stream).await?;
    }
    let names: Vec<Stream> = streams.iter().map(|(stream, _)| *stream).collect();
    // Subscribing comes before reading the log, so that nothing falls between the two.
    let subscription = ctx.services().bus.subscribe(&names).await;
    let has_ended = match streams.as_slice() {
        [(stream, after)] if *after > 0 => {
            let last = replay(ctx, *stream, after - 1, 2).await?;
            last.len() == 1 && last[0].seq == *after && last[0].kind.is_terminal()
        }
        _ => false,
    };
    let follower = Follower {
        ctx: ctx.clone(),
        subscription,
        cursors: streams.into_iter().collect(),
        behind: names.into(),
        readings: HashMap::new(),
        allowance: Allowance::full(),
        ready: VecDeque::new(),
        recheck_at: Instant::now() + RECHECK,
        ended: has_ended,
    };
    Ok(futures::stream::try_unfold(follower, |mut follower| async move { Ok(follower.next().await?.map(|event| (event, follower))) }))
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                self.ended = event.kind.is_terminal() && self.cursors.len() == 1;
                return Ok(Some(event));
            }
            if Instant::now() >= self.recheck_at {
                if !auth::still_signed_in(&self.ctx).await? {
                    self.ended = true;
                    return Ok(Some(self.session_ended()));
                }
                self.recheck_at = Instant::now() + RECHECK;
            }
            let open_at = self.allowance.open_at();
            if let Some(stream) = self.next_behind(open_at) {
                self.read_log(stream).await?;
                continue;
            }
            let wake_at = if self.behind.is_empty() { self.recheck_at } else { self.recheck_at.min(open_at) };
            tokio::select! {
                signal = self.subscription.next() => match signal {
                    Some(Signal::Event(event)) => self.take((*event).clone()),
                    Some(Signal::Lagged) => self.behind = self.cursors.keys().copied().collect(),
                    None => return Ok(None),
                },
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// The next stream to read from the log. Runs wait until more output may be sent; nothing else waits for them.
    fn next_behind(&self, open_at: Instant) -> Option<Stream> {
        let open = Instant::now() >= open_at;
        self.behind.iter().find(|stream| open || !matches!(stream, Stream::Run(_))).copied()
    }

    fn take(&mut self, event: Event) {
        let Some(cursor) = self.cursors.get_mut(&event.stream) else { return };
        let output = event.kind.output_range();
        // A thinned event only says that the log holds more.
        let fits = !matches!(event.kind, EventKind::OutputDropped { .. }) && (output.is_none() || self.allowance.is_open());
        if event.seq == *cursor + 1 && fits {
            *cursor = event.seq;
            if let Some(range) = output {
                self.allowance.spend(range.end - range.start);
                if let Some(reading) = self.readings.get_mut(&event.stream) {
                    reading.seen = range.end;
                }
            }
            self.ready.push_back(event);
        } else if event.seq > *cursor && !self.behind.contains(&event.stream) {
            // Published before its predecessor, which is committed by now; or to be read from the log.
            self.behind.push_back(event.stream);
        }
    }

    async fn read_log(&mut self, stream: Stream) -> Result<()> {
        let cursor = self.cursors.get(&stream).copied().unwrap_or(0);
        let (events, is_all) = if matches!(stream, Stream::Run(_)) {
            let mut conn = self.ctx.services().db.read().await?;
            let reading = match self.readings.entry(stream) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => new.insert(Reading::from(&mut conn, stream, cursor).await?),
            };
            reading.page(&mut conn, stream, cursor, &mut self.allowance).await?
        } else {
            let events = replay(&self.ctx, stream, cursor, PAGE).await?;
            let is_all = (events.len() as i64) < PAGE;
            (events, is_all)
        };
        // Whoever was read goes behind the others.
        self.behind.retain(|name| *name != stream);
        if !is_all {
            self.behind.push_back(stream);
        }
        if let Some(last) = events.last() {
            self.cursors.insert(stream, last.seq);
        }
        self.ready.extend(events);
        Ok(())
    }

    fn session_ended(&self) -> Event {
        let stream = self.ctx.user_id().map_or(Stream::Admin, Stream::User);
        Event { stream, seq: 0, at: Micros(self.ctx.now().0), kind: EventKind::SessionEnded {} }
    }
}
