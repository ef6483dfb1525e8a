use wire::{Micros, UserId};

use crate::{Conn, Result, db::on};

/// The revision and the JSON; `None` while nothing was chosen.
pub async fn get(c: &mut Conn, user: UserId) -> Result<Option<(i64, String)>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT revision, document FROM user_preferences WHERE user_id = $1").bind(user).fetch_optional(c).await?
    }))
}

/// Replaces the document at `based_on`, 0 for the first one, by the next; `false` when another one is there.
pub async fn put(c: &mut Conn, user: UserId, based_on: i64, document: &str, at: Micros) -> Result<bool> {
    let written = if based_on == 0 {
        on!(c, c => {
            sqlx::query(
                "INSERT INTO user_preferences (user_id, revision, document, updated_at) VALUES ($1, 1, $2, $3)
                 ON CONFLICT (user_id) DO NOTHING",
            )
            .bind(user).bind(document).bind(at).execute(c).await?.rows_affected()
        })
    } else {
        on!(c, c => {
            sqlx::query(
                "UPDATE user_preferences SET revision = revision + 1, document = $3, updated_at = $4
                 WHERE user_id = $1 AND revision = $2",
            )
            .bind(user).bind(based_on).bind(document).bind(at).execute(c).await?.rows_affected()
        })
    };
    Ok(written == 1)
}
