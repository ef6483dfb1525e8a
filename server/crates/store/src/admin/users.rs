use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    UserId,
    users::{UserRole, UserState},
};

use super::{Part, Position};
use crate::{Conn, Result, Word, db::on, users::UserRow};

/// Which accounts: all that is there must fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// As [`super::pattern`] makes it.
    pub pattern: Option<&'a str>,
    pub role: Option<UserRole>,
    pub state: Option<UserState>,
    pub second_factor: Option<bool>,
}

#[derive(Debug, Clone, FromRow)]
pub struct ListedUser {
    #[sqlx(flatten)]
    pub user: UserRow,
    pub second_factor: bool,
    pub projects: i64,
    pub storage_bytes: i64,
    pub cost_micros: i64,
    #[sqlx(flatten)]
    pub position: Position,
}

/// Whether the user `u` is asked for more than a password.
macro_rules! second_factor {
    () => {
        "(EXISTS (SELECT 1 FROM totp f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
          OR EXISTS (SELECT 1 FROM passkeys f WHERE f.user_id = u.id))"
    };
}
pub(super) use second_factor;

macro_rules! projects_of {
    () => {
        "(SELECT COUNT(*) FROM projects p WHERE p.owner_id = u.id AND p.deleted_at IS NULL AND NOT p.importing)"
    };
}

macro_rules! bytes_of {
    () => {
        "(SELECT CAST(COALESCE(SUM(p.size_bytes), 0) AS BIGINT) FROM projects p WHERE p.owner_id = u.id)"
    };
}

/// In the month `$5`.
macro_rules! cost_of {
    () => {
        "(SELECT CAST(COALESCE(SUM(b.month_micros), 0) AS BIGINT) FROM budget_counters b
          WHERE b.scope = 'user' AND b.subject = u.id AND b.month = $5)"
    };
}

/// `$1` to `$4`.
macro_rules! filter {
    () => {
        concat!(
            "u.deleted_at IS NULL AND ($1 IS NULL OR u.username_key LIKE $1 ESCAPE '\\' OR u.email_key LIKE $1 ESCAPE '\\'
              OR lower(COALESCE(u.full_name, '')) LIKE $1 ESCAPE '\\')
             AND ($2 IS NULL OR u.role = $2) AND ($3 IS NULL OR u.state = $3) AND ($4 IS NULL OR ",
            second_factor!(),
            " = $4)"
        )
    };
}

/// Only the rows of the page are looked at closely; for the others no more than what they are sorted by is found out.
macro_rules! page {
    ($follows:literal, $way:literal) => {
        concat!(
            "SELECT u.*, ",
            second_factor!(),
            " AS second_factor, ",
            projects_of!(),
            " AS projects, ",
            bytes_of!(),
            " AS storage_bytes, ",
            cost_of!(),
            " AS cost_micros, k.sort_number, k.sort_text, k.sort_id
             FROM (
               SELECT s.sort_number, s.sort_text, s.sort_id FROM (
                 SELECT u.id AS sort_id,
                        CAST(CASE $6 WHEN 'joined' THEN u.created_at WHEN 'last_seen' THEN COALESCE(u.last_seen_at, 0)
                                     WHEN 'projects' THEN ",
            projects_of!(),
            " WHEN 'storage' THEN ",
            bytes_of!(),
            " WHEN 'cost' THEN ",
            cost_of!(),
            " ELSE 0 END AS BIGINT) AS sort_number,
                        CASE $6 WHEN 'name' THEN lower(COALESCE(NULLIF(u.full_name, ''), u.username)) ELSE '' END AS sort_text
                 FROM users u WHERE ",
            filter!(),
            "
               ) s WHERE ($7 = 0 OR (s.sort_number, s.sort_text, s.sort_id) ",
            $follows,
            " ($8, $9, $10))
               ORDER BY s.sort_number ",
            $way,
            ", s.sort_text ",
            $way,
            ", s.sort_id ",
            $way,
            " LIMIT $11
             ) k JOIN users u ON u.id = k.sort_id
             ORDER BY k.sort_number ",
            $way,
            ", k.sort_text ",
            $way,
            ", k.sort_id ",
            $way
        )
    };
}

/// Sorted by `name`, `joined`, `last_seen`, `projects`, `storage` or `cost`. `month` is that of the costs, such as `2026-11`.
pub async fn list(c: &mut Conn, filter: Filter<'_>, part: Part<'_>, month: &str) -> Result<Vec<ListedUser>> {
    let Filter { pattern, role, state, second_factor } = filter;
    let (number, text, id) = part.after.map_or((0, "", Uuid::nil()), |at| (at.number, at.text.as_str(), at.id));
    let text_of = if part.ascending { page!(">", "ASC") } else { page!("<", "DESC") };
    Ok(on!(c, c => {
        sqlx::query_as(text_of)
            .bind(pattern).bind(role.map(Word)).bind(state.map(Word)).bind(second_factor).bind(month).bind(part.sort)
            .bind(i64::from(part.after.is_some())).bind(number).bind(text).bind(id).bind(part.limit)
            .fetch_all(c).await?
    }))
}

/// How many fit.
pub async fn count(c: &mut Conn, filter: Filter<'_>) -> Result<i64> {
    let Filter { pattern, role, state, second_factor } = filter;
    Ok(on!(c, c => {
        sqlx::query_scalar(concat!("SELECT COUNT(*) FROM users u WHERE ", filter!()))
            .bind(pattern).bind(role.map(Word)).bind(state.map(Word)).bind(second_factor).fetch_one(c).await?
    }))
}

#[derive(Debug, Clone, FromRow)]
pub struct UserFacts {
    #[sqlx(flatten)]
    pub listed: ListedUser,
    pub sessions: i64,
    pub tokens: i64,
}

/// One account, with how many sessions and tokens of it may be used at `now`, and what it may store.
pub async fn get(c: &mut Conn, id: UserId, month: &str, now: wire::Micros) -> Result<Option<UserFacts>> {
    Ok(on!(c, c => {
        sqlx::query_as(concat!(
            "SELECT u.*, ", second_factor!(), " AS second_factor, ", projects_of!(), " AS projects, ", bytes_of!(), " AS storage_bytes,
                    (SELECT CAST(COALESCE(SUM(b.month_micros), 0) AS BIGINT) FROM budget_counters b
                     WHERE b.scope = 'user' AND b.subject = u.id AND b.month = $2) AS cost_micros,
                    u.created_at AS sort_number, '' AS sort_text, u.id AS sort_id,
                    (SELECT COUNT(*) FROM sessions s WHERE s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > $3) AS sessions,
                    (SELECT COUNT(*) FROM api_tokens t WHERE t.user_id = u.id AND t.revoked_at IS NULL
                                                        AND (t.expires_at IS NULL OR t.expires_at > $3)) AS tokens
             FROM users u WHERE u.id = $1 AND u.deleted_at IS NULL"
        ))
        .bind(id).bind(month).bind(now).fetch_optional(c).await?
    }))
}
