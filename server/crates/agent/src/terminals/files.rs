//! The project's files while a terminal is open.

use domain::{Ctx, files::Committed};
use sandbox::Workspaces;
use wire::{ProjectId, files::Origin};

use crate::workspace::{self, SyncError};

/// The checkout that a terminal works in, brought up to date.
pub(super) struct Held {
    ctx: Ctx,
    workspaces: Workspaces,
    project: ProjectId,
    revision: i64,
}

impl Held {
    pub async fn take(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId) -> Result<Self, SyncError> {
        let revision = workspace::ensure_checkout(ctx, workspaces, project).await?;
        Ok(Self { ctx: ctx.clone(), workspaces: workspaces.clone(), project, revision })
    }

    /// Something that the project's people should know; waits until there is.
    pub async fn notice(&mut self) -> String {
        std::future::pending().await
    }

    /// Saves what is left.
    pub async fn finish(self) -> Result<Committed, SyncError> {
        workspace::commit_run_changes(&self.ctx, &self.workspaces, self.project, self.revision, Origin::Terminal).await
    }
}
