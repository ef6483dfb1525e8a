//! Where the bytes of a project are.

use std::sync::Arc;

use blobs::Blobs;
use store::Conn;
use wire::ProjectId;

use crate::{Ctx, Error, Result};

/// The store that a project's bytes are written to and read from. Says nothing about whether the caller may.
pub async fn blobs_of(ctx: &Ctx, conn: &mut Conn, project: ProjectId) -> Result<Arc<dyn Blobs>> {
    store::projects::revision(conn, project).await?.ok_or(Error::NotFound("project"))?;
    Ok(ctx.services().blobs.clone())
}
