//! A project as a zip archive: its files alone, or with everything that happened to them. A job makes it, and whoever asked for it can
//! download it for a day.

mod around;
mod folder;
pub(crate) mod format;
mod pack;
mod past;
mod talk;

pub use folder::{FolderArchive, open_paths, open_project};

use std::ops::Range;

use blobs::Reader;
use serde::{Deserialize, Serialize};
use store::exports as table;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    ExportId, ProjectId,
    exports::{Export, KEPT_S, StartExport},
    projects::{Project, ProjectRole},
};

use crate::{
    Ctx, Error, Result,
    jobs::{self, JobError, JobKind},
    projects, storage,
};

/// Archives of one person in one project that are kept at a time.
const KEPT_MOST: usize = 10;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportJob {
    pub export_id: ExportId,
    pub project_id: ProjectId,
    pub history: bool,
}

/// Asks for an archive. Whoever may read a project may.
pub async fn start(ctx: &Ctx, project: ProjectId, request: StartExport) -> Result<Export> {
    let user = ctx.require_user()?.id;
    let found = projects::get(ctx, project).await?;
    let id: ExportId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Viewer).await?;
    let held = table::list(&mut tx, project, user, ctx.now()).await?;
    if held.iter().any(|row| row.state.is_some_and(|state| !state.0.is_finished())) {
        return Err(Error::conflict("An archive of this project is being made for you already. Wait for it, or stop it first."));
    }
    for row in held.iter().skip(KEPT_MOST - 1) {
        table::delete(&mut tx, row.id).await?;
    }
    let job = ExportJob { export_id: id, project_id: project, history: request.history };
    let job_id = jobs::enqueue(ctx, &mut tx, JobKind::Export, Some(project), &job).await?;
    let new = table::NewExport {
        id,
        project_id: project,
        user_id: user,
        job_id,
        history: request.history,
        filename: &filename(&found, request.history, ctx),
        at: ctx.now(),
        expires_at: ctx.now().plus_seconds(KEPT_S),
    };
    table::insert(&mut tx, &new).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

/// `tally-2026-11-22.zip`, with words that any system takes for a name.
fn filename(project: &Project, history: bool, ctx: &Ctx) -> String {
    let day = ctx.now().to_rfc3339();
    let day = day.get(..10).unwrap_or_default();
    let kind = if history { "-history" } else { "" };
    format!("{}{kind}-{day}.zip", format::plain_name(&project.name))
}

/// What the caller asked for in a project and can still have, newest first.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Vec<Export>> {
    let user = ctx.require_user()?.id;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let rows = table::list(&mut conn, project, user, ctx.now()).await?;
    Ok(rows.into_iter().map(table::ExportRow::into_export).collect())
}

pub async fn get(ctx: &Ctx, id: ExportId) -> Result<Export> {
    Ok(own(ctx, id).await?.into_export())
}

/// Only who asked for it has it, and only while they may read the project.
async fn own(ctx: &Ctx, id: ExportId) -> Result<table::ExportRow> {
    let user = ctx.require_user()?.id;
    let mut conn = ctx.services().db.read().await?;
    let row = table::get(&mut conn, id).await?.filter(|row| row.user_id == user && row.expires_at > ctx.now());
    let row = row.ok_or(Error::NotFound("export"))?;
    match projects::require(ctx, &mut conn, row.project_id, ProjectRole::Viewer).await {
        Ok(_) => Ok(row),
        Err(Error::NotFound(_)) => Err(Error::NotFound("export")),
        Err(other) => Err(other),
    }
}

/// An archive that is made, and the checksum of its bytes.
pub async fn archive(ctx: &Ctx, id: ExportId) -> Result<(Export, String)> {
    let row = own(ctx, id).await?;
    let checksum = row.checksum.clone().ok_or_else(|| Error::conflict("The archive is not finished yet."))?;
    Ok((row.into_export(), checksum))
}

/// The archive's bytes, or part of them; the whole is verified while it is read.
pub async fn open(ctx: &Ctx, id: ExportId, part: Option<Range<u64>>) -> Result<Reader> {
    let (export, checksum) = archive(ctx, id).await?;
    let blobs = storage::open(ctx, export.project_id).await?;
    Ok(match part {
        Some(part) => blobs.open_range(&checksum, part).await?,
        None => blobs.open(&checksum).await?,
    })
}

/// Takes an archive away, and stops its job if that goes on.
pub async fn delete(ctx: &Ctx, id: ExportId) -> Result<()> {
    let row = own(ctx, id).await?;
    if row.state.is_some_and(|state| !state.0.is_finished()) {
        match jobs::cancel(ctx, row.job_id).await {
            Ok(_) | Err(Error::Conflict { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    discard(ctx, id).await
}

/// Forgets an export; its bytes are swept away later.
pub async fn discard(ctx: &Ctx, id: ExportId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::delete(&mut tx, id).await?;
    ctx.commit(tx).await
}

/// The job's body. Repeating it is safe: it makes the archive again.
pub async fn run(ctx: &Ctx, job: &ExportJob, progress: watch::Sender<(u64, u64)>, cancelled: CancellationToken) -> Result<(), JobError> {
    // Of this attempt alone: another one may begin before its end.
    let hold = job.history.then(|| ctx.new_id());
    let made = tokio::select! {
        made = make(ctx, job, hold, progress) => made.map_err(JobError::from),
        () = cancelled.cancelled() => Err(JobError::Cancelled),
    };
    release(ctx, hold).await;
    made
}

/// Lets go of the versions that an archive with its past needed. Where that fails they are kept until its time has passed.
async fn release(ctx: &Ctx, hold: Option<ExportId>) {
    let Some(id) = hold else { return };
    if let Err(error) = remove_hold(ctx, id).await {
        tracing::warn!(%error, "versions that an archive needed are kept for longer than it took");
    }
}

async fn remove_hold(ctx: &Ctx, id: ExportId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::release(&mut tx, id).await?;
    ctx.commit(tx).await
}

async fn make(ctx: &Ctx, job: &ExportJob, hold: Option<ExportId>, progress: watch::Sender<(u64, u64)>) -> Result<()> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, job.project_id, ProjectRole::Viewer).await?;
    drop(conn);
    let expired = ctx.now();
    let blobs = storage::open(ctx, job.project_id).await?;
    let (packer, stored) = pack::begin(blobs, progress);
    let (written, stored) = tokio::join!(past::write(ctx, job.project_id, hold, packer), stored);
    // The writer only sees that the other end is gone; why, storage knows.
    let stored = match (written, stored) {
        (Err(Error::Internal(_)), Err(error)) | (Ok(()), Err(error)) | (Err(error), _) => return Err(error),
        (Ok(()), Ok(stored)) => stored,
    };
    let mut tx = ctx.services().db.begin().await?;
    storage::keep(ctx, &mut tx, job.project_id, &[&stored.sha256]).await?;
    let until = ctx.now().plus_seconds(KEPT_S);
    table::finish(&mut tx, job.export_id, &stored.sha256, stored.size as i64, until).await?;
    table::delete_expired(&mut tx, expired).await?;
    ctx.commit(tx).await
}

/// Forgets what has expired. Part of the regular cleanup.
pub async fn clean_up(ctx: &Ctx) -> Result<u64> {
    let mut tx = ctx.services().db.begin().await?;
    table::release_expired(&mut tx, ctx.now()).await?;
    let gone = table::delete_expired(&mut tx, ctx.now()).await?;
    ctx.commit(tx).await?;
    Ok(gone)
}
