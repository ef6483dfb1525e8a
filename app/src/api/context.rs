use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ConversationId, ProjectId,
    context::{Compaction, ContextView, PreviewContext, SetCompaction},
};

use super::ApiError;

/// What a model would be sent for a draft, part by part.
#[server(name = PreviewContextFn, prefix = "/fn", endpoint = "context/preview", input = Json)]
pub async fn preview(project: ProjectId, request: PreviewContext) -> Result<ContextView, ApiError> {
    let ctx = super::ctx::current()?;
    domain::context::preview(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// The summaries of a conversation and which of them were taken back.
#[server(name = CompactionsFn, prefix = "/fn", endpoint = "context/compactions", input = Json)]
pub async fn compactions(conversation: ConversationId) -> Result<Vec<Compaction>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::context::compactions(&ctx, conversation).await.map_err(super::ctx::refuse)
}

/// Takes a summary back, or puts it in force again.
#[server(name = SetCompactionFn, prefix = "/fn", endpoint = "context/set_compaction", input = Json)]
pub async fn set_compaction(conversation: ConversationId, seq: i64, request: SetCompaction) -> Result<Compaction, ApiError> {
    let ctx = super::ctx::current()?;
    domain::context::set_compaction(&ctx, conversation, seq, request).await.map_err(super::ctx::refuse)
}
