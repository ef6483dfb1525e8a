//! Removes what workers keep on their disks and nobody needs: branches of turns that have ended, checkouts that idle.

use std::time::Duration;

use domain::{Ctx, Error, chat};
use sandbox::{Cleaned, Workspaces};
use wire::{TurnId, chat::TurnState};

use crate::workspace::SyncError;

/// What [`clean_workspaces`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanedUp {
    pub branches: u32,
    pub checkouts: u32,
    /// Of the checkouts, with their dependency caches.
    pub bytes: u64,
}

/// Removes the branches of turns that have ended or are gone, then checkouts that nothing has used for `max_age` and, above
/// `keep_bytes` in all, those unused for longest. Nothing that is in use; checkouts are made again when they are needed. `ctx` is the
/// server's own.
pub async fn clean_workspaces(ctx: &Ctx, workspaces: &Workspaces, max_age: Duration, keep_bytes: u64) -> Result<CleanedUp, SyncError> {
    let mut cleaned = CleanedUp::default();
    for (project, branch) in workspaces.branches().map_err(Error::internal)? {
        let is_over = match chat::get_turn(ctx, TurnId::from(branch)).await {
            Ok(turn) => turn.state == TurnState::Finished,
            Err(Error::NotFound(_)) => true,
            Err(error) => return Err(error.into()),
        };
        if is_over {
            workspaces.drop_branch(project, branch).await?;
            cleaned.branches += 1;
        }
    }
    let Cleaned { checkouts, bytes } = workspaces.idle_cleanup(max_age, keep_bytes).await?;
    if checkouts > 0 || cleaned.branches > 0 {
        tracing::info!(checkouts, bytes, branches = cleaned.branches, "unused working directories were removed");
    }
    Ok(CleanedUp { checkouts, bytes, ..cleaned })
}
