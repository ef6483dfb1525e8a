//! Following what happens: replay from the log, then the bus, without a gap and without a repeat. Only of a run's output a reader gets
//! no more than it is worth: see [`output`]. Of a project's events the old ones are forgotten: who comes from before them starts over.

mod output;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures::Stream as Futures;
use store::{Signal, Subscription, events};
use tokio::time::{Instant, sleep_until};
use wire::{
    Micros, ProjectId,
    event::{Event, EventKind, Stream},
    projects::ProjectRole,
};

use crate::{
    Ctx, Error, Result, auth,
    presence::{self, Stay},
    projects,
};
use output::{Allowance, Reading};

pub(crate) use output::thin;

/// Events read from the log at a time.
const PAGE: i64 = 256;
/// How often a stream that is open asks whether its reader is still signed in and may still be there.
const RECHECK: Duration = Duration::from_secs(4);

/// Whether the caller may read a stream. Answers the project that this hangs on, if it is one.
pub async fn authorise(ctx: &Ctx, stream: Stream) -> Result<Option<ProjectId>> {
    let user = ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    let project = match stream {
        Stream::Admin => return ctx.require_admin().map(|_| None),
        Stream::User(id) => return if id == user.id { ctx.require_all_projects().map(|()| None) } else { Err(Error::NotFound("stream")) },
        Stream::Job(id) => {
            drop(conn);
            return crate::jobs::get(ctx, id).await.map(|_| None);
        }
        Stream::Project(id) => Some(id),
        Stream::Run(id) => store::runs::get(&mut conn, id).await?.map(|run| run.project_id),
        Stream::Turn(id) => store::chat::turn(&mut conn, id).await?.map(|turn| turn.project_id),
        Stream::Conversation(id) => store::chat::conversation(&mut conn, id).await?.map(|conversation| conversation.project_id),
    };
    let project = project.ok_or(Error::NotFound("stream"))?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await.map_err(|_| Error::NotFound("stream"))?;
    Ok(Some(project))
}

/// Events after `after`, at most `limit`. The caller has been authorised.
pub(crate) async fn replay(ctx: &Ctx, stream: Stream, after: i64, limit: i64) -> Result<Vec<Event>> {
    Ok(events::after(&mut ctx.services().db.read().await?, stream, after, limit).await?)
}

/// What a turn's stream has told after `after`, at most `limit` events.
pub async fn turn_events(ctx: &Ctx, turn: wire::TurnId, after: i64, limit: i64) -> Result<Vec<Event>> {
    crate::chat::get_turn(ctx, turn).await?;
    replay(ctx, Stream::Turn(turn), after, limit).await
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
    /// The projects that streams belong to: reading them ends with the access to those.
    projects: HashMap<Stream, ProjectId>,
    /// People are in a project as long as its stream is read.
    stays: HashMap<Stream, Stay>,
    ready: VecDeque<Event>,
    recheck_at: Instant,
    ended: bool,
}

/// Follows streams from their cursors on. A single stream ends with its terminal event. When the reader's session ends, a
/// `session_ended` event is the last; when the access to a project does, `access_ended` is the last of each of its streams.
pub async fn follow(ctx: &Ctx, streams: Vec<(Stream, i64)>) -> Result<impl Futures<Item = Result<Event>> + Send + use<>> {
    let mut projects = HashMap::new();
    for (stream, _) in &streams {
        if let Some(project) = authorise(ctx, *stream).await? {
            projects.insert(*stream, project);
        }
    }
    let stay = |stream: &Stream| match stream {
        Stream::Project(id) => presence::enter(ctx, *id).map(|stay| (*stream, stay)),
        _ => None,
    };
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
        stays: projects.keys().filter_map(stay).collect(),
        projects,
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
            // Before anything else is told: what follows on a change of members is not for those who are no longer.
            if Instant::now() >= self.recheck_at {
                let Some(fresh) = auth::look_again(&self.ctx).await? else {
                    self.ended = true;
                    return Ok(Some(self.session_ended()));
                };
                self.ctx = fresh;
                self.leave_closed_projects().await?;
                self.leave_closed_streams().await?;
                self.recheck_at = Instant::now() + RECHECK;
            }
            if let Some(event) = self.ready.pop_front() {
                // In the log it was said to whoever was signed in then; whether this reader's session has ended is looked at here.
                if matches!(event.kind, EventKind::SessionEnded {}) {
                    self.recheck_at = Instant::now();
                    continue;
                }
                let was_last = self.cursors.len() == 1 && self.cursors.contains_key(&event.stream);
                self.ended = (event.kind.is_terminal() && was_last) || (self.cursors.is_empty() && self.ready.is_empty());
                if matches!(event.kind, EventKind::MembersChanged {} | EventKind::SessionsChanged {} | EventKind::StartOver {}) {
                    self.recheck_at = Instant::now();
                }
                return Ok(Some(event));
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

    /// Ends the streams of projects that the reader may not enter any more.
    async fn leave_closed_projects(&mut self) -> Result<()> {
        let asked: HashSet<ProjectId> = self.projects.values().copied().collect();
        for project in asked {
            let mut conn = self.ctx.services().db.read().await?;
            match projects::require(&self.ctx, &mut conn, project, ProjectRole::Viewer).await {
                Ok(_) => continue,
                Err(Error::NotFound(_) | Error::Forbidden(_) | Error::NotSignedIn) => {}
                Err(error) => return Err(error),
            }
            drop(conn);
            let closed: Vec<Stream> = self.projects.iter().filter(|(_, of)| **of == project).map(|(stream, _)| *stream).collect();
            for stream in closed {
                self.leave(stream);
            }
        }
        Ok(())
    }

    /// Ends the other streams that the reader may not read any more, such as those of administrators.
    async fn leave_closed_streams(&mut self) -> Result<()> {
        let asked: Vec<Stream> = self.cursors.keys().filter(|stream| !self.projects.contains_key(stream)).copied().collect();
        for stream in asked {
            match authorise(&self.ctx, stream).await {
                Ok(_) => {}
                Err(Error::NotFound(_) | Error::Forbidden(_) | Error::NotSignedIn) => self.leave(stream),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn leave(&mut self, stream: Stream) {
        self.projects.remove(&stream);
        self.cursors.remove(&stream);
        self.stays.remove(&stream);
        self.behind.retain(|name| *name != stream);
        self.ready.retain(|event| event.stream != stream);
        self.ready.push_back(Event { stream, seq: 0, at: self.ctx.now(), kind: EventKind::AccessEnded {} });
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
            // Numbers have no gaps but where something is forgotten, and the last event never is.
            if matches!(stream, Stream::Project(_)) && events.first().is_some_and(|first| first.seq > cursor.max(0) + 1) {
                return self.start_over(stream).await;
            }
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

    /// What is left of a stream tells no more than reading everything again does, so none of it is told.
    async fn start_over(&mut self, stream: Stream) -> Result<()> {
        let last = events::last_seq(&mut self.ctx.services().db.read().await?, stream).await?;
        self.behind.retain(|name| *name != stream);
        self.cursors.insert(stream, last);
        self.ready.push_back(Event { stream, seq: last, at: self.ctx.now(), kind: EventKind::StartOver {} });
        Ok(())
    }

    fn session_ended(&self) -> Event {
        let stream = self.ctx.user_id().map_or(Stream::Admin, Stream::User);
        Event { stream, seq: 0, at: Micros(self.ctx.now().0), kind: EventKind::SessionEnded {} }
    }
}
