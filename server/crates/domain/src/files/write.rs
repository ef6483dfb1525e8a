use std::collections::{BTreeMap, HashSet};

use store::{Tx, files as table, files_bulk, projects::Totals};
use uuid::Uuid;
use wire::{
    Micros, ProjectId, UserId,
    event::{EventKind, Stream},
    files::{Entry, EntryKind, FileAction, Origin},
    languages,
    projects::ProjectRole,
    quotas::HISTORY_TIMES,
};

use super::{content_type_of, names};
use crate::{Ctx, Error, Result, projects, quotas, storage};

/// Beyond this many changes in one step readers are told to read the tree again.
const LISTED_CHANGES: usize = 200;

/// No limit of versions is reached with fewer: two of each file is the least that may be kept.
const LEAST_BOUND: i64 = 2 * HISTORY_TIMES;

/// After so many new directories a batch looks whether they are too many, so that what is refused has not held the project for long.
const DIRECTORIES_AT_ONCE: usize = 1000;

/// Bytes that are already stored, to be put at a path. The bytes of a symbolic link are its target; a directory has none.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub path: String,
    pub kind: EntryKind,
    pub checksum: String,
    pub size: u64,
    pub mode: i32,
}

impl Content {
    pub fn file(path: impl Into<String>, checksum: impl Into<String>, size: u64, mode: i32) -> Self {
        Self { path: path.into(), kind: EntryKind::File, checksum: checksum.into(), size, mode }
    }

    pub fn directory(path: impl Into<String>) -> Self {
        Self { path: path.into(), kind: EntryKind::Directory, checksum: String::new(), size: 0, mode: 0o755 }
    }

    /// What a row holds, at another path or at the same.
    pub fn of_row(row: &table::FileRow, path: impl Into<String>) -> Self {
        let checksum = row.checksum.clone().unwrap_or_default();
        Self { path: path.into(), kind: row.kind.0, checksum, size: row.size as u64, mode: row.mode as i32 }
    }
}

/// Several changes of one project as one revision. Taking the revision takes the project's row lock, so what a batch reads stays
/// true until it commits.
pub(crate) struct WriteBatch<'a> {
    ctx: &'a Ctx,
    pub tx: Tx,
    project: ProjectId,
    totals: Totals,
    origin: Origin,
    cause: Option<Uuid>,
    by: Option<UserId>,
    at: Micros,
    files: i64,
    bytes: i64,
    spoken: Spoken,
    /// Bytes that were current before it.
    replaced: i64,
    /// Whether it has content that was not in the project.
    brings: bool,
    events: Vec<EventKind>,
    /// Deleted on their own, to be told as whole directories where one went with all of them.
    deleted: Vec<String>,
    /// Directories that new entries may be put into.
    open_directories: HashSet<String>,
    /// Blobs that its rows name.
    named: HashSet<String>,
    /// Paths with the versions that they got, where they may have too many.
    long: Vec<(String, i64)>,
    /// Directories of their own that came to be.
    made_directories: usize,
    /// More than is worth telling one by one has changed.
    is_whole: bool,
}

impl<'a> WriteBatch<'a> {
    pub async fn begin(ctx: &'a Ctx, project: ProjectId, needed: ProjectRole, origin: Origin) -> Result<Self> {
        let mut tx = ctx.services().db.begin().await?;
        projects::require(ctx, &mut tx, project, needed).await?;
        let totals = store::projects::next_revision(&mut tx, project, ctx.now()).await?.ok_or(Error::NotFound("project"))?;
        Ok(Self {
            ctx,
            tx,
            project,
            totals,
            origin,
            cause: ctx.agent_turn().map(|turn| turn.0),
            by: ctx.user_id(),
            at: ctx.now(),
            files: 0,
            bytes: 0,
            spoken: Spoken::default(),
            replaced: 0,
            brings: false,
            events: Vec::new(),
            deleted: Vec::new(),
            open_directories: HashSet::new(),
            named: HashSet::new(),
            long: Vec::new(),
            made_directories: 0,
            is_whole: false,
        })
    }

    /// Names the turn or the run that makes these changes.
    pub fn caused_by(mut self, cause: Option<Uuid>) -> Self {
        self.cause = cause.or(self.cause);
        self
    }

    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// The revision that this batch makes.
    pub fn revision(&self) -> i64 {
        self.totals.revision
    }

    /// What was deleted after a revision before this one may be forgotten.
    pub fn forgotten(&self) -> i64 {
        self.totals.forgotten_revision
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.is_whole
    }

    pub async fn latest(&mut self, path: &str) -> Result<Option<table::FileRow>> {
        Ok(table::latest(&mut self.tx, self.project, path).await?)
    }

    /// What exists at a path and below it.
    pub async fn existing(&mut self, path: &str) -> Result<Vec<table::FileRow>> {
        let own = self.latest(path).await?.filter(|row| !row.is_deleted());
        let below = table::current_below(&mut self.tx, self.project, path).await?;
        Ok(own.into_iter().chain(below).collect())
    }

    /// Puts content at a path and answers its entry; `before` is what `latest` answered for it. `Conflict` where the name can't be taken.
    pub async fn write(
        &mut self,
        before: Option<&table::FileRow>,
        content: &Content,
        action: FileAction,
        moved_from: Option<&str>,
    ) -> Result<Entry> {
        let existing = before.filter(|row| !row.is_deleted());
        match existing {
            Some(row) if (row.kind.0 == EntryKind::Directory) != (content.kind == EntryKind::Directory) => {
                let path = &content.path;
                let is = if row.kind.0 == EntryKind::Directory { "directory" } else { "file" };
                return Err(Error::conflict(format!("{path} is a {is}. Choose another name.")));
            }
            Some(_) => {}
            None => self.check_room_for(&content.path, content.kind).await?,
        }
        let (old_files, old_bytes) = existing.map_or((0, 0), weight);
        self.files += i64::from(content.kind != EntryKind::Directory) - old_files;
        self.bytes += content.size as i64 - old_bytes;
        if let Some(row) = existing {
            self.spoken.add(&row.path, row.kind.0, -row.size);
        }
        self.spoken.add(&content.path, content.kind, content.size as i64);
        self.replaced += old_bytes;
        self.brings |= content.size > 0 && moved_from.is_none() && action != FileAction::Restored;
        self.insert(before, content, action, moved_from, None).await
    }

    /// Deletes what can be restored on its own.
    pub async fn delete(&mut self, before: &table::FileRow) -> Result<()> {
        // A directory counts among what it took along.
        let is_directory = before.kind.0 == EntryKind::Directory;
        self.deleted.push(if is_directory { format!("{}/", before.path) } else { before.path.clone() });
        self.remove(before, Some(&before.path)).await
    }

    /// Deletes an entry as part of `whole`, a directory above it or itself.
    pub async fn delete_as(&mut self, before: &table::FileRow, whole: &str) -> Result<()> {
        self.remove(before, Some(whole)).await
    }

    /// Takes an entry away from a path that it has moved from.
    pub async fn move_away(&mut self, before: &table::FileRow) -> Result<()> {
        self.remove(before, None).await
    }

    async fn remove(&mut self, before: &table::FileRow, deleted_as: Option<&str>) -> Result<()> {
        let (files, bytes) = weight(before);
        self.files -= files;
        self.bytes -= bytes;
        self.spoken.add(&before.path, before.kind.0, -before.size);
        self.replaced += bytes;
        // Another spelling of a directory may be free now.
        self.open_directories.clear();
        let content = Content { checksum: String::new(), size: 0, ..Content::of_row(before, before.path.clone()) };
        self.insert(Some(before), &content, FileAction::Deleted, None, deleted_as).await.map(|_| ())
    }

    async fn insert(
        &mut self,
        before: Option<&table::FileRow>,
        content: &Content,
        action: FileAction,
        moved_from: Option<&str>,
        deleted_as: Option<&str>,
    ) -> Result<Entry> {
        let version = before.map_or(self.totals.version_floor, |row| row.version) + 1;
        let new = table::NewVersion {
            project_id: self.project,
            path: &content.path,
            version,
            revision: self.totals.revision,
            action,
            kind: content.kind,
            size: content.size as i64,
            content_type: content_type_of(&content.path, content.kind),
            checksum: (!content.checksum.is_empty()).then_some(&*content.checksum),
            mode: content.mode,
            origin: self.origin,
            at: self.at,
            by: self.by,
            moved_from,
            cause: self.cause,
            deleted_as,
        };
        table::insert_version(&mut self.tx, &new).await?;
        self.named.extend(new.checksum.map(str::to_owned));
        if version > LEAST_BOUND && before.is_some() {
            self.long.push((content.path.clone(), version));
        }
        let is_made = action != FileAction::Deleted && moved_from.is_none() && before.is_none_or(table::FileRow::is_deleted);
        if is_made && content.kind == EntryKind::Directory {
            self.made_directories += 1;
            if self.made_directories.is_multiple_of(DIRECTORIES_AT_ONCE) {
                quotas::check_directories(&mut self.tx, self.project).await?;
            }
        }
        let entry = Entry {
            path: content.path.clone(),
            kind: content.kind,
            size: new.size,
            content_type: new.content_type.to_owned(),
            checksum: content.checksum.clone(),
            version,
            mode: content.mode,
            updated_at: new.at,
            updated_by: self.ctx.user_ref(),
        };
        // Of a deletion there is nothing to show.
        let exists = action != FileAction::Deleted;
        self.events.push(EventKind::FileChanged {
            path: content.path.clone(),
            action,
            version,
            checksum: content.checksum.clone(),
            origin: self.origin,
            by: self.ctx.user_ref(),
            revision: self.totals.revision,
            moved_from: moved_from.map(str::to_owned),
            entry_kind: exists.then_some(content.kind),
            size: exists.then_some(new.size),
            mode: exists.then_some(content.mode),
            content_type: exists.then(|| new.content_type.to_owned()),
        });
        Ok(entry)
    }

    /// Whether a step on so many entries is better done as a whole. Only the first of a batch can be.
    pub fn takes_whole(&self, rows: usize) -> bool {
        rows > LISTED_CHANGES && self.is_empty()
    }

    fn step(&self) -> files_bulk::Step {
        let (project_id, revision) = (self.project, self.totals.revision);
        files_bulk::Step { project_id, revision, origin: self.origin, at: self.at, by: self.by, cause: self.cause }
    }

    /// As [`Self::delete_as`] of all `rows` at a path and below it.
    pub async fn delete_whole(&mut self, rows: &[table::FileRow], path: &str) -> Result<()> {
        for (files, bytes) in rows.iter().map(weight) {
            self.files -= files;
            self.bytes -= bytes;
            self.replaced += bytes;
        }
        for row in rows {
            self.spoken.add(&row.path, row.kind.0, -row.size);
        }
        self.is_whole = true;
        let step = self.step();
        Ok(files_bulk::delete_whole(&mut self.tx, &step, path, Some(path)).await?)
    }

    /// Moves or copies all `rows` at a path and below it to where nothing is. `Conflict` where the name can't be taken.
    pub async fn put_whole(&mut self, rows: &[table::FileRow], from: &str, to: &str, is_move: bool) -> Result<()> {
        let step = self.step();
        self.is_whole = true;
        if is_move {
            self.replaced += rows.iter().map(|row| row.size).sum::<i64>();
            files_bulk::delete_whole(&mut self.tx, &step, from, None).await?;
        } else {
            for (files, bytes) in rows.iter().map(weight) {
                self.files += files;
                self.bytes += bytes;
            }
            // What lies in a directory keeps its names, and so its languages.
            for row in rows {
                self.spoken.add(&row.path, row.kind.0, row.size);
            }
            self.made_directories += rows.iter().filter(|row| row.kind.0 == EntryKind::Directory).count();
        }
        // What lies in it is in no other's way: it keeps its names, and nothing else is there.
        self.check_room_for(to, EntryKind::Directory).await?;
        Ok(files_bulk::put_whole(&mut self.tx, &step, from, to, is_move).await?)
    }

    /// A file can't lie below a file, nor take the place of a directory, and no two names may differ only in case or composition.
    async fn check_room_for(&mut self, path: &str, kind: EntryKind) -> Result<()> {
        for (found, _) in table::find_spelling(&mut self.tx, self.project, path).await? {
            names::check_spelling(path, &found)?;
            if kind != EntryKind::Directory {
                return Err(Error::conflict(format!("{path} is a directory. Choose another name for the file.")));
            }
        }
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        let mut above = parent;
        while let Some(directory) = above.filter(|directory| !self.open_directories.contains(*directory)) {
            let found = table::find_spelling(&mut self.tx, self.project, directory).await?;
            for (found, kind) in &found {
                names::check_spelling(directory, found)?;
                if found == directory && *kind != EntryKind::Directory {
                    return Err(Error::conflict(format!("{found} is a file, so nothing can be put below it. Rename one of them.")));
                }
            }
            // What exists was checked when it was made, up to the root.
            above = if found.is_empty() { directory.rsplit_once('/').map(|(parent, _)| parent) } else { None };
        }
        self.open_directories.extend(parent.map(str::to_owned));
        Ok(())
    }

    /// Deletions that took whole directories away are restored as those.
    async fn gather_deletions(&mut self) -> Result<()> {
        let mut below: BTreeMap<String, usize> = BTreeMap::new();
        for path in &self.deleted {
            for (at, _) in path.match_indices('/') {
                *below.entry(path[..at].to_owned()).or_default() += 1;
            }
        }
        let mut gathered: Option<String> = None;
        // Sorted, so that a directory comes before what lies in it.
        for (directory, _) in below.into_iter().filter(|(_, count)| *count > 1) {
            let is_inside =
                gathered.as_ref().is_some_and(|whole| directory.strip_prefix(whole.as_str()).is_some_and(|rest| rest.starts_with('/')));
            if !is_inside && !table::is_directory(&mut self.tx, self.project, &directory).await? {
                table::delete_as(&mut self.tx, self.project, self.totals.revision, &directory).await?;
                gathered = Some(directory);
            }
        }
        Ok(())
    }

    /// Checks the quota, books the totals, appends the events and commits.
    pub async fn commit(mut self) -> Result<i64> {
        self.gather_deletions().await?;
        storage::keep(self.ctx, &mut self.tx, self.project, &self.named.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let delta = quotas::Delta { files: self.files, bytes: self.bytes };
        quotas::check(&mut self.tx, self.project, delta).await?;
        if self.made_directories > 0 {
            quotas::check_directories(&mut self.tx, self.project).await?;
        }
        // Before any of them go.
        let versions = store::quotas::book_versions(&mut self.tx, self.project).await?;
        quotas::thin_paths(&mut self.tx, self.project, &self.long).await?;
        if self.is_whole {
            quotas::thin_revision(&mut self.tx, self.project, self.totals.revision).await?;
        }
        store::projects::add_totals(&mut self.tx, self.project, self.files, self.bytes).await?;
        self.spoken.book(&mut self.tx, self.project, self.totals.languages.0).await?;
        let replaced = quotas::Replaced { bytes: self.replaced, versions };
        quotas::book_past(&mut self.tx, self.project, replaced, self.brings).await?;
        let events = if self.is_whole || self.events.len() > LISTED_CHANGES {
            vec![EventKind::TreeChanged { revision: self.totals.revision, by: self.ctx.user_ref() }]
        } else {
            self.events
        };
        store::events::append(&mut self.tx, Stream::Project(self.project), self.ctx.now(), events).await?;
        self.ctx.commit(self.tx).await?;
        Ok(self.totals.revision)
    }
}

/// Bytes by language that came and went in one step.
#[derive(Debug, Default)]
struct Spoken(BTreeMap<&'static str, i64>);

impl Spoken {
    fn add(&mut self, path: &str, kind: EntryKind, bytes: i64) {
        if let Some(language) = languages::language_of(path).filter(|_| kind == EntryKind::File) {
            *self.0.entry(language).or_default() += bytes;
        }
    }

    /// Adds them to what the project had; the caller holds its lock since that was read.
    async fn book(&self, tx: &mut Tx, project: ProjectId, mut all: languages::Languages) -> Result<()> {
        if self.0.values().any(|bytes| *bytes != 0) {
            languages::add(&mut all, &self.0);
            store::projects::set_languages(tx, project, &all).await?;
        }
        Ok(())
    }
}

/// What a row counts towards the project's totals.
fn weight(row: &table::FileRow) -> (i64, i64) {
    (i64::from(row.kind.0 != EntryKind::Directory), row.size)
}

/// Fills a project that nobody sees yet, or that is new: no conflicts to look for, and no events.
pub(crate) async fn insert_all(
    ctx: &Ctx,
    tx: &mut Tx,
    project: ProjectId,
    entries: &[Content],
    origin: Origin,
    by: Option<UserId>,
    at: Micros,
) -> Result<()> {
    let totals = store::projects::next_revision(tx, project, at).await?.ok_or(Error::NotFound("project"))?;
    let mut spoken = Spoken::default();
    storage::keep(ctx, tx, project, &entries.iter().map(|entry| entry.checksum.as_str()).collect::<Vec<_>>()).await?;
    for entry in entries {
        let new = table::NewVersion {
            project_id: project,
            path: &entry.path,
            version: 1,
            revision: totals.revision,
            action: FileAction::Added,
            kind: entry.kind,
            size: entry.size as i64,
            content_type: content_type_of(&entry.path, entry.kind),
            checksum: (!entry.checksum.is_empty()).then_some(&*entry.checksum),
            mode: entry.mode,
            origin,
            at,
            by,
            moved_from: None,
            cause: None,
            deleted_as: None,
        };
        table::insert_version(tx, &new).await?;
        spoken.add(&entry.path, entry.kind, new.size);
    }
    let files = entries.iter().filter(|entry| entry.kind != EntryKind::Directory).count();
    let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    quotas::check(tx, project, quotas::Delta { files: files as i64, bytes: bytes as i64 }).await?;
    store::projects::add_totals(tx, project, files as i64, bytes as i64).await?;
    spoken.book(tx, project, totals.languages.0).await
}
