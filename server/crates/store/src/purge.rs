//! Projects that were deleted and can't come back any more are taken apart piece by piece, so that no transaction gets long. What outlives
//! them does so without a reference: the ledger and its sums, the audit log, and events of people.
//!
//! One that goes is marked as one that is being filled: it is seen by nobody, and can't be restored half empty.

use wire::{ConversationId, Micros, ProjectId, RunId};

use crate::{Conn, Result, db::on};

/// Projects that were deleted before a moment, the first one first, at most `limit`, and whether their end was begun. Those that a job
/// still works on wait.
pub async fn due(c: &mut Conn, before: Micros, limit: i64) -> Result<Vec<(ProjectId, bool)>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT p.id, p.importing FROM projects p WHERE p.deleted_at < $1
             AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.project_id = p.id AND j.state IN ('queued', 'running'))
             ORDER BY p.deleted_at, p.id LIMIT $2",
        )
        .bind(before).bind(limit).fetch_all(c).await?
    }))
}

/// Puts a project out of everybody's reach for good and answers its name; `None` when it was restored, or its end was begun, meanwhile.
pub async fn begin(c: &mut Conn, id: ProjectId, before: Micros) -> Result<Option<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("UPDATE projects SET importing = $3 WHERE id = $1 AND deleted_at < $2 AND NOT importing RETURNING name")
            .bind(id).bind(before).bind(true).fetch_optional(c).await?
    }))
}

pub async fn conversations(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<ConversationId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM conversations WHERE project_id = $1 ORDER BY id LIMIT $2").bind(project).bind(limit).fetch_all(c).await?
    }))
}

pub async fn runs(c: &mut Conn, project: ProjectId, limit: i64) -> Result<Vec<RunId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM runs WHERE project_id = $1 ORDER BY id LIMIT $2").bind(project).bind(limit).fetch_all(c).await?
    }))
}

/// Whatever its state says: nothing works on it.
pub async fn delete_run(c: &mut Conn, id: RunId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM runs WHERE id = $1").bind(id).execute(c).await?; });
    Ok(())
}

/// At most `limit` versions of files, change sets or requests to the network; answers how many rows went.
pub async fn delete_some(c: &mut Conn, project: ProjectId, limit: i64) -> Result<u64> {
    Ok(on!(c, c => {
        let mut gone = 0;
        for text in [
            "DELETE FROM file_versions WHERE project_id = $1 AND (path, version) IN
                (SELECT path, version FROM file_versions WHERE project_id = $1 ORDER BY path, version LIMIT $2)",
            "DELETE FROM egress_log WHERE id IN (SELECT id FROM egress_log WHERE project_id = $1 ORDER BY id LIMIT $2)",
            // Each has files and hunks of its own.
            "DELETE FROM change_sets WHERE id IN (SELECT id FROM change_sets WHERE project_id = $1 ORDER BY id LIMIT $2 / 50)",
        ] {
            gone += sqlx::query(text).bind(project).bind(limit).execute(&mut *c).await?.rows_affected();
        }
        gone
    }))
}

/// The project's row, with what little is left that belongs to it. `false` when its end was not begun.
pub async fn finish(c: &mut Conn, id: ProjectId) -> Result<bool> {
    Ok(on!(c, c => {
        let gone = sqlx::query("DELETE FROM projects WHERE id = $1 AND importing AND deleted_at IS NOT NULL")
            .bind(id).execute(&mut *c).await?.rows_affected();
        if gone == 1 {
            for table in ["budgets", "budget_counters"] {
                let text = format!("DELETE FROM {table} WHERE scope IN ('project', 'project_own') AND subject = $1");
                sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).execute(&mut *c).await?;
            }
        }
        gone
    }) == 1)
}
