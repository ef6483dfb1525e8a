use sqlx::FromRow;
use wire::{
    Micros, ModelId, ModelVersionId, ProviderId, UserId,
    models::{Audience, ModelSettings, Prices, ProviderKind},
    users::UserRef,
};

use crate::{Conn, Result, Word, db::on, users::user_ref};

#[derive(Debug, Clone, FromRow)]
pub struct ProviderRow {
    pub id: ProviderId,
    pub name: String,
    pub kind: Word<ProviderKind>,
    pub base_url: String,
    pub host: String,
    pub env_name: Option<String>,
    pub key_sealed: Option<Vec<u8>>,
    pub key_hint: String,
    /// The host that the key is for; with no key, the one for which there was a key until the host changed. Empty: never had one.
    pub key_host: String,
    pub own_keys: bool,
    pub active: bool,
    pub revision: i64,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
    pub removed_at: Option<Micros>,
}

macro_rules! select_providers {
    ($filter:literal) => {
        concat!(
            "SELECT id, name, kind, base_url, host, env_name, key_sealed, key_hint, key_host, own_keys, active, revision, created_at,
                    created_by, removed_at
             FROM model_providers WHERE ",
            $filter
        )
    };
}

/// Those that were not removed, the oldest first.
pub async fn providers(c: &mut Conn) -> Result<Vec<ProviderRow>> {
    Ok(on!(c, c => sqlx::query_as(select_providers!("removed_at IS NULL ORDER BY created_at, id")).fetch_all(c).await?))
}

pub async fn provider(c: &mut Conn, id: ProviderId) -> Result<Option<ProviderRow>> {
    Ok(on!(c, c => sqlx::query_as(select_providers!("id = $1 AND removed_at IS NULL")).bind(id).fetch_optional(c).await?))
}

/// Those that an environment configured, removed ones included.
pub async fn environment_providers(c: &mut Conn) -> Result<Vec<ProviderRow>> {
    Ok(on!(c, c => sqlx::query_as(select_providers!("env_name IS NOT NULL ORDER BY created_at, id")).fetch_all(c).await?))
}

pub async fn insert_provider(c: &mut Conn, row: &ProviderRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO model_providers (id, name, kind, base_url, host, env_name, key_sealed, key_hint, key_host, own_keys, active,
                                          revision, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(row.id).bind(&row.name).bind(row.kind).bind(&row.base_url).bind(&row.host).bind(&row.env_name).bind(&row.key_sealed)
        .bind(&row.key_hint).bind(&row.key_host).bind(row.own_keys).bind(row.active).bind(row.revision).bind(row.created_at)
        .bind(row.created_by).execute(c).await?;
    });
    Ok(())
}

/// Writes what can change, unless somebody else did since `row.revision`; then `false`. The revision counts up.
pub async fn update_provider(c: &mut Conn, row: &ProviderRow) -> Result<bool> {
    let changed = on!(c, c => {
        sqlx::query(
            "UPDATE model_providers SET name = $3, kind = $4, base_url = $5, host = $6, key_sealed = $7, key_hint = $8, key_host = $9,
                    own_keys = $10, active = $11, removed_at = $12, revision = revision + 1
             WHERE id = $1 AND revision = $2",
        )
        .bind(row.id).bind(row.revision).bind(&row.name).bind(row.kind).bind(&row.base_url).bind(&row.host).bind(&row.key_sealed)
        .bind(&row.key_hint).bind(&row.key_host).bind(row.own_keys).bind(row.active).bind(row.removed_at)
        .execute(c).await?.rows_affected()
    });
    Ok(changed == 1)
}

/// Takes a provider away with its models and every key for it.
pub async fn remove_provider(c: &mut Conn, id: ProviderId, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "UPDATE model_providers SET removed_at = $2, key_sealed = NULL, key_hint = '', key_host = '', revision = revision + 1
             WHERE id = $1 AND removed_at IS NULL",
        )
        .bind(id).bind(at).execute(&mut *c).await?;
        sqlx::query("DELETE FROM user_model_keys WHERE provider_id = $1").bind(id).execute(&mut *c).await?;
        sqlx::query("UPDATE models SET removed_at = $2, revision = revision + 1 WHERE provider_id = $1 AND removed_at IS NULL")
            .bind(id).bind(at).execute(c).await?;
    });
    Ok(())
}

/// Brings back the models that went with their provider at that moment, but for those whose name is taken by now.
pub async fn revive_models(c: &mut Conn, provider: ProviderId, removed_at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "UPDATE models SET removed_at = NULL, revision = revision + 1 WHERE provider_id = $1 AND removed_at = $2
             AND NOT EXISTS (SELECT 1 FROM models o WHERE o.name = models.name AND o.removed_at IS NULL)",
        )
        .bind(provider).bind(removed_at).execute(c).await?;
    });
    Ok(())
}

#[derive(Debug, Clone, FromRow)]
pub struct ModelRow {
    pub id: ModelId,
    pub provider_id: ProviderId,
    pub name: String,
    pub active: bool,
    pub audience: Word<Audience>,
    pub from_environment: bool,
    /// The number of its newest version.
    pub version: i64,
    pub revision: i64,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
    pub removed_at: Option<Micros>,
}

#[derive(Debug, Clone, FromRow)]
pub struct VersionRow {
    pub version_id: ModelVersionId,
    pub model_id: ModelId,
    pub number: i64,
    pub kind: Word<ProviderKind>,
    pub host: String,
    pub remote_name: String,
    pub context_tokens: i64,
    pub max_output: i64,
    pub images: bool,
    pub price_input: i64,
    pub price_output: i64,
    pub price_cached: i64,
    pub price_cache_write: Option<i64>,
    /// In thousandths.
    pub temperature: i64,
    pub reasoning: Option<String>,
    pub version_created_at: Micros,
    pub version_created_by: Option<UserId>,
    username: Option<String>,
    full_name: Option<String>,
}

impl VersionRow {
    pub fn settings(&self) -> ModelSettings {
        ModelSettings {
            remote_name: self.remote_name.clone(),
            context_tokens: self.context_tokens,
            max_output: self.max_output,
            images: self.images,
            prices: Prices {
                input: self.price_input,
                output: self.price_output,
                cached: self.price_cached,
                cache_write: self.price_cache_write,
            },
            temperature: self.temperature as f32 / 1000.0,
            reasoning: self.reasoning.clone(),
        }
    }

    pub fn created_by(&self) -> Option<UserRef> {
        user_ref(self.version_created_by, self.username.clone(), self.full_name.clone())
    }
}

/// A model with the version that answers.
#[derive(Debug, Clone, FromRow)]
pub struct CurrentModel {
    #[sqlx(flatten)]
    pub model: ModelRow,
    #[sqlx(flatten)]
    pub version: VersionRow,
}

macro_rules! version_columns {
    () => {
        "v.id AS version_id, v.model_id, v.number, v.kind, v.host, v.remote_name, v.context_tokens, v.max_output, v.images, v.price_input,
         v.price_output, v.price_cached, v.price_cache_write, v.temperature, v.reasoning, v.created_at AS version_created_at, v.created_by AS version_created_by,
         u.username, u.full_name"
    };
}

macro_rules! select_models {
    ($filter:literal) => {
        concat!(
            "SELECT m.id, m.provider_id, m.name, m.active, m.audience, m.from_environment, m.version, m.revision, m.created_at, m.created_by,
                    m.removed_at, ",
            version_columns!(),
            " FROM models m JOIN model_versions v ON v.model_id = m.id AND v.number = m.version LEFT JOIN users u ON u.id = v.created_by
              WHERE ",
            $filter
        )
    };
}

/// Those that were not removed, the oldest first.
pub async fn models(c: &mut Conn) -> Result<Vec<CurrentModel>> {
    Ok(on!(c, c => sqlx::query_as(select_models!("m.removed_at IS NULL ORDER BY m.created_at, m.id")).fetch_all(c).await?))
}

pub async fn model(c: &mut Conn, id: ModelId) -> Result<Option<CurrentModel>> {
    Ok(on!(c, c => sqlx::query_as(select_models!("m.id = $1 AND m.removed_at IS NULL")).bind(id).fetch_optional(c).await?))
}

/// Those of one provider that an environment configured, removed ones included.
pub async fn environment_models(c: &mut Conn, provider: ProviderId) -> Result<Vec<CurrentModel>> {
    Ok(on!(c, c => {
        sqlx::query_as(select_models!("m.provider_id = $1 AND m.from_environment ORDER BY m.created_at, m.id"))
            .bind(provider).fetch_all(c).await?
    }))
}

/// `Taken` where another model has the name.
pub async fn insert_model(c: &mut Conn, row: &ModelRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO models (id, provider_id, name, active, audience, from_environment, version, revision, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(row.id).bind(row.provider_id).bind(&row.name).bind(row.active).bind(row.audience).bind(row.from_environment)
        .bind(row.version).bind(row.revision).bind(row.created_at).bind(row.created_by).execute(c).await?;
    });
    Ok(())
}

/// Writes what can change, unless somebody else did since `row.revision`; then `false`. The revision counts up. `Taken` where another
/// model has the name.
pub async fn update_model(c: &mut Conn, row: &ModelRow) -> Result<bool> {
    let changed = on!(c, c => {
        sqlx::query(
            "UPDATE models SET name = $3, active = $4, audience = $5, version = $6, removed_at = $7, revision = revision + 1
             WHERE id = $1 AND revision = $2",
        )
        .bind(row.id).bind(row.revision).bind(&row.name).bind(row.active).bind(row.audience).bind(row.version).bind(row.removed_at)
        .execute(c).await?.rows_affected()
    });
    Ok(changed == 1)
}

pub struct NewVersion<'a> {
    pub id: ModelVersionId,
    pub model_id: ModelId,
    pub number: i64,
    pub kind: ProviderKind,
    pub host: &'a str,
    pub settings: &'a ModelSettings,
    pub at: Micros,
    /// `None` where the environment says so.
    pub by: Option<UserId>,
}

pub async fn insert_version(c: &mut Conn, new: &NewVersion<'_>) -> Result<()> {
    let ModelSettings { remote_name, context_tokens, max_output, images, prices, temperature, reasoning } = new.settings;
    let temperature = (f64::from(*temperature) * 1000.0).round() as i64;
    on!(c, c => {
        sqlx::query(
            "INSERT INTO model_versions (id, model_id, number, kind, host, remote_name, context_tokens, max_output, images, price_input,
                                         price_output, price_cached, temperature, reasoning, created_at, created_by, price_cache_write)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(new.id).bind(new.model_id).bind(new.number).bind(Word(new.kind)).bind(new.host).bind(remote_name).bind(context_tokens)
        .bind(max_output).bind(images).bind(prices.input).bind(prices.output).bind(prices.cached).bind(temperature).bind(reasoning)
        .bind(new.at).bind(new.by).bind(prices.cache_write).execute(c).await?;
    });
    Ok(())
}

/// The newest first.
pub async fn versions(c: &mut Conn, model: ModelId) -> Result<Vec<VersionRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(concat!(
            "SELECT ",
            version_columns!(),
            " FROM model_versions v LEFT JOIN users u ON u.id = v.created_by WHERE v.model_id = $1 ORDER BY v.number DESC"
        ))
        .bind(model).fetch_all(c).await?
    }))
}

#[derive(Debug, Clone, FromRow)]
pub struct UserKeyRow {
    pub user_id: UserId,
    pub provider_id: ProviderId,
    /// `None`: void since the provider's host is another than `key_host`.
    pub key_sealed: Option<Vec<u8>>,
    pub key_hint: String,
    pub key_host: String,
    pub set_at: Micros,
}

pub async fn user_keys(c: &mut Conn, user: UserId) -> Result<Vec<UserKeyRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT user_id, provider_id, key_sealed, key_hint, key_host, set_at FROM user_model_keys WHERE user_id = $1")
            .bind(user).fetch_all(c).await?
    }))
}

pub async fn put_user_key(c: &mut Conn, row: &UserKeyRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO user_model_keys (user_id, provider_id, key_sealed, key_hint, key_host, set_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id, provider_id) DO UPDATE SET key_sealed = $3, key_hint = $4, key_host = $5, set_at = $6",
        )
        .bind(row.user_id).bind(row.provider_id).bind(&row.key_sealed).bind(&row.key_hint).bind(&row.key_host).bind(row.set_at)
        .execute(c).await?;
    });
    Ok(())
}

pub async fn delete_user_key(c: &mut Conn, user: UserId, provider: ProviderId) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM user_model_keys WHERE user_id = $1 AND provider_id = $2")
            .bind(user).bind(provider).execute(c).await?.rows_affected()
    }) == 1)
}

/// Deletes what people's keys for a provider hold that are not for this host; answers how many there were. That there was one stays known.
pub async fn void_user_keys(c: &mut Conn, provider: ProviderId, host: &str) -> Result<i64> {
    let changed = on!(c, c => {
        sqlx::query(
            "UPDATE user_model_keys SET key_sealed = NULL, key_hint = ''
             WHERE provider_id = $1 AND key_host <> $2 AND key_sealed IS NOT NULL",
        )
        .bind(provider).bind(host).execute(c).await?.rows_affected()
    });
    Ok(changed as i64)
}
