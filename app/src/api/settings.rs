use leptos::prelude::*;
use server_fn::codec::Json;
use wire::settings::RunSettings;

use super::ApiError;

/// How much runs and terminals may use; for administrators.
#[server(name = RunsFn, prefix = "/fn", endpoint = "settings/runs", input = Json)]
pub async fn runs() -> Result<RunSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::runs(&ctx).await.map_err(super::ctx::refuse)
}

/// Replaces what [`runs`] shows.
#[server(name = UpdateRunsFn, prefix = "/fn", endpoint = "settings/update_runs", input = Json)]
pub async fn update_runs(request: RunSettings) -> Result<RunSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::update_runs(&ctx, request).await.map_err(super::ctx::refuse)
}
