use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    Page,
    audit::{AuditEntry, AuditQuery, AuditVerdict},
};

use super::ApiError;

/// Entries that fit, the newest first.
#[server(name = ListFn, prefix = "/fn", endpoint = "admin/audit", input = Json)]
pub async fn list(query: AuditQuery) -> Result<Page<AuditEntry>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::audit::list(&ctx, query).await.map_err(super::ctx::refuse)
}

/// Reads the whole chain and says whether it holds.
#[server(name = VerifyFn, prefix = "/fn", endpoint = "admin/verify_audit", input = Json)]
pub async fn verify() -> Result<AuditVerdict, ApiError> {
    let ctx = super::ctx::current()?;
    domain::audit::verify(&ctx).await.map_err(super::ctx::refuse)
}
