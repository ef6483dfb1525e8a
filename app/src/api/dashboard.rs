use leptos::prelude::*;
use server_fn::codec::Json;
use wire::dashboard::FirstPage;

use super::ApiError;

/// The caller's projects and the room they take, what waits and goes on in them, what was talked about last, and what this month has cost.
#[server(name = DashboardFn, prefix = "/fn", endpoint = "dashboard/mine", input = Json)]
pub async fn mine() -> Result<FirstPage, ApiError> {
    let ctx = super::ctx::current()?;
    domain::dashboard::mine(&ctx).await.map_err(super::ctx::refuse)
}
