use wire::{
    JobId, UserId,
    admin::{Health, UpdateUser},
    event::{EventKind, Stream},
    jobs::Job,
    users::{User, UserRole, UserState},
};

use crate::{Ctx, Error, Result, health as readiness, jobs};

pub async fn list_users(ctx: &Ctx) -> Result<Vec<User>> {
    ctx.require_admin()?;
    let rows = store::users::list(&mut ctx.services().db.read().await?).await?;
    Ok(rows.into_iter().map(store::users::UserRow::into_user).collect())
}

/// Disables, enables, makes or unmakes an administrator. Disabling ends every session at once. The last active administrator stays.
pub async fn update_user(ctx: &Ctx, id: UserId, request: UpdateUser) -> Result<User> {
    ctx.require_admin()?;
    let mut tx = ctx.services().db.begin().await?;
    // Two administrators who unmake each other at the same moment must not both succeed.
    store::users::lock_installation(&mut tx).await?;
    let mut user = store::users::by_id(&mut tx, id).await?.ok_or(Error::NotFound("user"))?.into_user();
    let was_acting_admin = user.is_admin() && user.state == UserState::Active;
    user.role = request.role.unwrap_or(user.role);
    user.state = request.state.unwrap_or(user.state);
    let is_acting_admin = user.role == UserRole::Admin && user.state == UserState::Active;
    if was_acting_admin && !is_acting_admin && store::users::count_active_admins(&mut tx).await? <= 1 {
        return Err(Error::conflict("This is the last active administrator. Make someone else administrator first."));
    }
    store::users::update_access(&mut tx, id, user.role, user.state).await?;
    if user.state == UserState::Disabled {
        store::sessions::revoke_all(&mut tx, id, ctx.now()).await?;
        store::events::append(&mut tx, Stream::User(id), ctx.now(), vec![EventKind::SessionEnded {}]).await?;
    }
    ctx.commit(tx).await?;
    tracing::info!(user.id = %id, user.role = ?user.role, user.state = ?user.state, by = ?ctx.user_id(), "an account was changed");
    Ok(user)
}

/// The newest first.
pub async fn list_jobs(ctx: &Ctx) -> Result<Vec<Job>> {
    ctx.require_admin()?;
    let rows = store::jobs::list(&mut ctx.services().db.read().await?, 200).await?;
    Ok(rows.into_iter().map(store::jobs::JobWithUser::into_job).collect())
}

/// As [`jobs::cancel`], for any job.
pub async fn cancel_job(ctx: &Ctx, id: JobId) -> Result<Job> {
    ctx.require_admin()?;
    jobs::cancel(ctx, id).await
}

pub async fn requeue_job(ctx: &Ctx, id: JobId) -> Result<Job> {
    ctx.require_admin()?;
    let mut tx = ctx.services().db.begin().await?;
    if !store::jobs::requeue_dead(&mut tx, id, ctx.now()).await? {
        return Err(Error::conflict("Only a job that was given up can be put back into the queue."));
    }
    ctx.commit(tx).await?;
    jobs::get(ctx, id).await
}

/// Each part of the installation with its state, the reason and what to do.
pub async fn health(ctx: &Ctx) -> Result<Health> {
    ctx.require_admin()?;
    Ok(readiness::check(ctx.services()).await)
}
