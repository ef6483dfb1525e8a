use std::sync::{Arc, OnceLock};

use domain::{Ctx, jobs::Claimed};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why a job must end before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Somebody asked for it.
    Asked,
    /// Another worker may own the job by now.
    LeaseLost,
    /// This process is stopping.
    Shutdown,
}

/// Tells a job to stop, and why. Cancelling the token alone means that somebody asked.
#[derive(Clone)]
pub struct Stop {
    pub token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl Stop {
    pub fn new(token: CancellationToken) -> Self {
        Self { token, why: Arc::default() }
    }

    /// The first reason counts.
    pub fn stop(&self, why: Why) {
        if !self.token.is_cancelled() {
            let _ = self.why.set(why);
            self.token.cancel();
        }
    }

    /// Returns when the job is no longer this worker's to finish; a request to stop is not that.
    pub async fn taken_away(&self) {
        self.token.cancelled().await;
        if self.why() == Some(Why::Asked) {
            std::future::pending::<()>().await;
        }
    }

    /// `None` while the job may go on.
    pub fn why(&self) -> Option<Why> {
        self.token.is_cancelled().then(|| self.why.get().copied().unwrap_or(Why::Asked))
    }
}

/// One attempt at a job.
pub struct Task {
    pub job: Claimed,
    /// The rights of whoever asked for the job, or the server's own where nobody did.
    pub ctx: Ctx,
    pub stop: Stop,
    /// How far it is, as (done, total) in the job's own unit.
    pub progress: watch::Sender<(u64, u64)>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Cancelled,
    /// It may work later. The sentence is for the person who asked.
    Retry(String),
    /// It would fail again.
    Failed(String),
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Retry(_) => "retry",
            Self::Failed(_) => "failed",
        }
    }
}
