//! What goes on beside the output of a terminal. Apart from it, because writing to the database must not delay an echo.

use std::time::Duration;

use domain::{Ctx, runs, terminals};
use sandbox::{EgressDecision, Running};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use wire::{RunId, previews::RunPort};

use crate::{OfferedPorts, exec::Asked};

/// How often it is asked whether the opener may still do this.
const RIGHTS_EVERY: Duration = Duration::from_secs(10);
/// Network decisions are written together.
const EGRESS_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Aside<'a> {
    ctx: &'a Ctx,
    id: RunId,
    offered: OfferedPorts,
    ports: watch::Receiver<Vec<u16>>,
    egress: mpsc::Receiver<EgressDecision>,
    asked: Asked,
}

impl<'a> Aside<'a> {
    pub fn new(ctx: &'a Ctx, id: RunId, offered: OfferedPorts, running: &mut Running) -> Self {
        let (_, closed) = mpsc::channel(1);
        let egress = std::mem::replace(&mut running.egress, closed);
        Self { ctx, id, offered, ports: running.ports.clone(), egress, asked: Asked::default() }
    }

    /// Returns when the opener may no longer run commands in the project.
    pub async fn until_rights_are_gone(&mut self) {
        let mut rights_at = Instant::now() + RIGHTS_EVERY;
        let mut tick = interval(EGRESS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Ok(()) = self.ports.changed() => self.tell_ports().await,
                Some(decision) = self.egress.recv() => self.asked.push(self.ctx, self.id, decision),
                _ = tick.tick() => {
                    self.asked.record(self.ctx, self.id).await;
                    if Instant::now() >= rights_at {
                        rights_at = Instant::now() + RIGHTS_EVERY;
                        // A database that does not answer is no reason to take somebody's terminal away.
                        if !terminals::opener_may_go_on(self.ctx, self.id).await.unwrap_or(true) {
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn tell_ports(&mut self) {
        let now = self.ports.borrow_and_update().clone();
        let ports: Vec<RunPort> = self.offered.update(&now);
        if let Err(error) = runs::ports_changed(self.ctx, self.id, ports).await {
            tracing::warn!(run.id = %self.id, %error, "what listens in a terminal could not be told");
        }
    }

    /// Writes down what is left.
    pub async fn finish(mut self) {
        while let Ok(decision) = self.egress.try_recv() {
            self.asked.push(self.ctx, self.id, decision);
        }
        self.asked.record(self.ctx, self.id).await;
    }
}
