use store::{Conn, projects as table};
use wire::{
    ProjectId,
    files::Origin,
    projects::{CreateProject, Project, ProjectRole, UpdateProject, Visibility, validate_description, validate_name},
    users::User,
};

pub use crate::import::{ImportJob, discard as discard_import, run_import, start_import};
use crate::{Ctx, Error, Result, files};

/// What the caller may do in a project. `NotFound` for whoever may not know that it exists, `Forbidden` for a member whose role
/// does not reach.
pub(crate) async fn require(ctx: &Ctx, conn: &mut Conn, id: ProjectId, needed: ProjectRole) -> Result<ProjectRole> {
    if ctx.is_system() {
        return Ok(ProjectRole::Owner);
    }
    let user = ctx.require_user()?;
    let access = table::access(conn, user.id, id).await?.filter(|access| !access.importing).ok_or(Error::NotFound("project"))?;
    let role = match (access.member_role, access.visibility.0) {
        (Some(role), _) => role.0,
        (None, Visibility::Public) => ProjectRole::Viewer,
        (None, _) => return Err(Error::NotFound("project")),
    };
    if role < needed {
        let (has, needs) = (role_word(role), role_word(needed));
        return Err(Error::Forbidden(format!("Your role in this project is {has}; this needs {needs}. Ask its owner.")));
    }
    Ok(role)
}

fn role_word(role: ProjectRole) -> &'static str {
    match role {
        ProjectRole::Viewer => "viewer",
        ProjectRole::Reviewer => "reviewer",
        ProjectRole::Editor => "editor",
        ProjectRole::Owner => "owner",
    }
}

pub async fn list(ctx: &Ctx) -> Result<Vec<Project>> {
    let user = ctx.require_user()?;
    let rows = table::list_for(&mut ctx.services().db.read().await?, user.id).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let role = row.member_role.map_or(ProjectRole::Viewer, |role| role.0);
            row.into_project(role)
        })
        .collect())
}

pub async fn get(ctx: &Ctx, id: ProjectId) -> Result<Project> {
    let user = ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    let role = require(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    let row = table::get(&mut conn, user.id, id).await?.ok_or(Error::NotFound("project"))?;
    Ok(row.into_project(role))
}

pub async fn create(ctx: &Ctx, request: CreateProject) -> Result<Project> {
    let user = ctx.require_user()?;
    let fields: Vec<_> = validate_name(&request.name).into_iter().chain(validate_description(&request.description)).collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let id = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let new = table::NewProject {
        id,
        owner_id: user.id,
        name: request.name.trim(),
        description: request.description.trim(),
        at: ctx.now(),
        importing: false,
    };
    table::insert(&mut tx, &new).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

pub async fn update(ctx: &Ctx, id: ProjectId, request: UpdateProject) -> Result<Project> {
    let user = ctx.require_user()?;
    let mut tx = ctx.services().db.begin().await?;
    require(ctx, &mut tx, id, ProjectRole::Editor).await?;
    let row = table::get(&mut tx, user.id, id).await?.ok_or(Error::NotFound("project"))?;
    let name = request.name.unwrap_or(row.name);
    let description = request.description.unwrap_or(row.description);
    let fields: Vec<_> = validate_name(&name).into_iter().chain(validate_description(&description)).collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    table::update(&mut tx, id, name.trim(), description.trim(), ctx.now()).await?;
    let event = wire::event::EventKind::ProjectChanged {};
    store::events::append(&mut tx, wire::event::Stream::Project(id), ctx.now(), vec![event]).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

/// Takes the project away from everyone. Its rows stay, so that an operator can bring it back.
pub async fn delete(ctx: &Ctx, id: ProjectId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    require(ctx, &mut tx, id, ProjectRole::Owner).await?;
    table::mark_deleted(&mut tx, id, ctx.now()).await?;
    ctx.commit(tx).await
}

/// Gives the first account the sample project, once in the life of an installation.
pub(crate) async fn lay_out_sample(ctx: &Ctx, user: &User) -> Result<()> {
    let sample = ctx.services().settings.sample;
    if sample.is_empty() {
        return Ok(());
    }
    let mut written = Vec::new();
    for (path, text) in sample {
        let stored = ctx.services().blobs.put_bytes(text.as_bytes().to_vec()).await?;
        written.push(files::Content { path: (*path).to_owned(), checksum: stored.sha256, size: stored.size, mode: 0o644 });
    }
    let id: ProjectId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    if !store::users::mark_seeded(&mut tx, ctx.now()).await? {
        return Ok(());
    }
    let new = table::NewProject {
        id,
        owner_id: user.id,
        name: "Tally (sample)",
        description: "A small Python project to try things out with. One of its tests fails.",
        at: ctx.now(),
        importing: false,
    };
    table::insert(&mut tx, &new).await?;
    files::insert_all(&mut tx, id, &written, Origin::Sample, Some(user.id), ctx.now()).await?;
    ctx.commit(tx).await
}
