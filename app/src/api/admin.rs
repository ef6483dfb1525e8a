use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    JobId, ProjectId, UserId,
    admin::{
        AdminAccess, AdminProject, AdminUser, GiveProject, HealthReport, JobQuery, Listed, OpenProject, Overview, ProjectQuery, Pulse,
        Requeued, SettingsChange, UpdateUser, UserDetail, UserQuery,
    },
    jobs::Job,
    settings::RateSettings,
    users::User,
};

use super::ApiError;

/// Accounts that fit, a page of them.
#[server(name = UsersFn, prefix = "/fn", endpoint = "admin/users", input = Json)]
pub async fn users(query: UserQuery) -> Result<Listed<AdminUser>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::list_users(&ctx, query).await.map_err(super::ctx::refuse)
}

/// One account with its quota and its projects.
#[server(name = UserDetailFn, prefix = "/fn", endpoint = "admin/user", input = Json)]
pub async fn user(id: UserId) -> Result<UserDetail, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::user_detail(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Disables, enables, makes or unmakes an administrator.
#[server(name = UpdateUserFn, prefix = "/fn", endpoint = "admin/update_user", input = Json)]
pub async fn update_user(id: UserId, request: UpdateUser) -> Result<User, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::update_user(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Ends every session of an account.
#[server(name = SignOutUserFn, prefix = "/fn", endpoint = "admin/sign_out_user", input = Json)]
pub async fn sign_out_user(id: UserId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::sign_out_user(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Takes app, passkeys and recovery codes away from an account whose person has lost them.
#[server(name = ResetSecondFactorFn, prefix = "/fn", endpoint = "admin/reset_second_factor", input = Json)]
pub async fn reset_second_factor(id: UserId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::second_factor::reset(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Projects of everybody that fit, a page of them.
#[server(name = AdminProjectsFn, prefix = "/fn", endpoint = "admin/projects", input = Json)]
pub async fn projects(query: ProjectQuery) -> Result<Listed<AdminProject>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::list_projects(&ctx, query).await.map_err(super::ctx::refuse)
}

/// Takes a project away from everyone; it can be restored.
#[server(name = AdminDeleteProjectFn, prefix = "/fn", endpoint = "admin/delete_project", input = Json)]
pub async fn delete_project(id: ProjectId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::delete_project(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Brings a deleted project back.
#[server(name = AdminRestoreProjectFn, prefix = "/fn", endpoint = "admin/restore_project", input = Json)]
pub async fn restore_project(id: ProjectId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::restore_project(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Makes somebody else the project's owner.
#[server(name = AdminGiveProjectFn, prefix = "/fn", endpoint = "admin/give_project", input = Json)]
pub async fn give_project(id: ProjectId, request: GiveProject) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::give_project(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Lets the caller read a project for an hour; its people are told why.
#[server(name = OpenProjectFn, prefix = "/fn", endpoint = "admin/open_project", input = Json)]
pub async fn open_project(id: ProjectId, request: OpenProject) -> Result<AdminAccess, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::open_project(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Ends what [`open_project`] began.
#[server(name = CloseProjectFn, prefix = "/fn", endpoint = "admin/close_project", input = Json)]
pub async fn close_project(id: ProjectId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::close_project(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Which administrators opened a project; for everybody who may see it.
#[server(name = ProjectAccessesFn, prefix = "/fn", endpoint = "projects/admin_access", input = Json)]
pub async fn accesses(id: ProjectId) -> Result<Vec<AdminAccess>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::list_accesses(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Jobs that fit, the newest first, a page of them.
#[server(name = JobsFn, prefix = "/fn", endpoint = "admin/jobs", input = Json)]
pub async fn jobs(query: JobQuery) -> Result<Listed<Job>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::list_jobs(&ctx, query).await.map_err(super::ctx::refuse)
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

/// Puts all dead jobs back into the queue.
#[server(name = RequeueDeadFn, prefix = "/fn", endpoint = "admin/requeue_dead", input = Json)]
pub async fn requeue_dead() -> Result<Requeued, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::requeue_dead(&ctx).await.map_err(super::ctx::refuse)
}

/// The few numbers that say how the installation is.
#[server(name = OverviewFn, prefix = "/fn", endpoint = "admin/overview", input = Json)]
pub async fn overview() -> Result<Overview, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::overview(&ctx).await.map_err(super::ctx::refuse)
}

/// What the navigation counts.
#[server(name = PulseFn, prefix = "/fn", endpoint = "admin/pulse", input = Json)]
pub async fn pulse() -> Result<Pulse, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::pulse(&ctx).await.map_err(super::ctx::refuse)
}

/// Each part of the installation with its state, the reason and what to do.
#[server(name = HealthFn, prefix = "/fn", endpoint = "admin/health", input = Json)]
pub async fn health() -> Result<HealthReport, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::health(&ctx).await.map_err(super::ctx::refuse)
}

/// Who changed which settings last.
#[server(name = SettingsChangesFn, prefix = "/fn", endpoint = "admin/settings_changes", input = Json)]
pub async fn settings_changes() -> Result<Vec<SettingsChange>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::admin::settings_changes(&ctx).await.map_err(super::ctx::refuse)
}

/// How many requests one caller may send.
#[server(name = RatesFn, prefix = "/fn", endpoint = "admin/rates", input = Json)]
pub async fn rates() -> Result<RateSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::rates(&ctx).await.map_err(super::ctx::refuse)
}

/// Replaces what [`rates`] shows; with `base` only if that is still so, else it is refused with what is saved now.
#[server(name = UpdateRatesFn, prefix = "/fn", endpoint = "admin/update_rates", input = Json)]
pub async fn update_rates(request: RateSettings, base: Option<RateSettings>) -> Result<RateSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::settings::replace_rates(&ctx, request, base.as_ref()).await.map_err(super::ctx::refuse)
}
