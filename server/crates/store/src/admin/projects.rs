use sqlx::FromRow;
use uuid::Uuid;
use wire::{Micros, ProjectId, UserId, admin::AdminProject, projects::Visibility, users::UserRef};

use super::{Part, Position};
use crate::{Conn, Result, Word, db::on, users::user_ref};

/// Which projects: all that is there must fit. Those that an import fills are nobody's yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// As [`super::pattern`] makes it.
    pub pattern: Option<&'a str>,
    pub id: Option<ProjectId>,
    pub visibility: Option<Visibility>,
    pub deleted: Option<bool>,
    pub owner: Option<UserId>,
}

#[derive(Debug, Clone, FromRow)]
pub struct ListedProject {
    pub id: ProjectId,
    pub name: String,
    pub owner_id: UserId,
    pub owner_username: String,
    pub owner_full_name: Option<String>,
    pub visibility: Word<Visibility>,
    pub storage_backend: String,
    pub members: i64,
    pub file_count: i64,
    pub size_bytes: i64,
    pub created_at: Micros,
    pub updated_at: Micros,
    pub deleted_at: Option<Micros>,
    pub open_until: Option<Micros>,
    #[sqlx(flatten)]
    pub position: Position,
}

impl ListedProject {
    pub fn into_project(self) -> AdminProject {
        let owner = user_ref(Some(self.owner_id), Some(self.owner_username), self.owner_full_name);
        AdminProject {
            id: self.id,
            name: self.name,
            owner: owner.unwrap_or(UserRef { id: self.owner_id, name: String::new() }),
            visibility: self.visibility.0,
            storage_backend: self.storage_backend,
            members: self.members,
            file_count: self.file_count,
            size_bytes: self.size_bytes,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            restorable_until: None,
            open_until: self.open_until,
        }
    }
}

/// `$1` to `$5`.
macro_rules! filter {
    () => {
        "NOT p.importing
         AND ($1 IS NULL OR p.id = $2 OR lower(p.name) LIKE $1 ESCAPE '\\' OR o.username_key LIKE $1 ESCAPE '\\'
              OR lower(COALESCE(o.full_name, '')) LIKE $1 ESCAPE '\\')
         AND ($3 IS NULL OR p.visibility = $3) AND ($4 IS NULL OR (p.deleted_at IS NOT NULL) = $4) AND ($5 IS NULL OR p.owner_id = $5)"
    };
}

macro_rules! page {
    ($follows:literal, $way:literal) => {
        concat!(
            "SELECT p.id, p.name, p.owner_id, o.username AS owner_username, o.full_name AS owner_full_name, p.visibility, p.storage_backend,
                    (SELECT COUNT(*) FROM project_members m WHERE m.project_id = p.id) AS members,
                    p.file_count, p.size_bytes, p.created_at, p.updated_at, p.deleted_at,
                    (SELECT MAX(a.ends_at) FROM admin_access a
                     WHERE a.project_id = p.id AND a.user_id = $12 AND a.closed_at IS NULL AND a.ends_at > $13) AS open_until,
                    k.sort_number, k.sort_text, k.sort_id
             FROM (
               SELECT s.sort_number, s.sort_text, s.sort_id FROM (
                 SELECT p.id AS sort_id,
                        CASE $6 WHEN 'files' THEN p.file_count WHEN 'size' THEN p.size_bytes WHEN 'activity' THEN p.updated_at
                                WHEN 'created' THEN p.created_at ELSE 0 END AS sort_number,
                        CASE $6 WHEN 'name' THEN lower(p.name)
                                WHEN 'owner' THEN lower(COALESCE(NULLIF(o.full_name, ''), o.username)) ELSE '' END AS sort_text
                 FROM projects p JOIN users o ON o.id = p.owner_id WHERE ", filter!(), "
               ) s WHERE ($7 = 0 OR (s.sort_number, s.sort_text, s.sort_id) ", $follows, " ($8, $9, $10))
               ORDER BY s.sort_number ", $way, ", s.sort_text ", $way, ", s.sort_id ", $way, " LIMIT $11
             ) k JOIN projects p ON p.id = k.sort_id JOIN users o ON o.id = p.owner_id
             ORDER BY k.sort_number ", $way, ", k.sort_text ", $way, ", k.sort_id ", $way
        )
    };
}

/// Sorted by `name`, `owner`, `files`, `size`, `activity` or `created`; says until when `viewer` has each open.
pub async fn list(c: &mut Conn, filter: Filter<'_>, part: Part<'_>, viewer: UserId, now: Micros) -> Result<Vec<ListedProject>> {
    let Filter { pattern, id, visibility, deleted, owner } = filter;
    let (number, text, after) = part.after.map_or((0, "", Uuid::nil()), |at| (at.number, at.text.as_str(), at.id));
    let text_of = if part.ascending { page!(">", "ASC") } else { page!("<", "DESC") };
    Ok(on!(c, c => {
        sqlx::query_as(text_of)
            .bind(pattern).bind(id).bind(visibility.map(Word)).bind(deleted).bind(owner).bind(part.sort)
            .bind(i64::from(part.after.is_some())).bind(number).bind(text).bind(after).bind(part.limit).bind(viewer).bind(now)
            .fetch_all(c).await?
    }))
}

/// How many fit.
pub async fn count(c: &mut Conn, filter: Filter<'_>) -> Result<i64> {
    let Filter { pattern, id, visibility, deleted, owner } = filter;
    Ok(on!(c, c => {
        sqlx::query_scalar(concat!("SELECT COUNT(*) FROM projects p JOIN users o ON o.id = p.owner_id WHERE ", filter!()))
            .bind(pattern).bind(id).bind(visibility.map(Word)).bind(deleted).bind(owner).fetch_one(c).await?
    }))
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Held {
    pub name: String,
    pub owner_id: UserId,
    pub deleted_at: Option<Micros>,
}

/// What has to be known of a project before it is deleted, restored, given away or opened.
pub async fn get(c: &mut Conn, id: ProjectId) -> Result<Option<Held>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT name, owner_id, deleted_at FROM projects WHERE id = $1 AND NOT importing").bind(id).fetch_optional(c).await?
    }))
}

/// Takes a deletion back; `false` when the project is going for good.
pub async fn restore(c: &mut Conn, id: ProjectId, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE projects SET deleted_at = NULL, updated_at = $2 WHERE id = $1 AND NOT importing")
            .bind(id).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}
