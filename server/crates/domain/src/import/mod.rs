//! A project from an archive: entry by entry, with caps, and all or nothing.

mod unpack;

use blobs::Stored;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    ProjectId,
    files::Origin,
    projects::{ImportStarted, validate_name},
};

pub use unpack::{UnpackError, UnpackLimits, Unpacked, unpack};

use crate::{
    Ctx, Error, Result,
    files::{Content, insert_all},
    jobs::{self, JobError, JobKind},
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportJob {
    pub project_id: ProjectId,
    pub archive: String,
    pub size: u64,
    pub filename: String,
}

/// Takes an archive that is already stored. The project appears when the job has filled it, and never if the archive is refused.
pub async fn start_import(ctx: &Ctx, name: Option<String>, filename: String, archive: Stored) -> Result<ImportStarted> {
    let user = ctx.require_user()?;
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| name_from(&filename));
    if let Some(field) = validate_name(&name) {
        return Err(Error::Invalid(vec![field]));
    }
    let project_id: ProjectId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let new = store::projects::NewProject {
        id: project_id,
        owner_id: user.id,
        name: name.trim(),
        description: "",
        at: ctx.now(),
        importing: true,
    };
    store::projects::insert(&mut tx, &new).await?;
    let payload = ImportJob { project_id, archive: archive.sha256, size: archive.size, filename };
    let job_id = jobs::enqueue(ctx, &mut tx, JobKind::Import, Some(project_id), &payload).await?;
    ctx.commit(tx).await?;
    Ok(ImportStarted { project_id, job_id })
}

/// `six-1.17.0.tar.gz` makes `six-1.17.0`.
fn name_from(filename: &str) -> String {
    let base = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = [".tar.gz", ".tgz", ".zip"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
    let name: String = stem.chars().filter(|c| !c.is_control()).take(80).collect();
    if name.trim().is_empty() { "Imported project".to_owned() } else { name }
}

/// The job's body. Repeating it is safe: nothing of an earlier attempt is visible, and its blobs are found again.
pub async fn run_import(
    ctx: &Ctx,
    job: &ImportJob,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
) -> Result<(), JobError> {
    let unpacked =
        unpack(ctx.services().blobs.clone(), &job.archive, job.size, &job.filename, UnpackLimits::default(), progress, cancelled.clone())
            .await;
    let outcome = match unpacked {
        Ok(files) if !cancelled.is_cancelled() => fill(ctx, job.project_id, files).await,
        Ok(_) | Err(UnpackError::Cancelled) => Err(JobError::Cancelled),
        Err(UnpackError::Refused(sentence)) => Err(JobError::Final(sentence)),
        Err(UnpackError::Blob(error)) => Err(JobError::from(Error::from(error))),
        Err(UnpackError::Internal(error)) => Err(JobError::from(Error::internal(error))),
    };
    if matches!(outcome, Err(JobError::Final(_) | JobError::Cancelled)) {
        discard(ctx, job.project_id).await.map_err(JobError::from)?;
    }
    outcome
}

async fn fill(ctx: &Ctx, project: ProjectId, files: Vec<Unpacked>) -> Result<(), JobError> {
    let files: Vec<Content> =
        files.into_iter().map(|file| Content { path: file.path, checksum: file.checksum, size: file.size, mode: file.mode }).collect();
    let fill = async {
        let mut tx = ctx.services().db.begin().await?;
        insert_all(&mut tx, project, &files, Origin::Import, ctx.user_id(), ctx.now()).await?;
        store::projects::finish_import(&mut tx, project, ctx.now()).await?;
        ctx.commit(tx).await
    };
    fill.await.map_err(JobError::from)
}

/// Takes away what an import that can't be finished had begun. Does nothing to a project that is filled.
pub async fn discard(ctx: &Ctx, project: ProjectId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::projects::remove_unfinished(&mut tx, project).await?;
    ctx.commit(tx).await
}

#[cfg(test)]
mod tests {
    use super::name_from;

    #[test]
    fn names_come_from_files() {
        assert_eq!(name_from("six-1.17.0.tar.gz"), "six-1.17.0");
        assert_eq!(name_from("C:\\x\\a.zip"), "a");
        assert_eq!(name_from(".zip"), "Imported project");
    }
}
