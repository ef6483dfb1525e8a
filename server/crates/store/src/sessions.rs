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
    /// The user has an authenticator app or a passkey.
    pub has_factor: bool,
    /// The saved settings of accounts, as in [`crate::settings::get`].
    pub accounts: Option<String>,
    /// What the user chose, as in [`crate::preferences::get`]. Only with [`live_by_cookie`], since only browsers show pages.
    #[sqlx(default)]
    pub preferences_revision: Option<i64>,
    #[sqlx(default)]
    pub preferences: Option<String>,
    #[sqlx(flatten)]
    pub user: UserRow,
}

/// What every request asks first, in one query.
macro_rules! live {
    ($known_by:literal) => {
        live!($known_by, "", "")
    };
    ($known_by:literal, $more:literal, $join:literal) => {
        concat!(
            "SELECT s.id AS session_id, s.last_seen_at AS session_seen_at, u.*,
                    (EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
                     OR EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = u.id)) AS has_factor,
                    (SELECT value FROM settings WHERE name = 'accounts') AS accounts",
            $more,
            " FROM sessions s JOIN users u ON u.id = s.user_id ",
            $join,
            " WHERE ",
            $known_by,
            " = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.state = 'active'"
        )
    };
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
        sqlx::query_as(live!(
            "s.cookie_hash",
            ", f.revision AS preferences_revision, f.document AS preferences",
            "LEFT JOIN user_preferences f ON f.user_id = u.id"
        ))
        .bind(cookie_hash).bind(now).fetch_optional(c).await?
    }))
}

/// As [`live_by_cookie`], by the id that an access token carries.
pub async fn live_by_id(c: &mut Conn, id: SessionId, now: Micros) -> Result<Option<LiveSession>> {
    Ok(on!(c, c => {
        sqlx::query_as(live!("s.id")).bind(id).bind(now).fetch_optional(c).await?
    }))
}

/// One that may still be used, for its owner to see.
#[derive(Debug, Clone, FromRow)]
pub struct ListedSession {
    pub id: SessionId,
    pub cookie_hash: Option<String>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Micros,
    pub last_seen_at: Micros,
    pub expires_at: Micros,
}

/// What a person may still use, seen last first.
pub async fn list(c: &mut Conn, user: UserId, now: Micros) -> Result<Vec<ListedSession>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT id, cookie_hash, address, user_agent, created_at, last_seen_at, expires_at FROM sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY last_seen_at DESC, id DESC LIMIT 500",
        )
        .bind(user).bind(now).fetch_all(c).await?
    }))
}

/// The address from which the session began, when this call ended it; none where the person has no such session.
pub async fn revoke_of(c: &mut Conn, user: UserId, id: SessionId, at: Micros) -> Result<Option<Option<String>>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("UPDATE sessions SET revoked_at = $3 WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL AND expires_at > $3 RETURNING address")
            .bind(user).bind(id).bind(at).fetch_optional(c).await?
    }))
}

/// Ends all sessions of a person but one, with every sign-in that has only begun. Answers how many.
pub async fn revoke_others(c: &mut Conn, user: UserId, kept: Option<SessionId>, at: Micros) -> Result<u64> {
    drop_begun(c, user, kept).await?;
    Ok(on!(c, c => {
        sqlx::query("UPDATE sessions SET revoked_at = $3 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3")
            .bind(user).bind(kept.map_or(uuid::Uuid::nil(), |id| id.0)).bind(at).execute(c).await?.rows_affected()
    }))
}

/// Sessions that nobody can use any more, with their tokens.
pub async fn forget(c: &mut Conn, user: UserId, before: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND (expires_at < $2 OR revoked_at < $2)").bind(user).bind(before).execute(c).await?;
    });
    Ok(())
}

/// When a session began.
pub async fn began_at(c: &mut Conn, id: SessionId) -> Result<Option<Micros>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT created_at FROM sessions WHERE id = $1").bind(id).fetch_optional(c).await?))
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

/// Lets all of a person end by themselves at `at`.
pub async fn end_all(c: &mut Conn, user: UserId, at: Micros) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE sessions SET expires_at = $2 WHERE user_id = $1").bind(user).bind(at).execute(c).await?; });
    Ok(())
}

/// What a person has begun and could still end: second steps, keys to add, identities to link.
async fn drop_begun(c: &mut Conn, user: UserId, kept: Option<SessionId>) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM challenges WHERE user_id = $1").bind(user).execute(&mut *c).await?;
        sqlx::query("DELETE FROM identity_flows WHERE session_id IN (SELECT id FROM sessions WHERE user_id = $1 AND id <> $2)")
            .bind(user).bind(kept.map_or(uuid::Uuid::nil(), |id| id.0)).execute(c).await?;
    });
    Ok(())
}

/// Ends all sessions of a person, with every sign-in that has only begun.
pub async fn revoke_all(c: &mut Conn, user: UserId, at: Micros) -> Result<()> {
    drop_begun(c, user, None).await?;
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
