//! One reader of a terminal. Each goes at its own pace; none of them holds up the program or another reader.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::{broadcast, watch},
    time::sleep,
};
use wire::terminals::TerminalNotice;

use super::{
    Seat, Shown,
    pace::Bucket,
    session::{Progress, Session, Told},
};

/// One frame of output.
const FRAME_MOST: usize = 64 * 1024;
const BYTES_PER_S: f64 = 1_000_000.0;
const BYTES_BURST: f64 = 512.0 * 1024.0;
const FRAMES_PER_S: f64 = 30.0;
const FRAMES_BURST: f64 = 60.0;
/// Sent and not yet said to be taken in.
const UNACKED_MOST: usize = 512 * 1024;
/// How much of the output a reader gets who was too slow for the rest: a screen full many times over, and soon sent.
const CATCH_UP: usize = 128 * 1024;
/// Below this it is worth waiting for more, while much is to be sent.
const WORTH_SENDING: f64 = 16.0 * 1024.0;

/// A reader's place in the output.
pub struct Viewer {
    session: Arc<Session>,
    id: u64,
    position: u64,
    fresh: bool,
    greeted: bool,
    unacked: usize,
    bytes: Bucket,
    frames: Bucket,
    progress: watch::Receiver<Progress>,
    notices: broadcast::Receiver<Told>,
    pending: Option<TerminalNotice>,
}

enum Step {
    Show(Shown),
    /// Nothing may be sent before.
    Wait(Duration),
    /// Nothing happens before the output goes on, or the reader takes in what it has.
    Idle,
}

impl Viewer {
    pub(super) fn new(
        session: Arc<Session>,
        id: u64,
        progress: watch::Receiver<Progress>,
        notices: broadcast::Receiver<Told>,
        after: Option<u64>,
    ) -> Self {
        let (start, end, sane) = session.with_ring(|ring| (ring.start(), ring.end(), ring.sane_place(usize::MAX)));
        let known = after.filter(|after| (start..=end).contains(after));
        let pending = session.idle_warning();
        Self {
            session,
            id,
            position: known.unwrap_or(sane),
            fresh: known.is_none(),
            greeted: false,
            unacked: 0,
            bytes: Bucket::new(BYTES_BURST, BYTES_PER_S),
            frames: Bucket::new(FRAMES_BURST, FRAMES_PER_S),
            progress,
            notices,
            pending,
        }
    }

    fn step(&mut self) -> Step {
        if !self.greeted {
            self.greeted = true;
            let (cols, rows) = self.session.size();
            return Step::Show(Shown::Notice(TerminalNotice::Hello { offset: self.position, fresh: self.fresh, cols, rows }));
        }
        if let Some(notice) = self.pending.take() {
            return Step::Show(Shown::Notice(notice));
        }
        let Progress { end, closed, .. } = *self.progress.borrow_and_update();
        if end == self.position {
            return if closed { Step::Show(Shown::Closed(self.session.sentence())) } else { Step::Idle };
        }
        let (start, sane) = self.session.with_ring(|ring| (ring.start(), ring.sane_place(CATCH_UP)));
        if start > self.position {
            let bytes = sane - self.position;
            self.position = sane;
            return Step::Show(Shown::Notice(TerminalNotice::Dropped { bytes }));
        }
        self.read(end)
    }

    fn read(&mut self, end: u64) -> Step {
        let wanted = usize::try_from(end - self.position).unwrap_or(usize::MAX).min(FRAME_MOST);
        let room = UNACKED_MOST.saturating_sub(self.unacked);
        if room == 0 {
            return Step::Idle;
        }
        let wait = self.frames.wait_for(1.0).max(self.bytes.wait_for((wanted as f64).min(WORTH_SENDING)));
        if !wait.is_zero() {
            return Step::Wait(wait);
        }
        let most = wanted.min(room).min(self.bytes.level() as usize);
        let data = self.session.with_ring(|ring| (ring.start() <= self.position).then(|| ring.read(self.position, most)));
        // Overtaken between the look and the read: the next step sees it.
        let Some(data) = data else { return Step::Wait(Duration::ZERO) };
        self.frames.take(1.0);
        self.bytes.take(data.len() as f64);
        self.unacked += data.len();
        self.position += data.len() as u64;
        Step::Show(Shown::Bytes(data))
    }
}

#[async_trait]
impl Seat for Viewer {
    async fn next(&mut self) -> Shown {
        loop {
            let wait = match self.step() {
                Step::Show(shown) => return shown,
                Step::Wait(wait) => Some(wait),
                Step::Idle => None,
            };
            tokio::select! {
                biased;
                told = self.notices.recv() => {
                    if let Ok(Told { notice, not_to }) = told && not_to != Some(self.id) {
                        return Shown::Notice(notice);
                    }
                }
                // An end of the job that was never told, which can't be: then nothing comes any more.
                changed = self.progress.changed(), if wait.is_none() => {
                    if changed.is_err() {
                        return Shown::Closed(self.session.sentence());
                    }
                }
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    fn take_in(&mut self, bytes: u64) {
        self.unacked = self.unacked.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn type_in(&mut self, data: Bytes) {
        let typed = data.len();
        if !self.session.type_in(data) && self.pending.is_none() {
            let text = format!("The program reads nothing at the moment, so the last {typed} bytes that were typed are lost.");
            self.pending = Some(TerminalNotice::Notice { text });
        }
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        self.session.resize(self.id, cols, rows);
    }
}
