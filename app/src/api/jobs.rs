use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{JobId, jobs::Job};

use super::ApiError;

/// Stops a job that the caller asked for.
#[server(name = CancelFn, prefix = "/fn", endpoint = "jobs/cancel", input = Json)]
pub async fn cancel(id: JobId) -> Result<Job, ApiError> {
    let ctx = super::ctx::current()?;
    domain::jobs::cancel(&ctx, id).await.map_err(super::ctx::refuse)
}
