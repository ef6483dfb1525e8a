use std::collections::{HashMap, HashSet};

use sqlx::FromRow;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;
use wire::{
    Micros, ProjectId, UserId,
    files::{Entry, EntryKind, FileAction, FileVersion, Origin, TrashItem},
    users::UserRef,
};

use crate::{Conn, Result, Word, db::on, forgotten, users::user_ref};

/// Fewer than the parameters that a statement may have.
const PEOPLE_AT_ONCE: usize = 500;

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
    pub moved_from: Option<String>,
    pub cause: Option<Uuid>,
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
            moved_from: self.moved_from,
            cause: self.cause,
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
    pub moved_from: Option<&'a str>,
    pub cause: Option<Uuid>,
    /// Of a deletion that can be restored: what was deleted in this step, the path itself or a directory above it.
    pub deleted_as: Option<&'a str>,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT f.path, f.version, f.revision, f.action, f.kind, f.size, f.content_type, f.checksum, f.mode, f.origin, f.created_at,
                    f.created_by, f.moved_from, f.cause, u.username,
                    COALESCE(f.author, u.full_name) AS full_name
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
                                        created_at, created_by, moved_from, cause, deleted_as, folded)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(new.project_id).bind(new.path).bind(new.version).bind(new.revision).bind(Word(new.action)).bind(Word(new.kind))
        .bind(new.size).bind(new.content_type).bind(new.checksum).bind(i64::from(new.mode)).bind(Word(new.origin)).bind(new.at).bind(new.by)
        .bind(new.moved_from).bind(new.cause).bind(new.deleted_as).bind(fold(new.path))
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

/// Path, version, kind, size, content type, checksum, mode, time and maker. By place: looking columns up by name shows with many rows.
type TreeRow = (String, i64, String, i64, String, Option<String>, i64, Micros, Option<UserId>);

macro_rules! tree_row {
    ($filter:literal) => {
        concat!(
            "SELECT path, version, kind, size, content_type, checksum, mode, created_at, created_by FROM file_versions
             WHERE project_id = $1 AND superseded IS NULL AND action <> 'deleted' AND ",
            $filter
        )
    };
}

fn into_entry(row: TreeRow, people: &HashMap<UserId, UserRef>) -> Entry {
    let (path, version, kind, size, content_type, checksum, mode, created_at, created_by) = row;
    Entry {
        path,
        kind: match kind.as_str() {
            "directory" => EntryKind::Directory,
            "symlink" => EntryKind::Symlink,
            _ => EntryKind::File,
        },
        size,
        content_type,
        checksum: checksum.unwrap_or_default(),
        version,
        mode: mode as i32,
        updated_at: created_at,
        updated_by: created_by.and_then(|id| people.get(&id).cloned()),
    }
}

/// How those are called now who are asked for; who is gone is left out.
pub async fn people(c: &mut Conn, ids: HashSet<UserId>) -> Result<HashMap<UserId, UserRef>> {
    let ids: Vec<UserId> = ids.into_iter().collect();
    let mut people = HashMap::new();
    for some in ids.chunks(PEOPLE_AT_ONCE) {
        let places: Vec<String> = (1..=some.len()).map(|place| format!("${place}")).collect();
        let text = format!("SELECT id, username, full_name FROM users WHERE deleted_at IS NULL AND id IN ({})", places.join(", "));
        let rows: Vec<(UserId, String, Option<String>)> = on!(&mut *c, c => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
            for id in some {
                query = query.bind(*id);
            }
            query.fetch_all(c).await?
        });
        people.extend(rows.into_iter().filter_map(|(id, name, full_name)| Some((id, user_ref(Some(id), Some(name), full_name)?))));
    }
    Ok(people)
}

fn makers(rows: &[TreeRow]) -> HashSet<UserId> {
    rows.iter().filter_map(|row| row.8).collect()
}

/// What exists now, or strictly below a directory, sorted by path: as [`current`] and [`current_below`], made for many rows.
pub async fn entries(c: &mut Conn, project: ProjectId, below: Option<&str>) -> Result<Vec<Entry>> {
    // '0' is the character after '/'; no path sorts before "" or after U+10FFFF.
    let (lower, upper) = below.map_or((String::new(), "\u{10ffff}".to_owned()), |path| (format!("{path}/"), format!("{path}0")));
    let rows: Vec<TreeRow> = on!(&mut *c, c => {
        sqlx::query_as(tree_row!("path > $2 AND path < $3 ORDER BY path")).bind(project).bind(&lower).bind(&upper).fetch_all(c).await?
    });
    // Few people make many files, and a join would repeat their names in every row.
    let people = people(c, makers(&rows)).await?;
    Ok(rows.into_iter().map(|row| into_entry(row, &people)).collect())
}

/// What lies at the top, directories that only exist because of what lies in them as the first entry below them; in no order. Steps from
/// name to name by the index, whatever lies between them. `None` beyond `most` steps.
pub async fn top_entries(c: &mut Conn, project: ProjectId, most: usize) -> Result<Option<Vec<Entry>>> {
    let mut rows: Vec<TreeRow> = Vec::new();
    let mut after = String::new();
    for _ in 0..=most {
        let row: Option<TreeRow> = on!(&mut *c, c => {
            sqlx::query_as(tree_row!("path > $2 ORDER BY path LIMIT 1")).bind(project).bind(&after).fetch_optional(c).await?
        });
        let Some(row) = row else {
            let people = people(c, makers(&rows)).await?;
            return Ok(Some(rows.into_iter().map(|row| into_entry(row, &people)).collect()));
        };
        after = match row.0.split_once('/') {
            Some((directory, _)) => format!("{directory}/\u{10ffff}"),
            None => row.0.clone(),
        };
        rows.push(row);
    }
    Ok(None)
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
        sqlx::query_as(select!("f.superseded IS NULL AND f.deleted_as IS NOT NULL AND (f.path = $2 OR (f.path > $3 AND f.path < $4)) ORDER BY f.path"))
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

/// As [`at_revision`], what comes after a path, at most `limit` of it.
pub async fn page_at_revision(c: &mut Conn, project: ProjectId, revision: i64, after: &str, limit: i64) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!(
            "f.revision <= $2 AND (f.superseded IS NULL OR f.superseded > $2) AND f.action <> 'deleted' AND f.path > $3
             ORDER BY f.path LIMIT $4"
        ))
        .bind(project).bind(revision).bind(after).bind(limit).fetch_all(c).await?
    }))
}

/// The paths of the files and links of the tree at a revision.
pub async fn paths_at(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT path FROM file_versions
             WHERE project_id = $1 AND revision <= $2 AND (superseded IS NULL OR superseded > $2) AND action <> 'deleted'
               AND kind <> 'directory'",
        )
        .bind(project).bind(revision).fetch_all(c).await?
    }))
}

/// Whether the tree at a revision is kept for certain. It is not where a path changed later and what it was before is gone, which a path that
/// is new since others were forgotten can't be told from, nor where something that was deleted later is forgotten.
pub async fn is_kept_at(c: &mut Conn, project: ProjectId, revision: i64) -> Result<bool> {
    if forgotten::revision(c, project).await? > revision {
        return Ok(false);
    }
    let lost: Option<String> = on!(c, c => {
        sqlx::query_scalar(
            "SELECT f.path FROM file_versions f
             WHERE f.project_id = $1 AND f.revision > $2 AND f.version > 1
               AND NOT EXISTS (SELECT 1 FROM file_versions p
                               WHERE p.project_id = f.project_id AND p.path = f.path AND p.version = f.version - 1)
               AND NOT EXISTS (SELECT 1 FROM file_versions p
                               WHERE p.project_id = f.project_id AND p.path = f.path AND p.revision <= $2 AND p.superseded > $2) LIMIT 1",
        )
        .bind(project).bind(revision).fetch_optional(c).await?
    });
    Ok(lost.is_none())
}

/// The newest version of every path that changed after a revision, deletions included, sorted by path.
pub async fn changed_since(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.revision > $2 AND f.superseded IS NULL ORDER BY f.path")).bind(project).bind(revision).fetch_all(c).await?
    }))
}

/// The paths that a revision wrote, deletions included, as far as those versions are kept. Sorted.
pub async fn written_at(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT path FROM file_versions WHERE project_id = $1 AND revision = $2 ORDER BY path")
            .bind(project).bind(revision).fetch_all(c).await?
    }))
}

/// Versions of a path older than `before`, newest first.
pub async fn history(c: &mut Conn, project: ProjectId, path: &str, before: i64, limit: i64) -> Result<Vec<FileRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("f.path = $2 AND f.version < $3 ORDER BY f.version DESC LIMIT $4"))
            .bind(project).bind(path).bind(before).bind(limit).fetch_all(c).await?
    }))
}

#[derive(Debug, FromRow)]
struct TrashRow {
    path: String,
    revision: i64,
    deleted_at: Micros,
    files: i64,
    size: i64,
    lost: i64,
    own_kind: Option<Word<EntryKind>>,
    created_by: Option<UserId>,
    username: Option<String>,
    full_name: Option<String>,
}

impl TrashRow {
    fn into_item(self) -> TrashItem {
        TrashItem {
            path: self.path,
            kind: self.own_kind.map_or(EntryKind::Directory, |kind| kind.0),
            files: self.files,
            size: self.size,
            lost: self.lost,
            revision: self.revision,
            deleted_at: self.deleted_at,
            deleted_by: user_ref(self.created_by, self.username, self.full_name),
        }
    }
}

/// What was deleted and can be restored, at least in part, step by step, last deleted first: those after `after`, which names revision and path.
pub async fn trash(c: &mut Conn, project: ProjectId, after: Option<(i64, &str)>, limit: i64) -> Result<Vec<TrashItem>> {
    let (revision, path) = after.unwrap_or((i64::MAX, ""));
    let rows: Vec<TrashRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT t.deleted_as AS path, t.revision, MAX(t.created_at) AS deleted_at,
                    SUM(CASE WHEN p.kind <> 'directory' THEN 1 ELSE 0 END) AS files, CAST(SUM(p.size) AS BIGINT) AS size,
                    SUM(CASE WHEN p.path IS NULL AND t.kind <> 'directory' THEN 1 ELSE 0 END) AS lost,
                    MAX(CASE WHEN t.path = t.deleted_as THEN p.kind END) AS own_kind, t.created_by, u.username,
                    COALESCE(t.author, u.full_name) AS full_name
             FROM file_versions t
             LEFT JOIN file_versions p ON p.project_id = t.project_id AND p.path = t.path AND p.version = t.version - 1
             LEFT JOIN users u ON u.id = t.created_by
             WHERE t.project_id = $1 AND t.superseded IS NULL AND t.deleted_as IS NOT NULL
               AND (t.revision < $3 OR (t.revision = $3 AND t.deleted_as > $4))
             GROUP BY t.deleted_as, t.revision, t.created_by, t.author, u.username, u.full_name
             HAVING COUNT(p.path) > 0
             ORDER BY t.revision DESC, t.deleted_as LIMIT $2",
        )
        .bind(project).bind(limit).bind(revision).bind(path).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(TrashRow::into_item).collect())
}

/// Lets deletions of one revision at and below a directory count as the deletion of that directory.
pub async fn delete_as(c: &mut Conn, project: ProjectId, revision: i64, directory: &str) -> Result<()> {
    let (lower, upper) = (format!("{directory}/"), format!("{directory}0"));
    on!(c, c => {
        sqlx::query(
            "UPDATE file_versions SET deleted_as = $3
             WHERE project_id = $1 AND revision = $2 AND deleted_as IS NOT NULL AND (path = $3 OR (path > $4 AND path < $5))",
        )
        .bind(project).bind(revision).bind(directory).bind(&lower).bind(&upper).execute(c).await?;
    });
    Ok(())
}

/// What changed at a path or below it after the revision `after` and before `until`, deletions included: the first `limit`, sorted by path.
pub async fn changed_below(c: &mut Conn, project: ProjectId, path: &str, after: i64, until: i64, limit: i64) -> Result<Vec<FileRow>> {
    let (lower, upper) = (format!("{path}/"), format!("{path}0"));
    Ok(on!(c, c => {
        sqlx::query_as(select!(
            "f.superseded IS NULL AND f.revision > $2 AND f.revision < $3 AND (f.path = $4 OR (f.path > $5 AND f.path < $6))
             ORDER BY f.path LIMIT $7"
        ))
        .bind(project).bind(after).bind(until).bind(path).bind(&lower).bind(&upper).bind(limit).fetch_all(c).await?
    }))
}

/// A path as file systems that do not tell case or composition apart see it.
pub fn fold(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    path.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// What exists now under any spelling of a path: itself first, else one entry below it. Answers its own spelling and kind.
pub async fn find_spelling(c: &mut Conn, project: ProjectId, path: &str) -> Result<Vec<(String, EntryKind)>> {
    let folded = fold(path);
    let (lower, upper) = (format!("{folded}/"), format!("{folded}0"));
    let mut found: Vec<(String, Word<EntryKind>)> = on!(c, c => {
        sqlx::query_as("SELECT path, kind FROM file_versions WHERE project_id = $1 AND folded = $2 AND superseded IS NULL AND action <> 'deleted'")
            .bind(project).bind(&folded).fetch_all(&mut *c).await?
    });
    let below: Option<(String, Word<EntryKind>)> = on!(c, c => {
        sqlx::query_as(
            "SELECT path, kind FROM file_versions
             WHERE project_id = $1 AND folded > $2 AND folded < $3 AND superseded IS NULL AND action <> 'deleted' LIMIT 1",
        )
        .bind(project).bind(&lower).bind(&upper).fetch_optional(c).await?
    });
    found.extend(below);
    Ok(found.into_iter().map(|(path, kind)| (path, kind.0)).collect())
}
