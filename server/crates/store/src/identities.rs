use sqlx::FromRow;
use wire::{IdentityId, Micros, SessionId, UserId, identities::IdentityProvider};

use crate::{Conn, Result, Word, db::on};

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct IdentityRow {
    pub id: IdentityId,
    pub user_id: UserId,
    pub provider: Word<IdentityProvider>,
    /// With `subject`, what the provider knows the person by.
    pub issuer: String,
    pub subject: String,
    pub name: String,
    pub email: Option<String>,
    pub created_at: Micros,
    pub last_used_at: Option<Micros>,
}

/// A sign-in at a provider that has begun.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct FlowRow {
    pub state_hash: String,
    pub browser_hash: String,
    pub provider: Word<IdentityProvider>,
    pub redirect_uri: String,
    pub next: String,
    /// The session to whose account the identity is linked.
    pub session_id: Option<SessionId>,
    pub expires_at: Micros,
}

/// Errors: `Taken` where an account has this identity.
pub async fn insert(c: &mut Conn, row: &IdentityRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO identities (id, user_id, provider, issuer, subject, name, email, created_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(row.id).bind(row.user_id).bind(row.provider).bind(&row.issuer).bind(&row.subject).bind(&row.name).bind(&row.email)
        .bind(row.created_at).bind(row.last_used_at).execute(c).await?;
    });
    Ok(())
}

pub async fn by_subject(c: &mut Conn, issuer: &str, subject: &str) -> Result<Option<IdentityRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM identities WHERE issuer = $1 AND subject = $2").bind(issuer).bind(subject).fetch_optional(c).await?
    }))
}

/// The oldest first.
pub async fn of_user(c: &mut Conn, user: UserId) -> Result<Vec<IdentityRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM identities WHERE user_id = $1 ORDER BY created_at, id").bind(user).fetch_all(c).await?
    }))
}

/// What the provider calls the person by now, and that it was signed in with.
pub async fn touch(c: &mut Conn, id: IdentityId, name: &str, email: Option<&str>, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE identities SET name = $2, email = $3, last_used_at = $4 WHERE id = $1")
            .bind(id).bind(name).bind(email).bind(at).execute(c).await?;
    });
    Ok(())
}

/// False when the account has none such.
pub async fn remove(c: &mut Conn, user: UserId, id: IdentityId) -> Result<bool> {
    let removed = on!(c, c => {
        sqlx::query("DELETE FROM identities WHERE id = $1 AND user_id = $2").bind(id).bind(user).execute(c).await?.rows_affected()
    });
    Ok(removed == 1)
}

pub async fn insert_flow(c: &mut Conn, row: &FlowRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO identity_flows (state_hash, browser_hash, provider, redirect_uri, next, session_id, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&row.state_hash).bind(&row.browser_hash).bind(row.provider).bind(&row.redirect_uri).bind(&row.next).bind(row.session_id)
        .bind(row.expires_at).execute(c).await?;
    });
    Ok(())
}

/// Takes one away for the browser that began it: only one caller ever gets it. It may have expired.
pub async fn take_flow(c: &mut Conn, state_hash: &str, browser_hash: &str) -> Result<Option<FlowRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("DELETE FROM identity_flows WHERE state_hash = $1 AND browser_hash = $2 RETURNING *")
            .bind(state_hash).bind(browser_hash).fetch_optional(c).await?
    }))
}

/// How many were forgotten because nobody came back in time.
pub async fn forget_flows(c: &mut Conn, expired_by: Micros) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM identity_flows WHERE expires_at <= $1").bind(expired_by).execute(c).await?.rows_affected()
    }))
}
