use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ConversationId, ProjectId, TurnId,
    chat::{Conversation, ConversationView, CreateConversation, DecideApproval, Models, StartTurn, Turn, TurnStarted},
};

use super::ApiError;

/// The models that can be chosen, or how to connect one.
#[server(name = ModelsFn, prefix = "/fn", endpoint = "chat/models", input = Json)]
pub async fn models() -> Result<Models, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::models(&ctx).await.map_err(super::ctx::refuse)
}

/// The conversations of a project, last used first.
#[server(name = ConversationsFn, prefix = "/fn", endpoint = "chat/conversations", input = Json)]
pub async fn conversations(project: ProjectId) -> Result<Vec<Conversation>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::list_conversations(&ctx, project).await.map_err(super::ctx::refuse)
}

/// A new conversation.
#[server(name = CreateFn, prefix = "/fn", endpoint = "chat/create", input = Json)]
pub async fn create(project: ProjectId, request: CreateConversation) -> Result<Conversation, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::create_conversation(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Removes a conversation.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "chat/delete", input = Json)]
pub async fn delete(id: ConversationId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::delete_conversation(&ctx, id).await.map_err(super::ctx::refuse)
}

/// A conversation with its turns and transcript.
#[server(name = ViewFn, prefix = "/fn", endpoint = "chat/view", input = Json)]
pub async fn view(id: ConversationId) -> Result<ConversationView, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::view(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Hands the prompt to the agent; follow `turn:{id}`.
#[server(name = StartTurnFn, prefix = "/fn", endpoint = "chat/start_turn", input = Json)]
pub async fn start_turn(conversation: ConversationId, request: StartTurn) -> Result<TurnStarted, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::start_turn(&ctx, conversation, request).await.map_err(super::ctx::refuse)
}

/// Stops a turn with everything it runs.
#[server(name = StopTurnFn, prefix = "/fn", endpoint = "chat/stop_turn", input = Json)]
pub async fn stop_turn(id: TurnId) -> Result<Turn, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::stop_turn(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Answers a tool call that waits for a person.
#[server(name = DecideApprovalFn, prefix = "/fn", endpoint = "chat/decide_approval", input = Json)]
pub async fn decide_approval(turn: TurnId, call_id: String, request: DecideApproval) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::decide_approval(&ctx, turn, &call_id, request).await.map_err(super::ctx::refuse)
}
