//! A project from a git repository. The clone itself happens in the sandbox, which the agent crate reaches; here is who may, from where.

use serde::{Deserialize, Serialize};
use wire::{
    ProjectId,
    imports::{ImportGit, parse_git_url},
    network::HostRule,
    projects::ImportStarted,
};

use super::insert_project;
use crate::{
    Ctx, Error, Result,
    jobs::{self, JobKind},
    quotas, settings,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GitJob {
    pub project_id: ProjectId,
    pub url: String,
    pub branch: String,
}

/// Asks for a clone. Refused at once where its host is closed.
pub async fn start_git(ctx: &Ctx, request: ImportGit) -> Result<ImportStarted> {
    ctx.require_user()?;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let address = parse_git_url(&request.url).map_err(|reason| Error::invalid("url", reason))?;
    git_rules(ctx, &address.url).await?.map_err(|sentence| Error::invalid("url", sentence))?;
    let name = if request.name.trim().is_empty() { address.project_name() } else { request.name.clone() };
    let project_id: ProjectId = ctx.new_id();
    let job = GitJob { project_id, url: address.url, branch: request.branch.trim().to_owned() };
    let mut tx = ctx.services().db.begin().await?;
    insert_project(ctx, &mut tx, project_id, &name, Some(&request.storage_backend)).await?;
    let job_id = jobs::enqueue(ctx, &mut tx, JobKind::GitImport, Some(project_id), &job).await?;
    quotas::check_projects(&mut tx, ctx.require_user()?.id).await?;
    ctx.commit(tx).await?;
    Ok(ImportStarted { project_id, job_id })
}

/// What a clone of the address may reach: its own host, if an administrator has opened it to projects. The inner error says what has to be
/// opened.
pub async fn git_rules(ctx: &Ctx, url: &str) -> Result<Result<Vec<HostRule>, String>> {
    let address = parse_git_url(url).map_err(|reason| Error::invalid("url", reason))?;
    let rule = address.rule();
    let available = settings::load(&mut ctx.services().db.read().await?).await?.egress;
    if let Some(reason) = &ctx.services().settings.no_network {
        return Ok(Err(format!("Repositories can't be cloned on this server. {reason} Nothing was imported; upload an archive instead.")));
    }
    if !available.iter().any(|open| open.includes(&rule)) {
        return Ok(Err(format!(
            "The host {0} is not open on this server. An administrator has to add {0} to the hosts that owners may open, under Administration, Runs. Nothing was imported; an archive of the repository can be uploaded instead.",
            rule.0
        )));
    }
    Ok(Ok(vec![rule]))
}
