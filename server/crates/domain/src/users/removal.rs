use serde_json::json;
use store::{Tx, members, projects as table};
use wire::{
    UserId,
    audit::AuditAction,
    auth::DeleteMe,
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use crate::{
    Ctx, Error, Result, accounts,
    audit::{self, Facts},
    auth, quotas,
};

/// Ends one's own account, for good. Projects that nobody else is in go with it; those that others are in need another owner first.
/// Everything about the person goes; a row without a name stays for what they did in the projects of others. Answers the cookie that
/// clears the browser's.
pub async fn delete_me(ctx: &Ctx, request: DeleteMe) -> Result<String> {
    let user = ctx.require_session()?;
    accounts::confirm(ctx, user, request.password.as_deref(), "password").await?;
    let mut tx = ctx.services().db.begin().await?;
    // Two administrators who leave at the same moment must not both succeed.
    store::users::lock_installation(&mut tx).await?;
    if user.is_admin() && store::users::count_active_admins(&mut tx).await? <= 1 {
        return Err(Error::conflict("You are the last administrator. Make somebody else administrator first."));
    }
    let deleted = leave_projects(ctx, &mut tx, user.id).await?;
    store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionEnded {}]).await?;
    store::links::remove_made_by(&mut tx, user.id).await?;
    store::users::bury(&mut tx, user.id, ctx.now()).await?;
    audit::record(ctx, &mut tx, AuditAction::AccountDeleted, Facts::user(user).with(json!({ "projects_deleted": deleted })));
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, "an account was deleted by its owner");
    Ok(auth::no_cookie(ctx))
}

/// How many projects were deleted by this.
async fn leave_projects(ctx: &Ctx, tx: &mut Tx, user: UserId) -> Result<usize> {
    for membership in members::of_user(tx, user).await? {
        store::quotas::lock_project(tx, membership.project_id).await?;
    }
    // Asked again now that nobody can change it meanwhile.
    let all = members::of_user(tx, user).await?;
    let held: Vec<_> = all.iter().filter(|m| m.role.0 == ProjectRole::Owner && m.other_owners == 0 && m.others > 0).collect();
    if !held.is_empty() {
        let names: Vec<&str> = held.iter().map(|m| m.name.as_str()).collect();
        let detail =
            format!("You are the last owner of projects that others are in: {}. Hand them over or delete them first.", names.join(", "));
        let list: Vec<_> = held.iter().map(|m| json!({ "id": m.project_id, "name": m.name })).collect();
        return Err(Error::Conflict { detail, current: Some(json!({ "projects": list })) });
    }
    let mut deleted = 0;
    for membership in all {
        let project = membership.project_id;
        if membership.role.0 == ProjectRole::Owner && membership.other_owners == 0 {
            table::mark_deleted(tx, project, ctx.now()).await?;
            audit::record(ctx, tx, AuditAction::ProjectDeleted, Facts::about("project", project, membership.name).in_project(project));
            deleted += 1;
        } else if membership.holds_quota {
            let owners = members::list(tx, project).await?;
            let next = owners.iter().find(|member| member.role == ProjectRole::Owner && member.user.id != user);
            let next = next.ok_or_else(|| Error::conflict("A project that you own has no other owner. Hand it over first."))?;
            quotas::hand_over(tx, project, next.user.id).await?;
        }
        members::remove(tx, project, user).await?;
        store::events::append(tx, Stream::Project(project), ctx.now(), vec![EventKind::MembersChanged {}]).await?;
    }
    Ok(deleted)
}
