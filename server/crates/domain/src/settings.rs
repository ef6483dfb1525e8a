//! What an administrator chooses while the server runs.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use store::{Conn, Tx, quotas::Bounds, settings as table};
use wire::{
    ProjectId,
    audit::AuditAction,
    quotas::StorageSettings,
    settings::{AccountSettings, RateSettings, RunSettings},
};

use crate::{
    Ctx, Error, Result, Services,
    audit::{self, Facts},
};

const ACCOUNTS: &str = "accounts";
const RATES: &str = "rates";
const RUNS: &str = "runs";
const STORAGE: &str = "storage";

/// The settings in a text that was saved under `name`. The defaults where nothing was chosen, or where it can't be read: a server that
/// is rolled back still runs.
fn read<T: DeserializeOwned + Default>(name: &str, saved: Option<&str>) -> T {
    let Some(text) = saved else { return T::default() };
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, name, "saved settings can't be read; the defaults apply");
        T::default()
    })
}

/// Saves settings and answers what they were. With `base` only if they are still that: two administrators at one form must not undo
/// each other unseen.
async fn write<T: Serialize + PartialEq>(
    ctx: &Ctx,
    tx: &mut Tx,
    name: &'static str,
    wanted: &T,
    base: Option<&T>,
    read: impl Fn(Option<&str>) -> T,
) -> Result<T> {
    let text = serde_json::to_string(wanted).map_err(Error::internal)?;
    let saved = table::get(tx, name).await?;
    let before = read(saved.as_deref());
    let Some(base) = base else {
        table::put(tx, name, &text, ctx.now(), ctx.user_id()).await?;
        return Ok(before);
    };
    if *base == before && table::replace(tx, name, saved.as_deref(), &text, ctx.now(), ctx.user_id()).await? {
        return Ok(before);
    }
    let now = read(table::get(tx, name).await?.as_deref());
    let changes = store::admin::overview::settings_changes(tx).await?;
    let by = changes.into_iter().find(|change| change.name == name).and_then(|change| change.by);
    let by = match by {
        Some(user) if Some(user.id) == ctx.user_id() => "you, elsewhere".to_owned(),
        Some(user) => user.name,
        None => "somebody who has no account any more, or the command line".to_owned(),
    };
    let detail = format!("Changed meanwhile by {by}. Nothing was saved, and your entries are kept; look at them again.");
    Err(Error::Conflict { detail, current: Some(json!(now)) })
}

/// What applies now, for use inside use-cases and the queue.
pub async fn load(conn: &mut Conn) -> Result<RunSettings> {
    Ok(read(RUNS, table::get(conn, RUNS).await?.as_deref()))
}

pub async fn runs(ctx: &Ctx) -> Result<RunSettings> {
    ctx.require_admin()?;
    load(&mut ctx.services().db.read().await?).await
}

/// Replaces them all. They apply to what is queued or started from now on.
pub async fn update_runs(ctx: &Ctx, settings: RunSettings) -> Result<RunSettings> {
    replace_runs(ctx, settings, None).await
}

/// As [`update_runs`], as long as they are still `base`; else a conflict with what they are.
pub async fn replace_runs(ctx: &Ctx, mut settings: RunSettings, base: Option<&RunSettings>) -> Result<RunSettings> {
    let admin = ctx.require_admin()?.id;
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    for rule in &mut settings.egress {
        rule.0 = rule.0.trim().to_ascii_lowercase();
    }
    settings.egress.sort_unstable();
    settings.egress.dedup();
    let mut tx = ctx.services().db.begin().await?;
    write(ctx, &mut tx, RUNS, &settings, base, |saved| read(RUNS, saved)).await?;
    audit::record(ctx, &mut tx, AuditAction::SettingsChanged, Facts::about("settings", RUNS, RUNS).with(json!(settings)));
    // With more places something that waits may begin now.
    tx.wake_workers();
    ctx.commit(tx).await?;
    tracing::info!(by = %admin, "the settings of runs were changed");
    Ok(settings)
}

/// What applies now to storage, for use inside use-cases; as [`load`].
pub async fn storage_in(conn: &mut Conn) -> Result<StorageSettings> {
    Ok(read_storage(table::get(conn, STORAGE).await?.as_deref()))
}

/// What bounds one project, and what was chosen for everybody.
pub(crate) async fn bounds_in(conn: &mut Conn, project: ProjectId) -> Result<Option<(Bounds, StorageSettings)>> {
    let found = store::quotas::bounds(conn, project, STORAGE).await?;
    Ok(found.map(|bounds| {
        let everybody = read_storage(bounds.everybody.as_deref());
        (bounds, everybody)
    }))
}

/// As [`storage_in`], of the text that was saved.
pub(crate) fn read_storage(saved: Option<&str>) -> StorageSettings {
    read(STORAGE, saved)
}

pub async fn storage(ctx: &Ctx) -> Result<StorageSettings> {
    ctx.require_admin()?;
    storage_in(&mut ctx.services().db.read().await?).await
}

/// Replaces them all. Who is above a lower limit keeps everything and can't add to it.
pub async fn update_storage(ctx: &Ctx, settings: StorageSettings) -> Result<StorageSettings> {
    replace_storage(ctx, settings, None).await
}

/// As [`update_storage`], as long as they are still `base`; else a conflict with what they are.
pub async fn replace_storage(ctx: &Ctx, settings: StorageSettings, base: Option<&StorageSettings>) -> Result<StorageSettings> {
    let admin = ctx.require_admin()?.id;
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut tx = ctx.services().db.begin().await?;
    write(ctx, &mut tx, STORAGE, &settings, base, |saved| read(STORAGE, saved)).await?;
    audit::record(ctx, &mut tx, AuditAction::SettingsChanged, Facts::about("settings", STORAGE, STORAGE).with(json!(settings)));
    ctx.commit(tx).await?;
    tracing::info!(by = %admin, "the settings of storage were changed");
    Ok(settings)
}

/// What applies now to accounts, for use inside use-cases. What nobody chose is as the environment says; so is everything where what
/// was saved can't be read.
pub async fn accounts_in(ctx: &Ctx, conn: &mut Conn) -> Result<AccountSettings> {
    Ok(read_accounts(ctx.services(), table::get(conn, ACCOUNTS).await?.as_deref()))
}

/// As [`accounts_in`], of the text that was saved.
pub(crate) fn read_accounts(services: &Services, saved: Option<&str>) -> AccountSettings {
    let environment = &services.settings;
    let default = AccountSettings {
        registration: environment.registration,
        session_days: u32::try_from(environment.refresh_days).unwrap_or(7),
        ..AccountSettings::default()
    };
    let Some(text) = saved else { return default };
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the saved settings of accounts can't be read; the environment's apply");
        default
    })
}

pub async fn accounts(ctx: &Ctx) -> Result<AccountSettings> {
    ctx.require_administration()?;
    accounts_in(ctx, &mut ctx.services().db.read().await?).await
}

/// Replaces them all. They apply from the next request on; a session keeps the end that it has until it is used again.
pub async fn update_accounts(ctx: &Ctx, settings: AccountSettings) -> Result<AccountSettings> {
    replace_accounts(ctx, settings, None).await
}

/// As [`update_accounts`], as long as they are still `base`; else a conflict with what they are.
pub async fn replace_accounts(ctx: &Ctx, mut settings: AccountSettings, base: Option<&AccountSettings>) -> Result<AccountSettings> {
    ctx.require_administrator_in_person()?;
    settings.normalize();
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut tx = ctx.services().db.begin().await?;
    let before = write(ctx, &mut tx, ACCOUNTS, &settings, base, |saved| read_accounts(ctx.services(), saved)).await?;
    let facts = Facts::about("settings", ACCOUNTS, ACCOUNTS).with(json!({ "before": before, "after": settings }));
    audit::record(ctx, &mut tx, AuditAction::SettingsChanged, facts);
    ctx.commit(tx).await?;
    Ok(settings)
}

/// How many requests are taken now, for the doors; as [`load`].
pub async fn rates_in(conn: &mut Conn) -> Result<RateSettings> {
    Ok(read(RATES, table::get(conn, RATES).await?.as_deref()))
}

pub async fn rates(ctx: &Ctx) -> Result<RateSettings> {
    ctx.require_admin()?;
    rates_in(&mut ctx.services().db.read().await?).await
}

/// Replaces them all. Every process follows within a few seconds.
pub async fn update_rates(ctx: &Ctx, settings: RateSettings) -> Result<RateSettings> {
    replace_rates(ctx, settings, None).await
}

/// As [`update_rates`], as long as they are still `base`; else a conflict with what they are.
pub async fn replace_rates(ctx: &Ctx, settings: RateSettings, base: Option<&RateSettings>) -> Result<RateSettings> {
    let admin = ctx.require_admin()?.id;
    let fields = settings.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut tx = ctx.services().db.begin().await?;
    write(ctx, &mut tx, RATES, &settings, base, |saved| read(RATES, saved)).await?;
    audit::record(ctx, &mut tx, AuditAction::SettingsChanged, Facts::about("settings", RATES, RATES).with(json!(settings)));
    ctx.commit(tx).await?;
    tracing::info!(by = %admin, "the rates of requests were changed");
    Ok(settings)
}
