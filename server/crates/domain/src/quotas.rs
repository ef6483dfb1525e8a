//! How much projects and people may keep, and how long the past is kept.

use serde_json::json;
use store::{
    Conn, Tx,
    quotas::{self as table, Bounds, Surplus},
};
use wire::{
    Micros, ProjectId, UserId,
    audit::AuditAction,
    projects::ProjectRole,
    quotas::{HISTORY_TIMES, ProjectQuota, QuotaOverride, StorageSettings, Used, UserQuota},
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    projects, settings,
};

/// Versions removed in one transaction, which holds up the project's writers.
const BATCH: i64 = 200;
/// Batches of one project in one go; what is left waits for the next.
const BATCHES: usize = 50;
/// What was replaced only now may be read still, by an export or a restore that began before.
const SETTLED_S: i64 = 3600;
/// Projects read at a time.
const PAGE: i64 = 100;

/// What a change adds to a project's totals; negative where it takes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta {
    pub files: i64,
    pub bytes: i64,
}

impl Delta {
    fn grows(self) -> bool {
        self.files > 0 || self.bytes > 0
    }
}

/// Refuses a change that would put the project, or all projects of its owner together, above a limit. What shrinks is never refused.
/// The caller holds the project's lock, has not booked the change yet, and takes no other project's lock in this transaction: from
/// here on whoever enlarges a project of the same owner waits for its end.
pub async fn check(tx: &mut Tx, project: ProjectId, delta: Delta) -> Result<()> {
    if !delta.grows() {
        return Ok(());
    }
    let held = table::project(tx, project).await?.ok_or(Error::NotFound("project"))?;
    table::lock_owner(tx, held.owner_id).await?;
    weigh(tx, project, &held, delta).await
}

/// As [`check`], for something that begins and is decided later: an upload need not travel that can't be kept.
pub async fn has_room(conn: &mut Conn, project: ProjectId, delta: Delta) -> Result<()> {
    if !delta.grows() {
        return Ok(());
    }
    let held = table::project(conn, project).await?.ok_or(Error::NotFound("project"))?;
    weigh(conn, project, &held, delta).await
}

async fn weigh(conn: &mut Conn, project: ProjectId, held: &table::HeldProject, delta: Delta) -> Result<()> {
    let (bounds, everybody) = settings::bounds_in(conn, project).await?.ok_or(Error::NotFound("project"))?;
    let (own, limits) = (bounds.owner, narrowed(everybody, bounds.owner, bounds.own));
    let all = table::of_owner(conn, held.owner_id).await?;
    if delta.bytes > 0 {
        if held.bytes + delta.bytes > limits.project_bytes {
            return Err(full(format!("A project holds at most {}", size(limits.project_bytes))));
        }
        let most = own.bytes.unwrap_or(limits.user_bytes);
        if all.bytes + delta.bytes > most {
            return Err(full(format!("All projects of {} together hold at most {}", held.owner_name, size(most))));
        }
    }
    if delta.files > 0 {
        if held.files + delta.files > limits.project_files {
            return Err(full(format!("A project holds at most {} files", limits.project_files)));
        }
        let most = own.files.unwrap_or(limits.user_files);
        if all.files + delta.files > most {
            return Err(full(format!("All projects of {} together hold at most {most} files", held.owner_name)));
        }
    }
    Ok(())
}

/// The limits of everybody with what the owner and the project have of their own.
fn narrowed(everybody: StorageSettings, owner: QuotaOverride, own: QuotaOverride) -> StorageSettings {
    StorageSettings {
        project_bytes: own.bytes.unwrap_or(everybody.project_bytes),
        project_files: own.files.unwrap_or(everybody.project_files),
        versions_per_file: own.versions.or(owner.versions).unwrap_or(everybody.versions_per_file),
        checkpoints: own.checkpoints.or(owner.checkpoints).unwrap_or(everybody.checkpoints),
        user_versions: owner.all_versions.unwrap_or(everybody.user_versions),
        user_checkpoints: owner.all_checkpoints.unwrap_or(everybody.user_checkpoints),
        user_projects: owner.projects.unwrap_or(everybody.user_projects),
        ..everybody
    }
}

/// What applies to one project.
pub(crate) async fn limits_of(conn: &mut Conn, project: ProjectId) -> Result<StorageSettings> {
    Ok(limits_and_past(conn, project).await?.0)
}

/// What applies to one project, and the bytes that its past holds at most.
pub(crate) async fn limits_and_past(conn: &mut Conn, project: ProjectId) -> Result<(StorageSettings, i64)> {
    let (bounds, everybody) = settings::bounds_in(conn, project).await?.ok_or(Error::NotFound("project"))?;
    Ok((narrowed(everybody, bounds.owner, bounds.own), bounds.history))
}

/// What a change of a project made part of its past.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replaced {
    pub bytes: i64,
    /// As [`table::book_versions`] counted them.
    pub versions: i64,
}

/// Books bytes that a change of the project made part of its past, and refuses a change that `brings` new content while the past holds
/// more than it ever may: what was replaced within the last hour, and what checkpoints need, can't be removed to make room. Versions that
/// are too many for the owner make room here, as [`make_room`] says. What only deletes or moves is never refused. The caller holds the
/// project's lock, and no other project's.
pub(crate) async fn book_past(tx: &mut Tx, project: ProjectId, replaced: Replaced, brings: bool) -> Result<()> {
    if replaced.bytes > 0 {
        table::add_history(tx, project, replaced.bytes).await?;
    }
    if !brings && replaced.versions == 0 {
        return Ok(());
    }
    let held = table::project(tx, project).await?.ok_or(Error::NotFound("project"))?;
    let own = table::lock_owner(tx, held.owner_id).await?;
    let limits = settings::storage_in(tx).await?;
    let all = table::of_owner(tx, held.owner_id).await?;
    let versions_most = own.all_versions.unwrap_or(limits.user_versions).saturating_mul(HISTORY_TIMES);
    let room = Room { most: versions_most, over: all.versions - versions_most, came: replaced.versions };
    make_room(tx, project, &held, room, brings).await?;
    if !brings {
        return Ok(());
    }
    let most = limits.project_history_bytes.saturating_mul(HISTORY_TIMES);
    let all_most = own.bytes.unwrap_or(limits.user_bytes).saturating_mul(HISTORY_TIMES);
    let is_over = all.history > all_most;
    if held.history <= most && !is_over {
        return Ok(());
    }
    // The number that is booked is too high where content is kept elsewhere too.
    let exact = table::history_bytes(tx, project).await?;
    table::set_history(tx, project, exact).await?;
    if exact > most {
        return Err(past_full(format!("Earlier versions and deleted files of a project hold at most {}", size(most))));
    }
    if is_over {
        let mut all = 0;
        for one in table::projects_of(tx, held.owner_id).await? {
            all += table::history_bytes(tx, one).await?;
        }
        if all > all_most {
            let whose = format!("Earlier versions and deleted files in all projects of {} together", held.owner_name);
            return Err(past_full(format!("{whose} hold at most {}", size(all_most))));
        }
    }
    Ok(())
}

/// Versions that all projects of an owner may have, how many they have beyond that, and how many of them came just now.
struct Room {
    most: i64,
    over: i64,
    came: i64,
}

/// Where all projects of the owner have [`HISTORY_TIMES`] as many versions as are kept, the oldest of the project at hand go, as many as
/// came: a save that goes on is worth more than they are. Those of other projects can't go here, since locks of projects come before the
/// owner's; they wait for the hourly cleanup, and where the project has none to give, new content is refused until then. What was there
/// before a lower limit goes with the cleanup as well. The caller holds the owner's lock, and the project's.
async fn make_room(tx: &mut Tx, project: ProjectId, held: &table::HeldProject, room: Room, brings: bool) -> Result<()> {
    let surplus = room.over.min(room.came);
    if surplus <= 0 {
        return Ok(());
    }
    let gone = table::remove_oldest(tx, project, surplus).await?;
    if gone as i64 >= surplus || !brings {
        return Ok(());
    }
    // The number that is booked may be too high.
    let mut all = 0;
    for one in table::projects_of(tx, held.owner_id).await? {
        let exact = table::count_versions(tx, one).await?;
        if one == project {
            table::set_versions(tx, project, exact).await?;
        }
        all += exact;
    }
    if all > room.most {
        let whose = format!("All projects of {} together", held.owner_name);
        return Err(past_full(format!("{whose} keep at most {} earlier versions", room.most)));
    }
    Ok(())
}

/// Removes the oldest versions of paths that have just got one, each named with it, where they have [`HISTORY_TIMES`] as many as are kept.
/// What is between waits for the hourly cleanup, since it may be read still; what something needs stays, and is limited with that. The
/// caller holds the project's lock.
pub(crate) async fn thin_paths(tx: &mut Tx, project: ProjectId, written: &[(String, i64)]) -> Result<()> {
    if written.is_empty() {
        return Ok(());
    }
    let most = limits_of(tx, project).await?.versions_per_file.saturating_mul(HISTORY_TIMES);
    for (path, version) in written.iter().filter(|(_, version)| *version > most) {
        table::remove_up_to(tx, project, path, version - most).await?;
    }
    Ok(())
}

/// As [`thin_paths`], of all paths that a revision wrote. The caller holds the project's lock.
pub(crate) async fn thin_revision(tx: &mut Tx, project: ProjectId, revision: i64) -> Result<()> {
    let most = limits_of(tx, project).await?.versions_per_file.saturating_mul(HISTORY_TIMES);
    table::remove_beyond(tx, project, revision, most).await?;
    Ok(())
}

/// Refuses more directories of their own than a project may have files. The caller holds the project's lock and has made them.
pub(crate) async fn check_directories(tx: &mut Tx, project: ProjectId) -> Result<()> {
    let most = limits_of(tx, project).await?.project_files;
    if table::count_directories(tx, project).await? > most {
        return Err(full(format!("A project holds at most {most} directories that were made for themselves")));
    }
    Ok(())
}

/// Refuses a checkpoint with a name where all projects of the owner have as many as they may. Those without a name make room for it in
/// this project, all but the newest; others' are out of reach, as for [`make_room`]. The caller holds the project's lock and makes it in
/// this transaction.
pub(crate) async fn check_checkpoints(tx: &mut Tx, project: ProjectId) -> Result<()> {
    let held = table::project(tx, project).await?.ok_or(Error::NotFound("project"))?;
    let own = table::lock_owner(tx, held.owner_id).await?;
    let most = own.all_checkpoints.unwrap_or(settings::storage_in(tx).await?.user_checkpoints);
    let all = table::count_checkpoints_of_owner(tx, held.owner_id).await?;
    if all < most {
        return Ok(());
    }
    let unnamed = table::count_checkpoints(tx, project).await? - store::checkpoints::count_named(tx, project).await?;
    if all - (unnamed - 1).max(0) >= most {
        return Err(Error::TooLarge(format!(
            "All projects of {} together keep at most {most} checkpoints. Nothing was changed; delete some that are not needed any more, or \
             ask an administrator for more.",
            held.owner_name
        )));
    }
    Ok(())
}

/// How many checkpoints all projects of the project's owner have above their limit.
pub(crate) async fn surplus_checkpoints(conn: &mut Conn, project: ProjectId) -> Result<i64> {
    let most = limits_of(conn, project).await?.user_checkpoints;
    let held = table::project(conn, project).await?.ok_or(Error::NotFound("project"))?;
    Ok(table::count_checkpoints_of_owner(conn, held.owner_id).await? - most)
}

/// Refuses one project more than somebody may own. The caller has inserted it, and commits next: blobs are kept before this lock is taken.
/// Deleted ones count, or whoever makes and deletes them again and again would be without an end.
pub(crate) async fn check_projects(tx: &mut Tx, owner: UserId) -> Result<()> {
    let own = table::lock_owner(tx, owner).await?;
    let most = own.projects.unwrap_or(settings::storage_in(tx).await?.user_projects);
    if table::of_owner(tx, owner).await?.held > most {
        return Err(Error::TooLarge(format!(
            "You can own at most {most} projects, and deleted ones count for as long as they can be restored. Nothing was changed; hand one \
             over to somebody else, or ask an administrator for more."
        )));
    }
    Ok(())
}

/// Puts right how many versions a project has that was filled with a past, and refuses it where its owner has no room for these or for
/// its checkpoints. The caller shows the project in this transaction.
pub(crate) async fn take_in_past(tx: &mut Tx, project: ProjectId) -> Result<()> {
    let versions = table::count_versions(tx, project).await?;
    table::set_versions(tx, project, versions).await?;
    let held = table::project(tx, project).await?.ok_or(Error::NotFound("project"))?;
    let own = table::lock_owner(tx, held.owner_id).await?;
    let limits = settings::storage_in(tx).await?;
    let most = own.all_versions.unwrap_or(limits.user_versions);
    if versions > 0 && table::of_owner(tx, held.owner_id).await?.versions > most.saturating_mul(HISTORY_TIMES) {
        return Err(full(format!("All projects of {} together keep at most {most} earlier versions", held.owner_name)));
    }
    let most = own.all_checkpoints.unwrap_or(limits.user_checkpoints);
    let more = table::count_checkpoints(tx, project).await?;
    if more > 0 && table::count_checkpoints_of_owner(tx, held.owner_id).await? > most {
        return Err(full(format!("All projects of {} together keep at most {most} checkpoints", held.owner_name)));
    }
    Ok(())
}

fn past_full(limit: String) -> Error {
    Error::TooLarge(format!(
        "{limit}, and this would be more. Nothing was changed; close reviews that are still open, delete checkpoints that are not needed \
         and try again in two hours, when old versions have been removed, or ask an administrator for more room."
    ))
}

fn full(limit: String) -> Error {
    Error::TooLarge(format!(
        "{limit}, and this would be more. Nothing was changed; remove something first, or ask an administrator for more room."
    ))
}

/// `2 GiB`, `1.5 MiB`.
fn size(bytes: i64) -> String {
    let units = [("GiB", 1_i64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes % unit == 0 => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// Lets a project count towards somebody else's limits, if there is room. The caller holds the project's lock.
pub(crate) async fn hand_over(tx: &mut Tx, project: ProjectId, to: UserId) -> Result<()> {
    table::lock_owner(tx, to).await?;
    let held = table::project(tx, project).await?.ok_or(Error::NotFound("project"))?;
    let limits = settings::storage_in(tx).await?;
    let person = of_person(tx, to, &limits).await?;
    let fits = |used: Used, more: i64| more == 0 || used.used + more <= used.limit;
    let checkpoints = table::count_checkpoints(tx, project).await?;
    // Versions beyond their limit go within the hour.
    let versions = Used { limit: person.versions.limit.saturating_mul(HISTORY_TIMES), ..person.versions };
    let fits_now = fits(person.bytes, held.bytes) && fits(person.files, held.files);
    let fits_kept = fits(versions, held.versions) && fits(person.checkpoints, checkpoints) && fits(person.all_projects, 1);
    if !fits_now || !fits_kept {
        let detail = "The new owner has no room for this project. Nothing was changed; an administrator can give them more.";
        return Err(Error::TooLarge(detail.to_owned()));
    }
    store::members::set_holder(tx, project, to).await?;
    Ok(())
}

/// What a project uses and may use, for whoever may see it.
pub async fn of_project(ctx: &Ctx, project: ProjectId) -> Result<ProjectQuota> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    quota_of(ctx, &mut conn, project).await
}

/// Anybody's project, for administrators.
pub async fn of_any_project(ctx: &Ctx, project: ProjectId) -> Result<ProjectQuota> {
    ctx.require_admin()?;
    let mut conn = ctx.services().db.read().await?;
    store::admin::projects::get(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    quota_of(ctx, &mut conn, project).await
}

/// Gives a project limits of its own; absent ones are as for its owner's other projects. Being above them already only stops growth.
pub async fn set_of_project(ctx: &Ctx, project: ProjectId, own: QuotaOverride) -> Result<ProjectQuota> {
    let admin = ctx.require_admin()?.id;
    let fields = own.validate_of_project();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut tx = ctx.services().db.begin().await?;
    let found = store::admin::projects::get(&mut tx, project).await?.ok_or(Error::NotFound("project"))?;
    table::set_override_of_project(&mut tx, project, own).await?;
    let facts = Facts::about("project", project, found.name).in_project(project);
    audit::record(ctx, &mut tx, AuditAction::QuotaChanged, facts.with(json!(own)));
    ctx.commit(tx).await?;
    tracing::info!(project.id = %project, by = %admin, ?own, "a project's limits were changed");
    of_any_project(ctx, project).await
}

async fn quota_of(ctx: &Ctx, conn: &mut Conn, project: ProjectId) -> Result<ProjectQuota> {
    let (Bounds { owner, own, .. }, everybody) = settings::bounds_in(conn, project).await?.ok_or(Error::NotFound("project"))?;
    let held = table::project(conn, project).await?.ok_or(Error::NotFound("project"))?;
    let (all, all_checkpoints) = table::whole_of_owner(conn, held.owner_id).await?;
    let limits = narrowed(everybody.clone(), owner, own);
    Ok(ProjectQuota {
        bytes: Used { used: held.bytes, limit: limits.project_bytes },
        files: Used { used: held.files, limit: limits.project_files },
        history_bytes: Used { used: table::history_bytes(conn, project).await?, limit: limits.project_history_bytes },
        checkpoints: Used { used: table::count_checkpoints(conn, project).await?, limit: limits.checkpoints },
        versions: Used { used: table::most_versions(conn, project).await?, limit: limits.versions_per_file },
        versions_per_file: limits.versions_per_file,
        retention_days: retention_days(ctx, &limits),
        owner: quota_of_person(all, all_checkpoints, owner, &everybody),
        own,
    })
}

/// What the caller's own projects use together.
pub async fn mine(ctx: &Ctx) -> Result<UserQuota> {
    let user = ctx.require_user()?.id;
    let mut conn = ctx.services().db.read().await?;
    let limits = settings::storage_in(&mut conn).await?;
    of_person(&mut conn, user, &limits).await
}

/// Anybody's, for administrators.
pub async fn of_user(ctx: &Ctx, user: UserId) -> Result<UserQuota> {
    ctx.require_admin()?;
    let mut conn = ctx.services().db.read().await?;
    store::users::by_id(&mut conn, user).await?.ok_or(Error::NotFound("user"))?;
    let limits = settings::storage_in(&mut conn).await?;
    of_person(&mut conn, user, &limits).await
}

/// Gives a person limits of their own; absent ones are as for everybody. Being above them already only stops growth.
pub async fn set_of_user(ctx: &Ctx, user: UserId, own: QuotaOverride) -> Result<UserQuota> {
    let admin = ctx.require_admin()?.id;
    let fields = own.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut tx = ctx.services().db.begin().await?;
    let found = store::users::by_id(&mut tx, user).await?.ok_or(Error::NotFound("user"))?.into_user();
    table::set_override(&mut tx, user, own).await?;
    audit::record(ctx, &mut tx, AuditAction::QuotaChanged, Facts::user(&found).with(json!(own)));
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user, by = %admin, ?own, "a person's limits were changed");
    of_user(ctx, user).await
}

pub(crate) async fn of_person(conn: &mut Conn, user: UserId, limits: &StorageSettings) -> Result<UserQuota> {
    let (all, checkpoints) = table::whole_of_owner(conn, user).await?;
    let own = table::get_override(conn, user).await?;
    Ok(quota_of_person(all, checkpoints, own, limits))
}

/// What all projects of a person count, beside what they may.
pub(crate) fn quota_of_person(all: table::Totals, checkpoints: i64, own: QuotaOverride, limits: &StorageSettings) -> UserQuota {
    let bytes = own.bytes.unwrap_or(limits.user_bytes);
    UserQuota {
        bytes: Used { used: all.bytes, limit: bytes },
        files: Used { used: all.files, limit: own.files.unwrap_or(limits.user_files) },
        history_bytes: Used { used: all.history, limit: bytes.saturating_mul(HISTORY_TIMES) },
        versions: Used { used: all.versions, limit: own.all_versions.unwrap_or(limits.user_versions) },
        checkpoints: Used { used: checkpoints, limit: own.all_checkpoints.unwrap_or(limits.user_checkpoints) },
        all_projects: Used { used: all.held, limit: own.projects.unwrap_or(limits.user_projects) },
        projects: all.projects,
        own,
    }
}

/// For how long what was deleted or replaced can be brought back, in seconds.
pub(crate) async fn retention_s(ctx: &Ctx, conn: &mut Conn) -> Result<i64> {
    let limits = settings::storage_in(conn).await?;
    Ok(86_400 * i64::from(retention_days(ctx, &limits)))
}

fn retention_days(ctx: &Ctx, limits: &StorageSettings) -> u32 {
    limits.retention_days.unwrap_or(ctx.services().settings.retention_days)
}

/// Removes versions of all projects that are beyond the count, the age or the bytes that are kept, in small transactions. What a
/// checkpoint, an open change set, an unfinished turn or an archive that is being made needs stays, and so does the newest version of
/// every path, deletions included. Answers how many went. For the server itself.
pub async fn thin(system: &Ctx) -> Result<u64> {
    if !system.is_system() {
        return Err(Error::Forbidden("Only the server itself removes old versions.".to_owned()));
    }
    let limits = settings::storage_in(&mut system.services().db.read().await?).await?;
    let kept = Kept {
        settled: system.now().plus_seconds(-SETTLED_S),
        young: system.now().plus_seconds(-86_400 * i64::from(retention_days(system, &limits))),
        limits,
    };
    let (mut gone, mut after) = (0, None);
    loop {
        let page = table::projects_after(&mut system.services().db.read().await?, after, PAGE).await?;
        for project in &page {
            gone += thin_project(system, *project, &kept).await?;
        }
        match page.last() {
            Some(last) if page.len() as i64 == PAGE => after = Some(*last),
            _ => return Ok(gone),
        }
    }
}

/// What retention leaves alone.
struct Kept {
    limits: StorageSettings,
    /// Replaced after this: not looked at.
    settled: Micros,
    /// Replaced after this: not too old.
    young: Micros,
}

async fn thin_project(system: &Ctx, project: ProjectId, kept: &Kept) -> Result<u64> {
    let limits = match limits_of(&mut system.services().db.read().await?, project).await {
        Err(Error::NotFound(_)) => return Ok(0),
        limits => limits?,
    };
    crate::checkpoints::let_go(system, project).await?;
    let mut gone = remove_surplus(system, project, Surplus::BeyondCount(limits.versions_per_file), kept.settled).await?;
    gone += remove_surplus(system, project, Surplus::Age, kept.young).await?;
    for _ in 0..BATCHES {
        let mut conn = system.services().db.read().await?;
        if table::history_bytes(&mut conn, project).await? <= kept.limits.project_history_bytes {
            break;
        }
        let oldest = table::surplus(&mut conn, project, Surplus::Age, kept.settled, BATCH).await?;
        drop(conn);
        let removed = remove(system, project, &oldest).await?;
        gone += removed;
        if removed == 0 {
            break;
        }
    }
    count_past(system, project).await?;
    gone += thin_share(system, project, kept).await?;
    Ok(gone)
}

/// Removes the oldest versions where all projects of an owner have too many together and this one is among those with most. What others
/// have is taken as it was booked; each is counted anew before it is its turn.
async fn thin_share(system: &Ctx, project: ProjectId, kept: &Kept) -> Result<u64> {
    let mut gone = 0;
    for _ in 0..BATCHES {
        let mut conn = system.services().db.read().await?;
        let beyond = beyond_share(&mut conn, project).await?;
        if beyond == 0 {
            break;
        }
        let oldest = table::surplus(&mut conn, project, Surplus::Age, kept.settled, BATCH.min(beyond)).await?;
        drop(conn);
        let removed = remove(system, project, &oldest).await?;
        gone += removed;
        if removed == 0 {
            break;
        }
    }
    if gone > 0 {
        count_past(system, project).await?;
    }
    Ok(gone)
}

async fn beyond_share(conn: &mut Conn, project: ProjectId) -> Result<i64> {
    let Some((bounds, everybody)) = settings::bounds_in(conn, project).await? else { return Ok(0) };
    let Some(held) = table::project(conn, project).await? else { return Ok(0) };
    let most = bounds.owner.all_versions.unwrap_or(everybody.user_versions);
    let counts = table::versions_of_owner(conn, held.owner_id).await?;
    Ok(held.versions.saturating_sub(share(counts, most)).max(0))
}

/// How many of `most` each project may have: those that have less leave the rest to the others, which get equal parts.
fn share(mut counts: Vec<i64>, most: i64) -> i64 {
    counts.sort_unstable();
    let mut left = most;
    for (n, count) in counts.iter().enumerate() {
        let part = left / (counts.len() - n) as i64;
        if *count > part {
            return part;
        }
        left -= count;
    }
    i64::MAX
}

/// Puts what a project's past is taken to hold right.
async fn count_past(system: &Ctx, project: ProjectId) -> Result<()> {
    let mut tx = system.services().db.begin().await?;
    if table::lock_project(&mut tx, project).await? {
        let held = table::history_bytes(&mut tx, project).await?;
        table::set_history(&mut tx, project, held).await?;
        let versions = table::count_versions(&mut tx, project).await?;
        table::set_versions(&mut tx, project, versions).await?;
    }
    system.commit(tx).await
}

async fn remove_surplus(system: &Ctx, project: ProjectId, why: Surplus, replaced: Micros) -> Result<u64> {
    let mut gone = 0;
    for _ in 0..BATCHES {
        let old = table::surplus(&mut system.services().db.read().await?, project, why, replaced, BATCH).await?;
        gone += remove(system, project, &old).await?;
        if (old.len() as i64) < BATCH {
            break;
        }
    }
    Ok(gone)
}

/// What was chosen is looked at again under the project's lock: a checkpoint, a turn or an archive may have come to need it.
async fn remove(system: &Ctx, project: ProjectId, old: &[table::OldVersion]) -> Result<u64> {
    if old.is_empty() {
        return Ok(0);
    }
    let mut tx = system.services().db.begin().await?;
    if !table::lock_project(&mut tx, project).await? {
        return Ok(0);
    }
    let gone = table::remove(&mut tx, project, old).await?;
    system.commit(tx).await?;
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::{share, size};

    #[test]
    fn those_that_have_most_give_versions_up() {
        assert_eq!(share(vec![90, 5, 5], 100), i64::MAX, "all that there are fit");
        assert_eq!(share(vec![90, 5, 20], 100), 75);
        assert_eq!(share(vec![75, 5, 20], 100), i64::MAX, "and then nothing more goes");
        assert_eq!(share(vec![60, 50, 4], 41), 18);
        assert_eq!(share(vec![18, 50, 4], 41), 19, "which one comes first makes no difference but for the rest");
        assert_eq!(share(Vec::new(), 10), i64::MAX);
    }

    #[test]
    fn sizes_are_told_in_round_units() {
        assert_eq!((size(2 << 30), size(1536 << 10), size(10)), ("2 GiB".into(), "1.5 MiB".into(), "10 bytes".into()));
    }
}
