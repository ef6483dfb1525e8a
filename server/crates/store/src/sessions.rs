use sqlx::FromRow;
use wire::{Micros, SessionId, UserId};

use crate::{Conn, Result, db::on, users::UserRow};

#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    pub id: SessionId,
    pub user_id: UserId,
    pub cookie_hash: Option<String>,
    pub last_seen_at: Micros,
    pub expires_at: Micros,
    pub revoked_at: Option<Micros>,
}

/// A session with its user, read together because every request needs both.
#[derive(Debug, Clone, FromRow)]
pub struct LiveSession {
    pub session_id: SessionId,
    pub session_seen_at: Micros,
    #[sqlx(flatten)]
    pub user: UserRow,
}

pub struct NewSession<'a> {
    pub id: SessionId,
    pub user_id: UserId,
    pub cookie_hash: Option<&'a str>,
    pub address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub at: Micros,
    pub expires_at: Micros,
}

pub async fn insert(c: &mut Conn, session: &NewSession<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO sessions (id, user_id, cookie_hash, address, user_agent, created_at, last_seen_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
        )
        .bind(session.id).bind(session.user_id).bind(session.cookie_hash).bind(session.address).bind(session.user_agent)
        .bind(session.at).bind(session.expires_at)
        .execute(c).await?;
    });
    Ok(())
}

/// The session of a cookie, if it may still be used and its user too.
pub async fn live_by_cookie(c: &mut Conn, cookie_hash: &str, now: Micros) -> Result<Option<LiveSession>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT s.id AS session_id, s.last_seen_at AS session_seen_at, u.*
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.cookie_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.state = 'active'",
        )
        .bind(cookie_hash).bind(now).fetch_optional(c).await?
    }))
}

/// As [`live_by_cookie`], by the id that an access token carries.
pub async fn live_by_id(c: &mut Conn, id: SessionId, now: Micros) -> Result<Option<LiveSession>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT s.id AS session_id, s.last_seen_at AS session_seen_at, u.*
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.state = 'active'",
        )
        .bind(id).bind(now).fetch_optional(c).await?
    }))
}

pub async fn touch(c: &mut Conn, id: SessionId, at: Micros, expires_at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1")
            .bind(id).bind(at).bind(expires_at).execute(c).await?;
    });
    Ok(())
}

pub async fn revoke(c: &mut Conn, id: SessionId, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL").bind(id).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn revoke_all(c: &mut Conn, user: UserId, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL").bind(user).bind(at).execute(c).await?;
    });
    Ok(())
}

#[derive(Debug, Clone, FromRow)]
pub struct RefreshRow {
    pub hash: String,
    pub session_id: SessionId,
    pub spent_at: Option<Micros>,
}

/// Idempotent: the successor of a token is always the same, so a second tab inserts what the first one did.
pub async fn insert_refresh(c: &mut Conn, hash: &str, session: SessionId, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING")
            .bind(hash).bind(session).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn refresh(c: &mut Conn, hash: &str) -> Result<Option<RefreshRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM refresh_tokens WHERE hash = $1").bind(hash).fetch_optional(c).await?))
}

/// `true` for the one caller that spends it.
pub async fn spend_refresh(c: &mut Conn, hash: &str, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE refresh_tokens SET spent_at = $2 WHERE hash = $1 AND spent_at IS NULL").bind(hash).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}
