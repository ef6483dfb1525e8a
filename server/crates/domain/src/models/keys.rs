//! People's own keys, for providers where an administrator allows it.

use serde_json::json;
use store::{Tx, models as table};
use wire::{
    ProviderId, UserId,
    audit::AuditAction,
    event::{EventKind, Stream},
    models::{KeyState, OwnKey, SetOwnKey},
};

use super::providers::{check_key, key_state};
use crate::{
    Ctx, Error, Result, Secret,
    audit::{self, Facts},
    vault,
};

/// What a person's key is sealed for.
pub(super) fn bound_to(user: UserId, provider: ProviderId, host: &str) -> String {
    format!("user-model-key:{user}:{provider}:{host}")
}

/// Keys are people's business: the agent can neither look at nor change them.
fn require_person(ctx: &Ctx) -> Result<UserId> {
    match ctx.agent_turn() {
        None => ctx.require_user().map(|user| user.id),
        Some(_) => Err(Error::Forbidden("Only people change keys.".to_owned())),
    }
}

/// The providers for which the caller may set a key, with what is known of it.
pub async fn own_keys(ctx: &Ctx) -> Result<Vec<OwnKey>> {
    let user = require_person(ctx)?;
    let mut conn = ctx.services().db.read().await?;
    let keys = table::user_keys(&mut conn, user).await?;
    let providers = table::providers(&mut conn).await?;
    let shown = providers.into_iter().filter(|provider| provider.own_keys && provider.active).map(|provider| {
        let key = keys.iter().find(|key| key.provider_id == provider.id);
        let state = key.map_or(KeyState::Missing, |key| {
            let bound = bound_to(user, provider.id, &provider.host);
            key_state(ctx, key.key_sealed.as_deref(), &key.key_hint, &key.key_host, &provider.host, &bound)
        });
        OwnKey {
            provider_id: provider.id,
            provider: provider.name,
            kind: provider.kind.0,
            host: provider.host,
            set_at: key.filter(|_| state.is_usable()).map(|key| key.set_at),
            key: state,
        }
    });
    Ok(shown.collect())
}

/// Sets or replaces the caller's key. It is sent to the provider's present host and to no other.
pub async fn set_own_key(ctx: &Ctx, provider: ProviderId, request: SetOwnKey) -> Result<Vec<OwnKey>> {
    let user = require_person(ctx)?;
    let key = check_key(&request.key)?;
    let mut tx = ctx.services().db.begin().await?;
    let found = table::provider(&mut tx, provider).await?.filter(|row| row.active).ok_or(Error::NotFound("provider"))?;
    if !found.own_keys {
        return Err(Error::Forbidden(format!("{} is not used with keys of people. Nothing was kept.", found.name)));
    }
    let secret = Secret(key.as_bytes().to_vec());
    let sealed = ctx.services().vault.seal(&*ctx.services().ids, &secret, &bound_to(user, provider, &found.host));
    note(ctx, &mut tx, &found, "set");
    let row = table::UserKeyRow {
        user_id: user,
        provider_id: provider,
        key_sealed: Some(sealed),
        key_hint: vault::hint(key),
        key_host: found.host,
        set_at: ctx.now(),
    };
    table::put_user_key(&mut tx, &row).await?;
    store::events::append(&mut tx, Stream::User(user), ctx.now(), vec![EventKind::OwnKeysChanged {}]).await?;
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user, provider.id = %provider, "a person's model key was set");
    own_keys(ctx).await
}

pub async fn remove_own_key(ctx: &Ctx, provider: ProviderId) -> Result<Vec<OwnKey>> {
    let user = require_person(ctx)?;
    let mut tx = ctx.services().db.begin().await?;
    if table::delete_user_key(&mut tx, user, provider).await? {
        if let Some(found) = table::provider(&mut tx, provider).await? {
            note(ctx, &mut tx, &found, "removed");
        }
        store::events::append(&mut tx, Stream::User(user), ctx.now(), vec![EventKind::OwnKeysChanged {}]).await?;
        ctx.commit(tx).await?;
        tracing::info!(user.id = %user, provider.id = %provider, "a person's model key was removed");
    }
    own_keys(ctx).await
}

fn note(ctx: &Ctx, tx: &mut Tx, provider: &table::ProviderRow, what: &str) {
    let facts = Facts::about("model_provider", provider.id, provider.name.clone());
    audit::record(ctx, tx, AuditAction::ModelKeyChanged, facts.with(json!({ "what": what, "whose": "their own", "host": provider.host })));
}
