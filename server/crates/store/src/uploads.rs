//! Files on their way in, in pieces.

use sqlx::FromRow;
use wire::{Micros, ProjectId, UploadId, UserId, files::Base};

use crate::{Conn, Doc, Result, db::on};

#[derive(Debug, Clone, FromRow)]
pub struct UploadRow {
    pub id: UploadId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub path: String,
    pub size: i64,
    pub received: i64,
    pub base: Doc<Base>,
    pub created_at: Micros,
    pub expires_at: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PieceRow {
    pub start: i64,
    pub size: i64,
    pub checksum: String,
}

/// What somebody has on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct OpenUploads {
    pub uploads: i64,
    /// Announced in all.
    pub bytes: i64,
}

pub async fn insert(c: &mut Conn, row: &UploadRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO uploads (id, project_id, user_id, path, size, received, base, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(row.id).bind(row.project_id).bind(row.user_id).bind(&row.path).bind(row.size).bind(row.received).bind(&row.base)
        .bind(row.created_at).bind(row.expires_at).execute(c).await?;
    });
    Ok(())
}

pub async fn get(c: &mut Conn, id: UploadId, now: Micros) -> Result<Option<UploadRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM uploads WHERE id = $1 AND expires_at > $2").bind(id).bind(now).fetch_optional(c).await?
    }))
}

/// What a user has on the way, in all projects.
pub async fn open_of(c: &mut Conn, user: UserId, now: Micros) -> Result<OpenUploads> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT COUNT(*) AS uploads, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM uploads WHERE user_id = $1 AND expires_at > $2",
        )
        .bind(user).bind(now).fetch_one(c).await?
    }))
}

/// Adds a piece where the last one ended. `false` when it ended elsewhere, or the upload is gone.
pub async fn append(c: &mut Conn, id: UploadId, piece: &PieceRow, expires_at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        let advanced = sqlx::query("UPDATE uploads SET received = received + $3, expires_at = $4 WHERE id = $1 AND received = $2 AND received + $3 <= size")
            .bind(id).bind(piece.start).bind(piece.size).bind(expires_at).execute(&mut *c).await?.rows_affected() == 1;
        if advanced {
            sqlx::query("INSERT INTO upload_pieces (upload_id, start, size, checksum) VALUES ($1, $2, $3, $4)")
                .bind(id).bind(piece.start).bind(piece.size).bind(&piece.checksum).execute(c).await?;
        }
        advanced
    }))
}

/// In the order of the bytes.
pub async fn pieces(c: &mut Conn, id: UploadId) -> Result<Vec<PieceRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT start, size, checksum FROM upload_pieces WHERE upload_id = $1 ORDER BY start").bind(id).fetch_all(c).await?
    }))
}

/// `false` when it was gone.
pub async fn remove(c: &mut Conn, id: UploadId) -> Result<bool> {
    Ok(on!(c, c => sqlx::query("DELETE FROM uploads WHERE id = $1").bind(id).execute(c).await?.rows_affected() == 1))
}

pub async fn remove_expired(c: &mut Conn, now: Micros) -> Result<u64> {
    Ok(on!(c, c => sqlx::query("DELETE FROM uploads WHERE expires_at <= $1").bind(now).execute(c).await?.rows_affected()))
}
