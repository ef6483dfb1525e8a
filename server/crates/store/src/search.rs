use sqlx::FromRow;
use wire::ProjectId;

use crate::{Conn, Result, db::on};

/// A file as a search needs it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SearchRow {
    pub path: String,
    pub checksum: String,
    pub size: i64,
    pub mode: i64,
}

/// The next files that exist now, in the order of the database, after a path (none: from the beginning). Links and directories are not
/// files.
pub async fn files_after(c: &mut Conn, project: ProjectId, after: &str, limit: i64) -> Result<Vec<SearchRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT path, checksum, size, mode FROM file_versions
             WHERE project_id = $1 AND superseded IS NULL AND path > $2 AND action <> 'deleted' AND kind = 'file' AND checksum IS NOT NULL
             ORDER BY path LIMIT $3",
        )
        .bind(project).bind(after).bind(limit).fetch_all(c).await?
    }))
}
