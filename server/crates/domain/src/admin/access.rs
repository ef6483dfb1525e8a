//! Administrators run the installation and are no members of everybody's projects. To read one that is not theirs they open it for an
//! hour and say why; the project's people see who, when and for what.

use serde_json::json;
use store::{Conn, admin::access as table};
use wire::{
    ProjectId,
    admin::{AdminAccess, OpenProject},
    audit::AuditAction,
    event::{EventKind, Stream},
    projects::ProjectRole,
};

use super::projects::{held, owners};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    projects,
};

const OPEN_S: i64 = 3600;
const REASON_MIN: usize = 10;
const REASON_MAX: usize = 500;
/// Of the history that is shown.
const SHOWN: i64 = 100;

/// Lets the caller read a project for an hour. `Conflict` where they may read it anyway.
pub async fn open_project(ctx: &Ctx, id: ProjectId, request: OpenProject) -> Result<AdminAccess> {
    // Neither the agent nor a program looks into people's projects: only somebody who says why.
    ctx.require_session()?;
    let me = ctx.require_admin()?.clone();
    let reason = request.reason.trim();
    let length = reason.chars().count();
    if !(REASON_MIN..=REASON_MAX).contains(&length) || reason.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::invalid("reason", "Say in 10 to 500 characters why you need to read this project; its people see it."));
    }
    let mut tx = ctx.services().db.begin().await?;
    let now = ctx.now();
    let project = held(&mut tx, id).await?;
    if project.deleted_at.is_some() {
        return Err(Error::conflict("This project is deleted. Restore it first."));
    }
    let renews = table::close(&mut tx, id, me.id, now).await?;
    if !renews && projects::require(ctx, &mut tx, id, ProjectRole::Viewer).await.is_ok() {
        return Err(Error::conflict("You may read this project as it is."));
    }
    let by = ctx.user_ref().ok_or(Error::NotSignedIn)?;
    let until = now.plus_seconds(OPEN_S);
    let new = table::NewAccess { id: ctx.new_id(), project_id: id, user_id: me.id, user_name: &by.name, reason, at: now, ends_at: until };
    table::open(&mut tx, &new).await?;
    for owner in owners(&mut tx, id).await? {
        let told =
            EventKind::ProjectOpened { project_id: id, project: project.name.clone(), by: by.clone(), reason: reason.to_owned(), until };
        store::events::append(&mut tx, Stream::User(owner), now, vec![told]).await?;
    }
    store::events::append(&mut tx, Stream::Project(id), now, vec![EventKind::AdminAccessChanged {}]).await?;
    let facts = Facts::about("project", id, project.name).in_project(id).with(json!({ "reason": reason, "until": until }));
    audit::record(ctx, &mut tx, AuditAction::ProjectOpenedByAdmin, facts);
    ctx.commit(tx).await?;
    tracing::info!(project.id = %id, by = %me.id, "an administrator opened a project to read it");
    Ok(AdminAccess { by, reason: reason.to_owned(), opened_at: now, until, closed_at: None })
}

/// Ends what the caller has open of the project before its time; nothing happens where that is nothing.
pub async fn close_project(ctx: &Ctx, id: ProjectId) -> Result<()> {
    let me = ctx.require_admin()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let project = held(&mut tx, id).await?;
    if !table::close(&mut tx, id, me, ctx.now()).await? {
        return Ok(());
    }
    // Connections that are open look again by this whether they still may be.
    let kinds = vec![EventKind::AdminAccessChanged {}, EventKind::MembersChanged {}];
    store::events::append(&mut tx, Stream::Project(id), ctx.now(), kinds).await?;
    audit::record(ctx, &mut tx, AuditAction::ProjectClosedByAdmin, Facts::about("project", id, project.name).in_project(id));
    ctx.commit(tx).await
}

/// Which administrators opened the project, the last first, for everybody who may see it.
pub async fn list_accesses(ctx: &Ctx, id: ProjectId) -> Result<Vec<AdminAccess>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    Ok(table::of_project(&mut conn, id, SHOWN).await?)
}

/// Whether the caller is an administrator who has the project open. It lets them look, and nothing more.
pub(crate) async fn has_open(ctx: &Ctx, conn: &mut Conn, id: ProjectId) -> Result<bool> {
    let Ok(admin) = ctx.require_admin() else { return Ok(false) };
    Ok(table::open_until(conn, id, admin.id, ctx.now()).await?.is_some())
}
