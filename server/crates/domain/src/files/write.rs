use blobs::Reader;
use store::{Tx, files as table, projects::Totals};
use wire::{
    FieldError, Micros, ProjectId, UserId,
    event::{EventKind, Stream},
    files::{Base, Entry, EntryKind, FileAction, MovePath, Origin, RestorePath, SaveOutcome, SaveText},
    limits,
    projects::ProjectRole,
};

use super::{content_type_of, require_path};
use crate::{Ctx, Error, Result, projects};

/// Beyond this many changes in one step readers are told to read the tree again.
const LISTED_CHANGES: usize = 200;

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

pub struct Put {
    pub entry: Entry,
    /// `false` when it replaced a version.
    pub created: bool,
}

/// Bytes that are already stored, to be put at a path.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub path: String,
    pub checksum: String,
    pub size: u64,
    pub mode: i32,
}

/// Several changes of one project as one revision. Taking the revision takes the project's row lock, so what a batch reads stays
/// true until it commits.
pub(crate) struct WriteBatch<'a> {
    ctx: &'a Ctx,
    pub tx: Tx,
    project: ProjectId,
    totals: Totals,
    origin: Origin,
    by: Option<UserId>,
    files: i64,
    bytes: i64,
    events: Vec<EventKind>,
}

impl<'a> WriteBatch<'a> {
    pub async fn begin(ctx: &'a Ctx, project: ProjectId, needed: ProjectRole, origin: Origin) -> Result<Self> {
        let mut tx = ctx.services().db.begin().await?;
        projects::require(ctx, &mut tx, project, needed).await?;
        let totals = store::projects::next_revision(&mut tx, project, ctx.now()).await?.ok_or(Error::NotFound("project"))?;
        Ok(Self { ctx, tx, project, totals, origin, by: ctx.user_id(), files: 0, bytes: 0, events: Vec::new() })
    }

    /// The revision that this batch makes.
    pub fn revision(&self) -> i64 {
        self.totals.revision
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub async fn latest(&mut self, path: &str) -> Result<Option<table::FileRow>> {
        Ok(table::latest(&mut self.tx, self.project, path).await?)
    }

    /// Puts content at a path; `before` is what `latest` answered for it.
    pub async fn write(
        &mut self,
        before: Option<&table::FileRow>,
        content: &Content,
        kind: EntryKind,
        action: FileAction,
        moved_from: Option<&str>,
    ) -> Result<()> {
        let existing = before.filter(|row| !row.is_deleted());
        if existing.is_none() {
            self.check_room_for(&content.path, kind).await?;
        }
        let (old_files, old_bytes) = existing.map_or((0, 0), weight);
        let is_file = kind != EntryKind::Directory;
        self.files += i64::from(is_file) - old_files;
        self.bytes += content.size as i64 - old_bytes;
        self.insert(before, content, kind, action, moved_from).await
    }

    pub async fn delete(&mut self, before: &table::FileRow) -> Result<()> {
        let (files, bytes) = weight(before);
        self.files -= files;
        self.bytes -= bytes;
        let content = Content { path: before.path.clone(), checksum: String::new(), size: 0, mode: before.mode as i32 };
        self.insert(Some(before), &content, before.kind.0, FileAction::Deleted, None).await
    }

    async fn insert(
        &mut self,
        before: Option<&table::FileRow>,
        content: &Content,
        kind: EntryKind,
        action: FileAction,
        moved_from: Option<&str>,
    ) -> Result<()> {
        let version = before.map_or(1, |row| row.version + 1);
        let is_directory = kind == EntryKind::Directory;
        let new = table::NewVersion {
            project_id: self.project,
            path: &content.path,
            version,
            revision: self.totals.revision,
            action,
            kind,
            size: content.size as i64,
            content_type: if is_directory { "inode/directory" } else { content_type_of(&content.path) },
            checksum: (!content.checksum.is_empty()).then_some(&*content.checksum),
            mode: content.mode,
            origin: self.origin,
            at: self.ctx.now(),
            by: self.by,
        };
        table::insert_version(&mut self.tx, &new).await?;
        self.events.push(EventKind::FileChanged {
            path: content.path.clone(),
            action,
            version,
            checksum: content.checksum.clone(),
            origin: self.origin,
            by: self.ctx.user_ref(),
            revision: self.totals.revision,
            moved_from: moved_from.map(str::to_owned),
        });
        Ok(())
    }

    /// A file can't lie below a file, nor take the place of a directory.
    async fn check_room_for(&mut self, path: &str, kind: EntryKind) -> Result<()> {
        for (at, _) in path.match_indices('/') {
            let above = self.latest(&path[..at]).await?.filter(|row| !row.is_deleted() && row.kind.0 != EntryKind::Directory);
            if let Some(file) = above {
                return Err(Error::conflict(format!("{} is a file, so nothing can be put below it. Rename one of them.", file.path)));
            }
        }
        if kind != EntryKind::Directory && !table::current_below(&mut self.tx, self.project, path).await?.is_empty() {
            return Err(Error::conflict(format!("{path} is a directory. Choose another name for the file.")));
        }
        Ok(())
    }

    /// Checks the quota, books the totals, appends the events and commits.
    pub async fn commit(mut self) -> Result<i64> {
        let (files, bytes) = (self.totals.file_count + self.files, self.totals.size_bytes + self.bytes);
        if files > limits::PROJECT_FILES_MAX && self.files > 0 {
            return Err(Error::TooLarge("A project holds at most 200 000 files. Nothing was changed; remove some first.".to_owned()));
        }
        if bytes > limits::PROJECT_BYTES_MAX && self.bytes > 0 {
            return Err(Error::TooLarge("A project holds at most 2 GiB. Nothing was changed; remove something first.".to_owned()));
        }
        store::projects::add_totals(&mut self.tx, self.project, self.files, self.bytes).await?;
        let events = if self.events.len() > LISTED_CHANGES {
            vec![EventKind::TreeChanged { revision: self.totals.revision, by: self.ctx.user_ref() }]
        } else {
            self.events
        };
        store::events::append(&mut self.tx, Stream::Project(self.project), self.ctx.now(), events).await?;
        self.ctx.commit(self.tx).await?;
        Ok(self.totals.revision)
    }
}

/// What a row counts towards the project's totals.
fn weight(row: &table::FileRow) -> (i64, i64) {
    (i64::from(row.kind.0 != EntryKind::Directory), row.size)
}

/// Fills a project that nobody sees yet, or that is new: no conflicts to look for, and no events.
pub(crate) async fn insert_all(
    tx: &mut Tx,
    project: ProjectId,
    files: &[Content],
    origin: Origin,
    by: Option<UserId>,
    at: Micros,
) -> Result<()> {
    let totals = store::projects::next_revision(tx, project, at).await?.ok_or(Error::NotFound("project"))?;
    for file in files {
        let new = table::NewVersion {
            project_id: project,
            path: &file.path,
            version: 1,
            revision: totals.revision,
            action: FileAction::Added,
            kind: EntryKind::File,
            size: file.size as i64,
            content_type: content_type_of(&file.path),
            checksum: Some(&file.checksum),
            mode: file.mode,
            origin,
            at,
            by,
        };
        table::insert_version(tx, &new).await?;
    }
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    store::projects::add_totals(tx, project, files.len() as i64, bytes as i64).await?;
    Ok(())
}

fn origin_of(ctx: &Ctx) -> Origin {
    if ctx.agent_turn().is_some() { Origin::Agent } else { Origin::Person }
}

/// Saves text from the editor. A conflict is an answer that shows what is there now.
pub async fn save_text(ctx: &Ctx, project: ProjectId, request: SaveText) -> Result<SaveOutcome> {
    let precondition = match request.base {
        Base::New => Precondition::New,
        Base::Version(version) => Precondition::Version(version),
        Base::Revision(_) => return Err(Error::invalid("base", "A file is based on its version.")),
    };
    let body: Reader = Box::pin(std::io::Cursor::new(request.text.into_bytes()));
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
    drop(conn);
    check(seen.as_ref(), &precondition, path)?;
    let stored = ctx.services().blobs.put(body, ctx.services().settings.file_size_limit).await?;

    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    let before = batch.latest(path).await?;
    check(before.as_ref(), &precondition, path)?;
    let existing = before.as_ref().filter(|row| !row.is_deleted());
    if existing.is_some_and(|row| row.kind.0 == EntryKind::Directory) {
        return Err(Error::conflict(format!("{path} is a directory. Choose another name for the file.")));
    }
    let action = if existing.is_some() { FileAction::Modified } else { FileAction::Added };
    let mode = mode.or(existing.map(|row| row.mode as i32)).unwrap_or(0o644);
    let content = Content { path: path.to_owned(), checksum: stored.sha256, size: stored.size, mode };
    batch.write(before.as_ref(), &content, EntryKind::File, action, None).await?;
    batch.commit().await?;
    Ok(Put { entry: super::entry(ctx, project, path).await?, created: action == FileAction::Added })
}

fn check(latest: Option<&table::FileRow>, precondition: &Precondition, path: &str) -> Result<()> {
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
    let before = batch.latest(path).await?;
    let exists =
        before.as_ref().is_some_and(|row| !row.is_deleted()) || !table::current_below(&mut batch.tx, project, path).await?.is_empty();
    if exists {
        return Err(taken(path));
    }
    let content = Content { path: path.to_owned(), checksum: String::new(), size: 0, mode: 0o755 };
    batch.write(before.as_ref(), &content, EntryKind::Directory, FileAction::Added, None).await?;
    batch.commit().await?;
    super::entry(ctx, project, path).await
}

fn taken(path: &str) -> Error {
    Error::Invalid(vec![FieldError::new("path", format!("{path} exists already. Choose another name."))])
}

/// Moves a file, or a directory with all that lies below it, as one revision.
pub async fn move_path(ctx: &Ctx, project: ProjectId, request: MovePath) -> Result<()> {
    require_path(&request.from)?;
    require_path(&request.to)?;
    let (from, to) = (request.from.as_str(), request.to.as_str());
    if from == to {
        return Ok(());
    }
    if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
        return Err(Error::invalid("to", "A directory can't be moved into itself."));
    }
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    let moved = existing_with_below(&mut batch, project, from).await?;
    let target = batch.latest(to).await?;
    let target_exists =
        target.as_ref().is_some_and(|row| !row.is_deleted()) || !table::current_below(&mut batch.tx, project, to).await?.is_empty();
    if target_exists {
        return Err(taken(to));
    }
    // All sources go first, so that a name freed by the move can be taken by it.
    for row in &moved {
        batch.delete(row).await?;
    }
    for row in &moved {
        let path = format!("{to}{}", &row.path[from.len()..]);
        require_path(&path)?;
        let before = batch.latest(&path).await?;
        let content = content_of(row, path);
        batch.write(before.as_ref(), &content, row.kind.0, FileAction::Added, Some(&row.path)).await?;
    }
    batch.commit().await?;
    Ok(())
}

fn content_of(row: &table::FileRow, path: String) -> Content {
    Content { path, checksum: row.checksum.clone().unwrap_or_default(), size: row.size as u64, mode: row.mode as i32 }
}

async fn existing_with_below(batch: &mut WriteBatch<'_>, project: ProjectId, path: &str) -> Result<Vec<table::FileRow>> {
    let own = batch.latest(path).await?.filter(|row| !row.is_deleted());
    let below = table::current_below(&mut batch.tx, project, path).await?;
    let rows: Vec<_> = own.into_iter().chain(below).collect();
    if rows.is_empty() { Err(Error::NotFound("file or directory")) } else { Ok(rows) }
}

/// Deletes a file, or a directory with all that lies below it, as one revision. With `base` a file must still be at that version.
pub async fn delete(ctx: &Ctx, project: ProjectId, path: &str, base: Option<Base>) -> Result<()> {
    require_path(path)?;
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    let rows = existing_with_below(&mut batch, project, path).await?;
    if let Some(Base::Version(version)) = base {
        let own = rows.iter().find(|row| row.path == path);
        check(own, &Precondition::Version(version), path)?;
    }
    for row in &rows {
        batch.delete(row).await?;
    }
    batch.commit().await?;
    Ok(())
}

/// Brings back what was deleted at a path (all that went in the same step), or an earlier version of a file.
pub async fn restore(ctx: &Ctx, project: ProjectId, request: RestorePath) -> Result<()> {
    let path = request.path.as_str();
    require_path(path)?;
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, Origin::Restore).await?;
    if let Some(version) = request.version {
        let wanted = table::at_version(&mut batch.tx, project, path, version).await?.filter(|row| !row.is_deleted());
        let wanted = wanted.ok_or(Error::NotFound("version"))?;
        let before = batch.latest(path).await?;
        batch.write(before.as_ref(), &content_of(&wanted, path.to_owned()), wanted.kind.0, FileAction::Restored, None).await?;
    } else {
        let deleted = table::deleted_with(&mut batch.tx, project, path).await?;
        if deleted.is_empty() {
            return Err(Error::NotFound("deleted file"));
        }
        for row in &deleted {
            let wanted = table::at_version(&mut batch.tx, project, &row.path, row.version - 1).await?.ok_or(Error::NotFound("version"))?;
            batch.write(Some(row), &content_of(&wanted, row.path.clone()), wanted.kind.0, FileAction::Restored, None).await?;
        }
    }
    batch.commit().await?;
    Ok(())
}
