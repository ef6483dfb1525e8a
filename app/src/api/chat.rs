use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ConversationId, Page, ProjectId, QueuedPromptId, RewindId, TurnId,
    chat::{
        Conversation, ConversationQuery, ConversationView, CreateConversation, DecideApproval, ForkConversation, FoundConversation, Queued,
        QueuedPrompt, RemovedConversation, RewindConversation, RewindOutcome, RewindPreview, StartTurn, Turn, TurnStarted, UndoRewind,
        UndoneRewind, UpdateConversation, UpdateQueued, Window,
    },
};

use super::ApiError;

/// The conversations of a project, last used first, that have the words of the search.
#[server(name = ConversationsFn, prefix = "/fn", endpoint = "chat/conversations", input = Json)]
pub async fn conversations(project: ProjectId, query: ConversationQuery) -> Result<Page<FoundConversation>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::search_conversations(&ctx, project, query).await.map_err(super::ctx::refuse)
}

/// What was removed from a project and can be brought back, and until when.
#[server(name = RemovedFn, prefix = "/fn", endpoint = "chat/removed", input = Json)]
pub async fn removed(project: ProjectId) -> Result<Page<RemovedConversation>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::removed_conversations(&ctx, project).await.map_err(super::ctx::refuse)
}

/// A new conversation.
#[server(name = CreateFn, prefix = "/fn", endpoint = "chat/create", input = Json)]
pub async fn create(project: ProjectId, request: CreateConversation) -> Result<Conversation, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::create_conversation(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Gives a conversation another name.
#[server(name = RenameFn, prefix = "/fn", endpoint = "chat/rename", input = Json)]
pub async fn rename(id: ConversationId, request: UpdateConversation) -> Result<Conversation, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::rename_conversation(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Removes a conversation; it can be brought back for a week.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "chat/delete", input = Json)]
pub async fn delete(id: ConversationId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::delete_conversation(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Brings a removed conversation back.
#[server(name = RestoreFn, prefix = "/fn", endpoint = "chat/restore", input = Json)]
pub async fn restore(id: ConversationId) -> Result<Conversation, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::restore_conversation(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Part of a conversation: its latest messages, or those before a number.
#[server(name = ViewFn, prefix = "/fn", endpoint = "chat/view", input = Json)]
pub async fn view(id: ConversationId, window: Window) -> Result<ConversationView, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::view(&ctx, id, window).await.map_err(super::ctx::refuse)
}

/// A new conversation with the messages of this one up to one of them.
#[server(name = ForkFn, prefix = "/fn", endpoint = "chat/fork", input = Json)]
pub async fn fork(id: ConversationId, request: ForkConversation) -> Result<Conversation, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::fork(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// What going back to before a turn would do now.
#[server(name = PreviewRewindFn, prefix = "/fn", endpoint = "chat/preview_rewind", input = Json)]
pub async fn preview_rewind(id: ConversationId, turn: TurnId) -> Result<RewindPreview, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::preview_rewind(&ctx, id, turn).await.map_err(super::ctx::refuse)
}

/// Goes back to before a turn: the conversation, the files, or both.
#[server(name = RewindFn, prefix = "/fn", endpoint = "chat/rewind", input = Json)]
pub async fn rewind(id: ConversationId, request: RewindConversation) -> Result<RewindOutcome, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::rewind(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Takes a rewind back.
#[server(name = UndoRewindFn, prefix = "/fn", endpoint = "chat/undo_rewind", input = Json)]
pub async fn undo_rewind(id: RewindId, request: UndoRewind) -> Result<UndoneRewind, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::undo_rewind(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Hands the prompt to the agent or, while it works, to the queue.
#[server(name = EnqueueFn, prefix = "/fn", endpoint = "chat/enqueue", input = Json)]
pub async fn enqueue(conversation: ConversationId, request: StartTurn) -> Result<Queued, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::enqueue(&ctx, conversation, request).await.map_err(super::ctx::refuse)
}

/// Writes a prompt of the queue anew; with a version only that one, else it is refused with what waits now.
#[server(name = UpdateQueuedFn, prefix = "/fn", endpoint = "chat/update_queued", input = Json)]
pub async fn update_queued(id: QueuedPromptId, request: UpdateQueued) -> Result<QueuedPrompt, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::update_queued(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Takes a prompt out of the queue; with `version` only that one, else it is refused with what waits now.
#[server(name = RemoveQueuedFn, prefix = "/fn", endpoint = "chat/remove_queued", input = Json)]
pub async fn remove_queued(id: QueuedPromptId, version: Option<i64>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::remove_queued(&ctx, id, version).await.map_err(super::ctx::refuse)
}

/// Sends a prompt of the queue at once; a turn at work is stopped first.
#[server(name = SendQueuedFn, prefix = "/fn", endpoint = "chat/send_queued", input = Json)]
pub async fn send_queued(id: QueuedPromptId) -> Result<Queued, ApiError> {
    let ctx = super::ctx::current()?;
    domain::chat::send_queued_now(&ctx, id).await.map_err(super::ctx::refuse)
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
