use sqlx::FromRow;
use wire::{
    ConversationId, Micros, UserId,
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

/// Whether anybody has an account, and the saved settings of accounts as in [`crate::settings::get`].
pub async fn entrance(c: &mut Conn) -> Result<(bool, Option<String>)> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT EXISTS (SELECT 1 FROM users), (SELECT value FROM settings WHERE name = 'accounts')").fetch_one(c).await?
    }))
}

/// Accounts that were deleted are found by nothing.
pub async fn by_id(c: &mut Conn, id: UserId) -> Result<Option<UserRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM users WHERE id = $1 AND deleted_at IS NULL").bind(id).fetch_optional(c).await?))
}

/// By user name or e-mail address, both in their unique form.
pub async fn by_key(c: &mut Conn, key: &str) -> Result<Option<UserRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM users WHERE username_key = $1 OR email_key = $1").bind(key).fetch_optional(c).await?
    }))
}

pub async fn list(c: &mut Conn) -> Result<Vec<UserRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM users WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC").fetch_all(c).await?))
}

pub async fn update_full_name(c: &mut Conn, id: UserId, full_name: Option<&str>) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE users SET full_name = $2 WHERE id = $1 AND deleted_at IS NULL").bind(id).bind(full_name).execute(c).await?; });
    Ok(())
}

/// `Taken` when the name or the address belongs to someone else.
pub async fn update_names(c: &mut Conn, id: UserId, names: &Names<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5 WHERE id = $1 AND deleted_at IS NULL")
            .bind(id).bind(names.username).bind(names.username_key).bind(names.email).bind(names.email_key).execute(c).await?;
    });
    Ok(())
}

/// What a person is found by, each with the form that must be unique.
pub struct Names<'a> {
    pub username: &'a str,
    pub username_key: &'a str,
    pub email: &'a str,
    pub email_key: &'a str,
}

/// Where rows are that are about one person alone: what is left of a deleted account is in none of them.
const OWN_ROWS: &[(&str, &str)] = &[
    ("sessions", "user_id"),
    ("api_tokens", "user_id"),
    ("account_links", "user_id"),
    ("user_model_keys", "user_id"),
    ("user_quotas", "user_id"),
    ("project_members", "user_id"),
    ("presence", "user_id"),
    ("uploads", "user_id"),
    ("exports", "user_id"),
    ("totp", "user_id"),
    ("recovery_codes", "user_id"),
    ("second_factor_tries", "user_id"),
    ("passkeys", "user_id"),
    ("challenges", "user_id"),
    ("identities", "user_id"),
    ("idempotency_keys", "user_id"),
    ("user_preferences", "user_id"),
];

/// Tables that name people and stay: what happened in a project belongs to the project.
const STAYING_ROWS: &[&str] = &[
    "projects",
    "runs",
    "conversations",
    "turns",
    "queued_prompts",
    "rewinds",
    "permission_rules",
    "invitations",
    "model_providers",
    "models",
    "model_versions",
    "mcp_servers",
    "chat_images",
    "compactions_undone",
    "admin_access",
    // Ends with its project when its time is over.
    "staged_imports",
];

/// Takes everything about the person from an account and keeps its row, so that what others see still has somebody to name.
pub async fn bury(c: &mut Conn, id: UserId, at: Micros) -> Result<()> {
    let gone = format!("deleted-{}", id.0.simple());
    on!(c, c => {
        for (table, column) in OWN_ROWS {
            sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE {column} = $1"))).bind(id).execute(&mut *c).await?;
        }
        sqlx::query(
            "UPDATE users SET email = $2, email_key = $2, username = $2, username_key = $2, full_name = 'Deleted account',
                              password_hash = '', role = 'user', state = 'disabled', last_seen_at = NULL, deleted_at = $3
             WHERE id = $1",
        )
        .bind(id).bind(gone).bind(at).execute(c).await?;
    });
    Ok(())
}

/// Tables that have a column for a person and are in neither list: what a deletion would forget. On SQLite, for a test.
pub async fn forgotten_by_burial(c: &mut Conn) -> Result<Vec<String>> {
    let Conn::Sqlite(handle) = c else { return Ok(Vec::new()) };
    let named: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT m.name FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f.\"table\" = 'users' ORDER BY 1",
    )
    .fetch_all(handle.get())
    .await?;
    let is_known = |table: &String| OWN_ROWS.iter().any(|(own, _)| own == table) || STAYING_ROWS.contains(&table.as_str());
    Ok(named.into_iter().filter(|table| !is_known(table)).collect())
}

pub async fn update_password_hash(c: &mut Conn, id: UserId, hash: &str) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1").bind(id).bind(hash).execute(c).await?; });
    Ok(())
}

/// Puts a harder hash in the place of the one that it was made from, unless the password was changed meanwhile.
pub async fn replace_password_hash(c: &mut Conn, id: UserId, before: &str, hash: &str) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2").bind(id).bind(before).bind(hash).execute(c).await?;
    });
    Ok(())
}

/// The conversations that somebody began, the oldest first.
pub async fn conversations_of(c: &mut Conn, id: UserId) -> Result<Vec<ConversationId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM conversations WHERE user_id = $1 AND deleted_at IS NULL ORDER BY created_at, id").bind(id).fetch_all(c).await?
    }))
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

/// Notes that an active account is entered now, and keeps others from changing it until the transaction ends. Answers the hash of its
/// password; none where it may not be entered any more.
pub async fn enter(c: &mut Conn, id: UserId, at: Micros) -> Result<Option<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("UPDATE users SET last_seen_at = $2 WHERE id = $1 AND state = 'active' AND deleted_at IS NULL RETURNING password_hash")
            .bind(id).bind(at).fetch_optional(c).await?
    }))
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
