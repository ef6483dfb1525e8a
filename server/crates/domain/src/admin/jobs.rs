//! The queue of everybody.

use futures::Stream;
use serde_json::json;
use store::admin::{jobs as table, pattern};
use wire::{
    JobId,
    admin::{Direction, JobQuery, Listed, PAGE_MAX, Requeued},
    audit::AuditAction,
    jobs::{Job, JobState},
};

use super::{
    csv::{self, Bytes, Cell},
    paging::{Turn, read_search},
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    jobs::{self, JobKind},
};

const LIST: &str = "admin jobs";
/// Jobs that are put back at once.
const REQUEUE_MAX: i64 = 1000;

/// The newest first.
pub async fn list_jobs(ctx: &Ctx, query: JobQuery) -> Result<Listed<Job>> {
    ctx.require_administration()?;
    let turn = Turn::read(LIST, query.cursor.as_deref(), query.limit, Direction::Desc)?;
    let search = read_search(query.search.as_deref())?;
    let wanted = search.map(pattern);
    let kind = query.kind.as_deref().map(str::trim).filter(|word| !word.is_empty());
    if kind.is_some_and(|word| JobKind::parse(word).is_none()) {
        let words: Vec<_> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
        return Err(Error::invalid("kind", format!("There is no such kind. Choose {}.", words.join(", "))));
    }
    let filter = table::Filter {
        pattern: wanted.as_deref(),
        id: search.and_then(|text| text.parse().ok()),
        state: query.state,
        only_live: query.live.unwrap_or(false),
        kind,
        user: query.user,
        project: query.project,
    };
    let mut conn = ctx.services().db.read().await?;
    let rows = table::list(&mut conn, filter, turn.part("")).await?;
    let total = table::count(&mut conn, filter).await?;
    Ok(turn.page(rows, total, table::position, store::jobs::JobWithUser::into_job))
}

/// As [`jobs::cancel`], for any job.
pub async fn cancel_job(ctx: &Ctx, id: JobId) -> Result<Job> {
    ctx.require_admin()?;
    jobs::cancel(ctx, id).await
}

pub async fn requeue_job(ctx: &Ctx, id: JobId) -> Result<Job> {
    ctx.require_admin()?;
    let mut tx = ctx.services().db.begin().await?;
    let row = store::jobs::get(&mut tx, id).await?.ok_or(Error::NotFound("job"))?;
    if !store::jobs::requeue_dead(&mut tx, id, ctx.now()).await? {
        return Err(Error::conflict("Only a job that was given up can be put back into the queue."));
    }
    audit::record(ctx, &mut tx, AuditAction::JobRequeued, Facts::about("job", id, row.job.kind));
    ctx.commit(tx).await?;
    jobs::get(ctx, id).await
}

/// Puts everything that was given up back into the queue, at most a thousand jobs at a time.
pub async fn requeue_dead(ctx: &Ctx) -> Result<Requeued> {
    ctx.require_admin()?;
    let mut tx = ctx.services().db.begin().await?;
    let mut jobs = Vec::new();
    for id in table::dead(&mut tx, REQUEUE_MAX).await? {
        if store::jobs::requeue_dead(&mut tx, id, ctx.now()).await? {
            jobs.push(id);
        }
    }
    if !jobs.is_empty() {
        audit::record(ctx, &mut tx, AuditAction::JobRequeued, Facts::none().with(json!({ "jobs": jobs.len() })));
    }
    ctx.commit(tx).await?;
    Ok(Requeued { jobs })
}

const COLUMNS: &[&str] = &[
    "id",
    "kind",
    "state",
    "user_id",
    "user",
    "project_id",
    "attempts",
    "max_attempts",
    "created_at",
    "started_at",
    "finished_at",
    "error",
];

fn csv_line(job: &Job) -> Bytes {
    let state = match job.state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Dead => "dead",
    };
    csv::line(&[
        Cell::Text(&job.id.to_string()),
        Cell::Text(&job.kind),
        Cell::Text(state),
        Cell::Text(&job.user.as_ref().map(|user| user.id.to_string()).unwrap_or_default()),
        Cell::Text(job.user.as_ref().map(|user| user.name.as_str()).unwrap_or_default()),
        Cell::Text(&job.project_id.map(|id| id.to_string()).unwrap_or_default()),
        Cell::Number(i64::from(job.attempts)),
        Cell::Number(i64::from(job.max_attempts)),
        Cell::At(Some(job.created_at)),
        Cell::At(job.started_at),
        Cell::At(job.finished_at),
        Cell::Text(job.error.as_deref().unwrap_or_default()),
    ])
}

/// The whole list as [`list_jobs`] filters it.
pub async fn jobs_csv(ctx: &Ctx, query: JobQuery) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    let query = JobQuery { cursor: None, limit: Some(PAGE_MAX), ..query };
    let first = list_jobs(ctx, query.clone()).await?;
    let ctx = ctx.clone();
    Ok(csv::of_pages(COLUMNS, first, csv_line, move |cursor| {
        let (ctx, query) = (ctx.clone(), JobQuery { cursor: Some(cursor), ..query.clone() });
        async move { list_jobs(&ctx, query).await }
    }))
}
