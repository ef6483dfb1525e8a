//! Kept points of a project's past: made before each turn and each restore, or by people with a name. A checkpoint is one number; what it
//! holds is a query (see ARCHITECTURE.md), so making one costs the same whatever the project holds.

mod fork;
mod plan;
mod restore;

use store::{Conn, Tx, checkpoints as table};
use wire::{
    CheckpointId, Page, PageQuery, ProjectId, TurnId,
    checkpoints::{
        Checkpoint, CheckpointBounds, CheckpointFile, CheckpointKind, CreateCheckpoint, EXCLUDED_DIRECTORIES, Exclusion, Timeline,
        UpdateCheckpoint, validate_name,
    },
    event::{EventKind, Stream},
    projects::ProjectRole,
    quotas::StorageSettings,
};

pub use fork::fork;
pub use plan::diff;
pub use restore::restore;
pub(crate) use restore::{Written, restore_in};

use crate::{Ctx, Error, Result, projects, quotas, storage};

/// `.gitignore` files that are read for the list of what is left out, and bytes of each.
const IGNORE_FILES_MAX: usize = 20;
const IGNORE_BYTES_MAX: i64 = 64 * 1024;
/// Checkpoints of a page, where the caller names no number.
const PAGE: i64 = 100;
/// Checkpoints without a name that are kept, even where more would be allowed.
const AUTOMATIC_MAX: i64 = 50;
/// Automatic ones that make room for a new one; where a limit was lowered, no more go at once.
const REPLACED_MAX: i64 = 2;

/// The past of a project, with how much of it is kept and what is no part of it.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Timeline> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let revision = store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let items: Vec<_> = table::list(&mut conn, project).await?.into_iter().map(table::CheckpointRow::into_checkpoint).collect();
    let newest = items.first().map_or(0, |newest| newest.revision);
    let changed = table::count_changed(&mut conn, project, newest).await?;
    let held_bytes = table::held_bytes(&mut conn, project).await?;
    let limits = quotas::limits_of(&mut conn, project).await?;
    let bounds = bounds(ctx, &mut conn, project, &limits).await?;
    let excluded = exclusions(ctx, &mut conn, project).await?;
    Ok(Timeline { revision, changed, items, next_cursor: None, bounds, held_bytes, excluded })
}

/// The same with a page of the checkpoints. There are never more than a project keeps.
pub async fn page(ctx: &Ctx, project: ProjectId, asked: &PageQuery) -> Result<Timeline> {
    crate::page::limit_of(asked, PAGE)?;
    let mut timeline = list(ctx, project).await?;
    let items = std::mem::take(&mut timeline.items);
    let page = crate::page::cut_short(items, asked, PAGE, "checkpoints", |item| (item.created_at.0, item.id))?;
    Ok(Timeline { items: page.items, next_cursor: page.next_cursor, ..timeline })
}

/// What a checkpoint holds, sorted by path, page by page.
pub async fn files(ctx: &Ctx, project: ProjectId, id: CheckpointId, asked: &PageQuery) -> Result<Page<CheckpointFile>> {
    const LIST: &str = "checkpoints/files";
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let checkpoint = table::get(&mut conn, project, id).await?.ok_or(Error::NotFound("checkpoint"))?.into_checkpoint();
    let limit = crate::page::limit_of(asked, PAGE)?;
    let after: Option<String> = crate::page::after(asked, LIST)?;
    let after = after.as_deref().unwrap_or_default();
    let rows = store::files::page_at_revision(&mut conn, project, checkpoint.revision, after, limit + 1).await?;
    let rows = crate::page::cut(rows, limit, LIST, |row| row.path.clone());
    Ok(crate::page::map(rows, |row| CheckpointFile {
        path: row.path,
        version: row.version,
        kind: row.kind.0,
        size: row.size,
        checksum: row.checksum.unwrap_or_default(),
        mode: row.mode as i32,
    }))
}

/// What the scan of a checkout leaves out: the built-in list, and what the project's own `.gitignore` files say.
async fn exclusions(ctx: &Ctx, conn: &mut Conn, project: ProjectId) -> Result<Vec<Exclusion>> {
    let always = EXCLUDED_DIRECTORIES.iter().map(|name| format!("{name}/")).collect();
    let mut found = vec![Exclusion { source: None, patterns: always }];
    let ignores = table::ignore_files(conn, project, IGNORE_FILES_MAX as i64, IGNORE_BYTES_MAX).await?;
    if ignores.is_empty() {
        return Ok(found);
    }
    let blobs = storage::blobs_of(ctx, conn, project).await?;
    for (path, checksum) in ignores {
        let bytes = blobs.read_all(&checksum, IGNORE_BYTES_MAX as u64).await?;
        let text = String::from_utf8_lossy(&bytes);
        let patterns: Vec<String> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.chars().filter(|c| !c.is_control()).take(200).collect())
            .collect();
        if !patterns.is_empty() {
            found.push(Exclusion { source: Some(path), patterns });
        }
    }
    Ok(found)
}

/// Keeps the project as it is now under a name.
pub async fn create(ctx: &Ctx, project: ProjectId, request: CreateCheckpoint) -> Result<Checkpoint> {
    if let Some(field) = validate_name(&request.name) {
        return Err(Error::Invalid(vec![field]));
    }
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let now = table::hold(&mut tx, project).await?.ok_or(Error::NotFound("project"))?;
    check_room(&mut tx, project).await?;
    quotas::check_checkpoints(&mut tx, project).await?;
    let point = Point {
        kind: CheckpointKind::Named,
        name: Some(request.name.trim()),
        revision: now.revision,
        turn: None,
        totals: (now.file_count, now.size_bytes),
    };
    let id = insert(ctx, &mut tx, project, &point).await?;
    let row = table::get(&mut tx, project, id).await?.ok_or(Error::NotFound("checkpoint"))?;
    ctx.commit(tx).await?;
    Ok(row.into_checkpoint())
}

/// Automatic ones make room for those with a name; at the limit these have to be deleted by hand.
async fn check_room(tx: &mut Tx, project: ProjectId) -> Result<()> {
    let limit = quotas::limits_of(tx, project).await?.checkpoints;
    if table::count_named(tx, project).await? >= limit {
        return Err(Error::TooLarge(format!(
            "A project keeps at most {limit} checkpoints with a name. Nothing was changed; delete one that is not needed any more."
        )));
    }
    Ok(())
}

struct Point<'a> {
    kind: CheckpointKind,
    name: Option<&'a str>,
    revision: i64,
    turn: Option<TurnId>,
    /// Files and bytes at the revision.
    totals: (i64, i64),
}

async fn insert(ctx: &Ctx, tx: &mut Tx, project: ProjectId, point: &Point<'_>) -> Result<CheckpointId> {
    let id: CheckpointId = ctx.new_id();
    let new = table::NewCheckpoint {
        id,
        project_id: project,
        revision: point.revision,
        kind: point.kind,
        name: point.name,
        turn_id: point.turn,
        file_count: point.totals.0,
        size_bytes: point.totals.1,
        at: ctx.now(),
        by: ctx.user_id(),
    };
    table::insert(tx, &new).await?;
    let event = EventKind::CheckpointCreated { checkpoint_id: id, revision: point.revision };
    store::events::append(tx, Stream::Project(project), ctx.now(), vec![event]).await?;
    replace_oldest(ctx, tx, project).await?;
    tidy(ctx, tx, project).await?;
    Ok(id)
}

/// Where all projects of the owner have more than they may, the oldest automatic ones of this project go: the one that was just made takes
/// a place, and so may one that was made elsewhere at the same moment. A turn begins without the lock of its project, so the owner's can't be
/// waited for here: what begins at once may be above the limit until the next is made. The newest stays, so that each turn can be taken back.
async fn replace_oldest(ctx: &Ctx, tx: &mut Tx, project: ProjectId) -> Result<()> {
    let mut removed = false;
    for _ in 0..quotas::surplus_checkpoints(tx, project).await?.min(REPLACED_MAX) {
        let Some(oldest) = table::oldest_unnamed(tx, project).await? else { break };
        removed |= table::delete(tx, project, oldest).await?;
    }
    if removed {
        announce(ctx, tx, project).await?;
    }
    Ok(())
}

/// Makes an automatic checkpoint of `revision`, which is the newest one or the one before what the transaction writes, as part of it.
/// `totals` are the files and bytes there.
pub(crate) async fn record(
    ctx: &Ctx,
    tx: &mut Tx,
    project: ProjectId,
    kind: CheckpointKind,
    revision: i64,
    turn: Option<TurnId>,
) -> Result<CheckpointId> {
    // Booked with the commit, so within a transaction that writes these are still what was there before.
    let totals = table::totals_now(tx, project).await?.ok_or(Error::NotFound("project"))?;
    insert(ctx, tx, project, &Point { kind, name: None, revision, turn, totals }).await
}

/// How much of the past is kept: the administrator's choice. With those that have a name there are never more checkpoints than that allows,
/// but for the newest automatic one.
async fn bounds(ctx: &Ctx, conn: &mut Conn, project: ProjectId, limits: &StorageSettings) -> Result<CheckpointBounds> {
    let days = limits.retention_days.unwrap_or(ctx.services().settings.retention_days);
    let room = limits.checkpoints - table::count_named(conn, project).await?;
    Ok(CheckpointBounds { count: room.clamp(1, AUTOMATIC_MAX), days: i64::from(days), bytes: limits.project_history_bytes })
}

/// Removes what has become too old since the last checkpoint was made, so that the versions it held may go too. For the server itself.
pub(crate) async fn let_go(system: &Ctx, project: ProjectId) -> Result<()> {
    let mut tx = system.services().db.begin().await?;
    tidy(system, &mut tx, project).await?;
    system.commit(tx).await
}

/// Removes automatic checkpoints that are too many, too old, or hold too many bytes; the newest stays in any case.
async fn tidy(ctx: &Ctx, tx: &mut Tx, project: ProjectId) -> Result<()> {
    let (limits, past) = quotas::limits_and_past(tx, project).await?;
    let bounds = bounds(ctx, tx, project, &limits).await?;
    let oldest = ctx.now().plus_seconds(-bounds.days.saturating_mul(86_400));
    let mut removed = table::prune(tx, project, bounds.count, oldest).await?;
    // Checkpoints hold a part of the past. What they hold exactly takes a look at all of it.
    while past > bounds.bytes && table::held_bytes(tx, project).await? > bounds.bytes {
        let Some(oldest) = table::oldest_unnamed(tx, project).await? else { break };
        removed += u64::from(table::delete(tx, project, oldest).await?);
    }
    if removed > 0 {
        announce(ctx, tx, project).await?;
    }
    Ok(())
}

async fn announce(ctx: &Ctx, tx: &mut Tx, project: ProjectId) -> Result<()> {
    Ok(store::events::append(tx, Stream::Project(project), ctx.now(), vec![EventKind::CheckpointsChanged {}]).await?)
}

/// Gives a checkpoint a name, by which it is kept; without one an automatic checkpoint is bounded again.
pub async fn rename(ctx: &Ctx, project: ProjectId, id: CheckpointId, request: UpdateCheckpoint) -> Result<Checkpoint> {
    let name = request.name.trim();
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    table::hold(&mut tx, project).await?.ok_or(Error::NotFound("project"))?;
    let row = table::get(&mut tx, project, id).await?.ok_or(Error::NotFound("checkpoint"))?;
    let is_taken_away = name.is_empty() && row.kind.0 != CheckpointKind::Named;
    if let Some(field) = validate_name(name).filter(|_| !is_taken_away) {
        return Err(Error::Invalid(vec![field]));
    }
    if row.name.is_none() && !is_taken_away {
        check_room(&mut tx, project).await?;
    }
    table::rename(&mut tx, project, id, (!is_taken_away).then_some(name)).await?;
    announce(ctx, &mut tx, project).await?;
    ctx.commit(tx).await?;
    let row = table::get(&mut ctx.services().db.read().await?, project, id).await?.ok_or(Error::NotFound("checkpoint"))?;
    Ok(row.into_checkpoint())
}

/// Forgets a checkpoint. Files and their histories stay as they are.
pub async fn delete(ctx: &Ctx, project: ProjectId, id: CheckpointId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    if !table::delete(&mut tx, project, id).await? {
        return Err(Error::NotFound("checkpoint"));
    }
    announce(ctx, &mut tx, project).await?;
    ctx.commit(tx).await
}
