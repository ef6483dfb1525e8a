//! Servers with tools for the agent. Administrators add them; what they offer goes through the same permissions as every other tool.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use store::{
    Tx, Word,
    mcp::{self as table, McpServerRow},
};
use uuid::Uuid;
use wire::{
    McpServerId,
    audit::AuditAction,
    event::{EventKind, Stream},
    mcp::{COMMAND_MAX, CreateMcpServer, McpServer, McpTest, McpTool, McpTransport, UpdateMcpServer, check_name},
};

use crate::{
    Ctx, Error, Result, Secret,
    audit::{self, Facts},
    models::{check_key, hosts, key_state},
    vault,
};

/// More would crowd out the project in what a model is sent.
const SERVERS_MAX: usize = 20;
const STALE: &str = "Somebody else changed this meanwhile. Nothing was changed; look at it again.";

/// A server, ready to be spoken to.
#[derive(Debug, Clone)]
pub struct ToolServer {
    pub name: String,
    pub transport: McpTransport,
    pub target: String,
    pub key: Option<Secret>,
    /// The operator named this host: it may be inside the network.
    pub trusted_host: bool,
    /// What it says of a tool being read-only is believed.
    pub trusted: bool,
}

/// The way to servers with tools; domain itself connects to nobody.
#[async_trait]
pub trait RemoteTools: Send + Sync + 'static {
    /// What a server at an address offers. Errors: a sentence for people, without the key.
    async fn list(&self, at: ToolServer) -> Result<Vec<McpTool>, String>;
}

/// Reaches nobody; for processes that never ask.
pub struct NoRemoteTools;

#[async_trait]
impl RemoteTools for NoRemoteTools {
    async fn list(&self, _: ToolServer) -> Result<Vec<McpTool>, String> {
        Err("This process does not connect to servers with tools.".to_owned())
    }
}

pub fn no_remote_tools() -> Arc<dyn RemoteTools> {
    Arc::new(NoRemoteTools)
}

fn bound_to(server: McpServerId, host: &str) -> String {
    format!("mcp-server:{server}:{host}")
}

fn into_server(ctx: &Ctx, row: McpServerRow) -> McpServer {
    let key = key_state(ctx, row.key_sealed.as_deref(), &row.key_hint, &row.key_host, &row.host, &bound_to(row.id, &row.host));
    McpServer {
        id: row.id,
        name: row.name,
        transport: row.transport.0,
        target: row.target,
        key,
        trusted: row.trusted,
        active: row.active,
        created_at: row.created_at,
        revision: row.revision,
    }
}

/// Puts a checked target into the row. Errors: `Invalid` for the field `target`.
fn set_target(ctx: &Ctx, row: &mut McpServerRow, target: &str) -> Result<()> {
    let target = target.trim();
    if row.transport.0 == McpTransport::Stdio {
        if target.is_empty() || target.len() > COMMAND_MAX || target.chars().any(char::is_control) {
            return Err(Error::invalid("target", "Give a command of one line, up to 1000 characters, such as python3 tools/server.py."));
        }
        (row.target, row.host) = (target.to_owned(), String::new());
        return Ok(());
    }
    let url = hosts::check(target, &ctx.services().models.hosts).map_err(|error| match error {
        Error::Invalid(fields) => Error::invalid("target", fields.into_iter().next().map(|field| field.message).unwrap_or_default()),
        other => other,
    })?;
    (row.target, row.host) = (url.text, url.host);
    Ok(())
}

fn set_key(ctx: &Ctx, row: &mut McpServerRow, key: &str) -> Result<()> {
    if row.transport.0 == McpTransport::Stdio {
        return Err(Error::invalid("key", "A command in the sandbox gets no key. Leave it empty."));
    }
    let key = check_key(key)?;
    let bound = bound_to(row.id, &row.host);
    row.key_sealed = Some(ctx.services().vault.seal(&*ctx.services().ids, &Secret(key.as_bytes().to_vec()), &bound));
    row.key_hint = vault::hint(key);
    row.key_host = row.host.clone();
    Ok(())
}

fn checked_name(name: &str) -> Result<String> {
    let name = name.trim();
    check_name(name).map_err(|reason| Error::invalid("name", reason))?;
    Ok(name.to_owned())
}

fn name_taken(error: store::Error) -> Error {
    match error {
        store::Error::Taken(_) => Error::invalid("name", "Another server has this name. Choose a different one."),
        other => other.into(),
    }
}

fn note(ctx: &Ctx, tx: &mut Tx, row: &McpServerRow, what: &str) {
    let details = json!({
        "what": what, "transport": row.transport.0, "host": row.host, "active": row.active, "trusted": row.trusted, "has_key": row.key_sealed.is_some(),
    });
    audit::record(ctx, tx, AuditAction::ToolServerChanged, Facts::about("tool_server", row.id, row.name.clone()).with(details));
}

async fn announce(ctx: &Ctx, tx: &mut Tx) -> Result<()> {
    Ok(store::events::append(tx, Stream::Admin, ctx.now(), vec![EventKind::McpServersChanged {}]).await?)
}

/// All servers by name, for administrators.
pub async fn list(ctx: &Ctx) -> Result<Vec<McpServer>> {
    ctx.require_admin()?;
    let rows = table::list(&mut ctx.services().db.read().await?).await?;
    Ok(rows.into_iter().map(|row| into_server(ctx, row)).collect())
}

/// Adds a server. An address is checked against what the operator allows, and its key is sealed for that host.
pub async fn create(ctx: &Ctx, request: CreateMcpServer) -> Result<McpServer> {
    let admin = ctx.require_admin()?.id;
    let mut row = McpServerRow {
        id: ctx.new_id::<Uuid>().into(),
        name: checked_name(&request.name)?,
        transport: Word(request.transport),
        target: String::new(),
        host: String::new(),
        key_sealed: None,
        key_hint: String::new(),
        key_host: String::new(),
        trusted: request.trusted,
        active: true,
        revision: 1,
        created_at: ctx.now(),
        created_by: Some(admin),
    };
    set_target(ctx, &mut row, &request.target)?;
    if let Some(key) = request.key.as_deref().filter(|key| !key.trim().is_empty()) {
        set_key(ctx, &mut row, key)?;
    }
    let mut tx = ctx.services().db.begin().await?;
    table::insert(&mut tx, &row).await.map_err(name_taken)?;
    note(ctx, &mut tx, &row, "added");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(server.id = %row.id, name = row.name, transport = row.transport.0.word(), by = %admin, "a server with tools was added");
    Ok(into_server(ctx, row))
}

/// Changes a server. Where its host becomes another, its key is deleted, since it was for the old one.
pub async fn update(ctx: &Ctx, id: McpServerId, request: UpdateMcpServer) -> Result<McpServer> {
    let admin = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let mut row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("server"))?;
    if row.revision != request.revision {
        return Err(Error::conflict(STALE));
    }
    if let Some(name) = &request.name {
        row.name = checked_name(name)?;
    }
    if let Some(target) = &request.target {
        set_target(ctx, &mut row, target)?;
    }
    match request.key.as_deref().map(str::trim) {
        Some("") => {
            row.key_sealed = None;
            row.key_hint.clear();
            row.key_host.clear();
        }
        Some(key) => set_key(ctx, &mut row, key)?,
        // The old host stays beside the missing key, to tell why there is none.
        None if row.key_sealed.is_some() && row.key_host != row.host => {
            row.key_sealed = None;
            row.key_hint.clear();
        }
        None => {}
    }
    row.trusted = request.trusted.unwrap_or(row.trusted);
    row.active = request.active.unwrap_or(row.active);
    if !table::update(&mut tx, &row).await.map_err(name_taken)? {
        return Err(Error::conflict(STALE));
    }
    note(ctx, &mut tx, &row, "changed");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    row.revision += 1;
    tracing::info!(server.id = %id, name = row.name, active = row.active, trusted = row.trusted, by = %admin, "a server with tools was changed");
    Ok(into_server(ctx, row))
}

/// Takes a server away with its key. Turns that use it now end with what they have.
pub async fn remove(ctx: &Ctx, id: McpServerId) -> Result<()> {
    let admin = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let row = table::get(&mut tx, id).await?.ok_or(Error::NotFound("server"))?;
    if !table::remove(&mut tx, id).await? {
        return Err(Error::NotFound("server"));
    }
    note(ctx, &mut tx, &row, "removed");
    announce(ctx, &mut tx).await?;
    ctx.commit(tx).await?;
    tracing::info!(server.id = %id, by = %admin, "a server with tools was removed");
    Ok(())
}

/// Asks a server for its tools, and says what came of it.
pub async fn test(ctx: &Ctx, id: McpServerId) -> Result<McpTest> {
    ctx.require_admin()?;
    let row = table::get(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("server"))?;
    let answer = match reach(ctx, &row) {
        Ok(server) if server.transport == McpTransport::Stdio => {
            Err("A command starts with each turn, in the sandbox of its project, and can't be tried without one.".to_owned())
        }
        Ok(server) => ctx.services().tools.list(server).await,
        Err(reason) => Err(reason),
    };
    Ok(match answer {
        Ok(tools) => McpTest { ok: true, detail: format!("{} answered and offers {} tools.", row.name, tools.len()), tools },
        Err(detail) => McpTest { ok: false, detail, tools: Vec::new() },
    })
}

/// The servers whose tools a turn may use, and a sentence for each that can't be reached as it is set up.
pub async fn offered(ctx: &Ctx) -> Result<(Vec<ToolServer>, Vec<String>)> {
    ctx.require_user()?;
    let rows = table::list(&mut ctx.services().db.read().await?).await?;
    let (mut servers, mut problems) = (Vec::new(), Vec::new());
    for row in rows.into_iter().filter(|row| row.active) {
        match reach(ctx, &row) {
            Ok(_) if servers.len() == SERVERS_MAX => {
                problems.push(format!("{} was not asked: {SERVERS_MAX} servers are in use already.", row.name))
            }
            Ok(server) => servers.push(server),
            Err(reason) => problems.push(reason),
        }
    }
    Ok((servers, problems))
}

fn reach(ctx: &Ctx, row: &McpServerRow) -> Result<ToolServer, String> {
    let name = &row.name;
    let mut server = ToolServer {
        name: name.clone(),
        transport: row.transport.0,
        target: row.target.clone(),
        key: None,
        trusted_host: false,
        trusted: row.trusted,
    };
    if row.transport.0 == McpTransport::Stdio {
        return Ok(server);
    }
    let url = hosts::check(&row.target, &ctx.services().models.hosts)
        .map_err(|_| format!("{name} was not asked: {} is not in AI_ALLOWED_HOSTS any more.", row.host))?;
    server.trusted_host = url.trusted;
    server.key = match &row.key_sealed {
        Some(sealed) if row.key_host == row.host => {
            let opened = ctx.services().vault.open(sealed, &bound_to(row.id, &row.host));
            Some(opened.map_err(|_| format!("{name} was not asked: its key can't be read. An administrator needs to enter it again."))?)
        }
        None if row.key_host.is_empty() => None,
        _ => return Err(format!("{name} was not asked: its key was for another host. An administrator needs to enter it again.")),
    };
    Ok(server)
}
