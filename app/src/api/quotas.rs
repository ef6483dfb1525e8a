use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId, UserId,
    quotas::{ProjectQuota, QuotaOverride, StorageSettings, UserQuota},
};

use super::ApiError;

/// What a project uses and may use.
#[server(name = OfProjectFn, prefix = "/fn", endpoint = "quotas/of_project", input = Json)]
pub async fn of_project(project: ProjectId) -> Result<ProjectQuota, ApiError> {
    let ctx = super::ctx::current()?;
    domain::quotas::of_project(&ctx, project).await.map_err(super::ctx::refuse)
}

/// What somebody's projects use together; for administrators.
#[server(name = OfUserFn, prefix = "/fn", endpoint = "admin/quota", input = Json)]
pub async fn of_user(user: UserId) -> Result<UserQuota, ApiError> {
    let ctx = super::ctx::current()?;
    domain::quotas::of_user(&ctx, user).await.map_err(super::ctx::refuse)
}

/// Gives somebody limits of their own; for administrators.
#[server(name = SetOfUserFn, prefix = "/fn", endpoint = "admin/set_quota", input = Json)]
pub async fn set_of_user(user: UserId, request: QuotaOverride) -> Result<UserQuota, ApiError> {
    let ctx = super::ctx::current()?;
    domain::quotas::set_of_user(&ctx, user, request).await.map_err(super::ctx::refuse)
}

/// What any project uses and may use; for administrators.
#[server(name = OfAnyProjectFn, prefix = "/fn", endpoint = "admin/project_quota", input = Json)]
pub async fn of_any_project(project: ProjectId) -> Result<ProjectQuota, ApiError> {
    let ctx = super::ctx::current()?;
    domain::quotas::of_any_project(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Gives a project limits of its own; for administrators.
#[server(name = SetOfProjectFn, prefix = "/fn", endpoint = "admin/set_project_quota", input = Json)]
pub async fn set_of_project(project: ProjectId, request: QuotaOverride) -> Result<ProjectQuota, ApiError> {
    let ctx = super::ctx::current()?;
    domain::quotas::set_of_project(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// What applies to everybody; for administrators.
#[server(name = StorageFn, prefix = "/fn", endpoint = "settings/storage", input = Json)]
pub async fn settings() -> Result<StorageSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::storage(&ctx).await.map_err(super::ctx::refuse)
}

/// Replaces what [`settings`] shows; with `base` only if that is still so, else it is refused with what is saved now.
#[server(name = UpdateStorageFn, prefix = "/fn", endpoint = "settings/update_storage", input = Json)]
pub async fn update_settings(request: StorageSettings, base: Option<StorageSettings>) -> Result<StorageSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::replace_storage(&ctx, request, base.as_ref()).await.map_err(super::ctx::refuse)
}
