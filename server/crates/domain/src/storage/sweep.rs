//! Removes blobs that nothing names. The proof that it removes nothing else stands at the head of `store::blobs`.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use blobs::{Backend, Blobs};
use futures::StreamExt;
use store::blobs::{self as table, Sweep};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::Micros;

use super::UNNAMED_S;
use crate::{Ctx, Error, Result};

/// How long nothing must have named a blob before it is doomed, and again before it is removed. No transaction lasts as long, and no
/// import either, from its first blob to the rows that name them.
pub const GRACE: Duration = Duration::from_secs(24 * 3600);

/// A removal that was begun so long ago and has not ended is taken up by the next sweep, where no lock says that it is nobody's.
const UNFINISHED: Duration = Duration::from_secs(600);
/// A sweep that was held up for so long after it began a removal leaves it to the next one. Well below [`UNFINISHED`], so that no
/// two delete the same blob, of which the later might delete what was written since.
const HELD_UP: Duration = Duration::from_secs(120);
const BATCH: usize = 400;

/// What a sweep did to one storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub looked_at: u64,
    /// Put on their way out.
    pub doomed: u64,
    pub removed: u64,
    /// Named again since they were doomed.
    pub spared: u64,
}

/// Goes over one storage. What an earlier sweep doomed at least `grace` ago goes first, then new candidates are looked for, so that a
/// grace always lies between the two. `progress` counts blobs looked at and removed.
pub async fn sweep(
    ctx: &Ctx,
    backend: Backend,
    grace: Duration,
    progress: &watch::Sender<(u64, u64)>,
    stop: &CancellationToken,
) -> Result<Swept> {
    if !ctx.is_system() {
        return Err(Error::Forbidden("Only the server itself cleans up.".to_owned()));
    }
    let blobs = ctx.services().storage.get(backend).cloned().ok_or(Error::NotFound("storage"))?;
    // Without the hold another sweep is at it, and nothing is lost by leaving it to that one.
    let Some(hold) = blobs.hold_removals().await? else { return Ok(Swept::default()) };
    let mut sweeper = Sweeper { ctx, backend: backend.as_str(), blobs, progress, stop, swept: Swept::default() };
    sweeper.remove_all(Sweep::Removing, if hold.is_lock { Duration::ZERO } else { UNFINISHED }).await?;
    sweeper.remove_all(Sweep::Doomed, grace).await?;
    sweeper.doom_orphans(grace).await?;
    let mut tx = ctx.services().db.begin().await?;
    table::drop_tombstones(&mut tx, ctx.now().plus_seconds(-UNNAMED_S)).await?;
    ctx.commit(tx).await?;
    Ok(sweeper.swept)
}

struct Sweeper<'a> {
    ctx: &'a Ctx,
    backend: &'static str,
    blobs: Arc<dyn Blobs>,
    progress: &'a watch::Sender<(u64, u64)>,
    stop: &'a CancellationToken,
    swept: Swept,
}

impl Sweeper<'_> {
    fn tell(&self) {
        self.progress.send_replace((self.swept.looked_at + self.swept.removed, 0));
    }

    async fn remove_all(&mut self, state: Sweep, age: Duration) -> Result<()> {
        loop {
            let due = self.ctx.now().plus_millis(-(age.as_millis() as i64));
            let mut conn = self.ctx.services().db.read().await?;
            let names = table::in_state(&mut conn, self.backend, state, due, BATCH as i64).await?;
            drop(conn);
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                self.remove(&name, state, due).await?;
                self.tell();
            }
        }
    }

    /// Steps 2 and 3 for one blob. Between its two transactions nobody can name the blob.
    async fn remove(&mut self, name: &str, state: Sweep, due: Micros) -> Result<()> {
        let (asked, begun) = (Instant::now(), self.ctx.now());
        let mut tx = self.ctx.services().db.begin().await?;
        let is_ours = match state {
            Sweep::Doomed => table::begin_removal(&mut tx, self.backend, name, due, begun).await?,
            _ => table::resume_removal(&mut tx, self.backend, name, due, begun).await?,
        };
        self.ctx.commit(tx).await?;
        if !is_ours {
            self.swept.spared += 1;
            return Ok(());
        }
        if asked.elapsed() > HELD_UP {
            return Ok(());
        }
        self.blobs.remove(name).await?;
        let mut tx = self.ctx.services().db.begin().await?;
        table::finish_removal(&mut tx, self.backend, name, begun, self.ctx.now()).await?;
        self.ctx.commit(tx).await?;
        self.swept.removed += 1;
        Ok(())
    }

    /// Step 1 for all that is old and named by nothing.
    async fn doom_orphans(&mut self, grace: Duration) -> Result<()> {
        let old_enough = SystemTime::now() - grace;
        let mut batches = self.blobs.list().await?.chunks(BATCH);
        while let Some(batch) = batches.next().await {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let mut old = Vec::new();
            for listed in batch {
                let listed = listed?;
                self.swept.looked_at += 1;
                if listed.modified <= old_enough {
                    old.push(listed.sha256);
                }
            }
            self.tell();
            self.doom(&old.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    async fn doom(&mut self, old: &[&str]) -> Result<()> {
        let mut conn = self.ctx.services().db.read().await?;
        let named = table::referenced(&mut conn, self.backend, old).await?;
        drop(conn);
        let orphans: Vec<&str> = old.iter().copied().filter(|name| !named.contains(*name)).collect();
        if orphans.is_empty() {
            return Ok(());
        }
        let mut tx = self.ctx.services().db.begin().await?;
        self.swept.doomed += table::doom(&mut tx, self.backend, &orphans, self.ctx.now()).await?;
        self.ctx.commit(tx).await
    }
}
