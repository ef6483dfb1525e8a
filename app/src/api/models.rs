use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ModelId, ProviderId,
    models::{
        CreateModel, CreateProvider, ManagedModel, ModelAdmin, ModelChoices, ModelVersion, Models, OwnKey, Provider, ProviderTest,
        SetOwnKey, UpdateModel, UpdateProvider,
    },
};

use super::ApiError;

/// The models that can be chosen, or how to connect one.
#[server(name = ListFn, prefix = "/fn", endpoint = "models/list", input = Json)]
pub async fn list() -> Result<Models, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::list(&ctx).await.map_err(super::ctx::refuse)
}

/// The providers for which the caller may set a key.
#[server(name = OwnKeysFn, prefix = "/fn", endpoint = "models/own_keys", input = Json)]
pub async fn own_keys() -> Result<Vec<OwnKey>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::own_keys(&ctx).await.map_err(super::ctx::refuse)
}

/// Sets or replaces the caller's key for a provider.
#[server(name = SetOwnKeyFn, prefix = "/fn", endpoint = "models/set_own_key", input = Json)]
pub async fn set_own_key(provider: ProviderId, request: SetOwnKey) -> Result<Vec<OwnKey>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::set_own_key(&ctx, provider, request).await.map_err(super::ctx::refuse)
}

/// Forgets the caller's key for a provider.
#[server(name = RemoveOwnKeyFn, prefix = "/fn", endpoint = "models/remove_own_key", input = Json)]
pub async fn remove_own_key(provider: ProviderId) -> Result<Vec<OwnKey>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::remove_own_key(&ctx, provider).await.map_err(super::ctx::refuse)
}

/// Providers, models and what is chosen.
#[server(name = AdminViewFn, prefix = "/fn", endpoint = "admin/models", input = Json)]
pub async fn admin_view() -> Result<ModelAdmin, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::admin_view(&ctx).await.map_err(super::ctx::refuse)
}

/// Chooses which model answers when nobody picks one, and which when another fails. With a revision only over that one, else it is
/// refused with what is chosen now.
#[server(name = SetChoicesFn, prefix = "/fn", endpoint = "admin/set_model_choices", input = Json)]
pub async fn set_choices(request: ModelChoices) -> Result<ModelAdmin, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::set_choices(&ctx, request).await.map_err(super::ctx::refuse)
}

/// A new model of a provider.
#[server(name = CreateModelFn, prefix = "/fn", endpoint = "admin/create_model", input = Json)]
pub async fn create_model(request: CreateModel) -> Result<ManagedModel, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::create_model(&ctx, request).await.map_err(super::ctx::refuse)
}

/// Changes a model; other settings make a new version.
#[server(name = UpdateModelFn, prefix = "/fn", endpoint = "admin/update_model", input = Json)]
pub async fn update_model(id: ModelId, request: UpdateModel) -> Result<ManagedModel, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::update_model(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Takes a model away.
#[server(name = RemoveModelFn, prefix = "/fn", endpoint = "admin/remove_model", input = Json)]
pub async fn remove_model(id: ModelId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::remove_model(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Every version that a model had, the newest first.
#[server(name = VersionsFn, prefix = "/fn", endpoint = "admin/model_versions", input = Json)]
pub async fn versions(id: ModelId) -> Result<Vec<ModelVersion>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::versions(&ctx, id).await.map_err(super::ctx::refuse)
}

/// A new provider.
#[server(name = CreateProviderFn, prefix = "/fn", endpoint = "admin/create_model_provider", input = Json)]
pub async fn create_provider(request: CreateProvider) -> Result<Provider, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::create_provider(&ctx, request).await.map_err(super::ctx::refuse)
}

/// Changes a provider.
#[server(name = UpdateProviderFn, prefix = "/fn", endpoint = "admin/update_model_provider", input = Json)]
pub async fn update_provider(id: ProviderId, request: UpdateProvider) -> Result<Provider, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::update_provider(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Takes a provider away with its models and keys.
#[server(name = RemoveProviderFn, prefix = "/fn", endpoint = "admin/remove_model_provider", input = Json)]
pub async fn remove_provider(id: ProviderId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::remove_provider(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Asks a provider for its models.
#[server(name = TestProviderFn, prefix = "/fn", endpoint = "admin/test_model_provider", input = Json)]
pub async fn test_provider(id: ProviderId) -> Result<ProviderTest, ApiError> {
    let ctx = super::ctx::current()?;
    domain::models::test_provider(&ctx, id).await.map_err(super::ctx::refuse)
}
