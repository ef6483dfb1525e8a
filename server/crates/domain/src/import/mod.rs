//! A project from somewhere else: an archive, with or without its past, files that come batch by batch, or a git repository. All or
//! nothing: the project is seen by nobody until it is filled.

mod git;
mod past;
pub mod staged;
mod unpack;

use std::sync::Arc;

use blobs::{Blobs, Stored};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    ProjectId,
    audit::AuditAction,
    files::{EntryKind, Origin},
    projects::{ImportStarted, validate_name},
    quotas::QuotaOverride,
};

pub use git::{GitJob, git_rules, start_git};
pub use unpack::{Contents, UnpackError, UnpackLimits, Unpacked, unpack};

use crate::{
    Ctx, Error, Result, audit,
    files::{Content, insert_all},
    jobs::{self, JobError, JobKind},
    quotas, settings, storage,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportJob {
    pub project_id: ProjectId,
    /// `None`: the files have come one by one; see [`staged`].
    #[serde(flatten)]
    pub archive: Option<UploadedArchive>,
}

/// An archive in the storage of the project that it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadedArchive {
    /// SHA-256 of its bytes.
    pub archive: String,
    pub size: u64,
    pub filename: String,
}

/// What a project is asked to be made from.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Empty: made from the file's name.
    pub name: String,
    pub filename: String,
    /// As [`storage::choose`] takes it; the archive is stored there.
    pub storage_backend: Option<String>,
    pub archive: Stored,
}

/// Takes an archive that is already stored. The project appears when the job has filled it, and never if the archive is refused.
pub async fn start_import(ctx: &Ctx, upload: Upload) -> Result<ImportStarted> {
    let Upload { name, filename, storage_backend, archive } = upload;
    let name = if name.trim().is_empty() { name_from(&filename) } else { name };
    let project_id: ProjectId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    insert_project(ctx, &mut tx, project_id, &name, storage_backend.as_deref()).await?;
    storage::keep(ctx, &mut tx, project_id, &[&archive.sha256]).await?;
    store::exports::insert_import(&mut tx, project_id, &archive.sha256).await?;
    let archive = UploadedArchive { archive: archive.sha256, size: archive.size, filename };
    let job = ImportJob { project_id, archive: Some(archive) };
    let job_id = jobs::enqueue(ctx, &mut tx, JobKind::Import, Some(project_id), &job).await?;
    quotas::check_projects(&mut tx, ctx.require_user()?.id).await?;
    ctx.commit(tx).await?;
    Ok(ImportStarted { project_id, job_id })
}

/// A project of the caller that nobody sees yet. Before the commit comes [`quotas::check_projects`].
async fn insert_project(ctx: &Ctx, tx: &mut store::Tx, id: ProjectId, name: &str, storage_backend: Option<&str>) -> Result<()> {
    let owner_id = ctx.require_user()?.id;
    ctx.require_all_projects()?;
    if let Some(field) = validate_name(name) {
        return Err(Error::Invalid(vec![field]));
    }
    let storage_backend = storage::choose(ctx, storage_backend)?.as_str();
    let new =
        store::projects::NewProject { id, owner_id, name: name.trim(), description: "", storage_backend, at: ctx.now(), importing: true };
    Ok(store::projects::insert(tx, &new).await?)
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
    let outcome = match &job.archive {
        Some(UploadedArchive { archive, size, filename }) => {
            let packed = Packed { sha256: archive, size: *size, filename, strip: true, origin: Origin::Import };
            fill(ctx, job.project_id, &packed, progress, cancelled).await
        }
        None => staged::fill(ctx, job.project_id, progress, cancelled).await,
    };
    end(ctx, job.project_id, outcome).await
}

/// An archive in the project's own storage.
pub struct Packed<'a> {
    pub sha256: &'a str,
    pub size: u64,
    /// Only for sentences.
    pub filename: &'a str,
    /// Whether a directory that all entries share is left out.
    pub strip: bool,
    pub origin: Origin,
}

/// Fills a project that nobody sees yet, and shows it.
pub async fn fill(
    ctx: &Ctx,
    project: ProjectId,
    packed: &Packed<'_>,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
) -> Result<(), JobError> {
    let blobs = storage::open(ctx, project).await.map_err(JobError::from)?;
    let mut conn = ctx.services().db.read().await.map_err(|error| JobError::from(Error::from(error)))?;
    // A repository is files, whatever it holds.
    let past = packed.origin == Origin::Import;
    let limits = UnpackLimits { strip: packed.strip, past, ..limits_of(ctx, &mut conn, project).await.map_err(JobError::from)? };
    drop(conn);
    let mut contents = unpack_whole(&blobs, packed, limits, &progress, &cancelled).await?;
    let header = if past { past::find(&*blobs, &contents).await? } else { None };
    if header.is_none() && !contents.old.is_empty() {
        // It only looked like a past, and what was taken for old content has lost its names.
        contents = unpack_whole(&blobs, packed, UnpackLimits { past: false, ..limits }, &progress, &cancelled).await?;
    }
    match header {
        Some(header) => past::fill(ctx, project, blobs, header, contents, progress, cancelled).await,
        None => fill_plain(ctx, project, contents.files, packed.origin, &cancelled).await,
    }
}

async fn unpack_whole(
    blobs: &Arc<dyn Blobs>,
    packed: &Packed<'_>,
    limits: UnpackLimits,
    progress: &watch::Sender<(u64, u64)>,
    cancelled: &CancellationToken,
) -> Result<Contents, JobError> {
    let (progress, stop) = (progress.clone(), cancelled.clone());
    match unpack(blobs.clone(), packed.sha256, packed.size, packed.filename, limits, progress, stop).await {
        Ok(contents) if !cancelled.is_cancelled() => Ok(contents),
        Ok(_) | Err(UnpackError::Cancelled) => Err(JobError::Cancelled),
        Err(UnpackError::Refused(sentence)) => Err(JobError::Final(sentence)),
        Err(UnpackError::Blob(error)) => Err(JobError::from(Error::from(error))),
        Err(UnpackError::Internal(error)) => Err(JobError::from(Error::internal(error))),
    }
}

/// What may be unpacked into a project.
async fn limits_of(ctx: &Ctx, conn: &mut store::Conn, project: ProjectId) -> Result<UnpackLimits> {
    let (bounds, everybody) = settings::bounds_in(conn, project).await?.ok_or(Error::NotFound("project"))?;
    Ok(UnpackLimits::of(&everybody, bounds.owner, bounds.own, ctx.services().settings.file_size_limit))
}

/// Bytes of the largest archive that the caller may send: one that is larger holds more than they may keep.
pub async fn archive_max(ctx: &Ctx) -> Result<u64> {
    let user = ctx.require_user()?.id;
    // Before the bytes travel, not after.
    ctx.require_all_projects()?;
    let mut conn = ctx.services().db.read().await?;
    let everybody = settings::storage_in(&mut conn).await?;
    let owner = store::quotas::get_override(&mut conn, user).await?;
    let limits = UnpackLimits::of(&everybody, owner, QuotaOverride::default(), ctx.services().settings.file_size_limit);
    Ok(limits.packed())
}

/// All files in one transaction, which a cancellation undoes.
async fn fill_plain(
    ctx: &Ctx,
    project: ProjectId,
    files: Vec<Unpacked>,
    origin: Origin,
    cancelled: &CancellationToken,
) -> Result<(), JobError> {
    let tx = tokio::select! {
        inserted = insert_plain(ctx, project, files, origin) => inserted.map_err(JobError::from)?,
        () = cancelled.cancelled() => return Err(JobError::Cancelled),
    };
    // Not within the select: what is dropped while it commits may have come to be.
    finish(ctx, tx, project).await.map_err(JobError::from)
}

async fn insert_plain(ctx: &Ctx, project: ProjectId, files: Vec<Unpacked>, origin: Origin) -> Result<store::Tx> {
    let entries: Vec<Content> = files
        .into_iter()
        .map(|file| Content { kind: file.kind, ..Content::file(file.path, file.checksum, file.size, file.mode) })
        .collect();
    let files = entries.iter().filter(|entry| entry.kind != EntryKind::Directory).count() as i64;
    let bytes = entries.iter().map(|entry| entry.size as i64).sum();
    let mut tx = ctx.services().db.begin().await?;
    quotas::check(&mut tx, project, quotas::Delta { files, bytes }).await?;
    insert_all(ctx, &mut tx, project, &entries, origin, ctx.user_id(), ctx.now()).await?;
    Ok(tx)
}

/// The project is complete: from here on it is seen.
async fn finish(ctx: &Ctx, mut tx: store::Tx, project: ProjectId) -> Result<()> {
    store::exports::delete_import(&mut tx, project).await?;
    store::imports::clear(&mut tx, project).await?;
    store::projects::finish_import(&mut tx, project, ctx.now()).await?;
    let owner = ctx.require_user()?.id;
    let name = store::projects::get(&mut tx, owner, project).await?.map(|row| row.name).unwrap_or_default();
    let facts = crate::projects::facts_of(project, &name).with(json!({ "from": "import" }));
    audit::record(ctx, &mut tx, AuditAction::ProjectCreated, facts);
    ctx.commit(tx).await
}

/// Takes the project away where nothing will fill it any more.
pub async fn end(ctx: &Ctx, project: ProjectId, outcome: Result<(), JobError>) -> Result<(), JobError> {
    if matches!(outcome, Err(JobError::Final(_) | JobError::Cancelled)) {
        discard(ctx, project).await.map_err(JobError::from)?;
    }
    outcome
}

/// Takes away what an import that can't be finished had begun. Does nothing to a project that is filled.
pub async fn discard(ctx: &Ctx, project: ProjectId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::archive::clear(&mut tx, project).await?;
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
