use axum::{body::Body, http::Method, response::Response};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use wire::ProjectId;

use crate::http::{
    bytes,
    error::{Answer, refuse},
    extract::{Asked, At, Caller},
    openapi::signature::get,
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/projects/{id}/archive", Access::Member, get(download))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct OfPath {
    #[serde(default)]
    path: String,
}

/// A directory as zip, made while it is sent.
async fn download(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(of): Asked<OfPath>) -> Answer<Response> {
    let archive = domain::export::open_folder(&ctx, id, &of.path).await.map_err(refuse(&ctx))?;
    let body = Body::from_stream(ReaderStream::with_capacity(archive.bytes, 64 * 1024));
    Ok(bytes::send_archive(&archive.filename, body))
}
