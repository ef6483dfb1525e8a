//! Moves a run's output from its pipes or terminal to the reader, counts it and ends the run at the hard limit.

use crate::spec::{Channel, Chunk};
use bytes::{Bytes, BytesMut};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc};

const READ_SIZE: usize = 16 * 1024;

/// Where output comes from.
pub(crate) enum Source {
    Pipes { stdout: pipe::Receiver, stderr: pipe::Receiver },
    Pty(Arc<AsyncFd<OwnedFd>>),
}

/// What the supervisor and the pump tell each other.
#[derive(Default)]
pub(crate) struct Meter {
    pub total: AtomicU64,
    /// The limit was reached: end the run.
    pub over: Notify,
    /// It was, whoever heard of it: a job that is told by a broken pipe ends before anybody has ended it.
    pub is_over: AtomicBool,
    /// Everything in the jail is dead: what can still be read is already in the pipe.
    pub ended: Notify,
}

struct Pump {
    sink: Option<mpsc::Sender<Chunk>>,
    meter: Arc<Meter>,
    limit: u64,
}

/// Runs until every source is at its end, the limit is reached, or the jail is dead and the pipes are empty.
pub(crate) async fn pump(source: Source, sink: mpsc::Sender<Chunk>, meter: Arc<Meter>, limit: u64) {
    let mut pump = Pump { sink: Some(sink), meter: meter.clone(), limit };
    let all = async {
        match source {
            Source::Pipes { stdout, stderr } => pump.pipes(stdout, stderr).await,
            Source::Pty(master) => pump.pty(master).await,
        }
    };
    tokio::pin!(all);
    tokio::select! {
        _ = &mut all => return,
        _ = meter.ended.notified() => {}
    }
    // Nobody is alive to write, so the end comes at once. It waits only for a reader that is still taking chunks;
    // a descriptor lost somewhere else must not hold the run open.
    loop {
        let before = meter.total.load(Ordering::Relaxed);
        if tokio::time::timeout(Duration::from_secs(1), &mut all).await.is_ok() {
            return;
        }
        if meter.total.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

impl Pump {
    async fn pipes(&mut self, mut stdout: pipe::Receiver, mut stderr: pipe::Receiver) {
        let (mut out, mut err) = (BytesMut::new(), BytesMut::new());
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            out.reserve(READ_SIZE);
            err.reserve(READ_SIZE);
            let go_on = tokio::select! {
                n = stdout.read_buf(&mut out), if out_open => {
                    out_open = matches!(n, Ok(n) if n > 0);
                    self.pass(Channel::Stdout, out.split().freeze()).await
                }
                n = stderr.read_buf(&mut err), if err_open => {
                    err_open = matches!(n, Ok(n) if n > 0);
                    self.pass(Channel::Stderr, err.split().freeze()).await
                }
            };
            if !go_on {
                return;
            }
        }
    }

    async fn pty(&mut self, master: Arc<AsyncFd<OwnedFd>>) {
        let mut buffer = vec![0u8; READ_SIZE];
        loop {
            let read =
                master.async_io(tokio::io::Interest::READABLE, |fd| rustix::io::read(fd, &mut buffer[..]).map_err(io::Error::from)).await;
            // A terminal whose last user is gone reports EIO, not an end of file.
            let Ok(n @ 1..) = read else { return };
            if !self.pass(Channel::Pty, Bytes::copy_from_slice(&buffer[..n])).await {
                return;
            }
        }
    }

    /// False when the limit is reached.
    async fn pass(&mut self, channel: Channel, mut data: Bytes) -> bool {
        if data.is_empty() {
            return true;
        }
        let offset = self.meter.total.load(Ordering::Relaxed);
        let room = self.limit.saturating_sub(offset);
        let over = data.len() as u64 > room;
        if over {
            data.truncate(room as usize);
        }
        self.meter.total.store(offset + data.len() as u64, Ordering::Relaxed);
        if over {
            self.meter.is_over.store(true, Ordering::Relaxed);
            self.meter.over.notify_one();
        }
        if let Some(sink) = &self.sink
            && !data.is_empty()
            && sink.send(Chunk { channel, offset, data }).await.is_err()
        {
            // Nobody listens any more; keep reading so that the job is not stuck on a full pipe.
            self.sink = None;
        }
        !over
    }
}
