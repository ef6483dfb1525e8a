//! What a project lets go of while it lives, so that names that are made and deleted without end, and what is told of them, are not kept
//! for ever.
//!
//! Deletions are remembered for the trash, for checkouts that are behind and so that version numbers go on. As many as a project may have
//! files are kept whatever their age; more go with the days of retention, and at [`HISTORY_TIMES`] as many the oldest go within the hour.

use store::{
    events,
    forgotten::{self as table, Mark},
    quotas::{lock_project, projects_after},
};
use tokio_util::sync::CancellationToken;
use wire::{Micros, ProjectId, event::Stream, quotas::HISTORY_TIMES};

use crate::{Ctx, Error, Result, quotas};

/// Rows that one transaction removes.
const BATCH: i64 = 500;
/// Transactions for one project in one go; what is left waits for the next.
const BATCHES: usize = 400;
/// Projects read at a time.
const PAGE: i64 = 100;
/// What was deleted only now may still be asked for by who works on it.
const SETTLED_S: i64 = 3600;
/// Events of a project that are kept for pages that come back: so many, and for so long. Who comes from before that reads everything again.
const EVENTS_KEPT: i64 = 10_000;
const EVENTS_KEPT_S: i64 = 7 * 86_400;

/// How much went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gone {
    pub names: u64,
    pub events: u64,
}

/// Lets go of what is too much or too old, in all projects, in short transactions. For the server itself.
pub async fn clean(system: &Ctx, stop: &CancellationToken) -> Result<Gone> {
    if !system.is_system() {
        return Err(Error::Forbidden("Only the server itself cleans up.".to_owned()));
    }
    let (mut gone, mut after) = (Gone::default(), None);
    loop {
        let page = projects_after(&mut system.services().db.read().await?, after, PAGE).await?;
        for project in &page {
            if stop.is_cancelled() {
                return Ok(gone);
            }
            gone.names += forget_names(system, *project, stop).await?;
            gone.events += forget_events(system, *project, stop).await?;
        }
        match page.last() {
            Some(last) if page.len() as i64 == PAGE => after = Some(*last),
            _ => return Ok(gone),
        }
    }
}

/// The revision up to which deletions go; `None` where all of them stay.
async fn names_until(system: &Ctx, project: ProjectId) -> Result<Option<i64>> {
    let ago = |seconds: i64| -> Micros { system.now().plus_seconds(-seconds) };
    let mut conn = system.services().db.read().await?;
    let kept = match quotas::limits_of(&mut conn, project).await {
        Err(Error::NotFound(_)) => return Ok(None),
        limits => limits?.project_files,
    };
    let Some(surplus) = table::beyond(&mut conn, project, kept).await? else { return Ok(None) };
    let retention = quotas::retention_s(system, &mut conn).await?;
    let old = table::revision_at(&mut conn, project, ago(retention)).await?;
    let mut until = surplus.min(old);
    if let Some(far) = table::beyond(&mut conn, project, kept.saturating_mul(HISTORY_TIMES)).await? {
        until = until.max(far.min(table::revision_at(&mut conn, project, ago(SETTLED_S)).await?));
    }
    Ok(Some(until))
}

async fn forget_names(system: &Ctx, project: ProjectId, stop: &CancellationToken) -> Result<u64> {
    let Some(until) = names_until(system, project).await? else { return Ok(0) };
    let (mut gone, mut after) = (0, Mark::default());
    for _ in 0..BATCHES {
        let mut page = table::deletions(&mut system.services().db.read().await?, project, &after, until, BATCH).await?;
        let is_last = (page.len() as i64) < BATCH;
        let Some(to) = page.pop().filter(|_| !stop.is_cancelled()) else { break };
        let mut tx = system.services().db.begin().await?;
        if !lock_project(&mut tx, project).await? {
            break;
        }
        gone += table::forget(&mut tx, project, &after, &to).await?;
        system.commit(tx).await?;
        if is_last {
            break;
        }
        after = to;
    }
    Ok(gone)
}

async fn forget_events(system: &Ctx, project: ProjectId, stop: &CancellationToken) -> Result<u64> {
    let (stream, before) = (Stream::Project(project), system.now().plus_seconds(-EVENTS_KEPT_S));
    let mut gone = 0;
    for _ in 0..BATCHES {
        let is_due = events::has_old(&mut system.services().db.read().await?, stream, before, EVENTS_KEPT).await?;
        if !is_due || stop.is_cancelled() {
            break;
        }
        let mut tx = system.services().db.begin().await?;
        gone += events::forget_old(&mut tx, stream, before, EVENTS_KEPT, BATCH).await?;
        system.commit(tx).await?;
    }
    Ok(gone)
}
