//! Whole directories in a few statements, whatever lies in them. Callers hold the project's lock and have changed nothing in this
//! revision yet: what a revision superseded is told apart by that.

use uuid::Uuid;
use wire::{Micros, ProjectId, UserId, files::Origin};

use crate::{Conn, Result, Word, db::on, files::fold};

/// What all rows of one step have in common.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub project_id: ProjectId,
    pub revision: i64,
    pub origin: Origin,
    pub at: Micros,
    pub by: Option<UserId>,
    pub cause: Option<Uuid>,
}

/// The first path after `directory/…` and the first that sorts after all of them; '0' is the character after '/'.
fn range(directory: &str) -> (String, String) {
    (format!("{directory}/"), format!("{directory}0"))
}

/// Deletes what exists at a path and below it. `deleted_as`: what it is restored as, or nothing where it moves away.
pub async fn delete_whole(c: &mut Conn, step: &Step, path: &str, deleted_as: Option<&str>) -> Result<()> {
    let (lower, upper) = range(path);
    on!(c, c => {
        sqlx::query(
            "UPDATE file_versions SET superseded = $2
             WHERE project_id = $1 AND superseded IS NULL AND action <> 'deleted' AND (path = $3 OR (path > $4 AND path < $5))",
        )
        .bind(step.project_id).bind(step.revision).bind(path).bind(&lower).bind(&upper).execute(&mut *c).await?;
        sqlx::query(
            "INSERT INTO file_versions (project_id, path, version, revision, action, kind, size, content_type, checksum, mode, origin,
                                        created_at, created_by, moved_from, cause, deleted_as, folded)
             SELECT project_id, path, version + 1, $2, 'deleted', kind, 0, content_type, NULL, mode, $6, $7, $8, NULL, $9, $10, folded
             FROM file_versions
             WHERE project_id = $1 AND superseded = $2 AND action <> 'deleted' AND (path = $3 OR (path > $4 AND path < $5))",
        )
        .bind(step.project_id).bind(step.revision).bind(path).bind(&lower).bind(&upper).bind(Word(step.origin)).bind(step.at)
        .bind(step.by).bind(step.cause).bind(deleted_as).execute(c).await?;
    });
    Ok(())
}

/// Both statements of putting a directory elsewhere; `$source` says which rows are put. The plus keeps SQLite from looking for each path
/// in the index of what the revision superseded, which is all of them.
macro_rules! put {
    ($source:literal, $moved_from:literal) => {
        (
            // Deletions that are still the last word on a path that is taken now.
            concat!(
                "UPDATE file_versions SET superseded = $2
                 WHERE project_id = $1 AND superseded IS NULL AND (path = $3 OR (path > $4 AND path < $5)) AND path IN (
                     SELECT CAST($3 AS TEXT) || substr(f.path, length(CAST($6 AS TEXT)) + 1) FROM file_versions f
                     WHERE f.project_id = $1 AND ",
                $source,
                " AND f.action <> 'deleted' AND (f.path = $6 OR (f.path > $7 AND f.path < $8)))"
            ),
            concat!(
                "INSERT INTO file_versions (project_id, path, version, revision, action, kind, size, content_type, checksum, mode, origin,
                                            created_at, created_by, moved_from, cause, deleted_as, folded)
                 SELECT f.project_id, CAST($3 AS TEXT) || substr(f.path, length(CAST($6 AS TEXT)) + 1), COALESCE(t.version, (SELECT p.version_floor FROM projects p WHERE p.id = $1)) + 1, $2,
                        'added', f.kind, f.size, f.content_type, f.checksum, f.mode, $9, $10, $11, ",
                $moved_from,
                ", $12, NULL, CAST($4 AS TEXT) || substr(f.folded, length(CAST($5 AS TEXT)) + 1)
                 FROM file_versions f
                 LEFT JOIN file_versions t ON t.project_id = f.project_id AND +t.superseded = $2 AND t.action = 'deleted'
                      AND t.path = CAST($3 AS TEXT) || substr(f.path, length(CAST($6 AS TEXT)) + 1)
                 WHERE f.project_id = $1 AND ",
                $source,
                " AND f.action <> 'deleted' AND (f.path = $6 OR (f.path > $7 AND f.path < $8))"
            ),
        )
    };
}

/// Puts what is at `from` and below it to `to`, where nothing exists. A move has taken it away by [`delete_whole`] before.
pub async fn put_whole(c: &mut Conn, step: &Step, from: &str, to: &str, is_move: bool) -> Result<()> {
    let (free, insert) = if is_move { put!("f.superseded = $2", "f.path") } else { put!("f.superseded IS NULL", "NULL") };
    let ((lower, upper), (to_lower, to_upper)) = (range(from), range(to));
    on!(c, c => {
        sqlx::query(free)
            .bind(step.project_id).bind(step.revision).bind(to).bind(&to_lower).bind(&to_upper).bind(from).bind(&lower).bind(&upper)
            .execute(&mut *c).await?;
        sqlx::query(insert)
            .bind(step.project_id).bind(step.revision).bind(to).bind(fold(to)).bind(fold(from)).bind(from).bind(&lower).bind(&upper)
            .bind(Word(step.origin)).bind(step.at).bind(step.by).bind(step.cause).execute(c).await?;
    });
    Ok(())
}
