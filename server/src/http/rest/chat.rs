use axum::{
    Json,
    http::{Method, StatusCode},
    routing::{delete, get, patch, post},
};
use wire::{
    ConversationId, Page, ProjectId, TurnId,
    chat::{
        Conversation, ConversationView, CreateConversation, DecideApproval, Message, Models, StartTurn, Turn, TurnStarted,
        UpdateConversation,
    },
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/models", Access::SignedIn, get(models))
        .add(Method::GET, "/api/projects/{id}/conversations", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/conversations", Access::Member, post(create))
        .add(Method::GET, "/api/conversations/{id}", Access::Member, get(read))
        .add(Method::PATCH, "/api/conversations/{id}", Access::Member, patch(rename))
        .add(Method::DELETE, "/api/conversations/{id}", Access::Member, delete(remove))
        .add(Method::GET, "/api/conversations/{id}/messages", Access::Member, get(messages))
        .add(Method::POST, "/api/conversations/{id}/turns", Access::Member, post(start_turn))
        .add(Method::GET, "/api/turns/{id}", Access::Member, get(read_turn))
        .add(Method::POST, "/api/turns/{id}/stop", Access::Member, post(stop_turn))
        .add(Method::POST, "/api/turns/{id}/approvals/{call_id}", Access::Member, post(decide_approval))
}

async fn models(Caller(ctx): Caller) -> Answer<Json<Models>> {
    domain::chat::models(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<Page<Conversation>>> {
    domain::chat::list_conversations(&ctx, id).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
}

async fn create(
    Caller(ctx): Caller,
    At(id): At<ProjectId>,
    Body(request): Body<CreateConversation>,
) -> Answer<(StatusCode, Json<Conversation>)> {
    let conversation = domain::chat::create_conversation(&ctx, id, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(conversation)))
}

async fn read(Caller(ctx): Caller, At(id): At<ConversationId>) -> Answer<Json<ConversationView>> {
    domain::chat::view(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn rename(Caller(ctx): Caller, At(id): At<ConversationId>, Body(request): Body<UpdateConversation>) -> Answer<Json<Conversation>> {
    domain::chat::rename_conversation(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At(id): At<ConversationId>) -> Answer<StatusCode> {
    domain::chat::delete_conversation(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn messages(Caller(ctx): Caller, At(id): At<ConversationId>) -> Answer<Json<Page<Message>>> {
    domain::chat::messages(&ctx, id).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
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
