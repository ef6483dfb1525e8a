//! What an administrator chooses while the server runs.

use store::{Conn, settings as table};
use wire::settings::RunSettings;

use crate::{Ctx, Error, Result};

const RUNS: &str = "runs";

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
