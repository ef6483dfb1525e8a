use leptos::prelude::*;
use server_fn::codec::Json;
use wire::settings::{AccountSettings, RunSettings};

use super::ApiError;

/// How much runs and terminals may use; for administrators.
#[server(name = RunsFn, prefix = "/fn", endpoint = "settings/runs", input = Json)]
pub async fn runs() -> Result<RunSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::runs(&ctx).await.map_err(super::ctx::refuse)
}

/// Replaces what [`runs`] shows; with `base` only if that is still so, else it is refused with what is saved now.
#[server(name = UpdateRunsFn, prefix = "/fn", endpoint = "settings/update_runs", input = Json)]
pub async fn update_runs(request: RunSettings, base: Option<RunSettings>) -> Result<RunSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::replace_runs(&ctx, request, base.as_ref()).await.map_err(super::ctx::refuse)
}

/// Who may have an account and how sessions are kept; for administrators.
#[server(name = AccountsFn, prefix = "/fn", endpoint = "settings/accounts", input = Json)]
pub async fn accounts() -> Result<AccountSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::accounts(&ctx).await.map_err(super::ctx::refuse)
}

/// Replaces what [`accounts`] shows, at once; with `base` only if that is still so, else it is refused with what is saved now.
#[server(name = UpdateAccountsFn, prefix = "/fn", endpoint = "settings/update_accounts", input = Json)]
pub async fn update_accounts(request: AccountSettings, base: Option<AccountSettings>) -> Result<AccountSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::replace_accounts(&ctx, request, base.as_ref()).await.map_err(super::ctx::refuse)
}
