//! How workers hear at once of what was queued or cancelled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use store::{JobSignal, SignalsLink};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::TERMINAL_LANE;

/// Wake-ups and cancels, inside this process and, once connected, between processes. Whoever hears nothing finds the same in the
/// database, a second later.
#[derive(Clone, Default)]
pub struct JobSignals {
    work: Arc<Notify>,
    terminals: Arc<Notify>,
    running: Arc<Mutex<HashMap<Uuid, CancellationToken>>>,
    others: Arc<OnceLock<Arc<dyn SignalsLink>>>,
}

/// Keeps a token known while something runs.
pub struct Running {
    id: Uuid,
    pub token: CancellationToken,
    signals: JobSignals,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signals.lock().remove(&self.id);
    }
}

impl JobSignals {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on other processes hear of it too. Only the first link counts.
    pub fn connect(&self, others: Arc<dyn SignalsLink>) {
        let _ = self.others.set(others);
    }

    /// The same without the link: what comes from other processes goes here, and no further.
    pub fn within_process(&self) -> Self {
        Self { others: Arc::default(), ..self.clone() }
    }

    pub fn receive(&self, signal: JobSignal) {
        match signal {
            JobSignal::Wake => self.wake(),
            JobSignal::Cancel(id) => {
                self.cancel(id);
            }
        }
    }

    /// Something was queued, or a place became free.
    pub fn wake(&self) {
        self.work.notify_one();
        self.terminals.notify_one();
        if let Some(others) = self.others.get() {
            others.send(JobSignal::Wake);
        }
    }

    /// Returns when something may be due in a lane, or after `timeout`. One waits per lane.
    pub async fn wait_for_work(&self, lane: &str, timeout: Duration) {
        let woken = if lane == TERMINAL_LANE { &self.terminals } else { &self.work };
        let _ = tokio::time::timeout(timeout, woken.notified()).await;
    }

    /// Announces that a job or a run goes on here and can be stopped.
    pub fn register(&self, id: impl Into<Uuid>) -> Running {
        let (id, token) = (id.into(), CancellationToken::new());
        self.lock().insert(id, token.clone());
        Running { id, token, signals: self.within_process() }
    }

    /// Stops it here, or tells the others. `false` when it does not run in this process.
    pub fn cancel(&self, id: impl Into<Uuid>) -> bool {
        let id = id.into();
        if let Some(token) = self.lock().get(&id) {
            token.cancel();
            return true;
        }
        if let Some(others) = self.others.get() {
            others.send(JobSignal::Cancel(id));
        }
        false
    }
}
