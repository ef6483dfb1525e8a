use std::collections::BTreeMap;

use sqlx::FromRow;
use wire::{
    Micros, ProjectId, UserId,
    event::Stream,
    files::Origin,
    languages::{self, Languages},
    projects::{LastChange, Project, ProjectRole, Visibility},
    users::UserRef,
};

use crate::{Conn, Doc, Result, Word, db::on, users::user_ref};

/// Whoever changed files last is no more told once something else was changed this much later.
const SAME_CHANGE_S: i64 = 5;

#[derive(Debug, Clone, FromRow)]
pub struct ProjectRow {
    pub id: ProjectId,
    pub owner_id: UserId,
    pub owner_username: String,
    pub owner_full_name: Option<String>,
    pub name: String,
    pub description: String,
    pub visibility: Word<Visibility>,
    pub storage_backend: String,
    pub revision: i64,
    pub file_count: i64,
    pub size_bytes: i64,
    pub created_at: Micros,
    pub updated_at: Micros,
    /// The caller's own membership, if there is one.
    pub member_role: Option<Word<ProjectRole>>,
    pub active_runs: i64,
    pub pending_reviews: i64,
    pub languages: Doc<Languages>,
    /// Of the last revision: when, by what means and by whom files were changed.
    pub last_at: Option<Micros>,
    pub last_origin: Option<Word<Origin>>,
    pub last_by: Option<UserId>,
    pub last_name: Option<String>,
}

impl ProjectRow {
    fn last_change(&self) -> Option<LastChange> {
        let origin = self.last_origin.as_ref()?.0;
        let is_last = self.last_at? >= self.updated_at.plus_seconds(-SAME_CHANGE_S);
        is_last.then(|| LastChange { origin, by: user_ref(self.last_by, self.last_name.clone(), None) })
    }

    pub fn into_project(self, role: ProjectRole) -> Project {
        let last_change = self.last_change();
        let owner = user_ref(Some(self.owner_id), Some(self.owner_username), self.owner_full_name);
        Project {
            id: self.id,
            name: self.name,
            description: self.description,
            visibility: self.visibility.0,
            storage_backend: self.storage_backend,
            role,
            owner: owner.unwrap_or(UserRef { id: self.owner_id, name: String::new() }),
            revision: self.revision,
            file_count: self.file_count,
            size_bytes: self.size_bytes,
            active_runs: self.active_runs,
            pending_reviews: self.pending_reviews,
            languages: self.languages.0,
            last_change,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

pub struct NewProject<'a> {
    pub id: ProjectId,
    pub owner_id: UserId,
    pub name: &'a str,
    pub description: &'a str,
    pub storage_backend: &'a str,
    pub at: Micros,
    pub importing: bool,
}

/// Also makes the owner a member, so that one join answers who may do what.
pub async fn insert(c: &mut Conn, project: &NewProject<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO projects (id, owner_id, name, description, visibility, storage_backend, revision, file_count, size_bytes,
                                   created_at, updated_at, importing)
             VALUES ($1, $2, $3, $4, 'private', $7, 0, 0, 0, $5, $5, $6)",
        )
        .bind(project.id).bind(project.owner_id).bind(project.name).bind(project.description).bind(project.at).bind(project.importing)
        .bind(project.storage_backend)
        .execute(&mut *c).await?;
        sqlx::query("INSERT INTO project_members (project_id, user_id, role, created_at) VALUES ($1, $2, 'owner', $3)")
            .bind(project.id).bind(project.owner_id).bind(project.at)
            .execute(c).await?;
    });
    Ok(())
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT p.id, p.owner_id, o.username AS owner_username, o.full_name AS owner_full_name, p.name, p.description, p.visibility,
                    p.storage_backend, p.revision, p.file_count, p.size_bytes, p.created_at, p.updated_at, p.languages,
                    m.role AS member_role,
                    (SELECT f.created_at FROM file_versions f WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_at,
                    (SELECT f.origin FROM file_versions f WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_origin,
                    (SELECT f.created_by FROM file_versions f WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_by,
                    (SELECT COALESCE(f.author, NULLIF(u.full_name, ''), u.username) FROM file_versions f
                     LEFT JOIN users u ON u.id = f.created_by
                     WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_name,
                    (SELECT COUNT(*) FROM runs r WHERE r.project_id = p.id AND r.state IN ('queued', 'running')) AS active_runs,
                    (SELECT COUNT(*) FROM change_sets s WHERE s.project_id = p.id AND s.state = 'open') AS pending_reviews
             FROM projects p JOIN users o ON o.id = p.owner_id
             LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1
             WHERE p.deleted_at IS NULL AND NOT p.importing AND ",
            $filter
        )
    };
}

/// One project as `user` sees it; says nothing about whether the user may.
pub async fn get(c: &mut Conn, user: UserId, id: ProjectId) -> Result<Option<ProjectRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("p.id = $2")).bind(user).bind(id).fetch_optional(c).await?))
}

#[derive(Debug, FromRow)]
struct OpenedRow {
    #[sqlx(flatten)]
    project: ProjectRow,
    seq: i64,
}

/// As [`get`], with [`standing`] of the same moment.
pub async fn open(c: &mut Conn, user: UserId, id: ProjectId) -> Result<Option<(ProjectRow, Standing)>> {
    let row: Option<OpenedRow> = on!(c, c => {
        sqlx::query_as(concat!(
            "SELECT x.*, COALESCE((SELECT e.last_seq FROM event_streams e WHERE e.stream = $3), 0) AS seq FROM (",
            select!("p.id = $2"),
            ") AS x"
        ))
        .bind(user).bind(id).bind(Stream::Project(id).to_string()).fetch_optional(c).await?
    });
    Ok(row.map(|OpenedRow { project, seq }| {
        let revision = project.revision;
        (project, Standing { seq, revision })
    }))
}

/// Where a page of projects ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub updated_at: Micros,
    pub id: ProjectId,
}

/// As [`list_for`], or those of others as in [`list_open`], in pages: those after `after`, at most `limit`.
pub async fn page(c: &mut Conn, user: UserId, of_others: bool, after: Option<After>, limit: i64) -> Result<Vec<ProjectRow>> {
    let (at, id) = after.map_or((Micros(i64::MAX), ProjectId(uuid::Uuid::max())), |after| (after.updated_at, after.id));
    Ok(on!(c, c => {
        let query = if of_others {
            sqlx::query_as(select!(
                "m.user_id IS NULL AND p.visibility = 'public' AND (p.updated_at < $2 OR (p.updated_at = $2 AND p.id < $3))
                 ORDER BY p.updated_at DESC, p.id DESC LIMIT $4"
            ))
        } else {
            sqlx::query_as(select!(
                "m.user_id = $1 AND (p.visibility <> 'private' OR m.role = 'owner')
                 AND (p.updated_at < $2 OR (p.updated_at = $2 AND p.id < $3)) ORDER BY p.updated_at DESC, p.id DESC LIMIT $4"
            ))
        };
        query.bind(user).bind(at).bind(id).bind(limit).fetch_all(c).await?
    }))
}

/// Projects that `$1` is a member of and may enter.
macro_rules! own {
    () => {
        select!("m.user_id = $1 AND (p.visibility <> 'private' OR m.role = 'owner') ORDER BY p.updated_at DESC, p.id DESC LIMIT 1000")
    };
}

/// Projects that the user is a member of and may enter, last changed first.
pub async fn list_for(c: &mut Conn, user: UserId) -> Result<Vec<ProjectRow>> {
    Ok(on!(c, c => sqlx::query_as(own!()).bind(user).fetch_all(c).await?))
}

/// As [`list_for`], and with them the public projects that the user is no member of, which have no `member_role`. All of them last
/// changed first.
pub async fn list_open(c: &mut Conn, user: UserId) -> Result<Vec<ProjectRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(concat!(
            "SELECT * FROM (",
            own!(),
            ") AS own UNION ALL SELECT * FROM (",
            select!("m.user_id IS NULL AND p.visibility = 'public' ORDER BY p.updated_at DESC, p.id DESC LIMIT 500"),
            ") AS others ORDER BY updated_at DESC, id DESC"
        ))
        .bind(user).fetch_all(c).await?
    }))
}

pub async fn visibility(c: &mut Conn, id: ProjectId) -> Result<Option<Visibility>> {
    let found: Option<Word<Visibility>> =
        on!(c, c => sqlx::query_scalar("SELECT visibility FROM projects WHERE id = $1").bind(id).fetch_optional(c).await?);
    Ok(found.map(|word| word.0))
}

#[derive(Debug, Clone, FromRow)]
pub struct AccessRow {
    pub visibility: Word<Visibility>,
    pub member_role: Option<Word<ProjectRole>>,
    pub importing: bool,
}

/// What decides whether `user` may enter.
pub async fn access(c: &mut Conn, user: UserId, id: ProjectId) -> Result<Option<AccessRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT p.visibility, m.role AS member_role, p.importing FROM projects p
             LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1
             WHERE p.id = $2 AND p.deleted_at IS NULL",
        )
        .bind(user).bind(id).fetch_optional(c).await?
    }))
}

pub async fn update(c: &mut Conn, id: ProjectId, name: &str, description: &str, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET name = $2, description = $3, updated_at = $4 WHERE id = $1")
            .bind(id).bind(name).bind(description).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn mark_deleted(c: &mut Conn, id: ProjectId, at: Micros) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE projects SET deleted_at = $2 WHERE id = $1").bind(id).bind(at).execute(c).await?; });
    Ok(())
}

/// Removes every trace of a project whose import did not finish.
pub async fn remove_unfinished(c: &mut Conn, id: ProjectId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM projects WHERE id = $1 AND importing").bind(id).execute(c).await?; });
    Ok(())
}

pub async fn finish_import(c: &mut Conn, id: ProjectId, at: Micros) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE projects SET importing = $2, updated_at = $3 WHERE id = $1").bind(id).bind(false).bind(at).execute(c).await?; });
    Ok(())
}

#[derive(Debug, Clone, FromRow)]
pub struct Totals {
    pub revision: i64,
    pub file_count: i64,
    pub size_bytes: i64,
    pub languages: Doc<Languages>,
    /// Versions of a path that nothing is known of begin above it.
    pub version_floor: i64,
    /// The newest revision of a deletion that was forgotten.
    pub forgotten_revision: i64,
}

/// Takes the project's next revision and, with it, the row lock that orders all writers. `None` when it is gone.
pub async fn next_revision(c: &mut Conn, id: ProjectId, at: Micros) -> Result<Option<Totals>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "UPDATE projects SET revision = revision + 1, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL
             RETURNING revision, file_count, size_bytes, languages, version_floor, forgotten_revision",
        )
        .bind(id).bind(at).fetch_optional(c).await?
    }))
}

pub async fn add_totals(c: &mut Conn, id: ProjectId, files: i64, bytes: i64) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET file_count = file_count + $2, size_bytes = size_bytes + $3 WHERE id = $1")
            .bind(id).bind(files).bind(bytes).execute(c).await?;
    });
    Ok(())
}

/// Bytes by language; the caller holds the project's lock.
pub async fn set_languages(c: &mut Conn, id: ProjectId, languages: &Languages) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET languages = $2 WHERE id = $1").bind(id).bind(Doc(languages)).execute(c).await?;
    });
    Ok(())
}

/// Counts them from the files as they are now, for where these came all at once.
pub async fn count_languages(c: &mut Conn, id: ProjectId) -> Result<()> {
    let files: Vec<(String, i64)> = on!(&mut *c, c => {
        sqlx::query_as(
            "SELECT path, size FROM file_versions WHERE project_id = $1 AND superseded IS NULL AND action <> 'deleted' AND kind = 'file'",
        )
        .bind(id).fetch_all(c).await?
    });
    let mut sums: BTreeMap<&'static str, i64> = BTreeMap::new();
    for (language, size) in files.iter().filter_map(|(path, size)| Some((languages::language_of(path)?, *size))) {
        *sums.entry(language).or_default() += size;
    }
    let mut counted = Languages::new();
    languages::add(&mut counted, &sums);
    set_languages(c, id, &counted).await
}

/// How far a project and the log of it are, of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Standing {
    /// Of the last event of its stream; 0 while there is none.
    pub seq: i64,
    pub revision: i64,
}

pub async fn standing(c: &mut Conn, id: ProjectId) -> Result<Option<Standing>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT COALESCE((SELECT last_seq FROM event_streams WHERE stream = $2), 0) AS seq, revision FROM projects WHERE id = $1",
        )
        .bind(id).bind(Stream::Project(id).to_string()).fetch_optional(c).await?
    }))
}

pub async fn revision(c: &mut Conn, id: ProjectId) -> Result<Option<i64>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT revision FROM projects WHERE id = $1").bind(id).fetch_optional(c).await?))
}
