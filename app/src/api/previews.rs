use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{RunId, previews::PreviewAddress};

use super::ApiError;

/// Where to go to see what listens on a port of a run. The address is good for one minute and leads to another origin, so it is
/// to be opened in a page of its own.
#[server(name = AddressFn, prefix = "/fn", endpoint = "previews/address", input = Json)]
pub async fn address(run: RunId, port: u16) -> Result<PreviewAddress, ApiError> {
    let ctx = super::ctx::current()?;
    domain::previews::address(&ctx, run, port, &super::ctx::host()).await.map_err(super::ctx::refuse)
}
