//! Moves a project's bytes from one storage to another while people go on working in it.
//!
//! From the moment that the move is written down, sweeps spare what the project names in both storages. Blobs are copied without any
//! lock; at the end, under the project's row lock, what was named since is looked for. If nothing is missing the project changes over
//! in that transaction, else the lock is let go, the rest is copied, and it is looked again. Whoever stored bytes in the old storage and
//! names them after that is refused by [`super::keep`] and starts over. Killed at any moment, the project is wholly here or wholly there.

use std::{collections::HashSet, sync::Arc, time::Duration};

use blobs::{Backend, BlobError, Blobs};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use store::blobs::{self as table, Sweep};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    ProjectId,
    event::{EventKind, Stream},
    projects::ProjectRole,
    storage::{MoveStorage, ProjectStorage},
};

use super::all_choices;
use crate::{
    Ctx, Error, Result,
    jobs::{self, JobError, JobKind},
    projects,
};

const PAGE: i64 = 5000;
/// At the end, under the lock.
const LAST_LOOK: i64 = 20_000;
const COPIES_AT_ONCE: usize = 4;
/// How long a blob may be in the middle of being cleaned up.
const PATIENCE: u32 = 60;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveJob {
    pub project_id: ProjectId,
    pub to: String,
}

/// Where a project is, where it could be, and how far a move is. For members.
pub async fn of_project(ctx: &Ctx, project: ProjectId) -> Result<ProjectStorage> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let place = table::place(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let last = store::jobs::last_of(&mut conn, project, JobKind::MoveStorage.as_str()).await?.map(store::jobs::JobWithUser::into_job);
    let last_error = last.as_ref().filter(|_| place.moving_to.is_none()).and_then(|job| job.error.clone());
    Ok(ProjectStorage {
        backend: place.storage_backend,
        choices: all_choices(ctx),
        move_job: last.filter(|job| place.moving_job == Some(job.id)),
        move_to: place.moving_to,
        last_error,
    })
}

/// Begins to move a project. For its owner. `Conflict` while it moves already.
pub async fn start_move(ctx: &Ctx, project: ProjectId, request: MoveStorage) -> Result<ProjectStorage> {
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Owner).await?;
    let to: Backend = request.to.parse().map_err(|()| Error::invalid("to", "Choose local or s3."))?;
    if ctx.services().storage.get(to).is_none() {
        return Err(Error::invalid("to", "This storage is not set up on this server. An administrator can set it up."));
    }
    let place = table::lock_place(&mut tx, project).await?.ok_or(Error::NotFound("project"))?;
    if place.moving_to.is_some() {
        return Err(Error::conflict("This project is being moved already. Wait for its end, or cancel it."));
    }
    if place.storage_backend == to.as_str() {
        return Err(Error::conflict("This project is there already."));
    }
    let payload = MoveJob { project_id: project, to: to.as_str().to_owned() };
    let job = jobs::enqueue(ctx, &mut tx, JobKind::MoveStorage, Some(project), &payload).await?;
    table::set_moving(&mut tx, project, Some((to.as_str(), job))).await?;
    tell(ctx, &mut tx, project).await?;
    ctx.commit(tx).await?;
    of_project(ctx, project).await
}

async fn tell(ctx: &Ctx, tx: &mut store::Tx, project: ProjectId) -> Result<()> {
    Ok(store::events::append(tx, Stream::Project(project), ctx.now(), vec![EventKind::ProjectChanged {}]).await?)
}

/// Says that a move has come to its end without moving. What was copied is an orphan there.
pub async fn end_move(ctx: &Ctx, job: &MoveJob) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let place = table::lock_place(&mut tx, job.project_id).await?.ok_or(Error::NotFound("project"))?;
    if place.moving_to.as_deref() == Some(&*job.to) {
        table::set_moving(&mut tx, job.project_id, None).await?;
        tell(ctx, &mut tx, job.project_id).await?;
    }
    ctx.commit(tx).await
}

/// The job's body. Repeating it is safe: what was copied is found again.
pub async fn run_move(ctx: &Ctx, job: &MoveJob, progress: watch::Sender<(u64, u64)>, cancelled: CancellationToken) -> Result<(), JobError> {
    let place = {
        let mut conn = ctx.services().db.read().await.map_err(Error::from)?;
        table::place(&mut conn, job.project_id).await.map_err(Error::from)?.ok_or(Error::NotFound("project"))?
    };
    if place.storage_backend == job.to {
        // An earlier attempt died after its last step.
        return Ok(());
    }
    if place.moving_to.as_deref() != Some(&*job.to) {
        return Err(JobError::Cancelled);
    }
    let storage = &ctx.services().storage;
    let (from, to) = (storage.by_name(&place.storage_backend), storage.by_name(&job.to));
    let mut copier =
        Copier { ctx, job, from: from.map_err(Error::from)?, to: to.map_err(Error::from)?, copied: HashSet::new(), progress, cancelled };
    loop {
        copier.copy_all().await?;
        if copier.change_over().await? {
            return Ok(());
        }
    }
}

struct Copier<'a> {
    ctx: &'a Ctx,
    job: &'a MoveJob,
    from: Arc<dyn Blobs>,
    to: Arc<dyn Blobs>,
    copied: HashSet<String>,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
}

impl Copier<'_> {
    /// Copies what the project names and is not copied yet.
    async fn copy_all(&mut self) -> Result<(), JobError> {
        let services = self.ctx.services();
        let total = {
            let mut conn = services.db.read().await.map_err(Error::from)?;
            table::count_named_by(&mut conn, self.job.project_id).await.map_err(Error::from)?
        };
        let mut after = String::new();
        loop {
            let page = {
                let mut conn = services.db.read().await.map_err(Error::from)?;
                table::named_by(&mut conn, self.job.project_id, &after, PAGE).await.map_err(Error::from)?
            };
            let Some(last) = page.last() else { return Ok(()) };
            after = last.clone();
            let new: Vec<String> = page.into_iter().filter(|name| !self.copied.contains(name)).collect();
            self.copy_page(new, total as u64).await?;
        }
    }

    async fn copy_page(&mut self, page: Vec<String>, total: u64) -> Result<(), JobError> {
        let gone = self.settle(&page).await?;
        let (from, to) = (self.from.clone(), self.to.clone());
        let copying = futures::stream::iter(page).map(|name| {
            let (from, to) = (from.clone(), to.clone());
            async move { copy(&*from, &*to, &name).await.map(|()| name) }
        });
        let mut copying = copying.buffer_unordered(COPIES_AT_ONCE);
        loop {
            let name = tokio::select! {
                biased;
                () = self.cancelled.cancelled() => return Err(JobError::Cancelled),
                next = copying.try_next() => match next.map_err(|error| explain(self.ctx, error))? {
                    Some(name) => name,
                    None => break,
                },
            };
            self.copied.insert(name);
            let done = self.copied.len() as u64;
            self.progress.send_replace((done, total.max(done)));
        }
        drop(copying);
        self.forget(gone).await.map_err(JobError::from)
    }

    /// Takes blobs off their way out in the new storage. Since the move was written down no sweep begins to remove one of them; those
    /// that were being removed are waited for. Answers those that were removed.
    async fn settle(&self, page: &[String]) -> Result<Vec<String>, JobError> {
        let names: Vec<&str> = page.iter().map(String::as_str).collect();
        for _ in 0..PATIENCE {
            let mut tx = self.ctx.services().db.begin().await.map_err(Error::from)?;
            let left = table::keep(&mut tx, &self.job.to, &names).await.map_err(Error::from)?;
            self.ctx.commit(tx).await?;
            if left.iter().all(|(_, state)| *state == Sweep::Removed) {
                return Ok(left.into_iter().map(|(name, _)| name).collect());
            }
            tokio::select! {
                () = self.cancelled.cancelled() => return Err(JobError::Cancelled),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        Err(JobError::Retry("The new storage is being cleaned up. Nothing was changed; it will be tried again.".to_owned()))
    }

    async fn forget(&self, names: Vec<String>) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let mut tx = self.ctx.services().db.begin().await?;
        for name in names {
            table::forget(&mut tx, &self.job.to, &name).await?;
        }
        self.ctx.commit(tx).await
    }

    /// The end, unless something was named meanwhile that is not copied.
    async fn change_over(&self) -> Result<bool, JobError> {
        let mut tx = self.ctx.services().db.begin().await.map_err(Error::from)?;
        let project = self.job.project_id;
        let place = table::lock_place(&mut tx, project).await.map_err(Error::from)?.ok_or(Error::NotFound("project"))?;
        if place.moving_to.as_deref() != Some(&*self.job.to) {
            return Err(JobError::Cancelled);
        }
        let mut after = String::new();
        loop {
            let page = table::named_by(&mut tx, project, &after, LAST_LOOK).await.map_err(Error::from)?;
            let Some(last) = page.last() else { break };
            after = last.clone();
            if page.iter().any(|name| !self.copied.contains(name)) {
                return Ok(false);
            }
        }
        table::set_place(&mut tx, project, &self.job.to, self.ctx.now()).await.map_err(Error::from)?;
        tell(self.ctx, &mut tx, project).await?;
        self.ctx.commit(tx).await?;
        Ok(true)
    }
}

async fn copy(from: &dyn Blobs, to: &dyn Blobs, name: &str) -> Result<(), BlobError> {
    let stored = to.put(from.open(name).await?, u64::MAX).await?;
    // The reader has checked it, and so it is what was read.
    if stored.sha256 == name { Ok(()) } else { Err(BlobError::Corrupt(name.to_owned())) }
}

fn explain(ctx: &Ctx, error: BlobError) -> JobError {
    let what = match error {
        BlobError::NotFound(name) => format!("The content {} is missing in the old storage", &name[..12.min(name.len())]),
        BlobError::Corrupt(name) => format!("The content {} is damaged in the old storage", &name[..12.min(name.len())]),
        // What the old storage failed to give.
        BlobError::Source(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            "A file's content is damaged in the old storage".to_owned()
        }
        BlobError::Source(error) => return JobError::from(Error::from(BlobError::Io(error))),
        other => return JobError::from(Error::from(other)),
    };
    tracing::error!(request_id = ctx.trace(), what, "a project could not be moved");
    JobError::Final(format!("{what}. Nothing was moved, and everything else can be read. Ask an administrator to look at the log."))
}
