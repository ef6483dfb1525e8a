//! The project's files while a terminal is open.

use domain::{
    Ctx,
    files::{Committed, Maker},
};
use wire::{ProjectId, RunId, files::Origin, runs::RunChange};

use crate::{Hold, Keeper, workspace::SyncError};

/// The checkout that a terminal works in, kept in step with the project.
pub(super) struct Held {
    hold: Hold,
}

impl Held {
    pub async fn take(ctx: &Ctx, keeper: &Keeper, project: ProjectId, run: RunId) -> Result<Self, SyncError> {
        Ok(Self { hold: keeper.hold(ctx, project, Maker { origin: Origin::Terminal, cause: Some(run.0) }).await? })
    }

    /// Something that the project's people should know; waits until there is.
    pub async fn notice(&mut self) -> String {
        match self.hold.notices.recv().await {
            Some(text) => text,
            None => std::future::pending().await,
        }
    }

    /// What nobody has been told yet.
    pub fn last_notices(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.hold.notices.try_recv().ok()).collect()
    }

    /// Saves what is left.
    pub async fn finish(&mut self) -> Result<Committed, SyncError> {
        self.hold.finish().await
    }

    /// Everything that was saved so far.
    pub fn changes(&self) -> Vec<RunChange> {
        self.hold.changes()
    }
}
