//! Models: who may pick which, how each is reached, and what was measured. Providers and models are rows; those that the operator's
//! environment configures are brought into step when the server starts, and their keys stay out of the database.

mod catalogue;
mod environment;
pub mod hosts;
mod keys;
mod providers;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use store::{
    Conn,
    models::{self as table, CurrentModel, ProviderRow, UserKeyRow},
};
use wire::{
    Micros, ModelVersionId, ProviderId,
    models::{Audience, ModelChoices, ModelInfo, ModelMetrics, ModelSettings, Models, Prices, ProviderKind},
};

pub use catalogue::{admin_view, create_model, remove_model, set_choices, update_model, versions};
pub use environment::adopt_environment;
pub use keys::{own_keys, remove_own_key, set_own_key};
pub(crate) use providers::{check_key, key_state};
pub use providers::{create_provider, remove_provider, test_provider, update_provider};

use crate::{Ctx, Error, Result, Secret};

const CHOICES: &str = "models";
/// How far back models are measured.
const METRICS_DAYS: i64 = 30;
/// What was measured is read again after so long.
const METRICS_FRESH_S: i64 = 20;
const NO_MODEL: &str = "No model is connected. Everything except the agent works. An administrator can add one under Administration, \
     Models, or set OPENAI_BASE_URL, OPENAI_API_KEY and AI_DEFAULT_MODEL and restart the server.";

/// Everything that is needed to ask a model. The key is for the host of `base_url` alone.
#[derive(Debug, Clone)]
pub struct ResolvedModel {
    /// As people pick it.
    pub name: String,
    pub version_id: ModelVersionId,
    pub kind: ProviderKind,
    pub base_url: String,
    /// The provider's name for it.
    pub remote_name: String,
    pub key: Option<Secret>,
    pub context_tokens: i64,
    pub max_output: i64,
    pub images: bool,
    pub prices: Prices,
    pub temperature: f32,
    pub reasoning: Option<String>,
    /// A script, not an AI.
    pub is_demo: bool,
    /// The operator named this host: it may be inside the network.
    pub trusted_host: bool,
}

/// Where a provider is, for asking what it offers.
#[derive(Debug, Clone)]
pub struct ProviderAddress {
    pub kind: ProviderKind,
    pub base_url: String,
    pub key: Option<Secret>,
    pub trusted_host: bool,
}

/// The way to providers; domain itself connects to nobody.
#[async_trait]
pub trait RemoteModels: Send + Sync + 'static {
    /// The provider's own names of its models. Errors: a sentence for people, without the key.
    async fn list(&self, at: ProviderAddress) -> Result<Vec<String>, String>;
}

/// A provider that the operator configured.
#[derive(Debug, Clone)]
pub struct EnvironmentProvider {
    /// What rows know it by, such as `openai`.
    pub env_name: String,
    pub name: String,
    pub kind: ProviderKind,
    pub base_url: String,
    pub key: Option<Secret>,
    /// Name and settings of each model that is there from the start.
    pub models: Vec<(String, ModelSettings)>,
}

/// When it was measured, and what.
type Measured = (Micros, Arc<HashMap<ModelVersionId, ModelMetrics>>);

/// What this process was told about models, and its way to providers.
pub struct ModelDesk {
    pub environment: Vec<EnvironmentProvider>,
    /// `AI_DEFAULT_MODEL`.
    pub default: Option<String>,
    /// `AI_BACKUP_MODEL`.
    pub backup: Option<String>,
    pub hosts: hosts::HostList,
    pub remote: Arc<dyn RemoteModels>,
    measured: Mutex<Option<Measured>>,
}

impl ModelDesk {
    pub fn new(remote: Arc<dyn RemoteModels>) -> Self {
        Self { environment: Vec::new(), default: None, backup: None, hosts: hosts::HostList::default(), remote, measured: Mutex::default() }
    }

    fn environment_of(&self, provider: &ProviderRow) -> Option<&EnvironmentProvider> {
        let name = provider.env_name.as_deref()?;
        self.environment.iter().find(|configured| configured.env_name == name)
    }
}

impl fmt::Debug for ModelDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelDesk").field("environment", &self.environment).field("default", &self.default).finish_non_exhaustive()
    }
}

/// The models that the caller may pick, or how one is connected.
pub async fn list(ctx: &Ctx) -> Result<Models> {
    let seen = look(ctx).await?;
    let measured = metrics(ctx).await?;
    let items: Vec<_> = seen.usable.iter().map(|offer| seen.describe(ctx, offer, &measured)).collect();
    let default = seen.default_name(ctx).filter(|_| !items.is_empty());
    let hint = if items.is_empty() { NO_MODEL.to_owned() } else { String::new() };
    Ok(Models { items, default, hint })
}

/// The name of the model that answers: the one asked for, or the default. Errors as [`resolve`].
pub async fn choose(ctx: &Ctx, name: Option<&str>) -> Result<String> {
    resolve(ctx, name).await.map(|model| model.name)
}

/// The model of that name, or the default one, with the key that the caller's calls are made with: their own before the installation's.
/// Only active models that the caller may use. Errors: `Invalid` for a name that is not there, `Unavailable` where none is connected or its
/// key can't be used.
pub async fn resolve(ctx: &Ctx, name: Option<&str>) -> Result<ResolvedModel> {
    let seen = look(ctx).await?;
    let wanted = name.filter(|name| !name.is_empty()).map(str::to_owned).or_else(|| seen.default_name(ctx));
    let Some(wanted) = wanted else { return Err(Error::Unavailable(NO_MODEL.to_owned())) };
    let Some(offer) = seen.find(&wanted) else {
        let shown: String = wanted.chars().take(wire::models::NAME_MAX).collect();
        return Err(Error::invalid("model", format!("There is no model {shown} now. Choose one of the list.")));
    };
    seen.resolve(ctx, offer)
}

/// What answers where this one fails before its first token; `None` where nothing else was chosen for that, or can be used.
pub async fn backup(ctx: &Ctx, than: &ResolvedModel) -> Result<Option<ResolvedModel>> {
    let seen = look(ctx).await?;
    let chosen = seen.choices.backup.clone().or_else(|| ctx.services().models.backup.clone());
    let Some(offer) = chosen.filter(|name| *name != than.name).and_then(|name| seen.find(&name)) else { return Ok(None) };
    match seen.resolve(ctx, offer) {
        Ok(model) => Ok(Some(model)),
        Err(Error::Unavailable(reason)) => {
            tracing::warn!(model = offer.model.name, reason, "the backup model can't be used");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What one caller may use now.
struct Seen {
    providers: HashMap<ProviderId, ProviderRow>,
    keys: HashMap<ProviderId, UserKeyRow>,
    usable: Vec<CurrentModel>,
    choices: ModelChoices,
}

/// Which key a call would be made with.
enum KeyChoice {
    Own(Secret),
    Shared(Option<Secret>),
    /// For people, why there is none that can be used.
    Missing(String),
}

async fn look(ctx: &Ctx) -> Result<Seen> {
    let user = ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    let providers: HashMap<_, _> =
        table::providers(&mut conn).await?.into_iter().filter(|row| row.active).map(|row| (row.id, row)).collect();
    let keys = table::user_keys(&mut conn, user.id).await?.into_iter().map(|row| (row.provider_id, row)).collect();
    let choices = choices(&mut conn).await?;
    let may_use = |model: &CurrentModel| {
        let for_caller = model.model.audience.0 == Audience::Everyone || user.is_admin();
        model.model.active && for_caller && providers.contains_key(&model.model.provider_id)
    };
    let mut usable: Vec<_> = table::models(&mut conn).await?.into_iter().filter(may_use).collect();
    // Real ones come before the demonstration.
    usable.sort_by_key(|offer| offer.version.kind.0 == ProviderKind::Demo);
    Ok(Seen { providers, keys, usable, choices })
}

impl Seen {
    fn find(&self, name: &str) -> Option<&CurrentModel> {
        self.usable.iter().find(|offer| offer.model.name == name)
    }

    fn default_name(&self, ctx: &Ctx) -> Option<String> {
        let wanted = [self.choices.default.as_deref(), ctx.services().models.default.as_deref()];
        let found = wanted.into_iter().flatten().find_map(|name| self.find(name));
        found.or(self.usable.first()).map(|offer| offer.model.name.clone())
    }

    fn describe(&self, ctx: &Ctx, offer: &CurrentModel, measured: &HashMap<ModelVersionId, ModelMetrics>) -> ModelInfo {
        let provider = &self.providers[&offer.model.provider_id];
        let key = self.choose_key(ctx, provider);
        let settings = offer.version.settings();
        ModelInfo {
            name: offer.model.name.clone(),
            provider: provider.name.clone(),
            is_demo: offer.version.kind.0 == ProviderKind::Demo,
            version_id: offer.version.version_id,
            version: offer.version.number,
            context_tokens: Some(offer.version.context_tokens),
            max_output: Some(offer.version.max_output),
            images: offer.version.images,
            prices: settings.prices,
            temperature: settings.temperature,
            reasoning: settings.reasoning,
            metrics: measured.get(&offer.version.version_id).copied().unwrap_or_default(),
            active: true,
            own_key: matches!(key, KeyChoice::Own(_)),
            needs_key: matches!(key, KeyChoice::Missing(_)),
        }
    }

    fn resolve(&self, ctx: &Ctx, offer: &CurrentModel) -> Result<ResolvedModel> {
        let provider = &self.providers[&offer.model.provider_id];
        let trusted_host = trusted(ctx, provider)?;
        let key = match self.choose_key(ctx, provider) {
            KeyChoice::Own(key) => Some(key),
            KeyChoice::Shared(key) => key,
            KeyChoice::Missing(reason) => return Err(Error::Unavailable(reason)),
        };
        let settings = offer.version.settings();
        Ok(ResolvedModel {
            name: offer.model.name.clone(),
            version_id: offer.version.version_id,
            kind: provider.kind.0,
            base_url: provider.base_url.clone(),
            remote_name: settings.remote_name,
            key,
            context_tokens: settings.context_tokens,
            max_output: settings.max_output,
            images: settings.images,
            prices: settings.prices,
            temperature: settings.temperature,
            reasoning: settings.reasoning,
            is_demo: provider.kind.0 == ProviderKind::Demo,
            trusted_host,
        })
    }

    /// The caller's own key where the provider allows it and its host is the one it was given for; then that of everybody.
    fn choose_key(&self, ctx: &Ctx, provider: &ProviderRow) -> KeyChoice {
        if provider.own_keys
            && let Some(own) = self.keys.get(&provider.id)
            && own.key_host == provider.host
            && let Some(sealed) = &own.key_sealed
        {
            return match ctx.services().vault.open(sealed, &keys::bound_to(own.user_id, provider.id, &provider.host)) {
                Ok(key) => KeyChoice::Own(key),
                Err(_) => KeyChoice::Missing(format!(
                    "Your key for {} can't be read any more, since the server's secret was changed. Nothing was sent; enter the key again in \
                     your settings.",
                    provider.name
                )),
            };
        }
        match providers::shared_key(ctx, provider) {
            Ok(Some(key)) => KeyChoice::Shared(Some(key)),
            Ok(None) if provider.own_keys => KeyChoice::Missing(format!(
                "{} is used with a key of your own. Nothing was sent; add yours in your settings.",
                provider.name
            )),
            Ok(None) => KeyChoice::Shared(None),
            Err(reason) => KeyChoice::Missing(reason),
        }
    }
}

/// Whether the operator vouches for a provider's host. Errors where it may not be used any more.
fn trusted(ctx: &Ctx, provider: &ProviderRow) -> Result<bool> {
    if provider.env_name.is_some() {
        return Ok(true);
    }
    let list = &ctx.services().models.hosts;
    hosts::check(&provider.base_url, list).map(|url| url.trusted).map_err(|_| {
        Error::Unavailable(format!(
            "{} is not in AI_ALLOWED_HOSTS any more. Nothing was sent. The operator can add it and restart the server.",
            provider.host
        ))
    })
}

async fn choices(conn: &mut Conn) -> Result<ModelChoices> {
    saved_choices(conn).await.map(|(choices, _)| choices)
}

/// What is chosen, always with its revision, and the text that it was read from.
async fn saved_choices(conn: &mut Conn) -> Result<(ModelChoices, Option<String>)> {
    let saved = store::settings::get(conn, CHOICES).await?;
    let mut choices = saved.as_deref().map_or_else(ModelChoices::default, |text| {
        serde_json::from_str(text).unwrap_or_else(|error| {
            tracing::error!(%error, "the chosen models can't be read; those of the environment apply");
            ModelChoices::default()
        })
    });
    choices.revision = choices.revision.or(Some(0));
    Ok((choices, saved))
}

/// What was measured of each version, at most some seconds old.
async fn metrics(ctx: &Ctx) -> Result<Arc<HashMap<ModelVersionId, ModelMetrics>>> {
    let desk = &ctx.services().models;
    let now = ctx.now();
    let kept = desk.measured.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    if let Some((at, measured)) = kept
        && now < at.plus_seconds(METRICS_FRESH_S)
    {
        return Ok(measured);
    }
    let since = now.plus_seconds(-86_400 * METRICS_DAYS);
    let rows = store::ledger::metrics(&mut ctx.services().db.read().await?, since).await?;
    let measured = Arc::new(rows.into_iter().collect::<HashMap<_, _>>());
    *desk.measured.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some((now, measured.clone()));
    Ok(measured)
}
