use serde_json::json;
use store::{Conn, projects as table};
use wire::{
    Micros, Page, PageQuery, ProjectId,
    audit::AuditAction,
    event::{EventKind, Stream},
    files::Origin,
    packed_tree::PackedTree,
    projects::{CreateProject, OpenedProject, Project, ProjectRole, UpdateProject, Visibility, validate_description, validate_name},
    users::User,
};

pub use crate::import::{
    GitJob, ImportJob, Packed, Upload, discard as discard_import, end as end_import, fill as fill_import, git_rules, run_import, start_git,
    start_import,
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    files, page, quotas, runs, storage,
};

/// Projects of a page, where the caller names no number.
const PAGE: i64 = 50;

/// What the caller may do in a project. `NotFound` for whoever may not know that it exists, `Forbidden` for a member whose role
/// does not reach.
pub(crate) async fn require(ctx: &Ctx, conn: &mut Conn, id: ProjectId, needed: ProjectRole) -> Result<ProjectRole> {
    if ctx.is_system() {
        return Ok(ProjectRole::Owner);
    }
    let user = whoever_reaches(ctx, id)?;
    let access = table::access(conn, user.id, id).await?.filter(|access| !access.importing).ok_or(Error::NotFound("project"))?;
    let role = role_in(ctx, conn, id, access.member_role.map(|role| role.0), access.visibility.0).await?;
    if role < needed {
        let (has, needs) = (role_word(role), role_word(needed));
        return Err(Error::Forbidden(format!("Your role in this project is {has}; this needs {needs}. Ask its owner.")));
    }
    Ok(role)
}

/// The caller, unless they come with a token that does not reach the project.
fn whoever_reaches(ctx: &Ctx, id: ProjectId) -> Result<&User> {
    let user = ctx.require_user()?;
    if ctx.grant().is_some_and(|grant| !grant.covers(id)) {
        return Err(Error::NotFound("project"));
    }
    Ok(user)
}

/// What the membership and who may enter come to; `NotFound` for whoever may not know of the project.
async fn role_in(ctx: &Ctx, conn: &mut Conn, id: ProjectId, member: Option<ProjectRole>, open_to: Visibility) -> Result<ProjectRole> {
    let role = match (member, open_to) {
        // While a project is private its other members keep their roles, but stay outside.
        (Some(role), Visibility::Shared | Visibility::Public) | (Some(role @ ProjectRole::Owner), Visibility::Private) => role,
        (None, Visibility::Public) => ProjectRole::Viewer,
        // An administrator who opened it with a reason looks on for a while.
        (_, Visibility::Private | Visibility::Shared) if crate::admin::has_open(ctx, conn, id).await? => ProjectRole::Viewer,
        (_, Visibility::Private | Visibility::Shared) => return Err(Error::NotFound("project")),
    };
    // For the log: by now it is theirs to know of.
    tracing::Span::current().record("project.id", tracing::field::display(id));
    Ok(role)
}

pub(crate) fn role_word(role: ProjectRole) -> &'static str {
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
        .filter(|row| ctx.grant().is_none_or(|grant| grant.covers(row.id)))
        .map(|row| {
            let role = row.member_role.map_or(ProjectRole::Viewer, |role| role.0);
            row.into_project(role)
        })
        .collect())
}

/// The caller's projects, or public ones of others that the caller is no member of, last changed first, page by page.
pub async fn page(ctx: &Ctx, of_others: bool, asked: &PageQuery) -> Result<Page<Project>> {
    let user = ctx.require_user()?.id;
    let list = if of_others { "projects/public" } else { "projects" };
    let limit = page::limit_of(asked, PAGE)?;
    let after: Option<(i64, ProjectId)> = page::after(asked, list)?;
    let after = after.map(|(at, id)| table::After { updated_at: Micros(at), id });
    let rows = table::page(&mut ctx.services().db.read().await?, user, of_others, after, limit + 1).await?;
    let mut rows = page::cut(rows, limit, list, |row| (row.updated_at.0, row.id));
    rows.items.retain(|row| ctx.grant().is_none_or(|grant| grant.covers(row.id)));
    Ok(page::map(rows, |row| {
        let role = row.member_role.map_or(ProjectRole::Viewer, |role| role.0);
        row.into_project(role)
    }))
}

/// The caller's projects, and public ones of others that the caller is no member of, each last changed first.
pub(crate) async fn list_open(ctx: &Ctx, conn: &mut Conn) -> Result<(Vec<Project>, Vec<Project>)> {
    let user = ctx.require_user()?;
    let rows = table::list_open(conn, user.id).await?;
    let (mut own, mut of_others) = (Vec::new(), Vec::new());
    for row in rows.into_iter().filter(|row| ctx.grant().is_none_or(|grant| grant.covers(row.id))) {
        match row.member_role {
            Some(role) => own.push(row.into_project(role.0)),
            None => of_others.push(row.into_project(ProjectRole::Viewer)),
        }
    }
    Ok((own, of_others))
}

pub async fn get(ctx: &Ctx, id: ProjectId) -> Result<Project> {
    let user = whoever_reaches(ctx, id)?;
    let mut conn = ctx.services().db.read().await?;
    let row = table::get(&mut conn, user.id, id).await?.ok_or(Error::NotFound("project"))?;
    seen(ctx, &mut conn, row).await
}

/// As [`require`] for a viewer, by the row itself.
async fn seen(ctx: &Ctx, conn: &mut Conn, row: table::ProjectRow) -> Result<Project> {
    let role = role_in(ctx, conn, row.id, row.member_role.map(|role| role.0), row.visibility.0).await?;
    Ok(row.into_project(role))
}

/// What a project's page begins with. Beyond `files_max` files it has those at the top alone, and the rest comes to it later.
pub async fn open(ctx: &Ctx, id: ProjectId, files_max: Option<i64>) -> Result<OpenedProject> {
    let user = whoever_reaches(ctx, id)?;
    let mut conn = ctx.services().db.read().await?;
    // First: what is read after it is followed from there.
    let (row, standing) = table::open(&mut conn, user.id, id).await?.ok_or(Error::NotFound("project"))?;
    let project = seen(ctx, &mut conn, row).await?;
    let runs = runs::newest(&mut conn, id).await?;
    let whole = files_max.is_none_or(|most| project.file_count <= most);
    let tree = match whole {
        true => files::packed_at(ctx, conn, id, standing).await?,
        false => PackedTree::from(files::top_at(&mut conn, id, standing).await?),
    };
    Ok(OpenedProject { project, tree, whole, runs })
}

pub async fn create(ctx: &Ctx, request: CreateProject) -> Result<Project> {
    let user = ctx.require_user()?;
    ctx.require_all_projects()?;
    let fields: Vec<_> = validate_name(&request.name).into_iter().chain(validate_description(&request.description)).collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let backend = storage::choose(ctx, request.storage_backend.as_deref())?;
    let id = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let new = table::NewProject {
        id,
        owner_id: user.id,
        name: request.name.trim(),
        description: request.description.trim(),
        storage_backend: backend.as_str(),
        at: ctx.now(),
        importing: false,
    };
    table::insert(&mut tx, &new).await?;
    audit::record(ctx, &mut tx, AuditAction::ProjectCreated, facts_of(id, new.name).with(json!({ "storage": new.storage_backend })));
    quotas::check_projects(&mut tx, user.id).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

pub(crate) fn facts_of(id: ProjectId, name: &str) -> Facts {
    Facts::about("project", id, name).in_project(id)
}

pub async fn update(ctx: &Ctx, id: ProjectId, request: UpdateProject) -> Result<Project> {
    let user = ctx.require_user()?;
    let mut tx = ctx.services().db.begin().await?;
    require(ctx, &mut tx, id, if request.visibility.is_some() { ProjectRole::Owner } else { ProjectRole::Editor }).await?;
    if request.visibility.is_some() && ctx.agent_turn().is_some() {
        return Err(Error::Forbidden("Only people decide who may see a project.".to_owned()));
    }
    let row = table::get(&mut tx, user.id, id).await?.ok_or(Error::NotFound("project"))?;
    let name = request.name.unwrap_or(row.name);
    let description = request.description.unwrap_or(row.description);
    let fields: Vec<_> = validate_name(&name).into_iter().chain(validate_description(&description)).collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    table::update(&mut tx, id, name.trim(), description.trim(), ctx.now()).await?;
    let mut events = vec![EventKind::ProjectChanged {}];
    if let Some(visibility) = request.visibility.filter(|wanted| *wanted != row.visibility.0) {
        store::members::set_visibility(&mut tx, id, visibility).await?;
        let change = json!({ "from": row.visibility.0, "to": visibility });
        audit::record(ctx, &mut tx, AuditAction::VisibilityChanged, facts_of(id, name.trim()).with(change));
        // Whoever may not be there any more is found by this.
        events.push(EventKind::MembersChanged {});
        tracing::info!(project.id = %id, by = %user.id, ?visibility, "who may see a project was changed");
    }
    store::events::append(&mut tx, Stream::Project(id), ctx.now(), events).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

/// Takes the project away from everyone. Its rows stay, so that an operator can bring it back.
pub async fn delete(ctx: &Ctx, id: ProjectId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    require(ctx, &mut tx, id, ProjectRole::Owner).await?;
    let user = ctx.require_user()?;
    let name = table::get(&mut tx, user.id, id).await?.map(|row| row.name).unwrap_or_default();
    table::mark_deleted(&mut tx, id, ctx.now()).await?;
    audit::record(ctx, &mut tx, AuditAction::ProjectDeleted, facts_of(id, &name));
    store::events::append(&mut tx, Stream::Project(id), ctx.now(), vec![EventKind::MembersChanged {}]).await?;
    ctx.commit(tx).await
}

/// Gives the first account the sample project, once in the life of an installation.
pub(crate) async fn lay_out_sample(ctx: &Ctx, user: &User) -> Result<()> {
    let settings = &ctx.services().settings;
    if !settings.demonstrates || settings.sample.is_empty() {
        return Ok(());
    }
    let backend = storage::choose(ctx, None)?;
    let files = store_sample(ctx, backend.as_str()).await?;
    let mut tx = ctx.services().db.begin().await?;
    if !store::users::mark_seeded(&mut tx, ctx.now()).await? {
        return Ok(());
    }
    insert_sample(ctx, &mut tx, user, backend.as_str(), &files).await?;
    ctx.commit(tx).await
}

/// A project of the caller with the files of the sample, however many they have already. `NotFound` where this server has none.
pub async fn create_sample(ctx: &Ctx) -> Result<Project> {
    let user = ctx.require_user()?;
    ctx.require_all_projects()?;
    if ctx.services().settings.sample.is_empty() {
        return Err(Error::NotFound("sample project"));
    }
    let backend = storage::choose(ctx, None)?;
    let files = store_sample(ctx, backend.as_str()).await?;
    let mut tx = ctx.services().db.begin().await?;
    let id = insert_sample(ctx, &mut tx, user, backend.as_str(), &files).await?;
    quotas::check_projects(&mut tx, user.id).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

async fn store_sample(ctx: &Ctx, backend: &str) -> Result<Vec<files::Content>> {
    let blobs = ctx.services().storage.by_name(backend)?;
    let mut stored = Vec::new();
    for (path, text) in ctx.services().settings.sample {
        let blob = blobs.put_bytes(text.as_bytes().to_vec()).await?;
        stored.push(files::Content::file(*path, blob.sha256, blob.size, 0o644));
    }
    Ok(stored)
}

async fn insert_sample(ctx: &Ctx, tx: &mut store::Tx, user: &User, backend: &str, files: &[files::Content]) -> Result<ProjectId> {
    let id: ProjectId = ctx.new_id();
    let new = table::NewProject {
        id,
        owner_id: user.id,
        name: "Tally (sample)",
        description: "A small Python project to try things out with. One of its tests fails.",
        storage_backend: backend,
        at: ctx.now(),
        importing: false,
    };
    table::insert(tx, &new).await?;
    files::insert_all(ctx, tx, id, files, Origin::Sample, Some(user.id), ctx.now()).await?;
    audit::record(ctx, tx, AuditAction::ProjectCreated, facts_of(id, new.name).by(user).with(json!({ "from": "sample" })));
    Ok(id)
}
