//! Pictures for messages: uploaded once, then named by messages of their project.

use blobs::Reader;
use store::context as table;
use tokio::io::AsyncReadExt;
use wire::{
    ProjectId,
    chat::{Attachment, AttachmentKind},
    context::{IMAGE_MAX_BYTES, ImageRef, image_type},
    projects::ProjectRole,
};

use super::text::one_line;
use crate::{Ctx, Error, Result, projects, storage};

/// Bytes of all pictures of a project.
pub(crate) const PROJECT_MAX: i64 = 256 * 1024 * 1024;
/// What no message used is forgotten after so long.
const UNUSED_S: i64 = 24 * 3600;

/// Takes a picture for a message. `name` is what people see. Errors: `TooLarge` beyond 5 MB, `Invalid` for what is no picture.
pub async fn upload_image(ctx: &Ctx, project: ProjectId, name: &str, body: Reader) -> Result<ImageRef> {
    let user = ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let kept = table::image_bytes(&mut conn, project).await?;
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    drop(conn);
    let mut bytes = Vec::new();
    body.take(IMAGE_MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| Error::BadRequest(format!("The upload broke off: {error}.")))?;
    if bytes.len() > IMAGE_MAX_BYTES {
        return Err(Error::TooLarge("A picture has at most 5 MB. Nothing was stored; make it smaller.".to_owned()));
    }
    let Some(media_type) = image_type(&bytes) else {
        return Err(Error::invalid("image", "This is no PNG, JPEG, WebP or GIF picture. Nothing was stored."));
    };
    let size_bytes = bytes.len() as i64;
    if kept + size_bytes > PROJECT_MAX {
        return Err(Error::TooLarge("The conversations of this project hold 256 MB of pictures already. Nothing was stored.".to_owned()));
    }
    let stored = blobs.put_bytes(bytes).await?;
    let row = table::ImageRow { checksum: stored.sha256, media_type: media_type.to_owned(), size_bytes };
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    storage::keep(ctx, &mut tx, project, &[&row.checksum]).await?;
    table::insert_image(&mut tx, project, user.id, &row, ctx.now()).await?;
    ctx.commit(tx).await?;
    Ok(ImageRef { checksum: row.checksum, name: shown(name), media_type: row.media_type, size_bytes })
}

fn shown(name: &str) -> String {
    let name = one_line(name.rsplit(['/', '\\']).next().unwrap_or_default(), 80);
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "picture".to_owned() } else { name }
}

/// A picture's type and bytes, for whoever may see the project.
pub async fn open_image(ctx: &Ctx, project: ProjectId, checksum: &str) -> Result<(String, Vec<u8>)> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let row = table::image(&mut conn, project, checksum).await?.ok_or(Error::NotFound("picture"))?;
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    drop(conn);
    Ok((row.media_type, blobs.read_all(&row.checksum, IMAGE_MAX_BYTES as u64).await?))
}

/// As what goes along with a message; the row decides what it is, not the caller.
pub(super) async fn attach(ctx: &Ctx, project: ProjectId, image: &ImageRef) -> Result<Attachment> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let gone = || Error::invalid("images", "A picture of this message is not stored any more. Attach it again.");
    let row = table::image(&mut conn, project, &image.checksum).await?.ok_or_else(gone)?;
    Ok(Attachment {
        kind: AttachmentKind::Image,
        media_type: Some(row.media_type),
        checksum: Some(row.checksum),
        ..Attachment::file(shown(&image.name), "")
    })
}

/// Forgets pictures that no message used; their bytes go with the next sweep.
pub(crate) async fn forget_unused(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::forget_unused_images(&mut tx, ctx.now().plus_seconds(-UNUSED_S)).await?;
    ctx.commit(tx).await
}
