use axum::{
    Json,
    body::{Body, Bytes},
    http::{HeaderName, Method, header},
};
use futures::TryStreamExt;
use wire::{
    Page,
    audit::{AuditEntry, AuditQuery, AuditVerdict},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, Caller},
    openapi::signature::get,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/admin/audit", Access::Admin, get(list))
        .add(Method::GET, "/api/admin/audit/export", Access::Admin, get(export))
        .add(Method::GET, "/api/admin/audit/verdict", Access::Admin, get(verify))
}

async fn list(Caller(ctx): Caller, Asked(query): Asked<AuditQuery>) -> Answer<Json<Page<AuditEntry>>> {
    domain::audit::list(&ctx, query).await.map(Json).map_err(refuse(&ctx))
}

async fn verify(Caller(ctx): Caller) -> Answer<Json<AuditVerdict>> {
    domain::audit::verify(&ctx).await.map(Json).map_err(refuse(&ctx))
}

/// Lines of JSON, the newest entry first.
async fn export(Caller(ctx): Caller, Asked(query): Asked<AuditQuery>) -> Answer<([(HeaderName, &'static str); 2], Body)> {
    let entries = domain::audit::export(&ctx, query).await.map_err(refuse(&ctx))?;
    let lines = entries.and_then(|entry| async move {
        let mut line = serde_json::to_vec(&entry).map_err(domain::Error::internal)?;
        line.push(b'\n');
        Ok(Bytes::from(line))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\"")];
    Ok((headers, Body::from_stream(lines)))
}
