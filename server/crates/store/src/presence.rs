use sqlx::FromRow;
use uuid::Uuid;
use wire::{Micros, ProjectId, UserId, users::UserRef};

use crate::{Conn, Result, db::on, users::user_ref};

/// Notes that a process serves a person in a project.
pub async fn put(c: &mut Conn, project: ProjectId, user: UserId, process: Uuid, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO presence (project_id, user_id, process, since, seen_at) VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (project_id, user_id, process) DO UPDATE SET seen_at = $4",
        )
        .bind(project).bind(user).bind(process).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn remove(c: &mut Conn, project: ProjectId, user: UserId, process: Uuid) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM presence WHERE project_id = $1 AND user_id = $2 AND process = $3")
            .bind(project).bind(user).bind(process).execute(c).await?;
    });
    Ok(())
}

/// Says that a process still serves everybody it did.
pub async fn beat(c: &mut Conn, process: Uuid, at: Micros) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE presence SET seen_at = $2 WHERE process = $1").bind(process).bind(at).execute(c).await?; });
    Ok(())
}

/// Projects with rows of processes that nobody has heard of since a moment.
pub async fn stale(c: &mut Conn, before: Micros) -> Result<Vec<ProjectId>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT DISTINCT project_id FROM presence WHERE seen_at < $1").bind(before).fetch_all(c).await?))
}

pub async fn remove_stale(c: &mut Conn, project: ProjectId, before: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM presence WHERE project_id = $1 AND seen_at < $2").bind(project).bind(before).execute(c).await?;
    });
    Ok(())
}

#[derive(FromRow)]
struct PersonRow {
    user_id: UserId,
    username: String,
    full_name: Option<String>,
}

/// Who is in a project and was seen since a moment, each once, who came first first.
pub async fn people(c: &mut Conn, project: ProjectId, since: Micros) -> Result<Vec<UserRef>> {
    let rows: Vec<PersonRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT p.user_id, u.username, u.full_name FROM presence p JOIN users u ON u.id = p.user_id
             WHERE p.project_id = $1 AND p.seen_at >= $2 GROUP BY p.user_id, u.username, u.full_name ORDER BY MIN(p.since), p.user_id",
        )
        .bind(project).bind(since).fetch_all(c).await?
    });
    Ok(rows.into_iter().filter_map(|row| user_ref(Some(row.user_id), Some(row.username), row.full_name)).collect())
}
