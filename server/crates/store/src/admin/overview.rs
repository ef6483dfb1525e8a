use sqlx::FromRow;
use wire::{Micros, UserId, admin::SettingsChange};

use super::users::second_factor;
use crate::{Conn, Result, db::on, users::user_ref};

#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Numbers {
    pub users: i64,
    pub active_users: i64,
    pub administrators: i64,
    pub disabled: i64,
    pub without_second_factor: i64,
    pub projects: i64,
    pub deleted_projects: i64,
    pub storage_bytes: i64,
    pub cost_micros: i64,
    pub open_accesses: i64,
}

/// `since` is from when on somebody counts as active, `month` that of the costs.
pub async fn numbers(c: &mut Conn, since: Micros, now: Micros, month: &str) -> Result<Numbers> {
    Ok(on!(c, c => {
        sqlx::query_as(concat!(
            "SELECT n.*, m.*,
                    (SELECT CAST(COALESCE(SUM(b.month_micros), 0) AS BIGINT) FROM budget_counters b
                     WHERE b.scope = 'instance' AND b.month = $3) AS cost_micros,
                    (SELECT COUNT(*) FROM admin_access a WHERE a.closed_at IS NULL AND a.ends_at > $2) AS open_accesses
             FROM (SELECT COUNT(*) AS users, COUNT(CASE WHEN u.last_seen_at >= $1 THEN 1 END) AS active_users,
                          COUNT(CASE WHEN u.role = 'admin' AND u.state = 'active' THEN 1 END) AS administrators,
                          COUNT(CASE WHEN u.state = 'disabled' THEN 1 END) AS disabled,
                          COUNT(CASE WHEN u.state = 'active' AND NOT ", second_factor!(), " THEN 1 END) AS without_second_factor
                   FROM users u WHERE u.deleted_at IS NULL) n
             CROSS JOIN (SELECT COUNT(CASE WHEN p.deleted_at IS NULL THEN 1 END) AS projects,
                                COUNT(CASE WHEN p.deleted_at IS NOT NULL THEN 1 END) AS deleted_projects,
                                CAST(COALESCE(SUM(CASE WHEN p.deleted_at IS NULL THEN p.size_bytes ELSE 0 END), 0) AS BIGINT) AS storage_bytes
                         FROM projects p WHERE NOT p.importing) m"
        ))
        .bind(since).bind(now).bind(month).fetch_one(c).await?
    }))
}

/// Bytes that the database takes, as far as it tells.
pub async fn database_bytes(c: &mut Conn) -> Result<Option<i64>> {
    Ok(match c {
        Conn::Sqlite(handle) => {
            sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
                .fetch_optional(handle.get())
                .await?
        }
        Conn::Postgres(handle) => sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_optional(handle.get()).await?,
    })
}

#[derive(FromRow)]
struct ChangeRow {
    name: String,
    updated_at: Micros,
    updated_by: Option<UserId>,
    username: Option<String>,
    full_name: Option<String>,
}

/// Who changed which settings last, the latest first.
pub async fn settings_changes(c: &mut Conn) -> Result<Vec<SettingsChange>> {
    let rows: Vec<ChangeRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT s.name, s.updated_at, s.updated_by, u.username, u.full_name FROM settings s LEFT JOIN users u ON u.id = s.updated_by
             ORDER BY s.updated_at DESC, s.name",
        )
        .fetch_all(c).await?
    });
    let change = |row: ChangeRow| SettingsChange {
        name: row.name,
        at: row.updated_at,
        by: row.username.is_some().then(|| user_ref(row.updated_by, row.username, row.full_name)).flatten(),
    };
    Ok(rows.into_iter().map(change).collect())
}
