//! Where the bytes of a project are.

mod clean;
mod purge;
mod relocate;
mod sweep;

use std::sync::Arc;

use blobs::Backend;
pub use blobs::Blobs;
pub use clean::{clean, schedule as schedule_cleaning};
pub use relocate::{MoveJob, end_move, of_project, run_move, start_move};
use store::{
    Conn, Tx,
    blobs::{self as table, Sweep},
};
pub use sweep::{GRACE, Swept, sweep};
use wire::{ProjectId, storage::StorageChoices};

use crate::{Ctx, Error, Result};

/// How long bytes may be stored before a row names them. Tombstones live as long, and moves are remembered as long.
pub(crate) const UNNAMED_S: i64 = 24 * 3600;

/// The store that a project's bytes are written to and read from. Says nothing about whether the caller may.
pub async fn blobs_of(ctx: &Ctx, conn: &mut Conn, project: ProjectId) -> Result<Arc<dyn Blobs>> {
    let place = table::place(conn, project).await?.ok_or(Error::NotFound("project"))?;
    Ok(ctx.services().storage.by_name(&place.storage_backend)?)
}

/// As [`blobs_of`], for callers that have no connection at hand.
pub async fn open(ctx: &Ctx, project: ProjectId) -> Result<Arc<dyn Blobs>> {
    blobs_of(ctx, &mut ctx.services().db.read().await?, project).await
}

/// The storage of a project that is made now: the one that was asked for, if it is set up, or else the default.
pub fn choose(ctx: &Ctx, asked: Option<&str>) -> Result<Backend> {
    let storage = &ctx.services().storage;
    let Some(name) = asked.filter(|name| !name.is_empty()) else { return Ok(storage.default) };
    let backend = name.parse().map_err(|()| Error::invalid("storage_backend", "Choose local or s3."))?;
    match storage.get(backend) {
        Some(_) => Ok(backend),
        None => Err(Error::invalid("storage_backend", "S3 storage is not set up on this server. Choose local.")),
    }
}

/// What can be chosen for a new project.
pub fn choices(ctx: &Ctx) -> Result<StorageChoices> {
    ctx.require_user()?;
    Ok(all_choices(ctx))
}

fn all_choices(ctx: &Ctx) -> StorageChoices {
    let storage = &ctx.services().storage;
    let backends = storage.all().map(|(backend, _)| backend.as_str().to_owned()).collect();
    StorageChoices { backends, default: storage.default.as_str().to_owned() }
}

/// Call it in each transaction that inserts a row that newly names blobs of a project, before other rows than the project's are
/// locked. It keeps them from being removed, and finds out when they are not where the project's bytes are: then nothing may be
/// written, and the caller starts over. Takes the project's row lock.
pub async fn keep(ctx: &Ctx, tx: &mut Tx, project: ProjectId, sha256: &[&str]) -> Result<()> {
    let sha256: Vec<&str> = sha256.iter().copied().filter(|name| !name.is_empty()).collect();
    if sha256.is_empty() {
        return Ok(());
    }
    let place = table::lock_place(tx, project).await?.ok_or(Error::NotFound("project"))?;
    let blobs = ctx.services().storage.by_name(&place.storage_backend)?;
    for (name, state) in table::keep(tx, &place.storage_backend, &sha256).await? {
        if state != Sweep::Removed || !blobs.exists(&name).await? {
            return Err(start_over("Old content was just being cleaned up."));
        }
        table::forget(tx, &place.storage_backend, &name).await?;
    }
    if place.moved_at.is_some_and(|at| at.plus_seconds(UNNAMED_S) > ctx.now()) {
        // What rows of the project name has moved with it. What was stored for it just before the move has not.
        let known = table::known_to(tx, project, &sha256).await?;
        for name in sha256.into_iter().filter(|name| !known.contains(*name)) {
            if !blobs.exists(name).await? {
                return Err(start_over("The project has just moved to another storage."));
            }
        }
    }
    Ok(())
}

fn start_over(what: &str) -> Error {
    Error::Unavailable(format!("{what} Nothing was changed; try again in a moment."))
}
