use sqlx::FromRow;
use wire::{Micros, PasskeyId, UserId, passkeys::Passkey};

use crate::{Conn, Result, db::on};

#[derive(Debug, Clone, FromRow)]
pub struct PasskeyRow {
    pub id: PasskeyId,
    pub user_id: UserId,
    pub name: String,
    pub credential_id: String,
    /// The public key with its counter, as JSON.
    pub credential: String,
    pub created_at: Micros,
    pub last_used_at: Option<Micros>,
}

impl PasskeyRow {
    pub fn into_passkey(self) -> Passkey {
        Passkey { id: self.id, name: self.name, created_at: self.created_at, last_used_at: self.last_used_at }
    }
}

/// `Taken` where the device's key is known already, whosever it is.
pub async fn insert(c: &mut Conn, row: &PasskeyRow) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO passkeys (id, user_id, name, credential_id, credential, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(row.id).bind(row.user_id).bind(&row.name).bind(&row.credential_id).bind(&row.credential).bind(row.created_at)
            .execute(c).await?;
    });
    Ok(())
}

/// The oldest first.
pub async fn list(c: &mut Conn, user: UserId) -> Result<Vec<PasskeyRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM passkeys WHERE user_id = $1 ORDER BY created_at, id").bind(user).fetch_all(c).await?
    }))
}

pub async fn by_credential(c: &mut Conn, credential_id: &str) -> Result<Option<PasskeyRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM passkeys WHERE credential_id = $1").bind(credential_id).fetch_optional(c).await?
    }))
}

/// Keeps what a use changed, such as the counter. `false` where it was used or removed meanwhile.
pub async fn update_used(c: &mut Conn, id: PasskeyId, before: &str, after: &str, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE passkeys SET credential = $3, last_used_at = $4 WHERE id = $1 AND credential = $2")
            .bind(id).bind(before).bind(after).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

/// `false` where the user has no such one.
pub async fn rename(c: &mut Conn, user: UserId, id: PasskeyId, name: &str) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2").bind(id).bind(user).bind(name).execute(c).await?.rows_affected()
    }) == 1)
}

/// The one that was removed.
pub async fn remove(c: &mut Conn, user: UserId, id: PasskeyId) -> Result<Option<PasskeyRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("DELETE FROM passkeys WHERE id = $1 AND user_id = $2 RETURNING *").bind(id).bind(user).fetch_optional(c).await?
    }))
}
