//! Which blobs rows name, and the way out of those that nothing names any more.
//!
//! A blob's bytes are removed in three steps, so that no writer can lose what it is about to name:
//!
//! 1. **doomed**: a sweep found it old and named by nothing.
//! 2. **removing**: at least a grace later, one transaction takes the row, finds that still nothing names it, and commits. Then the
//!    bytes are deleted.
//! 3. **removed**: the deletion was answered. The tombstone stays for whoever saw the bytes just before and wrote none.
//!
//! Whoever inserts a row that newly names a blob calls [`keep`] in that transaction, whatever comes first in it. Why nothing live is
//! lost, for a writer W and the transaction S of step 2:
//!
//! - The row is not there when W keeps: step 2 comes a grace later at the earliest, when W has ended. S sees what W named.
//! - It is doomed: W deletes it, and S takes it, by the same row lock. If W was first, S waits for W and then finds no row. If S was
//!   first, W waits for S and then sees `removing`, or no row if S found a name.
//! - It is `removing`: nobody knows whether the bytes are still there, so W is refused and tries again later.
//! - It is `removed`: the deletion is over, so what is there now was written after it. W looks; if nothing is there it is refused, and
//!   writes the bytes when it tries again.
//!
//! What this rests on: a transaction ends within a grace, a writer names what it wrote within the life of a tombstone, and a storage
//! that has answered a deletion does not carry it out once more.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, FromRow};
use wire::{JobId, Micros, ProjectId};

use crate::{Conn, Result, Tx, Word, db::on};

/// Names in one query.
const CHUNK: usize = 400;

/// Rows that name blobs: where they are, the column, and how they belong to a project. Whatever is not found by these is removed, so
/// a table that names blobs has its line here.
const NAMES: &[(&str, &str, &str)] = &[
    ("file_versions f", "f.checksum", "f.project_id"),
    ("change_files f JOIN change_sets s ON s.id = f.change_set_id", "f.old_checksum", "s.project_id"),
    ("change_files f JOIN change_sets s ON s.id = f.change_set_id", "f.new_checksum", "s.project_id"),
    ("chat_images f", "f.checksum", "f.project_id"),
    ("exports f", "f.checksum", "f.project_id"),
    ("imports f", "f.checksum", "f.project_id"),
    ("staged_files f", "f.checksum", "f.project_id"),
    ("upload_pieces f JOIN uploads s ON s.id = f.upload_id", "f.checksum", "s.project_id"),
];

/// How far a blob is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sweep {
    Doomed,
    Removing,
    Removed,
}

/// Where a project's bytes are.
#[derive(Debug, Clone, FromRow)]
pub struct Place {
    pub storage_backend: String,
    /// While it moves: where to, and by which job.
    pub moving_to: Option<String>,
    pub moving_job: Option<JobId>,
    /// When it last moved.
    pub moved_at: Option<Micros>,
}

pub async fn place(c: &mut Conn, project: ProjectId) -> Result<Option<Place>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT storage_backend, moving_to, moving_job, moved_at FROM projects WHERE id = $1")
            .bind(project).fetch_optional(c).await?
    }))
}

/// As [`place`], with the project's row locked until the transaction ends, so that it does not move meanwhile.
pub async fn lock_place(tx: &mut Tx, project: ProjectId) -> Result<Option<Place>> {
    Ok(on!(&mut **tx, c => {
        sqlx::query_as(
            "UPDATE projects SET storage_backend = storage_backend WHERE id = $1
             RETURNING storage_backend, moving_to, moving_job, moved_at",
        )
        .bind(project).fetch_optional(c).await?
    }))
}

/// Says that a project begins to move, or with `None` that it moves no more. Locks its row.
pub async fn set_moving(tx: &mut Tx, project: ProjectId, moving: Option<(&str, JobId)>) -> Result<()> {
    let (to, job) = moving.unzip();
    on!(&mut **tx, c => {
        sqlx::query("UPDATE projects SET moving_to = $2, moving_job = $3 WHERE id = $1").bind(project).bind(to).bind(job).execute(c).await?;
    });
    Ok(())
}

/// The end of a move: from now on the bytes are read from and written to `backend`.
pub async fn set_place(tx: &mut Tx, project: ProjectId, backend: &str, at: Micros) -> Result<()> {
    on!(&mut **tx, c => {
        sqlx::query("UPDATE projects SET storage_backend = $2, moving_to = NULL, moving_job = NULL, moved_at = $3 WHERE id = $1")
            .bind(project).bind(backend).bind(at).execute(c).await?;
    });
    Ok(())
}

/// `$first, …`, `count` of them.
fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// Takes blobs that a row of this transaction newly names off their way out. Answers those of which it can't, because they are being
/// removed or were: see the head of this file for what to do about them.
pub async fn keep(tx: &mut Tx, backend: &str, sha256: &[&str]) -> Result<Vec<(String, Sweep)>> {
    let mut left = Vec::new();
    for chunk in sha256.chunks(CHUNK) {
        let list = placeholders(2, chunk.len());
        let mut rows = swept(tx, backend, chunk, &list).await?;
        if !rows.is_empty() {
            let delete = format!("DELETE FROM blob_sweep WHERE backend = $1 AND state = 'doomed' AND sha256 IN ({list})");
            on!(&mut **tx, c => {
                let mut query = sqlx::query(AssertSqlSafe(delete)).bind(backend);
                for name in chunk {
                    query = query.bind(*name);
                }
                query.execute(c).await?;
            });
            // Waiting for the row may have let a sweep pass: only what is left now counts.
            rows = swept(tx, backend, chunk, &list).await?;
        }
        left.extend(rows.into_iter().map(|(sha256, state)| (sha256, state.0)));
    }
    Ok(left)
}

async fn swept(tx: &mut Tx, backend: &str, chunk: &[&str], list: &str) -> Result<Vec<(String, Word<Sweep>)>> {
    let select = format!("SELECT sha256, state FROM blob_sweep WHERE backend = $1 AND sha256 IN ({list})");
    Ok(on!(&mut **tx, c => {
        let mut query = sqlx::query_as(AssertSqlSafe(select)).bind(backend);
        for name in chunk {
            query = query.bind(*name);
        }
        query.fetch_all(c).await?
    }))
}

/// Those of the blobs that a row of a project names that is on the backend or moving to it.
pub async fn referenced(c: &mut Conn, backend: &str, sha256: &[&str]) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for chunk in sha256.chunks(CHUNK) {
        let list = placeholders(2, chunk.len());
        let parts = NAMES.iter().map(|(table, column, project)| {
            format!(
                "SELECT {column} AS sha256 FROM {table} JOIN projects p ON p.id = {project}
                 WHERE {column} IN ({list}) AND (p.storage_backend = $1 OR p.moving_to = $1)"
            )
        });
        let select = parts.collect::<Vec<_>>().join(" UNION ");
        let names: Vec<String> = on!(&mut *c, c => {
            let mut query = sqlx::query_scalar(AssertSqlSafe(select)).bind(backend);
            for name in chunk {
                query = query.bind(*name);
            }
            query.fetch_all(c).await?
        });
        found.extend(names);
    }
    Ok(found)
}

/// The blobs that rows of a project name, sorted, after `after`: the next `limit` of them.
pub async fn named_by(c: &mut Conn, project: ProjectId, after: &str, limit: i64) -> Result<Vec<String>> {
    let parts =
        NAMES.iter().map(|(table, column, owner)| format!("SELECT {column} AS sha256 FROM {table} WHERE {owner} = $1 AND {column} > $2"));
    let select = format!("SELECT sha256 FROM ({}) n ORDER BY sha256 LIMIT $3", parts.collect::<Vec<_>>().join(" UNION "));
    Ok(on!(c, c => sqlx::query_scalar(AssertSqlSafe(select)).bind(project).bind(after).bind(limit).fetch_all(c).await?))
}

/// How many blobs the rows of a project name.
pub async fn count_named_by(c: &mut Conn, project: ProjectId) -> Result<i64> {
    let parts = NAMES
        .iter()
        .map(|(table, column, owner)| format!("SELECT {column} AS sha256 FROM {table} WHERE {owner} = $1 AND {column} IS NOT NULL"));
    let select = format!("SELECT COUNT(*) FROM ({}) n", parts.collect::<Vec<_>>().join(" UNION "));
    Ok(on!(c, c => sqlx::query_scalar(AssertSqlSafe(select)).bind(project).fetch_one(c).await?))
}

/// Those of the blobs that a file of the project named before its newest revision, which may be the one of this transaction.
pub async fn known_to(c: &mut Conn, project: ProjectId, sha256: &[&str]) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for chunk in sha256.chunks(CHUNK) {
        let list = placeholders(2, chunk.len());
        let select = format!(
            "SELECT DISTINCT checksum FROM file_versions
             WHERE project_id = $1 AND checksum IN ({list}) AND revision < (SELECT revision FROM projects WHERE id = $1)"
        );
        let names: Vec<String> = on!(&mut *c, c => {
            let mut query = sqlx::query_scalar(AssertSqlSafe(select)).bind(project);
            for name in chunk {
                query = query.bind(*name);
            }
            query.fetch_all(c).await?
        });
        found.extend(names);
    }
    Ok(found)
}

/// Step 1: puts blobs on their way out. Those that are on it stay where they are. Answers how many are new.
pub async fn doom(tx: &mut Tx, backend: &str, sha256: &[&str], at: Micros) -> Result<u64> {
    let mut doomed = 0;
    on!(&mut **tx, c => {
        for name in sha256 {
            // What was removed and is there again was written since.
            let done = sqlx::query(
                "INSERT INTO blob_sweep (backend, sha256, state, at) VALUES ($1, $2, 'doomed', $3)
                 ON CONFLICT (backend, sha256) DO NOTHING",
            )
            .bind(backend).bind(*name).bind(at).execute(&mut *c).await?;
            doomed += done.rows_affected();
        }
    });
    Ok(doomed)
}

/// Blobs that have been in a state since before `before`, the oldest `limit`.
pub async fn in_state(c: &mut Conn, backend: &str, state: Sweep, before: Micros, limit: i64) -> Result<Vec<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT sha256 FROM blob_sweep WHERE backend = $1 AND state = $2 AND at <= $3 ORDER BY at, sha256 LIMIT $4")
            .bind(backend).bind(Word(state)).bind(before).bind(limit).fetch_all(c).await?
    }))
}

/// Step 2, to be committed before the bytes go. `false` when it must stay: somebody kept it, or a row names it.
pub async fn begin_removal(tx: &mut Tx, backend: &str, sha256: &str, before: Micros, at: Micros) -> Result<bool> {
    let taken = on!(&mut **tx, c => {
        sqlx::query("UPDATE blob_sweep SET state = 'removing', at = $4 WHERE backend = $1 AND sha256 = $2 AND state = 'doomed' AND at <= $3")
            .bind(backend).bind(sha256).bind(before).bind(at).execute(c).await?.rows_affected() == 1
    });
    if taken && !referenced(tx, backend, &[sha256]).await?.is_empty() {
        forget(tx, backend, sha256).await?;
        return Ok(false);
    }
    Ok(taken)
}

/// Takes up a removal whose end nobody told, so that only one sweep repeats it. `false` when another has it.
pub async fn resume_removal(tx: &mut Tx, backend: &str, sha256: &str, before: Micros, at: Micros) -> Result<bool> {
    Ok(on!(&mut **tx, c => {
        sqlx::query("UPDATE blob_sweep SET at = $4 WHERE backend = $1 AND sha256 = $2 AND state = 'removing' AND at <= $3")
            .bind(backend).bind(sha256).bind(before).bind(at).execute(c).await?.rows_affected() == 1
    }))
}

/// Step 3, after the storage has answered. `begun` is the time that the removal was begun or taken up with: one that another sweep
/// has taken up since is that one's to finish.
pub async fn finish_removal(tx: &mut Tx, backend: &str, sha256: &str, begun: Micros, at: Micros) -> Result<()> {
    on!(&mut **tx, c => {
        sqlx::query("UPDATE blob_sweep SET state = 'removed', at = $4 WHERE backend = $1 AND sha256 = $2 AND state = 'removing' AND at = $3")
            .bind(backend).bind(sha256).bind(begun).bind(at).execute(c).await?;
    });
    Ok(())
}

/// Takes a blob off its way out, whatever it had come to.
pub async fn forget(tx: &mut Tx, backend: &str, sha256: &str) -> Result<()> {
    on!(&mut **tx, c => {
        sqlx::query("DELETE FROM blob_sweep WHERE backend = $1 AND sha256 = $2").bind(backend).bind(sha256).execute(c).await?;
    });
    Ok(())
}

/// Tombstones that nobody can need any more.
pub async fn drop_tombstones(tx: &mut Tx, before: Micros) -> Result<u64> {
    Ok(on!(&mut **tx, c => {
        sqlx::query("DELETE FROM blob_sweep WHERE state = 'removed' AND at <= $1").bind(before).execute(c).await?.rows_affected()
    }))
}
