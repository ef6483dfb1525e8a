use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    McpServerId,
    mcp::{CreateMcpServer, McpServer, McpTest, UpdateMcpServer},
};

use super::ApiError;

/// All servers with tools for the agent.
#[server(name = ListFn, prefix = "/fn", endpoint = "admin/mcp_servers", input = Json)]
pub async fn list() -> Result<Vec<McpServer>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::mcp::list(&ctx).await.map_err(super::ctx::refuse)
}

/// A new server.
#[server(name = CreateFn, prefix = "/fn", endpoint = "admin/create_mcp_server", input = Json)]
pub async fn create(request: CreateMcpServer) -> Result<McpServer, ApiError> {
    let ctx = super::ctx::current()?;
    domain::mcp::create(&ctx, request).await.map_err(super::ctx::refuse)
}

/// Changes a server.
#[server(name = UpdateFn, prefix = "/fn", endpoint = "admin/update_mcp_server", input = Json)]
pub async fn update(id: McpServerId, request: UpdateMcpServer) -> Result<McpServer, ApiError> {
    let ctx = super::ctx::current()?;
    domain::mcp::update(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Takes a server away with its key.
#[server(name = RemoveFn, prefix = "/fn", endpoint = "admin/remove_mcp_server", input = Json)]
pub async fn remove(id: McpServerId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::mcp::remove(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Asks a server for its tools.
#[server(name = TestFn, prefix = "/fn", endpoint = "admin/test_mcp_server", input = Json)]
pub async fn test(id: McpServerId) -> Result<McpTest, ApiError> {
    let ctx = super::ctx::current()?;
    domain::mcp::test(&ctx, id).await.map_err(super::ctx::refuse)
}
