//! The models that administrators offer, and their versions.

use std::collections::HashMap;

use serde_json::json;
use store::{
    Tx, Word,
    models::{self as table, CurrentModel, ModelRow, NewVersion, ProviderRow, VersionRow},
};
use uuid::Uuid;
use wire::{
    ModelId, ModelVersionId, ProviderId, UserId,
    audit::AuditAction,
    models::{CreateModel, ManagedModel, ModelAdmin, ModelChoices, ModelMetrics, ModelSettings, ModelVersion, ProviderKind, UpdateModel},
};

use super::{
    CHOICES, choices, metrics,
    providers::{STALE, announce, check_name, into_provider},
    saved_choices,
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
};

type Measured = HashMap<ModelVersionId, ModelMetrics>;

/// Providers, models with what was measured of their present versions, and what is chosen.
pub async fn admin_view(ctx: &Ctx) -> Result<ModelAdmin> {
    ctx.require_admin()?;
    let measured = metrics(ctx).await?;
    let mut conn = ctx.services().db.read().await?;
    let (providers, models) = (table::providers(&mut conn).await?, table::models(&mut conn).await?);
    let choices = choices(&mut conn).await?;
    let names: HashMap<ProviderId, String> = providers.iter().map(|row| (row.id, row.name.clone())).collect();
    let desk = &ctx.services().models;
    let is_default = |name: &str| choices.default.as_deref().or(desk.default.as_deref()) == Some(name);
    let is_backup = |name: &str| choices.backup.as_deref().or(desk.backup.as_deref()) == Some(name);
    let models = models.into_iter().map(|row| {
        let provider = names.get(&row.model.provider_id).cloned().unwrap_or_default();
        let (is_default, is_backup) = (is_default(&row.model.name), is_backup(&row.model.name));
        ManagedModel { is_default, is_backup, ..into_managed(row, provider, &measured) }
    });
    let models = models.collect();
    let providers = providers.into_iter().map(|row| into_provider(ctx, row)).collect();
    Ok(ModelAdmin { providers, models, choices, hosts: desk.hosts.describe(), next_cursor: None })
}

fn into_managed(row: CurrentModel, provider: String, measured: &Measured) -> ManagedModel {
    ManagedModel {
        id: row.model.id,
        provider_id: row.model.provider_id,
        provider,
        name: row.model.name,
        active: row.model.active,
        audience: row.model.audience.0,
        revision: row.model.revision,
        is_default: false,
        is_backup: false,
        from_environment: row.model.from_environment,
        current: into_version(row.version, measured),
    }
}

fn into_version(row: VersionRow, measured: &Measured) -> ModelVersion {
    ModelVersion {
        id: row.version_id,
        number: row.number,
        settings: row.settings(),
        kind: row.kind.0,
        created_by: row.created_by(),
        host: row.host,
        created_at: row.version_created_at,
        metrics: measured.get(&row.version_id).copied().unwrap_or_default(),
    }
}

/// Every version that a model had, the newest first, with what was measured of each.
pub async fn versions(ctx: &Ctx, id: ModelId) -> Result<Vec<ModelVersion>> {
    ctx.require_admin()?;
    let measured = metrics(ctx).await?;
    let mut conn = ctx.services().db.read().await?;
    table::model(&mut conn, id).await?.ok_or(Error::NotFound("model"))?;
    let rows = table::versions(&mut conn, id).await?;
    Ok(rows.into_iter().map(|row| into_version(row, &measured)).collect())
}

/// As they are kept: without spaces around names, an empty reasoning as none, the temperature in thousandths.
fn check_settings(mut settings: ModelSettings) -> Result<ModelSettings> {
    settings.remote_name = settings.remote_name.trim().to_owned();
    settings.reasoning = settings.reasoning.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty());
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    settings.temperature = (settings.temperature * 1000.0).round() / 1000.0;
    Ok(settings)
}

fn name_taken(error: store::Error) -> Error {
    match error {
        store::Error::Taken(_) => Error::invalid("name", "Another model has this name. Choose a different one."),
        other => other.into(),
    }
}

pub(super) async fn insert(
    ctx: &Ctx,
    tx: &mut Tx,
    row: &ModelRow,
    provider: &ProviderRow,
    settings: &ModelSettings,
) -> Result<(), store::Error> {
    table::insert_model(tx, row).await?;
    insert_version(ctx, tx, row.id, 1, provider, settings, row.created_by).await
}

pub(super) async fn insert_version(
    ctx: &Ctx,
    tx: &mut Tx,
    model: ModelId,
    number: i64,
    provider: &ProviderRow,
    settings: &ModelSettings,
    by: Option<UserId>,
) -> Result<(), store::Error> {
    let id = ctx.new_id::<Uuid>().into();
    let new = NewVersion { id, model_id: model, number, kind: provider.kind.0, host: &provider.host, settings, at: ctx.now(), by };
    table::insert_version(tx, &new).await
}

pub async fn create_model(ctx: &Ctx, request: CreateModel) -> Result<ManagedModel> {
    let admin = ctx.require_admin()?.id;
    let name = check_name(&request.name)?.to_owned();
    let settings = check_settings(request.settings)?;
    let mut tx = ctx.services().db.begin().await?;
    let provider = table::provider(&mut tx, request.provider_id).await?.ok_or(Error::NotFound("provider"))?;
    if provider.kind.0 == ProviderKind::Demo {
        return Err(Error::invalid("provider_id", "The demonstration has one script. Choose another provider."));
    }
    let row = ModelRow {
        id: ctx.new_id::<Uuid>().into(),
        provider_id: provider.id,
        name,
        active: request.active,
        audience: Word(request.audience),
        from_environment: false,
        version: 1,
        revision: 1,
        created_at: ctx.now(),
        created_by: Some(admin),
        removed_at: None,
    };
    insert(ctx, &mut tx, &row, &provider, &settings).await.map_err(name_taken)?;
    note(ctx, &mut tx, &row, "added");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(model.id = %row.id, name = row.name, by = %admin, "a model was added");
    read(ctx, row.id).await
}

async fn read(ctx: &Ctx, id: ModelId) -> Result<ManagedModel> {
    let view = admin_view(ctx).await?;
    view.models.into_iter().find(|model| model.id == id).ok_or(Error::NotFound("model"))
}

/// Changes a model. Settings that differ from the present ones become its next version.
pub async fn update_model(ctx: &Ctx, id: ModelId, request: UpdateModel) -> Result<ManagedModel> {
    let admin = ctx.require_admin()?.id;
    let settings = request.settings.map(check_settings).transpose()?;
    let mut tx = ctx.services().db.begin().await?;
    let CurrentModel { model: old, version } = table::model(&mut tx, id).await?.ok_or(Error::NotFound("model"))?;
    if old.revision != request.revision {
        return Err(Error::conflict(STALE));
    }
    let mut row = old.clone();
    if let Some(name) = &request.name {
        row.name = check_name(name)?.to_owned();
    }
    if old.from_environment && row.name != old.name {
        return Err(Error::invalid("name", "The server's environment names this model. Change AI_DEFAULT_MODEL or AI_BACKUP_MODEL there."));
    }
    row.active = request.active.unwrap_or(row.active);
    row.audience = request.audience.map_or(row.audience, Word);
    let changed = settings.filter(|wanted| *wanted != version.settings());
    if changed.is_some() {
        row.version += 1;
    }
    if !table::update_model(&mut tx, &row).await.map_err(name_taken)? {
        return Err(Error::conflict(STALE));
    }
    if let Some(settings) = &changed {
        let provider = table::provider(&mut tx, row.provider_id).await?.ok_or(Error::NotFound("provider"))?;
        insert_version(ctx, &mut tx, id, row.version, &provider, settings, Some(admin)).await?;
    }
    if row.name != old.name {
        rename_choices(ctx, &mut tx, &old.name, &row.name).await?;
    }
    note(ctx, &mut tx, &row, "changed");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(model.id = %id, name = row.name, version = row.version, active = row.active, by = %admin, "a model was changed");
    read(ctx, id).await
}

fn note(ctx: &Ctx, tx: &mut Tx, row: &ModelRow, what: &str) {
    let details = json!({ "what": what, "version": row.version, "active": row.active, "audience": row.audience.0 });
    audit::record(ctx, tx, AuditAction::ModelChanged, Facts::about("model", row.id, row.name.clone()).with(details));
}

async fn rename_choices(ctx: &Ctx, tx: &mut Tx, from: &str, to: &str) -> Result<()> {
    let before = choices(tx).await?;
    if ![&before.default, &before.backup].into_iter().any(|choice| choice.as_deref() == Some(from)) {
        return Ok(());
    }
    let renamed = |choice: &Option<String>| choice.as_deref().map(|name| if name == from { to.to_owned() } else { name.to_owned() });
    let change =
        |before: &ModelChoices| ModelChoices { default: renamed(&before.default), backup: renamed(&before.backup), revision: None };
    save_choices(ctx, tx, None, change).await
}

/// Saves what `change` makes of the choices; with `base` only as long as they have that revision.
async fn save_choices(ctx: &Ctx, tx: &mut Tx, base: Option<i64>, change: impl Fn(&ModelChoices) -> ModelChoices) -> Result<()> {
    loop {
        let (before, saved) = saved_choices(tx).await?;
        let revision = before.revision.unwrap_or_default();
        if base.is_some_and(|base| base != revision) {
            let detail = "The chosen models were changed elsewhere meanwhile. Nothing was saved; look at them and choose again.".to_owned();
            return Err(Error::Conflict { detail, current: Some(json!(before)) });
        }
        let after = ModelChoices { revision: Some(revision + 1), ..change(&before) };
        let text = serde_json::to_string(&after).map_err(Error::internal)?;
        // Where somebody else was there first, their choices are looked at in turn.
        if store::settings::replace(tx, CHOICES, saved.as_deref(), &text, ctx.now(), ctx.user_id()).await? {
            return Ok(());
        }
    }
}

/// Nobody can pick it any more. Conversations that used it stay, and so does what was measured and billed.
pub async fn remove_model(ctx: &Ctx, id: ModelId) -> Result<()> {
    let admin = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let mut row = table::model(&mut tx, id).await?.ok_or(Error::NotFound("model"))?.model;
    if row.from_environment {
        let detail = "The server's environment names this model. Turn it off here, or remove it there and restart the server.";
        return Err(Error::Forbidden(detail.to_owned()));
    }
    row.removed_at = Some(ctx.now());
    if !table::update_model(&mut tx, &row).await? {
        return Err(Error::conflict(STALE));
    }
    note(ctx, &mut tx, &row, "removed");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(model.id = %id, name = row.name, by = %admin, "a model was removed");
    Ok(())
}

/// Chooses which model answers when nobody picks one, and which when another fails. Absent: as the environment says. With a revision
/// only as long as the choices have that one; else a conflict with what they are.
pub async fn set_choices(ctx: &Ctx, chosen: ModelChoices) -> Result<ModelAdmin> {
    let admin = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let models = table::models(&mut tx).await?;
    for (field, name) in [("default", &chosen.default), ("backup", &chosen.backup)] {
        if let Some(name) = name
            && !models.iter().any(|row| row.model.name == *name)
        {
            return Err(Error::invalid(field, "There is no model of this name."));
        }
    }
    save_choices(ctx, &mut tx, chosen.revision, |_| chosen.clone()).await?;
    let details = json!({ "default": chosen.default, "backup": chosen.backup });
    audit::record(ctx, &mut tx, AuditAction::SettingsChanged, Facts::about("settings", CHOICES, "models").with(details));
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(default = ?chosen.default, backup = ?chosen.backup, by = %admin, "the chosen models were changed");
    admin_view(ctx).await
}

/// What reaches a provider's models has changed, so what is measured from now on is not what was measured before.
pub(super) async fn renew_versions(ctx: &Ctx, tx: &mut Tx, provider: &ProviderRow, by: UserId) -> Result<()> {
    let models = table::models(tx).await?;
    for CurrentModel { mut model, version } in models.into_iter().filter(|row| row.model.provider_id == provider.id) {
        model.version += 1;
        if table::update_model(tx, &model).await? {
            insert_version(ctx, tx, model.id, model.version, provider, &version.settings(), Some(by)).await?;
        }
    }
    Ok(())
}
