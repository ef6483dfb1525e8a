use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    PermissionRuleId, ProjectId,
    permissions::{NewPermissionRule, PermissionRule, Permissions, TriedPermissions, TryPermissions},
};

use super::ApiError;

/// What the agent may do in the project without asking.
#[server(name = ListFn, prefix = "/fn", endpoint = "permissions/list", input = Json)]
pub async fn list(project: ProjectId) -> Result<Permissions, ApiError> {
    let ctx = super::ctx::current()?;
    domain::permissions::list(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Adds a rule; for editors.
#[server(name = AddFn, prefix = "/fn", endpoint = "permissions/add", input = Json)]
pub async fn add(project: ProjectId, request: NewPermissionRule) -> Result<PermissionRule, ApiError> {
    let ctx = super::ctx::current()?;
    domain::permissions::add(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Takes a rule back; for editors.
#[server(name = RevokeFn, prefix = "/fn", endpoint = "permissions/revoke", input = Json)]
pub async fn revoke(project: ProjectId, id: PermissionRuleId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::permissions::revoke(&ctx, project, id).await.map_err(super::ctx::refuse)
}

/// What the rules, and those in the request, would have decided over the last turns.
#[server(name = TryFn, prefix = "/fn", endpoint = "permissions/try", input = Json)]
pub async fn try_out(project: ProjectId, request: TryPermissions) -> Result<TriedPermissions, ApiError> {
    let ctx = super::ctx::current()?;
    domain::permissions::try_out(&ctx, project, request).await.map_err(super::ctx::refuse)
}
