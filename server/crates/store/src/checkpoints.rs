use sqlx::FromRow;
use wire::{
    CheckpointId, Micros, ProjectId, TurnId, UserId,
    checkpoints::{Checkpoint, CheckpointKind},
    files::{EntryKind, FileAction, Origin},
    users::UserRef,
};

use crate::{Conn, Result, Word, db::on, users::user_ref};

const PROMPT_CHARS: usize = 80;

#[derive(Debug, Clone, FromRow)]
pub struct CheckpointRow {
    pub id: CheckpointId,
    pub kind: Word<CheckpointKind>,
    pub name: Option<String>,
    pub prompt: Option<String>,
    pub turn_id: Option<TurnId>,
    pub revision: i64,
    pub file_count: i64,
    pub size_bytes: i64,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl CheckpointRow {
    pub fn into_checkpoint(self) -> Checkpoint {
        Checkpoint {
            id: self.id,
            kind: self.kind.0,
            name: self.name,
            prompt: self.prompt.as_deref().map(first_line),
            turn_id: self.turn_id,
            revision: self.revision,
            files: self.file_count,
            bytes: self.size_bytes,
            created_at: self.created_at,
            created_by: user_ref(self.created_by, self.username, self.full_name),
        }
    }
}

fn first_line(prompt: &str) -> String {
    let line = prompt.trim().lines().next().unwrap_or_default();
    let mut text: String = line.chars().filter(|c| !c.is_control()).take(PROMPT_CHARS).collect();
    if line.chars().count() > PROMPT_CHARS {
        text.push('…');
    }
    text
}

pub struct NewCheckpoint<'a> {
    pub id: CheckpointId,
    pub project_id: ProjectId,
    pub revision: i64,
    pub kind: CheckpointKind,
    pub name: Option<&'a str>,
    pub turn_id: Option<TurnId>,
    pub file_count: i64,
    pub size_bytes: i64,
    pub at: Micros,
    pub by: Option<UserId>,
}

pub async fn insert(c: &mut Conn, new: &NewCheckpoint<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO checkpoints (id, project_id, revision, kind, name, turn_id, file_count, size_bytes, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(new.id).bind(new.project_id).bind(new.revision).bind(Word(new.kind)).bind(new.name).bind(new.turn_id)
        .bind(new.file_count).bind(new.size_bytes).bind(new.at).bind(new.by)
        .execute(c).await?;
    });
    Ok(())
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT k.id, k.kind, k.name, t.prompt, k.turn_id, k.revision, k.file_count, k.size_bytes, k.created_at, k.created_by,
                    u.username, COALESCE(k.author, u.full_name) AS full_name
             FROM checkpoints k LEFT JOIN turns t ON t.id = k.turn_id LEFT JOIN users u ON u.id = k.created_by
             WHERE k.project_id = $1 AND ",
            $filter
        )
    };
}

/// Newest first.
pub async fn list(c: &mut Conn, project: ProjectId) -> Result<Vec<CheckpointRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("1 = 1 ORDER BY k.created_at DESC, k.id DESC LIMIT 1000")).bind(project).fetch_all(c).await?
    }))
}

pub async fn get(c: &mut Conn, project: ProjectId, id: CheckpointId) -> Result<Option<CheckpointRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("k.id = $2")).bind(project).bind(id).fetch_optional(c).await?))
}

/// With `None` it has no name any more. `false` when it is gone.
pub async fn rename(c: &mut Conn, project: ProjectId, id: CheckpointId, name: Option<&str>) -> Result<bool> {
    let done = on!(c, c => {
        sqlx::query("UPDATE checkpoints SET name = $3 WHERE project_id = $1 AND id = $2")
            .bind(project).bind(id).bind(name).execute(c).await?.rows_affected()
    });
    Ok(done > 0)
}

/// `false` when it is gone already.
pub async fn delete(c: &mut Conn, project: ProjectId, id: CheckpointId) -> Result<bool> {
    let done = on!(c, c => {
        sqlx::query("DELETE FROM checkpoints WHERE project_id = $1 AND id = $2")
            .bind(project).bind(id).execute(c).await?.rows_affected()
    });
    Ok(done > 0)
}

/// Removes checkpoints without a name beyond the newest `keep`, and those from before `oldest`. Answers how many went.
pub async fn prune(c: &mut Conn, project: ProjectId, keep: i64, oldest: Micros) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query(
            "DELETE FROM checkpoints WHERE project_id = $1 AND name IS NULL AND (created_at < $3 OR id NOT IN (
                 SELECT id FROM checkpoints WHERE project_id = $1 AND name IS NULL ORDER BY created_at DESC, id DESC LIMIT $2))",
        )
        .bind(project).bind(keep).bind(oldest).execute(c).await?.rows_affected()
    }))
}

/// The oldest checkpoint without a name, as long as there are at least two of them.
pub async fn oldest_unnamed(c: &mut Conn, project: ProjectId) -> Result<Option<CheckpointId>> {
    let ids: Vec<CheckpointId> = on!(c, c => {
        sqlx::query_scalar("SELECT id FROM checkpoints WHERE project_id = $1 AND name IS NULL ORDER BY created_at, id LIMIT 2")
            .bind(project).fetch_all(c).await?
    });
    Ok(if ids.len() == 2 { ids.first().copied() } else { None })
}

pub async fn count_named(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM checkpoints WHERE project_id = $1 AND name IS NOT NULL")
            .bind(project).fetch_one(c).await?
    }))
}

/// Bytes of what a checkpoint holds and the project does not hold now; the same content counts once.
pub async fn held_bytes(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(held.size), 0) AS BIGINT) FROM (
                 SELECT f.checksum, MAX(f.size) AS size FROM file_versions f
                 WHERE f.project_id = $1 AND f.superseded IS NOT NULL AND f.checksum IS NOT NULL
                   AND EXISTS (SELECT 1 FROM checkpoints k
                               WHERE k.project_id = f.project_id AND k.revision >= f.revision AND k.revision < f.superseded)
                   AND NOT EXISTS (SELECT 1 FROM file_versions n
                                   WHERE n.checksum = f.checksum AND n.project_id = f.project_id AND n.superseded IS NULL
                                     AND n.action <> 'deleted')
                 GROUP BY f.checksum) held",
        )
        .bind(project).fetch_one(c).await?
    }))
}

/// Paths that changed after a revision.
pub async fn count_changed(c: &mut Conn, project: ProjectId, revision: i64) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM file_versions WHERE project_id = $1 AND revision > $2 AND superseded IS NULL")
            .bind(project).bind(revision).fetch_one(c).await?
    }))
}

/// One version of a path that was valid at a revision or came after it.
#[derive(Debug, Clone, FromRow)]
pub struct StepRow {
    pub path: String,
    pub version: i64,
    pub revision: i64,
    pub superseded: Option<i64>,
    pub action: Word<FileAction>,
    pub kind: Word<EntryKind>,
    pub size: i64,
    pub checksum: Option<String>,
    pub mode: i64,
    pub origin: Word<Origin>,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl StepRow {
    /// Who made this version.
    pub fn by(&self) -> Option<UserRef> {
        user_ref(self.created_by, self.username.clone(), self.full_name.clone())
    }
}

macro_rules! steps {
    ($filter:literal) => {
        concat!(
            "SELECT f.path, f.version, f.revision, f.superseded, f.action, f.kind, f.size, f.checksum, f.mode, f.origin, f.created_at,
                    f.created_by, u.username, COALESCE(f.author, u.full_name) AS full_name
             FROM file_versions f LEFT JOIN users u ON u.id = f.created_by WHERE f.project_id = $1 AND ",
            $filter
        )
    };
}

/// For every path that changed after a revision: the version it had then, if any, and all that came after it. In byte order of the path,
/// then by version.
pub async fn steps_since(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<StepRow>> {
    let mut rows: Vec<StepRow> = on!(c, c => {
        let mut rows: Vec<StepRow> =
            sqlx::query_as(steps!("f.superseded > $2")).bind(project).bind(revision).fetch_all(&mut *c).await?;
        rows.extend(
            sqlx::query_as::<_, StepRow>(steps!("f.revision > $2 AND f.superseded IS NULL")).bind(project).bind(revision).fetch_all(c).await?,
        );
        rows
    });
    rows.sort_by(|a, b| a.path.cmp(&b.path).then(a.version.cmp(&b.version)));
    Ok(rows)
}

#[derive(Debug, Clone, FromRow)]
pub struct Source {
    pub name: String,
    pub description: String,
    pub storage_backend: String,
    pub revision: i64,
    pub file_count: i64,
    pub size_bytes: i64,
}

/// A project as it is, with the row lock that orders all its writers: neither its files nor the place of their bytes change until the
/// transaction ends. `None` when it is gone.
pub async fn hold(c: &mut Conn, project: ProjectId) -> Result<Option<Source>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "UPDATE projects SET revision = revision WHERE id = $1 AND deleted_at IS NULL
             RETURNING name, description, storage_backend, revision, file_count, size_bytes",
        )
        .bind(project).fetch_optional(c).await?
    }))
}

/// Files and bytes of a project as they are booked. `None` when it is gone.
pub async fn totals_now(c: &mut Conn, project: ProjectId) -> Result<Option<(i64, i64)>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT file_count, size_bytes FROM projects WHERE id = $1").bind(project).fetch_optional(c).await?
    }))
}

/// Path and checksum of the `.gitignore` files that are not larger than `bytes_max`, at most `limit`.
pub async fn ignore_files(c: &mut Conn, project: ProjectId, limit: i64, bytes_max: i64) -> Result<Vec<(String, String)>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT path, checksum FROM file_versions
             WHERE project_id = $1 AND superseded IS NULL AND action <> 'deleted' AND kind = 'file' AND checksum IS NOT NULL
               AND size <= $3 AND (path = '.gitignore' OR path LIKE '%/.gitignore') ORDER BY path LIMIT $2",
        )
        .bind(project).bind(limit).bind(bytes_max).fetch_all(c).await?
    }))
}

/// Files and bytes of the tree at a revision.
pub async fn totals_at(c: &mut Conn, project: ProjectId, revision: i64) -> Result<(i64, i64)> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM file_versions
             WHERE project_id = $1 AND revision <= $2 AND (superseded IS NULL OR superseded > $2) AND action <> 'deleted'
               AND kind <> 'directory'",
        )
        .bind(project).bind(revision).fetch_one(c).await?
    }))
}

/// The checksums of the tree at a revision, each once.
pub async fn checksums_at(c: &mut Conn, project: ProjectId, revision: i64) -> Result<Vec<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT DISTINCT checksum FROM file_versions
             WHERE project_id = $1 AND revision <= $2 AND (superseded IS NULL OR superseded > $2) AND action <> 'deleted'
               AND checksum IS NOT NULL",
        )
        .bind(project).bind(revision).fetch_all(c).await?
    }))
}

pub struct Fork {
    pub from: ProjectId,
    pub revision: i64,
    pub to: ProjectId,
    /// The revision of the new project that the copies belong to.
    pub to_revision: i64,
    pub at: Micros,
    pub by: UserId,
}

/// Copies the rows of a tree into a new project as first versions; the bytes are shared.
pub async fn copy_tree(c: &mut Conn, fork: &Fork) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query(
            "INSERT INTO file_versions (project_id, path, version, revision, action, kind, size, content_type, checksum, mode, origin,
                                        created_at, created_by, folded)
             SELECT $3, path, 1, $4, 'added', kind, size, content_type, checksum, mode, 'import', $5, $6, folded FROM file_versions
             WHERE project_id = $1 AND revision <= $2 AND (superseded IS NULL OR superseded > $2) AND action <> 'deleted'",
        )
        .bind(fork.from).bind(fork.revision).bind(fork.to).bind(fork.to_revision).bind(fork.at).bind(fork.by)
        .execute(c).await?.rows_affected()
    }))
}
