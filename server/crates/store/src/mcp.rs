use sqlx::FromRow;
use wire::{McpServerId, Micros, UserId, mcp::McpTransport};

use crate::{Conn, Result, Word, db::on};

#[derive(Debug, Clone, FromRow)]
pub struct McpServerRow {
    pub id: McpServerId,
    pub name: String,
    pub transport: Word<McpTransport>,
    pub target: String,
    pub host: String,
    pub key_sealed: Option<Vec<u8>>,
    pub key_hint: String,
    /// The host that the key is for; with no key, the one for which there was a key until the host changed. Empty: never had one.
    pub key_host: String,
    pub trusted: bool,
    pub active: bool,
    pub revision: i64,
    pub created_at: Micros,
    pub created_by: Option<UserId>,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT id, name, transport, target, host, key_sealed, key_hint, key_host, trusted, active, revision, created_at, created_by
             FROM mcp_servers ",
            $filter
        )
    };
}

/// All of them by name.
pub async fn list(c: &mut Conn) -> Result<Vec<McpServerRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("ORDER BY name")).fetch_all(c).await?))
}

pub async fn get(c: &mut Conn, id: McpServerId) -> Result<Option<McpServerRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("WHERE id = $1")).bind(id).fetch_optional(c).await?))
}

/// Errors: `Unique` for a name that is taken.
pub async fn insert(c: &mut Conn, row: &McpServerRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO mcp_servers (id, name, transport, target, host, key_sealed, key_hint, key_host, trusted, active, revision,
                                      created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(row.id).bind(&row.name).bind(row.transport).bind(&row.target).bind(&row.host).bind(&row.key_sealed).bind(&row.key_hint)
        .bind(&row.key_host).bind(row.trusted).bind(row.active).bind(row.revision).bind(row.created_at).bind(row.created_by)
        .execute(c).await?;
    });
    Ok(())
}

/// Writes what can change, unless somebody else did since `row.revision`; then `false`. The revision counts up.
pub async fn update(c: &mut Conn, row: &McpServerRow) -> Result<bool> {
    let changed = on!(c, c => {
        sqlx::query(
            "UPDATE mcp_servers SET name = $3, target = $4, host = $5, key_sealed = $6, key_hint = $7, key_host = $8, trusted = $9,
                    active = $10, revision = revision + 1
             WHERE id = $1 AND revision = $2",
        )
        .bind(row.id).bind(row.revision).bind(&row.name).bind(&row.target).bind(&row.host).bind(&row.key_sealed).bind(&row.key_hint)
        .bind(&row.key_host).bind(row.trusted).bind(row.active).execute(c).await?.rows_affected()
    });
    Ok(changed == 1)
}

/// False when there was none.
pub async fn remove(c: &mut Conn, id: McpServerId) -> Result<bool> {
    let removed = on!(c, c => sqlx::query("DELETE FROM mcp_servers WHERE id = $1").bind(id).execute(c).await?.rows_affected());
    Ok(removed == 1)
}
