//! Providers that administrators add, and the keys of the installation.

use serde_json::json;
use store::{
    Tx, Word,
    models::{self as table, ProviderRow},
};
use uuid::Uuid;
use wire::{
    FieldError, ProviderId,
    audit::AuditAction,
    event::{EventKind, Stream},
    models::{CreateProvider, KEY_MAX, KeyState, NAME_MAX, Provider, ProviderKind, ProviderTest, UpdateProvider},
};

use super::{ProviderAddress, catalogue, hosts, trusted};
use crate::{
    Ctx, Error, Result, Secret,
    audit::{self, Facts},
    vault::{self, VaultError},
};

pub(super) const STALE: &str = "Somebody else changed this meanwhile. Nothing was changed; look at it again.";

fn bound_to(provider: ProviderId, host: &str) -> String {
    format!("model-provider:{provider}:{host}")
}

/// A name without the spaces around it.
pub(super) fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", format!("Give a name of up to {NAME_MAX} characters.")));
    }
    Ok(name)
}

/// A key without the spaces around it, fit for a header.
pub(crate) fn check_key(key: &str) -> Result<&str> {
    let key = key.trim();
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid("key", "Paste the key alone, without spaces or line breaks."));
    }
    Ok(key)
}

pub(crate) fn key_state(ctx: &Ctx, sealed: Option<&[u8]>, hint: &str, key_host: &str, host: &str, bound: &str) -> KeyState {
    let Some(sealed) = sealed else {
        return if key_host.is_empty() { KeyState::Missing } else { KeyState::Void { host: key_host.to_owned() } };
    };
    if key_host != host {
        return KeyState::Void { host: key_host.to_owned() };
    }
    match ctx.services().vault.open(sealed, bound) {
        Ok(_) => KeyState::Set { hint: hint.to_owned() },
        Err(_) => KeyState::Unreadable,
    }
}

/// The key that everybody's calls are made with. Errors: a sentence for people, where there is one that can't be used.
pub(super) fn shared_key(ctx: &Ctx, provider: &ProviderRow) -> Result<Option<Secret>, String> {
    if provider.env_name.is_some() {
        let configured = ctx.services().models.environment_of(provider);
        let missing =
            || format!("{} is configured for another process of this installation and not for this one. Nothing was sent.", provider.name);
        return configured.map(|found| found.key.clone()).ok_or_else(missing);
    }
    let again = "An administrator needs to enter the key again.";
    match &provider.key_sealed {
        None if provider.key_host.is_empty() => Ok(None),
        Some(sealed) if provider.key_host == provider.host => {
            ctx.services().vault.open(sealed, &bound_to(provider.id, &provider.host)).map(Some).map_err(|error| {
                let why = match error {
                    VaultError::OtherSecret => "was sealed with another SECRET_KEY",
                    VaultError::Damaged => "is damaged",
                };
                format!("The key for {} {why}. Nothing was sent. {again}", provider.name)
            })
        }
        _ if provider.own_keys => Ok(None),
        _ => Err(format!(
            "{} is reached at another host than its key was for, so the key was deleted. Nothing was sent. {again}",
            provider.name
        )),
    }
}

pub(super) fn into_provider(ctx: &Ctx, row: ProviderRow) -> Provider {
    let key = match ctx.services().models.environment_of(&row) {
        Some(configured) if configured.key.is_some() => KeyState::Environment,
        Some(_) => KeyState::Missing,
        None => key_state(ctx, row.key_sealed.as_deref(), &row.key_hint, &row.key_host, &row.host, &bound_to(row.id, &row.host)),
    };
    Provider {
        id: row.id,
        name: row.name,
        kind: row.kind.0,
        base_url: if row.kind.0 == ProviderKind::Demo { String::new() } else { row.base_url },
        host: row.host,
        key,
        own_keys: row.own_keys,
        active: row.active,
        from_environment: row.env_name.is_some(),
        created_at: row.created_at,
        revision: row.revision,
        voided_keys: 0,
    }
}

fn set_key(ctx: &Ctx, row: &mut ProviderRow, key: &str) -> Result<()> {
    let key = check_key(key)?;
    let bound = bound_to(row.id, &row.host);
    row.key_sealed = Some(ctx.services().vault.seal(&*ctx.services().ids, &Secret(key.as_bytes().to_vec()), &bound));
    row.key_hint = vault::hint(key);
    row.key_host = row.host.clone();
    Ok(())
}

fn forget_key(row: &mut ProviderRow) {
    row.key_sealed = None;
    row.key_hint.clear();
    row.key_host.clear();
}

fn check_kind(kind: ProviderKind) -> Result<()> {
    if ProviderKind::CHOICES.contains(&kind) {
        return Ok(());
    }
    Err(Error::Invalid(vec![FieldError::new("kind", "The demonstration is built in and can't be added.")]))
}

pub(super) async fn announce(ctx: &Ctx, tx: &mut Tx) -> Result<()> {
    Ok(store::events::append(tx, Stream::Admin, ctx.now(), vec![EventKind::ModelsChanged {}]).await?)
}

fn note(ctx: &Ctx, tx: &mut Tx, row: &ProviderRow, what: &str) {
    let details = json!({ "what": what, "host": row.host, "active": row.active, "own_keys": row.own_keys });
    audit::record(ctx, tx, AuditAction::ModelProviderChanged, Facts::about("model_provider", row.id, row.name.clone()).with(details));
}

fn note_key(ctx: &Ctx, tx: &mut Tx, row: &ProviderRow, what: &str) {
    let facts = Facts::about("model_provider", row.id, row.name.clone());
    audit::record(ctx, tx, AuditAction::ModelKeyChanged, facts.with(json!({ "what": what, "whose": "everybody's", "host": row.host })));
}

/// Adds a provider. Its address is checked against what the operator allows, and its key is sealed for that host.
pub async fn create_provider(ctx: &Ctx, request: CreateProvider) -> Result<Provider> {
    let admin = ctx.require_admin()?.id;
    check_kind(request.kind)?;
    let name = check_name(&request.name)?.to_owned();
    let wanted = if request.base_url.trim().is_empty() { request.kind.default_base_url() } else { &request.base_url };
    let url = hosts::check(wanted, &ctx.services().models.hosts)?;
    let mut row = ProviderRow {
        id: ctx.new_id::<Uuid>().into(),
        name,
        kind: Word(request.kind),
        base_url: url.text,
        host: url.host,
        env_name: None,
        key_sealed: None,
        key_hint: String::new(),
        key_host: String::new(),
        own_keys: request.own_keys,
        active: true,
        revision: 1,
        created_at: ctx.now(),
        created_by: Some(admin),
        removed_at: None,
    };
    if let Some(key) = request.key.as_deref().filter(|key| !key.trim().is_empty()) {
        set_key(ctx, &mut row, key)?;
    }
    let mut tx = ctx.services().db.begin().await?;
    table::insert_provider(&mut tx, &row).await?;
    note(ctx, &mut tx, &row, "added");
    if row.key_sealed.is_some() {
        note_key(ctx, &mut tx, &row, "set");
    }
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(provider.id = %row.id, host = row.host, by = %admin, "a model provider was added");
    Ok(into_provider(ctx, row))
}

/// Changes a provider. Where its host becomes another, its key and people's keys for it are deleted, since they are for the old one;
/// `voided_keys` says how many of people's. What reaches models otherwise than before makes a new version of each.
pub async fn update_provider(ctx: &Ctx, id: ProviderId, request: UpdateProvider) -> Result<Provider> {
    let admin = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let old = table::provider(&mut tx, id).await?.ok_or(Error::NotFound("provider"))?;
    if old.revision != request.revision {
        return Err(Error::conflict(STALE));
    }
    let is_fixed = request.name.is_some() || request.kind.is_some() || request.base_url.is_some() || request.key.is_some();
    if old.env_name.is_some() && is_fixed {
        let detail = "This provider is configured by the server's environment. Change it there and restart the server.";
        return Err(Error::Forbidden(detail.to_owned()));
    }
    let mut row = old.clone();
    apply(ctx, &mut row, &request)?;
    let mut voided = 0;
    if row.host != old.host {
        voided = table::void_user_keys(&mut tx, id, &row.host).await?;
    }
    if !table::update_provider(&mut tx, &row).await? {
        return Err(Error::conflict(STALE));
    }
    if row.kind != old.kind || row.base_url != old.base_url {
        catalogue::renew_versions(ctx, &mut tx, &row, admin).await?;
    }
    note(ctx, &mut tx, &row, "changed");
    if row.key_sealed != old.key_sealed {
        note_key(ctx, &mut tx, &row, if row.key_sealed.is_some() { "set" } else { "removed" });
    }
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    row.revision += 1;
    tracing::info!(provider.id = %id, host = row.host, old_host = old.host, voided, by = %admin, "a model provider was changed");
    Ok(Provider { voided_keys: voided, ..into_provider(ctx, row) })
}

fn apply(ctx: &Ctx, row: &mut ProviderRow, request: &UpdateProvider) -> Result<()> {
    if let Some(name) = &request.name {
        row.name = check_name(name)?.to_owned();
    }
    if let Some(kind) = request.kind {
        check_kind(kind)?;
        row.kind = Word(kind);
    }
    if let Some(base_url) = &request.base_url {
        let wanted = if base_url.trim().is_empty() { row.kind.0.default_base_url() } else { base_url };
        let url = hosts::check(wanted, &ctx.services().models.hosts)?;
        (row.base_url, row.host) = (url.text, url.host);
    }
    match request.key.as_deref().map(str::trim) {
        Some("") => forget_key(row),
        Some(key) => set_key(ctx, row, key)?,
        // The old host stays beside the missing key, to tell why there is none.
        None if row.key_sealed.is_some() && row.key_host != row.host => {
            row.key_sealed = None;
            row.key_hint.clear();
        }
        None => {}
    }
    row.own_keys = request.own_keys.unwrap_or(row.own_keys);
    row.active = request.active.unwrap_or(row.active);
    Ok(())
}

/// Takes a provider away with its models and all keys for it. What was measured and billed stays.
pub async fn remove_provider(ctx: &Ctx, id: ProviderId) -> Result<()> {
    let admin = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let row = table::provider(&mut tx, id).await?.ok_or(Error::NotFound("provider"))?;
    if row.env_name.is_some() {
        let detail =
            "This provider is configured by the server's environment. Turn it off here, or remove it there and restart the server.";
        return Err(Error::Forbidden(detail.to_owned()));
    }
    table::remove_provider(&mut tx, id, ctx.now()).await?;
    note(ctx, &mut tx, &row, "removed");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(provider.id = %id, by = %admin, "a model provider was removed");
    Ok(())
}

/// Asks a provider for its models with the installation's key, and says what came of it.
pub async fn test_provider(ctx: &Ctx, id: ProviderId) -> Result<ProviderTest> {
    ctx.require_admin()?;
    let row = table::provider(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("provider"))?;
    let started = ctx.now();
    let answer = match reach(ctx, &row) {
        Ok(address) => ctx.services().models.remote.list(address).await,
        Err(reason) => Err(reason),
    };
    let elapsed_ms = (ctx.now().0 - started.0) / 1000;
    Ok(match answer {
        Ok(models) => {
            let detail = format!("{} answered in {elapsed_ms} ms and offers {} models.", row.host, models.len());
            ProviderTest { ok: true, detail, models, elapsed_ms }
        }
        Err(detail) => ProviderTest { ok: false, detail, models: Vec::new(), elapsed_ms },
    })
}

fn reach(ctx: &Ctx, row: &ProviderRow) -> Result<ProviderAddress, String> {
    let trusted_host = trusted(ctx, row).map_err(|error| error.to_string())?;
    Ok(ProviderAddress { kind: row.kind.0, base_url: row.base_url.clone(), key: shared_key(ctx, row)?, trusted_host })
}
