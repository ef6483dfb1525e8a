use wire::{Micros, UserId};

use crate::{Conn, Result, db::on};

/// The JSON that was saved under a name.
pub async fn get(c: &mut Conn, name: &str) -> Result<Option<String>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT value FROM settings WHERE name = $1").bind(name).fetch_optional(c).await?))
}

pub async fn put(c: &mut Conn, name: &str, value: &str, at: Micros, by: Option<UserId>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO settings (name, value, updated_at, updated_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET value = $2, updated_at = $3, updated_by = $4",
        )
        .bind(name).bind(value).bind(at).bind(by).execute(c).await?;
    });
    Ok(())
}

/// Replaces what is saved under a name, as long as that is still `before`, or nothing where that is `None`. False, and nothing is
/// written, where somebody else was there first.
pub async fn replace(c: &mut Conn, name: &str, before: Option<&str>, value: &str, at: Micros, by: Option<UserId>) -> Result<bool> {
    let written = match before {
        None => on!(c, c => {
            sqlx::query("INSERT INTO settings (name, value, updated_at, updated_by) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING")
                .bind(name).bind(value).bind(at).bind(by).execute(c).await?.rows_affected()
        }),
        Some(before) => on!(c, c => {
            sqlx::query("UPDATE settings SET value = $2, updated_at = $3, updated_by = $4 WHERE name = $1 AND value = $5")
                .bind(name).bind(value).bind(at).bind(by).bind(before).execute(c).await?.rows_affected()
        }),
    };
    Ok(written == 1)
}
