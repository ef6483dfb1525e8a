use leptos::prelude::*;
use server_fn::codec::Json;
use wire::dashboard::Dashboard;

use super::ApiError;

/// What waits and goes on in the caller's projects, what they talked about last, and what this month has cost them.
#[server(name = DashboardFn, prefix = "/fn", endpoint = "dashboard/mine", input = Json)]
pub async fn mine() -> Result<Dashboard, ApiError> {
    let ctx = super::ctx::current()?;
    domain::dashboard::mine(&ctx).await.map_err(super::ctx::refuse)
}
