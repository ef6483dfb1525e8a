use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::page;
use wire::{
    McpServerId, Page, PageQuery,
    mcp::{CreateMcpServer, McpServer, McpTest, UpdateMcpServer},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/admin/mcp-servers", Access::Admin, get(list))
        .add(Method::POST, "/api/admin/mcp-servers", Access::Admin, post(create))
        .add(Method::PATCH, "/api/admin/mcp-servers/{id}", Access::Admin, patch(update))
        .add(Method::DELETE, "/api/admin/mcp-servers/{id}", Access::Admin, delete(remove))
        .add(Method::POST, "/api/admin/mcp-servers/{id}/test", Access::Admin, post(test))
}

async fn list(Caller(ctx): Caller, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<McpServer>>> {
    let items = domain::mcp::list(&ctx).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "mcp-servers", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn create(Caller(ctx): Caller, Body(request): Body<CreateMcpServer>) -> Answer<(StatusCode, Json<McpServer>)> {
    let server = domain::mcp::create(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(server)))
}

async fn update(Caller(ctx): Caller, At(id): At<McpServerId>, Body(request): Body<UpdateMcpServer>) -> Answer<Json<McpServer>> {
    domain::mcp::update(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At(id): At<McpServerId>) -> Answer<StatusCode> {
    domain::mcp::remove(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn test(Caller(ctx): Caller, At(id): At<McpServerId>) -> Answer<Json<McpTest>> {
    domain::mcp::test(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
