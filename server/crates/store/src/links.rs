use sqlx::FromRow;
use wire::{
    LinkId, Micros, UserId,
    links::{AccountLink, LinkKind},
    users::UserRole,
};

use crate::{Conn, Result, Word, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct LinkRow {
    pub id: LinkId,
    pub kind: Word<LinkKind>,
    pub user_id: Option<UserId>,
    pub email: Option<String>,
    pub email_key: Option<String>,
    pub role: Option<Word<UserRole>>,
    pub created_by: Option<UserId>,
    pub created_at: Micros,
    pub expires_at: Micros,
}

/// `hash` is that of the secret. Links that have ended go with it.
pub async fn insert(c: &mut Conn, row: &LinkRow, hash: &str) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM account_links WHERE expires_at <= $1").bind(row.created_at).execute(&mut *c).await?;
        sqlx::query(
            "INSERT INTO account_links (id, kind, hash, user_id, email, email_key, role, created_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(row.id).bind(row.kind).bind(hash).bind(row.user_id).bind(&row.email).bind(&row.email_key).bind(row.role).bind(row.created_by)
        .bind(row.created_at).bind(row.expires_at)
        .execute(c).await?;
    });
    Ok(())
}

const LIVE: &str = "SELECT id, kind, user_id, email, email_key, role, created_by, created_at, expires_at FROM account_links
     WHERE kind = $1 AND hash = $2 AND used_at IS NULL AND expires_at > $3";

/// The link of a secret, if it still works.
pub async fn live(c: &mut Conn, kind: LinkKind, hash: &str, now: Micros) -> Result<Option<LinkRow>> {
    Ok(on!(c, c => sqlx::query_as(LIVE).bind(Word(kind)).bind(hash).bind(now).fetch_optional(c).await?))
}

/// Uses a link up: it is the answer for the one caller that does.
pub async fn take(c: &mut Conn, kind: LinkKind, hash: &str, now: Micros) -> Result<Option<LinkRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "UPDATE account_links SET used_at = $3 WHERE kind = $1 AND hash = $2 AND used_at IS NULL AND expires_at > $3
             RETURNING id, kind, user_id, email, email_key, role, created_by, created_at, expires_at",
        )
        .bind(Word(kind)).bind(hash).bind(now).fetch_optional(c).await?
    }))
}

#[derive(FromRow)]
struct ShownRow {
    #[sqlx(flatten)]
    link: LinkRow,
    username: Option<String>,
    full_name: Option<String>,
    by_username: Option<String>,
    by_full_name: Option<String>,
}

/// What still works, the newest first.
pub async fn list(c: &mut Conn, now: Micros, limit: i64) -> Result<Vec<AccountLink>> {
    let rows: Vec<ShownRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT l.id, l.kind, l.user_id, l.email, l.email_key, l.role, l.created_by, l.created_at, l.expires_at,
                    u.username, u.full_name, b.username AS by_username, b.full_name AS by_full_name
             FROM account_links l LEFT JOIN users u ON u.id = l.user_id LEFT JOIN users b ON b.id = l.created_by
             WHERE l.used_at IS NULL AND l.expires_at > $1 ORDER BY l.created_at DESC, l.id DESC LIMIT $2",
        )
        .bind(now).bind(limit).fetch_all(c).await?
    });
    let shown = |row: ShownRow| AccountLink {
        id: row.link.id,
        kind: row.link.kind.0,
        email: row.link.email,
        role: row.link.role.map(|role| role.0),
        user: user_ref(row.link.user_id, row.username, row.full_name),
        created_by: user_ref(row.link.created_by, row.by_username, row.by_full_name),
        created_at: row.link.created_at,
        expires_at: row.link.expires_at,
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// What the link was, when this call took it away before it was used.
pub async fn remove(c: &mut Conn, id: LinkId) -> Result<Option<LinkRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "DELETE FROM account_links WHERE id = $1 AND used_at IS NULL
             RETURNING id, kind, user_id, email, email_key, role, created_by, created_at, expires_at",
        )
        .bind(id).fetch_optional(c).await?
    }))
}

/// Links to set somebody's password that still work.
pub async fn count_resets(c: &mut Conn, user: UserId, now: Micros) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM account_links WHERE user_id = $1 AND kind = 'reset' AND used_at IS NULL AND expires_at > $2")
            .bind(user).bind(now).fetch_one(c).await?
    }))
}

/// Earlier links to set somebody's password, which must not work any more.
pub async fn remove_resets(c: &mut Conn, user: UserId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM account_links WHERE user_id = $1 AND kind = 'reset'").bind(user).execute(c).await?; });
    Ok(())
}

/// Links that somebody made who administers no longer: what they hand over must not outlive what they may.
pub async fn remove_made_by(c: &mut Conn, user: UserId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM account_links WHERE created_by = $1 AND used_at IS NULL").bind(user).execute(c).await?; });
    Ok(())
}
