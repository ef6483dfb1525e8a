//! One event connection per page. Every part of the page follows the streams it needs; the connection is opened once for all of
//! them and taken up again after a loss where each stream had stopped.

use leptos::prelude::*;
use wire::event::{Event, Stream};

/// How it stands with the page's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    Connected,
    /// The server does not answer, and is asked again by itself.
    Reconnecting,
    /// The browser says that there is no network.
    Offline,
}

/// The page's connection; it feeds the status bar and what is said of a loss.
#[derive(Clone, Copy)]
pub struct Live {
    connection: RwSignal<Connection>,
    connected: Memo<bool>,
    signed_out: RwSignal<bool>,
}

/// Keeps one stream followed; dropping it ends that.
#[must_use = "dropping it ends the following"]
#[derive(Debug)]
pub struct Follow {
    id: u64,
}

impl Follow {
    /// Ends the following now.
    pub fn stop(self) {}

    /// Follows until the current reactive owner is cleaned up.
    pub fn until_cleanup(self) {
        on_cleanup(move || drop(self));
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        line::unfollow(self.id);
    }
}

impl Live {
    /// Makes the page's connection known to its parts. It is opened with the first stream followed.
    pub fn provide() -> Self {
        let connection = RwSignal::new(Connection::Connected);
        let connected = Memo::new(move |_| connection.get() == Connection::Connected);
        let live = Self { connection, connected, signed_out: RwSignal::new(false) };
        line::attach(live);
        provide_context(live);
        live
    }

    /// True while events arrive; a loss of less than a second does not show.
    pub fn connected(&self) -> Signal<bool> {
        self.connected.into()
    }

    /// The same, and what is known of a loss.
    pub fn connection(&self) -> Signal<Connection> {
        self.connection.into()
    }

    /// True once the session has ended: nothing is followed any more until the person signs in again.
    pub fn signed_out(&self) -> Signal<bool> {
        self.signed_out.into()
    }

    /// Stops following because the session has ended.
    pub fn end_session(&self) {
        line::close();
        self.signed_out.set(true);
    }

    /// Calls `f` for each event of `stream` after sequence number `after`, each once and in order. On the server it does nothing.
    pub fn follow(&self, stream: Stream, after: i64, f: impl Fn(&Event) + 'static) -> Follow {
        Follow { id: line::follow(stream, after, Box::new(f)) }
    }
}

/// The page's connection, made by the page.
pub fn use_live() -> Live {
    expect_context()
}

#[cfg(not(target_arch = "wasm32"))]
mod line {
    use super::{Event, Live, Stream};

    pub fn attach(_: Live) {}
    pub fn close() {}
    pub fn follow(_: Stream, _: i64, _: Box<dyn Fn(&Event)>) -> u64 {
        0
    }
    pub fn unfollow(_: u64) {}
}

#[cfg(target_arch = "wasm32")]
mod line {
    use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

    use leptos::{
        leptos_dom::helpers::TimeoutHandle,
        prelude::{GetUntracked, Set, set_timeout_with_handle},
        web_sys::{self, EventSource, MessageEvent},
    };
    use wasm_bindgen::{JsCast, closure::Closure};

    use wire::event::EventKind;

    use super::{Connection, Event, Live, Stream};

    /// As many as the server takes on one connection.
    const STREAMS_MAX: usize = 32;
    const FIRST_RETRY: Duration = Duration::from_millis(200);
    /// A server that is back is noticed within a second, however long it was away.
    const LAST_RETRY: Duration = Duration::from_millis(800);
    /// Streams added together share one new connection.
    const GATHER: Duration = Duration::from_millis(20);

    type Call = Rc<dyn Fn(&Event)>;

    struct Follower {
        stream: Stream,
        cursor: i64,
        call: Call,
    }

    struct Source {
        source: EventSource,
        /// How far each stream was read on this connection; also says which streams it carries.
        cursors: BTreeMap<Stream, i64>,
        _on_message: Closure<dyn FnMut(MessageEvent)>,
        _on_open: Closure<dyn FnMut()>,
        _on_error: Closure<dyn FnMut()>,
    }

    impl Drop for Source {
        fn drop(&mut self) {
            self.source.set_onmessage(None);
            self.source.set_onopen(None);
            self.source.set_onerror(None);
            self.source.close();
        }
    }

    #[derive(Default)]
    struct Line {
        followers: BTreeMap<u64, Follower>,
        next_id: u64,
        source: Option<Source>,
        timer: Option<TimeoutHandle>,
        failures: u32,
        live: Option<Live>,
        /// The session has ended: nothing is opened again.
        closed: bool,
        watches_network: bool,
    }

    thread_local! {
        static LINE: RefCell<Line> = RefCell::new(Line::default());
    }

    pub fn attach(live: Live) {
        let watch = LINE.with_borrow_mut(|line| {
            line.live = Some(live);
            line.closed = false;
            !std::mem::replace(&mut line.watches_network, true)
        });
        if watch {
            watch_network();
        }
    }

    pub fn follow(stream: Stream, after: i64, call: Box<dyn Fn(&Event)>) -> u64 {
        let (id, carried) = LINE.with_borrow_mut(|line| {
            line.next_id += 1;
            let id = line.next_id;
            line.followers.insert(id, Follower { stream, cursor: after, call: call.into() });
            let read = line.source.as_ref().and_then(|s| s.cursors.get(&stream).copied());
            (id, read.is_some_and(|read| read <= after))
        });
        if !carried {
            reopen_after(GATHER);
        }
        id
    }

    pub fn unfollow(id: u64) {
        // The closure may own signals whose clean-up follows or unfollows in turn, so it is dropped outside the borrow.
        let (gone, empty) = LINE.with_borrow_mut(|line| (line.followers.remove(&id), line.followers.is_empty()));
        drop(gone);
        if empty {
            hang_up();
        }
    }

    pub fn close() {
        LINE.with_borrow_mut(|line| line.closed = true);
        hang_up();
    }

    fn hang_up() {
        let old = LINE.with_borrow_mut(|line| {
            if let Some(timer) = line.timer.take() {
                timer.clear();
            }
            line.source.take()
        });
        drop(old);
    }

    fn reopen_after(delay: Duration) {
        LINE.with_borrow_mut(|line| {
            if let Some(timer) = line.timer.take() {
                timer.clear();
            }
            if line.closed {
                return;
            }
            line.timer = set_timeout_with_handle(open, delay).ok();
        });
    }

    fn open() {
        let (old, wanted) = LINE.with_borrow_mut(|line| {
            line.timer = None;
            let mut wanted = BTreeMap::new();
            // The newest first: what does not fit waits until another stream has ended.
            for follower in line.followers.values().rev() {
                if wanted.len() == STREAMS_MAX && !wanted.contains_key(&follower.stream) {
                    continue;
                }
                let cursor = wanted.entry(follower.stream).or_insert(follower.cursor);
                *cursor = follower.cursor.min(*cursor);
            }
            (line.source.take(), wanted)
        });
        drop(old);
        if wanted.is_empty() {
            return;
        }
        let query: Vec<String> = wanted.iter().map(|(stream, cursor)| format!("s={stream}@{cursor}")).collect();
        let Ok(source) = EventSource::new(&format!("/api/live?{}", query.join("&"))) else {
            fail();
            return;
        };
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(|message: MessageEvent| {
            if let Some(event) = message.data().as_string().and_then(|text| serde_json::from_str(&text).ok()) {
                deliver(&event);
            }
        });
        let on_open = Closure::<dyn FnMut()>::new(|| {
            LINE.with_borrow_mut(|line| line.failures = 0);
            show(Connection::Connected);
        });
        let on_error = Closure::<dyn FnMut()>::new(fail);
        source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        let opened = Source { source, cursors: wanted, _on_message: on_message, _on_open: on_open, _on_error: on_error };
        LINE.with_borrow_mut(|line| line.source = Some(opened));
    }

    /// The browser would reconnect with the old cursors, so the connection is closed and made again here.
    fn fail() {
        let delay = LINE.with_borrow_mut(|line| {
            if let Some(source) = &line.source {
                source.source.close();
            }
            line.failures += 1;
            FIRST_RETRY.saturating_mul(1 << (line.failures - 1).min(4)).min(LAST_RETRY)
        });
        if LINE.with_borrow(|line| line.failures > 1) {
            show(if has_network() { Connection::Reconnecting } else { Connection::Offline });
        }
        if LINE.with_borrow(|line| !line.followers.is_empty()) {
            reopen_after(delay);
        }
    }

    fn deliver(event: &Event) {
        if matches!(event.kind, EventKind::SessionEnded {}) {
            if let Some(live) = LINE.with_borrow(|line| line.live) {
                live.end_session();
            }
            return;
        }
        if matches!(event.kind, EventKind::AccessEnded {}) {
            // Outside of the log, so that no cursor says who has seen it.
            let calls: Vec<Call> =
                LINE.with_borrow(|line| line.followers.values().filter(|f| f.stream == event.stream).map(|f| f.call.clone()).collect());
            for call in calls {
                call(event);
            }
            finish(event.stream);
            return;
        }
        let calls: Vec<Call> = LINE.with_borrow_mut(|line| {
            if let Some(cursor) = line.source.as_mut().and_then(|s| s.cursors.get_mut(&event.stream)) {
                *cursor = event.seq.max(*cursor);
            }
            line.followers
                .values_mut()
                .filter(|f| f.stream == event.stream && f.cursor < event.seq)
                .map(|f| {
                    f.cursor = event.seq;
                    f.call.clone()
                })
                .collect()
        });
        for call in calls {
            call(event);
        }
        if ends(event) {
            finish(event.stream);
        }
    }

    fn ends(event: &Event) -> bool {
        matches!(event.stream, Stream::Run(_) | Stream::Turn(_) | Stream::Job(_)) && event.kind.is_terminal()
    }

    /// Nothing more comes on this stream: the next connection need not carry it.
    fn finish(stream: Stream) {
        let gone: Vec<Follower> = LINE.with_borrow_mut(|line| {
            let ids: Vec<u64> = line.followers.iter().filter(|(_, f)| f.stream == stream).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| line.followers.remove(id)).collect()
        });
        drop(gone);
        let waiting = LINE.with_borrow(|line| {
            let carried = |stream| line.source.as_ref().is_some_and(|source| source.cursors.contains_key(stream));
            line.timer.is_none() && line.followers.values().any(|follower| !carried(&follower.stream))
        });
        if waiting {
            reopen_after(GATHER);
        }
    }

    fn show(now: Connection) {
        let live = LINE.with_borrow(|line| line.live);
        if let Some(signal) = live.map(|live| live.connection)
            && signal.try_get_untracked().is_some_and(|shown| shown != now)
        {
            signal.set(now);
        }
    }

    fn has_network() -> bool {
        web_sys::window().is_none_or(|window| window.navigator().on_line())
    }

    /// Waiting out the back-off makes no sense once the browser says that the network is back.
    fn watch_network() {
        let Some(window) = web_sys::window() else { return };
        let lost = Closure::<dyn FnMut()>::new(|| show(Connection::Offline));
        let back = Closure::<dyn FnMut()>::new(|| {
            LINE.with_borrow_mut(|line| line.failures = 1);
            if LINE.with_borrow(|line| line.followers.is_empty()) {
                show(Connection::Connected);
            } else {
                show(Connection::Reconnecting);
                reopen_after(GATHER);
            }
        });
        // Both live as long as the page.
        let _ = window.add_event_listener_with_callback("offline", lost.as_ref().unchecked_ref());
        let _ = window.add_event_listener_with_callback("online", back.as_ref().unchecked_ref());
        lost.forget();
        back.forget();
    }
}
