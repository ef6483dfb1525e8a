use sqlx::FromRow;
use wire::{Micros, ProjectId, TokenId, UserId, tokens::Scope};

use crate::{Conn, Doc, Result, db::on, users::UserRow};

#[derive(Debug, Clone, FromRow)]
pub struct TokenRow {
    pub id: TokenId,
    pub user_id: UserId,
    pub name: String,
    pub prefix: String,
    pub scopes: Doc<Vec<Scope>>,
    pub projects: Option<Doc<Vec<ProjectId>>>,
    pub created_at: Micros,
    pub expires_at: Option<Micros>,
    pub last_used_at: Option<Micros>,
    pub last_used_from: Option<String>,
}

/// A token with its owner, read together because every request needs both.
#[derive(Debug, Clone, FromRow)]
pub struct LiveToken {
    pub token_id: TokenId,
    pub token_name: String,
    pub token_scopes: Doc<Vec<Scope>>,
    pub token_projects: Option<Doc<Vec<ProjectId>>>,
    pub token_used_at: Option<Micros>,
    /// As in [`crate::sessions::LiveSession`].
    pub has_factor: bool,
    pub accounts: Option<String>,
    #[sqlx(flatten)]
    pub user: UserRow,
}

/// What every request with a token asks first, in one query.
macro_rules! live {
    ($known_by:literal) => {
        concat!(
            "SELECT t.id AS token_id, t.name AS token_name, t.scopes AS token_scopes, t.projects AS token_projects,
                    t.last_used_at AS token_used_at, u.*,
                    (EXISTS (SELECT 1 FROM totp f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
                     OR EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = u.id)) AS has_factor,
                    (SELECT value FROM settings WHERE name = 'accounts') AS accounts
             FROM api_tokens t JOIN users u ON u.id = t.user_id
             WHERE ",
            $known_by,
            " = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) AND u.state = 'active'"
        )
    };
}

/// `hash` is that of the secret.
pub async fn insert(c: &mut Conn, row: &TokenRow, hash: &str) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO api_tokens (id, user_id, name, hash, prefix, scopes, projects, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(row.id).bind(row.user_id).bind(&row.name).bind(hash).bind(&row.prefix).bind(&row.scopes).bind(&row.projects)
        .bind(row.created_at).bind(row.expires_at)
        .execute(c).await?;
    });
    Ok(())
}

/// Those of a person that were not revoked, the newest first; also ended ones.
pub async fn list(c: &mut Conn, user: UserId) -> Result<Vec<TokenRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT id, user_id, name, prefix, scopes, projects, created_at, expires_at, last_used_at, last_used_from FROM api_tokens
             WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC, id DESC",
        )
        .bind(user).fetch_all(c).await?
    }))
}

/// The token of a secret, if it may still be used and its owner is active.
pub async fn live_by_hash(c: &mut Conn, hash: &str, now: Micros) -> Result<Option<LiveToken>> {
    Ok(on!(c, c => {
        sqlx::query_as(live!("t.hash")).bind(hash).bind(now).fetch_optional(c).await?
    }))
}

/// As [`live_by_hash`], for what goes on after the request.
pub async fn live_by_id(c: &mut Conn, id: TokenId, now: Micros) -> Result<Option<LiveToken>> {
    Ok(on!(c, c => {
        sqlx::query_as(live!("t.id")).bind(id).bind(now).fetch_optional(c).await?
    }))
}

pub async fn touch(c: &mut Conn, id: TokenId, at: Micros, from: Option<&str>) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE api_tokens SET last_used_at = $2, last_used_from = $3 WHERE id = $1").bind(id).bind(at).bind(from).execute(c).await?;
    });
    Ok(())
}

/// The name of the token that was revoked by this call; none when the person has no such token.
pub async fn revoke(c: &mut Conn, user: UserId, id: TokenId, at: Micros) -> Result<Option<String>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("UPDATE api_tokens SET revoked_at = $3 WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL RETURNING name")
            .bind(user).bind(id).bind(at).fetch_optional(c).await?
    }))
}

/// All of a person. Answers how many.
pub async fn revoke_all(c: &mut Conn, user: UserId, at: Micros) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
            .bind(user).bind(at).execute(c).await?.rows_affected()
    }))
}
