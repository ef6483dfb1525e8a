use std::{collections::HashSet, ops::Range, sync::Arc};

use blobs::{Blobs, Reader};
use store::{Conn, files as table};
use wire::{
    Page, PageQuery, ProjectId,
    event::Stream,
    files::{Entry, EntryKind, FileVersion, OpenedFile, TrashItem, Tree},
    limits,
    projects::ProjectRole,
};

use super::{editorconfig, encoding::decode, require_path};
use crate::{Ctx, Error, Result, page, projects, storage};

/// Versions on one page.
const HISTORY_PAGE: i64 = 100;
const TRASH_PAGE: i64 = 100;
const HISTORY: &str = "history";
const TRASH: &str = "trash";
const TRASH_LISTED: i64 = 1000;

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
    let mut items = entries_at(&mut conn, project, below).await?;
    if let Some(path) = below
        && items.is_empty()
    {
        table::latest(&mut conn, project, path).await?.filter(|row| !row.is_deleted()).ok_or(Error::NotFound("directory"))?;
    }
    drop(conn);
    let prefix = below.map_or(0, |path| path.len() + 1);
    if let Some(depth) = depth {
        items.retain(|entry| entry.path[prefix..].matches('/').count() < depth as usize);
    }
    Ok(Tree { revision, seq, items })
}

/// What exists now, or strictly below a directory, sorted by path, with the directories that only exist because of what lies in them.
pub(super) async fn entries_at(conn: &mut Conn, project: ProjectId, below: Option<&str>) -> Result<Vec<Entry>> {
    let items = table::entries(conn, project, below).await?;
    let mut implied = implied_directories(&items, below.map_or(0, |path| path.len() + 1));
    implied.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(merge(items, implied))
}

/// Two lists that are sorted by path as one. The second is the short one.
fn merge(items: Vec<Entry>, few: Vec<Entry>) -> Vec<Entry> {
    if few.is_empty() {
        return items;
    }
    let mut merged = Vec::with_capacity(items.len() + few.len());
    let mut few = few.into_iter().peekable();
    for item in items {
        while let Some(first) = few.next_if(|first| first.path < item.path) {
            merged.push(first);
        }
        merged.push(item);
    }
    merged.extend(few);
    merged
}

/// Directories that only exist because of what lies in them, of entries that are sorted by path and begin with `prefix` bytes.
fn implied_directories(entries: &[Entry], prefix: usize) -> Vec<Entry> {
    let mut known: HashSet<&str> = entries.iter().filter(|entry| entry.kind == EntryKind::Directory).map(|e| e.path.as_str()).collect();
    let mut implied = Vec::new();
    for entry in entries {
        let mut path = entry.path.as_str();
        // Where one is known, all above it are.
        while let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| parent.len() + 1 > prefix) {
            if !known.insert(parent) {
                break;
            }
            implied.push(implied_directory(parent, entry.updated_at));
            path = parent;
        }
    }
    implied
}

pub(super) fn implied_directory(path: &str, at: wire::Micros) -> Entry {
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

async fn row(ctx: &Ctx, conn: &mut Conn, project: ProjectId, path: &str, version: Option<i64>) -> Result<table::FileRow> {
    projects::require(ctx, conn, project, ProjectRole::Viewer).await?;
    let found = match version {
        Some(version) => table::at_version(conn, project, path, version).await?,
        None => table::latest(conn, project, path).await?,
    };
    found.filter(|row| !row.is_deleted()).ok_or(Error::NotFound("file"))
}

pub async fn entry(ctx: &Ctx, project: ProjectId, path: &str) -> Result<Entry> {
    require_path(path)?;
    Ok(row(ctx, &mut ctx.services().db.read().await?, project, path, None).await?.into_entry())
}

/// A file, or a symbolic link with its target as its bytes, that the caller may read.
pub struct Located {
    pub entry: Entry,
    blobs: Arc<dyn Blobs>,
}

impl Located {
    /// The bytes, streamed and verified against their checksum.
    pub async fn open(&self) -> Result<Reader> {
        Ok(self.blobs.open(&self.entry.checksum).await?)
    }

    /// Part of the bytes, which only the whole of them can be checked by; `range` must lie within the size.
    pub async fn open_range(&self, range: Range<u64>) -> Result<Reader> {
        if range == (0..self.entry.size as u64) {
            return self.open().await;
        }
        Ok(self.blobs.open_range(&self.entry.checksum, range).await?)
    }
}

/// Finds a file, at `version` or as it is now. Links are not followed.
pub async fn locate(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>) -> Result<Located> {
    require_path(path)?;
    let mut conn = ctx.services().db.read().await?;
    let entry = row(ctx, &mut conn, project, path, version).await?.into_entry();
    if entry.kind == EntryKind::Directory {
        return Err(Error::BadRequest("This is a directory; it has no bytes. Its content is in the tree.".to_owned()));
    }
    Ok(Located { entry, blobs: storage::blobs_of(ctx, &mut conn, project).await? })
}

/// A file for the editor, up to the editor's limit; what is no text or larger comes without it.
pub async fn open_text(ctx: &Ctx, project: ProjectId, path: &str, version: Option<i64>) -> Result<OpenedFile> {
    let Located { entry, blobs } = locate(ctx, project, path, version).await?;
    let mut conn = ctx.services().db.read().await?;
    let (style, new_format) = editorconfig::style_of(&mut conn, &*blobs, project, path).await?;
    drop(conn);
    if entry.size == 0 {
        return Ok(OpenedFile { entry, text: Some(String::new()), format: new_format, style });
    }
    let decoded = match entry.size as u64 <= limits::EDITOR_MAX {
        true => decode(&blobs.read_all(&entry.checksum, limits::EDITOR_MAX).await?),
        false => None,
    };
    let (text, format) = decoded.unzip();
    Ok(OpenedFile { entry, text, format: format.unwrap_or_default(), style })
}

/// Bytes as text, if they are text.
pub(crate) fn text_of(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) { None } else { String::from_utf8(bytes).ok() }
}

/// The versions of a path, newest first; `before`: only those older than that version. The cursor is the next `before`.
pub async fn history(ctx: &Ctx, project: ProjectId, path: &str, before: Option<i64>) -> Result<Page<FileVersion>> {
    require_path(path)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let mut rows = versions_before(&mut conn, project, path, before, HISTORY_PAGE).await?;
    let is_last = rows.len() as i64 <= HISTORY_PAGE;
    rows.truncate(HISTORY_PAGE as usize);
    let next_cursor = rows.last().filter(|_| !is_last).map(|row| row.version.to_string());
    Ok(Page { items: rows.into_iter().map(table::FileRow::into_version).collect(), next_cursor })
}

/// The same in pages of the caller's size.
pub async fn history_page(ctx: &Ctx, project: ProjectId, path: &str, asked: &PageQuery) -> Result<Page<FileVersion>> {
    require_path(path)?;
    let (limit, before) = (page::limit_of(asked, HISTORY_PAGE)?, page::after(asked, HISTORY)?);
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let rows = versions_before(&mut conn, project, path, before, limit).await?;
    Ok(page::map(page::cut(rows, limit, HISTORY, |row| row.version), table::FileRow::into_version))
}

/// One more than `limit`, where there are as many.
async fn versions_before(conn: &mut Conn, project: ProjectId, path: &str, before: Option<i64>, limit: i64) -> Result<Vec<table::FileRow>> {
    let rows = table::history(conn, project, path, before.unwrap_or(i64::MAX), limit + 1).await?;
    if rows.is_empty() && before.is_none() { Err(Error::NotFound("file")) } else { Ok(rows) }
}

/// What was deleted and can be restored, last deleted first: the newest 1000.
pub async fn trash(ctx: &Ctx, project: ProjectId) -> Result<Vec<TrashItem>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(table::trash(&mut conn, project, None, TRASH_LISTED).await?)
}

/// The same page by page, without an end.
pub async fn trash_page(ctx: &Ctx, project: ProjectId, asked: &PageQuery) -> Result<Page<TrashItem>> {
    let limit = page::limit_of(asked, TRASH_PAGE)?;
    let after: Option<(i64, String)> = page::after(asked, TRASH)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let after = after.as_ref().map(|(revision, path)| (*revision, path.as_str()));
    let items = table::trash(&mut conn, project, after, limit + 1).await?;
    Ok(page::cut(items, limit, TRASH, |item| (item.revision, item.path.clone())))
}
