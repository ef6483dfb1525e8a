use sqlx::FromRow;
use wire::{
    ExportId, JobId, Micros, ProjectId, UserId,
    exports::Export,
    jobs::{JobState, Progress},
};

use crate::{Conn, Result, Word, db::on};

/// An export with how far its job is.
#[derive(Debug, Clone, FromRow)]
pub struct ExportRow {
    pub id: ExportId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub job_id: JobId,
    pub history: bool,
    pub filename: String,
    /// `None` until the job has made the archive.
    pub checksum: Option<String>,
    pub size: Option<i64>,
    pub created_at: Micros,
    pub expires_at: Micros,
    pub state: Option<Word<JobState>>,
    pub progress_done: Option<i64>,
    pub progress_total: Option<i64>,
    pub error: Option<String>,
}

impl ExportRow {
    pub fn into_export(self) -> Export {
        // Jobs may be forgotten sooner than what they made.
        let without_job = if self.checksum.is_some() { JobState::Succeeded } else { JobState::Failed };
        Export {
            id: self.id,
            project_id: self.project_id,
            job_id: self.job_id,
            history: self.history,
            filename: self.filename,
            state: self.state.map_or(without_job, |word| word.0),
            progress: Progress { done: self.progress_done.unwrap_or_default(), total: self.progress_total.unwrap_or_default() },
            error: self.error,
            size: self.size,
            created_at: self.created_at,
            expires_at: self.expires_at,
        }
    }
}

pub struct NewExport<'a> {
    pub id: ExportId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub job_id: JobId,
    pub history: bool,
    pub filename: &'a str,
    pub at: Micros,
    pub expires_at: Micros,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT e.id, e.project_id, e.user_id, e.job_id, e.history, e.filename, e.checksum, e.size, e.created_at, e.expires_at,
                    j.state, j.progress_done, j.progress_total, j.error
             FROM exports e LEFT JOIN jobs j ON j.id = e.job_id WHERE ",
            $filter
        )
    };
}

pub async fn insert(c: &mut Conn, new: &NewExport<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO exports (id, project_id, user_id, job_id, history, filename, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.id).bind(new.project_id).bind(new.user_id).bind(new.job_id).bind(new.history).bind(new.filename)
        .bind(new.at).bind(new.expires_at).execute(c).await?;
    });
    Ok(())
}

pub async fn get(c: &mut Conn, id: ExportId) -> Result<Option<ExportRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("e.id = $1")).bind(id).fetch_optional(c).await?))
}

/// What one person asked for in a project and can still have, newest first.
pub async fn list(c: &mut Conn, project: ProjectId, user: UserId, now: Micros) -> Result<Vec<ExportRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("e.project_id = $1 AND e.user_id = $2 AND e.expires_at > $3 ORDER BY e.created_at DESC, e.id DESC LIMIT 50"))
            .bind(project).bind(user).bind(now).fetch_all(c).await?
    }))
}

/// Notes the archive; `false` when somebody has deleted the export meanwhile.
pub async fn finish(c: &mut Conn, id: ExportId, checksum: &str, size: i64, expires_at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE exports SET checksum = $2, size = $3, expires_at = $4 WHERE id = $1")
            .bind(id).bind(checksum).bind(size).bind(expires_at).execute(c).await?.rows_affected()
    }) == 1)
}

pub async fn delete(c: &mut Conn, id: ExportId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM exports WHERE id = $1").bind(id).execute(c).await?; });
    Ok(())
}

/// Forgets those that have expired; their bytes are nobody's then.
pub async fn delete_expired(c: &mut Conn, now: Micros) -> Result<u64> {
    Ok(on!(c, c => sqlx::query("DELETE FROM exports WHERE expires_at <= $1").bind(now).execute(c).await?.rows_affected()))
}

/// Keeps the versions that a project shows now from being thinned until [`release`] or that moment, and answers their revision; `None`
/// when the project is gone. Whoever thins holds the project's lock, which this takes: nothing goes between the answer and the hold.
pub async fn hold(c: &mut Conn, id: ExportId, project: ProjectId, expires_at: Micros) -> Result<Option<i64>> {
    Ok(on!(c, c => {
        let revision: Option<i64> = sqlx::query_scalar("UPDATE projects SET revision = revision WHERE id = $1 RETURNING revision")
            .bind(project).fetch_optional(&mut *c).await?;
        if let Some(revision) = revision {
            sqlx::query("INSERT INTO export_holds (id, project_id, revision, expires_at) VALUES ($1, $2, $3, $4)")
                .bind(id).bind(project).bind(revision).bind(expires_at).execute(&mut *c).await?;
        }
        revision
    }))
}

pub async fn release(c: &mut Conn, id: ExportId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM export_holds WHERE id = $1").bind(id).execute(c).await?; });
    Ok(())
}

/// Releases what nobody did in time; answers how many.
pub async fn release_expired(c: &mut Conn, now: Micros) -> Result<u64> {
    Ok(on!(c, c => sqlx::query("DELETE FROM export_holds WHERE expires_at <= $1").bind(now).execute(c).await?.rows_affected()))
}

/// Notes the archive that a project is being filled from, so that it stays until that is done.
pub async fn insert_import(c: &mut Conn, project: ProjectId, checksum: &str) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO imports (project_id, checksum) VALUES ($1, $2) ON CONFLICT (project_id) DO UPDATE SET checksum = $2")
            .bind(project).bind(checksum).execute(c).await?;
    });
    Ok(())
}

pub async fn delete_import(c: &mut Conn, project: ProjectId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM imports WHERE project_id = $1").bind(project).execute(c).await?; });
    Ok(())
}
