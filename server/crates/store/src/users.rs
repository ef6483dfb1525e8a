use sqlx::FromRow;
use wire::{
    Micros, UserId,
    users::{User, UserRef, UserRole, UserState},
};

use crate::{Conn, Result, Word, db::on};

#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    pub id: UserId,
    pub email: String,
    pub username: String,
    pub full_name: Option<String>,
    pub password_hash: String,
    pub role: Word<UserRole>,
    pub state: Word<UserState>,
    pub created_at: Micros,
    pub last_seen_at: Option<Micros>,
}

impl UserRow {
    pub fn into_user(self) -> User {
        User {
            id: self.id,
            email: self.email,
            username: self.username,
            full_name: self.full_name,
            role: self.role.0,
            state: self.state.0,
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
        }
    }
}

pub struct NewUser<'a> {
    pub id: UserId,
    pub email: &'a str,
    /// The address in the form that must be unique.
    pub email_key: &'a str,
    pub username: &'a str,
    pub username_key: &'a str,
    pub full_name: Option<&'a str>,
    pub password_hash: &'a str,
    pub role: UserRole,
    pub at: Micros,
}

/// `Taken` when the name or the address belongs to someone.
pub async fn insert(c: &mut Conn, user: &NewUser<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO users (id, email, email_key, username, username_key, full_name, password_hash, role, state, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9)",
        )
        .bind(user.id).bind(user.email).bind(user.email_key).bind(user.username).bind(user.username_key)
        .bind(user.full_name).bind(user.password_hash).bind(Word(user.role)).bind(user.at)
        .execute(c).await?;
    });
    Ok(())
}

/// Makes the caller the only one who can be "first" or "last" until the transaction ends.
pub async fn lock_installation(c: &mut Conn) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE installation SET one = 1 WHERE one = 1").execute(c).await?; });
    Ok(())
}

/// Notes that the sample was laid out; `false` when it already had been.
pub async fn mark_seeded(c: &mut Conn, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE installation SET seeded_at = $1 WHERE one = 1 AND seeded_at IS NULL").bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

pub async fn any_exist(c: &mut Conn) -> Result<bool> {
    let found: Option<i64> = on!(c, c => sqlx::query_scalar("SELECT CAST(1 AS BIGINT) FROM users LIMIT 1").fetch_optional(c).await?);
    Ok(found.is_some())
}

pub async fn by_id(c: &mut Conn, id: UserId) -> Result<Option<UserRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM users WHERE id = $1").bind(id).fetch_optional(c).await?))
}

/// By user name or e-mail address, both in their unique form.
pub async fn by_key(c: &mut Conn, key: &str) -> Result<Option<UserRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM users WHERE username_key = $1 OR email_key = $1").bind(key).fetch_optional(c).await?
    }))
}

pub async fn list(c: &mut Conn) -> Result<Vec<UserRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM users ORDER BY created_at DESC, id DESC").fetch_all(c).await?))
}

pub async fn update_full_name(c: &mut Conn, id: UserId, full_name: Option<&str>) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE users SET full_name = $2 WHERE id = $1").bind(id).bind(full_name).execute(c).await?; });
    Ok(())
}

pub async fn update_password_hash(c: &mut Conn, id: UserId, hash: &str) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1").bind(id).bind(hash).execute(c).await?; });
    Ok(())
}

pub async fn update_access(c: &mut Conn, id: UserId, role: UserRole, state: UserState) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE users SET role = $2, state = $3 WHERE id = $1").bind(id).bind(Word(role)).bind(Word(state)).execute(c).await?;
    });
    Ok(())
}

pub async fn count_active_admins(c: &mut Conn) -> Result<i64> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE role = 'admin' AND state = 'active'").fetch_one(c).await?))
}

pub async fn touch(c: &mut Conn, id: UserId, at: Micros) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE users SET last_seen_at = $2 WHERE id = $1").bind(id).bind(at).execute(c).await?; });
    Ok(())
}

/// Builds the reference that others see from joined columns.
pub(crate) fn user_ref(id: Option<UserId>, username: Option<String>, full_name: Option<String>) -> Option<UserRef> {
    let id = id?;
    let name = full_name.filter(|n| !n.is_empty()).or(username).unwrap_or_else(|| "someone".to_owned());
    Some(UserRef { id, name })
}
