use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{ProjectId, changes::ChangeSet, proposals::ProposeText};

use super::ApiError;

/// A change set that gives one file another text, for review.
#[server(name = ProposeFn, prefix = "/fn", endpoint = "proposals/propose", input = Json)]
pub async fn propose(project: ProjectId, request: ProposeText) -> Result<ChangeSet, ApiError> {
    let ctx = super::ctx::current()?;
    domain::proposals::propose(&ctx, project, request).await.map_err(super::ctx::refuse)
}
