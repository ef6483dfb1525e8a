//! How much projects and people may keep, and how long the past is kept.

use store::{
    Conn, Tx,
    quotas::{self as table, Surplus},
};
use wire::{
    Micros, ProjectId, UserId,
    projects::ProjectRole,
    quotas::{ProjectQuota, QuotaOverride, StorageSettings, Used, UserQuota},
};

use crate::{Ctx, Error, Result, projects, settings};

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
    let own = table::lock_owner(tx, held.owner_id).await?;
    weigh(tx, &held, own, delta).await
}

/// As [`check`], for something that begins and is decided later: an upload need not travel that can't be kept.
pub async fn has_room(conn: &mut Conn, project: ProjectId, delta: Delta) -> Result<()> {
    if !delta.grows() {
        return Ok(());
    }
    let held = table::project(conn, project).await?.ok_or(Error::NotFound("project"))?;
    let own = table::get_override(conn, held.owner_id).await?;
    weigh(conn, &held, own, delta).await
}

async fn weigh(conn: &mut Conn, held: &table::HeldProject, own: QuotaOverride, delta: Delta) -> Result<()> {
    let limits = settings::storage_in(conn).await?;
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
    if !fits(person.bytes, held.bytes) || !fits(person.files, held.files) {
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
    let limits = settings::storage_in(&mut conn).await?;
    let held = table::project(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    Ok(ProjectQuota {
        bytes: Used { used: held.bytes, limit: limits.project_bytes },
        files: Used { used: held.files, limit: limits.project_files },
        history_bytes: Used { used: table::history_bytes(&mut conn, project).await?, limit: limits.project_history_bytes },
        checkpoints: Used { used: table::count_checkpoints(&mut conn, project).await?, limit: limits.checkpoints },
        versions_per_file: limits.versions_per_file,
        retention_days: retention_days(ctx, &limits),
        owner: of_person(&mut conn, held.owner_id, &limits).await?,
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
    store::users::by_id(&mut tx, user).await?.ok_or(Error::NotFound("user"))?;
    table::set_override(&mut tx, user, own).await?;
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user, by = %admin, bytes = ?own.bytes, files = ?own.files, "a person's limits were changed");
    of_user(ctx, user).await
}

async fn of_person(conn: &mut Conn, user: UserId, limits: &StorageSettings) -> Result<UserQuota> {
    let all = table::of_owner(conn, user).await?;
    let own = table::get_override(conn, user).await?;
    Ok(UserQuota {
        bytes: Used { used: all.bytes, limit: own.bytes.unwrap_or(limits.user_bytes) },
        files: Used { used: all.files, limit: own.files.unwrap_or(limits.user_files) },
        projects: all.projects,
        own,
    })
}

fn retention_days(ctx: &Ctx, limits: &StorageSettings) -> u32 {
    limits.retention_days.unwrap_or(ctx.services().settings.retention_days)
}

/// Removes versions of all projects that are beyond the count, the age or the bytes that are kept, in small transactions. What a
/// checkpoint, an open change set or an unfinished turn needs stays, and so does the newest version of every path, deletions included.
/// Answers how many went. For the server itself.
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
    crate::checkpoints::let_go(system, project).await?;
    let mut gone = remove_surplus(system, project, Surplus::BeyondCount(kept.limits.versions_per_file), kept.settled).await?;
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
    Ok(gone)
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

/// What was chosen is looked at again under the project's lock: a checkpoint or a turn may have come to need it.
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
    use super::size;

    #[test]
    fn sizes_are_told_in_round_units() {
        assert_eq!((size(2 << 30), size(1536 << 10), size(10)), ("2 GiB".into(), "1.5 MiB".into(), "10 bytes".into()));
    }
}
