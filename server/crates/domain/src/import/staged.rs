//! A project from files that come batch by batch, as a browser sends a folder. What has come are blobs and rows beside a project that nobody
//! sees yet: any process takes the next batch, and one that got lost on its way is simply sent again. A job then makes the project of them,
//! all or nothing, as it does of an archive. What nobody goes on with is given up after a while.

use std::collections::HashMap;

use blobs::{BlobError, Reader};
use store::{
    Conn, Tx,
    files::fold,
    imports::{self as table, Added, ImportRow, NameRow},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    Micros, Page, PageQuery, ProjectId, UserId,
    files::{EntryKind, Origin, check_path},
    imports::{StageOutcome, StagedFile, StagedImport, StartImport},
    projects::ImportStarted,
};

use super::{
    ImportJob, Unpacked, fill_plain, insert_project, limits_of,
    unpack::{SMALLER, UnpackLimits, megabytes},
};
use crate::{
    Ctx, Error, Result,
    files::{BATCH_MAX, NameBook, Received},
    jobs::{self, JobError, JobKind},
    page, quotas, storage,
};

/// After so long without another batch an import is given up.
pub const KEPT_S: i64 = 3 * 3600;
/// Imports of one person that wait for files at a time. One more gives up the one that has waited longest: most likely its page was closed.
pub const OPEN_MAX: usize = 4;
/// Files of a page, where the caller names no number.
const PAGE: i64 = 100;
/// Rows that the job reads at a time.
const READ: i64 = 1000;
/// Expired imports in one cleanup; the rest waits for the next.
const SWEPT: i64 = 200;

/// A file whose bytes have been received.
pub struct StageFile {
    pub path: String,
    pub executable: bool,
    pub bytes: Received,
}

fn told(row: ImportRow) -> StagedImport {
    let ImportRow { project_id, name, file_count, size_bytes, job_id, created_at, expires_at, .. } = row;
    StagedImport { id: project_id, name, files: file_count, bytes: size_bytes, job_id, created_at, expires_at }
}

/// Begins an import. What can be known to find no room is refused here.
pub async fn start(ctx: &Ctx, request: StartImport) -> Result<StagedImport> {
    let user = ctx.require_user()?.id;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let id: ProjectId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    insert_project(ctx, &mut tx, id, &request.name, Some(&request.storage_backend)).await?;
    check_caps(&limits_of(ctx, &mut tx, id).await?, request.files, request.bytes, 0)?;
    quotas::has_room(&mut tx, id, quotas::Delta { files: request.files, bytes: request.bytes }).await?;
    let new = table::NewImport { project_id: id, user_id: user, at: ctx.now(), expires_at: ctx.now().plus_seconds(KEPT_S) };
    table::insert(&mut tx, &new).await?;
    quotas::check_projects(&mut tx, user).await?;
    ctx.commit(tx).await?;
    give_up_surplus(ctx, user).await?;
    get(ctx, id).await
}

/// The bounds are those of what an archive unpacks to.
fn check_caps(limits: &UnpackLimits, files: i64, bytes: i64, name_bytes: i64) -> Result<()> {
    let found = if files as u64 > limits.files {
        format!("These are more than {} files.", limits.files)
    } else if bytes as u64 > limits.bytes {
        format!("These are more than {}.", megabytes(limits.bytes))
    } else if name_bytes as u64 > limits.name_bytes() {
        format!("The names of the files are together longer than {}.", megabytes(limits.name_bytes()))
    } else {
        return Ok(());
    };
    Err(Error::TooLarge(format!("{found} They were not kept; {SMALLER}.")))
}

/// How far an import is.
pub async fn get(ctx: &Ctx, id: ProjectId) -> Result<StagedImport> {
    own(ctx, &mut ctx.services().db.read().await?, id).await.map(told)
}

/// Only whoever began it knows of an import, and no program that reaches single projects.
async fn own(ctx: &Ctx, conn: &mut Conn, id: ProjectId) -> Result<ImportRow> {
    let user = ctx.require_user()?.id;
    let row = table::get(conn, id, ctx.now()).await?.filter(|row| row.user_id == user && ctx.require_all_projects().is_ok());
    row.ok_or(Error::NotFound("import"))
}

/// As [`own`], with the project's row locked: no other batch, no end and no sweep comes in between.
async fn lock(ctx: &Ctx, id: ProjectId) -> Result<(Tx, ImportRow)> {
    get(ctx, id).await?;
    let mut tx = ctx.services().db.begin().await?;
    store::blobs::lock_place(&mut tx, id).await?.ok_or(Error::NotFound("import"))?;
    let row = own(ctx, &mut tx, id).await?;
    Ok((tx, row))
}

/// The files that have come, so that a client can go on where it was.
pub async fn files(ctx: &Ctx, id: ProjectId, asked: &PageQuery) -> Result<Page<StagedFile>> {
    let mut conn = ctx.services().db.read().await?;
    own(ctx, &mut conn, id).await?;
    let limit = page::limit_of(asked, PAGE)?;
    let after: Option<String> = page::after(asked, "imports/files")?;
    let rows = table::files(&mut conn, id, after.as_deref().unwrap_or_default(), limit + 1).await?;
    let rows = page::cut(rows, limit, "imports/files", |row| row.folded.clone());
    Ok(page::map(rows, |row| StagedFile {
        path: row.path,
        size: row.size,
        checksum: row.checksum.unwrap_or_default(),
        executable: row.mode & 0o111 != 0,
    }))
}

/// Why no project can have a file of that path, before its bytes travel.
pub fn refuse_path(path: &str) -> Option<String> {
    check_path(path).err().map(str::to_owned)
}

/// Stores the bytes of one file that [`stage`] will name.
pub async fn receive(ctx: &Ctx, id: ProjectId, body: Reader) -> Result<Received> {
    let limit = ctx.services().settings.file_size_limit;
    let mut conn = ctx.services().db.read().await?;
    own(ctx, &mut conn, id).await?;
    let blobs = storage::blobs_of(ctx, &mut conn, id).await?;
    drop(conn);
    match blobs.put(body, limit).await {
        Ok(stored) => Ok(Received::Stored(stored)),
        Err(BlobError::TooLarge { limit }) => Ok(Received::Refused(format!("A file has at most {limit} bytes here."))),
        Err(other) => Err(other.into()),
    }
}

/// Takes a batch in: what a project can't have is told and left out, the other files stay. The answers are in the order of the files. A
/// batch that came before may come again.
pub async fn stage(ctx: &Ctx, id: ProjectId, files: Vec<StageFile>) -> Result<Vec<StageOutcome>> {
    if files.len() > BATCH_MAX {
        return Err(Error::invalid("manifest", format!("At most {BATCH_MAX} files go together.")));
    }
    let (mut tx, row) = lock(ctx, id).await?;
    if row.job_id.is_some() {
        return Err(Error::conflict("This import is complete, and its project is being made. Begin another one for more files."));
    }
    let met = table::find(&mut tx, id, &names_of(&files)).await?;
    let mut names = Names::of(met)?;
    let mut outcomes = Vec::with_capacity(files.len());
    for file in files {
        let path = file.path.clone();
        outcomes.push(match names.add(file) {
            Ok(()) => StageOutcome::Staged { path },
            Err(reason) => StageOutcome::Refused { path, reason },
        });
    }
    let Names { new, added, .. } = names;
    let (all_files, all_bytes) = (row.file_count + added.files, row.size_bytes + added.bytes);
    check_caps(&limits_of(ctx, &mut tx, id).await?, all_files, all_bytes, row.name_bytes + added.name_bytes)?;
    quotas::has_room(&mut tx, id, quotas::Delta { files: all_files, bytes: all_bytes }).await?;
    storage::keep(ctx, &mut tx, id, &new.iter().filter_map(|row| row.checksum.as_deref()).collect::<Vec<_>>()).await?;
    table::insert_names(&mut tx, id, &new).await?;
    table::add(&mut tx, id, added, ctx.now().plus_seconds(KEPT_S)).await?;
    ctx.commit(tx).await?;
    Ok(outcomes)
}

/// The path and each directory above it, topmost first.
fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(move |(at, _)| &path[..at]).chain([path])
}

/// What has to be looked up to judge the files, each name once.
fn names_of(files: &[StageFile]) -> Vec<String> {
    let valid = files.iter().filter(|file| refuse_path(&file.path).is_none());
    let mut folded: Vec<String> = valid.flat_map(|file| parts_of(&file.path).map(fold)).collect();
    folded.sort_unstable();
    folded.dedup();
    folded
}

/// The names that the files of one batch can meet, and what it adds to them.
struct Names {
    book: NameBook,
    /// By path as it is spelled.
    held: HashMap<String, NameRow>,
    new: Vec<NameRow>,
    added: Added,
}

impl Names {
    fn of(met: Vec<NameRow>) -> Result<Self> {
        let mut book = NameBook::default();
        for row in &met {
            book.add(&row.path).map_err(Error::internal)?;
        }
        let held = met.into_iter().map(|row| (row.path.clone(), row)).collect();
        Ok(Self { book, held, new: Vec::new(), added: Added::default() })
    }

    /// Takes a file in, or says why not.
    fn add(&mut self, file: StageFile) -> Result<(), String> {
        let StageFile { path, executable, bytes } = file;
        if let Some(reason) = refuse_path(&path) {
            return Err(reason);
        }
        let stored = match bytes {
            Received::Stored(stored) => stored,
            Received::Refused(reason) => return Err(reason),
        };
        let mode = if executable { 0o755 } else { 0o644 };
        if let Some(held) = self.held.get(&path) {
            return match &held.checksum {
                None => Err(format!("{path} is a directory. Choose another name for the file.")),
                Some(checksum) if *checksum == stored.sha256 && held.mode == mode => Ok(()),
                Some(_) => Err(format!("Another file came as {path} before, and that one is kept. Rename one of them.")),
            };
        }
        let is_file = |part: &&str| self.held.get(*part).is_some_and(|held| held.checksum.is_some());
        if let Some(file) = parts_of(&path).find(is_file) {
            return Err(format!("{file} is a file, so nothing can be put below it. Rename one of them."));
        }
        self.book.add(&path)?;
        for directory in parts_of(&path).filter(|part| *part != path) {
            if !self.held.contains_key(directory) {
                self.insert(NameRow { folded: fold(directory), path: directory.to_owned(), checksum: None, size: 0, mode: 0o755 });
            }
        }
        let size = stored.size as i64;
        self.insert(NameRow { folded: fold(&path), path, checksum: Some(stored.sha256), size, mode });
        self.added.files += 1;
        self.added.bytes += size;
        Ok(())
    }

    fn insert(&mut self, row: NameRow) {
        self.added.name_bytes += row.path.len() as i64;
        self.held.insert(row.path.clone(), row.clone());
        self.new.push(row);
    }
}

/// All files have come: a job makes the project of them. Asked again, it answers the same.
pub async fn finish(ctx: &Ctx, id: ProjectId) -> Result<ImportStarted> {
    let (mut tx, row) = lock(ctx, id).await?;
    if let Some(job_id) = row.job_id {
        return Ok(ImportStarted { project_id: id, job_id });
    }
    if row.file_count == 0 {
        return Err(Error::conflict("No file has come yet. Send at least one, or give the import up."));
    }
    let job_id = jobs::enqueue(ctx, &mut tx, JobKind::Import, Some(id), &ImportJob { project_id: id, archive: None }).await?;
    table::set_job(&mut tx, id, job_id).await?;
    ctx.commit(tx).await?;
    Ok(ImportStarted { project_id: id, job_id })
}

/// Gives an import up, whether its files still come or its job works already. Nothing is left of it.
pub async fn cancel(ctx: &Ctx, id: ProjectId) -> Result<()> {
    let (mut tx, row) = lock(ctx, id).await?;
    let Some(job) = row.job_id else {
        table::give_up(&mut tx, id, Micros(i64::MAX)).await?;
        return ctx.commit(tx).await;
    };
    drop(tx);
    jobs::cancel(ctx, job).await.map(drop)
}

async fn give_up_surplus(ctx: &Ctx, user: UserId) -> Result<()> {
    let open = table::open_of(&mut ctx.services().db.read().await?, user).await?;
    for id in open.into_iter().skip(OPEN_MAX) {
        give_up(ctx, id, Micros(i64::MAX)).await?;
    }
    Ok(())
}

async fn give_up(ctx: &Ctx, id: ProjectId, expiring_by: Micros) -> Result<bool> {
    let mut tx = ctx.services().db.begin().await?;
    if store::blobs::lock_place(&mut tx, id).await?.is_none() {
        return Ok(false);
    }
    let gone = table::give_up(&mut tx, id, expiring_by).await?;
    ctx.commit(tx).await?;
    Ok(gone)
}

/// Gives up what nobody went on with. Part of the regular cleanup; answers how many imports are gone. Their bytes are swept as others that
/// nothing names.
pub async fn forget_expired(ctx: &Ctx) -> Result<u64> {
    let expired = table::expired(&mut ctx.services().db.read().await?, ctx.now(), SWEPT).await?;
    let mut gone = 0;
    for id in expired {
        gone += u64::from(give_up(ctx, id, ctx.now()).await?);
    }
    Ok(gone)
}

/// The job's body. A worker that only stops leaves all that has come, and another one takes the job up.
pub(super) async fn fill(
    ctx: &Ctx,
    project: ProjectId,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
) -> Result<(), JobError> {
    let filled = fill_all(ctx, project, &progress, &cancelled).await;
    if matches!(filled, Err(JobError::Cancelled)) && !is_given_up(ctx, project).await.map_err(JobError::from)? {
        return Err(JobError::Retry("The server was stopped during the import. It goes on when the server is back.".to_owned()));
    }
    filled
}

async fn fill_all(
    ctx: &Ctx,
    project: ProjectId,
    progress: &watch::Sender<(u64, u64)>,
    cancelled: &CancellationToken,
) -> Result<(), JobError> {
    let gone = || JobError::Final("The files of this import are gone. Nothing was kept; import them again.".to_owned());
    let row = find(ctx, project).await.map_err(JobError::from)?.ok_or_else(gone)?;
    let total = row.size_bytes.max(1) as u64;
    progress.send_replace((0, total));
    let mut files = Vec::new();
    let mut after = String::new();
    loop {
        if cancelled.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let page = read(ctx, project, &after).await.map_err(JobError::from)?;
        let Some(last) = page.last() else { break };
        after = last.folded.clone();
        files.extend(page.into_iter().map(unpacked));
    }
    // The order of an archive's files.
    files.sort_by(|a, b| a.path.cmp(&b.path));
    fill_plain(ctx, project, files, Origin::Import, cancelled).await?;
    progress.send_replace((total, total));
    Ok(())
}

async fn find(ctx: &Ctx, project: ProjectId) -> Result<Option<ImportRow>> {
    Ok(table::get(&mut ctx.services().db.read().await?, project, ctx.now()).await?)
}

async fn read(ctx: &Ctx, project: ProjectId, after: &str) -> Result<Vec<NameRow>> {
    Ok(table::files(&mut ctx.services().db.read().await?, project, after, READ).await?)
}

fn unpacked(row: NameRow) -> Unpacked {
    let (checksum, size, mode) = (row.checksum.unwrap_or_default(), row.size as u64, row.mode as i32);
    Unpacked { path: row.path, kind: EntryKind::File, checksum, size, mode }
}

/// Whether somebody has asked the job to stop, and not only its worker.
async fn is_given_up(ctx: &Ctx, project: ProjectId) -> Result<bool> {
    let Some(job) = find(ctx, project).await?.and_then(|row| row.job_id) else { return Ok(true) };
    let found = store::jobs::get(&mut ctx.services().db.read().await?, job).await?;
    Ok(found.is_none_or(|found| found.job.cancel_requested))
}
