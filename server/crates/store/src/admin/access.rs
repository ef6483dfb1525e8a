//! Projects that administrators opened for a while, to read them.

use sqlx::FromRow;
use uuid::Uuid;
use wire::{Micros, ProjectId, UserId, admin::AdminAccess, users::UserRef};

use crate::{Conn, Result, db::on};

pub struct NewAccess<'a> {
    pub id: Uuid,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub user_name: &'a str,
    pub reason: &'a str,
    pub at: Micros,
    pub ends_at: Micros,
}

pub async fn open(c: &mut Conn, new: &NewAccess<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO admin_access (id, project_id, user_id, user_name, reason, opened_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.id).bind(new.project_id).bind(new.user_id).bind(new.user_name).bind(new.reason).bind(new.at).bind(new.ends_at)
        .execute(c).await?;
    });
    Ok(())
}

/// Until when `user` may look into the project; `None` if they may not.
pub async fn open_until(c: &mut Conn, project: ProjectId, user: UserId, now: Micros) -> Result<Option<Micros>> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT MAX(ends_at) FROM admin_access WHERE project_id = $1 AND user_id = $2 AND closed_at IS NULL AND ends_at > $3",
        )
        .bind(project).bind(user).bind(now).fetch_one(c).await?
    }))
}

/// Ends what `user` has open of the project. False when that was nothing.
pub async fn close(c: &mut Conn, project: ProjectId, user: UserId, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE admin_access SET closed_at = $3 WHERE project_id = $1 AND user_id = $2 AND closed_at IS NULL AND ends_at > $3",
        )
        .bind(project).bind(user).bind(at).execute(c).await?.rows_affected()
    }) > 0)
}

/// Ends everything that somebody has open.
pub async fn close_all(c: &mut Conn, user: UserId, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE admin_access SET closed_at = $2 WHERE user_id = $1 AND closed_at IS NULL AND ends_at > $2")
            .bind(user).bind(at).execute(c).await?;
    });
    Ok(())
}

#[derive(FromRow)]
struct AccessRow {
    user_id: Option<UserId>,
    user_name: String,
    reason: String,
    opened_at: Micros,
    ends_at: Micros,
    closed_at: Option<Micros>,
}

/// Who opened the project, the last first. Somebody whose account is gone has the nil id.
pub async fn of_project(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<AdminAccess>> {
    let rows: Vec<AccessRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT user_id, user_name, reason, opened_at, ends_at, closed_at FROM admin_access
             WHERE project_id = $1 ORDER BY opened_at DESC, id DESC LIMIT $2",
        )
        .bind(project).bind(limit).fetch_all(c).await?
    });
    let access = |row: AccessRow| AdminAccess {
        by: UserRef { id: row.user_id.unwrap_or(UserId(Uuid::nil())), name: row.user_name },
        reason: row.reason,
        opened_at: row.opened_at,
        until: row.ends_at,
        closed_at: row.closed_at,
    };
    Ok(rows.into_iter().map(access).collect())
}
