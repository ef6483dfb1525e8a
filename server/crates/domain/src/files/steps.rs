//! Steps on files: move, copy, delete, restore, new directory. Several are one revision, and each says what it was based on.

use store::files as table;
use wire::{
    ProjectId,
    files::{Base, ChangeFiles, Entry, EntryKind, FileAction, FileStep, FilesChanged, MovePath, Origin, PathConflict, RestorePath},
    projects::ProjectRole,
};

use super::{
    put::origin_of,
    require_path,
    write::{Content, WriteBatch},
};
use crate::{Ctx, Error, Result, projects};

const STEPS_MAX: usize = 10_000;
/// Paths that one conflict names.
const NAMED_MAX: i64 = 50;

/// What stands in the way of a step.
struct Obstacle {
    conflict: PathConflict,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Missing,
    Stale,
    Taken,
}

enum Refusal {
    Conflict(Vec<Obstacle>),
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Other(error.into())
    }
}

type Step<T> = Result<T, Refusal>;

/// What a step did: the steps that take it back, the last one first.
struct Done {
    back: Vec<FileStep>,
    /// Files that could not be brought back with the others.
    left_out: i64,
}

impl From<FileStep> for Done {
    fn from(back: FileStep) -> Self {
        Self { back: vec![back], left_out: 0 }
    }
}

fn obstacle(path: &str, reason: impl Into<String>, current: Option<Entry>, why: Why) -> Obstacle {
    Obstacle { conflict: PathConflict { path: path.to_owned(), reason: reason.into(), current }, why }
}

fn conflict(path: &str, reason: impl Into<String>, current: Option<Entry>, why: Why) -> Refusal {
    Refusal::Conflict(vec![obstacle(path, reason, current, why)])
}

/// Several steps as one revision: all of them or none.
pub async fn change(ctx: &Ctx, project: ProjectId, request: ChangeFiles) -> Result<FilesChanged> {
    Ok(match change_or_name(ctx, project, request.steps).await? {
        Ok(changed) => changed,
        Err(obstacles) => FilesChanged::Conflict { paths: obstacles.into_iter().map(|obstacle| obstacle.conflict).collect() },
    })
}

async fn change_or_name(ctx: &Ctx, project: ProjectId, steps: Vec<FileStep>) -> Result<Result<FilesChanged, Vec<Obstacle>>> {
    if steps.len() > STEPS_MAX {
        return Err(Error::invalid("steps", format!("At most {STEPS_MAX} steps go together.")));
    }
    steps.iter().try_for_each(check_step)?;
    let mut batch = WriteBatch::begin(ctx, project, ProjectRole::Editor, origin_of(ctx)).await?;
    let (mut undo, mut obstacles, mut left_out) = (Vec::new(), Vec::new(), 0);
    for step in &steps {
        match apply(ctx, &mut batch, project, step).await {
            Ok(done) => {
                undo.extend(done.back);
                left_out += done.left_out;
            }
            Err(Refusal::Conflict(found)) => obstacles.extend(found),
            Err(Refusal::Other(error)) => return Err(error),
        }
    }
    if !obstacles.is_empty() {
        return Ok(Err(obstacles));
    }
    undo.reverse();
    // Dropping an empty batch gives the revision back.
    let revision = if batch.is_empty() { batch.revision() - 1 } else { batch.commit().await? };
    Ok(Ok(FilesChanged::Changed { revision, undo, left_out }))
}

fn check_step(step: &FileStep) -> Result<()> {
    match step {
        FileStep::Move { from, to, .. } | FileStep::Copy { from, to, .. } => {
            require_path(from)?;
            require_path(to)?;
            if to.strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) {
                return Err(Error::invalid("to", "A directory can't be put into itself."));
            }
            Ok(())
        }
        FileStep::Delete { path, .. } | FileStep::Restore { path, .. } | FileStep::CreateDirectory { path } => require_path(path),
    }
}

async fn apply(ctx: &Ctx, batch: &mut WriteBatch<'_>, project: ProjectId, step: &FileStep) -> Step<Done> {
    batch.set_origin(if matches!(step, FileStep::Restore { .. }) { Origin::Restore } else { origin_of(ctx) });
    let back = match step {
        FileStep::Move { from, to, base } if from != to => put_elsewhere(batch, project, from, to, *base, true).await?,
        FileStep::Move { .. } => return Ok(Done { back: Vec::new(), left_out: 0 }),
        FileStep::Copy { from, to, base } => put_elsewhere(batch, project, from, to, *base, false).await?,
        FileStep::Delete { path, base } => delete_path(batch, project, path, *base).await?,
        FileStep::Restore { path, version: None, base } => return restore_deleted(batch, project, path, *base).await,
        FileStep::Restore { path, version: Some(version), base } => restore_version(batch, project, path, *version, *base).await?,
        FileStep::CreateDirectory { path } => make_directory(batch, path).await?,
    };
    Ok(back.into())
}

/// What is at a path and below it, if that is what the step is based on.
async fn based_on(batch: &mut WriteBatch<'_>, project: ProjectId, path: &str, base: Base) -> Step<Vec<table::FileRow>> {
    let rows = batch.existing(path).await?;
    if rows.is_empty() {
        return Err(conflict(path, format!("{path} does not exist any more."), None, Why::Missing));
    }
    let own = rows.first().filter(|row| row.path == path);
    match base {
        Base::New => return Err(Error::invalid("base", "Something that exists is based on its version or on a revision.").into()),
        Base::Version(version) => match own.filter(|row| row.kind.0 != EntryKind::Directory) {
            Some(row) if row.version == version || row.revision == batch.revision() => {}
            Some(row) => return Err(conflict(path, changed_since(row), Some(row.clone().into_entry()), Why::Stale)),
            None => return Err(Error::invalid("base", format!("{path} is a directory, which is based on a revision.")).into()),
        },
        Base::Revision(revision) => check_unchanged(batch, project, path, revision).await?,
    }
    Ok(rows)
}

async fn check_unchanged(batch: &mut WriteBatch<'_>, project: ProjectId, path: &str, revision: i64) -> Step<()> {
    let own = batch.revision();
    let changed = table::changed_below(&mut batch.tx, project, path, revision, own, NAMED_MAX).await?;
    if changed.is_empty() && revision < batch.forgotten() {
        let reason = format!("{path} may have changed since you last saw it: it is not known any more what was deleted so long ago.");
        return Err(conflict(path, reason, None, Why::Stale));
    }
    if changed.is_empty() {
        return Ok(());
    }
    let name = |row: table::FileRow| {
        let (path, reason) = (row.path.clone(), changed_since(&row));
        obstacle(&path, reason, (!row.is_deleted()).then(|| row.into_entry()), Why::Stale)
    };
    Err(Refusal::Conflict(changed.into_iter().map(name).collect()))
}

fn changed_since(row: &table::FileRow) -> String {
    let what = if row.is_deleted() { "was deleted" } else { "was changed" };
    let by = row.full_name.as_deref().or(row.username.as_deref());
    let by = by.map_or(String::new(), |name| format!(" by {name}"));
    format!("{} {what}{by} since you last saw it.", row.path)
}

async fn refuse_taken(batch: &mut WriteBatch<'_>, path: &str) -> Step<()> {
    let Some(found) = batch.existing(path).await?.into_iter().next() else { return Ok(()) };
    let current = (found.path == path).then(|| found.into_entry());
    Err(conflict(path, format!("{path} exists already. Choose another name."), current, Why::Taken))
}

/// A name that can't be taken is a conflict of the step.
async fn write(batch: &mut WriteBatch<'_>, content: &Content, action: FileAction, moved_from: Option<&str>) -> Step<Entry> {
    let before = batch.latest(&content.path).await?;
    match batch.write(before.as_ref(), content, action, moved_from).await {
        Ok(entry) => Ok(entry),
        Err(Error::Conflict { detail, .. }) => Err(conflict(&content.path, detail, None, Why::Taken)),
        Err(other) => Err(other.into()),
    }
}

/// What a later step names as its base, after `entries` were written at `path` and below.
fn base_after(batch: &WriteBatch<'_>, path: &str, entries: &[Entry]) -> Base {
    match entries {
        [entry] if entry.path == path && entry.kind != EntryKind::Directory => Base::Version(entry.version),
        _ => Base::Revision(batch.revision()),
    }
}

async fn put_elsewhere(batch: &mut WriteBatch<'_>, project: ProjectId, from: &str, to: &str, base: Base, is_move: bool) -> Step<FileStep> {
    let rows = based_on(batch, project, from, base).await?;
    refuse_taken(batch, to).await?;
    for row in &rows {
        require_path(&format!("{to}{}", &row.path[from.len()..]))?;
    }
    if batch.takes_whole(rows.len()) {
        match batch.put_whole(&rows, from, to, is_move).await {
            Ok(()) => {}
            Err(Error::Conflict { detail, .. }) => return Err(conflict(to, detail, None, Why::Taken)),
            Err(other) => return Err(other.into()),
        }
        return Ok(way_back(from, to, Base::Revision(batch.revision()), is_move));
    }
    if is_move {
        // All sources go first, so that a name freed by the move can be taken by it.
        for row in &rows {
            batch.move_away(row).await?;
        }
    }
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let path = format!("{to}{}", &row.path[from.len()..]);
        let moved_from = is_move.then_some(row.path.as_str());
        entries.push(write(batch, &Content::of_row(row, path), FileAction::Added, moved_from).await?);
    }
    Ok(way_back(from, to, base_after(batch, to, &entries), is_move))
}

fn way_back(from: &str, to: &str, base: Base, is_move: bool) -> FileStep {
    match is_move {
        true => FileStep::Move { from: to.to_owned(), to: from.to_owned(), base },
        false => FileStep::Delete { path: to.to_owned(), base },
    }
}

async fn delete_path(batch: &mut WriteBatch<'_>, project: ProjectId, path: &str, base: Base) -> Step<FileStep> {
    let rows = based_on(batch, project, path, base).await?;
    if batch.takes_whole(rows.len()) {
        batch.delete_whole(&rows, path).await?;
    } else {
        for row in &rows {
            batch.delete_as(row, path).await?;
        }
    }
    Ok(FileStep::Restore { path: path.to_owned(), version: None, base: Base::New })
}

/// Brings back what was deleted at a path, with all that went in the same step and is kept still. It never overwrites: what exists stays.
async fn restore_deleted(batch: &mut WriteBatch<'_>, project: ProjectId, path: &str, base: Base) -> Step<Done> {
    let nothing_left = || conflict(path, format!("{path} is not in the trash any more."), None, Why::Missing);
    let deleted = table::deleted_with(&mut batch.tx, project, path).await?;
    if deleted.is_empty() {
        return Err(nothing_left());
    }
    let is_empty = batch.existing(path).await?.is_empty();
    match base {
        Base::New => refuse_taken(batch, path).await?,
        Base::Revision(revision) => check_unchanged(batch, project, path, revision).await?,
        Base::Version(_) => {
            return Err(Error::invalid("base", "Deleted files are restored where nothing is, or at a revision.").into());
        }
    }
    let mut entries = Vec::with_capacity(deleted.len());
    let mut left_out = 0;
    for row in &deleted {
        let wanted = table::at_version(&mut batch.tx, project, &row.path, row.version - 1).await?.filter(|row| !row.is_deleted());
        // Retention takes old versions one by one, and may have taken those of some files only.
        let Some(wanted) = wanted else {
            left_out += i64::from(row.kind.0 != EntryKind::Directory);
            continue;
        };
        entries.push(write(batch, &Content::of_row(&wanted, row.path.clone()), FileAction::Restored, None).await?);
    }
    if entries.is_empty() {
        return Err(nothing_left());
    }
    if is_empty {
        let back = vec![FileStep::Delete { path: path.to_owned(), base: base_after(batch, path, &entries) }];
        return Ok(Done { back, left_out });
    }
    let revision = batch.revision();
    let back = |entry: Entry| {
        let base = if entry.kind == EntryKind::Directory { Base::Revision(revision) } else { Base::Version(entry.version) };
        FileStep::Delete { path: entry.path, base }
    };
    Ok(Done { back: entries.into_iter().map(back).collect(), left_out })
}

/// That version of a file again, as a new one.
async fn restore_version(batch: &mut WriteBatch<'_>, project: ProjectId, path: &str, version: i64, base: Base) -> Step<FileStep> {
    let wanted = table::at_version(&mut batch.tx, project, path, version).await?.filter(|row| !row.is_deleted());
    let wanted = wanted.ok_or(Error::NotFound("version"))?;
    let existing = batch.latest(path).await?.filter(|row| !row.is_deleted());
    match &existing {
        Some(row) if base == Base::New => {
            return Err(conflict(path, format!("{path} exists again."), Some(row.clone().into_entry()), Why::Stale));
        }
        Some(_) => {
            based_on(batch, project, path, base).await?;
        }
        None => match base {
            Base::New => refuse_taken(batch, path).await?,
            Base::Version(_) => return Err(conflict(path, format!("{path} does not exist any more."), None, Why::Stale)),
            Base::Revision(revision) => check_unchanged(batch, project, path, revision).await?,
        },
    }
    let entry = write(batch, &Content::of_row(&wanted, path), FileAction::Restored, None).await?;
    let base = base_after(batch, path, std::slice::from_ref(&entry));
    Ok(match existing {
        Some(row) => FileStep::Restore { path: path.to_owned(), version: Some(row.version), base },
        None => FileStep::Delete { path: path.to_owned(), base },
    })
}

async fn make_directory(batch: &mut WriteBatch<'_>, path: &str) -> Step<FileStep> {
    refuse_taken(batch, path).await?;
    write(batch, &Content::directory(path), FileAction::Added, None).await?;
    Ok(FileStep::Delete { path: path.to_owned(), base: Base::Revision(batch.revision()) })
}

/// One step whose conflicts are refusals. It says what it is based on, as every write does.
async fn change_one(ctx: &Ctx, project: ProjectId, base: Option<Base>, step: impl FnOnce(Base) -> FileStep) -> Result<FilesChanged> {
    let base = base.ok_or_else(|| {
        Error::PreconditionRequired(
            "Name what this is based on: the version of a file, or the revision of the project for a directory, so that nobody's work is lost."
                .to_owned(),
        )
    })?;
    match change_or_name(ctx, project, vec![step(base)]).await? {
        Ok(changed) => Ok(changed),
        Err(obstacles) => Err(refusal_of(&obstacles)),
    }
}

async fn current_revision(ctx: &Ctx, project: ProjectId) -> Result<i64> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))
}

fn refusal_of(obstacles: &[Obstacle]) -> Error {
    let why = obstacles.first().map(|first| first.why);
    if why == Some(Why::Missing) {
        return Error::NotFound("file or directory");
    }
    let reasons: Vec<&str> = obstacles.iter().take(3).map(|obstacle| obstacle.conflict.reason.as_str()).collect();
    let more = if obstacles.len() > reasons.len() { format!(" And {} more.", obstacles.len() - reasons.len()) } else { String::new() };
    let detail = format!("{}{more} Nothing was changed.", reasons.join(" "));
    let current = match obstacles {
        [one] => one.conflict.current.as_ref().and_then(|entry| serde_json::to_value(entry).ok()),
        several => serde_json::to_value(several.iter().map(|obstacle| &obstacle.conflict).collect::<Vec<_>>()).ok(),
    };
    if why == Some(Why::Taken) { Error::Conflict { detail, current } } else { Error::PreconditionFailed { detail, current } }
}

/// Moves a file, or a directory with all that lies below it, as one revision.
pub async fn move_path(ctx: &Ctx, project: ProjectId, request: MovePath) -> Result<FilesChanged> {
    let MovePath { from, to, base } = request;
    change_one(ctx, project, base, |base| FileStep::Move { from, to, base }).await
}

/// Copies a file, or a directory with all that lies below it, as one revision. It takes nothing away, so without a base it is based on what
/// is there when the request comes in.
pub async fn copy_path(ctx: &Ctx, project: ProjectId, request: MovePath) -> Result<FilesChanged> {
    let MovePath { from, to, base } = request;
    let base = match base {
        Some(base) => base,
        None => Base::Revision(current_revision(ctx, project).await?),
    };
    change_one(ctx, project, Some(base), |base| FileStep::Copy { from, to, base }).await
}

/// Moves a file, or a directory with all that lies below it, to the trash.
pub async fn delete(ctx: &Ctx, project: ProjectId, path: &str, base: Option<Base>) -> Result<FilesChanged> {
    change_one(ctx, project, base, |base| FileStep::Delete { path: path.to_owned(), base }).await
}

/// Brings back what was deleted at a path (all that went in the same step), or an earlier version of a file.
pub async fn restore(ctx: &Ctx, project: ProjectId, request: RestorePath) -> Result<FilesChanged> {
    let RestorePath { path, version, base } = request;
    change_one(ctx, project, base, |base| FileStep::Restore { path, version, base }).await
}
