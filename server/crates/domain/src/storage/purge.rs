//! Deleted projects go for good once nobody can bring them back any more. The ledger and the audit log keep what they have of them; their
//! bytes are swept as others that nothing names.

use store::purge as table;
use tokio_util::sync::CancellationToken;
use wire::{Micros, ProjectId, audit::AuditAction, event::Stream};

use crate::{Ctx, Error, Result, audit, chat, projects, quotas};

/// Clocks of several servers differ: whoever brings one back in its last moment wins.
const MARGIN_S: i64 = 600;
/// Projects in one cleanup; the rest waits for the next.
const MOST: i64 = 50;
/// Rows that one transaction removes.
const BATCH: i64 = 1000;
/// Runs or conversations read at a time.
const PAGE: i64 = 100;

/// Takes apart what was deleted longer ago than earlier versions are kept, in short transactions. Answers how many projects are gone. One
/// that fails does not keep the others; what was begun and not ended goes on next time. For the server itself.
pub(super) async fn purge_projects(ctx: &Ctx, stop: &CancellationToken) -> Result<u64> {
    if !ctx.is_system() {
        return Err(Error::Forbidden("Only the server itself cleans up.".to_owned()));
    }
    let mut conn = ctx.services().db.read().await?;
    let before = ctx.now().plus_seconds(-quotas::retention_s(ctx, &mut conn).await? - MARGIN_S);
    let due = table::due(&mut conn, before, MOST).await?;
    drop(conn);
    let (mut gone, mut failed) = (0, None);
    for (id, is_begun) in due {
        match purge(ctx, id, is_begun, before, stop).await {
            Ok(done) => gone += u64::from(done),
            Err(error) => drop(failed.get_or_insert(error)),
        }
        if stop.is_cancelled() {
            break;
        }
    }
    failed.map_or(Ok(gone), Err)
}

/// `false` when it was restored meanwhile, or this was stopped on the way.
async fn purge(ctx: &Ctx, id: ProjectId, is_begun: bool, before: Micros, stop: &CancellationToken) -> Result<bool> {
    if !is_begun && !begin(ctx, id, before).await? {
        return Ok(false);
    }
    // Runs first: a turn may stand on one.
    if !purge_runs(ctx, id, stop).await? || !purge_conversations(ctx, id, stop).await? {
        return Ok(false);
    }
    loop {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let mut tx = ctx.services().db.begin().await?;
        let gone = table::delete_some(&mut tx, id, BATCH).await?;
        ctx.commit(tx).await?;
        if gone == 0 {
            break;
        }
    }
    chat::forget_stream(ctx, Stream::Project(id)).await?;
    let mut tx = ctx.services().db.begin().await?;
    let done = table::finish(&mut tx, id).await?;
    ctx.commit(tx).await?;
    Ok(done)
}

/// From here on it can't be restored.
async fn begin(ctx: &Ctx, id: ProjectId, before: Micros) -> Result<bool> {
    let mut tx = ctx.services().db.begin().await?;
    let Some(name) = table::begin(&mut tx, id, before).await? else { return Ok(false) };
    audit::record(ctx, &mut tx, AuditAction::ProjectPurged, projects::facts_of(id, &name));
    ctx.commit(tx).await?;
    Ok(true)
}

async fn purge_runs(ctx: &Ctx, project: ProjectId, stop: &CancellationToken) -> Result<bool> {
    loop {
        let page = table::runs(&mut ctx.services().db.read().await?, project, PAGE).await?;
        if page.is_empty() {
            return Ok(true);
        }
        for run in page {
            if stop.is_cancelled() {
                return Ok(false);
            }
            chat::forget_stream(ctx, Stream::Run(run)).await?;
            let mut tx = ctx.services().db.begin().await?;
            table::delete_run(&mut tx, run).await?;
            ctx.commit(tx).await?;
        }
    }
}

async fn purge_conversations(ctx: &Ctx, project: ProjectId, stop: &CancellationToken) -> Result<bool> {
    loop {
        let page = table::conversations(&mut ctx.services().db.read().await?, project, PAGE).await?;
        if page.is_empty() {
            return Ok(true);
        }
        for conversation in page {
            if !chat::purge_with_project(ctx, conversation, project, stop).await? {
                return Ok(false);
            }
        }
    }
}
