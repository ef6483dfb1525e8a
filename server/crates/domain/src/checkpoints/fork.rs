use serde_json::json;
use store::{checkpoints as table, projects::NewProject};
use wire::{
    ProjectId,
    audit::AuditAction,
    checkpoints::{CheckpointKind, ForkProject, NAME_MAX_CHARS},
    projects::{Project, ProjectRole, validate_name},
};

use super::Point;
use crate::{Ctx, Error, Result, audit, projects, quotas, storage};

/// A new project of the caller with the files of this one, as they are or as they were at a checkpoint. Rows are copied, bytes are
/// shared: it costs no storage until the two differ.
pub async fn fork(ctx: &Ctx, project: ProjectId, request: ForkProject) -> Result<Project> {
    let owner = ctx.require_user()?.id;
    // What comes of it is none of the projects that a token for some of them names.
    ctx.require_all_projects()?;
    if let Some(field) = validate_name(&request.name) {
        return Err(Error::Invalid(vec![field]));
    }
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Viewer).await?;
    // While it is held, no version of it goes and its bytes stay where they are.
    let source = table::hold(&mut tx, project).await?.ok_or(Error::NotFound("project"))?;
    let (revision, origin) = match request.checkpoint_id {
        Some(id) => {
            let checkpoint = table::get(&mut tx, project, id).await?.ok_or(Error::NotFound("checkpoint"))?.into_checkpoint();
            (checkpoint.revision, format!("Forked from {}, {}", source.name, checkpoint.title()))
        }
        None => (source.revision, format!("Forked from {}", source.name)),
    };
    let id: ProjectId = ctx.new_id();
    let at = ctx.now();
    let new = NewProject {
        id,
        owner_id: owner,
        name: request.name.trim(),
        description: &source.description,
        storage_backend: &source.storage_backend,
        at,
        importing: false,
    };
    store::projects::insert(&mut tx, &new).await?;
    let checksums = table::checksums_at(&mut tx, project, revision).await?;
    storage::keep(ctx, &mut tx, id, &checksums.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let totals = table::totals_at(&mut tx, project, revision).await?;
    quotas::check(&mut tx, id, quotas::Delta { files: totals.0, bytes: totals.1 }).await?;
    quotas::check_projects(&mut tx, owner).await?;
    quotas::check_checkpoints(&mut tx, id).await?;
    let to_revision = store::projects::next_revision(&mut tx, id, at).await?.ok_or(Error::NotFound("project"))?.revision;
    table::copy_tree(&mut tx, &table::Fork { from: project, revision, to: id, to_revision, at, by: owner }).await?;
    store::projects::add_totals(&mut tx, id, totals.0, totals.1).await?;
    store::projects::count_languages(&mut tx, id).await?;
    let origin: String = origin.chars().take(NAME_MAX_CHARS).collect();
    let point = Point { kind: CheckpointKind::Named, name: Some(&origin), revision: to_revision, turn: None, totals };
    super::insert(ctx, &mut tx, id, &point).await?;
    let facts = projects::facts_of(id, new.name).with(json!({ "storage": new.storage_backend, "forked_from": project }));
    audit::record(ctx, &mut tx, AuditAction::ProjectCreated, facts);
    ctx.commit(tx).await?;
    projects::get(ctx, id).await
}
