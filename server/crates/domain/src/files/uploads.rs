//! Uploads in pieces. Every piece is a blob and a row, so that an upload goes on after a lost connection, a reload or a restart, on any
//! process. The last piece makes the file, by compare-and-swap as any write.

use std::io;

use blobs::{BlobError, Blobs, Reader, Stored};
use futures::{StreamExt, TryStreamExt, stream};
use store::{
    Doc,
    uploads::{self as table, PieceRow, UploadRow},
};
use tokio_util::io::{ReaderStream, StreamReader};
use wire::{
    ProjectId, UploadId,
    files::{StartUpload, Upload},
    projects::ProjectRole,
};

use super::{
    put::{Precondition, Put, check, store_as},
    require_path,
};
use crate::{Ctx, Error, Result, projects, quotas, storage};

/// An upload that nobody goes on with is forgotten after so long.
const KEPT_S: i64 = 24 * 3600;
/// Uploads of one person at a time, and what they may announce together.
const OPEN_MAX: i64 = 2000;
const OPEN_BYTES_MAX: i64 = 8 << 30;

/// What came of a piece.
pub enum Appended {
    /// There is more to come.
    More(Upload),
    /// It was the last one.
    Done(Put),
}

fn told(row: UploadRow) -> Upload {
    Upload { id: row.id, path: row.path, size: row.size, received: row.received, expires_at: row.expires_at }
}

/// Begins an upload. What can be known to fail at its end is refused here.
pub async fn start_upload(ctx: &Ctx, project: ProjectId, request: StartUpload) -> Result<Upload> {
    let user = ctx.require_user()?.id;
    require_path(&request.path)?;
    let limit = ctx.services().settings.file_size_limit;
    if request.size < 0 {
        return Err(Error::invalid("size", "A size is not negative."));
    }
    if request.size as u64 > limit {
        return Err(Error::TooLarge(format!("A file has at most {limit} bytes here. Nothing was changed.")));
    }
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let seen = store::files::latest(&mut tx, project, &request.path).await?;
    check(seen.as_ref(), &Precondition::try_from(request.base)?, &request.path)?;
    quotas::has_room(&mut tx, project, quotas::Delta { files: i64::from(seen.is_none()), bytes: request.size }).await?;
    table::remove_expired(&mut tx, ctx.now()).await?;
    let open = table::open_of(&mut tx, user, ctx.now()).await?;
    if open.uploads >= OPEN_MAX || open.bytes + request.size > OPEN_BYTES_MAX {
        return Err(Error::conflict("You have too many uploads that are not finished. Go on with them or cancel them, then try again."));
    }
    let row = UploadRow {
        id: ctx.new_id(),
        project_id: project,
        user_id: user,
        path: request.path,
        size: request.size,
        received: 0,
        base: Doc(request.base),
        created_at: ctx.now(),
        expires_at: ctx.now().plus_seconds(KEPT_S),
    };
    table::insert(&mut tx, &row).await?;
    ctx.commit(tx).await?;
    Ok(told(row))
}

/// Only whoever began it knows of an upload.
async fn find(ctx: &Ctx, id: UploadId) -> Result<UploadRow> {
    let user = ctx.require_user()?.id;
    let mut conn = ctx.services().db.read().await?;
    let row = table::get(&mut conn, id, ctx.now()).await?.filter(|row| row.user_id == user).ok_or(Error::NotFound("upload"))?;
    match projects::require(ctx, &mut conn, row.project_id, ProjectRole::Editor).await {
        Err(Error::NotFound(_)) => Err(Error::NotFound("upload")),
        other => other.map(|_| row),
    }
}

/// How far an upload has come.
pub async fn get_upload(ctx: &Ctx, id: UploadId) -> Result<Upload> {
    find(ctx, id).await.map(told)
}

/// Forgets an upload and what was received of it.
pub async fn discard_upload(ctx: &Ctx, id: UploadId) -> Result<()> {
    find(ctx, id).await?;
    let mut tx = ctx.services().db.begin().await?;
    table::remove(&mut tx, id).await?;
    ctx.commit(tx).await
}

/// Takes the bytes from `offset` on, which must be where the last piece ended. A piece counts when all of it has arrived; of one that
/// broke off nothing is kept. The last one makes the file, based on what the upload began with, or on `base` where that is given. If
/// that has changed meanwhile, the upload stays complete: an empty piece at its end tries again.
pub async fn append_upload(ctx: &Ctx, id: UploadId, offset: i64, body: Reader, base: Option<Precondition>) -> Result<Appended> {
    let mut row = find(ctx, id).await?;
    if offset != row.received {
        return Err(elsewhere(row));
    }
    if row.received < row.size {
        let blobs = storage::open(ctx, row.project_id).await?;
        let stored = receive(&*blobs, body, (row.size - row.received) as u64).await?;
        if stored.size > 0 {
            row = keep_piece(ctx, row, stored).await?;
        }
    }
    if row.received < row.size {
        return Ok(Appended::More(told(row)));
    }
    finish(ctx, row, base).await.map(Appended::Done)
}

fn elsewhere(row: UploadRow) -> Error {
    let detail = format!("This upload goes on at byte {}. Send the piece that begins there.", row.received);
    Error::Conflict { detail, current: serde_json::to_value(told(row)).ok() }
}

async fn receive(blobs: &dyn Blobs, body: Reader, room: u64) -> Result<Stored> {
    match blobs.put(body, room).await {
        Err(BlobError::TooLarge { .. }) => Err(Error::TooLarge(format!(
            "This is more than the {room} bytes that are left of the upload. The piece was not kept; begin again with the right size."
        ))),
        other => Ok(other?),
    }
}

async fn keep_piece(ctx: &Ctx, row: UploadRow, stored: Stored) -> Result<UploadRow> {
    let mut tx = ctx.services().db.begin().await?;
    storage::keep(ctx, &mut tx, row.project_id, &[&stored.sha256]).await?;
    let piece = PieceRow { start: row.received, size: stored.size as i64, checksum: stored.sha256 };
    let expires_at = ctx.now().plus_seconds(KEPT_S);
    if !table::append(&mut tx, row.id, &piece, expires_at).await? {
        drop(tx);
        // The same piece was sent twice, and the other came first.
        return Err(elsewhere(find(ctx, row.id).await?));
    }
    ctx.commit(tx).await?;
    Ok(UploadRow { received: row.received + piece.size, expires_at, ..row })
}

async fn finish(ctx: &Ctx, row: UploadRow, base: Option<Precondition>) -> Result<Put> {
    let precondition = match base {
        Some(base) => base,
        None => Precondition::try_from(row.base.0)?,
    };
    let pieces = table::pieces(&mut ctx.services().db.read().await?, row.id).await?;
    let blobs = storage::open(ctx, row.project_id).await?;
    let stored = match pieces.as_slice() {
        [one] => Stored { sha256: one.checksum.clone(), size: one.size as u64 },
        _ => {
            let joined = stream::iter(pieces).then(move |piece| {
                let blobs = blobs.clone();
                async move { blobs.open(&piece.checksum).await.map(ReaderStream::new).map_err(io::Error::other) }
            });
            let whole: Reader = Box::pin(StreamReader::new(joined.try_flatten().boxed()));
            storage::open(ctx, row.project_id).await?.put(whole, row.size as u64).await?
        }
    };
    if stored.size != row.size as u64 {
        return Err(Error::internal(format!("the pieces of upload {} are {} bytes, not {}", row.id, stored.size, row.size)));
    }
    store_as(ctx, row.project_id, &row.path, &precondition, stored, None, Some(row.id)).await
}
