//! Projects of everybody, from outside: how large they are and whose, never what is in them.

use futures::Stream;
use serde_json::json;
use store::{
    Tx,
    admin::{pattern, projects as table},
};
use wire::{
    ProjectId, UserId,
    admin::{AdminProject, GiveProject, Listed, PAGE_MAX, ProjectQuery},
    audit::AuditAction,
    event::{EventKind, Stream as Events},
    projects::{ProjectRole, Visibility},
    users::UserState,
};

use super::{
    csv::{self, Bytes, Cell},
    paging::{Turn, read_search},
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    quotas,
};

const LIST: &str = "admin projects";

pub async fn list_projects(ctx: &Ctx, query: ProjectQuery) -> Result<Listed<AdminProject>> {
    let me = ctx.require_admin()?.id;
    let turn = Turn::read(LIST, query.cursor.as_deref(), query.limit, query.direction)?;
    let search = read_search(query.search.as_deref())?;
    let wanted = search.map(pattern);
    let filter = table::Filter {
        pattern: wanted.as_deref(),
        id: search.and_then(|text| text.parse().ok()),
        visibility: query.visibility,
        deleted: query.deleted,
        owner: query.owner,
    };
    let mut conn = ctx.services().db.read().await?;
    let rows = table::list(&mut conn, filter, turn.part(query.sort.word()), me, ctx.now()).await?;
    let total = table::count(&mut conn, filter).await?;
    let kept = quotas::retention_s(ctx, &mut conn).await?;
    let shown = |row: table::ListedProject| {
        let restorable_until = row.deleted_at.map(|at| at.plus_seconds(kept));
        AdminProject { restorable_until, ..row.into_project() }
    };
    Ok(turn.page(rows, total, |row| row.position.clone(), shown))
}

pub(super) async fn held(tx: &mut Tx, id: ProjectId) -> Result<table::Held> {
    table::get(tx, id).await?.ok_or(Error::NotFound("project"))
}

/// The ids of the people who own the project.
pub(super) async fn owners(tx: &mut Tx, id: ProjectId) -> Result<Vec<UserId>> {
    let members = store::members::list(tx, id).await?;
    let mut owners: Vec<UserId> = members.into_iter().filter(|m| m.role == ProjectRole::Owner).map(|m| m.user.id).collect();
    // In one order, as everybody who appends to several streams of people.
    owners.sort();
    Ok(owners)
}

/// Takes a project away from everyone; see [`restore_project`].
pub async fn delete_project(ctx: &Ctx, id: ProjectId) -> Result<()> {
    ctx.require_admin()?;
    let mut tx = ctx.services().db.begin().await?;
    let project = held(&mut tx, id).await?;
    if project.deleted_at.is_some() {
        return Err(Error::conflict("This project is deleted already."));
    }
    store::projects::mark_deleted(&mut tx, id, ctx.now()).await?;
    tell(ctx, &mut tx, id).await?;
    audit::record(ctx, &mut tx, AuditAction::ProjectDeleted, Facts::about("project", id, project.name).in_project(id));
    ctx.commit(tx).await?;
    tracing::info!(project.id = %id, by = ?ctx.user_id(), "an administrator deleted a project");
    Ok(())
}

/// Brings a deleted project back to its people, as it was, until it goes for good.
pub async fn restore_project(ctx: &Ctx, id: ProjectId) -> Result<()> {
    ctx.require_admin()?;
    let mut tx = ctx.services().db.begin().await?;
    let project = held(&mut tx, id).await?;
    if project.deleted_at.is_none() {
        return Err(Error::conflict("This project is not deleted."));
    }
    if !table::restore(&mut tx, id, ctx.now()).await? {
        return Err(Error::NotFound("project"));
    }
    tell(ctx, &mut tx, id).await?;
    audit::record(ctx, &mut tx, AuditAction::ProjectRestored, Facts::about("project", id, project.name).in_project(id));
    ctx.commit(tx).await?;
    tracing::info!(project.id = %id, by = ?ctx.user_id(), "an administrator restored a project");
    Ok(())
}

/// Makes somebody else the project's owner, who must have room for it; the one before stays as an editor. Never the caller: who wants to
/// look into a project opens it with a reason.
pub async fn give_project(ctx: &Ctx, id: ProjectId, request: GiveProject) -> Result<()> {
    let me = ctx.require_admin()?.id;
    let to = request.to;
    if to == me {
        return Err(Error::invalid("to", "You can't take a project over yourself. Open it with a reason, or ask another administrator."));
    }
    let mut tx = ctx.services().db.begin().await?;
    store::quotas::lock_project(&mut tx, id).await?;
    let project = held(&mut tx, id).await?;
    if project.deleted_at.is_some() {
        return Err(Error::conflict("This project is deleted. Restore it first."));
    }
    if project.owner_id == to {
        return Err(Error::invalid("to", "This person owns the project already."));
    }
    let found = store::users::by_id(&mut tx, to).await?.map(store::users::UserRow::into_user);
    let Some(person) = found.filter(|user| user.state == UserState::Active) else {
        return Err(Error::invalid("to", "There is no such active account. Choose somebody else."));
    };
    quotas::hand_over(&mut tx, id, to).await?;
    store::members::put(&mut tx, id, to, ProjectRole::Owner, ctx.now()).await?;
    store::members::put(&mut tx, id, project.owner_id, ProjectRole::Editor, ctx.now()).await?;
    let mut people = [project.owner_id, to];
    people.sort();
    for person in people {
        store::events::append(&mut tx, Events::User(person), ctx.now(), vec![EventKind::MembersChanged {}]).await?;
    }
    tell(ctx, &mut tx, id).await?;
    let facts = Facts::about("project", id, project.name).in_project(id);
    let details = json!({ "from": project.owner_id, "to": to, "to_name": person.username });
    audit::record(ctx, &mut tx, AuditAction::OwnerChanged, facts.with(details));
    ctx.commit(tx).await?;
    tracing::info!(project.id = %id, user.id = %to, by = %me, "an administrator gave a project to somebody else");
    Ok(())
}

/// Readers of the project; their access is looked at again by that.
async fn tell(ctx: &Ctx, tx: &mut Tx, id: ProjectId) -> Result<()> {
    let kinds = vec![EventKind::MembersChanged {}, EventKind::ProjectChanged {}];
    Ok(store::events::append(tx, Events::Project(id), ctx.now(), kinds).await?)
}

const COLUMNS: &[&str] = &[
    "id",
    "name",
    "owner_id",
    "owner",
    "visibility",
    "members",
    "files",
    "size_bytes",
    "storage",
    "created_at",
    "updated_at",
    "deleted_at",
];

fn csv_line(item: &AdminProject) -> Bytes {
    let visibility = match item.visibility {
        Visibility::Private => "private",
        Visibility::Shared => "shared",
        Visibility::Public => "public",
    };
    csv::line(&[
        Cell::Text(&item.id.to_string()),
        Cell::Text(&item.name),
        Cell::Text(&item.owner.id.to_string()),
        Cell::Text(&item.owner.name),
        Cell::Text(visibility),
        Cell::Number(item.members),
        Cell::Number(item.file_count),
        Cell::Number(item.size_bytes),
        Cell::Text(&item.storage_backend),
        Cell::At(Some(item.created_at)),
        Cell::At(Some(item.updated_at)),
        Cell::At(item.deleted_at),
    ])
}

/// The whole list as [`list_projects`] filters and sorts it.
pub async fn projects_csv(ctx: &Ctx, query: ProjectQuery) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    let query = ProjectQuery { cursor: None, limit: Some(PAGE_MAX), ..query };
    let first = list_projects(ctx, query.clone()).await?;
    let ctx = ctx.clone();
    Ok(csv::of_pages(COLUMNS, first, csv_line, move |cursor| {
        let (ctx, query) = (ctx.clone(), ProjectQuery { cursor: Some(cursor), ..query.clone() });
        async move { list_projects(&ctx, query).await }
    }))
}
