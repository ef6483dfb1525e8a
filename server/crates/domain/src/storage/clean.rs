//! What is cleaned up every hour.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    purge,
    sweep::{GRACE, sweep},
};
use crate::{
    Ctx, Error, Result, chat, context, export, forgotten, idempotency, import,
    jobs::{self, JobKind},
    quotas,
};

const EVERY_S: i64 = 3600;
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// Cleanups that went well are of no interest after that.
const REMEMBERED_S: i64 = 3 * 24 * 3600;

/// Queues the next cleanup if the last one is an hour old. Any number of workers may ask.
pub async fn schedule(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    let recent = ctx.now().plus_seconds(-EVERY_S);
    if !store::jobs::any_since(&mut tx, JobKind::Cleanup.as_str(), recent).await? {
        jobs::enqueue_for_system(ctx, &mut tx, JobKind::Cleanup, &serde_json::json!({})).await?;
    }
    ctx.commit(tx).await
}

/// The job's body. One part that fails does not keep the others from being done; the first failure is told at the end.
pub async fn clean(ctx: &Ctx, progress: watch::Sender<(u64, u64)>, stop: CancellationToken) -> Result<()> {
    if !ctx.is_system() {
        return Err(Error::Forbidden("Only the server itself cleans up.".to_owned()));
    }
    let mut failed = None;
    let mut note = |part: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            tracing::error!(%error, part, "a part of the cleanup failed");
            failed.get_or_insert(error);
        }
    };
    note("old cleanups", forget_old(ctx).await);
    note("uploads", forget_uploads(ctx).await);
    let given_up = import::staged::forget_expired(ctx).await;
    note("imports", given_up.map(|gone| tracing::info!(gone, "imports that nobody went on with were given up")));
    note("answers kept for repeated requests", idempotency::sweep(ctx).await);
    // What goes here leaves content that nothing names, which is looked for at the end.
    let emptied = alive(&progress, purge::purge_projects(ctx, &stop)).await;
    note("deleted projects", emptied.map(|gone| tracing::info!(gone, "deleted projects went for good")));
    // Before the pictures: what goes here leaves some that no message uses.
    let purged = alive(&progress, chat::purge_removed(ctx, &stop)).await;
    note("removed conversations", purged.map(|gone| tracing::info!(gone, "removed conversations went for good")));
    note("pictures", context::forget_unused(ctx).await);
    note("exports", export::clean_up(ctx).await.map(|gone| tracing::info!(gone, "exports have expired")));
    // Before the versions, which are counted at the end of theirs.
    let forgotten = alive(&progress, forgotten::clean(ctx, &stop)).await;
    note("deleted names and old events", forgotten.map(|gone| tracing::info!(?gone, "deleted names and old events were forgotten")));
    // What goes here leaves content that nothing names, which is looked for after it.
    let thinned = alive(&progress, quotas::thin(ctx)).await;
    note("old versions", thinned.map(|gone| tracing::info!(gone, "old versions were removed")));
    for (backend, _) in ctx.services().storage.all() {
        if stop.is_cancelled() {
            break;
        }
        let swept = sweep(ctx, backend, GRACE, &progress, &stop).await;
        note("unused content", swept.map(|swept| tracing::info!(backend = backend.as_str(), ?swept, "unused content was looked for")));
    }
    failed.map_or(Ok(()), Err)
}

/// Shows that work goes on which tells no progress itself.
async fn alive<T>(progress: &watch::Sender<(u64, u64)>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
            Ok(done) => return done,
            Err(_) => progress.send_modify(|_| {}),
        }
    }
}

async fn forget_uploads(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::uploads::remove_expired(&mut tx, ctx.now()).await?;
    ctx.commit(tx).await
}

async fn forget_old(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::jobs::forget_succeeded(&mut tx, JobKind::Cleanup.as_str(), ctx.now().plus_seconds(-REMEMBERED_S)).await?;
    ctx.commit(tx).await
}
