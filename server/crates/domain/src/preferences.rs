//! What a person chose about looks, editor and keys; their own and nobody else's.

use store::{Conn, preferences as table};
use wire::{
    UserId,
    preferences::{PREFERENCES_MAX_BYTES, Preferences, UpdatePreferences},
};

use crate::{Ctx, Error, Result};

/// What the caller chose; as in a new account where nothing was.
pub async fn get(ctx: &Ctx) -> Result<Preferences> {
    let user = ctx.require_user()?.id;
    load(&mut ctx.services().db.read().await?, user).await
}

/// As [`get`], as of the moment in which the request came, for the page that it asks for.
pub async fn on_arrival(ctx: &Ctx) -> Result<Preferences> {
    match ctx.arrival() {
        Some(arrival) => Ok(read(ctx.require_user()?.id, arrival.preferences.as_ref().map(|(revision, text)| (*revision, text.as_str())))),
        None => get(ctx).await,
    }
}

/// Changes what the request names, based on the revision that it names.
pub async fn update(ctx: &Ctx, request: UpdatePreferences) -> Result<Preferences> {
    let user = ctx.require_user()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let mut kept = load(&mut tx, user).await?;
    if kept.revision != request.revision {
        return Err(changed_meanwhile(&kept));
    }
    request.apply(&mut kept);
    let mut fields = kept.validate();
    if !request.keys.is_empty() {
        fields.extend(kept.validate_keys());
    }
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let document = serde_json::to_string(&Preferences { revision: 0, ..kept.clone() }).map_err(Error::internal)?;
    if document.len() > PREFERENCES_MAX_BYTES {
        return Err(Error::TooLarge("These are more preferences than are kept of one person. Nothing was changed.".to_owned()));
    }
    if !table::put(&mut tx, user, kept.revision, &document, ctx.now()).await? {
        drop(tx);
        return Err(changed_meanwhile(&get(ctx).await?));
    }
    ctx.commit(tx).await?;
    kept.revision += 1;
    Ok(kept)
}

async fn load(conn: &mut Conn, user: UserId) -> Result<Preferences> {
    let saved = table::get(conn, user).await?;
    Ok(read(user, saved.as_ref().map(|(revision, document)| (*revision, document.as_str()))))
}

/// A document that can't be read counts as none: a server that is rolled back still shows its pages. The next change replaces it.
fn read(user: UserId, saved: Option<(i64, &str)>) -> Preferences {
    let Some((revision, document)) = saved else { return Preferences::default() };
    let kept = serde_json::from_str(document).unwrap_or_else(|error| {
        tracing::error!(%error, user.id = %user, "saved preferences can't be read; the first ones apply");
        Preferences::default()
    });
    Preferences { revision, ..kept }
}

fn changed_meanwhile(kept: &Preferences) -> Error {
    Error::Conflict {
        detail: "Your preferences were changed elsewhere meanwhile. Nothing was overwritten; look at them and choose again.".to_owned(),
        current: serde_json::to_value(kept).ok(),
    }
}
