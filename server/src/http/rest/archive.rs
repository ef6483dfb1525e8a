use axum::{body::Body, http::Method, response::Response};
use serde::{Deserialize, Deserializer};
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

#[derive(schemars::JsonSchema)]
struct OfPaths {
    /// A directory; without it the project. Given several times: each of these files and directories.
    #[schemars(default)]
    path: Vec<String>,
}

/// By hand, since a query that names one value several times is no object for serde.
impl<'de> Deserialize<'de> for OfPaths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        Ok(Self { path: pairs.into_iter().filter(|(name, _)| name == "path").map(|(_, value)| value).collect() })
    }
}

/// A directory, or several files and directories, as zip, made while it is sent.
async fn download(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(of): Asked<OfPaths>) -> Answer<Response> {
    let archive = domain::export::open_paths(&ctx, id, &of.path).await.map_err(refuse(&ctx))?;
    let body = Body::from_stream(ReaderStream::with_capacity(archive.bytes, 64 * 1024));
    Ok(bytes::send_archive(&archive.filename, body))
}
