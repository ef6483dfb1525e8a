//! What the operator's environment configures, as rows: so that it is picked, measured and billed like everything else.

use store::{
    Tx, Word,
    models::{self as table, CurrentModel, ModelRow, ProviderRow},
};
use url::Url;
use uuid::Uuid;
use wire::models::{Audience, ModelSettings};

use super::{EnvironmentProvider, catalogue, hosts, providers::announce};
use crate::{Ctx, Error, Result};

/// Brings the rows into step with this process's environment: new providers and models are added, changed ones are changed, and those
/// that are configured no more are taken away. What an administrator chose stays: who may use a model, whether it is active, its prices.
/// For the server itself, when it starts.
pub async fn adopt_environment(system: &Ctx) -> Result<()> {
    if !system.is_system() {
        return Err(Error::Forbidden("Only the server itself reads its environment.".to_owned()));
    }
    let desk = &system.services().models;
    let mut tx = system.services().db.begin().await?;
    // Processes that start at the same moment go one after the other.
    store::users::lock_installation(&mut tx).await?;
    let known = table::environment_providers(&mut tx).await?;
    let mut changed = false;
    for configured in &desk.environment {
        let row = known.iter().find(|row| row.env_name.as_deref() == Some(&configured.env_name));
        changed |= adopt_provider(system, &mut tx, configured, row).await?;
    }
    for row in known.iter().filter(|row| row.removed_at.is_none()) {
        if !desk.environment.iter().any(|configured| row.env_name.as_deref() == Some(&configured.env_name)) {
            table::remove_provider(&mut tx, row.id, system.now()).await?;
            changed = true;
        }
    }
    if changed {
        announce(system, &mut tx).await?;
        system.commit(tx).await?;
    }
    Ok(())
}

/// Answers whether anything was written.
async fn adopt_provider(system: &Ctx, tx: &mut Tx, configured: &EnvironmentProvider, row: Option<&ProviderRow>) -> Result<bool> {
    let host = Url::parse(&configured.base_url).map_or_else(|_| String::new(), |url| hosts::host_of(&url));
    let Some(old) = row else {
        let row = new_provider(system, configured, host);
        table::insert_provider(tx, &row).await?;
        adopt_models(system, tx, configured, &row, false).await?;
        return Ok(true);
    };
    let moved = old.base_url != configured.base_url || old.kind.0 != configured.kind;
    let mut changed = false;
    let mut row = old.clone();
    if moved || old.name != configured.name || old.removed_at.is_some() {
        row = ProviderRow {
            name: configured.name.clone(),
            kind: Word(configured.kind),
            base_url: configured.base_url.clone(),
            host,
            removed_at: None,
            ..row
        };
        table::void_user_keys(tx, row.id, &row.host).await?;
        table::update_provider(tx, &row).await?;
        changed = true;
    }
    if let Some(removed_at) = old.removed_at {
        table::revive_models(tx, row.id, removed_at).await?;
    }
    Ok(adopt_models(system, tx, configured, &row, moved).await? || changed)
}

fn new_provider(system: &Ctx, configured: &EnvironmentProvider, host: String) -> ProviderRow {
    ProviderRow {
        id: system.new_id::<Uuid>().into(),
        name: configured.name.clone(),
        kind: Word(configured.kind),
        base_url: configured.base_url.clone(),
        host,
        env_name: Some(configured.env_name.clone()),
        key_sealed: None,
        key_hint: String::new(),
        key_host: String::new(),
        own_keys: false,
        active: true,
        revision: 1,
        created_at: system.now(),
        created_by: None,
        removed_at: None,
    }
}

/// `moved`: the provider is reached otherwise than before, which makes new versions.
async fn adopt_models(system: &Ctx, tx: &mut Tx, configured: &EnvironmentProvider, provider: &ProviderRow, moved: bool) -> Result<bool> {
    let known = table::environment_models(tx, provider.id).await?;
    let mut taken: Vec<String> = table::models(tx).await?.into_iter().map(|row| row.model.name).collect();
    let mut changed = false;
    for row in known.iter().filter(|row| row.model.removed_at.is_none()) {
        if !configured.models.iter().any(|(name, _)| *name == row.model.name) {
            table::update_model(tx, &ModelRow { removed_at: Some(system.now()), ..row.model.clone() }).await?;
            taken.retain(|name| *name != row.model.name);
            changed = true;
        }
    }
    for (name, settings) in &configured.models {
        let row = known.iter().find(|row| row.model.name == *name);
        let is_foreign = row.is_none_or(|row| row.model.removed_at.is_some()) && taken.contains(name);
        if is_foreign {
            tracing::warn!(model = name, "an administrator's model has the name of the environment's, and goes before it");
            continue;
        }
        match row {
            Some(row) => changed |= adopt_model(system, tx, provider, row, settings, moved).await?,
            None => {
                let row = new_model(system, provider, name);
                catalogue::insert(system, tx, &row, provider, settings).await?;
                changed = true;
            }
        }
    }
    Ok(changed)
}

async fn adopt_model(
    system: &Ctx,
    tx: &mut Tx,
    provider: &ProviderRow,
    row: &CurrentModel,
    settings: &ModelSettings,
    moved: bool,
) -> Result<bool> {
    let by_person = row.version.version_created_by.is_some();
    let wanted = if by_person { row.version.settings() } else { settings.clone() };
    let is_new = moved || wanted != row.version.settings();
    if !is_new && row.model.removed_at.is_none() {
        return Ok(false);
    }
    let version = row.model.version + i64::from(is_new);
    table::update_model(tx, &ModelRow { version, removed_at: None, ..row.model.clone() }).await?;
    if is_new {
        catalogue::insert_version(system, tx, row.model.id, version, provider, &wanted, row.version.version_created_by).await?;
    }
    Ok(true)
}

fn new_model(system: &Ctx, provider: &ProviderRow, name: &str) -> ModelRow {
    ModelRow {
        id: system.new_id::<Uuid>().into(),
        provider_id: provider.id,
        name: name.to_owned(),
        active: true,
        audience: Word(Audience::Everyone),
        from_environment: true,
        version: 1,
        revision: 1,
        created_at: system.now(),
        created_by: None,
        removed_at: None,
    }
}
