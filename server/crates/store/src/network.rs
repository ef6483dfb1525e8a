use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    Micros, ProjectId, RunId,
    network::{EgressEntry, HostRule},
};

use crate::{Conn, Doc, Result, db::on};

/// What the project's owner allowed; empty where nobody chose anything.
pub async fn rules(c: &mut Conn, project: ProjectId) -> Result<Vec<HostRule>> {
    let found: Option<Doc<Vec<HostRule>>> = on!(c, c => {
        sqlx::query_scalar("SELECT egress_json FROM project_run_settings WHERE project_id = $1").bind(project).fetch_optional(c).await?
    });
    Ok(found.map(|rules| rules.0).unwrap_or_default())
}

/// What came with an archive and is closed until the project's owner allows it.
pub async fn waiting(c: &mut Conn, project: ProjectId) -> Result<Vec<HostRule>> {
    let found: Option<Doc<Vec<HostRule>>> = on!(c, c => {
        sqlx::query_scalar("SELECT egress_waits_json FROM project_run_settings WHERE project_id = $1").bind(project).fetch_optional(c).await?
    });
    Ok(found.map(|rules| rules.0).unwrap_or_default())
}

/// Sets what is allowed; of what waits, that no longer does.
pub async fn set_rules(c: &mut Conn, project: ProjectId, rules: &[HostRule]) -> Result<()> {
    let waiting: Vec<HostRule> = waiting(c, project).await?.into_iter().filter(|rule| !rules.contains(rule)).collect();
    on!(c, c => {
        sqlx::query(
            "INSERT INTO project_run_settings (project_id, egress_json, egress_waits_json) VALUES ($1, $2, $3)
             ON CONFLICT (project_id) DO UPDATE SET egress_json = $2, egress_waits_json = $3",
        )
        .bind(project).bind(Doc(rules)).bind(Doc(waiting)).execute(c).await?;
    });
    Ok(())
}

#[derive(FromRow)]
struct EgressRow {
    run_id: RunId,
    host: String,
    port: i64,
    allowed: bool,
    reason: String,
    at: Micros,
}

/// The newest first.
pub async fn log(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<EgressEntry>> {
    let rows: Vec<EgressRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT run_id, host, port, allowed, reason, at FROM egress_log WHERE project_id = $1 ORDER BY at DESC, id DESC LIMIT $2",
        )
        .bind(project).bind(limit).fetch_all(c).await?
    });
    let entry = |row: EgressRow| EgressEntry {
        run_id: row.run_id,
        host: row.host,
        port: u16::try_from(row.port).unwrap_or_default(),
        allowed: row.allowed,
        reason: row.reason,
        at: row.at,
    };
    Ok(rows.into_iter().map(entry).collect())
}

pub async fn insert_log(c: &mut Conn, id: Uuid, project: ProjectId, entry: &EgressEntry) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO egress_log (id, project_id, run_id, host, port, allowed, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id).bind(project).bind(entry.run_id).bind(&entry.host).bind(i64::from(entry.port)).bind(entry.allowed).bind(&entry.reason)
        .bind(entry.at).execute(c).await?;
    });
    Ok(())
}

/// Entries of one run that are in its project's log.
pub async fn count_log(c: &mut Conn, project: ProjectId, run: RunId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM egress_log WHERE project_id = $1 AND run_id = $2").bind(project).bind(run).fetch_one(c).await?
    }))
}

/// Forgets what is older than the project's newest `keep` entries.
pub async fn prune_log(c: &mut Conn, project: ProjectId, keep: i64) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "DELETE FROM egress_log WHERE project_id = $1
             AND at < (SELECT at FROM egress_log WHERE project_id = $1 ORDER BY at DESC LIMIT 1 OFFSET $2)",
        )
        .bind(project).bind(keep - 1).execute(c).await?;
    });
    Ok(())
}
