use wire::{JobId, Micros, ProjectId, UserId, jobs::JobState};

use super::{Part, Position};
use crate::{Conn, Result, Word, db::on, jobs::JobWithUser};

/// Which jobs: all that is there must fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// As [`super::pattern`] makes it.
    pub pattern: Option<&'a str>,
    pub id: Option<JobId>,
    pub state: Option<JobState>,
    pub only_live: bool,
    pub kind: Option<&'a str>,
    pub user: Option<UserId>,
    pub project: Option<ProjectId>,
}

/// `$1` to `$7`.
macro_rules! filter {
    () => {
        "($1 IS NULL OR j.id = $2 OR j.kind LIKE $1 ESCAPE '\\' OR u.username_key LIKE $1 ESCAPE '\\'
          OR lower(COALESCE(u.full_name, '')) LIKE $1 ESCAPE '\\' OR lower(COALESCE(j.error, '')) LIKE $1 ESCAPE '\\')
         AND ($3 IS NULL OR j.state = $3) AND (NOT $4 OR j.state IN ('queued', 'running'))
         AND ($5 IS NULL OR j.kind = $5) AND ($6 IS NULL OR j.user_id = $6) AND ($7 IS NULL OR j.project_id = $7)"
    };
}

macro_rules! page {
    ($follows:literal, $way:literal) => {
        concat!(
            "SELECT j.*, u.username, u.full_name FROM jobs j LEFT JOIN users u ON u.id = j.user_id WHERE ",
            filter!(),
            " AND ($8 = 0 OR (j.created_at, j.id) ",
            $follows,
            " ($9, $10)) ORDER BY j.created_at ",
            $way,
            ", j.id ",
            $way,
            " LIMIT $11"
        )
    };
}

/// Where a job stands in the list.
pub fn position(row: &JobWithUser) -> Position {
    Position { number: row.job.created_at.0, text: String::new(), id: row.job.id.0 }
}

/// Sorted by when they were made, whatever `part` says of that.
pub async fn list(c: &mut Conn, filter: Filter<'_>, part: Part<'_>) -> Result<Vec<JobWithUser>> {
    let Filter { pattern, id, state, only_live, kind, user, project } = filter;
    let (at, after) = part.after.map_or((Micros(0), uuid::Uuid::nil()), |at| (Micros(at.number), at.id));
    let text_of = if part.ascending { page!(">", "ASC") } else { page!("<", "DESC") };
    Ok(on!(c, c => {
        sqlx::query_as(text_of)
            .bind(pattern).bind(id).bind(state.map(Word)).bind(only_live).bind(kind).bind(user).bind(project)
            .bind(i64::from(part.after.is_some())).bind(at).bind(after).bind(part.limit)
            .fetch_all(c).await?
    }))
}

/// How many fit.
pub async fn count(c: &mut Conn, filter: Filter<'_>) -> Result<i64> {
    let Filter { pattern, id, state, only_live, kind, user, project } = filter;
    Ok(on!(c, c => {
        sqlx::query_scalar(concat!("SELECT COUNT(*) FROM jobs j LEFT JOIN users u ON u.id = j.user_id WHERE ", filter!()))
            .bind(pattern).bind(id).bind(state.map(Word)).bind(only_live).bind(kind).bind(user).bind(project).fetch_one(c).await?
    }))
}

/// Jobs that were given up, the oldest first.
pub async fn dead(c: &mut Conn, limit: i64) -> Result<Vec<JobId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM jobs WHERE state = 'dead' ORDER BY created_at, id LIMIT $1").bind(limit).fetch_all(c).await?
    }))
}

/// Jobs that failed or were given up, the newest first.
pub async fn failed(c: &mut Conn, limit: i64) -> Result<Vec<JobWithUser>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT j.*, u.username, u.full_name FROM jobs j LEFT JOIN users u ON u.id = j.user_id
             WHERE j.state IN ('failed', 'dead') ORDER BY j.created_at DESC, j.id DESC LIMIT $1",
        )
        .bind(limit).fetch_all(c).await?
    }))
}
