use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    CheckpointId, Micros, ProjectId, TurnId,
    checkpoints::CheckpointKind,
    files::{EntryKind, FileAction, Origin},
};

use super::{By, Maker};
use crate::{Conn, Result, Word, db::on, files::fold};

/// One version of a path.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct VersionLine {
    pub path: String,
    pub version: i64,
    pub revision: i64,
    /// `None` for what is there at the archive's revision.
    pub superseded: Option<i64>,
    pub action: Word<FileAction>,
    pub kind: Word<EntryKind>,
    pub size: i64,
    pub content_type: String,
    /// SHA-256 of the bytes, or of the target of a link; `None` for directories and deletions.
    pub checksum: Option<String>,
    pub mode: i64,
    pub origin: Word<Origin>,
    #[serde(default)]
    pub moved_from: Option<String>,
    /// The turn or the run that made it.
    #[serde(default)]
    pub cause: Option<Uuid>,
    /// Of a deletion that can be restored: what was deleted in that step.
    #[serde(default)]
    pub deleted_as: Option<String>,
    pub created_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

/// Versions up to a revision, as they stood then, by path and version; those after `after`, at most `limit`.
pub async fn versions(c: &mut Conn, project: ProjectId, revision: i64, after: Option<(&str, i64)>, limit: i64) -> Result<Vec<VersionLine>> {
    let (path, version) = after.unwrap_or(("", 0));
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT f.path, f.version, f.revision, CASE WHEN f.superseded <= $2 THEN f.superseded END AS superseded, f.action, f.kind, f.size,
                    f.content_type, f.checksum, f.mode, f.origin, f.moved_from, f.cause, f.deleted_as, f.created_at,
                    u.username, COALESCE(f.author, u.full_name, u.username) AS author
             FROM file_versions f LEFT JOIN users u ON u.id = f.created_by
             WHERE f.project_id = $1 AND f.revision <= $2 AND (f.path > $3 OR (f.path = $3 AND f.version > $4))
             ORDER BY f.path, f.version LIMIT $5",
        )
        .bind(project).bind(revision).bind(path).bind(version).bind(limit).fetch_all(c).await?
    }))
}

/// Adds a version as it is. The project is one that nobody sees yet.
pub async fn insert_version(c: &mut Conn, project: ProjectId, line: &VersionLine, by: &Maker) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO file_versions (project_id, path, version, revision, superseded, action, kind, size, content_type, checksum, mode,
                                        origin, moved_from, cause, deleted_as, folded, created_at, created_by, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        )
        .bind(project).bind(&line.path).bind(line.version).bind(line.revision).bind(line.superseded).bind(line.action).bind(line.kind)
        .bind(line.size).bind(&line.content_type).bind(&line.checksum).bind(line.mode).bind(line.origin).bind(&line.moved_from)
        .bind(line.cause).bind(&line.deleted_as).bind(fold(&line.path)).bind(line.created_at).bind(by.id).bind(&by.author).execute(c).await?;
    });
    Ok(())
}

/// Content that a project's past needs.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct BlobLine {
    pub checksum: String,
    pub size: i64,
}

/// Each content of the project up to a revision and of its change sets once, by checksum; those after `after`, at most `limit`.
/// The size is 0 where only the old side of a change names it. With `removed` also that of changes in conversations that were removed.
pub async fn blobs(c: &mut Conn, project: ProjectId, revision: i64, removed: bool, after: &str, limit: i64) -> Result<Vec<BlobLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT checksum, MAX(size) AS size FROM (
                 SELECT checksum, size FROM file_versions WHERE project_id = $1 AND revision <= $2
                 UNION ALL
                 SELECT f.new_checksum AS checksum, f.new_size AS size FROM change_files f JOIN change_sets s ON s.id = f.change_set_id
                 LEFT JOIN turns t ON t.id = s.turn_id LEFT JOIN conversations v ON v.id = t.conversation_id
                 WHERE s.project_id = $1 AND ($5 OR v.deleted_at IS NULL)
                 UNION ALL
                 SELECT f.old_checksum AS checksum, CAST(0 AS BIGINT) AS size FROM change_files f
                 JOIN change_sets s ON s.id = f.change_set_id LEFT JOIN turns t ON t.id = s.turn_id
                 LEFT JOIN conversations v ON v.id = t.conversation_id
                 WHERE s.project_id = $1 AND ($5 OR v.deleted_at IS NULL)
             ) named WHERE checksum IS NOT NULL AND checksum > $3 GROUP BY checksum ORDER BY checksum LIMIT $4",
        )
        .bind(project).bind(revision).bind(after).bind(limit).bind(removed).fetch_all(c).await?
    }))
}

/// A revision that is kept.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
pub struct CheckpointLine {
    pub id: CheckpointId,
    pub revision: i64,
    pub kind: Word<CheckpointKind>,
    pub name: Option<String>,
    pub turn_id: Option<TurnId>,
    pub file_count: i64,
    pub size_bytes: i64,
    pub created_at: Micros,
    #[sqlx(flatten)]
    pub by: By,
}

/// The oldest first.
pub async fn checkpoints(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<CheckpointLine>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT k.id, k.revision, k.kind, k.name, k.turn_id, k.file_count, k.size_bytes, k.created_at, u.username,
                    COALESCE(k.author, u.full_name, u.username) AS author
             FROM checkpoints k LEFT JOIN users u ON u.id = k.created_by WHERE k.project_id = $1 AND k.revision <= $2
             ORDER BY k.created_at, k.id",
        )
        .bind(project).bind(revision).fetch_all(c).await?
    }))
}

pub async fn insert_checkpoint(c: &mut Conn, project: ProjectId, line: &CheckpointLine, by: &Maker) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO checkpoints (id, project_id, revision, kind, name, turn_id, file_count, size_bytes, created_at, created_by, author)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(line.id).bind(project).bind(line.revision).bind(line.kind).bind(&line.name).bind(line.turn_id).bind(line.file_count)
        .bind(line.size_bytes).bind(line.created_at).bind(by.id).bind(&by.author).execute(c).await?;
    });
    Ok(())
}

/// What a project's row says about its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past<'a> {
    pub description: &'a str,
    pub revision: i64,
    pub file_count: i64,
    pub size_bytes: i64,
}

/// Gives a project that nobody sees yet the past that was just inserted.
pub async fn set_past(c: &mut Conn, project: ProjectId, past: &Past<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET description = $2, revision = $3, file_count = $4, size_bytes = $5 WHERE id = $1 AND importing")
            .bind(project).bind(past.description).bind(past.revision).bind(past.file_count).bind(past.size_bytes).execute(c).await?;
    });
    Ok(())
}
