//! Fills a project from an archive with its past. The archive is as hostile as any other: every line is checked before it becomes a row,
//! content is known by its bytes and not by its name, and what is wrong in one place refuses the whole.

mod around;
mod people;
mod read;
mod rows;
mod talk;

use std::{collections::HashMap, sync::Arc};

use blobs::Blobs;
use sha2::{Digest, Sha256};
use store::archive as table;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{ProjectId, projects::validate_description};

use self::{
    people::People,
    read::Lines,
    rows::{Rows, Tree},
};
use super::{Contents, UnpackLimits, finish, limits_of};
use crate::{
    Ctx, Error,
    export::format::{FILES, FORMAT, HEADER, HEADER_MAX, HISTORY, Header, Part, UNVERSIONED_MAX, VERSION},
    jobs::JobError,
    quotas, storage,
};

/// What an archive says that it is; `None` for an ordinary one.
pub async fn find(blobs: &dyn Blobs, contents: &Contents) -> Result<Option<Header>, JobError> {
    if contents.stripped.is_some() {
        return Ok(None);
    }
    let Some(entry) = contents.files.iter().find(|file| file.path == HEADER && file.size <= HEADER_MAX) else { return Ok(None) };
    let bytes = blobs.read_all(&entry.checksum, HEADER_MAX).await.map_err(|error| JobError::from(Error::from(error)))?;
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return Ok(None) };
    if value["format"] != FORMAT {
        return Ok(None);
    }
    if value["version"].as_u64().is_none_or(|version| version > u64::from(VERSION)) {
        return Err(JobError::Final(
            "The archive was made by a newer version of this product. Nothing was kept; import it on a server of that version.".to_owned(),
        ));
    }
    serde_json::from_value(value).map(Some).map_err(|_| damaged("its header can't be read"))
}

/// The sentence for what can't be so in an archive that was made here.
fn damaged(what: impl std::fmt::Display) -> JobError {
    JobError::Final(format!("The history in the archive is damaged: {what}. Nothing was kept; export the project again."))
}

/// A key that is taken means that the archive says something twice; anything else is ours.
fn store_error(error: store::Error) -> JobError {
    match error {
        store::Error::Taken(_) => damaged("something is in it twice"),
        other => JobError::from(Error::from(other)),
    }
}

/// Inserts all that the archive holds and shows the project. Goes on in several transactions, since the project is seen by nobody until
/// the last: whatever an earlier attempt left is taken away first.
pub async fn fill(
    ctx: &Ctx,
    project: ProjectId,
    blobs: Arc<dyn Blobs>,
    header: Header,
    contents: Contents,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
) -> Result<(), JobError> {
    let mut tx = ctx.services().db.begin().await.map_err(store_error)?;
    table::clear(&mut tx, project).await.map_err(store_error)?;
    ctx.commit(tx).await.map_err(JobError::from)?;
    if validate_description(&header.project.description).is_some() || !(0..=i64::MAX / 2).contains(&header.project.revision) {
        return Err(damaged("its header holds values that no project has"));
    }
    // What is read now is not packed: its bytes come to those of the archive.
    let rows: u64 = contents.files.iter().filter(|file| file.path.starts_with(HISTORY)).map(|file| file.size).sum();
    progress.send_modify(|(_, total)| *total += rows);
    let mut conn = ctx.services().db.read().await.map_err(store_error)?;
    let limits = limits_of(ctx, &mut conn, project).await.map_err(JobError::from)?.for_history();
    drop(conn);
    let filling = Filling {
        ctx,
        project,
        limits,
        blobs,
        revision: header.project.revision,
        content: contents.files.iter().map(|file| (file.checksum.clone(), file.size)).collect(),
        contents: &contents,
        progress,
        cancelled,
    };
    let mut rows = Rows::new(&filling, People::default());
    rows.pictures().await?;
    rows.talk().await?;
    rows.change_sets().await?;
    rows.runs().await?;
    rows.checkpoints().await?;
    rows.around().await?;
    let tree = rows.versions().await?;
    let (files, bytes) = tree.check()?;
    filling.check_whole(&tree)?;
    let mut tx = ctx.services().db.begin().await.map_err(store_error)?;
    let delta = quotas::Delta { files, bytes };
    quotas::check(&mut tx, project, delta).await.map_err(JobError::from)?;
    let past = table::Past { description: &header.project.description, revision: filling.revision, file_count: files, size_bytes: bytes };
    table::set_past(&mut tx, project, &past).await.map_err(store_error)?;
    store::projects::count_languages(&mut tx, project).await.map_err(store_error)?;
    let old = store::quotas::history_bytes(&mut tx, project).await.map_err(store_error)?;
    filling.check_unversioned(bytes.saturating_add(old).max(0) as u64)?;
    let replaced = quotas::Replaced { bytes: old, versions: 0 };
    quotas::book_past(&mut tx, project, replaced, true).await.map_err(JobError::from)?;
    quotas::take_in_past(&mut tx, project).await.map_err(JobError::from)?;
    finish(ctx, tx, project).await.map_err(JobError::from)
}

/// One import of a past.
struct Filling<'a> {
    ctx: &'a Ctx,
    project: ProjectId,
    limits: UnpackLimits,
    blobs: Arc<dyn Blobs>,
    /// The newest that a version may be of.
    revision: i64,
    /// Sizes by checksum, of bytes that were seen, beside those that `contents` has without names.
    content: HashMap<String, u64>,
    contents: &'a Contents,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
}

impl Filling<'_> {
    /// The id that one of the archive gets here: the same in every attempt, and in the order of time that the old one had.
    fn id(&self, old: Uuid) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(self.project.0.as_bytes());
        hash.update(old.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        bytes[..6].copy_from_slice(&old.as_bytes()[..6]);
        uuid::Builder::from_bytes(bytes).with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid()
    }

    fn lines<T>(&self, part: Part) -> Lines<'_, T> {
        let folder = part.folder();
        // Sorted by path already, which the numbers follow.
        let parts = self
            .contents
            .files
            .iter()
            .filter(|file| file.path.starts_with(folder))
            .map(|file| (file.checksum.as_str(), file.size))
            .collect();
        Lines::new(&*self.blobs, parts, &self.progress)
    }

    /// Content that a row may name, with the size it says.
    fn check_content(&self, checksum: &str, size: Option<i64>) -> Result<(), JobError> {
        match self.content.get(checksum).copied().or_else(|| self.contents.old_size(checksum)) {
            Some(found) if size.is_none_or(|size| size == found as i64) => Ok(()),
            Some(_) => Err(damaged("a size in it is wrong")),
            None => Err(damaged("it names content that is not in it")),
        }
    }

    /// No file that the archive shows may get lost because its version is missing.
    fn check_whole(&self, tree: &Tree) -> Result<(), JobError> {
        let mut shown = self.contents.files.iter().filter_map(|file| file.path.strip_prefix(FILES));
        match shown.find(|path| !tree.has_file(path)) {
            Some(path) => Err(damaged(format!("the file {path:?} has no current version in it"))),
            None => Ok(()),
        }
    }

    /// No limit of projects counts content that no version has.
    fn check_unversioned(&self, versioned: u64) -> Result<(), JobError> {
        let shown = self.contents.files.iter().filter(|file| file.path != HEADER && !file.path.starts_with(HISTORY));
        let held = shown.map(|file| file.size).chain(self.contents.old.iter().map(|(_, size)| *size)).sum::<u64>();
        if held.saturating_sub(versioned) > UNVERSIONED_MAX {
            return Err(damaged(format!("content that no version has is more than {} GiB", UNVERSIONED_MAX >> 30)));
        }
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), JobError> {
        if self.cancelled.is_cancelled() { Err(JobError::Cancelled) } else { Ok(()) }
    }

    async fn begin(&self) -> Result<store::Tx, JobError> {
        self.check_cancelled()?;
        self.ctx.services().db.begin().await.map_err(store_error)
    }

    async fn commit(&self, tx: store::Tx) -> Result<(), JobError> {
        self.ctx.commit(tx).await.map_err(JobError::from)?;
        // A sign of life: there may be many of these in one part.
        self.progress.send_modify(|_| {});
        Ok(())
    }

    async fn keep(&self, tx: &mut store::Tx, checksums: &[&str]) -> Result<(), JobError> {
        storage::keep(self.ctx, tx, self.project, checksums).await.map_err(JobError::from)
    }
}

/// Rows that one transaction inserts.
const BATCH: usize = 500;
