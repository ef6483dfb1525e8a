use blobs::{Reader, Stored};
use store::files as table;
use wire::{
    FieldError, ProjectId, UploadId,
    files::{Base, Entry, EntryKind, FileAction, Origin, SaveOutcome, SaveText},
    limits,
    projects::ProjectRole,
};

use super::{
    encoding::encode,
    require_path,
    write::{Content, WriteBatch},
};
use crate::{Ctx, Error, Result, projects, storage};

/// What a write expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing may exist at the path.
    New,
    Version(i64),
    Checksum(String),
    /// Nothing was said: allowed only where nothing exists.
    None,
}

impl TryFrom<Base> for Precondition {
    type Error = Error;

    /// What one file is based on.
    fn try_from(base: Base) -> Result<Self> {
        match base {
            Base::New => Ok(Self::New),
            Base::Version(version) => Ok(Self::Version(version)),
            Base::Revision(_) => Err(Error::invalid("base", "A file is based on its version.")),
        }
    }
}

pub struct Put {
    pub entry: Entry,
    /// `false` when it replaced a version.
    pub created: bool,
}

pub(super) fn origin_of(ctx: &Ctx) -> Origin {
    if ctx.agent_turn().is_some() { Origin::Agent } else { Origin::Person }
}

/// Saves text from the editor. A conflict is an answer that shows what is there now.
pub async fn save_text(ctx: &Ctx, project: ProjectId, request: SaveText) -> Result<SaveOutcome> {
    let precondition = Precondition::try_from(request.base)?;
    let body: Reader = Box::pin(std::io::Cursor::new(encode(&request.text, &request.format)?));
    match put(ctx, project, &request.path, precondition, body, None).await {
        Ok(put) => Ok(SaveOutcome::Saved { entry: put.entry }),
        Err(Error::PreconditionFailed { .. }) => {
            let theirs = match super::open_text(ctx, project, &request.path, None).await {
                Ok(theirs) => Some(theirs),
                Err(Error::NotFound(_)) => None,
                Err(other) => return Err(other),
            };
            Ok(SaveOutcome::Conflict { theirs })
        }
        Err(other) => Err(other),
    }
}

/// Stores a file by compare-and-swap, streaming. The bytes are stored first; if the precondition fails they are an orphan blob.
pub async fn put(ctx: &Ctx, project: ProjectId, path: &str, precondition: Precondition, body: Reader, mode: Option<i32>) -> Result<Put> {
    require_path(path)?;
    // Refuse before the bytes travel where that is already certain; the transaction below decides.
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let seen = table::latest(&mut conn, project, path).await?;
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    drop(conn);
    check(seen.as_ref(), &precondition, path)?;
    let stored = blobs.put(body, ctx.services().settings.file_size_limit).await?;
    store_as(ctx, project, path, &precondition, stored, mode, None).await
}

/// Puts bytes that are stored at a path. Where they came by an upload, that ends in the same transaction.
pub(super) async fn store_as(
    ctx: &Ctx,
    project: ProjectId,
    path: &str,
    precondition: &Precondition,
    stored: Stored,
    mode: Option<i32>,
    upload: Option<UploadId>,
) -> Result<Put> {
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    let before = batch.latest(path).await?;
    check(before.as_ref(), precondition, path)?;
    if let Some(upload) = upload
        && !store::uploads::remove(&mut batch.tx, upload).await?
    {
        return Err(Error::NotFound("upload"));
    }
    let existing = before.as_ref().filter(|row| !row.is_deleted());
    let action = if existing.is_some() { FileAction::Modified } else { FileAction::Added };
    let mode = mode.or(existing.map(|row| row.mode as i32)).unwrap_or(0o644);
    let mut content = Content::file(path, stored.sha256, stored.size, mode);
    if existing.is_some_and(|row| row.kind.0 == EntryKind::Symlink) {
        check_target(ctx, &mut batch, project, &content).await?;
        content.kind = EntryKind::Symlink;
    }
    let entry = batch.write(before.as_ref(), &content, action, None).await?;
    batch.commit().await?;
    Ok(Put { entry, created: action == FileAction::Added })
}

/// A symbolic link stays one: what is written to it is where it leads.
pub(super) async fn check_target(ctx: &Ctx, batch: &mut WriteBatch<'_>, project: ProjectId, content: &Content) -> Result<()> {
    let path = &content.path;
    let refused = || {
        let rule = format!("one line of at most {} bytes", limits::PATH_MAX);
        Error::conflict(format!(
            "{path} is a symbolic link, and its content is where it leads: {rule}. Delete the link to put a file there."
        ))
    };
    if content.size == 0 || content.size > limits::PATH_MAX as u64 {
        return Err(refused());
    }
    let blobs = storage::blobs_of(ctx, &mut batch.tx, project).await?;
    let target = blobs.read_all(&content.checksum, limits::PATH_MAX as u64).await?;
    match std::str::from_utf8(&target) {
        Ok(target) if !target.contains(char::is_control) => Ok(()),
        _ => Err(refused()),
    }
}

pub(super) fn check(latest: Option<&table::FileRow>, precondition: &Precondition, path: &str) -> Result<()> {
    let existing = latest.filter(|row| !row.is_deleted());
    let holds = match (precondition, existing) {
        (Precondition::New | Precondition::None, None) => true,
        (Precondition::Version(version), Some(row)) => row.version == *version,
        (Precondition::Checksum(checksum), Some(row)) => row.checksum.as_deref() == Some(checksum),
        (Precondition::None, Some(_)) => {
            return Err(Error::PreconditionRequired(format!(
                "{path} exists. Name the version this is based on (If-Match), so that nobody's work is overwritten."
            )));
        }
        _ => false,
    };
    if holds {
        return Ok(());
    }
    let current = existing.cloned().and_then(|row| serde_json::to_value(row.into_entry()).ok());
    let detail = match current {
        Some(_) => format!("{path} has changed since the version this was based on. Nothing was written."),
        None => format!("{path} does not exist any more. Nothing was written."),
    };
    Err(Error::PreconditionFailed { detail, current })
}

/// An empty directory, kept even while nothing lies in it.
pub async fn create_directory(ctx: &Ctx, project: ProjectId, path: &str) -> Result<Entry> {
    require_path(path)?;
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    if !batch.existing(path).await?.is_empty() {
        return Err(Error::Invalid(vec![FieldError::new("path", format!("{path} exists already. Choose another name."))]));
    }
    let before = batch.latest(path).await?;
    let entry = batch.write(before.as_ref(), &Content::directory(path), FileAction::Added, None).await?;
    batch.commit().await?;
    Ok(entry)
}
