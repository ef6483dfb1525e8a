//! Imports whose files arrive batch by batch: what has come, under a project that nobody sees yet. All of it goes with the project's row.

use sqlx::{AssertSqlSafe, FromRow};
use wire::{JobId, Micros, ProjectId, UserId};

use crate::{Conn, Result, db::on};

/// Names in one query.
const CHUNK: usize = 400;

#[derive(Debug, Clone, FromRow)]
pub struct ImportRow {
    pub project_id: ProjectId,
    pub user_id: UserId,
    /// The project's.
    pub name: String,
    pub file_count: i64,
    pub size_bytes: i64,
    /// Bytes of all names, directories included.
    pub name_bytes: i64,
    /// The job that fills the project; `None` while files may still come.
    pub job_id: Option<JobId>,
    pub created_at: Micros,
    pub expires_at: Micros,
}

pub struct NewImport {
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub at: Micros,
    pub expires_at: Micros,
}

/// A file that has arrived, or a directory above one.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct NameRow {
    /// As [`crate::files::fold`] writes the path.
    pub folded: String,
    pub path: String,
    /// `None` for a directory.
    pub checksum: Option<String>,
    pub size: i64,
    pub mode: i64,
}

/// What a batch adds to an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    pub files: i64,
    pub bytes: i64,
    pub name_bytes: i64,
}

pub async fn insert(c: &mut Conn, new: &NewImport) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO staged_imports (project_id, user_id, file_count, size_bytes, name_bytes, created_at, expires_at)
             VALUES ($1, $2, 0, 0, 0, $3, $4)",
        )
        .bind(new.project_id).bind(new.user_id).bind(new.at).bind(new.expires_at).execute(c).await?;
    });
    Ok(())
}

/// `None` also for what has expired while it waited for files.
pub async fn get(c: &mut Conn, id: ProjectId, now: Micros) -> Result<Option<ImportRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT i.project_id, i.user_id, p.name, i.file_count, i.size_bytes, i.name_bytes, i.job_id, i.created_at, i.expires_at
             FROM staged_imports i JOIN projects p ON p.id = i.project_id
             WHERE i.project_id = $1 AND (i.job_id IS NOT NULL OR i.expires_at > $2)",
        )
        .bind(id).bind(now).fetch_optional(c).await?
    }))
}

/// Imports of a person that wait for files, the one that went on last first.
pub async fn open_of(c: &mut Conn, user: UserId) -> Result<Vec<ProjectId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT project_id FROM staged_imports WHERE user_id = $1 AND job_id IS NULL ORDER BY expires_at DESC, project_id DESC",
        )
        .bind(user).fetch_all(c).await?
    }))
}

/// Imports that waited for files until they expired, the oldest `limit`.
pub async fn expired(c: &mut Conn, now: Micros, limit: i64) -> Result<Vec<ProjectId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT project_id FROM staged_imports WHERE expires_at <= $1 AND job_id IS NULL ORDER BY expires_at LIMIT $2")
            .bind(now).bind(limit).fetch_all(c).await?
    }))
}

/// Which of the names, folded, have arrived.
pub async fn find(c: &mut Conn, id: ProjectId, folded: &[String]) -> Result<Vec<NameRow>> {
    let mut found = Vec::new();
    for chunk in folded.chunks(CHUNK) {
        let list = (2..2 + chunk.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let select = format!("SELECT folded, path, checksum, size, mode FROM staged_files WHERE project_id = $1 AND folded IN ({list})");
        let rows: Vec<NameRow> = on!(&mut *c, c => {
            let mut query = sqlx::query_as(AssertSqlSafe(select)).bind(id);
            for name in chunk {
                query = query.bind(name.as_str());
            }
            query.fetch_all(c).await?
        });
        found.extend(rows);
    }
    Ok(found)
}

/// Files in the order of their folded names, after `after`: the next `limit` of them.
pub async fn files(c: &mut Conn, id: ProjectId, after: &str, limit: i64) -> Result<Vec<NameRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT folded, path, checksum, size, mode FROM staged_files
             WHERE project_id = $1 AND folded > $2 AND checksum IS NOT NULL ORDER BY folded LIMIT $3",
        )
        .bind(id).bind(after).bind(limit).fetch_all(c).await?
    }))
}

/// Each of them is new.
pub async fn insert_names(c: &mut Conn, id: ProjectId, rows: &[NameRow]) -> Result<()> {
    on!(c, c => {
        for row in rows {
            sqlx::query("INSERT INTO staged_files (project_id, folded, path, checksum, size, mode) VALUES ($1, $2, $3, $4, $5, $6)")
                .bind(id).bind(&row.folded).bind(&row.path).bind(&row.checksum).bind(row.size).bind(row.mode)
                .execute(&mut *c).await?;
        }
    });
    Ok(())
}

/// Counts what has come, and gives the import more time.
pub async fn add(c: &mut Conn, id: ProjectId, added: Added, expires_at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "UPDATE staged_imports SET file_count = file_count + $2, size_bytes = size_bytes + $3, name_bytes = name_bytes + $4, expires_at = $5
             WHERE project_id = $1",
        )
        .bind(id).bind(added.files).bind(added.bytes).bind(added.name_bytes).bind(expires_at).execute(c).await?;
    });
    Ok(())
}

/// From here on no more files come.
pub async fn set_job(c: &mut Conn, id: ProjectId, job: JobId) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE staged_imports SET job_id = $2 WHERE project_id = $1").bind(id).bind(job).execute(c).await?; });
    Ok(())
}

/// Removes an import that still waits for files, with its project, if it expires by `by` at the latest. The caller holds the project's
/// lock, so that no batch comes in between. `false` when there is none.
pub async fn give_up(c: &mut Conn, id: ProjectId, by: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "DELETE FROM projects WHERE id = $1 AND importing
             AND EXISTS (SELECT 1 FROM staged_imports i WHERE i.project_id = $1 AND i.job_id IS NULL AND i.expires_at <= $2)",
        )
        .bind(id).bind(by).execute(c).await?.rows_affected()
    }) == 1)
}

/// Forgets what had arrived: the project has it.
pub async fn clear(c: &mut Conn, id: ProjectId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM staged_imports WHERE project_id = $1").bind(id).execute(c).await?; });
    Ok(())
}
