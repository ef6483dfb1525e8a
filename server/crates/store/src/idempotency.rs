//! What was asked for once with a key of the caller's choosing.

use sqlx::FromRow;
use uuid::Uuid;
use wire::{Micros, UserId};

use crate::{Conn, Result, db::on};

/// What a key is of.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub user: UserId,
    pub key: &'a str,
    pub route: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KeyRow {
    pub fingerprint: Option<String>,
    /// `None` while it goes on.
    pub status: Option<i64>,
    pub answer: Option<Vec<u8>>,
    pub until: Micros,
}

/// Takes the key for `attempt`, also one whose time is over. False while another attempt holds it.
pub async fn claim(c: &mut Conn, of: Key<'_>, attempt: Uuid, fingerprint: Option<&str>, now: Micros, until: Micros) -> Result<bool> {
    let taken = on!(c, c => {
        sqlx::query(
            "INSERT INTO idempotency_keys (user_id, key, route, attempt, fingerprint, until) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id, key, route) DO UPDATE
             SET attempt = $4, fingerprint = $5, status = NULL, answer = NULL, until = $6 WHERE idempotency_keys.until <= $7",
        )
        .bind(of.user).bind(of.key).bind(of.route).bind(attempt).bind(fingerprint).bind(until).bind(now)
        .execute(c).await?.rows_affected()
    });
    Ok(taken == 1)
}

pub async fn get(c: &mut Conn, of: Key<'_>) -> Result<Option<KeyRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT fingerprint, status, answer, until FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND route = $3")
            .bind(of.user).bind(of.key).bind(of.route).fetch_optional(c).await?
    }))
}

/// Goes on holding the key for an attempt at work. False where another one has taken it.
pub async fn renew(c: &mut Conn, of: Key<'_>, attempt: Uuid, until: Micros) -> Result<bool> {
    let renewed = on!(c, c => {
        sqlx::query(
            "UPDATE idempotency_keys SET until = $5 WHERE user_id = $1 AND key = $2 AND route = $3 AND attempt = $4 AND status IS NULL",
        )
        .bind(of.user).bind(of.key).bind(of.route).bind(attempt).bind(until)
        .execute(c).await?.rows_affected()
    });
    Ok(renewed == 1)
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    pub fingerprint: &'a str,
    pub status: i64,
    /// `None`: too long to keep.
    pub answer: Option<&'a [u8]>,
    pub until: Micros,
}

/// Says what came of an attempt, unless another one has taken the key since.
pub async fn finish(c: &mut Conn, of: Key<'_>, attempt: Uuid, outcome: Outcome<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "UPDATE idempotency_keys SET fingerprint = $5, status = $6, answer = $7, until = $8
             WHERE user_id = $1 AND key = $2 AND route = $3 AND attempt = $4",
        )
        .bind(of.user).bind(of.key).bind(of.route).bind(attempt)
        .bind(outcome.fingerprint).bind(outcome.status).bind(outcome.answer).bind(outcome.until)
        .execute(c).await?;
    });
    Ok(())
}

/// Forgets the oldest answers of somebody, as far as they are more than `most` bytes together. That they were given stays known.
pub async fn forget_oldest_answers(c: &mut Conn, user: UserId, most: i64) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE idempotency_keys SET answer = NULL WHERE user_id = $1 AND (key, route) IN (
                 SELECT key, route FROM (
                     SELECT key, route, SUM(LENGTH(answer)) OVER (ORDER BY until DESC, key, route) AS newer
                     FROM idempotency_keys WHERE user_id = $1 AND answer IS NOT NULL) AS kept
                 WHERE newer > $2)",
        )
        .bind(user).bind(most).execute(c).await?.rows_affected()
    }))
}

/// Gives the key back, since the attempt did nothing.
pub async fn release(c: &mut Conn, of: Key<'_>, attempt: Uuid) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND route = $3 AND attempt = $4 AND status IS NULL")
            .bind(of.user).bind(of.key).bind(of.route).bind(attempt).execute(c).await?;
    });
    Ok(())
}

/// Forgets what is kept no longer. Says how many.
pub async fn remove_expired(c: &mut Conn, now: Micros) -> Result<u64> {
    Ok(on!(c, c => sqlx::query("DELETE FROM idempotency_keys WHERE until <= $1").bind(now).execute(c).await?.rows_affected()))
}
