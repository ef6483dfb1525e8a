use axum::{
    Json,
    body::Body as Bytes,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Error, chat::ExportFormat};
use serde::Deserialize;
use wire::{
    ConversationId, Page, PageQuery, ProjectId, QueuedPromptId, RewindId, TurnId,
    chat::{
        Conversation, ConversationQuery, ConversationView, CreateConversation, DecideApproval, ForkConversation, FoundConversation,
        Message, Queued, QueuedPrompt, RemovedConversation, RewindConversation, RewindOutcome, RewindPreview, StartTurn, Turn, TurnStarted,
        UndoRewind, UndoneRewind, UpdateConversation, UpdateQueued, Window,
    },
};

use crate::http::{
    bytes::disposition,
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/conversations", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/conversations", Access::Member, post(create))
        .add(Method::GET, "/api/projects/{id}/conversations/removed", Access::Member, get(removed))
        .add(Method::GET, "/api/conversations/{id}", Access::Member, get(read))
        .add(Method::PATCH, "/api/conversations/{id}", Access::Member, patch(rename))
        .add(Method::DELETE, "/api/conversations/{id}", Access::Member, delete(remove))
        .add(Method::GET, "/api/conversations/{id}/messages", Access::Member, get(messages))
        .add(Method::POST, "/api/conversations/{id}/restore", Access::Member, post(restore))
        .add(Method::GET, "/api/conversations/{id}/export", Access::Member, get(export))
        .add(Method::POST, "/api/conversations/{id}/fork", Access::Member, post(fork))
        .add(Method::GET, "/api/conversations/{id}/rewind/{turn}", Access::Member, get(preview_rewind))
        .add(Method::POST, "/api/conversations/{id}/rewind", Access::Member, post(rewind))
        .add(Method::POST, "/api/rewinds/{id}/undo", Access::Member, post(undo_rewind))
        .add(Method::POST, "/api/conversations/{id}/turns", Access::Member, post(start_turn))
        .add(Method::POST, "/api/conversations/{id}/queue", Access::Member, post(enqueue))
        .add(Method::PATCH, "/api/queue/{id}", Access::Member, patch(update_queued))
        .add(Method::DELETE, "/api/queue/{id}", Access::Member, delete(remove_queued))
        .add(Method::POST, "/api/queue/{id}/send", Access::Member, post(send_queued))
        .add(Method::GET, "/api/turns/{id}", Access::Member, get(read_turn))
        .add(Method::POST, "/api/turns/{id}/stop", Access::Member, post(stop_turn))
        .add(Method::POST, "/api/turns/{id}/approvals/{call_id}", Access::Member, post(decide_approval))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(query): Asked<ConversationQuery>) -> Answer<Json<Page<FoundConversation>>> {
    domain::chat::search_conversations(&ctx, id, query).await.map(Json).map_err(refuse(&ctx))
}

async fn removed(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<RemovedConversation>>> {
    domain::chat::removed_page(&ctx, id, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn create(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Body(request): Body<CreateConversation>,
) -> Answer<(StatusCode, Json<Conversation>)> {
    let conversation = domain::chat::create_conversation(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(conversation)))
}

async fn read(Caller(ctx): Caller, At(id): At<ConversationId>, Asked(window): Asked<Window>) -> Answer<Json<ConversationView>> {
    domain::chat::view(&ctx, id, window).await.map(Json).map_err(refuse(&ctx))
}

async fn rename(Caller(ctx): Caller, At(id): At<ConversationId>, Body(request): Body<UpdateConversation>) -> Answer<Json<Conversation>> {
    domain::chat::rename_conversation(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At(id): At<ConversationId>) -> Answer<StatusCode> {
    domain::chat::delete_conversation(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

/// The latest messages in their order; the next page has older ones.
async fn messages(Caller(ctx): Caller, At(id): At<ConversationId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Message>>> {
    domain::chat::messages_page(&ctx, id, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn restore(Caller(ctx): Caller, At(id): At<ConversationId>) -> Answer<Json<Conversation>> {
    domain::chat::restore_conversation(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Exported {
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Markdown,
    Json,
}

async fn export(Caller(ctx): Caller, At(id): At<ConversationId>, Asked(asked): Asked<Exported>) -> Answer<Response> {
    let format = match asked.format {
        Format::Markdown => ExportFormat::Markdown,
        Format::Json => ExportFormat::Json,
    };
    let made = domain::chat::export(&ctx, id, format).await.map_err(refuse(&ctx))?;
    let headers = [
        (header::CONTENT_TYPE, made.media_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition(&made.file_name)),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Bytes::from_stream(made.body)).into_response())
}

async fn fork(
    Caller(ctx): Caller,
    At(id): At<ConversationId>,
    Body(request): Body<ForkConversation>,
) -> Answer<(StatusCode, Json<Conversation>)> {
    let made = domain::chat::fork(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn preview_rewind(Caller(ctx): Caller, At((id, turn)): At<(ConversationId, TurnId)>) -> Answer<Json<RewindPreview>> {
    domain::chat::preview_rewind(&ctx, id, turn).await.map(Json).map_err(refuse(&ctx))
}

/// What stands in the way is a 409 with the paths as its `current`.
async fn rewind(Caller(ctx): Caller, At(id): At<ConversationId>, Body(request): Body<RewindConversation>) -> Answer<Json<RewindOutcome>> {
    let outcome = domain::chat::rewind(&ctx, id, request).await.map_err(refuse(&ctx))?;
    let RewindOutcome::Conflict { paths } = &outcome else { return Ok(Json(outcome)) };
    let error = in_the_way(paths, serde_json::to_value(&outcome).ok());
    Err(refuse(&ctx)(error))
}

async fn undo_rewind(Caller(ctx): Caller, At(id): At<RewindId>, Body(request): Body<UndoRewind>) -> Answer<Json<UndoneRewind>> {
    let outcome = domain::chat::undo_rewind(&ctx, id, request).await.map_err(refuse(&ctx))?;
    let UndoneRewind::Conflict { paths } = &outcome else { return Ok(Json(outcome)) };
    let error = in_the_way(paths, serde_json::to_value(&outcome).ok());
    Err(refuse(&ctx)(error))
}

fn in_the_way(paths: &[wire::files::PathConflict], current: Option<serde_json::Value>) -> Error {
    let first = paths.first().map(|conflict| format!("{}: {}", conflict.path, conflict.reason)).unwrap_or_default();
    Error::Conflict { detail: format!("{first} Nothing was changed; look at the preview again."), current }
}

async fn start_turn(
    Caller(ctx): Caller,
    At(id): At<ConversationId>,
    Body(request): Body<StartTurn>,
) -> Answer<(StatusCode, Json<TurnStarted>)> {
    let started = domain::chat::start_turn(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

async fn read_turn(Caller(ctx): Caller, At(id): At<TurnId>) -> Answer<Json<Turn>> {
    domain::chat::get_turn(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn stop_turn(Caller(ctx): Caller, At(id): At<TurnId>) -> Answer<Json<Turn>> {
    domain::chat::stop_turn(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn decide_approval(
    Caller(ctx): Caller,
    At((id, call_id)): At<(TurnId, String)>,
    Body(request): Body<DecideApproval>,
) -> Answer<StatusCode> {
    domain::chat::decide_approval(&ctx, id, &call_id, request).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn enqueue(Caller(ctx): Caller, At(id): At<ConversationId>, Body(request): Body<StartTurn>) -> Answer<(StatusCode, Json<Queued>)> {
    let queued = domain::chat::enqueue(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(queued)))
}

async fn update_queued(Caller(ctx): Caller, At(id): At<QueuedPromptId>, Body(request): Body<UpdateQueued>) -> Answer<Json<QueuedPrompt>> {
    domain::chat::update_queued(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

/// Only what it is based on is removed, where that is named.
#[derive(Deserialize, schemars::JsonSchema)]
struct Seen {
    version: Option<i64>,
}

async fn remove_queued(Caller(ctx): Caller, At(id): At<QueuedPromptId>, Asked(seen): Asked<Seen>) -> Answer<StatusCode> {
    domain::chat::remove_queued(&ctx, id, seen.version).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn send_queued(Caller(ctx): Caller, At(id): At<QueuedPromptId>) -> Answer<(StatusCode, Json<Queued>)> {
    let queued = domain::chat::send_queued_now(&ctx, id).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(queued)))
}
