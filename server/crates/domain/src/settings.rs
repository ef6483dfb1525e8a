//! What an administrator chooses while the server runs.

use store::{Conn, settings as table};
use wire::{quotas::StorageSettings, settings::RunSettings};

use crate::{Ctx, Error, Result};

const RUNS: &str = "runs";
const STORAGE: &str = "storage";

/// What applies now, for use inside use-cases and the queue. The defaults where nothing was chosen, or where what was saved can't be
/// read: a server that is rolled back still runs.
pub async fn load(conn: &mut Conn) -> Result<RunSettings> {
    let Some(text) = table::get(conn, RUNS).await? else { return Ok(RunSettings::default()) };
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(%error, "the saved settings of runs can't be read; the defaults apply");
        RunSettings::default()
    }))
}

pub async fn runs(ctx: &Ctx) -> Result<RunSettings> {
    ctx.require_admin()?;
    load(&mut ctx.services().db.read().await?).await
}

/// Replaces them all. They apply to what is queued or started from now on.
pub async fn update_runs(ctx: &Ctx, mut settings: RunSettings) -> Result<RunSettings> {
    let admin = ctx.require_admin()?.id;
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    for rule in &mut settings.egress {
        rule.0 = rule.0.trim().to_ascii_lowercase();
    }
    settings.egress.sort_unstable();
    settings.egress.dedup();
    let text = serde_json::to_string(&settings).map_err(Error::internal)?;
    let mut tx = ctx.services().db.begin().await?;
    table::put(&mut tx, RUNS, &text, ctx.now(), Some(admin)).await?;
    // With more places something that waits may begin now.
    tx.wake_workers();
    ctx.commit(tx).await?;
    tracing::info!(by = %admin, "the settings of runs were changed");
    Ok(settings)
}

/// What applies now to storage, for use inside use-cases; as [`load`].
pub async fn storage_in(conn: &mut Conn) -> Result<StorageSettings> {
    let Some(text) = table::get(conn, STORAGE).await? else { return Ok(StorageSettings::default()) };
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(%error, "the saved settings of storage can't be read; the defaults apply");
        StorageSettings::default()
    }))
}

pub async fn storage(ctx: &Ctx) -> Result<StorageSettings> {
    ctx.require_admin()?;
    storage_in(&mut ctx.services().db.read().await?).await
}

/// Replaces them all. Who is above a lower limit keeps everything and can't add to it.
pub async fn update_storage(ctx: &Ctx, settings: StorageSettings) -> Result<StorageSettings> {
    let admin = ctx.require_admin()?.id;
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let text = serde_json::to_string(&settings).map_err(Error::internal)?;
    let mut tx = ctx.services().db.begin().await?;
    table::put(&mut tx, STORAGE, &text, ctx.now(), Some(admin)).await?;
    ctx.commit(tx).await?;
    tracing::info!(by = %admin, "the settings of storage were changed");
    Ok(settings)
}
