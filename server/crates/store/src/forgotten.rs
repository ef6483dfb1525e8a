//! Deletions that a living project lets go of, the oldest first. What was forgotten leaves two numbers in the project's row: versions of a
//! path that nothing is known of go on above `version_floor`, and what is asked for from before `forgotten_revision` may be incomplete.

use sqlx::FromRow;
use wire::{Micros, ProjectId};

use crate::{
    Conn, Result,
    db::on,
    quotas::{self, unpinned},
};

/// Where a deletion stands among those of its project.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct Mark {
    pub revision: i64,
    pub path: String,
}

/// The newest revision of what was forgotten; 0 while all is remembered.
pub async fn revision(c: &mut Conn, project: ProjectId) -> Result<i64> {
    let found: Option<i64> = on!(c, c => {
        sqlx::query_scalar("SELECT forgotten_revision FROM projects WHERE id = $1").bind(project).fetch_optional(c).await?
    });
    Ok(found.unwrap_or(0))
}

/// The last revision before those of the newest `kept` deletions; `None` where there are no more. What one revision deleted stays together.
pub async fn beyond(c: &mut Conn, project: ProjectId, kept: i64) -> Result<Option<i64>> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT revision - 1 FROM file_versions WHERE project_id = $1 AND superseded IS NULL AND action = 'deleted'
             ORDER BY revision DESC LIMIT 1 OFFSET $2",
        )
        .bind(project).bind(kept).fetch_optional(c).await?
    }))
}

/// The last revision that was made up to a moment, as far as versions of it are left.
pub async fn revision_at(c: &mut Conn, project: ProjectId, moment: Micros) -> Result<i64> {
    Ok(on!(c, c => quotas::revision_at!(c, project, moment)))
}

/// The deletions that follow `after` up to a revision, at most `limit`, the oldest first. None while an archive is made, which reads a path's
/// versions one page after the other.
pub async fn deletions(c: &mut Conn, project: ProjectId, after: &Mark, until: i64, limit: i64) -> Result<Vec<Mark>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT revision, path FROM file_versions
             WHERE project_id = $1 AND superseded IS NULL AND action = 'deleted' AND revision >= $2 AND revision <= $4
               AND (revision > $2 OR path > $3) AND NOT EXISTS (SELECT 1 FROM export_holds h WHERE h.project_id = $1)
             ORDER BY revision, path LIMIT $5",
        )
        .bind(project).bind(after.revision).bind(&after.path).bind(until).bind(limit).fetch_all(c).await?
    }))
}

/// Forgets the deletions that follow `after` up to `to`, with all versions before them that nothing needs; answers how many deletions went.
/// Where a version is needed its path's deletion stays too, so that it is known what became of it. Callers hold the project's lock.
pub async fn forget(c: &mut Conn, project: ProjectId, after: &Mark, to: &Mark) -> Result<u64> {
    let (thinned, gone) = on!(&mut *c, c => {
        let thinned = sqlx::query(unpinned!(
            "DELETE FROM file_versions AS f",
            "NOT EXISTS (SELECT 1 FROM export_holds e WHERE e.project_id = $1)
             AND (f.path, f.version) IN (
                 SELECT o.path, o.version FROM file_versions t
                 JOIN file_versions o ON o.project_id = t.project_id AND o.path = t.path AND o.version < t.version
                 WHERE t.project_id = $1 AND t.superseded IS NULL AND t.action = 'deleted' AND t.revision >= $2 AND t.revision <= $4
                   AND (t.revision > $2 OR t.path > $3) AND (t.revision < $4 OR t.path <= $5))"
        ))
        .bind(project).bind(after.revision).bind(&after.path).bind(to.revision).bind(&to.path).execute(&mut *c).await?
        .rows_affected();
        let gone: Vec<(i64, i64)> = sqlx::query_as(
            "DELETE FROM file_versions AS f
             WHERE f.project_id = $1 AND f.superseded IS NULL AND f.action = 'deleted' AND f.revision >= $2 AND f.revision <= $4
               AND (f.revision > $2 OR f.path > $3) AND (f.revision < $4 OR f.path <= $5)
               AND NOT EXISTS (SELECT 1 FROM file_versions p WHERE p.project_id = $1 AND p.path = f.path AND p.version < f.version)
               AND NOT EXISTS (SELECT 1 FROM export_holds e WHERE e.project_id = $1)
             RETURNING version, revision",
        )
        .bind(project).bind(after.revision).bind(&after.path).bind(to.revision).bind(&to.path).fetch_all(c).await?;
        (thinned, gone)
    });
    quotas::add_versions(c, project, -(thinned as i64)).await?;
    let (version, revision) = gone.iter().fold((0, 0), |most, row| (row.0.max(most.0), row.1.max(most.1)));
    if !gone.is_empty() {
        on!(c, c => {
            sqlx::query(
                "UPDATE projects SET version_floor = CASE WHEN version_floor < $2 THEN $2 ELSE version_floor END,
                                     forgotten_revision = CASE WHEN forgotten_revision < $3 THEN $3 ELSE forgotten_revision END
                 WHERE id = $1",
            )
            .bind(project).bind(version).bind(revision).execute(c).await?;
        });
    }
    Ok(gone.len() as u64)
}
