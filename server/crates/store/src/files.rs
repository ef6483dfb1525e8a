use sqlx::FromRow;
use wire::{
    Micros, ProjectId, UserId,
    files::{Entry, EntryKind, FileAction, FileVersion, Origin},
};

use crate::{Conn, Result, Word, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct FileRow {
    pub path: String,
    pub version: i64,
    pub revision: i64,
    pub action: Word<FileAction>,
    pub kind: Word<EntryKind>,
    pub size: i64,
    pub content_type: String,
    pub checksum: Option<String>,
    pub mode: i64,
    pub origin: Word<Origin>,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl FileRow {
    pub fn is_deleted(&self) -> bool {
        self.action.0 == FileAction::Deleted
    }

    pub fn into_entry(self) -> Entry {
        Entry {
            path: self.path,
            kind: self.kind.0,
            size: self.size,
            content_type: self.content_type,
            checksum: self.checksum.unwrap_or_default(),
            version: self.version,
            mode: self.mode as i32,
            updated_at: self.created_at,
            updated_by: user_ref(self.created_by, self.username, self.full_name),
        }
    }

    pub fn into_version(self) -> FileVersion {
        FileVersion {
            path: self.path,
            version: self.version,
            revision: self.revision,
            action: self.action.0,
            origin: self.origin.0,
            size: self.size,
            checksum: self.checksum.unwrap_or_default(),
            kind: self.kind.0,
            mode: self.mode as i32,
            moved_from: None,
            cause: None,
            created_at: self.created_at,
            created_by: user_ref(self.created_by, self.username, self.full_name),
        }
    }
}

pub struct NewVersion<'a> {
    pub project_id: ProjectId,
    pub path: &'a str,
    pub version: i64,
    pub revision: i64,
    pub action: FileAction,
    pub kind: EntryKind,
    pub size: i64,
    pub content_type: &'a str,
    pub checksum: Option<&'a str>,
    pub mode: i32,
    pub origin: Origin,
    pub at: Micros,
    pub by: Option<UserId>,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT f.path, f.version, f.revision, f.action, f.kind, f.size, f.content_type, f.checksum, f.mode, f.origin, f.created_at,
                    f.created_by, u.username, u.full_name
             FROM file_versions f LEFT JOIN users u ON u.id = f.created_by WHERE f.project_id = $1 AND ",
            $filter
        )
    };
}

/// Ends the version before it and adds this one. Callers hold the project's lock (see `projects::next_revision`).
pub async fn insert_version(c: &mut Conn, new: &NewVersion<'_>) -> Result<()> {
    on!(c, c => {
        if new.version > 1 {
            sqlx::query("UPDATE file_versions SET superseded = $3 WHERE project_id = $1 AND path = $2 AND superseded IS NULL")
                .bind(new.project_id).bind(new.path).bind(new.revision).execute(&mut *c).await?;
        }
        sqlx::query(
            "INSERT INTO file_versions (project_id, path, version, revision, action, kind, size, content_type, checksum, mode, origin,
                                        created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(new.project_id).bind(new.path).bind(new.version).bind(new.revision).bind(Word(new.action)).bind(Word(new.kind))
        .bind(new.size).bind(new.content_type).bind(new.checksum).bind(i64::from(new.mode)).bind(Word(new.origin)).bind(new.at).bind(new.by)
        .execute(c).await?;
    });
    Ok(())
}

/// The newest version of a path, deletions included.
pub async fn latest(c: &mut Conn, project: ProjectId, path: &str) -> Result<Option<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.path = $2 AND f.superseded IS NULL")).bind(project).bind(path).fetch_optional(c).await?
    }))
}

pub async fn at_version(c: &mut Conn, project: ProjectId, path: &str, version: i64) -> Result<Option<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.path = $2 AND f.version = $3")).bind(project).bind(path).bind(version).fetch_optional(c).await?
    }))
}

/// What exists now, sorted by path.
pub async fn current(c: &mut Conn, project: ProjectId) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.superseded IS NULL AND f.action <> 'deleted' ORDER BY f.path")).bind(project).fetch_all(c).await?
    }))
}

/// What exists now strictly below a directory, sorted by path. `upper` is the first path that sorts after all of them.
pub async fn current_below(c: &mut Conn, project: ProjectId, directory: &str) -> Result<Vec<FileRow>> {
    // '0' is the character after '/', so this is a range of the index and needs no LIKE with its escapes.
    let (lower, upper) = (format!("{directory}/"), format!("{directory}0"));
    let rows: Vec<FileRow> = on!(c, c => {
        sqlx::query_as(select!("f.superseded IS NULL AND f.action <> 'deleted' AND f.path > $2 AND f.path < $3 ORDER BY f.path"))
            .bind(project).bind(&lower).bind(&upper).fetch_all(c).await?
    });
    // A database collation may order more loosely than bytes do.
    Ok(rows.into_iter().filter(|row| row.path.starts_with(&lower)).collect())
}

/// Whether a path is a directory now, by itself or by what lies in it.
pub async fn is_directory(c: &mut Conn, project: ProjectId, path: &str) -> Result<bool> {
    let (lower, upper) = (format!("{path}/"), format!("{path}0"));
    // A database collation may order more loosely than bytes do, so the prefix is compared as well.
    let found: Option<String> = on!(c, c => {
        sqlx::query_scalar(
            "SELECT f.path FROM file_versions f
             WHERE f.project_id = $1 AND f.superseded IS NULL AND f.action <> 'deleted'
               AND ((f.path = $2 AND f.kind = 'directory') OR (f.path > $3 AND f.path < $4 AND substr(f.path, 1, length($3)) = $3)) LIMIT 1",
        )
        .bind(project).bind(path).bind(&lower).bind(&upper).fetch_optional(c).await?
    });
    Ok(found.is_some())
}

/// What was deleted last below a directory or at the path itself, in one revision.
pub async fn deleted_with(c: &mut Conn, project: ProjectId, path: &str) -> Result<Vec<FileRow>> {
    let (lower, upper) = (format!("{path}/"), format!("{path}0"));
    let rows: Vec<FileRow> = on!(c, c => {
        sqlx::query_as(select!("f.superseded IS NULL AND f.action = 'deleted' AND (f.path = $2 OR (f.path > $3 AND f.path < $4)) ORDER BY f.path"))
            .bind(project).bind(path).bind(&lower).bind(&upper).fetch_all(c).await?
    });
    let newest = rows.iter().filter(|r| r.path == path || r.path.starts_with(&lower)).map(|r| r.revision).max();
    Ok(rows.into_iter().filter(|r| Some(r.revision) == newest && (r.path == path || r.path.starts_with(&lower))).collect())
}

/// The tree as it was at a revision, sorted by path.
pub async fn at_revision(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!(
            "f.revision <= $2 AND (f.superseded IS NULL OR f.superseded > $2) AND f.action <> 'deleted' ORDER BY f.path"
        ))
        .bind(project).bind(revision).fetch_all(c).await?
    }))
}

/// The newest version of every path that changed after a revision, deletions included, sorted by path.
pub async fn changed_since(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.revision > $2 AND f.superseded IS NULL ORDER BY f.path")).bind(project).bind(revision).fetch_all(c).await?
    }))
}

/// All versions of a path, newest first.
pub async fn history(c: &mut Conn, project: ProjectId, path: &str) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.path = $2 ORDER BY f.version DESC LIMIT 500")).bind(project).bind(path).fetch_all(c).await?
    }))
}

/// Deleted paths, last deleted first.
pub async fn deleted(c: &mut Conn, project: ProjectId) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.superseded IS NULL AND f.action = 'deleted' ORDER BY f.revision DESC, f.path LIMIT 1000"))
            .bind(project).fetch_all(c).await?
    }))
}
