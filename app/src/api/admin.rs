use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    JobId, UserId,
    admin::{Health, UpdateUser},
    jobs::Job,
    users::User,
};

use super::ApiError;

/// All accounts, newest first.
#[server(name = UsersFn, prefix = "/fn", endpoint = "admin/users", input = Json)]
pub async fn users() -> Result<Vec<User>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::list_users(&ctx).await.map_err(super::ctx::refuse)
}

/// Disables, enables, makes or unmakes an administrator.
#[server(name = UpdateUserFn, prefix = "/fn", endpoint = "admin/update_user", input = Json)]
pub async fn update_user(id: UserId, request: UpdateUser) -> Result<User, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::update_user(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Jobs, newest first.
#[server(name = JobsFn, prefix = "/fn", endpoint = "admin/jobs", input = Json)]
pub async fn jobs() -> Result<Vec<Job>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::list_jobs(&ctx).await.map_err(super::ctx::refuse)
}

/// Stops a job, or takes it out of the queue.
#[server(name = CancelJobFn, prefix = "/fn", endpoint = "admin/cancel_job", input = Json)]
pub async fn cancel_job(id: JobId) -> Result<Job, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::cancel_job(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Puts a dead job back into the queue.
#[server(name = RequeueJobFn, prefix = "/fn", endpoint = "admin/requeue_job", input = Json)]
pub async fn requeue_job(id: JobId) -> Result<Job, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::requeue_job(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Each part of the installation with its state, the reason and what to do.
#[server(name = HealthFn, prefix = "/fn", endpoint = "admin/health", input = Json)]
pub async fn health() -> Result<Health, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::health(&ctx).await.map_err(super::ctx::refuse)
}
