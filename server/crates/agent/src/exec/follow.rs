//! What a run says while it goes on: output, what it uses, what listens in it, what it asked of the network.

use std::time::Duration;

use bytes::BytesMut;
use domain::{
    Ctx, Error, network,
    runs::{self, OutputChunk},
};
use sandbox::{Chunk, EgressDecision, Finished, Running, StopGrace, UsageSample};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::{RunId, event::OutputChannel, network::EgressEntry, previews::RunPort};

use crate::{OfferedPorts, sample::Sample};

const BATCH_BYTES: usize = 64 * 1024;
const BATCH_DELAY: Duration = Duration::from_millis(30);
/// What a run uses is told with every sample at first, then now and then: most runs are short, and some go on for an hour.
const SAMPLES_AT_FIRST: Duration = Duration::from_secs(30);
const SAMPLE_LATER: Duration = Duration::from_secs(5);
/// Network decisions are written together.
const EGRESS_DELAY: Duration = Duration::from_millis(250);
const EGRESS_BATCH: usize = 100;

pub(super) async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

/// A run under way, and who is told about it.
pub(super) struct Follow<'a> {
    pub ctx: &'a Ctx,
    pub run: RunId,
    pub ports: Option<OfferedPorts>,
    /// Sentences about the project's files; `None` where nobody keeps them in step.
    pub notices: Option<&'a mut mpsc::Receiver<String>>,
}

impl Follow<'_> {
    /// Reads the output to its end. Stops the run when asked to; on an error it is dropped, which kills it.
    pub async fn see_through(
        mut self,
        mut running: Running,
        cancel: &CancellationToken,
        other: &CancellationToken,
    ) -> Result<(Finished, Sample), Error> {
        let mut batch = Batch::default();
        let mut sample = Sample::default();
        let mut pace = Pace::default();
        let mut asked = Asked::default();
        let mut stopping = false;
        loop {
            let flush_at = batch.since.map(|since| since + BATCH_DELAY);
            let record_at = asked.since.map(|since| since + EGRESS_DELAY);
            tokio::select! {
                () = either(cancel, other), if !stopping => {
                    stopping = true;
                    let stopper = running.stopper();
                    tokio::spawn(async move { stopper.stop(StopGrace::Polite).await });
                }
                chunk = running.output.recv() => {
                    let Some(chunk) = chunk else { break };
                    sample.push(&chunk.data);
                    batch.push(chunk);
                    if batch.bytes >= BATCH_BYTES {
                        batch.flush(self.ctx, self.run).await?;
                    }
                }
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => batch.flush(self.ctx, self.run).await?,
                Ok(()) = running.samples.changed() => {
                    let now = *running.samples.borrow_and_update();
                    if pace.is_due() {
                        self.tell_sample(now).await?;
                    }
                }
                Ok(()) = running.ports.changed() => {
                    let now = running.ports.borrow_and_update().clone();
                    runs::ports_changed(self.ctx, self.run, self.offer(&now)).await?;
                }
                Some(decision) = running.egress.recv() => {
                    asked.push(self.ctx, self.run, decision);
                    if asked.entries.len() >= EGRESS_BATCH {
                        asked.record(self.ctx, self.run).await;
                    }
                }
                () = sleep_until(record_at.unwrap_or_else(Instant::now)), if record_at.is_some() => asked.record(self.ctx, self.run).await,
                Some(text) = next_notice(&mut self.notices) => runs::noted(self.ctx, self.run, text).await?,
            }
        }
        batch.flush(self.ctx, self.run).await?;
        while let Ok(decision) = running.egress.try_recv() {
            asked.push(self.ctx, self.run, decision);
        }
        asked.record(self.ctx, self.run).await;
        Ok((running.wait().await, sample))
    }

    fn offer(&self, ports: &[u16]) -> Vec<RunPort> {
        match &self.ports {
            Some(offered) => offered.update(ports),
            None => ports.iter().map(|port| RunPort { port: *port, public_port: None }).collect(),
        }
    }

    async fn tell_sample(&self, now: UsageSample) -> Result<(), Error> {
        runs::sampled(self.ctx, self.run, signed(now.cpu_ms), signed(now.memory_bytes)).await
    }
}

async fn next_notice(notices: &mut Option<&mut mpsc::Receiver<String>>) -> Option<String> {
    match notices {
        Some(notices) => notices.recv().await,
        None => None,
    }
}

/// Which samples are worth telling.
struct Pace {
    started: Instant,
    told: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { started: Instant::now(), told: None }
    }
}

impl Pace {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        // Samples come each second, and not to the millisecond.
        let almost = SAMPLE_LATER - Duration::from_millis(300);
        let is_due = now - self.started <= SAMPLES_AT_FIRST || self.told.is_none_or(|told| now - told >= almost);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

/// What the run asked of the network and was not yet written down.
#[derive(Default)]
pub(crate) struct Asked {
    entries: Vec<EgressEntry>,
    since: Option<Instant>,
}

impl Asked {
    pub(crate) fn push(&mut self, ctx: &Ctx, run: RunId, decision: EgressDecision) {
        self.since.get_or_insert_with(Instant::now);
        let EgressDecision { host, port, allowed, reason } = decision;
        self.entries.push(EgressEntry { run_id: run, host, port, allowed, reason, at: ctx.now() });
    }

    /// A log that can't be written is no reason to end the run.
    pub(crate) async fn record(&mut self, ctx: &Ctx, run: RunId) {
        let entries = std::mem::take(self).entries;
        if !entries.is_empty()
            && let Err(error) = network::record(ctx, run, entries).await
        {
            tracing::warn!(run.id = %run, %error, "what a run asked of the network could not be written down");
        }
    }
}

/// Output on its way to the log. Pieces of one channel that follow each other become one.
#[derive(Default)]
struct Batch {
    pieces: Vec<(OutputChannel, i64, BytesMut)>,
    bytes: usize,
    since: Option<Instant>,
}

impl Batch {
    fn push(&mut self, chunk: Chunk) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += chunk.data.len();
        let channel = match chunk.channel {
            sandbox::Channel::Stdout => OutputChannel::Stdout,
            sandbox::Channel::Stderr => OutputChannel::Stderr,
            sandbox::Channel::Pty => OutputChannel::Pty,
        };
        let offset = signed(chunk.offset);
        match self.pieces.last_mut() {
            Some((last, start, data)) if *last == channel && *start + signed(data.len() as u64) == offset => {
                data.extend_from_slice(&chunk.data)
            }
            _ => self.pieces.push((channel, offset, BytesMut::from(chunk.data.as_ref()))),
        }
    }

    async fn flush(&mut self, ctx: &Ctx, run: RunId) -> Result<(), Error> {
        let taken = std::mem::take(self);
        if taken.pieces.is_empty() {
            return Ok(());
        }
        let chunks = taken.pieces.into_iter().map(|(channel, offset, data)| OutputChunk { channel, offset, data: data.freeze() }).collect();
        runs::append_output(ctx, run, chunks).await
    }
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn pieces_of_one_channel_become_one() {
        let mut batch = Batch::default();
        let chunk = |channel, offset, data: &'static str| Chunk { channel, offset, data: Bytes::from_static(data.as_bytes()) };
        batch.push(chunk(sandbox::Channel::Stdout, 0, "ab"));
        batch.push(chunk(sandbox::Channel::Stdout, 2, "cd"));
        batch.push(chunk(sandbox::Channel::Stderr, 4, "!"));
        batch.push(chunk(sandbox::Channel::Stdout, 5, "e"));
        let seen: Vec<_> = batch.pieces.iter().map(|(channel, offset, data)| (*channel, *offset, &data[..])).collect();
        assert_eq!(seen, [(OutputChannel::Stdout, 0, &b"abcd"[..]), (OutputChannel::Stderr, 4, b"!"), (OutputChannel::Stdout, 5, b"e")]);
        assert_eq!(batch.bytes, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn samples_are_told_often_at_first() {
        let mut pace = Pace::default();
        let mut told = 0;
        for second in 1..=60 {
            tokio::time::advance(Duration::from_secs(1)).await;
            told += i32::from(pace.is_due());
            if second == 30 {
                assert_eq!(told, 30);
            }
        }
        assert_eq!(told, 36);
    }
}
