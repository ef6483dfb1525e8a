use leptos::prelude::*;
use server_fn::codec::Json;
use wire::preferences::{Preferences, UpdatePreferences};

use super::ApiError;

/// What the person who is signed in chose.
#[server(name = PreferencesFn, prefix = "/fn", endpoint = "preferences/get", input = Json)]
pub async fn get() -> Result<Preferences, ApiError> {
    let ctx = super::ctx::current()?;
    domain::preferences::get(&ctx).await.map_err(super::ctx::refuse)
}

/// Changes some of it; a conflict's `current` is what is kept now.
#[server(name = UpdatePreferencesFn, prefix = "/fn", endpoint = "preferences/update", input = Json)]
pub async fn update(request: UpdatePreferences) -> Result<Preferences, ApiError> {
    let ctx = super::ctx::current()?;
    domain::preferences::update(&ctx, request).await.map_err(super::ctx::refuse)
}
