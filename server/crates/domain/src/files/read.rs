use std::{collections::BTreeMap, ops::Range};

use blobs::Reader;
use store::files as table;
use wire::{
    ProjectId,
    event::Stream,
    files::{Entry, EntryKind, FileVersion, OpenedFile, Tree},
    limits,
    projects::ProjectRole,
};

use super::require_path;
use crate::{Ctx, Error, Result, projects};

/// Every entry, sorted by path, directories that only exist because of what lies in them included.
pub async fn tree(ctx: &Ctx, project: ProjectId) -> Result<Tree> {
    tree_below(ctx, project, None, None).await
}

/// As [`tree`], below one directory and down to a depth (1: only what lies directly in it).
pub async fn tree_below(ctx: &Ctx, project: ProjectId, below: Option<&str>, depth: Option<u32>) -> Result<Tree> {
    let below = below.filter(|path| !path.is_empty());
    if let Some(path) = below {
        require_path(path)?;
    }
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    // The numbers are read first: a list that is newer than them only means that an event comes twice.
    let seq = store::events::last_seq(&mut conn, Stream::Project(project)).await?;
    let revision = store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let rows = match below {
        Some(path) => table::current_below(&mut conn, project, path).await?,
        None => table::current(&mut conn, project).await?,
    };
    drop(conn);
    if let Some(path) = below
        && rows.is_empty()
    {
        let mut conn = ctx.services().db.read().await?;
        table::latest(&mut conn, project, path).await?.filter(|row| !row.is_deleted()).ok_or(Error::NotFound("directory"))?;
    }
    let prefix = below.map_or(0, |path| path.len() + 1);
    let mut items: BTreeMap<String, Entry> = BTreeMap::new();
    for row in rows {
        let parents: Vec<&str> =
            row.path.match_indices('/').map(|(at, _)| &row.path[..at]).filter(|p| p.len() > prefix.saturating_sub(1)).collect();
        for parent in parents {
            if !items.contains_key(parent) {
                items.insert(parent.to_owned(), implied_directory(parent, row.created_at));
            }
        }
        items.insert(row.path.clone(), row.into_entry());
    }
    let deep_enough = |entry: &Entry| depth.is_none_or(|depth| entry.path[prefix..].matches('/').count() < depth as usize);
    Ok(Tree { revision, seq, items: items.into_values().filter(deep_enough).collect() })
}

fn implied_directory(path: &str, at: wire::Micros) -> Entry {
    Entry {
        path: path.to_owned(),
        kind: EntryKind::Directory,
        size: 0,
        content_type: "inode/directory".to_owned(),
        checksum: String::new(),
        version: 0,
        mode: 0o755,
        updated_at: at,
        updated_by: None,
    }
}

async fn row(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>) -> Result<table::FileRow> {
    require_path(path)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let found = match version {
        Some(version) => table::at_version(&mut conn, project, path, version).await?,
        None => table::latest(&mut conn, project, path).await?,
    };
    found.filter(|row| !row.is_deleted()).ok_or(Error::NotFound("file"))
}

pub async fn entry(ctx: &Ctx, project: ProjectId, path: &str) -> Result<Entry> {
    Ok(row(ctx, project, path, None).await?.into_entry())
}

/// The bytes, streamed and verified against their checksum.
pub async fn read(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>) -> Result<(Entry, Reader)> {
    let entry = file_entry(ctx, project, path, version).await?;
    let reader = ctx.services().blobs.open(&entry.checksum).await?;
    Ok((entry, reader))
}

/// Part of the bytes; `range` must lie within the size.
pub async fn read_range(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>, range: Range<u64>) -> Result<(Entry, Reader)> {
    let entry = file_entry(ctx, project, path, version).await?;
    let reader = ctx.services().blobs.open_range(&entry.checksum, range).await?;
    Ok((entry, reader))
}

async fn file_entry(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>) -> Result<Entry> {
    let entry = row(ctx, project, path, version).await?.into_entry();
    if entry.kind == EntryKind::Directory {
        return Err(Error::BadRequest("This is a directory; it has no bytes. Its content is in the tree.".to_owned()));
    }
    Ok(entry)
}

/// A file for the editor. Text is UTF-8 without NUL, up to the editor's limit; anything else comes without its text.
pub async fn open_text(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>) -> Result<OpenedFile> {
    let entry = file_entry(ctx, project, path, version).await?;
    let text = if entry.size as u64 <= limits::EDITOR_MAX {
        let bytes = ctx.services().blobs.read_all(&entry.checksum, limits::EDITOR_MAX).await?;
        text_of(bytes)
    } else {
        None
    };
    Ok(OpenedFile { entry, text, format: Default::default(), style: Default::default() })
}

/// Bytes as text, if they are text.
pub(crate) fn text_of(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) { None } else { String::from_utf8(bytes).ok() }
}

/// Every version of a path, newest first.
pub async fn history(ctx: &Ctx, project: ProjectId, path: &str) -> Result<Vec<FileVersion>> {
    require_path(path)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let rows = table::history(&mut conn, project, path).await?;
    if rows.is_empty() {
        return Err(Error::NotFound("file"));
    }
    Ok(rows.into_iter().map(table::FileRow::into_version).collect())
}
