//! How the installation is: a few numbers, its health, and who set what.

use store::admin::{jobs as job_table, overview as table};
use wire::admin::{CheckState, HealthReport, Overview, Pulse, QueueDepth, SettingsChange};

use crate::{Ctx, Result, budgets::month_of, health as readiness};

/// Who was here within so many seconds counts as active.
const ACTIVE_S: i64 = 30 * 86_400;
const FAILED_SHOWN: i64 = 5;
/// Clock ticks of `/proc` in a second; the same on all Linux systems.
const TICKS: i64 = 100;

fn depth(summary: store::jobs::QueueSummary) -> QueueDepth {
    QueueDepth { queued: summary.queued, running: summary.running, dead: summary.dead, oldest_due: summary.oldest_due }
}

pub async fn overview(ctx: &Ctx) -> Result<Overview> {
    ctx.require_admin()?;
    let now = ctx.now();
    let mut conn = ctx.services().db.read().await?;
    let numbers = table::numbers(&mut conn, now.plus_seconds(-ACTIVE_S), now, &month_of(now)).await?;
    let queue = depth(store::jobs::summary(&mut conn, now).await?);
    let failed = job_table::failed(&mut conn, FAILED_SHOWN).await?;
    Ok(Overview {
        users: numbers.users,
        active_users: numbers.active_users,
        administrators: numbers.administrators,
        disabled: numbers.disabled,
        without_second_factor: numbers.without_second_factor,
        projects: numbers.projects,
        deleted_projects: numbers.deleted_projects,
        storage_bytes: numbers.storage_bytes,
        cost_micros: numbers.cost_micros,
        open_accesses: numbers.open_accesses,
        queue,
        failed_jobs: failed.into_iter().map(store::jobs::JobWithUser::into_job).collect(),
    })
}

/// What waits or runs, and what fails, for the navigation.
pub async fn pulse(ctx: &Ctx) -> Result<Pulse> {
    ctx.require_admin()?;
    let health = readiness::check(ctx.services()).await;
    let summary = store::jobs::summary(&mut ctx.services().db.read().await?, ctx.now()).await?;
    let failed = health.checks.iter().filter(|check| check.state == CheckState::Failed).count();
    Ok(Pulse { live_jobs: summary.queued + summary.running, failed_checks: i64::try_from(failed).unwrap_or(i64::MAX) })
}

/// Each part of the installation with its state, the reason and what to do, and what operators are asked for first.
pub async fn health(ctx: &Ctx) -> Result<HealthReport> {
    ctx.require_admin()?;
    let services = ctx.services();
    let health = readiness::check(services).await;
    // A database that does not answer is said by the checks; the report comes all the same.
    let facts = async {
        let mut conn = services.db.read().await?;
        let bytes = table::database_bytes(&mut conn).await?;
        Ok::<_, store::Error>((bytes, depth(store::jobs::summary(&mut conn, ctx.now()).await?)))
    };
    let (database_bytes, queue) = facts.await.unwrap_or_default();
    Ok(HealthReport {
        health,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: tokio::task::spawn_blocking(read_uptime).await.ok().flatten(),
        database: services.db.name().to_owned(),
        database_bytes,
        queue,
        checked_at: ctx.now(),
    })
}

/// Seconds since this process began, as the system counts them.
fn read_uptime() -> Option<i64> {
    let machine: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold blanks; the start is the 22nd field, the 20th after it.
    let began: i64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Some((machine as i64 - began / TICKS).max(0))
}

/// Who changed which settings last.
pub async fn settings_changes(ctx: &Ctx) -> Result<Vec<SettingsChange>> {
    ctx.require_admin()?;
    Ok(table::settings_changes(&mut ctx.services().db.read().await?).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_this_process_is_known() {
        let age = read_uptime().expect("Linux tells");
        assert!((0..86_400).contains(&age), "{age}");
    }
}
