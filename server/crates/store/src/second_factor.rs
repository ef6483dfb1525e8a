//! Authenticator apps, recovery codes, and challenges that come back once.

use sqlx::FromRow;
use wire::{Micros, UserId};

use crate::{Conn, Result, db::on};

#[derive(Debug, Clone, FromRow)]
pub struct TotpRow {
    pub user_id: UserId,
    pub secret_sealed: Vec<u8>,
    pub confirmed_at: Option<Micros>,
    pub last_step: i64,
}

/// What an account has, in one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Factors {
    pub totp: i64,
    pub codes_left: i64,
    pub passkeys: i64,
}

/// Wrong codes in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Tries {
    pub failures: i64,
    pub last_at: Micros,
}

#[derive(Debug, Clone, FromRow)]
pub struct ChallengeRow {
    pub user_id: Option<UserId>,
    pub state: String,
}

pub struct NewChallenge<'a> {
    pub hash: &'a str,
    pub purpose: &'a str,
    pub user_id: Option<UserId>,
    pub state: &'a str,
    pub expires_at: Micros,
}

pub async fn factors(c: &mut Conn, user: UserId) -> Result<Factors> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL) AS totp,
                    (SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL) AS codes_left,
                    (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS passkeys",
        )
        .bind(user).fetch_one(c).await?
    }))
}

/// A new secret in the place of one that was never confirmed; `false` where one is on.
pub async fn begin_totp(c: &mut Conn, user: UserId, secret_sealed: &[u8], at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "INSERT INTO totp (user_id, secret_sealed, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET secret_sealed = $2, created_at = $3, last_step = 0 WHERE totp.confirmed_at IS NULL",
        )
        .bind(user).bind(secret_sealed).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

pub async fn totp(c: &mut Conn, user: UserId) -> Result<Option<TotpRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT user_id, secret_sealed, confirmed_at, last_step FROM totp WHERE user_id = $1").bind(user).fetch_optional(c).await?
    }))
}

/// `false` where it was confirmed meanwhile, or its secret was replaced.
pub async fn confirm_totp(c: &mut Conn, user: UserId, secret_sealed: &[u8], step: i64, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE totp SET confirmed_at = $4, last_step = $3 WHERE user_id = $1 AND secret_sealed = $2 AND confirmed_at IS NULL")
            .bind(user).bind(secret_sealed).bind(step).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

/// `true` for the one who uses this step or a later one first.
pub async fn use_step(c: &mut Conn, user: UserId, step: i64) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2")
            .bind(user).bind(step).execute(c).await?.rows_affected()
    }) == 1)
}

pub async fn remove_totp(c: &mut Conn, user: UserId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM totp WHERE user_id = $1").bind(user).execute(c).await?; });
    Ok(())
}

/// These in the place of all earlier ones.
pub async fn replace_codes(c: &mut Conn, user: UserId, hashes: &[String], at: Micros) -> Result<()> {
    remove_codes(c, user).await?;
    for hash in hashes {
        on!(&mut *c, c => {
            sqlx::query("INSERT INTO recovery_codes (user_id, hash, created_at) VALUES ($1, $2, $3)")
                .bind(user).bind(hash).bind(at).execute(c).await?;
        });
    }
    Ok(())
}

pub async fn remove_codes(c: &mut Conn, user: UserId) -> Result<()> {
    on!(c, c => { sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user).execute(c).await?; });
    Ok(())
}

/// `true` for the one use of a code.
pub async fn use_code(c: &mut Conn, user: UserId, hash: &str, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND hash = $2 AND used_at IS NULL")
            .bind(user).bind(hash).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

/// The wrong codes in a row; until the transaction ends nobody else learns theirs, so that tries at the same moment count one by one.
pub async fn lock_tries(c: &mut Conn, user: UserId) -> Result<Tries> {
    on!(&mut *c, c => {
        sqlx::query(
            "INSERT INTO second_factor_tries (user_id, failures, last_at) VALUES ($1, 0, 0)
             ON CONFLICT (user_id) DO UPDATE SET failures = second_factor_tries.failures",
        )
        .bind(user).execute(c).await?;
    });
    Ok(on!(c, c => {
        sqlx::query_as("SELECT failures, last_at FROM second_factor_tries WHERE user_id = $1").bind(user).fetch_one(c).await?
    }))
}

pub async fn set_tries(c: &mut Conn, user: UserId, tries: Tries) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE second_factor_tries SET failures = $2, last_at = $3 WHERE user_id = $1")
            .bind(user).bind(tries.failures).bind(tries.last_at).execute(c).await?;
    });
    Ok(())
}

/// Adds one, and forgets those that have expired.
pub async fn insert_challenge(c: &mut Conn, new: &NewChallenge<'_>, now: Micros) -> Result<()> {
    on!(&mut *c, c => { sqlx::query("DELETE FROM challenges WHERE expires_at <= $1").bind(now).execute(c).await?; });
    on!(c, c => {
        sqlx::query("INSERT INTO challenges (hash, purpose, user_id, state, expires_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(new.hash).bind(new.purpose).bind(new.user_id).bind(new.state).bind(new.expires_at).execute(c).await?;
    });
    Ok(())
}

/// Looks without using it up.
pub async fn challenge(c: &mut Conn, hash: &str, purpose: &str, now: Micros) -> Result<Option<ChallengeRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT user_id, state FROM challenges WHERE hash = $1 AND purpose = $2 AND expires_at > $3")
            .bind(hash).bind(purpose).bind(now).fetch_optional(c).await?
    }))
}

/// Uses it up: one caller gets it.
pub async fn take_challenge(c: &mut Conn, hash: &str, purpose: &str, now: Micros) -> Result<Option<ChallengeRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("DELETE FROM challenges WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id, state")
            .bind(hash).bind(purpose).bind(now).fetch_optional(c).await?
    }))
}
