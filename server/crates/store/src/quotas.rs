use sqlx::FromRow;
use wire::{Micros, ProjectId, UserId, quotas::QuotaOverride};

use crate::{Conn, Result, db::on};

/// Files and bytes, as a project's row or several together count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct Totals {
    pub projects: i64,
    pub files: i64,
    pub bytes: i64,
    /// At least what earlier versions and deleted files hold.
    pub history: i64,
    /// At least how many earlier versions there are.
    pub versions: i64,
    /// `projects` with those that are deleted or being imported.
    pub held: i64,
}

#[derive(Debug, Clone, FromRow)]
pub struct HeldProject {
    pub owner_id: UserId,
    pub owner_name: String,
    pub files: i64,
    pub bytes: i64,
    /// At least what earlier versions and deleted files hold.
    pub history: i64,
    /// At least how many earlier versions there are.
    pub versions: i64,
}

/// What a project counts, and towards whose limits.
pub async fn project(c: &mut Conn, id: ProjectId) -> Result<Option<HeldProject>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT p.owner_id, u.username AS owner_name, p.file_count AS files, p.size_bytes AS bytes,
                    p.history_bytes AS history, p.past_versions AS versions
             FROM projects p JOIN users u ON u.id = p.owner_id WHERE p.id = $1",
        )
        .bind(id).fetch_optional(c).await?
    }))
}

/// Makes everybody else who wants to enlarge one of the owner's projects wait until the transaction ends; answers the owner's own
/// limits. Taken after locks of projects, never before one.
pub async fn lock_owner(c: &mut Conn, user: UserId) -> Result<QuotaOverride> {
    let own: Own = on!(c, c => {
        sqlx::query_as(
            "INSERT INTO user_quotas (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET user_id = $1
             RETURNING bytes, files, versions, checkpoints, all_versions, all_checkpoints, projects",
        )
        .bind(user).fetch_one(c).await?
    });
    Ok(own.into())
}

/// Limits of somebody's or something's own.
#[derive(FromRow)]
struct Own {
    bytes: Option<i64>,
    files: Option<i64>,
    versions: Option<i64>,
    checkpoints: Option<i64>,
    // These are only somebody's.
    #[sqlx(default)]
    all_versions: Option<i64>,
    #[sqlx(default)]
    all_checkpoints: Option<i64>,
    #[sqlx(default)]
    projects: Option<i64>,
}

impl From<Own> for QuotaOverride {
    fn from(Own { bytes, files, versions, checkpoints, all_versions, all_checkpoints, projects }: Own) -> Self {
        Self { bytes, files, versions, checkpoints, all_versions, all_checkpoints, projects }
    }
}

/// [`Totals`] of the owner `$1`, in one row.
macro_rules! totals {
    () => {
        "SELECT COUNT(CASE WHEN deleted_at IS NULL AND NOT importing THEN 1 END) AS projects,
                CAST(COALESCE(SUM(file_count), 0) AS BIGINT) AS files,
                CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes,
                CAST(COALESCE(SUM(history_bytes), 0) AS BIGINT) AS history,
                CAST(COALESCE(SUM(past_versions), 0) AS BIGINT) AS versions, COUNT(*) AS held
         FROM projects WHERE owner_id = $1"
    };
}
pub(crate) use totals;

/// What all projects of an owner count together. Deleted ones take room until they are gone for good; they are not told as projects, nor are
/// those that are being imported.
pub async fn of_owner(c: &mut Conn, user: UserId) -> Result<Totals> {
    Ok(on!(c, c => sqlx::query_as(totals!()).bind(user).fetch_one(c).await?))
}

pub async fn get_override(c: &mut Conn, user: UserId) -> Result<QuotaOverride> {
    let found: Option<Own> = on!(c, c => {
        sqlx::query_as("SELECT bytes, files, versions, checkpoints, all_versions, all_checkpoints, projects FROM user_quotas WHERE user_id = $1")
            .bind(user).fetch_optional(c).await?
    });
    Ok(found.map(QuotaOverride::from).unwrap_or_default())
}

/// What bounds a project, as it was set.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// At least what earlier versions and deleted files hold.
    pub history: i64,
    pub owner: QuotaOverride,
    pub own: QuotaOverride,
    /// What was saved under the name that was asked for.
    pub everybody: Option<String>,
}

#[derive(FromRow)]
struct BoundsRow {
    history: i64,
    owner_bytes: Option<i64>,
    owner_files: Option<i64>,
    owner_versions: Option<i64>,
    owner_checkpoints: Option<i64>,
    owner_all_versions: Option<i64>,
    owner_all_checkpoints: Option<i64>,
    owner_projects: Option<i64>,
    #[sqlx(flatten)]
    own: Own,
    everybody: Option<String>,
}

/// In one statement, since every change of a project asks. `setting`: the name of what was saved for everybody.
pub async fn bounds(c: &mut Conn, project: ProjectId, setting: &str) -> Result<Option<Bounds>> {
    let found: Option<BoundsRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT p.history_bytes AS history, o.bytes AS owner_bytes, o.files AS owner_files, o.versions AS owner_versions,
                    o.checkpoints AS owner_checkpoints, o.all_versions AS owner_all_versions,
                    o.all_checkpoints AS owner_all_checkpoints, o.projects AS owner_projects, q.bytes, q.files, q.versions, q.checkpoints, s.value AS everybody
             FROM projects p LEFT JOIN user_quotas o ON o.user_id = p.owner_id
             LEFT JOIN project_quotas q ON q.project_id = p.id LEFT JOIN settings s ON s.name = $2
             WHERE p.id = $1",
        )
        .bind(project).bind(setting).fetch_optional(c).await?
    });
    Ok(found.map(|row| Bounds {
        history: row.history,
        owner: QuotaOverride {
            bytes: row.owner_bytes,
            files: row.owner_files,
            versions: row.owner_versions,
            checkpoints: row.owner_checkpoints,
            all_versions: row.owner_all_versions,
            all_checkpoints: row.owner_all_checkpoints,
            projects: row.owner_projects,
        },
        own: row.own.into(),
        everybody: row.everybody,
    }))
}

/// A project has no limits of all projects together.
pub async fn set_override_of_project(c: &mut Conn, project: ProjectId, own: QuotaOverride) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO project_quotas (project_id, bytes, files, versions, checkpoints) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (project_id) DO UPDATE SET bytes = $2, files = $3, versions = $4, checkpoints = $5",
        )
        .bind(project).bind(own.bytes).bind(own.files).bind(own.versions).bind(own.checkpoints).execute(c).await?;
    });
    Ok(())
}

pub async fn set_override(c: &mut Conn, user: UserId, own: QuotaOverride) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO user_quotas (user_id, bytes, files, versions, checkpoints, all_versions, all_checkpoints, projects)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (user_id) DO UPDATE SET bytes = $2, files = $3, versions = $4, checkpoints = $5, all_versions = $6,
                                                 all_checkpoints = $7, projects = $8",
        )
        .bind(user).bind(own.bytes).bind(own.files).bind(own.versions).bind(own.checkpoints).bind(own.all_versions)
        .bind(own.all_checkpoints).bind(own.projects).execute(c).await?;
    });
    Ok(())
}

/// Bytes that only earlier versions and deleted files hold, each content counted once.
pub async fn history_bytes(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM (
                SELECT DISTINCT f.checksum, f.size FROM file_versions f
                WHERE f.project_id = $1 AND f.superseded IS NOT NULL AND f.checksum IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM file_versions n
                                  WHERE n.checksum = f.checksum AND n.project_id = $1 AND n.superseded IS NULL)
             ) AS old",
        )
        .bind(project).fetch_one(c).await?
    }))
}

/// Adds to what a project's past is taken to hold.
pub async fn add_history(c: &mut Conn, project: ProjectId, bytes: i64) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET history_bytes = history_bytes + $2 WHERE id = $1").bind(project).bind(bytes).execute(c).await?;
    });
    Ok(())
}

/// Sets what a project's past is taken to hold to what was counted. The caller holds the project's lock since before it counted.
pub async fn set_history(c: &mut Conn, project: ProjectId, bytes: i64) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET history_bytes = $2 WHERE id = $1").bind(project).bind(bytes).execute(c).await?;
    });
    Ok(())
}

/// Adds the versions that the newest revision replaced to those that the project is taken to keep; answers how many. The caller holds
/// the project's lock and asks once for each revision.
pub async fn book_versions(c: &mut Conn, project: ProjectId) -> Result<i64> {
    let replaced: i64 = on!(c, c => {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM file_versions WHERE project_id = $1 AND superseded = (SELECT revision FROM projects WHERE id = $1)",
        )
        .bind(project).fetch_one(c).await?
    });
    add_versions(c, project, replaced).await?;
    Ok(replaced)
}

pub(crate) async fn add_versions(c: &mut Conn, project: ProjectId, more: i64) -> Result<()> {
    if more != 0 {
        on!(c, c => {
            sqlx::query("UPDATE projects SET past_versions = past_versions + $2 WHERE id = $1").bind(project).bind(more).execute(c).await?;
        });
    }
    Ok(())
}

/// Earlier versions that a project keeps.
pub async fn count_versions(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM file_versions WHERE project_id = $1 AND superseded IS NOT NULL")
            .bind(project).fetch_one(c).await?
    }))
}

/// As [`set_history`], of the number of versions.
pub async fn set_versions(c: &mut Conn, project: ProjectId, versions: i64) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET past_versions = $2 WHERE id = $1").bind(project).bind(versions).execute(c).await?;
    });
    Ok(())
}

/// Of each of an owner's projects, deleted ones included: at least how many earlier versions it keeps.
pub async fn versions_of_owner(c: &mut Conn, owner: UserId) -> Result<Vec<i64>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT past_versions FROM projects WHERE owner_id = $1").bind(owner).fetch_all(c).await?))
}

/// All of an owner's, deleted ones included.
pub async fn projects_of(c: &mut Conn, owner: UserId) -> Result<Vec<ProjectId>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT id FROM projects WHERE owner_id = $1").bind(owner).fetch_all(c).await?))
}

pub async fn count_checkpoints(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT COUNT(*) FROM checkpoints WHERE project_id = $1").bind(project).fetch_one(c).await?))
}

/// The checkpoints in all projects of the owner `$1`, deleted ones included.
macro_rules! all_checkpoints {
    () => {
        "SELECT COUNT(*) FROM checkpoints k JOIN projects h ON h.id = k.project_id WHERE h.owner_id = $1"
    };
}
pub(crate) use all_checkpoints;

/// [`of_owner`] with the number of checkpoints, for where all of it is told: whoever only writes does not count those.
pub async fn whole_of_owner(c: &mut Conn, user: UserId) -> Result<(Totals, i64)> {
    let found: Whole = on!(c, c => {
        sqlx::query_as(concat!("SELECT a.*, (", all_checkpoints!(), ") AS checkpoints FROM (", totals!(), ") AS a"))
            .bind(user).fetch_one(c).await?
    });
    Ok((found.totals, found.checkpoints))
}

#[derive(FromRow)]
struct Whole {
    #[sqlx(flatten)]
    totals: Totals,
    checkpoints: i64,
}

pub async fn count_checkpoints_of_owner(c: &mut Conn, owner: UserId) -> Result<i64> {
    Ok(on!(c, c => sqlx::query_scalar(all_checkpoints!()).bind(owner).fetch_one(c).await?))
}

/// Projects after `after` in the order of their ids, at most `limit`; those that are being imported are left alone.
pub async fn projects_after(c: &mut Conn, after: Option<ProjectId>, limit: i64) -> Result<Vec<ProjectId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM projects WHERE ($1 IS NULL OR id > $1) AND NOT importing ORDER BY id LIMIT $2")
            .bind(after).bind(limit).fetch_all(c).await?
    }))
}

/// One version that retention may remove.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OldVersion {
    pub path: String,
    pub version: i64,
}

/// Why a version may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// Not among the newest so many of its file.
    BeyondCount(i64),
    /// Whatever else is kept.
    Age,
}

/// A checkpoint, a change set that waits, a turn that goes on or an archive that is being made shows the tree of its revision: what was
/// valid then stays. The plus keeps SQLite from looking at all that was ever replaced where paths are named.
macro_rules! unpinned {
    ($select:literal, $more:literal) => {
        concat!(
            $select,
            " WHERE f.project_id = $1 AND +f.superseded IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM checkpoints c
                               WHERE c.project_id = $1 AND c.revision >= f.revision AND c.revision < f.superseded)
               AND NOT EXISTS (SELECT 1 FROM change_sets s
                               WHERE s.project_id = $1 AND s.state = 'open' AND s.base_revision >= f.revision AND s.base_revision < f.superseded)
               AND NOT EXISTS (SELECT 1 FROM turns t
                               WHERE t.project_id = $1 AND t.state <> 'finished' AND t.base_revision >= f.revision AND t.base_revision < f.superseded)
               AND NOT EXISTS (SELECT 1 FROM export_holds h
                               WHERE h.project_id = $1 AND h.revision >= f.revision AND h.revision < f.superseded)
               AND ",
            $more
        )
    };
}
pub(crate) use unpinned;

/// The last revision that was made up to a moment, as far as versions of it are left.
macro_rules! revision_at {
    ($c:expr, $project:expr, $moment:expr) => {{
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT revision FROM file_versions WHERE project_id = $1 AND created_at <= $2 ORDER BY revision DESC LIMIT 1",
        )
        .bind($project)
        .bind($moment)
        .fetch_optional(&mut *$c)
        .await?;
        found.unwrap_or(0)
    }};
}
pub(crate) use revision_at;

/// Versions that nothing needs and that are too many or too old, of those that were replaced up to a moment: at most `limit`, the
/// oldest first. The newest version of each path is never among them, a deletion neither, so that version numbers go on where they were.
pub async fn surplus(c: &mut Conn, project: ProjectId, why: Surplus, replaced: Micros, limit: i64) -> Result<Vec<OldVersion>> {
    Ok(on!(c, c => {
      let revision = revision_at!(c, project, replaced);
      match why {
        Surplus::BeyondCount(kept) => {
            sqlx::query_as(unpinned!(
                "SELECT f.path, f.version FROM file_versions l JOIN file_versions f
                   ON f.project_id = l.project_id AND f.path = l.path AND f.version <= l.version - $2",
                "l.project_id = $1 AND l.superseded IS NULL AND l.version > $2 AND f.superseded <= $3
                 ORDER BY f.superseded, f.path LIMIT $4"
            ))
            .bind(project).bind(kept).bind(revision).bind(limit).fetch_all(c).await?
        }
        Surplus::Age => {
            sqlx::query_as(unpinned!(
                "SELECT f.path, f.version FROM file_versions f",
                "f.superseded <= $2 ORDER BY f.superseded, f.path LIMIT $3"
            ))
            .bind(project).bind(revision).bind(limit).fetch_all(c).await?
        }
      }
    }))
}

/// Makes writers of the project wait until the transaction ends. False when it is gone.
pub async fn lock_project(c: &mut Conn, id: ProjectId) -> Result<bool> {
    Ok(on!(c, c => sqlx::query("UPDATE projects SET revision = revision WHERE id = $1").bind(id).execute(c).await?.rows_affected()) == 1)
}

/// Removes versions unless something needs them by now; answers how many went. Callers hold the project's lock.
pub async fn remove(c: &mut Conn, project: ProjectId, versions: &[OldVersion]) -> Result<u64> {
    let mut gone = 0;
    for old in versions {
        gone += on!(c, c => {
            sqlx::query(unpinned!("DELETE FROM file_versions AS f", "f.path = $2 AND f.version = $3"))
                .bind(project).bind(&old.path).bind(old.version).execute(c).await?.rows_affected()
        });
    }
    add_versions(c, project, -(gone as i64)).await?;
    Ok(gone)
}

/// Removes the oldest versions that nothing needs and that were replaced before the newest revision, at most `limit`; answers how many
/// went. Callers hold the project's lock.
pub async fn remove_oldest(c: &mut Conn, project: ProjectId, limit: i64) -> Result<u64> {
    let gone = on!(c, c => {
        sqlx::query(concat!(
            "DELETE FROM file_versions WHERE project_id = $1 AND (path, version) IN (",
            unpinned!(
                "SELECT f.path, f.version FROM file_versions f",
                "f.superseded < (SELECT p.revision FROM projects p WHERE p.id = $1) ORDER BY f.superseded, f.path, f.version LIMIT $2"
            ),
            ")"
        ))
        .bind(project).bind(limit).execute(c).await?.rows_affected()
    });
    add_versions(c, project, -(gone as i64)).await?;
    Ok(gone)
}

/// Removes the versions of a path up to one, unless something needs them; answers how many went. Callers hold the project's lock.
pub async fn remove_up_to(c: &mut Conn, project: ProjectId, path: &str, version: i64) -> Result<u64> {
    let gone = on!(c, c => {
        sqlx::query(unpinned!("DELETE FROM file_versions AS f", "f.path = $2 AND f.version <= $3"))
            .bind(project).bind(path).bind(version).execute(c).await?.rows_affected()
    });
    add_versions(c, project, -(gone as i64)).await?;
    Ok(gone)
}

/// As [`remove_up_to`], of each path that a revision wrote: all but the newest `most`. The plus keeps SQLite from looking at all that is
/// there now.
pub async fn remove_beyond(c: &mut Conn, project: ProjectId, revision: i64, most: i64) -> Result<u64> {
    let gone = on!(c, c => {
        sqlx::query(unpinned!(
            "DELETE FROM file_versions AS f",
            "(f.path, f.version) IN (
                 SELECT o.path, o.version FROM file_versions w
                 JOIN file_versions o ON o.project_id = w.project_id AND o.path = w.path AND o.version <= w.version - $3
                 WHERE w.project_id = $1 AND w.revision = $2 AND +w.superseded IS NULL AND w.version > $3)"
        ))
        .bind(project).bind(revision).bind(most).execute(c).await?.rows_affected()
    });
    add_versions(c, project, -(gone as i64)).await?;
    Ok(gone)
}

/// The versions of the path that has most of them.
pub async fn most_versions(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT CAST(COALESCE(MAX(n), 0) AS BIGINT)
             FROM (SELECT COUNT(*) AS n FROM file_versions WHERE project_id = $1 GROUP BY path) AS counted",
        )
        .bind(project).fetch_one(c).await?
    }))
}

/// Directories that a project holds for themselves now.
pub async fn count_directories(c: &mut Conn, project: ProjectId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM file_versions
             WHERE project_id = $1 AND superseded IS NULL AND action <> 'deleted' AND kind = 'directory'",
        )
        .bind(project).fetch_one(c).await?
    }))
}

/// Bytes of the files that projects show now, by where they are kept.
pub async fn bytes_by_backend(c: &mut Conn) -> Result<Vec<(String, i64)>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT storage_backend, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM projects WHERE deleted_at IS NULL
             GROUP BY storage_backend ORDER BY storage_backend",
        )
        .fetch_all(c).await?
    }))
}
